//! An owner that is cut off from the majority: what it must not do, and what it owes afterwards.

use super::*;
use crate::limits::SUBMISSIONS_IN_FLIGHT_MAX;
use crate::membership::Liveness;
use crate::time::Span;
use crate::wire::{Answer, Ask, OwnerSays};

/// Longer than a partition must be at rest before it goes back to the node that should own it.
const QUIET: Span = ms(65_000);

const TAKEN_IN: Answer = Answer::Submitted { refused: Vec::new(), known: 0 };

/// The owner of task 1 is cut off, and another takes its place.
fn cut_off(network: &mut Network) -> usize {
    let owner = network.owner(HERE);
    network.apart.insert(owner);
    network.all_hear(owner, Liveness::Suspect);
    owner
}

/// All reach each other again.
fn heal(network: &mut Network, owner: usize) {
    network.pass(ms(5_000));
    assert_ne!(network.owner(HERE), owner);
    network.apart.clear();
    network.all_hear(owner, Liveness::Alive);
    network.pass(ms(3_000));
}

#[test]
fn an_owner_that_is_cut_off_acknowledges_nothing_and_finds_its_successor() {
    let mut network = Network::formed(3, 3);
    let (owner, lessee) = (network.owner(HERE), network.lessee(network.owner(HERE)));
    network.executor(owner, granted(lessee, 5));
    assert_eq!(cut_off(&mut network), owner);
    network.ask(owner, 1, submit(&[1]));
    network.pass(ms(5_000));
    let successor = network.owner(HERE);
    assert_ne!(successor, owner);
    assert_eq!((network.take_answers(), network.dispatched(owner)), (Vec::new(), Vec::new()));
    network.ask(successor, 2, submit(&[2]));
    assert_eq!(network.take_answers().len(), 1, "the majority goes on");

    heal(&mut network, owner);
    assert_eq!(network.take_answers(), [(owner, 1, TAKEN_IN)]);
    for node in &network.nodes {
        assert!(node.record(task(1)).is_some() && node.record(task(2)).is_some());
    }
}

#[test]
fn whoever_waits_at_an_owner_that_is_replaced_is_told_all_the_same() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    network.ask(owner, 1, submit_and_wait(&[1]));
    assert_eq!(network.take_answers(), [(owner, 1, TAKEN_IN)]);
    cut_off(&mut network);
    heal(&mut network, owner);
    network.ask(network.owner(HERE), 2, Ask::Cancel { task: task(1) });
    let told = network.take_answers();
    let finished =
        told.iter().filter(|(at, _, a)| *at == owner && matches!(a, Answer::Finished(_)));
    assert_eq!((finished.count(), told.len()), (1, 2), "{told:?}");
}

#[test]
fn an_owner_that_was_replaced_has_nothing_to_say_to_executors() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let runner = network.others(HERE)[0];
    let lessee = network.lessee(runner);
    network.executor(owner, granted(lessee, 1));
    network.ask(owner, 1, submit(&[1, 2]));
    assert_eq!(network.dispatched(runner).len(), 1);
    cut_off(&mut network);
    heal(&mut network, owner);
    network.told.clear();
    network.pass(ms(20_000));
    let by_it = network
        .told
        .iter()
        .filter(|(by, _, says)| *by == owner && !matches!(says, OwnerSays::Return { .. }));
    assert_eq!(by_it.collect::<Vec<_>>(), Vec::<&_>::new());
    assert_ne!(network.told, [], "while its successor has");
}

#[test]
fn what_was_under_way_at_an_owner_that_was_replaced_leaves_room_for_more() {
    let mut network = Network::formed(3, 3);
    let (owner, lessee) = (network.owner(HERE), network.lessee(network.owner(HERE)));
    network.executor(owner, granted(lessee, 1));
    cut_off(&mut network);
    for request in 0..SUBMISSIONS_IN_FLIGHT_MAX as u64 {
        network.ask(owner, request, submit(&[1]));
    }
    heal(&mut network, owner);
    assert_eq!(network.take_answers().len(), SUBMISSIONS_IN_FLIGHT_MAX);
    assert_eq!(network.dispatched(owner), []);
    network.pass(QUIET);
    assert_eq!(network.owner(HERE), owner, "it owns the partition once more");
    // Repeated, because nobody says that it goes on.
    let mut runs = network.dispatched(owner);
    runs.dedup();
    assert_eq!(runs.len(), 1, "and its slot is free again");
    network.ask(owner, 9_999, submit(&[2]));
    assert_eq!(network.take_answers(), [(owner, 9_999, TAKEN_IN)]);
}
