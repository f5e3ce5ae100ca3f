//! How long it takes until the work of a node that is killed goes on elsewhere.
//!
//! Three nodes, each a process, under load; one after the other is killed with signal 9. Measured is
//! the time until its partitions have owners again, and until all tasks that it ran run elsewhere.
//!
//! ```sh
//! cargo build --release
//! cargo run -p umbel-tests --bin takeover -- --bin target/release/umbel --kills 20
//! ```

#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use umbel_tests::real::audit::Audit;
use umbel_tests::real::client::{Client, has_ended};
use umbel_tests::real::cluster::run_line;
use umbel_tests::real::faults::is_in_vain;
use umbel_tests::real::ledger::{Entry, Ledger};
use umbel_tests::real::load::Load;
use umbel_tests::real::patience::so;
use umbel_tests::real::{Account, Cluster, Faults, Program, Setting, until};

/// Medians that are promised.
const OWNED_WITHIN: Duration = Duration::from_secs(2);
const RUNNING_WITHIN: Duration = Duration::from_secs(5);
/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long one task takes: longer than a takeover, so that those of a dead node are missed.
const TASK: &str = "6";

struct Options {
    bin: PathBuf,
    kills: usize,
}

fn options() -> Result<Options, String> {
    let mut options = Options { bin: PathBuf::from("target/release/umbel"), kills: 20 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--bin" => options.bin = value.into(),
            "--kills" => options.kills = value.parse().map_err(|_| format!("--kills {value}"))?,
            _ => return Err(format!("{arg}: there are --bin PATH and --kills N")),
        }
    }
    let found = options.bin.canonicalize();
    options.bin = found.map_err(|why| format!("{}: {why}", options.bin.display()))?;
    Ok(options)
}

