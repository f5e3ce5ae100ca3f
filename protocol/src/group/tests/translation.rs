//! Every message and record survives the way into the library's types and back.

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, EntryType, Message, MessageType};

use super::super::translate::{
    from_conf_state, from_entry, from_hard_state, from_raft, from_snapshot, to_conf_state,
    to_entry, to_hard_state, to_raft, to_snapshot,
};
use super::super::{Body, RaftKind, RaftMessage};
use super::sent::message;
use super::world::{A, B, C, World, node};
use crate::durable::{Copies, EntryKind, HardState, LogEntry, Snapshot};
use crate::id::ReplicaId;

/// All that travel, by their names in the library.
const KINDS: [(RaftKind, MessageType); 13] = [
    (RaftKind::Append, MessageType::MsgAppend),
    (RaftKind::AppendResponse, MessageType::MsgAppendResponse),
    (RaftKind::Heartbeat, MessageType::MsgHeartbeat),
    (RaftKind::HeartbeatResponse, MessageType::MsgHeartbeatResponse),
    (RaftKind::PreVote, MessageType::MsgRequestPreVote),
    (RaftKind::PreVoteResponse, MessageType::MsgRequestPreVoteResponse),
    (RaftKind::ReadIndex, MessageType::MsgReadIndex),
    (RaftKind::ReadIndexResponse, MessageType::MsgReadIndexResp),
    (RaftKind::Snapshot, MessageType::MsgSnapshot),
    (RaftKind::TimeoutNow, MessageType::MsgTimeoutNow),
    (RaftKind::TransferLeader, MessageType::MsgTransferLeader),
    (RaftKind::Vote, MessageType::MsgRequestVote),
    (RaftKind::VoteResponse, MessageType::MsgRequestVoteResponse),
];

/// A message in which all but its kind is left open, the term as well.
fn raft(kind: RaftKind) -> RaftMessage {
    super::sent::raft(kind, 0)
}

fn entry(index: u64, kind: EntryKind) -> LogEntry {
    LogEntry { index, term: 3, kind, data: Bytes::from(format!("entry {index}")) }
}

fn snapshot() -> Snapshot {
    Snapshot { index: 12, term: 13, copies: copies(), data: Bytes::from_static(b"state") }
}

fn copies() -> Copies {
    let ids = |ids: &[u64]| ids.iter().copied().map(ReplicaId).collect();
    Copies {
        voters: ids(&[1, 2]),
        learners: ids(&[3]),
        voters_outgoing: ids(&[1, 4]),
        learners_next: ids(&[4]),
        auto_leave: true,
    }
}

/// A message in which every field says something else.
fn full(kind: RaftKind) -> RaftMessage {
    RaftMessage {
        kind,
        term: 1,
        log_term: 2,
        index: 3,
        entries: vec![entry(4, EntryKind::Commands), entry(5, EntryKind::Membership)],
        commit: 6,
        commit_term: 7,
        snapshot: (kind == RaftKind::Snapshot).then(snapshot),
        request_snapshot: 8,
        reject: true,
        reject_hint: 9,
        context: Bytes::from_static(b"context"),
    }
}

#[test]
fn messages_of_every_kind_come_back_as_they_were() {
    for (kind, library) in KINDS {
        let there = to_raft(ReplicaId(21), ReplicaId(22), full(kind));
        assert_eq!((there.get_msg_type(), there.from, there.to), (library, 21, 22));
        assert_eq!(from_raft(there), Some(full(kind)));
    }
}

#[test]
fn only_a_leader_speaks_of_entries_beats_states_and_sleep() {
    let of_leader = |body: Body| body.is_of_leader();
    for (kind, _) in KINDS {
        let leads = matches!(kind, RaftKind::Append | RaftKind::Heartbeat | RaftKind::Snapshot);
        assert_eq!(of_leader(Body::Raft(Box::new(full(kind)))), leads, "{kind:?}");
    }
    assert!(of_leader(Body::Sleep { term: 1, index: 2 }));
    assert!(!of_leader(Body::Slept { term: 1, index: 2 }));
    assert!(!of_leader(Body::Gone) && !of_leader(Body::Stray));
}

#[test]
fn beats_and_answers_are_no_work() {
    for (kind, _) in KINDS {
        let rests = matches!(
            kind,
            RaftKind::Heartbeat | RaftKind::HeartbeatResponse | RaftKind::AppendResponse
        );
        assert_eq!(full(kind).carries_work(), !rests, "{kind:?}");
    }
    assert!(!raft(RaftKind::Append).carries_work(), "it tells of a commit index");
}

#[test]
fn each_field_goes_where_the_library_looks_for_it() {
    let there = to_raft(ReplicaId(21), ReplicaId(22), full(RaftKind::Append));
    assert_eq!((there.term, there.log_term, there.index), (1, 2, 3));
    assert_eq!((there.commit, there.commit_term), (6, 7));
    assert_eq!((there.request_snapshot, there.reject, there.reject_hint), (8, true, 9));
    assert_eq!(there.context, Bytes::from_static(b"context"));
    assert_eq!(there.entries.len(), 2);
    assert_eq!(there.priority, 0, "none is preferred");
}

