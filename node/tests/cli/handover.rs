//! Nodes that are told to stop, drained and forgotten while there is work: nothing runs twice.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::processes::{NAMES, Nodes};
use crate::program::{Program, Ran, eventually, output, tell};

/// Submits all of `work.jsonl` and waits for it.
fn submit(program: &Program, through: &str) -> Child {
    let args = ["submit", "--from", "work.jsonl", "--wait", "--json", "--connect", through];
    let mut command = program.command(&args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// All have succeeded, with what they should say, and each has been started once: as the tasks wrote
/// down themselves. A lease may have come too late for an executor that was about to go, and be on
/// record as a run that was lost; it never began.
#[track_caller]
fn ran_once(program: &Program, ran: &Ran, sums: &[String]) -> Vec<Value> {
    assert!(ran.ok, "{}", ran.err);
    let tasks = ran.json();
    assert_eq!(tasks.len(), sums.len());
    for (task, sum) in tasks.iter().zip(sums) {
        assert_eq!(
            (&task["state"], &task["result"]["stdout"]),
            (&"succeeded".into(), &Value::from(sum.as_str()))
        );
    }
    let text = fs::read_to_string(program.path("starts")).unwrap();
    let mut starts: Vec<_> = text.lines().collect();
    starts.sort_unstable();
    let mut ids: Vec<_> = tasks.iter().map(|task| task["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let twice = starts.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    let twice: Vec<_> = twice.map(|id| program.run(&["task", "show", id, "--json"]).out).collect();
    assert!(twice.is_empty(), "they started more than once: {twice:#?}");
    assert_eq!(starts, ids, "each task starts");
    tasks
}

/// What `umbel cluster status` says of a node.
fn status(program: &Program, name: &str) -> Option<Value> {
    let nodes = program.run(&["cluster", "status", "--json"]).json();
    nodes.into_iter().find(|node| node["name"] == name)
}

/// Waits until a node has ended by itself; whether it says that all went well.
fn ended(nodes: &mut Nodes<'_>, name: &str) -> bool {
    let mut child = nodes.children.remove(name).unwrap();
    // To wait for it closes what tells it that it is still wanted.
    eventually("it ends", || child.try_wait().unwrap().is_some());
    child.wait().unwrap().success()
}

#[test]
fn a_node_that_is_told_to_stop_costs_nothing() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    nodes.whole();
    let sums = nodes.work(240);
    let through = format!("127.0.0.1:{}", nodes.ports[0]);
    let submit = submit(&program, &through);
    eventually("a good part is done", || nodes.succeeded().len() >= 60);
    assert!(nodes.stop("b"));
    let tasks = ran_once(&program, &output(submit), &sums);
    assert!(tasks.iter().any(|task| task["node"] == "b"), "b had its share before");
    let log = nodes.log("b");
    assert!(log.contains("this node hands over what it owns and lets its runs end"), "{log}");
    assert!(log.contains("all that this node had is handed over"), "{log}");
}

#[test]
fn a_rolling_restart_costs_nothing() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    nodes.whole();
    let sums = nodes.work(600);
    let submit = submit(&program, &nodes.addresses());
    eventually("some of it is done", || nodes.succeeded().len() >= 30);
    for name in NAMES {
        assert!(nodes.stop(name), "{}", nodes.log(name));
        nodes.spawn(name);
        nodes.ready(name);
        nodes.whole();
    }
    ran_once(&program, &output(submit), &sums);
    for name in NAMES {
        let log = nodes.log(name);
        assert!(log.contains("all that this node had is handed over"), "{name}: {log}");
    }
}

#[test]
fn a_node_is_drained_forgotten_and_replaced() {
    let program = Program::new();
    let mut nodes = Nodes::start(&program);
    nodes.whole();
    let sums = nodes.work(240);
    let through = format!("127.0.0.1:{}", nodes.ports[0]);
    let submit = submit(&program, &through);
    eventually("some of it is done", || nodes.succeeded().len() >= 30);
    let ran = program.run(&["cluster", "drain", "b"]);
    assert!(ran.ok && ran.out.contains("b is drained: it owns, keeps and runs nothing"), "{ran:?}");
    let b = status(&program, "b").unwrap();
    assert_eq!((&b["drain"], &b["state"]), (&"drained".into(), &"alive".into()));
    assert_eq!((&b["partitions"], &b["copies"], &b["running"]), (&0.into(), &0.into(), &0.into()));
    let ran = program.run(&["cluster", "status"]);
    assert!(ran.out.contains("alive, drained"), "{ran:?}");
    ran_once(&program, &output(submit), &sums);

    let ran = program.run(&["cluster", "forget", "a"]);
    assert!(!ran.ok && ran.err.contains("lives and still has work"), "{ran:?}");
    let ran = program.run(&["cluster", "drain", "nobody"]);
    assert!(!ran.ok && ran.err.contains("there are a, b, c"), "{ran:?}");
    let id = b["id"].as_str().unwrap();
    let ran = program.run(&["cluster", "forget", id]);
    assert!(ran.ok && ran.out.contains("b is forgotten"), "{ran:?}");
    assert!(!ended(&mut nodes, "b"), "it is told that it is no member");
    assert!(nodes.log("b").contains("the cluster was told to forget this node"));
    assert_eq!(status(&program, "b"), None);

    // With its old directory it is refused, with another it is a new node.
    nodes.spawn("b");
    assert!(!ended(&mut nodes, "b"));
    fs::remove_dir_all(program.path("umbel-data/b")).unwrap();
    nodes.spawn("b");
    nodes.ready("b");
    nodes.whole();
    assert_ne!(status(&program, "b").unwrap()["id"], id);
}

#[test]
fn a_drained_node_may_serve_again() {
    let program = Program::new();
    let nodes = Nodes::start(&program);
    nodes.whole();
    let ran = program.run(&["cluster", "drain", "c", "--no-wait"]);
    assert!(ran.ok && ran.out.contains("c is being drained"), "{ran:?}");
    let ran = program.run(&["cluster", "undrain", "c"]);
    assert!(ran.ok && ran.out.contains("c serves again"), "{ran:?}");
    nodes.whole();
    assert_eq!(status(&program, "c").unwrap()["drain"], "serving");
}

/// A node of its own with a task that takes for ever.
fn busy(program: &Program, patience: &str) -> Child {
    let text = format!(
        "[cluster]\npartitions = 4\n[node]\nstop_patience = {patience:?}\n[tasks.nap]\ncommand = \
         [\"sleep\", \"600\"]\n"
    );
    fs::write(program.path("cluster.toml"), text).unwrap();
    let log = fs::File::create(program.path("a.log")).unwrap();
    let mut node = program.command(&["node", "-c", "cluster.toml", "--listen", "127.0.0.1:0"]);
    let node = node.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    eventually("it takes tasks", || program.run(&["submit", "nap"]).ok);
    eventually("it runs", || {
        let nodes = program.run(&["cluster", "status", "--json"]).json();
        nodes.iter().any(|node| node["running"] != 0)
    });
    node
}

#[test]
fn a_second_signal_ends_a_node_that_waits() {
    let program = Program::new();
    let mut node = busy(&program, "10m");
    tell(&node, Signal::SIGTERM);
    let log = || fs::read_to_string(program.path("a.log")).unwrap();
    eventually("it says what it waits for", || log().contains("waits for its runs to end"));
    assert!(node.try_wait().unwrap().is_none());
    tell(&node, Signal::SIGTERM);
    assert!(node.wait().unwrap().success());
    assert!(log().contains("told to stop once more"), "{}", log());
}

#[test]
fn patience_has_an_end() {
    let program = Program::new();
    let mut node = busy(&program, "1s");
    let began = Instant::now();
    tell(&node, Signal::SIGTERM);
    assert!(node.wait().unwrap().success());
    let log = fs::read_to_string(program.path("a.log")).unwrap();
    assert!(log.contains("waits no longer for what it could not hand over"), "{log}");
    assert!(began.elapsed() >= Duration::from_secs(1));
}