fn main() -> ExitCode {
    match options() {
        Ok(options) if measure(&options) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            println!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What one kill cost.
struct Kill {
    node: String,
    tasks: BTreeSet<String>,
    owned: Duration,
    running: Duration,
}

fn measure(options: &Options) -> bool {
    // All tasks find a slot on two nodes as well: what is measured is the takeover, not a queue.
    let more = "[queues.runs]\n".to_owned();
    let setting =
        Setting { partitions: 256, slots: 64, more, ..Setting::of(Program::at(&options.bin)) };
    let mut cluster = Cluster::on_loopback(setting);
    let run = run_line(TASK).replace("{\"task\"", "{\"queue\":\"runs\",\"task\"");
    // A node runs what it was given as long as it has slots: each is given some.
    let mut addresses: Vec<_> = cluster.nodes.iter().map(|node| node.address).collect();
    let mut runs = Vec::new();
    for _ in 0..addresses.len() {
        let client = cluster.client().through(&addresses);
        runs.push(Load::start_at(client, run.clone(), 2, Duration::from_millis(1_500)));
        addresses.rotate_left(1);
    }
    let noop = r#"{"task":"umbel.noop"}"#.to_owned();
    let noops = Load::start_at(cluster.client(), noop, 500, Duration::from_millis(1_000));
    let mut kills = Vec::new();
    println!(
        "{:>4}  {:4}  {:>12}  {:>14}  {:>16}",
        "kill", "node", "tasks there", "owned after", "running after"
    );
    let mut lost = BTreeSet::new();
    for number in 0..options.kills {
        let kill = kill(&mut cluster, number % 3, &mut lost);
        println!(
            "{:>4}  {:4}  {:>12}  {:>12} s  {:>14} s",
            number + 1,
            kill.node,
            kill.tasks.len(),
            seconds(kill.owned),
            seconds(kill.running)
        );
        cluster.start_all();
        cluster.is_whole();
        // Whoever is killed three times counts as what kills its nodes. That a run has written its end is not
        // enough: its node may have died before it told.
        until("what was killed has ended elsewhere", || {
            let tasks = cluster.client().tasks_of("runs")?;
            let open = kill.tasks.iter().filter(|id| !tasks.get(*id).is_some_and(has_ended));
            let open = open.count();
            so(open == 0, || format!("{open} have not"))
        });
        kills.push(kill);
    }
    let mut account = Account::default();
    runs.into_iter().for_each(|load| account.add(load.stop()));
    let noops = noops.stop();
    let tasks = until("all runs have ended", || {
        let tasks = cluster.client().tasks_of("runs")?;
        let open = account.acknowledged.iter().filter(|id| !tasks.get(*id).is_some_and(has_ended));
        let open = open.count();
        so(open == 0, || format!("{open} have not"))?;
        Ok(tasks)
    });
    let tasks = tasks.into_iter().filter(|(id, _)| account.knows(id)).collect();
    let audit = Audit::of(&account, &tasks, &cluster.ledger(), &cluster.faults);
    let owned = summary(kills.iter().map(|kill| kill.owned).collect());
    let running = summary(kills.iter().map(|kill| kill.running).collect());
    println!();
    println!("{} kills of one of three, under load", kills.len());
    println!(
        "its partitions have owners    median {} s, worst {} s",
        seconds(owned.0),
        seconds(owned.1)
    );
    println!(
        "its tasks run elsewhere       median {} s, worst {} s",
        seconds(running.0),
        seconds(running.1)
    );
    println!("tasks                         {audit}");
    let silent = Silent::of(&noops, &cluster.client(), &cluster.faults);
    println!(
        "besides, that do nothing      {} acknowledged, {} lost, {} run again, {} wrong",
        noops.acknowledged.len(),
        silent.lost,
        silent.again,
        silent.wrong.len()
    );
    silent.wrong.iter().take(TOLD_MAX).for_each(|what| println!("  wrong: {what}"));
    let is_fast = owned.0 <= OWNED_WITHIN && running.0 <= RUNNING_WITHIN;
    if !is_fast {
        println!("slower than promised: {OWNED_WITHIN:?} and {RUNNING_WITHIN:?}, medians");
    }
    audit.is_clean() && silent.lost == 0 && silent.wrong.is_empty() && is_fast
}

/// Of what is wrong so much is told.
const TOLD_MAX: usize = 20;
/// Tasks that are asked about at once.
const PIECE: usize = 5_000;

/// What became of tasks that leave no trace but what the cluster has on record.
#[derive(Default)]
struct Silent {
    lost: usize,
    again: usize,
    wrong: Vec<String>,
}

impl Silent {
    /// Submits all that were acknowledged once more, under their ids, and waits: they are known, so that
    /// tells how they ended.
    fn of(account: &Account, client: &Client, faults: &Faults) -> Self {
        let ids: Vec<_> = account.acknowledged.iter().collect();
        let mut silent = Self::default();
        for ids in ids.chunks(PIECE) {
            let line = |id: &&String| format!(r#"{{"id":"{id}","task":"umbel.noop"}}"#);
            let lines: Vec<_> = ids.iter().map(line).collect();
            let rows = client.submit_and_wait(&lines).json();
            let ended = rows.iter().filter(|row| has_ended(row)).count();
            silent.lost += ids.len() - ended.min(ids.len());
            for row in rows {
                let runs = row["runs"].as_array().map_or(&[][..], Vec::as_slice);
                let vain = runs.iter().filter(|run| is_in_vain(run)).count();
                silent.again += usize::from(vain > 0);
                let is_explained = faults.unexplained(runs).is_empty();
                if row["state"] != "succeeded" || runs.len() < vain + 1 || !is_explained {
                    silent.wrong.push(row.to_string());
                }
            }
        }
        silent
    }
}

/// A run: of which task, and its token.
type Run = (String, String);

/// Kills a node once it runs something, and waits until all of that runs elsewhere. `lost` are the
/// runs that were killed before.
fn kill(cluster: &mut Cluster, place: usize, lost: &mut BTreeSet<Run>) -> Kill {
    let name = cluster.nodes[place].name.clone();
    until(&format!("{name} runs something"), || {
        let runs = open_on(&cluster.ledger(), &name).difference(lost).count();
        so(runs >= 4, || runs.to_string())
    });
    let others: Vec<_> =
        (0..3).filter(|other| *other != place).map(|other| cluster.nodes[other].address).collect();
    let client = cluster.client().through(&others);
    let partitions = 256;
    let began = Instant::now();
    cluster.kill(&[place]);
    // What it had begun and not ended when it died, seen from outside.
    let killed: BTreeSet<Run> =
        open_on(&cluster.ledger(), &name).difference(lost).cloned().collect();
    let held: BTreeSet<String> = killed.iter().map(|(task, _)| task.clone()).collect();
    lost.extend(killed);
    let owned = thread::spawn(move || {
        loop {
            let status = client.status();
            if status.first().is_some_and(|node| node["cluster_partitions_owned"] == partitions) {
                return began.elapsed();
            }
        }
    });
    let mut missing = held.clone();
    let running = loop {
        let ledger = cluster.ledger();
        for entry in ledger.0.iter().filter(|entry| entry.node != name && !entry.is_end) {
            missing.remove(&entry.task);
        }
        if missing.is_empty() {
            break began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(150), "{missing:?} run nowhere");
        thread::park_timeout(LOOK);
    };
    let owned = owned.join().expect("it looks and looks");
    Kill { node: name, tasks: held, owned, running }
}

/// Runs that have begun on `node` and not ended.
fn open_on(ledger: &Ledger, node: &str) -> BTreeSet<Run> {
    let run = |entry: &Entry| (entry.task.clone(), entry.token.clone());
    let (ends, starts): (Vec<_>, Vec<_>) = ledger.0.iter().partition(|entry| entry.is_end);
    let mut open: BTreeSet<_> =
        starts.into_iter().filter(|entry| entry.node == node).map(run).collect();
    for end in ends {
        open.remove(&run(end));
    }
    open
}

/// The median and the worst.
fn summary(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    (median, times.last().copied().unwrap_or_default())
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}
