//! New copies, exchanged voters, and changes whose leader falls halfway.

use super::super::{
    CAMPAIGN_TICKS, Change, ELECTION_TICKS, HEARTBEAT_TICKS, ProposeError, RaftKind, Role,
};
use super::world::{A, B, C, D, E, GROUP, World, copy, node, stored};
use crate::id::ReplicaId;

fn learn(at: usize) -> Change {
    Change { learners: vec![(copy(at), node(at))], ..Change::default() }
}

/// `D` in the place of `C`, as one change.
fn exchange() -> Change {
    Change { promoted: vec![copy(D)], removed: vec![copy(C)], ..Change::default() }
}

/// Three voters, `A` the leader, and a learner on `D` that has everything.
fn with_learner() -> World {
    let mut world = World::led(3);
    world.say(A, "x");
    world.join(copy(D));
    world.group(A).propose_change(&learn(D)).unwrap();
    world.settle();
    world
}

fn ids(hosts: &[usize]) -> Vec<ReplicaId> {
    hosts.iter().map(|host| copy(*host)).collect()
}

#[test]
fn a_new_copy_gets_everything_and_does_not_vote() {
    let mut world = with_learner();
    world.say(A, "y");
    for at in [A, B, C, D] {
        assert_eq!(world.told(at), ["x", "y"]);
        let copies = world.group(at).copies();
        assert_eq!((copies.voters, copies.learners), (ids(&[A, B, C]), ids(&[D])));
        assert_eq!(world.hosts[at].group.roster(), world.hosts[A].group.roster());
        assert_eq!(world.group(at).roster().node(copy(D)), Some(node(D)));
    }
    // Two of three do not commit, whatever the learner has.
    world.cut = [B, C].into();
    world.propose(A, "z").unwrap();
    world.settle();
    assert_eq!(world.told(A), ["x", "y"]);
    // Nor does anybody ask it for its vote.
    world.cut = [A].into();
    world.sent.clear();
    world.succeed();
    assert!(!world.sent.iter().any(|s| s.to == D && s.is(RaftKind::PreVote)));
}

#[test]
fn everybody_is_told_of_a_change_once() {
    let world = with_learner();
    for at in [A, B, C] {
        assert_eq!(world.hosts[at].changes, 1);
    }
    assert!(world.hosts[D].changes >= 1);
}

#[test]
fn a_blank_copy_answers_whoever_speaks_to_it() {
    let mut world = World::led(3);
    world.join(copy(D));
    assert!(world.group(D).is_blank());
    world.hosts[A].disk.stalled = false;
    world.group(A).propose_change(&learn(D)).unwrap();
    // Until it has a state it does not know where anybody is.
    world.settle_until(|world| world.sent.iter().any(|sent| sent.from == D));
    assert_eq!(world.group(D).roster().iter().count(), 0);
    assert_eq!(world.sent.iter().rfind(|sent| sent.from == D).unwrap().to, A);
    world.settle();
    assert!(!world.group(D).is_blank());
    assert_eq!(world.group(D).leader(), Some(node(A)));
}

#[test]
fn a_leader_knows_who_is_caught_up() {
    let mut world = with_learner();
    for at in [A, B, C, D] {
        let caught_up = |of: &World, copy| of.hosts[at].group.is_caught_up(copy);
        assert_eq!(caught_up(&world, copy(D)), at == A, "only a leader knows");
    }
    world.hosts[D].disk.stalled = true;
    world.say(A, "y");
    assert!(!world.group(A).is_caught_up(copy(D)));
    world.sync(D);
    world.settle();
    assert!(world.group(A).is_caught_up(copy(D)));
    assert!(!world.group(A).is_caught_up(copy(E)), "who is that?");
    // It has all there is, but nobody has heard it for long.
    world.cut.insert(D);
    world.run(2 * ELECTION_TICKS + HEARTBEAT_TICKS);
    assert!(!world.group(A).is_caught_up(copy(D)));
    assert!(world.group(A).is_caught_up(copy(B)));
}

#[test]
fn a_learner_is_promoted_in_one_change_that_leaves_the_joint_configuration_by_itself() {
    let mut world = with_learner();
    world.group(A).propose_change(&exchange()).unwrap();
    assert!(world.group(A).is_changing());
    world.settle_until(|world| world.hosts[A].group.copies().is_joint());
    let copies = world.group(A).copies();
    assert_eq!((copies.voters, copies.voters_outgoing), (ids(&[A, B, D]), ids(&[A, B, C])));
    assert!(copies.auto_leave && world.group(A).is_changing());
    assert_eq!(world.group(A).roster().node(copy(C)), Some(node(C)), "it still counts");
    world.settle_until(|world| world.hosts[B].group.copies().is_joint());
    assert!(world.group(B).is_changing());
    world.settle();
    for at in [A, B, D] {
        let copies = world.group(at).copies();
        assert_eq!((copies.voters, copies.learners), (ids(&[A, B, D]), vec![]));
        assert!(copies.voters_outgoing.is_empty());
        assert_eq!(world.group(at).roster().node(copy(C)), None);
    }
    assert!(!world.group(A).is_changing());
    // The new one counts from now on.
    world.cut.insert(B);
    world.say(A, "y");
    assert_eq!(world.told(D), ["x", "y"]);
}

