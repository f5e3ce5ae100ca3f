//! Nodes that end without a word, and directories that are emptied.

use std::fs;

use umbel_tests::real::patience::so;
use umbel_tests::real::{Cluster, Setting, until};

#[test]
fn killing_all_but_one_copy_at_once_loses_nothing() {
    let mut cluster = Cluster::on_loopback(Setting::three());
    let load = cluster.load("0.1", 150);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 40, || load.acknowledged().to_string())
    });
    cluster.kill(&[1, 2]);
    // What the one that is left did with them it tells nobody, and takes nothing new.
    cluster.is_taken_for(&cluster.client_of(0), 1, "down");
    let before = load.acknowledged();
    cluster.is_taken_for(&cluster.client_of(0), 2, "down");
    assert_eq!(load.acknowledged(), before, "acknowledged without a majority");
    cluster.start_all();
    let account = load.join();
    let audit = cluster.audit(&account);
    eprintln!("two of three killed: {audit}");
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
    cluster.rename(2, "d");
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
