//! Who owns a partition, and what only an owner that a majority confirms may do.

use super::*;
use crate::id::GroupId;
use crate::placement::ranking;
use crate::wire::{Answer, Ask, RequestError};

#[test]
fn a_new_cluster_spreads_its_copies_and_owners() {
    let network = Network::formed(3, 3);
    let all: Vec<_> = (0..3).map(|at| network.node_id(at)).collect();
    for partition in [HERE, partition(101)] {
        let mut voters = network.voters(partition);
        voters.sort_unstable();
        assert_eq!(voters, all);
        let best = ranking(GroupId::of(partition), all.clone())[0];
        assert_eq!(network.node_id(network.owner(partition)), best);
    }
}

#[test]
fn of_two_members_one_votes() {
    let network = Network::formed(2, 3);
    assert_eq!(network.voters(HERE).len(), 1);
    let copies = network.nodes.iter().filter(|node| {
        node.scheduler.copy(GroupId::of(HERE)).is_some_and(|copy| copy.partition().is_some())
    });
    assert_eq!(copies.count(), 2, "and the other learns");
}

#[test]
fn a_task_is_acknowledged_when_a_majority_has_it() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let others = network.others(HERE);
    network.stopped.insert(others[0]);
    network.ask(owner, 1, submit(&[1]));
    assert_eq!(network.take_answers().len(), 1);
    network.stopped.insert(others[1]);
    network.ask(owner, 2, submit(&[2]));
    assert_eq!(network.take_answers(), []);
    network.stopped.clear();
    network.pass(ms(1_000));
    assert_eq!(network.take_answers().len(), 1);
}

#[test]
fn nothing_starts_before_a_majority_has_its_lease() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let lessee = network.lessee(owner);
    network.executor(owner, granted(lessee, 1));
    network.apart.insert(owner);
    network.ask(owner, 1, submit(&[1]));
    network.pass(ms(300));
    assert_eq!(network.dispatched(owner), []);
    network.apart.clear();
    network.pass(ms(1_000));
    assert_eq!(network.dispatched(owner).len(), 1);
}

#[test]
fn that_there_is_no_such_task_is_only_said_when_a_majority_confirms_it() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let step = network.nodes[owner].ask(1, Ask::Show { task: task(5) });
    assert_eq!(answers(&step), []);
    network.perform(owner, step);
    let missing = Answer::Failed(RequestError::NotFound { task: task(5) });
    assert_eq!(network.take_answers(), [(owner, 1, missing)]);

    network.apart.insert(owner);
    let ask = Ask::Show { task: task(5) };
    let step = network.nodes[owner].ask_within(ms(10_000), 2, ask);
    network.perform(owner, step);
    network.pass(ms(10_000));
    let silent = Answer::Failed(RequestError::NoQuorum { partition: HERE });
    assert_eq!(network.take_answers(), [(owner, 2, silent)]);
}

#[test]
fn a_read_whose_confirmation_got_lost_is_answered_all_the_same() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    network.apart.insert(owner);
    network.ask(owner, 1, Ask::Show { task: task(5) });
    network.pass(ms(200));
    network.apart.clear();
    assert_eq!(network.take_answers(), []);
    network.pass(ms(600));
    let missing = Answer::Failed(RequestError::NotFound { task: task(5) });
    assert_eq!(network.take_answers(), [(owner, 1, missing)]);
}

#[test]
fn what_has_ended_is_shown_without_asking_anybody() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    network.ask(owner, 1, submit(&[1]));
    network.ask(owner, 2, Ask::Cancel { task: task(1) });
    let step = network.nodes[owner].ask(3, Ask::Show { task: task(1) });
    assert_eq!(answers(&step).len(), 1);
}

#[test]
fn a_member_that_stays_away_is_replaced() {
    let mut network = Network::formed(4, 3);
    let gone = network.owner(HERE);
    let before = network.voters(HERE);
    network.ask(network.others(HERE)[0], 1, submit(&[1]));
    network.stop(gone);
    network.pass(ms(29_000));
    assert!(network.voters(HERE).contains(&network.node_id(gone)), "it may come back");
    network.pass(ms(5_000));
    let after = network.voters(HERE);
    assert_eq!(after.len(), 3);
    assert!(!after.contains(&network.node_id(gone)));
    let fresh = after.iter().find(|node| !before.contains(node)).unwrap();
    let fresh = network.index(*fresh);
    assert!(network.nodes[fresh].record(task(1)).is_some());
}
