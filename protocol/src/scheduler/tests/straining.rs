//! A node whose disk hangs, or that gets no processor, sees it itself: others own what it owned.

use super::*;
use crate::group::Role;
use crate::membership::Condition;
use crate::wire::Answer;

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
