//! Falling asleep: only together, only with everything done, and never by half.

use super::super::quiescence::{HANDSHAKE_TICKS, QUIET_TICKS};
use super::super::{Body, Change, ELECTION_TICKS, HEARTBEAT_TICKS, RaftKind, Role};
use super::sent::{Sent, message, raft};
use super::world::{A, B, C, D, GROUP, World, copy, node, stored};
use crate::id::ReplicaId;

/// Within which a group at rest sleeps: it is quiet, then its quorum check is answered.
const TO_SLEEP: usize = QUIET_TICKS as usize + HEARTBEAT_TICKS + 1;

fn asleep(world: &World) -> Vec<usize> {
    (0..world.hosts.len()).filter(|at| world.hosts[*at].group.is_asleep()).collect()
}

fn asks(sent: &Sent) -> bool {
    matches!(sent.message.body, Body::Sleep { .. })
}

/// A world in which the leader has just asked all to sleep and nobody has heard it yet.
fn asking() -> World {
    let mut world = World::led(3);
    for _ in 0..2 * TO_SLEEP {
        for at in [A, B, C] {
            world.group(at).tick();
            let has_work = world.group(at).has_work();
            assert!(has_work || world.drain(at).is_empty(), "it tells its driver");
            world.drain(at);
        }
        if world.wire.iter().any(asks) {
            return world;
        }
        world.settle();
    }
    panic!("it never asks");
}

/// The term and index that `world`'s leader asks about.
fn asked(world: &mut World) -> (u64, u64) {
    let group = world.group(A);
    (group.term(), group.next_index() - 1)
}

#[test]
fn a_group_at_rest_falls_asleep_and_then_neither_ticks_nor_sends() {
    let mut world = World::led(3);
    world.say(A, "x");
    world.until(TO_SLEEP, |world| asleep(world) == [A, B, C]);
    let before = world.sent.len();
    let term = world.group(A).term();
    world.run(10_000);
    assert_eq!(world.sent.len(), before);
    assert_eq!(asleep(&world), [A, B, C]);
    assert_eq!(world.leaders(), [A]);
    for at in [A, B, C] {
        assert_eq!((world.group(at).leader(), world.group(at).term()), (Some(node(A)), term));
    }
}

#[test]
fn whoever_sleeps_counts_as_there() {
    let mut world = asking();
    // The quorum is checked while they answer: from then on nobody has been heard of.
    world.group(A).raw.raft.election_elapsed = ELECTION_TICKS - 1;
    world.group(A).tick();
    world.lose(|sent| sent.raft().is_some());
    assert!(!world.group(A).is_caught_up(copy(B)));
    world.settle();
    assert_eq!(asleep(&world), [A, B, C]);
    // Otherwise a group of which nobody wants anything would never get another voter.
    assert!([B, C].iter().all(|at| world.group(A).is_caught_up(copy(*at))));
}

#[test]
fn a_group_with_work_stays_awake() {
    let mut world = World::led(3);
    for n in 0..20 {
        world.say(A, &format!("{n}"));
        world.run(QUIET_TICKS as usize - 1);
        assert_eq!(asleep(&world), []);
    }
}

#[test]
fn a_copy_without_others_sleeps_alone() {
    let mut world = World::led(1);
    world.until(TO_SLEEP, |world| asleep(world) == [A]);
}

#[test]
fn nobody_sleeps_while_a_copy_is_away() {
    for (voters, learners) in [(3, 0), (2, 1)] {
        let mut world = World::open(stored(GROUP, voters, learners));
        world.lead(A);
        // It lacks nothing, it is only not there.
        world.run(QUIET_TICKS as usize - 2);
        world.cut.insert(C);
        world.run(2 * ELECTION_TICKS);
        world.sent.clear();
        for _ in 0..100 {
            world.tick();
            assert!(!world.group(A).is_asleep(), "{voters} voters, {learners} learners");
        }
        assert!(!world.sent.iter().any(asks), "nor is anybody asked to");
        assert_eq!(world.leaders().first(), Some(&A));
        world.cut.clear();
        world.until(60, |world| asleep(world) == [A, B, C]);
    }
}

#[test]
fn nobody_sleeps_while_a_copy_lags() {
    let mut world = World::led(3);
    world.hosts[C].disk.stalled = true;
    world.say(A, "x");
    for _ in 0..100 {
        world.tick();
        assert!(!world.group(A).is_asleep());
    }
    world.hosts[C].disk.stalled = false;
    world.until(TO_SLEEP, |world| asleep(world) == [A, B, C]);
    assert_eq!(world.told(C), ["x"]);
}

