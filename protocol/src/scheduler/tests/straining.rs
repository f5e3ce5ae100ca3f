//! A node whose disk hangs, or that gets no processor, sees it itself: others own what it owned.

use super::*;
use crate::group::Role;
use crate::id::GroupId;
use crate::membership::Condition;
use crate::wire::{Answer, Ask};

fn condition(network: &Network, at: usize) -> Condition {
    network.nodes[at].scheduler.condition()
}

#[test]
fn an_owner_whose_disk_hangs_lets_others_own_and_has_its_turn_again_later() {
    let mut network = Network::formed(3, 3);
    let stuck = network.owner(HERE);
    network.nodes[stuck].is_stuck = true;
    network.ask(stuck, 1, submit(&[1]));
    network.pass(ms(1_900));
    assert_eq!(condition(&network, stuck), Condition::Serving);
    network.pass(ms(1_500));
    assert_eq!(condition(&network, stuck), Condition::DiskSlow);
    network.step(stuck, Event::Condition(Condition::Starved));
    assert_eq!(condition(&network, stuck), Condition::DiskSlow, "it may be why");
    network.step(stuck, Event::Condition(Condition::Serving));
    let leads = network.nodes[stuck].scheduler.copies().any(|copy| copy.role() == Role::Leader);
    assert!(!leads, "it lets others lead");
    let next = network.owner(HERE);
    assert_ne!(next, stuck);
    // What it had taken in and a majority has is not lost: asked again, it is known.
    network.take_answers();
    network.ask(next, 2, submit(&[1]));
    let known = Answer::Submitted { refused: Vec::new(), known: 1 };
    assert_eq!(network.take_answers(), [(next, 2, known)]);

    network.nodes[stuck].is_stuck = false;
    network.pass(ms(9_000));
    assert_eq!(condition(&network, stuck), Condition::DiskSlow, "it may hang again");
    network.pass(ms(2_000));
    assert_eq!(condition(&network, stuck), Condition::Serving);
}

#[test]
fn a_node_whose_disk_hangs_as_it_is_made_an_owner_lets_others_own() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let [stuck, third] = network.others(HERE)[..] else { panic!("three nodes") };
    for at in [owner, third] {
        network.step(at, Event::Condition(Condition::DiskSlow));
        network.all_hear_condition(at, Condition::DiskSlow);
    }
    let group = GroupId::of(HERE);
    let leads = |network: &Network| {
        network.nodes[stuck].scheduler.copy(group).is_some_and(|copy| copy.role() == Role::Leader)
    };
    // Its last write is its vote for itself: with that it leads, and can apply nothing.
    network.nodes[stuck].is_stuck = true;
    for _ in 0..200 {
        if leads(&network) {
            break;
        }
        if network.nodes[stuck].is_writing() {
            let step = network.nodes[stuck].persisted();
            network.perform(stuck, step);
        } else {
            network.pass(ms(50));
        }
    }
    assert!(leads(&network) && !network.nodes[stuck].owns(HERE));
    for at in [owner, third] {
        network.step(at, Event::Condition(Condition::Serving));
        network.all_hear_condition(at, Condition::Serving);
    }
    network.pass(ms(4_000));
    assert_eq!(condition(&network, stuck), Condition::DiskSlow);
    assert_ne!(network.owner(HERE), stuck);
}

#[test]
fn an_owner_whose_disk_hangs_while_its_copies_change_lets_others_own() {
    let mut network = Network::formed(4, 3);
    let stuck = network.owner(HERE);
    let voters = network.voters(HERE);
    let other = voters.into_iter().find(|node| *node != network.node_id(stuck));
    let node = other.expect("there are three copies");
    network.ask(stuck, 1, Ask::Drain { node, draining: true });
    network.nodes[stuck].is_stuck = true;
    let is_changing = |network: &Network| {
        let copy = network.nodes[stuck].scheduler.copy(GroupId::of(HERE));
        copy.is_some_and(|copy| copy.is_changing())
    };
    for _ in 0..200 {
        if is_changing(&network) {
            break;
        }
        network.pass(ms(50));
    }
    assert!(is_changing(&network));
    // Disks hang where they are full, and that weighs more.
    network.step(stuck, Event::Condition(Condition::DiskFull));
    network.all_hear_condition(stuck, Condition::DiskFull);
    network.pass(ms(6_000));
    assert_eq!(condition(&network, stuck), Condition::DiskFull);
    assert_ne!(network.owner(HERE), stuck);
}

#[test]
fn where_all_disks_are_slow_the_cluster_goes_on() {
    let mut network = Network::formed(3, 3);
    for at in 0..3 {
        network.step(at, Event::Condition(Condition::DiskSlow));
        network.all_hear_condition(at, Condition::DiskSlow);
    }
    let owner = network.owner(HERE);
    network.pass(ms(5_000));
    assert_eq!(network.owner(HERE), owner, "nobody else is better");
    // And also if the owner dies: later than else, but somebody takes over.
    network.stop(owner);
    network.pass(ms(10_000));
    let next = network.owner(HERE);
    network.ask(next, 1, submit(&[1]));
    let submitted = Answer::Submitted { refused: Vec::new(), known: 0 };
    assert_eq!(network.take_answers(), [(next, 1, submitted)]);
}
