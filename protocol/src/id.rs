//! Names of things that machines give: nodes, members' starts, groups, replicas, tasks, runs.

mod node;
mod task;
mod task_group;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::node::{ClusterId, Incarnation, Lessee, NodeId};
pub use self::task::{InvalidTaskId, TaskId};
pub use self::task_group::{InvalidTaskGroupId, TaskGroupId};

/// One of the cluster's partitions, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u16);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// One consensus group: the meta group or the group of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u16);

impl GroupId {
    /// The group that keeps what is cluster-wide and rare.
    pub const META: Self = Self(u16::MAX);

    /// The group of `partition`.
    #[must_use]
    pub const fn of(partition: PartitionId) -> Self {
        Self(partition.0)
    }

    /// The partition that this group keeps, unless it is the meta group.
    #[must_use]
    pub const fn partition(self) -> Option<PartitionId> {
        if self.0 == Self::META.0 { None } else { Some(PartitionId(self.0)) }
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition() {
            Some(partition) => partition.fmt(f),
            None => f.write_str("meta"),
        }
    }
}

/// One copy of a group, minted by whoever adds it and never used again: a copy that lost its
/// storage comes back under a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId(pub u64);

impl ReplicaId {
    /// The copy that a group is made with.
    pub const FIRST: Self = Self(1);
}

/// The token of a run: where its lease stands in the partition's log. Tokens of one task only grow,
/// so that the world outside can tell a late run from the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Term of the log entry.
    pub term: u64,
    /// Index of the log entry.
    pub index: u64,
    /// Which lease of that entry.
    pub position: u32,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.term, self.index, self.position)
    }
}
