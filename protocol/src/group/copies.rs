//! Which copies a group has, on which nodes, and how that changes.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};
use serde::{Deserialize, Serialize};

use super::message::{Body, GroupMessage};
use super::{Drained, Group, ProposeError, Role, translate};
use crate::durable::Copies;
use crate::id::{NodeId, ReplicaId};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::sabotage::{self, Defect};
use crate::wire::{DecodeError, decode, encode};

/// Removed copies that are remembered until they are told.
pub(super) const GONE_MAX: usize = 16;
/// Ticks without a leader after which a copy asks whether it still is one.
pub(super) const STRAY_TICKS: u32 = 50;
/// The same for one that sleeps. It hears nothing for good reasons, mostly; but it may have been
/// removed while it could not be reached, and what would have told it may be lost.
pub(super) const STRAY_TICKS_ASLEEP: u32 = 300;

/// Where the copies of a group are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    nodes: BTreeMap<ReplicaId, NodeId>,
    /// The highest id ever given to a copy.
    minted: u64,
}

/// A change of the copies. Without steps it leaves a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// New copies; they learn and do not vote.
    pub learners: Vec<(ReplicaId, NodeId)>,
    /// Learners that vote from now on.
    pub promoted: Vec<ReplicaId>,
    /// Voters that only learn from now on.
    pub demoted: Vec<ReplicaId>,
    /// Copies that go.
    pub removed: Vec<ReplicaId>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    roster: Roster,
    data: Bytes,
}

impl Roster {
    pub(crate) fn founding(node: NodeId) -> Self {
        Self { nodes: BTreeMap::from([(ReplicaId::FIRST, node)]), minted: ReplicaId::FIRST.0 }
    }

    /// The node that holds `replica`.
    #[must_use]
    pub fn node(&self, replica: ReplicaId) -> Option<NodeId> {
        self.nodes.get(&replica).copied()
    }

    /// The copy on `node`.
    #[must_use]
    pub fn replica_on(&self, node: NodeId) -> Option<ReplicaId> {
        self.nodes.iter().find(|(_, holder)| **holder == node).map(|(replica, _)| *replica)
    }

    /// All copies and their nodes.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, NodeId)> {
        self.nodes.iter().map(|(replica, node)| (*replica, *node))
    }

    /// The id for the next copy.
    #[must_use]
    pub const fn next_replica(&self) -> ReplicaId {
        ReplicaId(self.minted + 1)
    }

    /// Whether `replica` was a copy once and is none any more.
    #[must_use]
    pub fn has_lost(&self, replica: ReplicaId) -> bool {
        replica.0 <= self.minted && !self.nodes.contains_key(&replica)
    }

    pub(crate) fn apply(&mut self, change: &Change, copies: &Copies) {
        for (replica, node) in &change.learners {
            self.nodes.insert(*replica, *node);
            self.minted = self.minted.max(replica.0);
        }
        self.nodes.retain(|replica, _| copies.contains(*replica));
    }

    /// The machine's state together with the roster, as snapshots carry it.
    pub(super) fn seal(&self, data: &Bytes) -> Bytes {
        encode(&Sealed { roster: self.clone(), data: data.clone() }).into()
    }

    pub(crate) fn unseal(bytes: &Bytes) -> Result<(Self, Bytes), DecodeError> {
        let Sealed { roster, data } = decode(bytes, SNAPSHOT_BYTES_MAX)?;
        Ok((roster, data))
    }
}

impl Copies {
    /// Whether `replica` is one of them in any part.
    #[must_use]
    pub fn contains(&self, replica: ReplicaId) -> bool {
        [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next]
            .iter()
            .any(|list| list.contains(&replica))
    }

    /// Whether two configurations hold at once.
    #[must_use]
    pub const fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }
}

impl Group {
    /// Who votes and who learns.
    #[must_use]
    pub fn copies(&self) -> Copies {
        translate::from_conf_state(&self.raw.raft.prs().conf().to_conf_state())
    }

    /// Whether `replica` votes.
    #[must_use]
    pub fn votes(&self, replica: ReplicaId) -> bool {
        self.raw.raft.prs().conf().voters().contains(replica.0)
    }

