//! More nodes than each partition has copies: no node has a copy of everything.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;

use crate::program::{Program, eventually, free_ports, output, tell};

fn start(program: &Program, port: &str) -> Child {
    let args = ["dev", "--data", "home", "--nodes", "5", "--base-port", port];
    let mut command = program.command(&args);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with("cluster umbel is ready: 5 nodes"), "{ready}");
    child
}

#[test]
fn a_cluster_of_five_is_ready_whole_and_the_same_when_it_is_started_again() {
    let program = Program::new();
    let port = free_ports(5).to_string();
    let dev = start(&program, &port);
    eventually("all copies are where they should be, and each node has told", || {
        let nodes = program.run(&["cluster", "status", "--json"]).json();
        let owned: u64 = nodes.iter().filter_map(|node| node["partitions"].as_u64()).sum();
        let is_fit = |node: &serde_json::Value| {
            node["told"] == true && node["cluster_partitions_owned"] == owned
        };
        nodes.len() == 5
            && nodes.iter().all(is_fit)
            && owned == 256
            && nodes[0]["cluster_partitions_whole"] == 256
            && nodes.iter().all(|node| node["partitions"] != 0)
    });
    // Nodes go on to hand partitions to those that should lead them: one that is on its way has no owner.
    eventually("status says that each partition has an owner and all copies", || {
        let ran = program.run(&["cluster", "status"]);
        let all = "256 of 256 partitions have an owner, 256 have all 3 copies";
        assert!(ran.ok, "{ran:?}");
        ran.out.contains(all)
    });
    tell(&dev, Signal::SIGINT);
    assert!(output(dev).ok);

    let dev = start(&program, &port);
    tell(&dev, Signal::SIGINT);
    assert!(output(dev).ok);
}

#[test]
fn the_demo_of_five_nodes_sees_the_partitions_of_the_lost_one_taken_over() {
    let program = Program::new();
    fs::create_dir(program.path("files")).unwrap();
    fs::write(program.path("files/one"), "1").unwrap();
    let ran = program.run(&["demo", "--over", "files", "--nodes", "5", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let report = &ran.json()[0];
    assert_eq!((&report["succeeded"], &report["wrong"]), (&600.into(), &0.into()));
    assert!(report["takeover_ms"].as_u64().is_some(), "{report}");
}
