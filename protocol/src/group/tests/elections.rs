//! Who leads: nobody without a majority, nobody against a leader that is heard, and one of the
//! rest soon after it is gone.

use super::super::{
    Body, CAMPAIGN_SPREAD, CAMPAIGN_TICKS, Change, ELECTION_TICKS, Group, HEARTBEAT_TICKS,
    ProposeError, RaftKind, Role,
};
use super::sent::{message, raft};
use super::world::{A, B, C, GROUP, World, copy, host, node, stored};
use crate::id::{GroupId, ReplicaId};

/// After which a copy that hears nothing campaigns at the latest.
const CAMPAIGN_TICKS_MAX: usize = CAMPAIGN_TICKS + CAMPAIGN_SPREAD - 1;

/// Ticks that a fresh copy lets pass before it campaigns.
fn patience(group: GroupId, at: usize) -> usize {
    let mut world = World::open(stored(group, 3, 0));
    world.cut = [A, B, C].into();
    world.until(CAMPAIGN_TICKS_MAX, |world| world.hosts[at].group.role() == Role::Candidate)
}

#[test]
fn a_copy_campaigns_after_a_time_that_its_id_fixes() {
    for at in [A, B, C] {
        let ticks = patience(GROUP, at);
        assert!((CAMPAIGN_TICKS..=CAMPAIGN_TICKS_MAX).contains(&ticks), "{ticks}");
        assert_eq!(patience(GROUP, at), ticks);
    }
    let all: Vec<usize> = (0..20).map(|group| patience(GroupId(group), A)).collect();
    assert!(all.iter().any(|ticks| *ticks != all[0]), "each group has a time of its own");
}

#[test]
fn the_first_to_lose_patience_leads() {
    let mut world = World::of(3);
    let first = [A, B, C].into_iter().min_by_key(|at| patience(GROUP, *at)).unwrap();
    world.until(CAMPAIGN_TICKS_MAX, |world| !world.leaders().is_empty());
    assert_eq!(world.leaders(), [first]);
    for at in [A, B, C] {
        assert_eq!(world.group(at).leader(), Some(node(first)));
    }
}

#[test]
fn a_split_vote_is_not_split_for_ever() {
    let mut world = World::of(2);
    // Both ask at once, both vote for themselves.
    world.group(A).campaign();
    world.group(B).campaign();
    world.settle();
    assert_eq!(world.leaders(), []);
    assert_eq!((world.group(A).term(), world.group(B).term()), (2, 2));
    world.until(5 * CAMPAIGN_TICKS_MAX, |world| !world.leaders().is_empty());
}

#[test]
fn copies_whose_patience_ends_at_the_same_time_differ_in_the_next_term() {
    let mut split = 0;
    for group in 0..100 {
        let mut world = World::open(stored(GroupId(group), 3, 0));
        world.cut.insert(A);
        world.until(5 * CAMPAIGN_TICKS_MAX, |world| !world.leaders().is_empty());
        let leader = world.leaders()[0];
        split += u32::from(world.group(leader).term() > 2);
    }
    assert!((1..20).contains(&split), "it happens to some: {split}");
}

#[test]
fn a_copy_that_is_cut_off_asks_in_vain_and_raises_no_term() {
    let mut world = World::led(3);
    let term = world.group(A).term();
    world.cut.insert(B);
    world.run(200);
    assert_eq!(world.group(B).role(), Role::Candidate);
    assert_eq!(world.group(B).term(), term);
    world.cut.clear();
    world.run(CAMPAIGN_TICKS_MAX);
    assert_eq!(world.leaders(), [A], "its return disturbs nobody");
    assert_eq!(world.group(B).leader(), Some(node(A)));
    assert_eq!(world.group(A).term(), term);
}

#[test]
fn a_leader_that_is_heard_is_protected() {
    let mut world = World::led(3);
    let term = world.group(A).term();
    for _ in 0..5 {
        world.group(C).campaign();
        world.settle();
        world.run(HEARTBEAT_TICKS);
        assert_eq!(world.leaders(), [A]);
    }
    assert_eq!(world.group(A).term(), term);
    assert!(!world.sent.iter().any(|sent| sent.from == C && sent.is(RaftKind::Vote)));
}