#[test]
fn a_copy_that_is_there_but_lags_is_waited_for() {
    let mut world = World::led(3);
    let mut heard = 0;
    world.propose(A, "x").unwrap();
    for _ in 0..50 {
        for at in [A, B, C] {
            world.group(at).tick();
        }
        for _ in 0..8 {
            for at in [A, B, C] {
                world.drain(at);
                world.sync(at);
            }
            // It is heard, and hears everything but that.
            world.lose(|sent| sent.to == C && sent.is(RaftKind::Append));
            while world.arrive() {}
        }
        heard += u32::from(world.group(A).raw.raft.prs().get(copy(C).0).unwrap().recent_active);
    }
    assert!(heard > 20 && world.told(C).is_empty());
    assert!(!world.sent.iter().any(asks));
    world.until(TO_SLEEP, |world| asleep(world) == [A, B, C]);
    assert_eq!(world.told(C), ["x"]);
}

#[test]
fn nobody_sleeps_while_the_leader_s_own_disk_lags() {
    let mut world = World::led(3);
    world.hosts[A].disk.stalled = true;
    world.say(A, "x");
    for _ in 0..100 {
        world.tick();
        assert_eq!(asleep(&world), []);
    }
}

/// A world that is quiet for long, and was kept awake only by one that is back now.
fn restless() -> World {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.run(3 * ELECTION_TICKS);
    world.cut.clear();
    world.until(HEARTBEAT_TICKS, |world| world.hosts[A].group.is_caught_up(copy(C)));
    world
}

/// Whether the leader asks all to sleep at its next tick.
fn asks_now(world: &mut World) -> bool {
    world.group(A).tick();
    world.drain(A).iter().any(asks)
}

#[test]
fn all_are_asked_as_soon_as_all_are_there() {
    assert!(asks_now(&mut restless()));
}

#[test]
fn nobody_sleeps_while_a_read_waits() {
    let mut world = restless();
    world.group(A).read_index(1);
    world.drain(A);
    world.wire.clear();
    assert!(!asks_now(&mut world));
    world.run(HEARTBEAT_TICKS);
    assert_eq!(world.hosts[A].reads.len(), 1);
    world.until(TO_SLEEP, |world| asleep(world) == [A, B, C]);
}

#[test]
fn nobody_sleeps_while_the_lead_is_handed_over() {
    let mut world = restless();
    world.group(A).hand_over(node(B));
    world.drain(A);
    assert_eq!(world.lose(|sent| sent.is(RaftKind::TimeoutNow)).len(), 1);
    assert!(!asks_now(&mut world));
    world.run(ELECTION_TICKS + HEARTBEAT_TICKS);
    assert_eq!(asleep(&world), [A, B, C], "it was given up");
}

#[test]
fn nobody_sleeps_while_the_copies_change() {
    let mut world = World::led(3);
    world.join(ReplicaId(4));
    let change = Change { learners: vec![(ReplicaId(4), node(D))], ..Change::default() };
    world.group(A).propose_change(&change).unwrap();
    world.hosts[B].disk.stalled = true;
    world.hosts[C].disk.stalled = true;
    for _ in 0..50 {
        world.tick();
        assert_eq!(asleep(&world), []);
    }
    world.hosts[B].disk.stalled = false;
    world.hosts[C].disk.stalled = false;
    world.until(60, |world| asleep(world) == [A, B, C, D]);
}

#[test]
fn a_copy_agrees_only_if_it_has_all_that_its_leader_has() {
    let (term, index) = asked(&mut asking());
    let case = |from: usize, term: u64, index: u64| {
        let mut world = asking();
        world.wire.clear();
        world.hand(message(from, B, Body::Sleep { term, index }));
        let sent = world.drain(B);
        let is_asleep = world.group(B).is_asleep();
        let index = if is_asleep { index } else { 0 };
        assert_eq!(sent, [message(B, from, Body::Slept { term, index })]);
        is_asleep
    };
    assert!(case(A, term, index));
    assert!(!case(C, term, index), "not the leader");
    assert!(!case(A, term - 1, index), "a term that is over");
    assert!(!case(A, term + 1, index), "a term that it does not know");
    assert!(!case(A, term, index + 1), "an entry that it does not have");
    assert!(!case(A, term, index - 1), "it has more");
}

