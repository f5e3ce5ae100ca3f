//! Networks that fall apart: halves, one against the rest, one way only.

use umbel_tests::real::client::has_ended;
use umbel_tests::real::cluster::run_line;
use umbel_tests::real::patience::so;
use umbel_tests::real::{Account, Cluster, Setting, until};

#[test]
fn one_against_the_rest_costs_only_the_runs_behind_the_cut() {
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    let load = cluster.load("0.3", 120);
    until("each node runs something", || {
        let ledger = cluster.ledger();
        let on = ["a", "b", "c"].map(|node| ledger.running_on(node));
        so(on.iter().all(|runs| *runs > 0), || format!("{on:?}"))
    });
    cluster.fault(2);
    cluster.switch().cut(&[3], &[1, 2]);
    cluster.is_taken_for(&cluster.client_of(0), 2, "down");
    cluster.is_owned(&cluster.client_of(0));
    // Behind the cut nothing is taken in, and it is said why.
    let mut behind = Account::default();
    behind.submit(&cluster.client_of(2), vec![run_line("0")]);
    assert!(behind.acknowledged.is_empty(), "{behind:?}");
    cluster.switch().heal();
    let mut account = load.join();
    cluster.is_whole();
    // What could not be taken in is taken in now, once.
    behind.submit(&cluster.client_of(2), Vec::new());
    assert!(behind.doubtful.is_empty(), "{behind:?}");
    account.acknowledged.extend(behind.acknowledged);
    account.recovered += behind.recovered;
    let audit = cluster.audit(&account);
    eprintln!("one against the rest: {audit}");
}

#[test]
fn two_parts_each_work_on_with_what_they_have_the_majority_of() {
    let setting = Setting { nodes: 5, ..Setting::three() };
    let Some(mut cluster) = Cluster::networked(setting) else { return };
    let load = cluster.load("0.2", 150);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 30, || load.acknowledged().to_string())
    });
    // Each part has the majority of some partitions, whose runs in the other are cut off.
    for place in 0..5 {
        cluster.fault(place);
    }
    cluster.switch().cut(&[1, 2], &[3, 4, 5]);
    // Partitions that have two of their three copies behind the cut wait; all others go on.
    for (seer, gone) in [(2, 0), (2, 1), (0, 2), (0, 3), (0, 4)] {
        cluster.is_taken_for(&cluster.client_of(seer), gone, "down");
    }
    cluster.switch().heal();
    let account = load.join();
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("halves: {audit}");
}

#[test]
fn a_node_that_hears_and_is_not_heard_loses_no_task() {
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    let load = cluster.load("0.2", 120);
    until("a part is acknowledged", || {
        so(load.acknowledged() >= 30, || load.acknowledged().to_string())
    });
    cluster.fault(0);
    cluster.switch().cut_one_way(1, 2);
    cluster.switch().cut_one_way(1, 3);
    cluster.is_taken_for(&cluster.client_of(1), 0, "down");
    cluster.is_owned(&cluster.client_of(1));
    cluster.switch().heal();
    let account = load.join();
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("one way: {audit}");
}

#[test]
fn runs_go_on_behind_a_cut_and_their_ends_are_delivered_after_it() {
    // Long enough for the cut to be noticed, and short enough to end behind it.
    let Some(mut cluster) = Cluster::networked(Setting::three()) else { return };
    let mut account = Account::default();
    account.submit(&cluster.client(), vec![run_line("8"); 12]);
    until("the node that will be cut off runs something", || {
        so(cluster.ledger().running_on("c") > 0, || format!("{:?}", cluster.ledger()))
    });
    cluster.fault(2);
    cluster.switch().cut(&[3], &[1, 2]);
    let behind = |entry: &&umbel_tests::real::ledger::Entry| entry.node == "c";
    until("they have ended behind it", || {
        let ledger = cluster.ledger();
        let ends = ledger.0.iter().filter(behind).filter(|entry| entry.is_end).count();
        so(ends > 0 && ledger.running_on("c") == 0, || format!("{ledger:?}"))
    });
    cluster.switch().heal();
    let audit = cluster.audit(&account);
    eprintln!("behind a cut: {audit}");
    let tasks = cluster.client().tasks().unwrap();
    assert!(tasks.values().all(has_ended));
}