#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut world = World::led(3);
    world.cut = [B, C].into();
    world.propose(A, "x").unwrap();
    // The first check still sees what was heard before the cut.
    let ticks = world.until(2 * ELECTION_TICKS, |world| world.leaders().is_empty());
    assert!(ticks > ELECTION_TICKS);
    assert_eq!(world.group(A).leader(), None);
    assert_eq!(world.propose(A, "y"), Err(ProposeError::NotLeader));
    assert_eq!(world.told(A), Vec::<&str>::new());
}

#[test]
fn a_leader_with_a_bare_majority_stays() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.run(10 * ELECTION_TICKS);
    assert_eq!(world.leaders(), [A]);
}

#[test]
fn a_dead_leader_is_replaced() {
    let mut world = World::led(3);
    world.say(A, "x");
    world.cut.insert(A);
    let ticks = world.until(60, |world| world.leaders().iter().any(|at| *at != A));
    assert!(ticks <= CAMPAIGN_TICKS_MAX, "{ticks}");
    let next = world.succeed();
    world.say(next, "y");
    assert_eq!((world.told(B), world.told(C)), (vec!["x", "y"], vec!["x", "y"]));
}

#[test]
fn a_leader_that_was_replaced_follows_and_drops_what_nobody_took() {
    let mut world = World::led(3);
    world.cut.insert(A);
    world.propose(A, "lost").unwrap();
    world.settle();
    let next = world.succeed();
    world.say(next, "kept");
    world.cut.clear();
    world.run(HEARTBEAT_TICKS);
    assert_eq!(world.group(A).role(), Role::Follower);
    assert_eq!(world.group(A).leader(), Some(node(next)));
    assert_eq!(world.told(A), ["kept"]);
    assert_eq!(world.hosts[A].disk.stored.entries, world.hosts[next].disk.stored.entries);
}

#[test]
fn a_copy_that_lacks_what_was_committed_is_not_elected() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.say(A, "x");
    world.cut = [A].into();
    for _ in 0..4 {
        world.group(C).campaign();
        world.run(ELECTION_TICKS);
        assert!(!world.leaders().contains(&C));
    }
    world.until(2 * CAMPAIGN_TICKS_MAX, |world| world.leaders() == [B]);
    assert_eq!((world.told(B), world.told(C)), (vec!["x"], vec!["x"]));
}

#[test]
fn a_leader_settles_only_with_an_entry_of_its_own_term() {
    let mut world = World::of(3);
    world.hosts[B].disk.stalled = true;
    world.hosts[C].disk.stalled = true;
    world.group(A).campaign();
    world.settle();
    assert!(world.sync_one(B), "the vote");
    world.settle();
    assert_eq!(world.group(A).role(), Role::Leader);
    assert!(!world.group(A).is_settled_leader());
    world.sync(B);
    world.settle();
    assert!(world.group(A).is_settled_leader());
}

#[test]
fn a_leader_settles_only_when_it_has_applied_that_entry_itself() {
    let mut world = World::of(3);
    world.hosts[A].disk.stalled = true;
    world.group(A).campaign();
    world.settle();
    world.sync_one(A);
    world.settle();
    // The others have it, so it is committed; only its own disk is late.
    assert_eq!(world.hosts[B].disk.stored.hard_state.term, 2);
    assert_eq!(world.group(A).raw.raft.raft_log.committed, 2);
    assert!(!world.group(A).is_settled_leader());
    world.sync(A);
    world.settle();
    assert!(world.group(A).is_settled_leader());
}

#[test]
fn learners_and_blank_copies_never_campaign() {
    let mut world = World::open(stored(GROUP, 2, 1));
    world.join(ReplicaId(9));
    world.cut = [A, B, C, 3].into();
    world.run(100);
    for at in [C, 3] {
        world.group(at).campaign();
        world.settle();
        assert_eq!(world.group(at).role(), Role::Follower);
    }
    assert!(world.sent.iter().all(|sent| sent.from == A || sent.from == B));
}

#[test]
fn the_lead_is_handed_to_a_copy_that_is_caught_up() {
    let mut world = World::led(3);
    world.say(A, "x");
    world.group(A).hand_over(node(B));
    assert_eq!(world.propose(A, "y"), Err(ProposeError::NotLeader), "it is on its way out");
    world.settle();
    assert_eq!(world.leaders(), [B]);
    assert_eq!(world.group(A).leader(), Some(node(B)));
    assert!(world.group(B).is_settled_leader());
}

