//! The binary as people use it: what it prints, where, and with which exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also outside of test functions")]

#[path = "cli/cluster.rs"]
mod cluster;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/cron_fleet.rs"]
mod cron_fleet;
#[path = "cli/dev.rs"]
mod dev;
#[path = "cli/file.rs"]
mod file;
#[path = "cli/five_nodes.rs"]
mod five_nodes;
#[path = "cli/full_disk.rs"]
mod full_disk;
#[path = "cli/groups.rs"]
mod groups;
#[path = "cli/handover.rs"]
mod handover;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/jobs.rs"]
mod jobs;
#[path = "cli/processes.rs"]
mod processes;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/reload.rs"]
mod reload;
#[path = "cli/said.rs"]
mod said;
#[path = "cli/service.rs"]
mod service;
#[path = "cli/strangers.rs"]
mod strangers;
#[path = "cli/stubborn.rs"]
mod stubborn;
#[path = "cli/watch.rs"]
mod watch;
#[path = "cli/webhook.rs"]
mod webhook;

use std::fs;

use program::Program;

#[test]
fn help_reads_well() {
    let program = Program::new();
    let ran = program.run(&["--help"]);
    assert!(ran.ok);
    assert_eq!(ran.out, include_str!("cli/help.txt"), "write what is right to cli/help.txt");
    assert_eq!(program.run(&["--version"]).out, format!("umbel {}\n", env!("CARGO_PKG_VERSION")));
    for command in [
        vec!["demo"],
        vec!["dev"],
        vec!["node"],
        vec!["submit"],
        vec!["task", "show"],
        vec!["task", "wait"],
        vec!["task", "watch"],
        vec!["task", "cancel"],
        vec!["task", "list"],
        vec!["job", "list"],
        vec!["job", "show"],
        vec!["job", "history"],
        vec!["job", "add"],
        vec!["job", "edit"],
        vec!["job", "remove"],
        vec!["job", "enable"],
        vec!["job", "disable"],
        vec!["job", "run"],
        vec!["job", "next"],
        vec!["job", "import"],
        vec!["cluster", "status"],
        vec!["cluster", "drain"],
        vec!["cluster", "undrain"],
        vec!["cluster", "forget"],
        vec!["config", "check"],
        vec!["config", "reload"],
        vec!["ca", "init"],
        vec!["ca", "issue"],
        vec!["bench"],
    ] {
        let ran = program.run(&[command.as_slice(), &["--help"]].concat());
        assert!(ran.ok && ran.out.contains("Usage: umbel"), "{command:?}: {ran:?}");
    }
}

#[test]
fn a_configuration_is_checked() {
    let program = Program::new();
    let file = program.path("cluster.toml");
    fs::write(&file, "[cluster]\nname = \"farm\"\n[tasks.a]\ncommand = [\"true\"]\n").unwrap();
    let ran = program.run(&["config", "check", &file]);
    assert!(ran.ok, "{ran:?}");
    assert_eq!(
        ran.out,
        format!("{file} is good: cluster \"farm\", 0 seeds, 1 queue, 1 task, 0 jobs\n")
    );
    fs::write(&file, "[cluster]\nnames = \"farm\"\n").unwrap();
    let ran = program.run(&["config", "check", &file]);
    assert!(!ran.ok && ran.out.is_empty());
    assert!(ran.err.contains(&format!("--> {file}:2:1")), "{}", ran.err);
    assert!(ran.err.contains("name"), "{}", ran.err);
    // Whoever starts a node with it is told the same, once.
    for command in ["node", "dev"] {
        let ran = program.run(&[command, "-c", &file]);
        assert!(!ran.ok && ran.err.contains(&format!("--> {file}:2:1")), "{}", ran.err);
        assert!(!ran.err.contains("error: error"), "{}", ran.err);
    }
    fs::write(&file, "[tasks.\"umbel.noop\"]\ncommand = [\"true\"]\n").unwrap();
    let ran = program.run(&["config", "check", &file]);
    assert!(!ran.ok && ran.err.contains("are umbel's own"), "{}", ran.err);
    let ran = program.run(&["config", "check", &program.path("none.toml")]);
    assert!(!ran.ok && ran.err.contains("  why: No such file"), "{}", ran.err);
}

