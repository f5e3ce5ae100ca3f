//! States for copies that are too far behind for entries.

use super::super::drain::SNAPSHOT_TICKS_MAX;
use super::super::{Body, Change, ELECTION_TICKS, HEARTBEAT_TICKS, RaftKind, RaftMessage, Role};
use super::sent::{Sent, message, raft};
use super::world::{A, B, C, D, E, World, copy, node};

/// Within which a copy that is heard again has been sent what it lacks.
const SOON: usize = HEARTBEAT_TICKS + 1;

/// A world in which `C` was away for so long that no copy has the entries any more that it lacks.
fn behind() -> World {
    let mut world = World::led(3);
    world.say(A, "before");
    world.cut.insert(C);
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 20, 10_000);
    world.sent.clear();
    world
}

fn states(sent: &[Sent]) -> Vec<usize> {
    sent.iter().filter(|sent| sent.is(RaftKind::Snapshot)).map(|sent| sent.to).collect()
}

#[test]
fn a_copy_that_is_too_far_behind_gets_the_state_and_then_entries() {
    let mut world = behind();
    world.cut.clear();
    world.run(SOON);
    assert_eq!(states(&world.sent), [C]);
    assert_eq!(world.hosts[C].restored, 1);
    assert!(world.agree(C, A));
    assert_eq!(world.group(C).applied(), world.hosts[A].group.applied());
    world.say(A, "after");
    assert_eq!(world.told(C).last(), Some(&"after"));
    assert_eq!(world.hosts[C].restored, 1, "as an entry");
}

#[test]
fn a_copy_that_is_a_little_behind_gets_entries() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 6, 10_000);
    world.cut.clear();
    world.run(SOON);
    assert!(world.agree(C, A));
    assert_eq!((world.hosts[C].restored, world.hosts[A].asked), (0, 0));
}

#[test]
fn no_state_is_made_for_a_copy_that_is_not_heard() {
    let mut world = behind();
    world.run(10 * ELECTION_TICKS);
    assert_eq!(world.hosts[A].asked, 0);
}

#[test]
fn a_state_is_acknowledged_only_when_it_is_durable() {
    let mut world = behind();
    world.cut.clear();
    world.hosts[C].disk.stalled = true;
    world.run(SOON);
    world.sent.clear();
    assert_eq!(world.hosts[C].restored, 1);
    world.run(2 * HEARTBEAT_TICKS);
    assert!(!world.sent.iter().any(|sent| sent.from == C), "not even that it is there");
    assert!(!world.group(A).is_caught_up(copy(C)));
    world.sync(C);
    world.settle();
    let index = world.group(A).applied();
    let ack = world.sent.iter().rfind(|s| s.from == C && s.is(RaftKind::AppendResponse)).unwrap();
    assert_eq!(ack.raft().unwrap().index, index);
    assert_eq!(world.hosts[C].disk.stored.snapshot.as_ref().unwrap().index, index);
    world.run(SOON);
    assert!(world.group(A).is_caught_up(copy(C)));
}

#[test]
fn a_crash_before_the_state_is_durable_leaves_what_was_before() {
    let mut world = behind();
    world.cut.clear();
    world.hosts[C].disk.stalled = true;
    world.run(SOON);
    assert_eq!(world.hosts[C].restored, 1);
    world.crash(C);
    world.hosts[C].disk.stalled = false;
    world.drain(C);
    assert!(world.told(C).len() <= 1);
    // It is taken to be lost, and another is sent.
    world.until(SNAPSHOT_TICKS_MAX as usize + SOON, |world| world.hosts[C].restored == 1);
    world.settle();
    assert!(world.agree(C, A));
}

#[test]
fn a_copy_starts_again_from_a_state_that_it_was_sent() {
    let mut world = behind();
    world.cut.clear();
    world.run(SOON);
    world.say(A, "after");
    let roster = world.group(C).roster().clone();
    world.crash(C);
    assert_eq!(world.told(C).len(), 21);
    assert_eq!(*world.group(C).roster(), roster);
    world.run(SOON);
    assert!(world.agree(C, A));
}

#[test]
fn a_state_that_got_lost_is_sent_again_after_a_while_and_not_before() {
    let mut world = behind();
    world.cut.clear();
    let is_state = |sent: &Sent| sent.is(RaftKind::Snapshot);
    let wait = |world: &mut World, ticks_max: usize| {
        for ticks in 0..ticks_max {
            world.group(A).tick();
            for _ in 0..6 {
                for at in [A, B, C] {
                    world.drain(at);
                    world.sync(at);
                }
                if !world.lose(is_state).is_empty() {
                    return Some(ticks);
                }
                while world.arrive() {}
            }
        }
        None
    };
    assert!(wait(&mut world, SOON).is_some());
    assert_eq!(wait(&mut world, SNAPSHOT_TICKS_MAX as usize - 1), None);
    assert!(wait(&mut world, SOON + 2).is_some());
    assert_eq!(world.hosts[A].asked, 2, "of what is the state by then");
    // The third arrives.
    world.run(SNAPSHOT_TICKS_MAX as usize + SOON);
    assert!(world.agree(C, A));
}

#[test]
fn a_state_that_comes_twice_or_late_changes_nothing() {
    let mut world = behind();
    world.cut.clear();
    world.run(SOON);
    let state = world.sent.iter().find(|sent| sent.is(RaftKind::Snapshot)).unwrap().clone();
    world.hand(state.clone());
    world.settle();
    world.say(A, "after");
    world.hand(state);
    world.settle();
    assert_eq!(world.hosts[C].restored, 1);
    assert!(world.agree(C, A));
    assert_eq!(world.told(C).last(), Some(&"after"));
}

