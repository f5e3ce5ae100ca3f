//! What is sent before it is durable, and what never is.
//!
//! That no message runs ahead of its sender's disk is watched by the world in every test; here are
//! the moments where it would, and the messages that need not wait.

use super::super::{Body, RaftKind, RaftMessage, Role};
use super::sent::{message, raft, told_to};
use super::world::{A, B, C, GROUP, World, copy, stored};

#[test]
fn a_leader_sends_entries_before_its_own_disk_has_them() {
    let mut world = World::led(3);
    world.hosts[A].disk.stalled = true;
    let index = world.propose(A, "x").unwrap();
    let sent = world.drain(A);
    assert_eq!(told_to(&sent, RaftKind::Append), [B, C]);
    assert!(!world.hosts[A].disk.holds(index));
}

#[test]
fn an_entry_that_the_others_have_is_committed_but_applied_only_where_it_is_durable() {
    let mut world = World::led(3);
    world.hosts[A].disk.stalled = true;
    world.propose(A, "x").unwrap();
    world.settle();
    assert_eq!((world.told(B), world.told(C)), (vec!["x"], vec!["x"]));
    assert!(world.told(A).is_empty());
    world.sync(A);
    world.settle();
    assert_eq!(world.told(A), ["x"]);
}

#[test]
fn a_leader_does_not_count_itself_before_its_disk_has_the_entry() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.hosts[A].disk.stalled = true;
    world.propose(A, "x").unwrap();
    world.settle();
    assert!(world.told(B).is_empty());
    world.sync(A);
    world.settle();
    assert_eq!((world.told(A), world.told(B)), (vec!["x"], vec!["x"]));
}

#[test]
fn a_candidate_asks_for_no_vote_before_its_term_is_durable() {
    let mut world = World::of(3);
    world.hosts[A].disk.stalled = true;
    world.group(A).campaign();
    world.settle();
    assert_eq!((world.group(A).role(), world.group(A).term()), (Role::Candidate, 2));
    assert_eq!(told_to(&world.sent, RaftKind::PreVote), [B, C], "it asks whether it would win");
    assert_eq!(told_to(&world.sent, RaftKind::Vote), []);
    world.sync(A);
    world.settle();
    assert_eq!(told_to(&world.sent, RaftKind::Vote), [B, C]);
    assert_eq!(world.group(A).role(), Role::Leader);
}

#[test]
fn nobody_votes_before_the_vote_is_durable() {
    let mut world = World::of(3);
    world.cut.insert(C);
    world.hosts[B].disk.stalled = true;
    world.group(A).campaign();
    world.settle();
    assert_eq!(world.hosts[B].disk.writing.len(), 1);
    assert_eq!(told_to(&world.sent, RaftKind::VoteResponse), []);
    assert_eq!(world.group(A).role(), Role::Candidate);
    world.sync(B);
    world.settle();
    assert_eq!(world.hosts[B].disk.stored.hard_state.vote, copy(A).0);
    assert_eq!(world.group(A).role(), Role::Leader);
}

#[test]
fn a_vote_in_a_term_that_is_already_durable_is_written_as_well() {
    let mut world = World::led(3);
    world.run(2);
    let ask = |from: usize, index: u64, log_term: u64| {
        let vote = RaftMessage { index, log_term, ..raft(RaftKind::Vote, 9) };
        // As when the lead is handed over: nobody protects a leader that wants to go.
        let vote = RaftMessage { context: b"CampaignTransfer".as_slice().into(), ..vote };
        message(from, B, Body::Raft(Box::new(vote)))
    };
    // C lacks too much to be elected, but its term counts.
    world.hand(ask(C, 1, 1));
    world.drain(B);
    world.sync(B);
    let durable = |world: &World| world.hosts[B].disk.stored.hard_state;
    assert_eq!((durable(&world).term, durable(&world).vote), (9, 0));
    world.drain(B);
    world.hosts[B].disk.stalled = true;
    world.hand(ask(A, 2, 2));
    assert_eq!(told_to(&world.drain(B), RaftKind::VoteResponse), []);
    world.sync(B);
    assert_eq!(durable(&world).vote, copy(A).0);
    assert_eq!(told_to(&world.drain(B), RaftKind::VoteResponse), [A]);
}

#[test]
fn a_vote_that_a_crash_undoes_was_never_told() {
    let mut world = World::of(3);
    world.cut.insert(A);
    world.hosts[B].disk.stalled = true;
    world.group(C).campaign();
    world.settle();
    world.crash(B);
    assert_eq!(world.group(B).term(), 1, "all of it is forgotten");
    assert!(!world.sent.iter().any(|sent| sent.is(RaftKind::VoteResponse)));
    // So it is free to help another into the same term.
    world.wire.clear();
    world.cut = [C].into();
    world.hosts[B].disk.stalled = false;
    world.lead(A);
    assert_eq!(world.group(A).term(), 2);
}

