//! How much memory all records here take together, and what is refused when it is too much.
//!
//! A partition has limits of its own, which are part of its log's meaning. A node holds hundreds of
//! partitions, so it needs one limit over all of them. It is a matter of the node alone and is never
//! looked at while an entry is applied: its owner looks when a submission comes, before it goes into
//! a log. What is in a log already, and whatever becomes of tasks that were taken in, has its place:
//! leases, outcomes and retries are never refused, nor is a submission of what is known already.
//!
//! When a submission comes its owner only looks at its own node. The other copies are on nodes that hold
//! about as much, as placement spreads all partitions evenly; where one has less memory than the others,
//! all should be set to what it has.
//!
//! What is [put away](crate::cold) counts as what it takes in memory: where to find it.
//!
//! When a node becomes tight, results and stubs give way before submissions do: each partition then
//! keeps no more of them than its part. It may be tight for copies whose owners are elsewhere, so gossip
//! tells them; else it would refuse for an hour what comes, for ends that others remember. They do not
//! know how many copies it has, so the part of each is what it would be if it had one of every partition.

use super::Scheduler;
use crate::id::{GroupId, PartitionId, TaskId};
use crate::limits::Limits;
use crate::partition::{Partition, Room, Shelves};
use crate::sabotage::{self, Defect};
use crate::task::{Batch, RECORD_WEIGHT, STUB_WEIGHT};
use crate::wire::RequestError;

/// Of the memory, so much must be taken for the node to be tight.
const TIGHT: (usize, usize) = (3, 4);
/// The part of the memory that finished records have when it is tight.
const FINISHED_PART: usize = 4;
/// The part of the memory that stubs have when it is tight.
const STUBS_PART: usize = 8;

impl Scheduler {
    /// Bytes that the records of all partitions here take.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.memory
    }

    /// A group's state may have become larger or smaller.
    pub(super) fn weigh(&mut self, id: GroupId) {
        if let Some(replica) = self.replicas.get_mut(&id) {
            let now = replica.partition().map_or(0, Partition::memory);
            let before = std::mem::replace(&mut replica.weighed, now);
            self.memory = self.memory - before + now;
        }
    }

    /// Whether the tasks of `batch` may be taken in here.
    pub(super) fn has_memory_for(
        &self,
        partition: PartitionId,
        batch: &Batch,
    ) -> Result<(), RequestError> {
        let limit = self.settings.limits.node_bytes_max;
        let taken = self.memory + self.on_the_way.weight;
        if taken + weight(batch) <= limit || sabotage::has(Defect::TakeAll) {
            return Ok(());
        }
        // A retry takes nothing, and must find out what became of the first try.
        let is_known = |task: TaskId| {
            self.owned(partition).is_some_and(|partition| {
                partition.state(task).is_some()
                    || partition.stub(task).is_some()
                    || partition.turned_away(task).is_some()
            })
        };
        if batch.rows.iter().all(|row| is_known(row.id)) {
            return Ok(());
        }
        Err(self.out_of_memory())
    }

    /// Whether there is memory for what comes without being asked for: tasks of jobs and more of these, and what was
    /// put away. Ticks wait until there is: they are in time or late then, as their jobs say.
    pub(super) const fn has_memory_for_more(&self) -> bool {
        self.memory + self.on_the_way.weight < self.settings.limits.node_bytes_max
    }

    /// Why a node takes in nothing.
    pub(super) fn out_of_memory(&self) -> RequestError {
        let mib = self.settings.limits.node_bytes_max / (1024 * 1024);
        let what = format!(
            "tasks fill the {mib} MiB that it has for them: wait for the nodes to catch up, add some, \
             or raise `memory` under [node]"
        );
        RequestError::Overloaded { what }
    }

    /// Whether the records here take most of the memory that they may: gossip is to tell the others.
    #[must_use]
    pub const fn is_tight(&self) -> bool {
        let (part, whole) = TIGHT;
        self.memory > self.settings.limits.node_bytes_max / whole * part
    }

    /// The limits of what a group keeps of the past, as they are now: less if any node of its copies is
    /// tight.
    pub(super) fn limits_now(&self, id: GroupId) -> Limits {
        let limits = self.settings.limits;
        let holders = self.replicas.get(&id).map(|replica| replica.group.roster().iter());
        let elsewhere = || holders.into_iter().flatten().any(|(_, node)| self.loads.is_tight(node));
        if !self.is_tight() && !elsewhere() {
            return limits;
        }
        let partitions = self.meta.as_ref().map_or(1, |meta| usize::from(meta.partitions));
        let each = limits.node_bytes_max / partitions.max(1);
        let times = limits.kept.total().bytes.div_ceil((each / FINISHED_PART).max(1)).max(1);
        let kept = Shelves::of(|shelf| {
            let Room { tasks, bytes } = limits.kept[shelf];
            Room { tasks, bytes: bytes / times }
        });
        Limits { kept, stubs_max: limits.stubs_max.min(each / STUBS_PART / STUB_WEIGHT), ..limits }
    }
}

/// What the records of `batch` will take, about.
pub(super) fn weight(batch: &Batch) -> usize {
    batch.weight() + batch.rows.len() * RECORD_WEIGHT
}
