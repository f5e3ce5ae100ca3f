//! Three nodes, each a process of its own, some of which are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::program::{Program, eventually, output, tell};

pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];
/// Commands that a node runs at once.
const SLOTS: usize = 4;

/// Nodes that go when the test does.
pub(crate) struct Nodes<'a> {
    program: &'a Program,
    config: String,
    pub(crate) ports: Vec<u16>,
    pub(crate) children: BTreeMap<&'static str, Child>,
}

impl<'a> Nodes<'a> {
    /// Starts three and waits until they share the work.
    pub(crate) fn start(program: &'a Program) -> Self {
        // Held together, so that all differ; free again a moment later.
        let sockets = NAMES.map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let ports: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        drop(sockets);
        let seeds: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let text = format!(
            "[cluster]\nseeds = [{}]\npartitions = 64\n[slots]\ncommand = {SLOTS}\n{TASKS}",
            seeds.join(", ")
        );
        let config = program.path("cluster.toml");
        fs::write(&config, text).unwrap();
        let mut nodes = Self { program, config, ports, children: BTreeMap::new() };
        for name in NAMES {
            nodes.spawn(name);
        }
        for name in NAMES {
            nodes.ready(name);
        }
        nodes.shared();
        nodes
    }

    pub(crate) fn spawn(&mut self, name: &'static str) {
        let place = NAMES.iter().position(|known| *known == name).unwrap();
        let listen = format!("127.0.0.1:{}", self.ports[place]);
        let args = ["node", "-c", &self.config, "--name", name, "--listen", &listen, "--tethered"];
        let mut command = self.program.command(&args);
        let log = self.program.path(&format!("{name}.log"));
        let log = fs::File::options().append(true).create(true).open(log).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        self.children.insert(name, command.spawn().unwrap());
    }

    pub(crate) fn ready(&mut self, name: &str) {
        let mut ready = String::new();
        let stdout = self.children.get_mut(name).unwrap().stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert!(ready.starts_with(&format!("node {name} is ready on ")), "{name}: {ready}");
    }

    /// Tells one to stop, and waits until it has; whether it says that all went well.
    pub(crate) fn stop(&mut self, name: &str) -> bool {
        let mut child = self.children.remove(name).unwrap();
        // To wait for a child closes what tells it that it is still wanted.
        let wanted = child.stdin.take();
        tell(&child, Signal::SIGTERM);
        let ended = child.wait().unwrap().success();
        drop(wanted);
        ended
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.program.path(&format!("{name}.log"))).unwrap()
    }

    /// Where all are reached.
    pub(crate) fn addresses(&self) -> String {
        let all = self.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        all.collect::<Vec<_>>().join(",")
    }

    /// Waits until every partition has all its copies on nodes that are alive.
    pub(crate) fn whole(&self) {
        eventually("all partitions have their copies", || {
            let nodes = self.program.run(&["cluster", "status", "--json"]).json();
            nodes.iter().all(|node| node["state"] == "alive" && node["told"] == true)
                && nodes.first().is_some_and(|node| node["cluster_partitions_whole"] == 64)
        });
    }

    /// Ends one with signal 9.
    fn kill(&mut self, name: &str) {
        let mut child = self.children.remove(name).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn shared(&self) {
        eventually("all nodes are alive and own a share", || {
            let nodes = self.program.run(&["cluster", "status", "--json"]).json();
            nodes.len() == 3
                && nodes.iter().all(|node| node["state"] == "alive" && node["partitions"] != 0)
                && nodes[0]["cluster_partitions_owned"] == 64
        });
    }

    pub(crate) fn succeeded(&self) -> BTreeSet<String> {
        let args = ["task", "list", "--state", "succeeded", "--limit", "1000", "--json"];
        let tasks = self.program.run(&args).json();
        tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    }

    /// A file of tasks, each for one of ten files, and what each of these sums to.
    pub(crate) fn work(&self, tasks: usize) -> Vec<String> {
        let mut sums = Vec::new();
        for n in 0..10 {
            let file = self.program.path(&format!("file-{n}"));
            fs::write(&file, format!("what file {n} holds\n").repeat(n + 1)).unwrap();
            let ran = Command::new("sha256sum").arg(&file).output().unwrap();
            sums.push(String::from_utf8(ran.stdout).unwrap());
        }
        let line = |n: usize| {
            let path = self.program.path(&format!("file-{}", n % 10));
            format!("{{\"task\":\"sum\",\"args\":{{\"path\":\"{path}\"}}}}\n")
        };
        let lines: String = (0..tasks).map(line).collect();
        fs::write(self.program.path("work.jsonl"), lines).unwrap();
        (0..tasks).map(|n| sums[n % 10].clone()).collect()
    }
}

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Long enough that a node which is killed has something to do. Each start is written down.
const TASKS: &str = r#"
[tasks.sum]
command = 'echo "$UMBEL_TASK_ID" >> starts; sleep 0.1; sha256sum -- "$FILE"'
shell = true
env = { FILE = "{path}" }
"#;

