//! Nodes that end without a word, and directories that are emptied.

use std::fs;

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::loop_disk::LoopDisk;
use umbel_tests::real::patience::so;
use umbel_tests::real::{Account, Cluster, Setting, skipped, until};

/// More than a node keeps in reserve.
const DISK_MIB: u64 = 400;

#[test]
fn killing_all_but_one_copy_at_once_loses_nothing() {
    let mut cluster = Cluster::on_loopback(Setting::three());
    let load = cluster.load("0.1", 150);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 40, || load.acknowledged().to_string())
    });
    cluster.kill(&[1, 2]);
    // What the one that is left did with them it tells nobody, and takes nothing new.
    for place in [1, 2] {
        cluster.is_taken_for(&cluster.client_of(0), place, "down");
    }
    let mut later = Account::default();
    later.submit(&cluster.client_of(0), vec![run_line("0")]);
    assert!(later.acknowledged.is_empty(), "acknowledged without a majority");
    cluster.start_all();
    until("what was not taken then is taken now", || {
        later.submit(&cluster.client(), Vec::new());
        so(later.doubtful.is_empty(), || format!("{later:?}"))
    });
    let mut account = load.join();
    account.add(later);
    let audit = cluster.audit(&account);
    eprintln!("two of three killed: {audit}");
}

#[test]
fn a_power_cut_of_all_loses_nothing_that_was_acknowledged() {
    let mut cluster =
        Cluster::prepared(Setting { disk_log: "32 MiB".to_owned(), ..Setting::three() }, false)
            .unwrap();
    let disks: Result<Vec<_>, _> =
        cluster.nodes.iter().map(|node| LoopDisk::mount(&node.data, DISK_MIB)).collect();
    let mut disks = match disks {
        Ok(disks) => disks,
        Err(why) => return skipped(&why),
    };
    cluster.start_all();
    cluster.is_whole();
    let load = cluster.load("0.1", 150);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 60, || load.acknowledged().to_string())
    });
    cluster.kill(&[0, 1, 2]);
    for disk in &mut disks {
        disk.lose_power().expect("it was mounted once");
    }
    cluster.start_all();
    cluster.is_whole();
    let account = load.join();
    let audit = cluster.audit(&account);
    eprintln!("a power cut of all: {audit}");
}

#[test]
fn a_host_that_comes_back_empty_is_a_new_node_and_nothing_is_lost() {
    let mut cluster = Cluster::on_loopback(Setting::three());
    let load = cluster.load("0.05", 100);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 40, || load.acknowledged().to_string())
    });
    cluster.kill(&[2]);
    fs::remove_dir_all(&cluster.nodes[2].data).unwrap();
    // Under the name of a member that is not forgotten it is told what to do.
    cluster.start(2);
    assert!(!cluster.nodes[2].ended().success());
    let said = cluster.nodes[2].said();
    assert!(said.contains("start this node with another --name"), "{said}");
    // In its place comes another, somewhere else.
    cluster.rename(2, "d");
    cluster.move_node(2);
    cluster.start(2);
    cluster.nodes[2].ready();
    let account = load.join();
    let audit = cluster.audit(&account);
    eprintln!("emptied: {audit}");
    // The old one stays a member that is gone; the new one takes its place, and then can stand in
    // for each of those that had all.
    until("all copies are where they can be used", || {
        let status = cluster.client().status();
        let alive = status.iter().filter(|node| node["state"] == "alive").count();
        let is_whole = status.len() == 4
            && alive == 3
            && status.iter().all(|node| node["cluster_partitions_whole"] == 16);
        so(is_whole, || format!("{status:?}"))
    });
    cluster.kill(&[0]);
    cluster.is_owned(&cluster.client().through(&[1, 2].map(|place| cluster.nodes[place].address)));
    cluster.audit(&account);
}
