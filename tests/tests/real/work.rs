//! Work that is bad for the nodes which do it, and submissions of which nobody knows what came.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;
use umbel_tests::real::client::has_ended;
use umbel_tests::real::cluster::run_line;
use umbel_tests::real::ledger;
use umbel_tests::real::patience::so;
use umbel_tests::real::program::Ran;
use umbel_tests::real::{Account, Cluster, Setting, skipped, until};

/// So many submit at once, each of which alone has as much as a node can hold.
const CLIENTS: usize = 10;
const CLIENT_TASKS: usize = 224;
const ARGS_BYTES: usize = 300_000;
/// What each node may keep of tasks.
const MEMORY_MIB: u64 = 64;
/// What whoever is refused for want of room is told.
const OVERLOADED: &str = "too much under way";
/// Longer than every timeout of a cluster, but for the long form.
const LONG: u64 = 15;
/// The same in the long form: longer than the half minute after which copies are replaced.
const VERY_LONG: u64 = 60;

#[test]
fn a_task_that_kills_its_node_is_given_up_after_three_and_its_neighbours_are_not() {
    let more = "[tasks.poison]\nshell = true\nattempts = 10\ncommand = 'kill -9 $PPID'\n";
    let mut cluster = Cluster::on_loopback(Setting { more: more.into(), ..Setting::three() });
    for place in 0..3 {
        cluster.fault(place);
    }
    let load = cluster.load("0.1", 60);
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![r#"{"task":"poison"}"#.to_owned()]);
    let mut deaths = 0;
    let found = until("it is given up", || {
        // As whatever watches over a node does.
        for place in 0..3 {
            if cluster.nodes[place].has_ended().is_some() {
                deaths += 1;
                cluster.start(place);
            }
        }
        if !account.doubtful.is_empty() {
            // It was answered by a node that it then took with it.
            account.submit(&cluster.client(), Vec::new());
        }
        let id = account.acknowledged.first().ok_or("not acknowledged")?;
        let task = cluster.client().show(id).ok_or("not shown")?;
        so(has_ended(&task), || task.to_string())?;
        Ok(task)
    });
    assert_eq!((&found["state"], &found["error_kind"]), (&"dead".into(), &"crashed".into()));
    assert_eq!((deaths, found["runs"].as_array().map(Vec::len)), (3, Some(3)), "{found}");
    for place in 0..3 {
        cluster.nodes[place].ready();
    }
    let account = load.join();
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("neighbours of poison: {audit}");
}

#[test]
fn a_task_that_takes_longer_than_any_timeout_runs_once_whoever_else_dies() {
    let seconds = if std::env::var_os("UMBEL_LONG").is_some() { VERY_LONG } else { LONG };
    let mut cluster = Cluster::on_loopback(Setting::three());
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line(&seconds.to_string()); 8]);
    until("all of them run", || {
        let runs = cluster.ledger().0.len();
        so(runs == 8, || runs.to_string())
    });
    // Whoever runs none of them, or fewest of them, goes: those of the others have new owners.
    let ledger = cluster.ledger();
    let on = |place: &usize| ledger.running_on(&cluster.nodes[*place].name);
    let victim = (0..3).min_by_key(on).unwrap();
    cluster.kill(&[victim]);
    let others: Vec<_> = (0..3).filter(|place| *place != victim).collect();
    let others: Vec<_> = others.iter().map(|place| cluster.nodes[*place].address).collect();
    cluster.is_owned(&cluster.client().through(&others));
    cluster.start_all();
    let audit = cluster.audit(&account);
    eprintln!("long tasks: {audit}");
    let lost = cluster.ledger().starts().values().filter(|starts| starts.len() > 1).count();
    let ran_there = ledger.running_on(&cluster.nodes[victim].name);
    assert_eq!((lost, audit.duplicated), (ran_there, ran_there), "only what ran there ran again");
}

