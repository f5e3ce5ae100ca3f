//! Disks that do not keep what they were given: what is damaged is noticed, thrown away and refilled
//! from the others, and nothing that was acknowledged is lost.

use umbel_tests::real::cluster::run_line;
use umbel_tests::real::damage::{flip_bit, log_files, tear_block, written_bytes};
use umbel_tests::real::patience::so;
use umbel_tests::real::{Account, Cluster, Setting, until};

#[test]
fn a_bit_that_flipped_while_a_node_stood_costs_nothing() {
    damaged_while_it_stands(|path, written| flip_bit(path, written / 2));
}

#[test]
fn a_block_that_was_torn_while_a_node_stood_costs_nothing() {
    damaged_while_it_stands(|path, written| tear_block(path, written / 2));
}

#[test]
fn a_torn_end_of_the_log_costs_nothing() {
    damaged_while_it_stands(|path, written| tear_block(path, written - 1));
}

fn damaged_while_it_stands(damage: impl Fn(&std::path::Path, u64)) {
    let mut cluster = Cluster::on_loopback(Setting::three());
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line("0"); 60]);
    cluster.audit(&account);
    cluster.kill(&[2]);
    let log = log_files(&cluster.nodes[2].data);
    let newest = log.last().unwrap();
    damage(newest, written_bytes(newest));
    // Meanwhile the others go on.
    let others = cluster.client().through(&[0, 1].map(|place| cluster.nodes[place].address));
    cluster.is_owned(&others);
    account.submit(&others, vec![run_line("0"); 60]);
    cluster.start(2);
    cluster.nodes[2].ready();
    cluster.is_whole();
    stands_in(cluster, &account);
}

#[test]
fn bits_that_flip_under_a_running_node_are_noticed_at_its_next_start() {
    let mut cluster = Cluster::on_loopback(Setting::three());
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line("0"); 60]);
    for file in log_files(&cluster.nodes[2].data) {
        let written = written_bytes(&file);
        flip_bit(&file, written / 3);
        flip_bit(&file, written / 3 * 2);
    }
    account.submit(&cluster.client(), vec![run_line("0"); 60]);
    assert!(account.doubtful.is_empty(), "{account:?}");
    assert!(cluster.nodes[2].has_ended().is_none(), "what it has in memory is good");
    cluster.kill(&[2]);
    cluster.start(2);
    cluster.nodes[2].ready();
    cluster.is_whole();
    stands_in(cluster, &account);
}

/// Each of the others goes in turn: the third is needed, and has all.
fn stands_in(mut cluster: Cluster, account: &Account) {
    for gone in [0, 1] {
        cluster.kill(&[gone]);
        let left = [2, 1 - gone].map(|place| cluster.nodes[place].address);
        cluster.is_owned(&cluster.client().through(&left));
        cluster.audit(account);
        cluster.start_all();
        cluster.is_whole();
    }
    until("it has said what it found", || {
        let said = cluster.nodes[2].said();
        so(said.contains("a copy cannot be vouched for and is given up"), || said.clone())
    });
}