#[test]
fn a_copy_with_an_entry_that_is_not_applied_does_not_sleep() {
    let mut world = asking();
    let (term, index) = asked(&mut world);
    world.wire.clear();
    world.propose(A, "x").unwrap();
    world.drain(A);
    while world.arrive() {}
    world.drain(B);
    world.sync(B);
    world.drain(B);
    // A question that was overtaken by an entry, and one that is asked too early.
    for index in [index, index + 1] {
        world.hand(message(A, B, Body::Sleep { term, index }));
        assert!(!world.group(B).is_asleep());
    }
    while world.arrive() {}
    world.drain(A);
    world.sync(A);
    world.drain(A);
    // That it is committed arrives together with the question.
    while world.arrive() {}
    world.hand(message(A, B, Body::Sleep { term, index: index + 1 }));
    assert!(!world.group(B).is_asleep());
    world.drain(B);
    world.hand(message(A, B, Body::Sleep { term, index: index + 1 }));
    assert!(world.group(B).is_asleep());
}

#[test]
fn a_copy_whose_term_is_not_durable_does_not_sleep() {
    let mut world = asking();
    let (term, index) = asked(&mut world);
    let term = term + 1;
    world.wire.clear();
    let beat = raft(RaftKind::Heartbeat, term);
    world.hand(message(C, B, Body::Raft(Box::new(beat))));
    world.drain(B);
    world.hand(message(C, B, Body::Sleep { term, index }));
    assert!(!world.group(B).is_asleep());
    let refused = message(B, C, Body::Slept { term, index: 0 });
    assert_eq!(world.drain(B), [refused], "it says nothing else of that term");
    world.sync(B);
    world.hand(message(C, B, Body::Sleep { term, index }));
    assert!(world.group(B).is_asleep());
}

#[test]
fn candidates_do_not_sleep() {
    let mut world = asking();
    let (term, index) = asked(&mut world);
    world.wire.clear();
    world.group(B).campaign();
    world.hand(message(A, B, Body::Sleep { term, index }));
    assert_eq!(world.group(B).role(), Role::Candidate);
    assert!(!world.group(B).is_asleep());
}

#[test]
fn a_leader_sleeps_when_the_last_one_has_agreed() {
    let mut world = asking();
    let (term, index) = asked(&mut world);
    world.wire.clear();
    for (from, sleeps) in [(B, false), (B, false), (C, true)] {
        world.hand(message(from, A, Body::Slept { term, index }));
        assert_eq!(world.group(A).is_asleep(), sleeps);
    }
}

#[test]
fn answers_to_other_questions_do_not_count() {
    let mut world = asking();
    let (term, index) = asked(&mut world);
    world.wire.clear();
    for from in [B, C] {
        for (term, index) in [(term - 1, index), (term + 1, index), (term, index - 1)] {
            world.hand(message(from, A, Body::Slept { term, index }));
        }
    }
    assert!(!world.group(A).is_asleep());
    // A follower is not put to sleep by an answer, either.
    world.hand(message(C, B, Body::Slept { term, index }));
    assert!(!world.group(B).is_asleep());
}

#[test]
fn work_ends_the_handshake() {
    let mut world = asking();
    let (term, index) = asked(&mut world);
    world.wire.clear();
    world.propose(A, "x").unwrap();
    for from in [B, C] {
        world.hand(message(from, A, Body::Slept { term, index }));
    }
    assert!(!world.group(A).is_asleep());
    world.settle();
    assert_eq!(world.told(B), ["x"]);
}

#[test]
fn a_copy_that_slept_too_early_is_woken_by_the_work() {
    let mut world = asking();
    world.lose(|sent| sent.to == C);
    world.settle();
    assert!(world.group(B).is_asleep());
    world.say(A, "x");
    assert!(!world.group(B).is_asleep());
    assert_eq!(world.told(B), ["x"]);
}

#[test]
fn a_leader_that_is_not_answered_by_all_beats_again() {
    let mut world = asking();
    world.lose(|sent| sent.to == C);
    world.settle();
    assert_eq!(asleep(&world), [B]);
    let is_beat = |sent: &Sent| sent.to == B && sent.is(RaftKind::Heartbeat);
    for _ in 0..=HANDSHAKE_TICKS {
        world.sent.retain(|sent| !is_beat(sent));
        world.group(A).tick();
        world.drain(A);
    }
    assert!(world.sent.iter().any(is_beat), "at the end of its patience");
    world.settle();
    assert_eq!(asleep(&world), []);
    world.until(TO_SLEEP, |world| asleep(world) == [A, B, C]);
}
