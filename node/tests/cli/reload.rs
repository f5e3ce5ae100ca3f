//! A file that is read again while the node runs, and one that is older than what the cluster has.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::cluster::Node;
use crate::program::{Program, eventually};

/// A file with one job that runs `command`.
fn file(command: &str) -> String {
    let job = format!("run = {command}\nevery = \"1s\"\noverlap = \"forbid\"\n");
    format!("[cluster]\npartitions = 16\n[jobs.greet]\n{job}")
}

/// What the job `greet` printed last.
fn printed(program: &Program) -> String {
    let ran = program.run(&["job", "history", "greet", "--limit", "1"]);
    ran.out.lines().last().unwrap_or_default().to_owned()
}

#[track_caller]
fn prints(program: &Program, what: &str) {
    eventually(&format!("it prints {what}"), || printed(program).ends_with(what));
}

#[test]
fn a_file_is_read_again_and_a_broken_one_changes_nothing() {
    let program = Program::new();
    let node = Node::start_with(&program, &file(r#"["echo", "one"]"#));
    prints(&program, " one");
    let config = program.path("cluster.toml");

    // Another command under the same name, another job, and what has to wait.
    let more =
        "[jobs.later]\ncron = \"@yearly\"\ntask = \"umbel.noop\"\n[tls]\ndir = \"elsewhere\"\n";
    fs::write(&config, file(r#"["echo", "two"]"#) + more).unwrap();
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok, "{ran:?}");
    let told = "jobs: 2 in the file: 1 new, 1 changed (version 2)\n  tasks: 1 new or changed, 0 gone\n  [tls] changed";
    assert!(ran.out.contains(told), "{ran:?}");
    prints(&program, " two");
    // The same file again, for a program.
    let ran = program.run(&["config", "reload", "--json"]);
    let [line] = &ran.json()[..] else { panic!("{ran:?}") };
    assert_eq!((ran.code, &line["version"], &line["current"]), (Some(0), &2.into(), &true.into()));
    assert!(line["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["notes"][0], "jobs: 2 in the file (version 2)");
    assert!(line["notes"][1].as_str().unwrap().starts_with("[tls] changed: "), "{line}");
    let names = || {
        let jobs = program.run(&["job", "list", "--json"]).json();
        jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["greet", "later"]);

    // What cannot be used is told with its line, and nothing else happens.
    fs::write(&config, file(r#"["echo", "three"]"#) + "[jobs.bad]\ncron = \"0 25 * * *\"\n")
        .unwrap();
    let ran = program.run(&["config", "reload"]);
    assert!(!ran.ok && ran.err.contains("cron = \"0 25 * * *\""), "{ran:?}");
    let json = program.run(&["config", "reload", "--json"]);
    assert_eq!((json.code, json.out.as_str(), json.err), (Some(1), "", ran.err));
    assert_eq!(names(), ["greet", "later"]);

    // A signal does the same as the command; a job that is gone from the file is gone.
    fs::write(&config, file(r#"["echo", "four"]"#)).unwrap();
    node.tell(Signal::SIGHUP);
    prints(&program, " four");
    eventually("the other job is gone", || names() == ["greet"]);

    // What the file says is for the file to change, but for whether it fires.
    let ran = program.run(&["job", "edit", "greet", "--every", "1h"]);
    assert!(!ran.ok && ran.err.contains("umbel config reload"), "{ran:?}");
    assert!(program.run(&["job", "disable", "greet"]).ok);
    assert!(program.run(&["config", "reload"]).ok);
    let job = &program.run(&["job", "show", "greet", "--json"]).json()[0];
    assert_eq!((&job["enabled"], &job["from"]), (&false.into(), &"file".into()));
    node.stop();
}

#[test]
fn a_signal_with_a_broken_file_changes_nothing_and_ends_nothing() {
    let program = Program::new();
    let node = Node::start_with(&program, &file(r#"["echo", "one"]"#));
    prints(&program, " one");
    let config = program.path("cluster.toml");
    let log = || fs::read_to_string(program.path("log")).unwrap();
    let refused = || log().matches("the file is not taken over: the old one holds").count();

    // One that says what makes no sense, one that is no TOML, and none at all.
    let broken = file(r#"["echo", "two"]"#) + "[jobs.bad]\ncron = \"0 25 * * *\"\n";
    for (count, text) in [(1, Some(broken.as_str())), (2, Some("[jobs")), (3, None)] {
        match text {
            Some(text) => fs::write(&config, text).unwrap(),
            None => fs::remove_file(&config).unwrap(),
        }
        node.tell(Signal::SIGHUP);
        eventually("it is refused", || refused() == count);
    }
    assert!(log().contains(&format!("{config}:8:11")), "{}", log());
    assert_eq!(program.run(&["job", "list", "--json"]).json().len(), 1);

    // It goes on as before: with its ticks, and with a file that is good again.
    let fired = || {
        let job = &program.run(&["job", "show", "greet", "--json"]).json()[0];
        job["counts"]["fired"].as_u64().unwrap()
    };
    let before = fired();
    eventually("it fires", || fired() > before);
    assert!(printed(&program).ends_with(" one"), "{}", printed(&program));
    fs::write(&config, file(r#"["echo", "three"]"#)).unwrap();
    node.tell(Signal::SIGHUP);
    prints(&program, " three");
    assert_eq!(refused(), 3);
    node.stop();
}

#[test]
fn a_node_that_starts_with_a_former_file_does_not_bring_it_back() {
    let program = Program::new();
    let (old, new) = (file(r#"["echo", "old"]"#), file(r#"["echo", "new"]"#));
    let node = Node::start_with(&program, &old);
    prints(&program, " old");
    fs::write(program.path("cluster.toml"), &new).unwrap();
    let ran = program.run(&["config", "reload"]);
    assert!(
        ran.ok && ran.out.contains("jobs: 1 in the file: 1 changed (version 2)"),
        "another command is another version: {ran:?}"
    );
    prints(&program, " new");
    node.stop();

    // The cluster keeps what it has, unless somebody says so: as the third version, not as the fourth.
    let node = Node::start_with(&program, &old);
    prints(&program, " old");
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok && ran.out.contains("(version 3)"), "{ran:?}");
    node.stop();
}

#[test]
fn jobs_that_were_all_deleted_while_the_node_was_away_are_removed() {
    let program = Program::new();
    let names = || program.run(&["job", "list", "--json"]).json().len();
    let node = Node::start_with(&program, &file(r#"["true"]"#));
    eventually("the cluster has it", || names() == 1);
    node.stop();

    let node = Node::start_with(&program, "[cluster]\npartitions = 16\n");
    assert_eq!(names(), 1, "that is no news of a node that starts");
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok && ran.out.contains("jobs: 0 in the file: 1 removed (version 2)"), "{ran:?}");
    assert_eq!(names(), 0);
    node.stop();
}

#[test]
fn a_cluster_without_jobs_hears_nothing_of_them() {
    let program = Program::new();
    let node = Node::start_with(&program, "[cluster]\npartitions = 16\n");
    let ran = program.run(&["config", "reload"]);
    assert!(
        ran.ok && ran.out.ends_with("has read its file again: nothing has changed\n"),
        "{ran:?}"
    );
    node.stop();
}

#[test]
fn warnings_are_told_last_and_not_all_of_them() {
    let program = Program::new();
    let node = Node::start_with(&program, "[cluster]\npartitions = 16\n");
    let job = |n| format!("[jobs.job-{n}]\nevery = \"1h\"\ntask = \"none-{n}\"\n");
    let jobs: String = (0..25).map(job).collect();
    fs::write(program.path("cluster.toml"), format!("[cluster]\npartitions = 16\n{jobs}")).unwrap();
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok && ran.out.contains(": jobs: 25 in the file: 25 new (version 1)\n"), "{ran:?}");
    let file = program.path("cluster.toml");
    let last = format!("\n  5 more warnings: see `umbel config check {file}`\n");
    assert!(ran.out.ends_with(&last), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 22, "{ran:?}");
    node.stop();
}

#[test]
fn a_node_that_leaves_is_not_hurried_by_a_request_to_read_its_file() {
    let program = Program::new();
    let text = "[cluster]\npartitions = 16\n[tasks.nap]\nshell = true\n\
                command = 'touch began; sleep 3; touch ended'\n";
    let node = Node::start_with(&program, text);
    assert!(program.run(&["submit", "nap"]).ok);
    eventually("it runs", || fs::exists(program.path("began")).unwrap());
    node.tell(Signal::SIGTERM);
    eventually("it leaves", || {
        node.tell(Signal::SIGHUP);
        fs::exists(program.path("ended")).unwrap()
    });
    node.stop();
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let program = Program::new();
    let mut command = program.command(&["node", "--name", "a", "--listen", "127.0.0.1:0"]);
    let node = command.arg("--tethered").stdin(Stdio::piped());
    let mut node = node.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it has read nothing", || {
        let ran = program.run(&["config", "reload"]);
        !ran.ok && ran.err.contains("was started without a file")
    });
    drop(node.stdin.take());
    assert!(node.wait().unwrap().success());
}

#[test]
fn slots_are_taken_over_while_the_node_runs() {
    let program = Program::new();
    let file = |slots: &str| {
        let tasks = "[tasks.hold]\ncommand = [\"sleep\", \"600\"]\nqueue = \"heavy\"\n";
        format!("[cluster]\npartitions = 16\n{tasks}{slots}")
    };
    let _node = Node::start_with(&program, &file("[queues.heavy]\nslots = 1\n"));
    let config = program.path("cluster.toml");
    for _ in 0..5 {
        assert!(program.run(&["submit", "hold"]).ok);
    }
    let running = || {
        let listed = program.run(&["task", "list", "--state", "leased", "--json"]);
        listed.json().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually("one runs", || running().len() == 1);
    fs::write(&config, file("[queues.heavy]\nslots = 3\n")).unwrap();
    assert!(program.run(&["config", "reload"]).ok);
    eventually("three run", || running().len() == 3);

    // What runs goes on; no more begin until there are fewer.
    fs::write(&config, file("[queues.heavy]\nslots = 2\n")).unwrap();
    assert!(program.run(&["config", "reload"]).ok);
    let first = running();
    assert_eq!(first.len(), 3);
    for task in &first[..2] {
        assert!(program.run(&["task", "cancel", task]).ok);
    }
    eventually("the one that is left has one beside it", || {
        let now = running();
        now.len() == 2 && now.contains(&first[2]) && !now.contains(&first[0])
    });
    // A queue without slots of its own takes those of all commands.
    fs::write(&config, file("[queues.heavy]\n[slots]\ncommand = 4\n")).unwrap();
    assert!(program.run(&["config", "reload"]).ok);
    eventually("all that are left run", || running().len() == 3);
}

#[test]
fn a_node_runs_nothing_of_a_queue_that_it_does_not_serve() {
    let program = Program::new();
    let file = |queues: &str| format!("[cluster]\npartitions = 16\n[node]\nqueues = {queues}\n");
    let (both, one) = (file(r#"["default", "reports"]"#), file(r#"["default"]"#));
    let node = Node::start_with(&program, &both);
    let reload = |text: &str| {
        fs::write(program.path("cluster.toml"), text).unwrap();
        let ran = program.run(&["config", "reload"]);
        assert!(ran.ok, "{ran:?}");
    };
    let submit = || program.run(&["submit", "umbel.noop", "--queue", "reports"]);
    // It is taken in while its queue is served, and begins when it is not any more.
    assert!(program.run(&["queue", "pause", "reports"]).ok);
    let ran = submit();
    assert!(ran.ok, "{ran:?}");
    let id = ran.out.trim_end();
    let shown = || program.run(&["task", "show", id, "--json"]).json().remove(0);
    reload(&one);
    eventually("no more are taken in", || {
        let ran = submit();
        !ran.ok && ran.err.contains("no node of the cluster serves the queue \"reports\"")
    });
    assert!(program.run(&["queue", "resume", "reports"]).ok);
    let why = "no node that knows the task serves its queue";
    eventually("it says why it waits", || shown()["waits_because"] == why);
    let ran = program.run(&["submit", "umbel.noop", "--wait"]);
    assert!(ran.ok, "those of another queue run: {ran:?}");
    assert_eq!(shown()["state"], "ready");
    reload(&both);
    eventually("it runs", || shown()["state"] == "succeeded");
    node.stop();
}
