//! Commands that talk to a node, and the demo.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Program, Ran, eventually, output, tell};

/// A node of a process of its own, which goes when the test does.
pub(crate) struct Node(Child);

impl Node {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(program: &Program) -> Self {
        Self::start_with(program, CONFIG)
    }

    /// Starts one whose file says this. Its log goes into a file called `log`.
    pub(crate) fn start_with(program: &Program, text: &str) -> Self {
        let log = fs::File::options().create(true).append(true).open(program.path("log")).unwrap();
        let config = program.path("cluster.toml");
        fs::write(&config, text).unwrap();
        let args = ["node", "-c", &config, "--name", "a", "--listen", "127.0.0.1:0", "--tethered"];
        let mut command = program.command(&args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = piped.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("node a is ready on 127.0.0.1:"), "{ready}");
        Self(child)
    }

    /// Sends it a signal.
    pub(crate) fn tell(&self, signal: Signal) {
        tell(&self.0, signal);
    }

    /// Lets it stop in order.
    pub(crate) fn stop(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

const CONFIG: &str = r#"
[cluster]
partitions = 16
[tasks.say]
command = ["printf", "%s", "{what}"]
attempts = 1
queue = "words"
[tasks.fail]
command = ["false"]
attempts = 1
[tasks.nap]
command = ["sleep", "600"]
[tasks.echo]
command = ["cat"]
[tasks.trace]
command = 'echo $$ > trace.pid; exec sleep 600'
shell = true
[tasks.long]
command = ["printf", "%262144s", "x"]
capture_bytes = "256 KiB"
queue = "long"
[queues.words]
[queues.long]
"#;

pub(crate) fn pipe(program: &Program, args: &[&str], input: &str) -> Ran {
    let mut command = program.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn tasks_are_submitted_shown_waited_for_and_cancelled() {
    let program = Program::new();
    let node = Node::start(&program);
    let status = program.run(&["cluster", "status", "--json"]).json();
    assert_eq!(status[0]["name"], "a");
    assert_eq!((&status[0]["state"], &status[0]["pid"]), (&"alive".into(), &node.0.id().into()));

    let ran = program.run(&["submit", "say", r#"{"what": "hi"}"#, "--wait", "--json"]);
    let [task] = &ran.json()[..] else { panic!("{ran:?}") };
    assert!(ran.ok, "{ran:?}");
    // What the file says of the task holds without being repeated.
    assert_eq!((&task["task"], &task["queue"]), (&"say".into(), &"words".into()));
    assert_eq!((&task["state"], &task["attempts"]), (&"succeeded".into(), &1.into()));
    assert_eq!(task["result"]["stdout"], "hi");
    assert_eq!((&task["node"], &task["runs"][0]["node"]), (&"a".into(), &"a".into()));
    assert_eq!(task["runs"][0]["outcome"], "succeeded");
    assert!(task["finished_at"].as_str().unwrap().ends_with('Z'), "{task}");
    let id = task["id"].as_str().unwrap();
    let again = program.run(&["submit", "say", r#"{"what": "hi"}"#, "--id", id]);
    assert_eq!((again.ok, again.out.trim_end()), (true, id));
    let other = program.run(&["submit", "say", r#"{"what": "ho"}"#, "--id", id]);
    assert!(!other.ok && other.err.contains("was used for another task"), "{other:?}");

    fs::write(program.path("args.json"), "{\"what\": \"much\"}\n").unwrap();
    let ran = program.run(&["submit", "say", "@args.json", "--wait"]);
    assert!(ran.ok && ran.out.contains("much"), "{ran:?}");
    let ran = pipe(&program, &["submit", "say", "-", "--wait"], "{\"what\": \"more\"}");
    assert!(ran.ok && ran.out.contains("more"), "{ran:?}");
    let ran = program.run(&["submit", "umbel.noop", "-1", "--wait"]);
    assert!(ran.ok, "{ran:?}");

    let ran = program.run(&["submit", "fail", "--wait"]);
    assert!(!ran.ok && ran.out.contains("  dead  error: exited with code 1"), "{ran:?}");
    let ran = program.run(&["submit", "sya"]);
    assert!(!ran.ok && ran.err.contains("did you mean say?"), "{ran:?}");
    let ran = program.run(&["submit", "other"]);
    assert!(ran.err.contains("declare it under [tasks] in cluster.toml, or"), "{ran:?}");
    // A queue begins with its first task.
    let ran = program.run(&["queue", "pause", "other"]);
    assert!(ran.ok, "{ran:?}");
    let paused = || program.run(&["queue", "list"]).out;
    eventually("it is paused", || paused().contains("other") && paused().contains("paused"));
    let ran = program.run(&["queue", "set", "other", "--rate", "none"]);
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["queue", "set", "other", "--concurrency", "0"]);
    assert!(!ran.ok && ran.err.contains("concurrency must be 1 to"), "{ran:?}");
    let ran = program.run(&["queue", "resume", "other"]);
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["submit", "say", r#"{"what": "a"}"#, "--queue", "other", "--wait"]);
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["rule", "set", "sa*", "--priority", "3"]);
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["rule", "list"]);
    assert!(ran.ok && ran.out.contains("sa*") && ran.out.contains("priority 3"), "{ran:?}");
    let said = r#"{"what": "b"}"#;
    let ran = program.run(&["submit", "say", said, "--on-node", "nobody"]);
    assert!(!ran.ok && ran.err.contains("no node is called"), "{ran:?}");
    let ran = program.run(&["submit", "say", said, "--select", "role=none", "--queue", "chosen"]);
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["queue", "purge", "chosen", "--json"]);
    assert!(ran.ok && ran.out.contains(r#""done":1"#), "{ran:?}");
    let ran = program.run(&["task", "retry", "--queue", "chosen", "--state", "cancelled"]);
    assert!(ran.ok && ran.out.contains("1 task tried again"), "{ran:?}");
    let ran = program.run(&["queue", "set", "chosen", "--rate", "fast"]);
    assert!(!ran.ok && ran.err.contains("--rate"), "{ran:?}");
    let ran = program.run(&["task", "retry"]);
    assert!(!ran.ok && ran.err.contains("or say which: --state"), "{ran:?}");
    let ran = program.run(&["task", "cancel", "--state", "dead"]);
    assert!(!ran.ok && ran.err.contains("ask for one of: scheduled, ready, leased"), "{ran:?}");
    let ran = program.run(&["task", "delete", "--queue", "other"]);
    assert!(ran.ok && ran.out.contains("1 task dropped"), "{ran:?}");

    // Ctrl-C ends the waiting, not the task.
    let mut waiting = program.command(&["submit", "nap", "--wait"]);
    let waiting = waiting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    let running = ["task", "list", "--state", "leased", "--json"];
    eventually("it runs", || program.run(&running).out.contains("\"nap\""));
    tell(&waiting, Signal::SIGINT);
    let ran = output(waiting);
    assert_eq!((ran.code, ran.out.as_str()), (Some(130), ""), "{ran:?}");
    let id = program.run(&running).json()[0]["id"].as_str().unwrap().to_owned();
    assert!(ran.err.starts_with(&format!("task {id} goes on; `umbel task wait {id}`")), "{ran:?}");
    let told = ran.err;
    let mut waiting = program.command(&["task", "wait", &id]);
    let waiting = waiting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    catches(&waiting, Signal::SIGINT);
    tell(&waiting, Signal::SIGINT);
    let ran = output(waiting);
    assert_eq!((ran.code, ran.err), (Some(130), told));
    assert!(program.run(&["task", "cancel", &id]).ok);

    let nap = program.run(&["submit", "nap"]).out.trim_end().to_owned();
    let ran = program.run(&["task", "wait", &nap, "--timeout", "50ms"]);
    assert!(!ran.ok && ran.err.contains("it goes on"), "{ran:?}");
    assert!(program.run(&["task", "cancel", &nap]).ok);
    let ran = program.run(&["task", "wait", &nap, "--json"]);
    assert_eq!((ran.ok, &ran.json()[0]["state"]), (false, &"cancelled".into()));
    let ran = program.run(&["task", "show", &nap]);
    assert!(ran.ok && ran.out.contains("state      cancelled"), "{ran:?}");
    let dead = program.run(&["task", "list", "--state", "dead", "--json"]).json();
    assert_eq!((dead.len(), &dead[0]["task"]), (1, &"fail".into()));
    // A program that fails leaves what one that succeeds does; for people it is put apart.
    let left = serde_json::json!({ "exit_code": 1, "stdout": "", "stderr": "" });
    assert_eq!((&dead[0]["result"], &dead[0]["error"]), (&left, &"exited with code 1".into()));
    let ran = program.run(&["task", "show", dead[0]["id"].as_str().unwrap()]);
    assert!(ran.out.contains("\nerror      error: exited with code 1\nexit code  1\n"), "{ran:?}");

    // What was taken in is told where that is still possible.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut untold = program.command(&["submit", "umbel.noop"]);
    let ran = Ran::from(untold.stdin(Stdio::null()).stdout(full).output().unwrap());
    assert!(!ran.ok && ran.err.contains("  why: cannot write to stdout\n"), "{ran:?}");
    let id = ran.err.strip_prefix("error: task ").unwrap().split(' ').next().unwrap();
    let ran = program.run(&["task", "wait", id]);
    assert!(ran.ok, "{ran:?}");
    node.stop();
    assert_eq!(fs::read_dir(program.path("run/umbel")).unwrap().count(), 0);
}

/// Waits until a program does not die of `signal` any more.
fn catches(child: &Child, signal: Signal) {
    let bit = 1_u64 << (signal as i32 - 1);
    eventually("it catches the signal", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & bit != 0
    });
}

#[test]
fn a_node_whose_terminal_goes_takes_its_commands_along() {
    let program = Program::new();
    fs::write(program.path("cluster.toml"), CONFIG).unwrap();
    // `script` gives the node a terminal, which goes when it is killed. It hears of that, also where the tests do not.
    let node =
        "exec env --default-signal=HUP $UMBEL node -c cluster.toml --name a --listen 127.0.0.1:0";
    let mut terminal = program.command_by("script", &["-qfc", node, "/dev/null"], &[]);
    terminal.env("UMBEL", env!("CARGO_BIN_EXE_umbel"));
    let piped = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut terminal = piped.spawn().unwrap();
    let mut lines = BufReader::new(terminal.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.find(|line| line.contains("node a is ready on")).unwrap();
    let node: i32 =
        ready.split_once("(pid ").unwrap().1.split(')').next().unwrap().parse().unwrap();
    assert!(program.run(&["submit", "trace"]).ok);
    let mut pid = None;
    eventually("it runs", || {
        pid = fs::read_to_string(program.path("trace.pid"))
            .ok()
            .and_then(|pid| pid.trim().parse().ok());
        pid.is_some()
    });
    let pid = Pid::from_raw(pid.unwrap());
    assert_eq!(kill(pid, None), Ok(()));
    tell(&terminal, Signal::SIGKILL);
    terminal.wait().unwrap();
    let node = Pid::from_raw(node);
    eventually("the node has ended", || kill(node, None) == Err(Errno::ESRCH));
    assert_eq!(fs::read_dir(program.path("run/umbel")).unwrap().count(), 0, "it stops in order");
    // Whoever inherits it may need a moment to bury it.
    eventually("its command has ended", || kill(pid, None) == Err(Errno::ESRCH));
}

#[test]
fn a_cluster_is_measured() {
    let program = Program::new();
    let node = Node::start(&program);
    let ran =
        program.run(&["bench", "--tasks", "2000", "--batch", "500", "--latency", "20", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let measured = &ran.json()[0];
    assert!(measured["tasks_per_s"].as_f64().unwrap() > 0.0, "{measured}");
    assert!(measured["p50_us"].as_u64() <= measured["p99_us"].as_u64(), "{measured}");
    let ran = program.run(&["bench", "--tasks", "10", "--batch", "10", "--latency", "2"]);
    assert!(ran.ok && ran.out.contains("round trip"), "{ran:?}");
    assert!(ran.out.contains(" submitted 10 at a time to 1 node\n"), "{}", ran.out);
    let large = ["bench", "--tasks", "20", "--payload", "5000", "--latency", "0", "--json"];
    let ran = program.run(&large);
    assert!(ran.ok && ran.json()[0]["batch"].as_u64() < Some(1_000), "{ran:?}");
    let mut endless = program.command(&["bench", "--tasks", "0", "--latency", "1000000"]);
    let endless = endless.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let endless = endless.spawn().unwrap();
    catches(&endless, Signal::SIGINT);
    tell(&endless, Signal::SIGINT);
    let ran = output(endless);
    assert_eq!((ran.code, ran.out.as_str()), (Some(130), ""), "{ran:?}");
    assert!(ran.err.starts_with("interrupted: nothing is measured"), "{}", ran.err);
    node.stop();
}

#[test]
fn a_second_node_on_the_same_data_or_port_is_refused() {
    let program = Program::new();
    let node = Node::start(&program);
    let config = program.path("cluster.toml");
    let args = ["node", "-c", &config, "--name", "a", "--listen", "127.0.0.1:0"];
    let ran = program.run(&args);
    assert!(!ran.ok && ran.err.contains("is in use by process"), "{ran:?}");
    let taken = program.run(&["cluster", "status", "--json"]).json()[0]["address"].clone();
    let args = ["node", "-c", &config, "--name", "b", "--listen", taken.as_str().unwrap()];
    let ran = program.run(&args);
    assert!(!ran.ok && ran.err.contains("in use by another process"), "{ran:?}");
    node.stop();
}

#[test]
fn two_clusters_are_told_apart_and_keep_to_their_directories() {
    let program = Program::new();
    let start = |name: &str| {
        let args =
            ["node", "--name", name, "--listen", "localhost:0", "--data", name, "--tethered"];
        let mut command = program.command(&args);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = ready.split(' ').nth(5).unwrap().to_owned();
        (Node(child), address)
    };
    let ((one, address), (other, _)) = (start("one"), start("other"));
    for name in ["one", "other"] {
        assert!(fs::exists(program.path(&format!("{name}/tls/ca.key"))).unwrap(), "{name}");
    }
    assert!(!fs::exists(program.path("tls")).unwrap());
    let ran = program.run(&["submit", "umbel.noop"]);
    assert!(!ran.ok && ran.err.contains("several clusters on this host"), "{ran:?}");
    // Relative, and by name: what is meant is found.
    let port = address.split(':').next_back().unwrap();
    for args in [["--tls", "one/tls"], ["--connect", &format!("localhost:{port}")]] {
        let ran = program.run(&[&["cluster", "status", "--json"][..], &args].concat());
        assert!(ran.ok && ran.json()[0]["name"] == "one", "{ran:?}");
    }
    one.stop();
    other.stop();
}

#[test]
fn the_demo_of_one_node_loses_none_and_says_so() {
    let program = Program::new();
    fs::create_dir(program.path("files")).unwrap();
    fs::write(program.path("files/one"), "1").unwrap();
    let ran = program.run(&["demo", "--over", "files", "--nodes", "1"]);
    assert!(ran.ok, "{ran:?}");
    assert!(ran.out.contains("600 acknowledged\n"), "{}", ran.out);
    assert!(ran.out.contains("No node was killed: there is only one"), "{}", ran.out);
    assert!(!ran.err.contains("killing"), "{}", ran.err);
}

#[test]
fn the_demo_loses_a_node_and_no_task_and_leaves_nothing() {
    let program = Program::new();
    fs::create_dir(program.path("files")).unwrap();
    for n in 0..20 {
        fs::write(program.path(&format!("files/{n}")), n.to_string()).unwrap();
    }
    let ran = program.run(&["demo", "--over", "files", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let report = &ran.json()[0];
    assert_eq!((&report["files"], &report["tasks"]), (&20.into(), &600.into()));
    assert_eq!((&report["succeeded"], &report["wrong"]), (&600.into(), &0.into()));
    assert!(report["done_before"].as_u64() < Some(600), "{report}");
    assert!(report["tasks_per_s"].as_u64() > Some(0), "{report}");
    assert!(ran.err.contains("killing node-1"), "{}", ran.err);
    assert_eq!(fs::read_dir(program.path("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(program.path("run")).unwrap().count(), 0);
    assert_eq!(program.run(&["cluster", "status"]).out, "");
}
