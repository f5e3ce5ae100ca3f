//! What copies of a group say to each other, in types of our own: protobuf is never read from the
//! network.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::durable::{LogEntry, Snapshot};
use crate::id::{GroupId, ReplicaId};

/// From one copy of a group to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMessage {
    /// The group.
    pub group: GroupId,
    /// Who says it.
    pub from: ReplicaId,
    /// Whom it is said to.
    pub to: ReplicaId,
    /// What is said.
    pub body: Body,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Raft's own business.
    Raft(Box<RaftMessage>),
    /// Leader to all: nothing has happened for a while and you have everything up to `index`; let
    /// us stop ticking. Asked again until all agree; harmless when repeated.
    Sleep {
        /// The leader's term.
        term: u64,
        /// The last entry.
        index: u64,
    },
    /// The answer to [`Body::Sleep`]: this copy has it all and no longer ticks; or it does not and
    /// goes on.
    Slept {
        /// As asked.
        term: u64,
        /// As asked, or 0 if it goes on.
        index: u64,
    },
    /// To a copy that has been removed from the group: it may destroy itself.
    Gone,
    /// To every member, from a copy that has heard no leader for long: am I still one? A leader that
    /// has removed it answers [`Body::Gone`], one that sleeps [`Body::Sleep`]; it means nothing to all
    /// others.
    Stray,
    /// The answer to a leader that speaks to a copy that is destroyed: it will never vote nor
    /// acknowledge again, replace it. Repeated for as long as the leader speaks to it.
    Lost,
}

/// One message of the Raft algorithm; see the Raft thesis and `raft::eraftpb::Message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftMessage {
    /// Which.
    pub kind: RaftKind,
    /// The sender's term.
    pub term: u64,
    /// Term of the entry at `index`.
    pub log_term: u64,
    /// The entry before `entries`, or the one that is acknowledged.
    pub index: u64,
    /// Entries to append.
    pub entries: Vec<LogEntry>,
    /// The sender's commit index.
    pub commit: u64,
    /// Term of the entry at `commit`.
    pub commit_term: u64,
    /// A whole state, for a copy that lags too far.
    pub snapshot: Option<Snapshot>,
    /// The index that a wanted snapshot must reach.
    pub request_snapshot: u64,
    /// Whether the request is denied.
    pub reject: bool,
    /// Where the logs may still agree.
    pub reject_hint: u64,
    /// Marks a read or a campaign.
    pub context: Bytes,
}

/// The kinds of messages that travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RaftKind {
    /// Leader: append these entries.
    Append,
    /// Follower: appended up to there, or not.
    AppendResponse,
    /// Leader: still here.
    Heartbeat,
    /// Follower: heard.
    HeartbeatResponse,
    /// Would you vote for me?
    PreVote,
    /// I would, or not.
    PreVoteResponse,
    /// Follower: up to where must I have applied to answer this read?
    ReadIndex,
    /// Leader: up to there.
    ReadIndexResponse,
    /// Leader: take this state.
    Snapshot,
    /// Leader: campaign now.
    TimeoutNow,
    /// Follower: hand me the lead.
    TransferLeader,
    /// Vote for me.
    Vote,
    /// I do, or not.
    VoteResponse,
}

impl Body {
    /// Whether only a leader says it.
    pub(crate) const fn is_of_leader(&self) -> bool {
        match self {
            Self::Raft(raft) => match raft.kind {
                RaftKind::Append | RaftKind::Heartbeat | RaftKind::Snapshot => true,
                RaftKind::AppendResponse
                | RaftKind::HeartbeatResponse
                | RaftKind::PreVote
                | RaftKind::PreVoteResponse
                | RaftKind::ReadIndex
                | RaftKind::ReadIndexResponse
                | RaftKind::TimeoutNow
                | RaftKind::TransferLeader
                | RaftKind::Vote
                | RaftKind::VoteResponse => false,
            },
            Self::Sleep { .. } => true,
            Self::Slept { .. } | Self::Gone | Self::Stray | Self::Lost => false,
        }
    }
}

impl RaftMessage {
    /// Whether it asks for votes in a term after `term`.
    pub(super) const fn seeks_term_after(&self, term: u64) -> bool {
        matches!(self.kind, RaftKind::PreVote | RaftKind::Vote) && self.term > term
    }

    /// Whether something happens in the group, so that it should not fall asleep now.
    pub(super) const fn carries_work(&self) -> bool {
        match self.kind {
            RaftKind::Append => !self.entries.is_empty(),
            RaftKind::Heartbeat | RaftKind::HeartbeatResponse | RaftKind::AppendResponse => false,
            RaftKind::PreVote
            | RaftKind::PreVoteResponse
            | RaftKind::ReadIndex
            | RaftKind::ReadIndexResponse
            | RaftKind::Snapshot
            | RaftKind::TimeoutNow
            | RaftKind::TransferLeader
            | RaftKind::Vote
            | RaftKind::VoteResponse => true,
        }
    }
}