#[test]
fn messages_that_a_copy_says_to_itself_never_travel() {
    for local in [
        MessageType::MsgHup,
        MessageType::MsgBeat,
        MessageType::MsgPropose,
        MessageType::MsgUnreachable,
        MessageType::MsgSnapStatus,
        MessageType::MsgCheckQuorum,
    ] {
        let mut there = Message::default();
        there.set_msg_type(local);
        assert_eq!(from_raft(there), None);
    }
}

#[test]
fn entries_come_back_as_they_were() {
    for kind in [EntryKind::Commands, EntryKind::Membership] {
        let entry = entry(7, kind);
        assert_eq!(from_entry(to_entry(entry.clone())), entry);
        assert_eq!(entry.is_commands(), kind == EntryKind::Commands);
    }
}

#[test]
fn what_changes_the_copies_is_not_what_the_library_would_read() {
    let there = to_entry(entry(7, EntryKind::Membership));
    assert_eq!(there.get_entry_type(), EntryType::EntryConfChangeV2);
    assert!(there.data.is_empty());
    // Nor does protobuf get out.
    let mut here = Entry::default();
    here.set_entry_type(EntryType::EntryConfChange);
    here.data = Bytes::from_static(b"protobuf");
    here.context = Bytes::from_static(b"ours");
    let entry = from_entry(here);
    assert_eq!((entry.kind, &entry.data[..]), (EntryKind::Membership, b"ours".as_slice()));
}

#[test]
fn votes_copies_and_states_come_back_as_they_were() {
    let state = HardState { term: 1, vote: 2, commit: 3 };
    assert_eq!(from_hard_state(&to_hard_state(state)), state);
    assert_eq!(from_conf_state(&to_conf_state(&copies())), copies());
    assert_eq!(from_snapshot(to_snapshot(snapshot())), snapshot());
}

#[test]
fn copies_are_in_order_whatever_the_order_in_which_the_library_had_them() {
    let raft = ConfState {
        voters: vec![2, 1],
        learners: vec![9, 3],
        voters_outgoing: vec![4, 1],
        learners_next: vec![8, 4],
        ..ConfState::default()
    };
    let ids = |ids: [u64; 2]| ids.map(ReplicaId).to_vec();
    let copies = from_conf_state(&raft);
    assert_eq!((copies.voters, copies.learners), (ids([1, 2]), ids([3, 9])));
    assert_eq!((copies.voters_outgoing, copies.learners_next), (ids([1, 4]), ids([4, 8])));
}

#[test]
fn messages_that_no_copy_says_are_dropped() {
    let of = |kind| RaftMessage { term: 2, ..raft(kind) };
    let sound = RaftMessage { index: 2, log_term: 2, ..of(RaftKind::Append) };
    let entries =
        |indexes: &[u64]| indexes.iter().map(|i| entry(*i, EntryKind::Commands)).collect();
    let change = LogEntry { term: 2, ..entry(3, EntryKind::Membership) };
    let garbage = [
        RaftMessage { entries: entries(&[4]), ..sound.clone() },
        RaftMessage { entries: entries(&[3, 5]), ..sound.clone() },
        RaftMessage { entries: entries(&[3, 3]), ..sound.clone() },
        RaftMessage { entries: entries(&[2, 3]), ..sound.clone() },
        RaftMessage { entries: entries(&[0]), index: u64::MAX, ..sound.clone() },
        RaftMessage { entries: vec![change], ..sound },
        of(RaftKind::Snapshot),
        of(RaftKind::TransferLeader),
        RaftMessage { term: 0, ..of(RaftKind::TransferLeader) },
        of(RaftKind::ReadIndex),
        RaftMessage { term: 0, ..of(RaftKind::ReadIndex) },
        RaftMessage { entries: entries(&[0]), ..of(RaftKind::ReadIndex) },
        RaftMessage { term: 0, entries: entries(&[0, 0]), ..of(RaftKind::ReadIndex) },
        of(RaftKind::ReadIndexResponse),
    ];
    let without_term = KINDS.map(|(kind, _)| raft(kind)).into_iter();
    for body in garbage.into_iter().chain(without_term) {
        let mut world = World::led(3);
        assert_eq!((world.group(A).term(), world.group(A).next_index()), (2, 3));
        for (from, to) in [(C, A), (C, B)] {
            world.hand(message(from, to, Body::Raft(Box::new(body.clone()))));
            assert_eq!(world.group(to).leader(), Some(node(A)), "{body:?}");
            world.group(to).tick();
            world.settle();
        }
        world.say(A, "x");
        let told: [Vec<&str>; 3] = [A, B, C].map(|at| world.told(at));
        assert_eq!(told, [["x"]; 3], "{body:?}");
        assert_eq!(world.hosts[A].reads, []);
        assert_eq!(world.hosts[B].reads, []);
    }
}