#[test]
fn a_killed_node_costs_only_the_runs_that_it_held() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    let sums = nodes.work(240);
    // Through one that stays: the owner of the tasks knows what it gave to whom.
    let through = format!("127.0.0.1:{}", nodes.ports[0]);
    let args = ["submit", "--from", "work.jsonl", "--wait", "--json", "--connect", &through];
    let mut submit = program.command(&args);
    let submit = submit.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let submit = submit.spawn().unwrap();
    eventually("a good part is done", || nodes.succeeded().len() >= 60);
    nodes.kill("b");
    let ran = output(submit);
    assert!(ran.ok, "{}", ran.err);
    let tasks = ran.json();
    assert_eq!(tasks.len(), sums.len());
    let mut twice = 0;
    for (task, sum) in tasks.iter().zip(&sums) {
        assert_eq!(
            (&task["state"], &task["result"]["stdout"]),
            (&"succeeded".into(), &Value::from(sum.as_str()))
        );
        let runs = task["runs"].as_array().unwrap();
        let (last, lost) = runs.split_last().unwrap();
        assert_eq!(last["outcome"], "succeeded", "{task}");
        for run in lost {
            assert_eq!((&run["node"], &run["outcome"]), (&"b".into(), &"lost".into()), "{task}");
        }
        twice += usize::from(!lost.is_empty());
    }
    assert!(twice <= SLOTS, "{twice} tasks ran twice, of which b can have held {SLOTS}");
    let on_b = |task: &&Value| task["node"] == "b";
    assert!(tasks.iter().filter(on_b).count() > 0, "b had its share before");
}

#[test]
fn nodes_that_read_different_files_and_those_that_are_not_asked_are_told() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    let text = fs::read_to_string(&nodes.config).unwrap();
    let job = |name: &str| format!("{text}[jobs.{name}]\nevery = \"1h\"\ntask = \"umbel.noop\"\n");
    fs::write(&nodes.config, job("x")).unwrap();
    let [a, b, c] = [0, 1, 2].map(|place| format!("127.0.0.1:{}", nodes.ports[place]));
    let ran = program.run(&["config", "reload", "--connect", &a]);
    assert!(ran.ok && ran.out.contains("jobs: 1 in the file: 1 new (version 1)"), "{ran:?}");
    for node in [format!("b ({b})"), format!("c ({c})")] {
        let told = "note: 2 other nodes were not asked: ";
        assert!(ran.err.starts_with(told) && ran.err.contains(&node), "{node}: {ran:?}");
    }
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok && ran.err.is_empty(), "{ran:?}");

    // One of them has another file.
    assert!(nodes.stop("b"));
    let other = program.path("other.toml");
    fs::write(&other, job("y")).unwrap();
    let same = std::mem::replace(&mut nodes.config, other);
    nodes.spawn("b");
    nodes.ready("b");
    nodes.config = same;
    let names = || {
        let jobs = program.run(&["job", "list", "--json"]).json();
        jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually("it has brought what is newer", || names() == ["y"]);
    let ran = program.run(&["config", "reload", "--connect", &nodes.addresses()]);
    let told =
        format!("the cluster has those of {c} now (version 5), not those of {a}, {b}; bring");
    assert!(ran.code == Some(1) && ran.err.contains(&told), "{ran:?}");
    assert_eq!(names(), ["x"]);
}

#[test]
fn what_was_acknowledged_finishes_after_all_nodes_were_killed() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    nodes.work(200);
    let ran = program.run(&["submit", "--from", "work.jsonl", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let ids: BTreeSet<_> =
        ran.json().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 200);
    for name in NAMES {
        nodes.kill(name);
    }
    for name in NAMES {
        nodes.spawn(name);
    }
    for name in NAMES {
        nodes.ready(name);
    }
    eventually("all tasks have succeeded", || nodes.succeeded().is_superset(&ids));
}

#[test]
fn without_a_majority_everything_says_so() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    let done = program.run(&["submit", "umbel.noop", "--wait", "--json"]);
    assert!(done.ok, "{done:?}");
    let done = done.json()[0]["id"].as_str().unwrap().to_owned();
    let later = program.run(&["submit", "umbel.noop", "--delay", "1h"]).out.trim().to_owned();
    let ran = program.run(&["task", "wait", &later, "--timeout", "2s"]);
    assert!(!ran.ok && ran.err.contains("has not ended in the time given"), "{ran:?}");
    assert!(program.run(&["task", "list"]).ok);

    nodes.kill("b");
    nodes.kill("c");
    eventually("no partition is taken to have an owner", || {
        let status = program.run(&["cluster", "status", "--json"]).json();
        status.iter().all(|node| node["cluster_partitions_owned"] == 0)
    });
    // Whoever reads the log learns it there, each node by its name.
    let log = || fs::read_to_string(program.path("a.log")).unwrap();
    for told in [" node b is down id=", " 2 of 3 members are down, so there is no majority"] {
        eventually(told, || log().contains(told));
    }
    let ran = program.run(&["submit", "umbel.noop"]);
    assert!(!ran.ok && ran.out.is_empty() && ran.err.contains("no majority"), "{ran:?}");
    fs::write(program.path("two.jsonl"), "{\"task\":\"umbel.noop\"}\n".repeat(2)).unwrap();
    let ran = program.run(&["submit", "--from", "two.jsonl", "--json"]);
    assert!(!ran.ok && ran.err.contains("no majority"), "{ran:?}");
    assert!(ran.err.contains("; 2 tasks between lines 1 and 2 not taken in;"), "{ran:?}");
    let rows = ran.json();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["id"].is_string()), "{ran:?}");
    assert!(rows.iter().all(|row| row["error"].is_string()), "{ran:?}");
    let ran = program.run(&["task", "list", "--json"]);
    assert!(!ran.ok && ran.err.contains("this is not all"), "{ran:?}");
    let ran = program.run(&["task", "wait", &later, "--timeout", "2s"]);
    assert!(!ran.ok && ran.err.contains("no majority"), "{ran:?}");

    nodes.spawn("b");
    nodes.ready("b");
    eventually("the majority is told to be back", || log().contains("a majority again: 1 of 3"));
    for row in rows {
        let ran =
            program.run(&["submit", "umbel.noop", "--wait", "--id", row["id"].as_str().unwrap()]);
        assert!(ran.ok, "{ran:?}");
    }
    let ran = program.run(&["task", "wait", &done]);
    assert!(ran.ok && ran.out.contains("succeeded"), "{ran:?}");
}
