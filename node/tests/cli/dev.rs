//! `umbel dev`: the same directory is the same cluster, and nobody else's files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use crate::program::{Program, free_ports, output, tell};

fn start(program: &Program, port: &str) -> Child {
    let mut command = program.command(&["dev", "--data", "home", "--base-port", port]);
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