#[test]
fn certificates_are_made_once() {
    let program = Program::new();
    let dir = program.path("ca");
    let ran = program.run(&["ca", "init", &dir]);
    assert!(ran.ok && ran.err.contains("umbel ca issue NAME --dir"), "{ran:?}");
    assert!(program.run(&["ca", "issue", "web-1", "--dir", &dir]).ok);
    assert!(program.run(&["ca", "issue", "shop", "--dir", &dir, "--client"]).ok);
    for file in ["ca.pem", "ca.key", "web-1.pem", "web-1.key", "shop.pem", "shop.key"] {
        assert!(fs::exists(format!("{dir}/{file}")).unwrap(), "{file}");
    }
    let ran = program.run(&["ca", "init", &dir]);
    assert!(!ran.ok && ran.err.contains("left alone"), "{}", ran.err);
    let ran = program.run(&["ca", "issue", "Web", "--dir", &dir]);
    assert!(!ran.ok && ran.err.contains("lower-case letters"), "{}", ran.err);
}

const ID: &str = "018bcfe5-6800-73ff-8000-000000000007";

#[test]
fn what_is_typed_wrong_is_told_before_anything_is_done() {
    let program = Program::new();
    let ran = program.run(&["submit", "add", r#"{"a" 1}"#]);
    assert!(!ran.ok && ran.out.is_empty());
    assert!(ran.err.contains("expected `:` at line 1 column 6"), "{}", ran.err);
    assert!(ran.err.contains("  | {\"a\" 1}\n  |      ^\n"), "{}", ran.err);
    for (args, told) in [
        (&["submit"][..], "<NAME>"),
        (&["submit", "a", "--from", "b"], "cannot be used with"),
        (&["submit", "a", "--delay", "soon"], "write whole numbers with units"),
        (&["submit", "a", "--delay", "-1s"], "there is no time before now"),
        (&["submit", "a", "--time-limit", "-1s"], "there is no time before now"),
        (&["task", "wait", ID, "--timeout", "-1s"], "there is no time before now"),
        (&["submit", "a", "--priority", "10"], "10 is not in 0..=9"),
        (&["submit", "a", "--id", "1"], "not a task id"),
        (&["task", "list", "--state", "done"], "[possible values: scheduled, ready, leased,"),
        (&["submit", "a", "--time-limit", "0s"], "longer than no time"),
        (&["node", "--join", "a"], "the port is missing"),
        (&["node", "--listen", "7400"], "the port is missing"),
        (&["node", "--listen", "localhost:http"], "is not a port"),
        (&["node", "--name", "../x"], "use 1 to 63 lower-case letters"),
        (&["node", "--name", ""], "use 1 to 63 lower-case letters"),
        (&["dev", "--base-port", "0"], "0 is not in 1..=65535"),
        (&["bench", "--payload", "2000000"], "1048576 bytes"),
        (&["bench", "--tasks", "0", "--latency", "0"], "nothing to measure"),
    ] {
        let ran = program.run(args);
        assert!(!ran.ok && ran.err.contains(told), "{args:?}: {ran:?}");
    }
}

#[test]
fn where_there_is_no_cluster_it_is_said_how_to_get_one() {
    let program = Program::new();
    let ran = program.run(&["cluster", "status"]);
    assert!(!ran.ok && ran.out.is_empty());
    assert!(ran.err.starts_with("error: no cluster found on this host; start one"), "{}", ran.err);
    let ran = program.run(&["cluster", "status", "--connect", "127.0.0.1:1"]);
    assert!(!ran.ok && ran.err.contains("--tls DIR"), "{}", ran.err);
    let dir = program.path("ca");
    assert!(program.run(&["ca", "init", &dir]).ok);
    let ran = program.run(&["cluster", "status", "--connect", "127.0.0.1:1", "--tls", &dir]);
    assert!(!ran.ok && ran.err.contains("no client certificate at"), "{}", ran.err);
    assert!(program.run(&["ca", "issue", "me", "--dir", &dir, "--client"]).ok);
    assert!(program.run(&["ca", "issue", "you", "--dir", &dir, "--client"]).ok);
    let ask = ["cluster", "status", "--connect", "127.0.0.1:1", "--tls", &dir];
    let ran = program.run(&ask);
    assert!(!ran.ok && ran.err.contains("with `--cert NAME`"), "{}", ran.err);
    let dir = program.path("me");
    fs::create_dir(&dir).unwrap();
    for file in ["ca.pem", "me.pem", "me.key"] {
        fs::copy(program.path(&format!("ca/{file}")), format!("{dir}/{file}")).unwrap();
    }
    // A port that is held and never answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let ran = program.run(&["cluster", "status", "--connect", &silent, "--tls", &dir]);
    assert!(!ran.ok, "{ran:?}");
    assert!(ran.err.contains(&format!("nobody answers at {silent}")), "{}", ran.err);
    assert!(ran.err.contains("  next: start a node with `umbel node`"), "{}", ran.err);
}
