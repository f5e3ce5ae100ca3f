//! The example of a fleet with one crontab: five nodes, started as its file says that one starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::program::{Program, eventually, free_ports, tell};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const FILE: &str = "examples/cron_fleet/cluster.toml";
const TEXT: &str = include_str!("../../../examples/cron_fleet/cluster.toml");
/// Where the file has its nodes listen: from 127.0.0.1:7411 on.
const PORTS: std::ops::RangeInclusive<u16> = 7_411..=7_415;

const ALL: [&str; 5] = ["batch-1", "db-1", "db-2", "web-1", "web-2"];
const DATABASES: [&str; 2] = ["db-1", "db-2"];

/// The nodes, which go when the test does.
struct Fleet<'a> {
    program: &'a Program,
    /// What is typed to start each.
    lines: BTreeMap<String, Vec<String>>,
    children: BTreeMap<String, Child>,
}

impl<'a> Fleet<'a> {
    /// Starts all, on ports that nobody else uses.
    fn start(program: &'a Program) -> Self {
        let mut text = TEXT.to_owned();
        let free = free_ports(5);
        for (port, free) in PORTS.zip(free..) {
            text = text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"));
        }
        let file = program.path(FILE);
        fs::create_dir_all(std::path::Path::new(&file).parent().unwrap()).unwrap();
        fs::write(file, &text).unwrap();
        let typed = text.lines().filter_map(|line| line.strip_prefix("#     umbel node "));
        let lines = typed.map(|line| {
            let words = line.strip_suffix(" &").unwrap().split(' ');
            let words: Vec<_> = ["node"].into_iter().chain(words).map(str::to_owned).collect();
            let name = words.iter().position(|word| word == "--name").unwrap();
            (words[name + 1].clone(), words)
        });
        let mut fleet = Self { program, lines: lines.collect(), children: BTreeMap::new() };
        assert!(fleet.lines.keys().eq(&ALL), "{:?}", fleet.lines);
        for name in ALL {
            fleet.spawn(name);
        }
        for name in ALL {
            fleet.ready(name);
        }
        fleet
    }

    fn spawn(&mut self, name: &str) {
        let words: Vec<_> = self.lines[name].iter().map(String::as_str).collect();
        let mut command = self.program.command(&[&words[..], &["--tethered"]].concat());
        let log = self.program.path(&format!("{name}.log"));
        let log = fs::File::options().append(true).create(true).open(log).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        self.children.insert(name.to_owned(), command.spawn().unwrap());
    }

    fn ready(&mut self, name: &str) {
        let mut ready = String::new();
        let stdout = self.children.get_mut(name).unwrap().stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert!(ready.starts_with(&format!("node {name} is ready on ")), "{name}: {ready}");
    }

    /// Tells one to stop, and waits until it has.
    fn stop(&mut self, name: &str) {
        let mut child = self.children.remove(name).unwrap();
        // To wait for a child closes what tells it that it is still wanted.
        let wanted = child.stdin.take();
        tell(&child, Signal::SIGTERM);
        assert!(child.wait().unwrap().success());
        drop(wanted);
    }

    /// What is told of the ticks of a job, the newest first.
    fn history(&self, job: &str) -> Vec<Value> {
        self.told(&["job", "history", job, "--json"])
    }

    fn jobs(&self) -> Vec<Value> {
        self.told(&["job", "list", "--json"])
    }

    /// What is told in the end: while its partition changes hands, nobody can tell of a job.
    fn told(&self, args: &[&str]) -> Vec<Value> {
        let mut told = Vec::new();
        eventually("somebody tells", || {
            let ran = self.program.run(args);
            told = ran.json();
            ran.ok
        });
        told
    }

