//! Processes that stand still: to all others they are gone, and then they are back and know nothing.

use std::time::{Duration, Instant};

use umbel_tests::real::patience::so;
use umbel_tests::real::{Cluster, Setting, until};

/// Longer than every timeout but the one after which copies are replaced, which is half a minute.
const PAUSE: Duration = Duration::from_secs(12);
/// Longer than every timeout.
const LONG_PAUSE: Duration = Duration::from_secs(40);

#[test]
fn an_owner_that_stood_still_does_not_go_on_as_if_nothing_had_been() {
    pause(PAUSE);
}

#[test]
fn a_node_that_was_replaced_while_it_stood_still_finds_its_place() {
    pause(LONG_PAUSE);
}

fn pause(length: Duration) {
    let mut cluster = Cluster::on_loopback(Setting::three());
    let load = cluster.load("0.2", 200);
    until("each node runs something", || {
        let ledger = cluster.ledger();
        let on = ["a", "b", "c"].map(|node| ledger.running_on(node));
        so(on.iter().all(|runs| *runs > 0), || format!("{on:?}"))
    });
    cluster.fault(1).pause();
    let began = Instant::now();
    let others = cluster.client().through(&[0, 2].map(|place| cluster.nodes[place].address));
    cluster.is_taken_for(&others, 1, "down");
    cluster.is_owned(&others);
    until("it stood still for long", || {
        so(began.elapsed() >= length, || format!("{:?}", began.elapsed()))
    });
    cluster.nodes[1].resume();
    let account = load.join();
    cluster.is_taken_for(&others, 1, "alive");
    cluster.is_whole();
    let audit = cluster.audit(&account);
    eprintln!("stood still for {length:?}: {audit}");
    assert!(cluster.nodes[1].has_ended().is_none(), "it lives");
}
