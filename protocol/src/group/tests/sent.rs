//! Messages on their way between hosts.

use bytes::Bytes;

use super::super::{Body, GroupMessage, RaftKind, RaftMessage};
use super::world::{GROUP, copy};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: GroupMessage,
}

/// A message of Raft's in which all but its kind and term is left open.
pub(super) fn raft(kind: RaftKind, term: u64) -> RaftMessage {
    RaftMessage {
        kind,
        term,
        log_term: 0,
        index: 0,
        entries: Vec::new(),
        commit: 0,
        commit_term: 0,
        snapshot: None,
        request_snapshot: 0,
        reject: false,
        reject_hint: 0,
        context: Bytes::new(),
    }
}

/// From one host's copy to another's.
pub(super) fn message(from: usize, to: usize, body: Body) -> Sent {
    let message = GroupMessage { group: GROUP, from: copy(from), to: copy(to), body };
    Sent { from, to, message }
}

impl Sent {
    pub(super) fn raft(&self) -> Option<&RaftMessage> {
        match &self.message.body {
            Body::Raft(raft) => Some(raft),
            Body::Sleep { .. } | Body::Slept { .. } | Body::Gone | Body::Lost | Body::Stray => None,
        }
    }

    pub(super) fn is(&self, kind: RaftKind) -> bool {
        self.raft().is_some_and(|raft| raft.kind == kind)
    }
}

/// To whom messages of a kind go, in ascending order.
pub(super) fn told_to(sent: &[Sent], kind: RaftKind) -> Vec<usize> {
    let mut to: Vec<usize> = sent.iter().filter(|s| s.is(kind)).map(|s| s.to).collect();
    to.sort_unstable();
    to.dedup();
    to
}
