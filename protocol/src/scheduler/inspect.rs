//! What tests and tools may see of a scheduler's copies. Nothing here decides anything.

use super::Scheduler;
use super::replica::Replica;
use crate::durable::Copies;
use crate::group::Role;
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::partition::Partition;

/// One copy of a group, as it is at the end of a step.
#[derive(Clone, Copy)]
pub struct CopyView<'a> {
    replica: &'a Replica,
}

impl<'a> CopyView<'a> {
    /// Which group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.replica.group.id()
    }

    /// Which copy of it.
    #[must_use]
    pub const fn replica(&self) -> ReplicaId {
        self.replica.group.replica()
    }

    /// What part it plays.
    #[must_use]
    pub fn role(&self) -> Role {
        self.replica.group.role()
    }

    /// Its term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.replica.group.term()
    }

    /// Whom it has voted for in that term, if anybody.
    #[must_use]
    pub fn vote(&self) -> Option<ReplicaId> {
        self.replica.group.vote()
    }

    /// Whether its node owns the group and may grant and answer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.replica.is_settled()
    }

    /// Whether it neither ticks nor sends.
    #[must_use]
    pub const fn is_asleep(&self) -> bool {
        self.replica.group.is_asleep()
    }

    /// The last entry that its state includes.
    #[must_use]
    pub const fn applied(&self) -> u64 {
        self.replica.group.applied()
    }

    /// Who votes and who learns, as far as it knows.
    #[must_use]
    pub fn copies(&self) -> Copies {
        self.replica.group.copies()
    }

    /// Whether a change of its copies is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.replica.group.is_changing()
    }

    /// The node of the leader, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.replica.group.leader()
    }

    /// Where `copy` is, as far as it knows.
    #[must_use]
    pub fn node_of(&self, copy: ReplicaId) -> Option<NodeId> {
        self.replica.group.roster().node(copy)
    }

    /// Nodes to which its state is on its way.
    #[must_use]
    pub fn states_under_way(&self) -> Vec<NodeId> {
        self.replica.group.states_under_way()
    }

    /// The partition, unless this is the meta group or the copy is blank.
    #[must_use]
    pub const fn partition(&self) -> Option<&'a Partition> {
        self.replica.partition()
    }

    /// Its state as bytes, unless it is blank: copies that applied the same have the same.
    #[must_use]
    pub fn to_bytes(&self) -> Option<bytes::Bytes> {
        self.replica.machine.as_ref().map(super::replica::Machine::to_bytes)
    }
}

impl Scheduler {
    /// Slots that this node holds and has no work for, tasks that wait for one here, and timers.
    #[must_use]
    pub fn idle(&self) -> (Vec<(crate::id::Lessee, Vec<u32>)>, usize, usize) {
        (self.slots.idle(), self.ready.len(), self.timers.len())
    }

    /// Tasks of partitions owned here that wait for a slot: what gossip tells of this node's load.
    #[must_use]
    pub const fn backlog(&self) -> usize {
        self.ready.len()
    }

    /// Tasks of partitions owned here that wait for a limit of theirs.
    #[must_use]
    pub const fn throttled(&self) -> usize {
        self.throttled.len()
    }

    /// Tasks whose end somebody waits for here, once for each.
    #[must_use]
    pub const fn awaited(&self) -> usize {
        self.waits.waiting()
    }

    /// Requests that this node keeps, waits for ends, and submissions on their way into a log.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize, usize) {
        (self.asks.len(), self.waits.len(), self.on_the_way.submissions)
    }

    /// All copies of groups on this node.
    pub fn copies(&self) -> impl Iterator<Item = CopyView<'_>> {
        self.replicas.values().map(|replica| CopyView { replica })
    }

    /// This node's copy of `group`.
    #[must_use]
    pub fn copy(&self, group: GroupId) -> Option<CopyView<'_>> {
        self.replicas.get(&group).map(|replica| CopyView { replica })
    }
}
