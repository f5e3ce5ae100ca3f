//! What must survive a crash, as the deciding side hands it to a store.
//!
//! A store writes whole [`WriteBatch`]es in the order in which it gets them, syncs them, and answers
//! with the batch's number. Nothing of a batch counts before that answer.
//!
//! A received state may be hundreds of megabytes, and all groups share one batch. So its bytes are put
//! on the disk before, on their own, as a [`StateWrite`], while other groups go on; nothing of its
//! group is written meanwhile. Only then comes the batch that names it, and from then on it counts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{GroupId, ReplicaId};

/// Writes of many groups that become durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteBatch {
    /// Counts up by one with each batch of a scheduler, from one.
    pub number: u64,
    /// At most one element for a group.
    pub groups: Vec<GroupWrite>,
}

/// A received state whose bytes are to be put on the disk, before a [`GroupWrite`] names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// The group.
    pub group: GroupId,
    /// The copy that received it.
    pub replica: ReplicaId,
    /// The state.
    pub state: Snapshot,
}

/// What one group writes. The parts take effect in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupWrite {
    /// The group.
    pub group: GroupId,
    /// The copy that writes. A store drops all it has of lower copies of the group.
    pub replica: ReplicaId,
    /// All of this copy goes away; the store only remembers its id, so that it never comes back.
    pub destroy: bool,
    /// A state that replaces all that was before it; the log starts anew behind it. Its bytes are on
    /// the disk already, unless the store is asked to do both at once.
    pub snapshot: Option<Snapshot>,
    /// Entries to append; they replace stored ones from the index of the first.
    pub entries: Vec<LogEntry>,
    /// Term, vote and commit index, if they changed.
    pub hard_state: Option<HardState>,
    /// A state of this copy's own making: once it is stored, all entries up to its index may go.
    pub checkpoint: Option<Snapshot>,
}

/// What a copy must know of votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The highest term it has seen.
    pub term: u64,
    /// Whom it voted for in that term, 0 for nobody.
    pub vote: u64,
    /// The highest index that it knows to be committed.
    pub commit: u64,
}

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Where it stands.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// What it holds.
    pub kind: EntryKind,
    /// Encoded commands, or a change of the copies.
    pub data: Bytes,
}

/// What a log entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// Commands of the group's state machine; none in the first entry of a term.
    Commands,
    /// A change of the group's copies.
    Membership,
}

/// The state of a group at one point of its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last entry that it includes.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Who holds copies.
    pub copies: Copies,
    /// The encoded state machine.
    pub data: Bytes,
}

/// Who votes and who only learns in a group. Both lists are ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Copies that vote.
    pub voters: Vec<ReplicaId>,
    /// Copies that are caught up and do not vote.
    pub learners: Vec<ReplicaId>,
    /// Voters of the configuration that is being left, while two hold at once.
    pub voters_outgoing: Vec<ReplicaId>,
    /// Outgoing voters that become learners when that configuration is left.
    pub learners_next: Vec<ReplicaId>,
    /// Whether leaving it happens by itself.
    pub auto_leave: bool,
}

/// What a store found of one group when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGroup {
    /// The group.
    pub group: GroupId,
    /// Its copy.
    pub replica: ReplicaId,
    /// Whether that copy was destroyed: then nothing else is here.
    pub destroyed: bool,
    /// Term, vote and commit index.
    pub hard_state: HardState,
    /// The newest complete state.
    pub snapshot: Option<Snapshot>,
    /// All entries behind it.
    pub entries: Vec<LogEntry>,
}
