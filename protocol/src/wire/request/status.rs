//! How it stands with the cluster, and what each member has of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{ClusterId, NodeId, PartitionId};
use crate::meta::Meta;

/// What a client learns when it connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The node that answers.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Partitions of the cluster.
    pub partitions: u16,
    /// Those that the node owns: tasks with ids in them need no second hop.
    pub owned: Vec<PartitionId>,
    /// The members: where else to connect.
    pub members: Vec<MemberStatus>,
}

/// What a node owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Its partitions.
    pub owned: Vec<Claim>,
    /// Runs of their tasks that it has granted and not seen the end of, by the node that has them.
    pub running: Vec<(NodeId, u64)>,
    /// Copies of groups that it holds, those of the cluster's own facts among them.
    pub copies: u64,
}

/// One partition that a node owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The partition.
    pub partition: PartitionId,
    /// The term in which it is owned.
    pub term: u64,
    /// Whether it has as many copies as it should, on nodes that are alive.
    pub is_whole: bool,
    /// Its open tasks.
    pub open: u64,
}

/// About the cluster, as its nodes told the one that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node that answers.
    pub node: NodeId,
    /// What the meta group says.
    pub meta: Meta,
    /// The members.
    pub members: Vec<MemberStatus>,
    /// What each has of the work.
    pub shares: BTreeMap<NodeId, Share>,
    /// How many partitions have a settled owner.
    pub partitions_owned: u16,
    /// How many of those have as many copies as they should, on nodes that are alive. While
    /// all are whole, and should have three copies or more, any one node may go.
    pub partitions_whole: u16,
    /// Tasks that have not ended.
    pub open: u64,
    /// Runs that have not ended.
    pub running: u64,
}

/// What a member has of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whether it told in time what it owns; if not, it is not known to own anything.
    pub has_told: bool,
    /// Partitions that it owns.
    pub owned: u16,
    /// Open tasks of those.
    pub open: u64,
    /// Runs that it has, as the owners of their tasks know.
    pub running: u64,
    /// Copies of groups that it holds, those of the cluster's own facts among them.
    pub copies: u64,
}

/// About a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// Whether it is heard of.
    pub liveness: crate::membership::Liveness,
    /// Its process id, as it told.
    pub pid: u32,
    /// Whether it can do its part, as it told.
    pub condition: crate::membership::Condition,
}

/// How far a member has parted with what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// It is not to.
    Serving,
    /// It is to, and still has something.
    Draining,
    /// It owns nothing, holds no copies and runs nothing.
    Drained,
}

impl Status {
    /// What `node` has of the work, as far as is known.
    #[must_use]
    pub fn share(&self, node: NodeId) -> Share {
        self.shares.get(&node).copied().unwrap_or_default()
    }

    /// How far `node` has parted with what it has, as far as is known.
    #[must_use]
    pub fn drain(&self, node: NodeId) -> Drain {
        let Share { has_told, owned, running, copies, .. } = self.share(node);
        match self.meta.is_draining(node) {
            false => Drain::Serving,
            true if has_told && owned == 0 && copies == 0 && running == 0 => Drain::Drained,
            true => Drain::Draining,
        }
    }
}
