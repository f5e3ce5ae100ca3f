//! Reads: confirmed by a majority that still follows, and never by a leader that is none any more.

use super::super::{ELECTION_TICKS, RaftKind, Role};
use super::world::{A, B, C, GROUP, World, stored};

#[test]
fn a_read_is_confirmed_by_a_majority_at_what_was_committed_then() {
    let mut world = World::led(3);
    let index = world.say(A, "x");
    world.cut.insert(C);
    world.group(A).read_index(7);
    world.drain(A);
    assert_eq!(world.hosts[A].reads, [], "nobody has confirmed it yet");
    // What comes later is not part of it.
    world.say(A, "y");
    assert_eq!(world.hosts[A].reads, [(7, index)]);
}

#[test]
fn a_leader_that_nobody_follows_answers_no_read() {
    let mut world = World::led(3);
    world.cut = [B, C].into();
    world.group(A).read_index(7);
    world.settle();
    world.run(2 * ELECTION_TICKS);
    assert_eq!(world.group(A).role(), Role::Follower);
    world.cut.clear();
    world.run(60);
    assert_eq!(world.hosts[A].reads, [], "and not later, either");
}

#[test]
fn a_leader_that_was_replaced_answers_no_read() {
    let mut world = World::led(3);
    world.say(A, "x");
    world.cut.insert(A);
    // C and B have another leader soon; A does not know it.
    for _ in 0..200 {
        for at in [B, C] {
            world.group(at).tick();
        }
        world.settle();
    }
    let next = *world.leaders().last().unwrap();
    world.say(next, "y");
    assert_eq!(world.group(A).role(), Role::Leader);
    world.group(A).read_index(7);
    world.drain(A);
    world.cut.clear();
    // Its question reaches them, as do its beats.
    world.group(A).read_index(8);
    world.settle();
    world.run(5);
    assert_eq!(world.hosts[A].reads, []);
    assert_eq!(world.group(A).role(), Role::Follower);
    assert_eq!(world.told(A), ["x", "y"]);
}

#[test]
fn answers_that_were_given_to_another_read_confirm_nothing() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.group(A).read_index(1);
    world.drain(A);
    while world.arrive() {}
    world.drain(B);
    let answers = world.lose(|sent| sent.is(RaftKind::HeartbeatResponse));
    world.group(A).read_index(2);
    world.drain(A);
    world.wire.clear();
    for answer in answers {
        world.hand(answer);
    }
    world.drain(A);
    let confirmed: Vec<u64> = world.hosts[A].reads.iter().map(|(context, _)| *context).collect();
    assert_eq!(confirmed, [1]);
}

#[test]
fn a_later_answer_confirms_the_earlier_reads_as_well() {
    let mut world = World::led(3);
    let index = world.say(A, "x");
    world.group(A).read_index(1);
    world.drain(A);
    world.wire.clear();
    world.group(A).read_index(2);
    world.settle();
    assert_eq!(world.hosts[A].reads, [(1, index), (2, index)]);
}

#[test]
fn a_new_leader_confirms_no_read_before_an_entry_of_its_term_is_committed() {
    let mut world = World::of(3);
    for at in [B, C] {
        world.hosts[at].disk.stalled = true;
    }
    world.group(A).campaign();
    world.settle();
    world.sync_one(B);
    world.settle();
    assert_eq!(world.group(A).role(), Role::Leader);
    world.group(A).read_index(1);
    world.settle();
    for at in [B, C] {
        world.hosts[at].disk.stalled = false;
    }
    world.settle();
    assert!(world.group(A).is_settled_leader());
    assert_eq!(world.hosts[A].reads, [], "it was asked too early, and has to be asked again");
    world.group(A).read_index(1);
    world.settle();
    assert_eq!(world.hosts[A].reads.len(), 1);
}

#[test]
fn a_follower_without_a_leader_asks_nobody() {
    let mut world = World::of(3);
    world.group(B).read_index(7);
    world.settle();
    assert_eq!(world.sent, []);
    assert_eq!(world.hosts[B].reads, []);
}

#[test]
fn a_sole_voter_needs_nobody_to_confirm() {
    let mut world = World::open(stored(GROUP, 1, 1));
    world.lead(A);
    let index = world.say(A, "x");
    world.cut.insert(B);
    world.group(A).read_index(7);
    world.drain(A);
    assert_eq!(world.hosts[A].reads, [(7, index)]);
}

#[test]
fn a_learner_s_answer_confirms_nothing() {
    let mut world = World::open(stored(GROUP, 3, 1));
    world.lead(A);
    world.cut = [B, C].into();
    world.group(A).read_index(7);
    world.settle();
    assert!(world.sent.iter().any(|sent| sent.from == 3 && sent.is(RaftKind::HeartbeatResponse)));
    assert_eq!(world.hosts[A].reads, []);
}