#[test]
fn while_two_configurations_hold_both_must_agree() {
    for (away, agree) in [([B, C], false), ([B, D], false), ([C, D], true)] {
        let mut world = with_learner();
        world.group(A).propose_change(&exchange()).unwrap();
        world.settle_until(|world| world.hosts[A].group.copies().is_joint());
        world.cut = away.into();
        world.propose(A, "y").unwrap();
        world.settle();
        assert_eq!(world.told(A).len() == 2, agree, "without {away:?}");
        assert_eq!(world.group(A).copies().is_joint(), !agree);
    }
}

#[test]
fn a_joint_change_whose_leader_falls_is_finished_by_the_next() {
    let mut world = with_learner();
    world.group(A).propose_change(&exchange()).unwrap();
    world.settle_until(|world| world.hosts[B].group.copies().is_joint());
    // The entry that would leave it got nowhere.
    world.cut.insert(A);
    world.wire.clear();
    world.settle();
    assert!(world.group(B).copies().is_joint());
    let next = world.succeed();
    world.run(HEARTBEAT_TICKS);
    for at in [B, D] {
        let copies = world.group(at).copies();
        assert_eq!((copies.voters.clone(), copies.is_joint()), (ids(&[A, B, D]), false));
    }
    world.say(next, "y");
    world.cut.clear();
    world.run(3);
    assert_eq!(world.group(A).copies().voters, ids(&[A, B, D]));
    assert_eq!(world.told(A), ["x", "y"]);
}

#[test]
fn a_change_that_was_only_proposed_is_carried_out_by_the_next_leader() {
    let mut world = with_learner();
    world.group(A).propose_change(&exchange()).unwrap();
    world.drain(A);
    world.sync(A);
    // It reaches the disks of B and D, and A falls before it hears of that.
    for _ in 0..3 {
        world.arrive();
    }
    world.cut.insert(A);
    world.wire.clear();
    world.settle();
    assert!(!world.group(B).copies().is_joint());
    let next = world.succeed();
    world.run(HEARTBEAT_TICKS);
    assert_eq!(world.group(next).copies().voters, ids(&[A, B, D]));
    assert!(!world.group(next).is_changing());
}

#[test]
fn a_leader_that_loses_its_vote_by_a_change_stops_leading() {
    let mut world = with_learner();
    let term = world.group(A).term();
    let change = Change { promoted: ids(&[D]), demoted: ids(&[A]), ..Change::default() };
    world.group(A).propose_change(&change).unwrap();
    world.run(HEARTBEAT_TICKS);
    assert_eq!(world.group(A).role(), Role::Follower);
    let copies = world.group(A).copies();
    assert_eq!((copies.voters, copies.learners), (ids(&[B, C, D]), ids(&[A])));
    assert_eq!(world.group(A).term(), term);
    let next = world.succeed();
    assert_ne!(next, A);
    world.say(next, "y");
    assert_eq!(world.told(A), ["x", "y"], "it learns from now on");
    world.cut.insert(A);
    world.run(10 * CAMPAIGN_TICKS);
    assert_eq!(world.group(A).role(), Role::Follower, "and never campaigns");
}

#[test]
fn only_a_leader_takes_changes() {
    let mut world = World::led(3);
    assert_eq!(world.group(B).propose_change(&learn(D)), Err(ProposeError::NotLeader));
}

#[test]
fn one_change_at_a_time() {
    let mut world = with_learner();
    let refused = |world: &mut World, change: &Change| {
        let next = world.group(A).next_index();
        assert_eq!(world.group(A).propose_change(change), Err(ProposeError::Full));
        assert_eq!(world.group(A).next_index(), next, "nothing was proposed");
    };
    refused(&mut world, &Change::default());
    world.group(A).propose_change(&exchange()).unwrap();
    refused(&mut world, &learn(E));
    world.settle_until(|world| world.hosts[A].group.copies().is_joint());
    refused(&mut world, &learn(E));
    // It is about to be left already.
    refused(&mut world, &Change::default());
    world.settle();
    world.group(A).propose_change(&learn(E)).unwrap();
}

#[test]
fn ids_are_never_used_again() {
    let mut world = World::led(3);
    let mut used = ids(&[A, B, C]);
    for round in 0..4 {
        let id = world.group(A).roster().next_replica();
        assert!(!used.contains(&id));
        used.push(id);
        world.hosts.truncate(3);
        world.join(id);
        let learn = Change { learners: vec![(id, node(D))], ..Change::default() };
        world.group(A).propose_change(&learn).unwrap();
        world.settle();
        assert_eq!(world.group(A).roster().replica_on(node(D)), Some(id));
        if round == 1 {
            // Who was brought up to date by a state knows, too.
            assert_eq!(world.hosts[D].restored, 1);
            assert_eq!(world.group(D).roster().next_replica().0, id.0 + 1);
        }
        let remove = Change { removed: vec![id], ..Change::default() };
        world.group(A).propose_change(&remove).unwrap();
        world.settle();
        assert!(world.group(A).roster().has_lost(id));
        assert!(!world.group(A).roster().has_lost(ReplicaId(id.0 + 1)), "not minted yet");
        world.tick();
    }
    assert_eq!(used.len(), 7);
}

#[test]
fn a_learner_counts_before_it_votes_only_for_rest_not_for_majorities() {
    let mut world = World::open(stored(GROUP, 1, 1));
    world.lead(A);
    world.cut.insert(B);
    world.say(A, "x");
    assert_eq!(world.told(A), ["x"]);
    world.run(100);
    assert_eq!(world.leaders(), [A], "it needs nobody");
}
