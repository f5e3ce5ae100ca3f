//! Between the library's protobuf types and our own.

#![allow(clippy::field_reassign_with_default, reason = "generated types have hidden fields")]

use raft::eraftpb::{
    ConfState, Entry, EntryType, HardState as RaftHardState, Message, MessageType,
    Snapshot as RaftSnapshot,
};

use super::message::{RaftKind, RaftMessage};
use crate::durable::{Copies, EntryKind, HardState, LogEntry, Snapshot};
use crate::id::ReplicaId;

/// The library's message, as it came from `from`.
pub(super) fn to_raft(from: ReplicaId, to: ReplicaId, message: RaftMessage) -> Message {
    let mut raft = Message::default();
    raft.set_msg_type(to_kind(message.kind));
    raft.from = from.0;
    raft.to = to.0;
    raft.term = message.term;
    raft.log_term = message.log_term;
    raft.index = message.index;
    raft.entries = message.entries.into_iter().map(to_entry).collect::<Vec<_>>().into();
    raft.commit = message.commit;
    raft.commit_term = message.commit_term;
    raft.request_snapshot = message.request_snapshot;
    raft.reject = message.reject;
    raft.reject_hint = message.reject_hint;
    raft.context = message.context;
    if let Some(snapshot) = message.snapshot {
        raft.set_snapshot(to_snapshot(snapshot));
    }
    raft
}

/// Our message of the library's, unless it is one that never travels.
pub(super) fn from_raft(mut message: Message) -> Option<RaftMessage> {
    let kind = from_kind(message.get_msg_type())?;
    let snapshot = (kind == RaftKind::Snapshot).then(|| from_snapshot(message.take_snapshot()));
    Some(RaftMessage {
        kind,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.take_entries().into_iter().map(from_entry).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot,
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
    })
}

/// The library keeps a change of copies as protobuf in `data`, which it reads only when it is
/// proposed; ours travels in `context` and is the one that is applied.
pub(super) fn to_entry(entry: LogEntry) -> Entry {
    let mut raft = Entry::default();
    raft.index = entry.index;
    raft.term = entry.term;
    match entry.kind {
        EntryKind::Commands => raft.data = entry.data,
        EntryKind::Membership => {
            raft.set_entry_type(EntryType::EntryConfChangeV2);
            raft.context = entry.data;
        }
    }
    raft
}

pub(super) fn from_entry(entry: Entry) -> LogEntry {
    let (kind, data) = match entry.get_entry_type() {
        EntryType::EntryNormal => (EntryKind::Commands, entry.data),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
            (EntryKind::Membership, entry.context)
        }
    };
    LogEntry { index: entry.index, term: entry.term, kind, data }
}

pub(super) fn to_hard_state(state: HardState) -> RaftHardState {
    let mut raft = RaftHardState::default();
    raft.term = state.term;
    raft.vote = state.vote;
    raft.commit = state.commit;
    raft
}

pub(super) const fn from_hard_state(state: &RaftHardState) -> HardState {
    HardState { term: state.term, vote: state.vote, commit: state.commit }
}

pub(super) fn to_conf_state(copies: &Copies) -> ConfState {
    let ids = |replicas: &[ReplicaId]| replicas.iter().map(|id| id.0).collect::<Vec<_>>();
    let mut raft = ConfState::default();
    raft.voters = ids(&copies.voters);
    raft.learners = ids(&copies.learners);
    raft.voters_outgoing = ids(&copies.voters_outgoing);
    raft.learners_next = ids(&copies.learners_next);
    raft.auto_leave = copies.auto_leave;
    raft
}

pub(super) fn from_conf_state(raft: &ConfState) -> Copies {
    // The library keeps them in hash sets: their order must not differ between replicas.
    let ids = |raw: &[u64]| {
        let mut ids: Vec<ReplicaId> = raw.iter().copied().map(ReplicaId).collect();
        ids.sort_unstable();
        ids
    };
    Copies {
        voters: ids(&raft.voters),
        learners: ids(&raft.learners),
        voters_outgoing: ids(&raft.voters_outgoing),
        learners_next: ids(&raft.learners_next),
        auto_leave: raft.auto_leave,
    }
}

pub(super) fn to_snapshot(snapshot: Snapshot) -> RaftSnapshot {
    let mut raft = RaftSnapshot::default();
    raft.data = snapshot.data;
    let meta = raft.mut_metadata();
    meta.index = snapshot.index;
    meta.term = snapshot.term;
    meta.set_conf_state(to_conf_state(&snapshot.copies));
    raft
}

pub(super) fn from_snapshot(mut raft: RaftSnapshot) -> Snapshot {
    let meta = raft.take_metadata();
    Snapshot {
        index: meta.index,
        term: meta.term,
        copies: from_conf_state(meta.get_conf_state()),
        data: raft.data,
    }
}

const fn to_kind(kind: RaftKind) -> MessageType {
    match kind {
        RaftKind::Append => MessageType::MsgAppend,
        RaftKind::AppendResponse => MessageType::MsgAppendResponse,
        RaftKind::Heartbeat => MessageType::MsgHeartbeat,
        RaftKind::HeartbeatResponse => MessageType::MsgHeartbeatResponse,
        RaftKind::PreVote => MessageType::MsgRequestPreVote,
        RaftKind::PreVoteResponse => MessageType::MsgRequestPreVoteResponse,
        RaftKind::ReadIndex => MessageType::MsgReadIndex,
        RaftKind::ReadIndexResponse => MessageType::MsgReadIndexResp,
        RaftKind::Snapshot => MessageType::MsgSnapshot,
        RaftKind::TimeoutNow => MessageType::MsgTimeoutNow,
        RaftKind::TransferLeader => MessageType::MsgTransferLeader,
        RaftKind::Vote => MessageType::MsgRequestVote,
        RaftKind::VoteResponse => MessageType::MsgRequestVoteResponse,
    }
}

const fn from_kind(kind: MessageType) -> Option<RaftKind> {
    Some(match kind {
        MessageType::MsgAppend => RaftKind::Append,
        MessageType::MsgAppendResponse => RaftKind::AppendResponse,
        MessageType::MsgHeartbeat => RaftKind::Heartbeat,
        MessageType::MsgHeartbeatResponse => RaftKind::HeartbeatResponse,
        MessageType::MsgRequestPreVote => RaftKind::PreVote,
        MessageType::MsgRequestPreVoteResponse => RaftKind::PreVoteResponse,
        MessageType::MsgReadIndex => RaftKind::ReadIndex,
        MessageType::MsgReadIndexResp => RaftKind::ReadIndexResponse,
        MessageType::MsgSnapshot => RaftKind::Snapshot,
        MessageType::MsgTimeoutNow => RaftKind::TimeoutNow,
        MessageType::MsgTransferLeader => RaftKind::TransferLeader,
        MessageType::MsgRequestVote => RaftKind::Vote,
        MessageType::MsgRequestVoteResponse => RaftKind::VoteResponse,
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgPropose
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum => return None,
    })
}
