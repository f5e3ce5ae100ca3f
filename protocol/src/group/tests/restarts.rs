//! Crashes: what was promised is kept, what was not said is forgotten.

use bytes::Bytes;

use super::super::{Change, Group, RaftKind};
use super::world::{A, B, C, D, GROUP, World, copy, node, stored};
use crate::durable::Snapshot;
use crate::id::ReplicaId;
use crate::wire::encode;

#[test]
fn what_a_majority_has_survives_a_crash_of_all() {
    for keeper in [A, B, C] {
        let mut world = World::led(3);
        let other = (keeper + 1) % 3;
        let lacking = (keeper + 2) % 3;
        // Written at two of them, committed by nobody yet.
        world.hosts[lacking].disk.stalled = true;
        world.propose(A, "x").unwrap();
        world.settle();
        world.wire.clear();
        for at in [A, B, C] {
            world.hosts[at].disk.stalled = false;
            world.crash(at);
        }
        // Whoever may be elected has it.
        world.cut.insert(other);
        world.until(60, |world| !world.leaders().is_empty());
        assert_eq!(world.leaders(), [keeper]);
        assert_eq!((world.told(keeper), world.told(lacking)), (vec!["x"], vec!["x"]));
    }
}

#[test]
fn what_only_the_leader_had_may_get_lost_and_was_never_committed() {
    let mut world = World::led(3);
    world.cut.insert(A);
    world.propose(A, "lost").unwrap();
    world.settle();
    assert!(world.told(A).is_empty());
    world.crash(A);
    let next = world.succeed();
    world.say(next, "kept");
    world.cut.clear();
    world.run(3);
    for at in [A, B, C] {
        assert_eq!(world.told(at), ["kept"]);
    }
}

#[test]
fn a_follower_that_lost_what_it_had_not_synced_is_sent_it_again() {
    let mut world = World::led(3);
    world.hosts[B].disk.stalled = true;
    world.propose(A, "x").unwrap();
    world.settle();
    world.crash(B);
    world.hosts[B].disk.stalled = false;
    assert!(world.told(B).is_empty());
    world.run(3);
    assert_eq!(world.told(B), ["x"]);
}

#[test]
fn a_leader_that_lost_its_own_write_is_sent_it_by_the_others() {
    let mut world = World::led(3);
    world.hosts[A].disk.stalled = true;
    world.propose(A, "x").unwrap();
    world.settle();
    assert_eq!(world.told(B), ["x"], "the others are a majority");
    world.crash(A);
    world.hosts[A].disk.stalled = false;
    world.until(60, |world| !world.leaders().is_empty());
    assert_ne!(world.leaders(), [A]);
    assert_eq!(world.told(A), ["x"]);
}

#[test]
fn a_vote_is_not_given_twice_in_a_term_whatever_happens_in_between() {
    let mut world = World::of(3);
    // A and C both may hope for the vote of B, in the same term.
    for at in [A, C] {
        world.hosts[at].disk.stalled = true;
        world.group(at).campaign();
    }
    world.settle();
    let mut votes = Vec::new();
    for at in [A, C] {
        world.sync(at);
        world.drain(at);
        votes.extend(world.lose(|sent| sent.from == at));
    }
    votes.retain(|sent| sent.to == B && sent.is(RaftKind::Vote));
    let [for_a, for_c] = <[_; 2]>::try_from(votes).unwrap();
    let answers = |world: &mut World, sent| {
        world.hand(sent);
        let mut sent = world.drain(B);
        world.sync(B);
        sent.extend(world.drain(B));
        sent.iter().filter_map(|s| Some((s.to, s.raft()?.reject))).collect::<Vec<_>>()
    };
    assert_eq!(answers(&mut world, for_a.clone()), [(A, false)]);
    world.crash(B);
    assert_eq!(answers(&mut world, for_c), [(C, true)]);
    assert_eq!(answers(&mut world, for_a), [(A, false)], "the same may be told again");
    assert_eq!(world.hosts[B].disk.stored.hard_state.vote, copy(A).0);
}

#[test]
fn a_copy_that_starts_again_applies_what_it_knows_to_be_committed() {
    let mut world = World::led(3);
    world.say(A, "x");
    world.say(A, "y");
    world.crash(B);
    assert!(world.told(B).is_empty(), "its state is older");
    world.drain(B);
    assert_eq!(world.told(B), ["x"], "that y is committed is not on its disk");
    world.run(3);
    assert_eq!(world.told(B), ["x", "y"]);
}

#[test]
fn a_copy_that_has_an_entry_knows_after_a_restart_who_votes_on_it() {
    let mut world = World::open(stored(GROUP, 1, 2));
    world.lead(A);
    let promoted = vec![copy(B), copy(C)];
    world.group(A).propose_change(&Change { promoted, ..Change::default() }).unwrap();
    world.settle();
    world.say(A, "x");
    for at in [A, B, C] {
        world.crash(at);
        world.drain(at);
        let copies = world.group(at).copies();
        assert_eq!(copies.voters, [copy(A), copy(B), copy(C)]);
        assert!(!copies.is_joint());
    }
}

#[test]
fn a_restart_remembers_where_the_copies_are_and_which_ids_were_used() {
    let mut world = World::led(3);
    let four = Change { learners: vec![(ReplicaId(4), node(D))], ..Change::default() };
    world.group(A).propose_change(&four).unwrap();
    world.settle();
    let gone = Change { removed: vec![ReplicaId(4)], ..Change::default() };
    world.group(A).propose_change(&gone).unwrap();
    world.settle();
    world.say(A, "x");
    world.crash(B);
    world.drain(B);
    let roster = world.group(B).roster();
    assert_eq!(roster.iter().count(), 3);
    assert_eq!(roster.next_replica(), ReplicaId(5));
    assert!(roster.has_lost(ReplicaId(4)));
}

#[test]
fn a_state_was_committed_whatever_the_commit_index_on_disk_says() {
    let mut stored = stored(GROUP, 3, 0).remove(0);
    let state = Group::open(stored.clone()).0.checkpoint(&encode(&vec![Bytes::new(); 5]).into());
    stored.snapshot = Some(Snapshot { index: 9, ..state });
    for commit in [0, 1, 8, 9] {
        stored.hard_state.commit = commit;
        let mut world = World::open(vec![stored.clone()]);
        assert_eq!((world.group(A).applied(), world.group(A).next_index()), (9, 10));
        world.drain(A);
        assert_eq!(world.told(A).len(), 5);
    }
}

#[test]
fn what_is_not_in_the_log_is_not_committed_whatever_the_commit_index_on_disk_says() {
    let mut stored = stored(GROUP, 3, 0).remove(0);
    stored.hard_state.commit = 7;
    let mut world = World::open(vec![stored]);
    world.drain(A);
    assert_eq!(world.group(A).applied(), 1);
}
