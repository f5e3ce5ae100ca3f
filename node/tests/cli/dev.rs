//! `umbel dev`: the same directory is the same cluster, and nobody else's files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use crate::program::{Program, eventually, free_ports, output, tell};

fn start(program: &Program, port: &str) -> Child {
    start_with(program, port, &[])
}

fn start_with(program: &Program, port: &str, more: &[&str]) -> Child {
    let args = ["dev", "--data", "home", "--base-port", port];
    let mut command = program.command(&[&args[..], more].concat());
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with("cluster umbel is ready: 3 nodes"), "{ready}");
    child
}

#[test]
fn the_same_directory_is_the_same_cluster() {
    let program = Program::new();
    let port = free_ports(3).to_string();
    fs::create_dir(program.path("home")).unwrap();
    fs::write(program.path("home/cluster.toml"), "# mine\n").unwrap();
    let dev = start(&program, &port);
    let ran = program.run(&["submit", "umbel.noop", "--wait", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let id = ran.json()[0]["id"].as_str().unwrap().to_owned();

    let told = fs::read(program.path("home/dev.toml")).unwrap();
    let ran = program.run(&["dev", "--data", "home", "--base-port", "1"]);
    assert!(!ran.ok && ran.err.contains("is in use by another local cluster"), "{ran:?}");
    assert_eq!(fs::read(program.path("home/dev.toml")).unwrap(), told, "it was left alone");
    let ran = program.run(&["dev", "--data", "other", "--base-port", &port]);
    assert!(!ran.ok && ran.err.contains(&format!("UDP port {port} is taken")), "{ran:?}");
    tell(&dev, Signal::SIGINT);
    let ran = output(dev);
    assert!(ran.ok, "{ran:?}");

    let ran = program.run(&["dev", "--data", "home", "--nodes", "1"]);
    assert!(!ran.ok && ran.err.contains("start it with --nodes 3 or more"), "{ran:?}");
    let dev = start(&program, &port);
    let ran = program.run(&["task", "show", &id, "--json"]);
    assert!(ran.ok && ran.json()[0]["state"] == "succeeded", "{ran:?}");
    // As when its terminal is closed.
    tell(&dev, Signal::SIGHUP);
    assert!(output(dev).ok);
    assert_eq!(fs::read_to_string(program.path("home/cluster.toml")).unwrap(), "# mine\n");
}

#[test]
fn the_file_that_was_given_is_read_again() {
    let program = Program::new();
    let port = free_ports(3).to_string();
    let job = |name: &str| {
        let more = "cron = \"@yearly\"\ntask = \"umbel.noop\"\nselect = { role = \"db\" }\n";
        // Where the cluster is on other hosts is not what it is here.
        let others = "[cluster]\nseeds = [\"a.invalid:7400\"]\npartitions = 16\n[node]\n\
                      advertise = \"{name}.invalid:7400\"\n[tls]\ndir = \"/nowhere\"\n";
        fs::write(program.path("cluster.toml"), format!("{others}[jobs.{name}]\n{more}")).unwrap();
    };
    let names = || {
        let jobs = program.run(&["job", "list", "--json"]).json();
        jobs.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    job("first");
    let file = ["-c", "cluster.toml", "--label", "node-2:role=db"];
    let dev = start_with(&program, &port, &file);
    eventually("the cluster has it", || names() == ["first"]);
    let ran = program.run(&["job", "run", "first"]);
    assert!(ran.ok && !ran.err.contains("it waits"), "{ran:?}");
    let history = ["job", "history", "first"];
    eventually("it has run there", || program.run(&history).out.contains("  node-2  "));

    job("second");
    let ran = program.run(&["config", "reload"]);
    assert!(
        ran.ok && ran.out.contains("jobs: 1 in the file: 1 new, 1 removed (version 2)"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("[cluster]") && !ran.out.contains("[tls]"), "{ran:?}");
    assert_eq!(names(), ["second"]);
    tell(&dev, Signal::SIGINT);
    assert!(output(dev).ok);

    // What was read last is there the next time.
    let dev = start(&program, &port);
    assert_eq!(names(), ["second"]);
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok && ran.out.contains("1 in the file (version 2)"), "{ran:?}");
    tell(&dev, Signal::SIGINT);
    assert!(output(dev).ok);
    let ran = program.run(&["dev", "--nodes", "1", "--label", "node-2:role=db"]);
    assert!(!ran.ok && ran.err.contains("there is no node node-2"), "{ran:?}");
}

#[test]
fn a_temporary_cluster_leaves_nothing_when_its_terminal_is_closed() {
    let program = Program::new();
    let port = free_ports(3).to_string();
    let mut command = program.command(&["dev", "--nodes", "1", "--base-port", &port]);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut dev = piped.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(dev.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.contains("is ready: 1 nodes"), "{ready}");
    tell(&dev, Signal::SIGHUP);
    assert!(output(dev).ok);
    assert_eq!(fs::read_dir(program.path("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(program.path("run/umbel")).unwrap().count(), 0);
}