    /// What was told of the events of a job.
    fn alerts(&self, job: &str) -> Vec<String> {
        let file = self.program.path("umbel-data/cron_fleet/alerts.jsonl");
        let text = fs::read_to_string(file).unwrap_or_default();
        let alerts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let events = alerts.filter(|alert| alert["job"] == job);
        events.map(|alert| alert["event"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The nodes of a tick whose runs ended as `outcome`.
fn nodes_that(tick: &Value, outcome: &str) -> BTreeSet<String> {
    let runs = tick["runs"].as_array().unwrap().iter();
    let runs = runs.filter(|run| run["outcome"] == outcome);
    runs.map(|run| run["node"].as_str().unwrap().to_owned()).collect()
}

/// Whether a tick ran well on these nodes, and on no other.
fn ran_on(tick: &Value, nodes: &[&str]) -> bool {
    nodes_that(tick, "succeeded").iter().eq(nodes)
        && tick["runs"].as_array().unwrap().len() == nodes.len()
}

#[test]
fn a_fleet_runs_its_jobs_where_they_belong_and_tells_who_misses_them() {
    let program = Program::new();
    let ran = program.command(&["config", "check", FILE]).current_dir(ROOT).output().unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "nothing to complain about: {ran:?}");
    let mut fleet = Fleet::start(&program);

    // All that come within seconds come by themselves. The nightly one is run by hand.
    let table: toml::Table = TEXT.parse().unwrap();
    let defined: Vec<_> = table["jobs"].as_table().unwrap().keys().collect();
    eventually("all jobs are defined, and all but the nightly one have fired", || {
        let jobs = fleet.jobs();
        jobs.len() == defined.len()
            && jobs.iter().all(|job| job["name"] == "backup" || job["counts"]["fired"] != 0)
    });
    assert!(program.run(&["job", "run", "backup"]).ok);
    eventually("each has run where it belongs", || {
        let one_of = |job: &str, nodes: &[&str]| {
            let ticks = fleet.history(job);
            ticks.iter().any(|tick| nodes.iter().any(|node| ran_on(tick, &[*node])))
        };
        let each_of =
            |job: &str, nodes: &[&str]| fleet.history(job).iter().any(|tick| ran_on(tick, nodes));
        each_of("health", &ALL)
            && each_of("room", &DATABASES)
            && one_of("report", &["batch-1"])
            && one_of("sweep", &ALL)
            && one_of("backup", &DATABASES)
    });
    for tick in fleet.history("room") {
        let runs = tick["runs"].as_array().unwrap();
        assert!(runs.iter().all(|run| DATABASES.iter().any(|node| run["node"] == *node)), "{tick}");
    }
    eventually("a report that takes too long is not run beside itself", || {
        fleet.history("report").iter().any(|tick| tick["verdict"] == "skipped")
    });
    let backup = &fleet.history("backup")[0];
    assert_eq!(
        (&backup["by_hand"], &backup["runs"][0]["output"]),
        (&true.into(), &"the backup of shop is made".into())
    );

    // Who is told is told once of many failures.
    eventually("a failure is told", || fleet.alerts("upstream") == ["failure"]);
    eventually("it has failed again", || {
        let failed = fleet.history("upstream");
        failed.iter().filter(|tick| tick["ends"]["failed"] == 1).count() > 1
    });
    fs::write(program.path("umbel-data/cron_fleet/upstream"), "").unwrap();
    eventually("and the recovery", || fleet.alerts("upstream") == ["failure", "recovery"]);

    fires_once(&fleet);

    fleet.stop("db-1");
    for (job, others) in
        [("health", &["batch-1", "db-2", "web-1", "web-2"][..]), ("room", &["db-2"])]
    {
        eventually("the others run it, and db-1 is told to have missed it", || {
            fleet.history(job).iter().any(|tick| {
                nodes_that(tick, "succeeded").iter().eq(others)
                    && nodes_that(tick, "missed").iter().eq(["db-1"])
            })
        });
    }
    eventually("that is told", || fleet.alerts("room").contains(&"missed".to_owned()));
    assert!(fleet.alerts("health").is_empty(), "nobody wants to know");

    fleet.spawn("db-1");
    fleet.ready("db-1");
    eventually("it takes part again", || {
        ran_on(&fleet.history("health")[1], &ALL) && ran_on(&fleet.history("room")[1], &DATABASES)
    });
    fires_once(&fleet);
}

/// No task is told of twice, and none has written down two runs: nothing was killed.
#[track_caller]
fn fires_once(fleet: &Fleet<'_>) {
    let mut of = BTreeMap::new();
    for job in fleet.jobs() {
        let job = job["name"].as_str().unwrap();
        let mut ticks = BTreeSet::new();
        for tick in fleet.history(job) {
            let at = tick["tick"].as_str().unwrap().to_owned();
            assert!(ticks.insert(at.clone()), "{job}: {at} is told of twice");
            for run in tick["runs"].as_array().unwrap().iter().filter(|run| !run["task"].is_null())
            {
                let task = run["task"].as_str().unwrap().to_owned();
                let twin = of.insert(task.clone(), (job.to_owned(), at.clone()));
                assert_eq!(twin, None, "{task} is that of {job} at {at} as well");
            }
        }
    }
    let text = fs::read_to_string(fleet.program.path("umbel-data/cron_fleet/health.log")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let ids: BTreeSet<_> = lines.iter().collect();
    assert_eq!(ids.len(), lines.len(), "each task has run once");
}