#[test]
fn one_state_serves_all_that_wait_for_it() {
    let mut world = World::led(5);
    world.cut = [D, E].into();
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 20, 10_000);
    world.cut.clear();
    world.sent.clear();
    world.run(SOON);
    assert_eq!(world.hosts[A].asked, 1);
    let mut to = states(&world.sent);
    to.sort_unstable();
    assert_eq!(to, [D, E]);
    assert!(world.agree(D, A));
    assert!(world.agree(E, A));
}

#[test]
fn a_state_that_the_log_has_left_behind_is_given_to_nobody_else() {
    let mut world = World::led(5);
    world.cut = [D, E].into();
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 20, 10_000);
    world.hosts[D].disk.stalled = true;
    world.cut = [E].into();
    world.run(SOON);
    world.run(2 * ELECTION_TICKS);
    assert_eq!(world.group(A).states_under_way(), [node(D)], "it is still busy with it");
    world.fill(A, 20, 10_000);
    world.cut.clear();
    world.run(SOON);
    assert!(world.agree(E, A));
    assert_eq!((world.hosts[E].restored, world.hosts[A].asked), (1, 2));
}

/// Each has its turn: one that falls behind again a moment later must not have the state that lies there.
#[test]
fn a_state_is_given_to_a_copy_once() {
    let mut world = behind();
    world.cut.clear();
    world.hosts[C].disk.stalled = true;
    world.run(SOON);
    assert_eq!(world.group(A).states_under_way(), [node(C)]);
    let store = world.group(A).raw.store();
    assert!(!store.wants_snapshot());
    assert!(raft::Storage::snapshot(store, 0, copy(C).0).is_err());
    assert!(store.wants_snapshot());
}

#[test]
fn a_state_takes_the_place_of_entries_that_are_on_their_way_to_the_disk() {
    let mut world = World::led(3);
    world.hosts[C].disk.stalled = true;
    world.say(A, "x");
    world.say(A, "y");
    world.cut.insert(C);
    let index = world.say(A, "z");
    world.cut.clear();
    let state = world.hosts[A].state();
    let snapshot = Some(world.group(A).checkpoint(&state));
    let term = world.group(A).term();
    let body = RaftMessage { snapshot, ..raft(RaftKind::Snapshot, term) };
    world.hand(message(A, C, Body::Raft(Box::new(body))));
    world.drain(C);
    assert_eq!(world.told(C), ["x", "y", "z"]);
    assert_eq!(world.hosts[C].disk.writing.len(), 3);
    // One by one, as they were handed over: nothing is acknowledged before its turn.
    for _ in 0..2 {
        world.sync_one(C);
        let acks: Vec<u64> = world.drain(C).iter().map(|s| s.raft().unwrap().index).collect();
        assert!(acks.iter().all(|ack| *ack < index), "{acks:?}");
    }
    world.sync_one(C);
    world.run(SOON);
    assert!(world.group(A).is_caught_up(copy(C)));
    world.say(A, "after");
    world.sync(C);
    world.crash(C);
    world.drain(C);
    assert_eq!(world.told(C), ["x", "y", "z"]);
    world.hosts[C].disk.stalled = false;
    world.run(SOON);
    assert_eq!(world.told(C), ["x", "y", "z", "after"]);
}

#[test]
fn a_copy_is_sent_the_state_even_if_nothing_happens_afterwards() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.run(2 * ELECTION_TICKS);
    // More than may be on its way to one copy at a time, so the leader stops sending; what it
    // would send next is soon gone.
    world.fill(A, 100, 2_000);
    world.cut.clear();
    world.run(4 * SOON);
    assert!(world.agree(C, A));
    assert_eq!(world.hosts[A].asked, 1);
}

#[test]
fn a_copy_that_is_added_while_another_is_sent_a_state_gets_one_in_which_it_is() {
    let mut world = behind();
    world.join(copy(D));
    world.cut.clear();
    world.hosts[C].disk.stalled = true;
    world.run(SOON);
    assert_eq!(world.group(A).states_under_way(), [node(C)]);
    let learners = vec![(copy(D), node(D))];
    world.group(A).propose_change(&Change { learners, ..Change::default() }).unwrap();
    world.run(SOON);
    assert!(world.agree(D, A));
}

#[test]
fn who_has_just_lost_the_lead_gives_nobody_its_state() {
    let mut world = behind();
    world.cut.clear();
    let is_rejection = |sent: &Sent| sent.from == C && sent.raft().is_some_and(|raft| raft.reject);
    for at in [A, B, C] {
        world.hosts[at].disk.stalled = false;
    }
    for _ in 0..HEARTBEAT_TICKS {
        world.group(A).tick();
    }
    world.settle_until(|world| world.wire.iter().any(is_rejection));
    let rejections = world.lose(is_rejection);
    world.wire.clear();
    for rejection in rejections {
        world.hand(rejection);
    }
    // Before it gets to do anything about it, it hears of another leader.
    let beat = raft(RaftKind::Heartbeat, world.group(A).term() + 1);
    world.hand(message(B, A, Body::Raft(Box::new(beat))));
    assert_eq!(world.group(A).role(), Role::Follower);
    world.sent.clear();
    for _ in 0..3 {
        world.drain(A);
        world.sync(A);
    }
    assert!(!world.sent.iter().any(|sent| sent.message.body.is_of_leader()), "{:?}", world.sent);
}
