//! Copies that are not needed any more: when they are told, and how they find out if nobody could.

use super::super::copies::{GONE_MAX, STRAY_TICKS, STRAY_TICKS_ASLEEP};
use super::super::{Body, CAMPAIGN_TICKS, Change, RaftKind};
use super::sent::Sent;
use super::world::{A, B, C, D, GROUP, World, copy, node, stored};
use crate::id::ReplicaId;

fn told_to_go(sent: &[Sent]) -> Vec<(usize, usize)> {
    let gone = sent.iter().filter(|sent| sent.message.body == Body::Gone);
    gone.map(|sent| (sent.from, sent.to)).collect()
}

/// Four voters, `A` the leader; the last is to be removed.
fn removal() -> (World, Change) {
    let mut world = World::open(stored(GROUP, 4, 0));
    world.lead(A);
    (world, Change { removed: vec![copy(D)], ..Change::default() })
}

#[test]
fn a_copy_that_was_removed_is_told_after_the_farewell_is_committed() {
    let (mut world, change) = removal();
    world.group(A).propose_change(&change).unwrap();
    world.settle_until(|world| world.hosts[A].changes == 1);
    let farewell = world.group(A).next_index() - 1;
    // The change is applied, but those that stay do not have it on disk that it was committed.
    assert_eq!(told_to_go(&world.sent), []);
    assert!(!world.group(A).may_dismiss());
    for at in [B, C] {
        world.hosts[at].disk.stalled = true;
    }
    world.settle();
    world.run(5);
    assert_eq!(told_to_go(&world.sent), []);
    world.sync(B);
    world.settle();
    assert_eq!(told_to_go(&world.sent), [(A, D)]);
    assert_eq!(world.group(A).applied(), farewell);
    // One of those that stay, and the leader: a majority of three.
    for at in [A, B] {
        assert!(world.hosts[at].disk.stored.hard_state.commit >= farewell - 1);
    }
    world.sync(C);
    world.run(20);
    assert_eq!(told_to_go(&world.sent).len(), 1, "once");
    assert!(world.group(A).may_dismiss());
}

#[test]
fn of_two_removals_each_has_its_farewell() {
    let (mut world, first) = removal();
    world.group(A).propose_change(&first).unwrap();
    world.settle();
    let second = Change { removed: vec![copy(C)], ..Change::default() };
    world.group(A).propose_change(&second).unwrap();
    world.settle();
    assert_eq!(told_to_go(&world.sent), [(A, D), (A, C)]);
    assert!(world.group(B).roster().has_lost(copy(C)));
}

#[test]
fn a_removal_that_comes_with_the_farewell_of_another_is_not_covered_by_it() {
    let (mut world, first) = removal();
    world.group(A).propose_change(&first).unwrap();
    world.settle_until(|world| world.hosts[A].changes == 1);
    for at in [B, C] {
        world.hosts[at].disk.stalled = true;
    }
    let second = Change { removed: vec![copy(C)], ..Change::default() };
    world.group(A).propose_change(&second).unwrap();
    world.settle();
    // Both are committed at the same time, and applied in one go.
    world.sync(B);
    world.drain(B);
    while world.arrive() {}
    world.settle();
    assert_eq!(world.hosts[A].changes, 2);
    assert!(!told_to_go(&world.sent).contains(&(A, C)));
    world.sync(B);
    world.settle();
    assert!(told_to_go(&world.sent).contains(&(A, C)));
}

#[test]
fn one_write_makes_a_removal_and_its_farewell_durable() {
    let mut world = World::open(stored(GROUP, 1, 1));
    world.lead(A);
    let change = Change { removed: vec![copy(B)], ..Change::default() };
    world.group(A).propose_change(&change).unwrap();
    world.drain(A);
    world.sync(A);
    // What comes with the removal is written before the farewell, in one write with it.
    world.propose(A, "x").unwrap();
    world.drain(A);
    assert_eq!(world.hosts[A].disk.writing.len(), 1);
    world.sync(A);
    world.drain(A);
    assert_eq!(told_to_go(&world.sent), [(A, B)]);
}

#[test]
fn the_next_leader_tells_those_whom_the_last_could_not() {
    let (mut world, change) = removal();
    world.group(A).propose_change(&change).unwrap();
    world.settle_until(|world| world.hosts[B].changes == 1 && world.hosts[C].changes == 1);
    world.cut.insert(A);
    world.wire.clear();
    world.sent.clear();
    world.settle();
    assert_eq!(told_to_go(&world.sent), []);
    let next = world.succeed();
    world.settle();
    assert_eq!(told_to_go(&world.sent), [(next, D)]);
}

#[test]
fn a_follower_dismisses_nobody() {
    let (mut world, change) = removal();
    world.group(A).propose_change(&change).unwrap();
    world.settle();
    assert!(world.group(A).may_dismiss());
    assert!(!world.group(B).may_dismiss());
    assert!(!World::led(3).group(B).may_dismiss());
    assert!(told_to_go(&world.sent).iter().all(|(from, _)| *from == A));
}