    /// Whether a change of the copies is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.raw.raft.has_pending_conf() || self.copies().is_joint()
    }

    /// Whether `replica` has all that is committed, as far as its leader knows.
    #[must_use]
    pub fn is_caught_up(&self, replica: ReplicaId) -> bool {
        self.role() == Role::Leader
            && self.raw.raft.prs().get(replica.0).is_some_and(|progress| {
                progress.recent_active && progress.matched >= self.raw.raft.raft_log.committed
            })
    }

    /// How many committed entries `replica` is known to lack, if this copy leads and knows that it
    /// has any.
    #[must_use]
    pub fn lag(&self, replica: ReplicaId) -> Option<u64> {
        let known = self.raw.raft.prs().get(replica.0).filter(|_| self.role() == Role::Leader);
        let known = known.filter(|progress| progress.matched > 0);
        known.map(|progress| self.raw.raft.raft_log.committed.saturating_sub(progress.matched))
    }

    /// Puts a change of the copies into the log.
    ///
    /// # Errors
    /// When this copy does not lead, or another change is under way.
    pub fn propose_change(&mut self, change: &Change) -> Result<(), ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader);
        }
        // The library would take it and put an empty entry in its place.
        if self.raw.raft.has_pending_conf()
            || self.copies().is_joint() != (*change == Change::default())
        {
            return Err(ProposeError::Full);
        }
        self.wake();
        self.quiescence.on_work();
        self.raw
            .propose_conf_change(encode(change), to_conf_change(change))
            .map_err(|_| ProposeError::Full)
    }

    /// Carries out a change that is committed.
    ///
    /// # Errors
    /// It cannot be carried out, here or on any other copy; nothing has changed.
    pub(super) fn apply_change(&mut self, data: &Bytes) -> Result<(), String> {
        let change = Change::read(data).map_err(|why| why.to_string())?;
        let state =
            self.raw.apply_conf_change(&to_conf_change(&change)).map_err(|why| why.to_string())?;
        let before = self.roster.clone();
        let copies = translate::from_conf_state(&state);
        self.roster.apply(&change, &copies);
        let gone = before.iter().filter(|(replica, _)| self.roster.node(*replica).is_none());
        self.gone.extend(gone);
        while self.gone.len() > GONE_MAX {
            self.gone.pop_front();
        }
        self.farewell = None;
        // A change that an earlier leader proposed may take the vote of this one: the library would
        // go on leading without a progress of its own.
        let votes =
            [&copies.voters, &copies.voters_outgoing].iter().any(|v| v.contains(&self.replica));
        if self.role() == Role::Leader && !votes {
            self.raw.raft.become_follower(self.term(), 0);
        }
        Ok(())
    }

    /// Tells copies that were removed that they may go.
    ///
    /// Not at once: until a majority of those that stay have it on disk that the change was
    /// committed, an election may still need the votes of those that leave. An entry proposed after
    /// the change was applied carries that with it; once it is committed they may go.
    pub(super) fn dismiss(&mut self, out: &mut Drained) {
        if self.gone.is_empty() || !self.is_settled_leader() {
            return;
        }
        match self.farewell {
            Some((term, index)) if term == self.term() => {
                if self.applied < index {
                    return;
                }
                self.farewell = None;
                for (to, node) in mem::take(&mut self.gone) {
                    let message =
                        GroupMessage { group: self.id, from: self.replica, to, body: Body::Gone };
                    out.messages.push((node, message));
                }
            }
            _ => {
                if self.propose(Vec::new()).is_ok_and(|index| {
                    self.farewell = Some((self.term(), index));
                    true
                }) {
                    while self.raw.has_ready() {
                        self.drain_ready(out);
                    }
                }
            }
        }
    }

    /// Whether copies that it does not know any more may go.
    #[must_use]
    pub fn may_dismiss(&self) -> bool {
        self.is_settled_leader() && self.gone.is_empty()
    }

    /// Whether a copy has heard no leader for so long that it should ask whether it still is one:
    /// it may have been removed, and all that it knows may be gone, too. Told once, then the time
    /// begins anew.
    pub fn is_stray(&mut self) -> bool {
        let patience = if self.is_asleep() { STRAY_TICKS_ASLEEP } else { STRAY_TICKS };
        let is_stray = self.silent_ticks >= patience;
        if is_stray {
            self.silent_ticks = 0;
        }
        is_stray
    }

    pub(super) fn tick_stray(&mut self) {
        self.silent_ticks = if self.role() == Role::Leader { 0 } else { self.silent_ticks + 1 };
    }
}

impl Change {
    /// The change that an entry holds; the library's own, which leaves a joint configuration, holds
    /// nothing.
    pub(super) fn read(data: &Bytes) -> Result<Self, DecodeError> {
        if data.is_empty() { Ok(Self::default()) } else { decode(data, SNAPSHOT_BYTES_MAX) }
    }
}

fn to_conf_change(change: &Change) -> ConfChangeV2 {
    let single = |kind, replica: ReplicaId| {
        let mut single = ConfChangeSingle::default();
        single.set_change_type(kind);
        single.node_id = replica.0;
        single
    };
    let learners =
        change.learners.iter().map(|(replica, _)| *replica).chain(change.demoted.clone());
    let as_learner = match sabotage::has(Defect::LearnerVotes) {
        true => ConfChangeType::AddNode,
        false => ConfChangeType::AddLearnerNode,
    };
    let changes: Vec<ConfChangeSingle> = learners
        .map(|replica| single(as_learner, replica))
        .chain(change.promoted.iter().map(|replica| single(ConfChangeType::AddNode, *replica)))
        .chain(change.removed.iter().map(|replica| single(ConfChangeType::RemoveNode, *replica)))
        .collect();
    let mut raft = ConfChangeV2::default();
    raft.set_changes(changes.into());
    raft
}