#[test]
fn ten_times_more_than_nodes_can_hold_is_refused_and_what_was_taken_in_is_done() {
    let memory = format!("{MEMORY_MIB} MiB");
    let setting = Setting { memory, slots: 8, ..Setting::three() };
    // Else no run would wait at the gate.
    if Command::new("flock").arg("--version").output().is_err() {
        return skipped("there is no flock");
    }
    let mut cluster = Cluster::prepared(setting, false).unwrap();
    // However fast nodes are and clients are not: no run ends, and makes room, before the gate is open.
    let gate = File::create(cluster.dir().join("gate")).unwrap();
    gate.lock().unwrap();
    cluster.declare(&format!(
        "[tasks.gated]\nshell = true\ncommand = '''\n{}\nflock --shared {:?} true\n{}\n'''\n",
        ledger::line("start"),
        cluster.dir().join("gate"),
        ledger::line("end")
    ));
    cluster.start_all();
    cluster.is_whole();
    let line = format!(r#"{{"task":"gated","args":{{"pad":"{}"}}}}"#, "x".repeat(ARGS_BYTES));
    let file = cluster.dir().join("much.jsonl").to_string_lossy().into_owned();
    std::fs::write(&file, vec![line; CLIENT_TASKS].join("\n")).unwrap();
    let resident = |cluster: &Cluster| -> Vec<u64> {
        cluster.nodes.iter().map(|node| node.resident_bytes() >> 20).collect()
    };
    let before = resident(&cluster);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, file) = (cluster.client(), file.clone());
            thread::spawn(move || client.ask(&["submit", "--json", "--from", &file]).json())
        })
        .collect();
    let mut account = Account::default();
    let mut refused = Vec::new();
    for client in clients {
        let rows = client.join().unwrap();
        let is_refused =
            |row: &&Value| row["error"].as_str().is_some_and(|why| why.contains(OVERLOADED));
        refused.push(rows.iter().filter(is_refused).count());
        // Of some it is not known whether they were taken in: they may end, and need not.
        let taken = rows.iter().filter(|row| row["error"].is_null());
        account.acknowledged.extend(taken.filter_map(|row| Some(row["id"].as_str()?.to_owned())));
    }
    let full = resident(&cluster);
    eprintln!(
        "{} acknowledged, {refused:?} refused; {before:?} MiB before and {full:?} MiB when full",
        account.acknowledged.len()
    );
    // Whoever is told that there is no room does not try the rest of its file.
    assert!(refused.iter().all(|rows| *rows > 0), "each is told: {refused:?}");
    assert!(account.acknowledged.len() < 2 * CLIENT_TASKS, "no more than there is room for");
    // Records, entries on their way to other nodes, and what the allocator keeps: 1.7 times as measured.
    let most = before.iter().max().unwrap() + 3 * MEMORY_MIB;
    assert!(full.iter().all(|mib| *mib <= most), "{full:?} MiB where {most} are expected");
    for place in 0..3 {
        assert!(cluster.nodes[place].has_ended().is_none(), "all live on");
    }
    gate.unlock().unwrap();
    until("all that was acknowledged has succeeded", || {
        let ledger = cluster.ledger();
        let open = account.acknowledged.iter().filter(|id| !ledger.has_end(id)).count();
        so(open == 0, || format!("{open} have not"))
    });
    let ran = cluster.client().ask(&["submit", "umbel.noop", "--wait"]);
    assert!(ran.ok, "there is room again: {ran:?}");
    let ledger = cluster.ledger();
    let twice = ledger.starts().into_iter().filter(|(_, starts)| starts.len() > 1).count();
    assert_eq!(twice, 0, "nothing went wrong, so nothing ran twice");
}

#[test]
fn a_submission_whose_answer_was_lost_is_the_same_when_it_is_repeated() {
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    let mut command = cluster.client().command(&["submit", "--json", "--from", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut asking = command.spawn().unwrap();
    let mut lines = asking.stdin.take().unwrap();
    writeln!(lines, "{}", run_line("0")).unwrap();
    until("it is connected", || so(cluster.ledger().0.len() == 2, || "no run yet".into()));
    // From now on it is heard and hears nothing.
    for port in 1..=3 {
        cluster.switch().cut_one_way(port, umbel_tests::real::switch::FIRST_CLIENT);
    }
    writeln!(lines, "{}", run_line("0")).unwrap();
    drop(lines);
    until("what it asked for is done", || {
        let ledger = cluster.ledger();
        so(ledger.0.iter().filter(|entry| entry.is_end).count() == 2, || format!("{ledger:?}"))
    });
    let ran = Ran::of(asking.wait_with_output().unwrap());
    let [first, second] = &ran.json()[..] else { panic!("{ran:?}") };
    assert!(!ran.ok && first["error"].is_null() && second["error"].is_string(), "{ran:?}");
    // Nobody who took it in need be there when it is repeated.
    cluster.kill(&[0]);
    cluster.switch().heal();
    let id = second["id"].as_str().unwrap();
    let args = r#"{"for":"0"}"#;
    let others = cluster.client().through(&[1, 2].map(|place| cluster.nodes[place].address));
    let again = others.ask(&["submit", "run", args, "--id", id, "--wait", "--json"]);
    assert!(again.ok && again.json()[0]["id"] == id, "{again:?}");
    let mut account = Account::default();
    account.acknowledged.extend([first, second].map(|row| row["id"].as_str().unwrap().to_owned()));
    let audit = cluster.audit(&account);
    eprintln!("a lost answer: {audit}");
    assert!(cluster.ledger().starts().len() == 2, "{:?}", cluster.ledger());
}
