//! What happens to a scheduler.

use crate::id::{ClusterId, GroupId, Incarnation, NodeId, ReplicaId};
use crate::membership::{Condition, Liveness, Load};
use crate::time::{Tick, Wall};
use crate::wire::{Envelope, ExecutorSays, Reloaded, Request};

/// The time by both clocks of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// By the clock that never steps.
    pub tick: Tick,
    /// By the clock that people set.
    pub wall: Wall,
}

/// A request of a client of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// The client's connection.
    pub session: u64,
    /// The client's number for the request.
    pub request: u64,
}

/// What a new cluster is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id, drawn at random.
    pub cluster: ClusterId,
    /// How many partitions it has.
    pub partitions: u16,
    /// How many copies of each it keeps.
    pub replicas: u8,
    /// How many members it is formed of: nothing is acknowledged before that many hold copies.
    pub founders: usize,
}

/// What happens to a scheduler.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks.
    Asked {
        /// Who.
        caller: Caller,
        /// What.
        request: Request,
    },
    /// A client is gone with all that it asked.
    CallerGone {
        /// Its connection.
        session: u64,
    },
    /// This node is in this condition. One that leaves stays so, whatever else it is in.
    Condition(Condition),
    /// The deadline has come.
    Due,
    /// The executor of this node says something, or another one whose word was relayed.
    Executor(ExecutorSays),
    /// This node is to form a cluster. Ignored if it belongs to one.
    Found(Found),
    /// The bytes of a received state are on the disk.
    Kept {
        /// Of which group.
        group: GroupId,
        /// Of which copy.
        replica: ReplicaId,
        /// The last entry that it includes.
        index: u64,
    },
    /// This node is to stop: it hands over what it owns. Its executor is to
    /// [retire](crate::executor::Event::Retire). [`Left`](super::Effect::Left) tells when all is done;
    /// how long to wait for that is the driver's choice.
    Leave,
    /// Gossip tells how loaded a node is.
    Load {
        /// Which.
        node: NodeId,
        /// Which start of it.
        incarnation: Incarnation,
        /// What it told last.
        load: Load,
    },
    /// Gossip tells of a node.
    Liveness {
        /// Which.
        node: NodeId,
        /// Which start of it.
        incarnation: Incarnation,
        /// What.
        liveness: Liveness,
    },
    /// Another node says something.
    Peer {
        /// Which.
        from: NodeId,
        /// What.
        envelope: Envelope,
    },
    /// A batch of writes is durable.
    Persisted {
        /// Its number.
        number: u64,
    },
    /// A new way to a node was opened: what was under way may be lost.
    Reached {
        /// To which.
        node: NodeId,
        /// The newest version that both speak.
        version: u16,
    },
    /// The file of this node was read again, as [`Effect::Reload`](super::Effect::Reload) wanted.
    Reloaded {
        /// For whom.
        caller: Caller,
        /// What there is to tell of it.
        result: Result<Reloaded, String>,
    },
    /// The executor of this node has [retired](crate::executor::Effect::Retired).
    Retired,
}