#[test]
fn a_copy_that_lags_is_brought_up_to_date_before_it_leads() {
    let mut world = World::led(3);
    world.cut.insert(B);
    world.say(A, "x");
    world.cut.clear();
    world.group(A).hand_over(node(B));
    world.until(ELECTION_TICKS - 1, |world| world.leaders() == [B]);
    assert_eq!(world.told(B), ["x"]);
}

#[test]
fn a_handover_that_nobody_takes_is_given_up() {
    let mut world = World::led(3);
    world.cut.insert(B);
    world.group(A).hand_over(node(B));
    world.settle();
    assert_eq!(world.propose(A, "x"), Err(ProposeError::NotLeader));
    world.run(ELECTION_TICKS);
    world.say(A, "x");
    assert_eq!(world.told(C), ["x"]);
}

#[test]
fn the_lead_is_not_handed_to_a_learner_or_a_stranger() {
    let mut world = World::open(stored(GROUP, 2, 1));
    world.lead(A);
    world.group(A).hand_over(node(C));
    world.group(A).hand_over(node(11));
    world.say(A, "x");
    assert_eq!(world.leaders(), [A]);
}

#[test]
fn the_founder_leads_at_once() {
    let first = Group::founding(GROUP, node(A), b"\0".as_slice().into());
    let mut world = World::open(vec![first]);
    world.lead(A);
    world.say(A, "x");
    assert_eq!(world.told(A), ["x"]);
    assert_eq!(world.group(A).replica(), ReplicaId::FIRST);
    assert_eq!(world.group(A).roster().iter().collect::<Vec<_>>(), [(copy(A), node(A))]);
    assert_eq!(world.group(A).leader().map(host), Some(A));
}

#[test]
fn a_copy_whose_state_is_not_durable_does_not_campaign() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 20, 10_000);
    world.cut.clear();
    world.hosts[C].disk.stalled = true;
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(world.hosts[C].restored, 1);
    let term = world.group(A).term();
    world.cut.insert(A);
    world.sent.clear();
    // Nor when a leader's word of old tells it to.
    let now = Body::Raft(Box::new(raft(RaftKind::TimeoutNow, term)));
    world.cut.insert(B);
    world.group(C).step(node(A), message(A, C, now).message);
    world.run(3 * CAMPAIGN_TICKS_MAX);
    assert_eq!((world.group(C).role(), world.group(C).term()), (Role::Follower, term));
    assert!(!world.sent.iter().any(|sent| sent.from == C));
    // Its time has come long ago, it only waits for the disk.
    world.sync(C);
    world.cut = [A].into();
    world.tick();
    assert!(world.sent.iter().any(|sent| sent.from == C && sent.is(RaftKind::PreVote)));
    world.hosts[C].disk.stalled = false;
    world.succeed();
    assert!(world.agree(C, B));
}

#[test]
fn a_sole_voter_whose_entries_are_not_durable_does_not_campaign() {
    let mut world = World::open(stored(GROUP, 1, 1));
    world.lead(A);
    // B alone votes from now on. It has that on disk, but not yet the entry behind it.
    let change = Change { promoted: vec![copy(B)], removed: vec![copy(A)], ..Change::default() };
    world.group(A).propose_change(&change).unwrap();
    let index = world.group(A).next_index() - 1;
    world.settle_until(|world| world.hosts[B].disk.holds(index));
    world.hosts[B].disk.stalled = true;
    world.run(HEARTBEAT_TICKS);
    world.propose(A, "x").unwrap();
    world.settle();
    assert_eq!(world.hosts[B].disk.writing.len(), 2);
    world.sync_one(B);
    world.settle();
    let copies = world.group(B).copies();
    assert_eq!((copies.voters.clone(), copies.is_joint()), (vec![copy(B)], false));
    assert_eq!(world.hosts[B].disk.writing.len(), 1);
    world.cut.insert(A);
    world.run(2 * CAMPAIGN_TICKS_MAX);
    assert_eq!(world.group(B).role(), Role::Follower);
    world.hosts[B].disk.stalled = false;
    assert_eq!(world.succeed(), B);
    assert_eq!(world.told(B), ["x"]);
}