#[test]
fn a_sole_voter_that_wins_by_its_own_vote_says_nothing_before_that_is_durable() {
    let mut world = World::open(stored(GROUP, 1, 1));
    world.hosts[A].disk.stalled = true;
    world.group(A).campaign();
    world.settle();
    world.propose(A, "x").unwrap();
    world.settle();
    assert_eq!(world.group(A).role(), Role::Leader);
    assert!(!world.group(A).is_settled_leader());
    assert_eq!(world.sent, []);
    // The vote alone is enough for what was said with it, not for what came after.
    assert!(world.sync_one(A));
    assert_eq!(told_to(&world.drain(A), RaftKind::Append), [B]);
    world.sync(A);
    world.settle();
    assert_eq!(world.told(B), ["x"]);
}

#[test]
fn a_follower_acknowledges_only_what_its_disk_has() {
    let mut world = World::led(3);
    world.sent.clear();
    world.hosts[B].disk.stalled = true;
    let index = world.propose(A, "x").unwrap();
    world.settle();
    let acks = |world: &World| {
        let acks = world.sent.iter().filter(|s| s.from == B && s.is(RaftKind::AppendResponse));
        acks.map(|ack| ack.raft().unwrap().index).collect::<Vec<_>>()
    };
    assert_eq!(acks(&world), []);
    assert!(!world.group(A).is_caught_up(copy(B)));
    world.sync(B);
    world.settle();
    assert_eq!(acks(&world).last(), Some(&index));
    assert!(world.group(A).is_caught_up(copy(B)));
}

#[test]
fn of_two_writes_under_way_the_first_alone_releases_its_own_acknowledgement_alone() {
    let mut world = World::led(3);
    world.hosts[B].disk.stalled = true;
    let first = world.propose(A, "x").unwrap();
    world.settle();
    let second = world.propose(A, "y").unwrap();
    world.settle();
    assert_eq!(world.hosts[B].disk.writing.len(), 2);
    let highest_ack = |world: &mut World| {
        let sent = world.drain(B);
        sent.iter().filter_map(|s| s.raft()).map(|raft| raft.index).max()
    };
    assert_eq!(highest_ack(&mut world), None);
    world.sync_one(B);
    assert_eq!(highest_ack(&mut world), Some(first));
    world.sync_one(B);
    assert_eq!(highest_ack(&mut world), Some(second));
}

#[test]
fn writes_that_became_durable_as_one_release_all_that_waited_for_them() {
    let mut world = World::led(3);
    world.hosts[B].disk.stalled = true;
    for command in ["x", "y"] {
        world.propose(A, command).unwrap();
        world.settle();
    }
    let (mut write, _) = world.hosts[B].disk.writing.pop_front().unwrap();
    let (later, number) = world.hosts[B].disk.writing.pop_front().unwrap();
    write.merge(later);
    world.hosts[B].disk.writing.push_back((write, number));
    world.sync(B);
    world.settle();
    assert!(world.group(A).is_caught_up(copy(B)));
    assert_eq!(world.told(B), ["x", "y"]);
}

#[test]
fn the_commit_index_is_on_disk_with_the_entries_behind_it() {
    let mut world = World::led(3);
    let first = world.say(A, "x");
    let second = world.say(A, "y");
    for at in [A, B, C] {
        let durable = world.hosts[at].disk.stored.hard_state;
        assert!(world.hosts[at].disk.holds(second));
        assert_eq!(durable.commit, first, "what was committed when the last entry came");
    }
}

#[test]
fn a_commit_index_alone_is_not_worth_a_write() {
    let mut world = World::led(3);
    let index = world.propose(A, "x").unwrap();
    world.settle();
    for at in [A, B, C] {
        assert_eq!(world.told(at), ["x"]);
        assert!(world.hosts[at].disk.stored.hard_state.commit < index);
    }
}

#[test]
fn what_was_taken_in_under_a_leader_that_is_deposed_is_not_acknowledged_to_it() {
    let mut world = World::led(3);
    let term = world.group(A).term();
    world.hosts[B].disk.stalled = true;
    world.cut.insert(C);
    world.propose(A, "x").unwrap();
    world.settle();
    world.cut.clear();
    world.sent.clear();
    let beat = raft(RaftKind::Heartbeat, term + 1);
    world.hand(message(C, B, Body::Raft(Box::new(beat))));
    world.hosts[B].disk.stalled = false;
    world.settle();
    assert_eq!(world.group(B).term(), term + 1);
    let old = world.sent.iter().filter(|sent| sent.from == B);
    let old = old.filter_map(|sent| sent.raft()).filter(|raft| raft.term <= term).count();
    assert_eq!(old, 0, "it may be overwritten before it is on disk");
}