#[test]
fn a_farewell_that_was_lost_with_its_term_does_not_count() {
    let (mut world, change) = removal();
    world.group(A).propose_change(&change).unwrap();
    world.settle_until(|world| world.hosts[A].changes == 1);
    let term = world.group(A).term();
    // Nobody gets it before A is replaced, and A leads again later.
    world.cut.insert(A);
    world.wire.clear();
    let next = world.succeed();
    world.say(next, "x");
    world.cut.clear();
    world.run(3);
    world.sent.clear();
    world.group(next).hand_over(node(A));
    world.hosts[B].disk.stalled = true;
    world.hosts[C].disk.stalled = true;
    world.settle();
    world.sync_one(B);
    world.settle();
    assert!(world.group(A).term() > term && world.leaders().contains(&A));
    assert!(world.group(A).applied() >= world.group(A).next_index() - 2);
    assert_eq!(told_to_go(&world.sent), [], "its new term has no entry that is committed");
    world.hosts[B].disk.stalled = false;
    world.hosts[C].disk.stalled = false;
    world.settle();
    assert_eq!(told_to_go(&world.sent), [(A, D)]);
}

#[test]
fn a_removed_copy_that_was_not_told_disturbs_nobody() {
    let (mut world, change) = removal();
    world.cut.insert(D);
    world.group(A).propose_change(&change).unwrap();
    world.settle();
    let term = world.group(A).term();
    world.cut.clear();
    for _ in 0..10 {
        world.run(CAMPAIGN_TICKS);
        world.say(A, "x");
    }
    assert!(world.sent.iter().any(|s| s.from == D && s.is(RaftKind::PreVote)), "it asks");
    assert!(!world.sent.iter().any(|s| s.from == D && s.is(RaftKind::Vote)));
    assert_eq!((world.leaders(), world.group(A).term()), (vec![A], term));
}

#[test]
fn no_more_than_a_few_of_the_gone_are_remembered() {
    let mut world = World::led(3);
    for _ in 0..GONE_MAX + 4 {
        let id = world.group(A).roster().next_replica();
        let learners = vec![(id, node(D))];
        world.group(A).propose_change(&Change { learners, ..Change::default() }).unwrap();
        world.settle();
        let removed = vec![id];
        world.group(A).propose_change(&Change { removed, ..Change::default() }).unwrap();
        world.settle();
    }
    assert_eq!(told_to_go(&world.sent).len(), GONE_MAX + 4, "a leader tells and forgets");
    assert!(world.group(A).gone.is_empty());
    let gone = &world.hosts[B].group.gone;
    assert_eq!(gone.len(), GONE_MAX);
    assert_eq!(gone.back(), Some(&(ReplicaId(GONE_MAX as u64 + 7), node(D))), "the last ones");
}

#[test]
fn a_copy_that_hears_no_leader_for_long_asks_whether_it_is_one_and_asks_again() {
    let mut world = World::led(3);
    world.cut.insert(B);
    let asks = |world: &mut World| {
        (1..=3 * STRAY_TICKS).find(|_| {
            world.tick();
            world.group(B).is_stray()
        })
    };
    // What the leader said last may be a few ticks old.
    let first = asks(&mut world).unwrap();
    assert!((STRAY_TICKS - 3..=STRAY_TICKS).contains(&first), "{first}");
    assert_eq!(asks(&mut world), Some(STRAY_TICKS));
    world.cut.clear();
    for _ in 0..4 * STRAY_TICKS {
        world.tick();
        assert!(!world.group(B).is_stray());
    }
}

#[test]
fn a_copy_that_sleeps_asks_as_well_but_rarely() {
    let mut world = World::led(3);
    let mut ticks = Vec::new();
    for n in 0..3 * STRAY_TICKS_ASLEEP {
        world.tick();
        assert!(!world.group(A).is_stray(), "it leads");
        if world.group(B).is_stray() {
            assert!(world.group(B).is_asleep());
            ticks.push(n);
        }
    }
    let [first, second] = ticks[..] else { panic!("{ticks:?}") };
    assert_eq!(second - first, STRAY_TICKS_ASLEEP);
    // Once it is awake it has as much time as any.
    world.say(A, "x");
    assert!(!world.group(B).is_asleep() && !world.group(B).is_stray());
}

#[test]
fn neither_leaders_nor_their_followers_nor_sleepers_are_strays_soon() {
    let mut world = World::led(3);
    for n in 0..4 * STRAY_TICKS {
        // First awake, then asleep.
        if n < 2 * STRAY_TICKS && n % 5 == 0 {
            world.say(A, "x");
        }
        world.tick();
        assert!([A, B, C].iter().all(|at| !world.group(*at).is_stray()));
    }
    assert!(world.group(A).is_asleep());
    // A sole leader hears nobody at all.
    let mut world = World::open(stored(GROUP, 1, 1));
    world.lead(A);
    world.cut.insert(B);
    for _ in 0..2 * STRAY_TICKS {
        world.tick();
        assert!(!world.group(A).is_stray());
    }
}

#[test]
fn what_those_say_that_do_not_lead_does_not_count_as_hearing_a_leader() {
    let mut world = World::led(3);
    world.cut.insert(A);
    // B and C cannot elect: what would let them is lost. They hear each other all the time.
    let mut strays = 0;
    for _ in 0..2 * STRAY_TICKS {
        for at in [B, C] {
            world.group(at).tick();
            world.drain(at);
            world.sync(at);
        }
        world.lose(|sent| sent.is(RaftKind::PreVoteResponse));
        while world.arrive() {}
        strays += u32::from(world.group(B).is_stray());
    }
    assert!(strays >= 1);
}
