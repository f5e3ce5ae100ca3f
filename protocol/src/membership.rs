//! Who is alive: SWIM gossip by `foca`, driven without I/O.
//!
//! Two different things are called membership. *Being a member* is a replicated fact and changes
//! rarely; *being alive* is an opinion that every node forms for itself from gossip, and only that
//! is decided here. An opinion may be wrong and heals by itself:
//!
//! ```text
//!            own or another's probe fails,              nobody refutes it
//!            or our connection fell silent              in time, or it left
//!   Alive ---------------------------------> Suspect ---------------------> Down
//!     ^                                         |                             |
//!     '------- the node refutes it, ------------'                             |
//!     |        or is heard again                                              |
//!     '------- the node learns of it and comes back under a new bump ---------'
//! ```
//!
//! What we add to the engine: [`identity`](Identity) that renews itself; suspicion as a visible
//! state (the engine only tells of up and down); the hint of a silent connection; patience when it
//! is this node that is slow; a search for members that went out of sight, so that any split heals;
//! and the [`Load`] of every node, carried by the same datagrams.
//!
//! Absent on purpose: any decision that must be right. Those belong to the consensus groups; a
//! wrong opinion here costs an election or a moment's idleness, never a task.

mod codec;
mod condition;
mod config;
mod health;
mod identity;
mod load;
mod machine;
mod roster;
mod search;
mod surroundings;
mod timers;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use self::condition::Condition;
pub use self::config::Config;
pub use self::identity::{Identity, Peer};
pub use self::load::Load;
pub use self::machine::Membership;
pub use self::surroundings::Surroundings;
use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, NodeId};
use crate::wire::DecodeError;

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer that we know of, from the list of members or a fresh connection: meet it. It is tried
    /// until it answers or is forgotten.
    Announce {
        /// Where to find it.
        to: Peer,
    },
    /// The node is no longer a member: do not look for it any more.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// Something other than gossip came from the node: it is not silent.
    Heard {
        /// Which.
        node: NodeId,
    },
    /// This node leaves: others hear of it at once, and the machine does nothing any more.
    Leave,
    /// What this node can take has changed. The clock in it is the present one.
    LoadChanged(Load),
    /// A datagram came.
    Received {
        /// Who sent it, if the connection has proven that.
        from: Option<NodeId>,
        /// All of it.
        data: Bytes,
    },
    /// Nodes that were alive when another member, or an earlier life of this node, last looked.
    /// They are believed without being announced, and probed like all.
    Restore(Vec<Identity>),
    /// The connection to the node was lost: an early hint that it may be down.
    Silent {
        /// Which.
        node: NodeId,
    },
    /// [`Membership::next_deadline`] has come.
    Tick,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A node was met, is thought of differently, or lives a new life (another incarnation).
    Changed {
        /// Which life of which node.
        identity: Identity,
        /// What to think of it now.
        liveness: Liveness,
    },
    /// A node told how loaded it is. Tells only of news: each is newer than the one before.
    Load {
        /// Which node.
        node: NodeId,
        /// In which of its lives.
        incarnation: Incarnation,
        /// What it told.
        load: Load,
    },
    /// A datagram was ignored, wholly or from the place on where it stopped making sense.
    Rejected {
        /// Who sent it, if that is known.
        from: Option<NodeId>,
        /// What is wrong with it.
        why: Rejection,
    },
    /// The others had declared this node down. It is back under this identity.
    Rejoined {
        /// The new identity.
        identity: Identity,
    },
    /// Send a datagram; it may get lost.
    SendDatagram {
        /// To whom.
        to: Peer,
        /// All of it.
        data: Bytes,
    },
    /// Another process lives under this node's id, and the cluster has seen it in this or a later
    /// incarnation: the data directory was copied, or restored from an old state. This process must
    /// end.
    Superseded {
        /// The other process.
        by: Identity,
    },
}

/// What is thought of a node, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It did not answer, and may still. Groups that it leads campaign now: that is always safe.
    Suspect,
    /// It has not answered for long, or has left.
    Down,
}

/// Why a datagram was ignored. The machine's state is as before, but for the parts of the datagram
/// that came before the bad one; there is nothing to retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// More nodes than a cluster may have are known already.
    #[error("no room for another node")]
    Crowded,
    /// It says to come from another node than the connection has proven.
    #[error("the datagram is signed by {claimed}, who did not send it")]
    Foreign {
        /// Whom it names.
        claimed: NodeId,
    },
    /// It says to come from this very node.
    #[error("the datagram is signed by this node")]
    FromOurselves,
    /// It does not hold what it should.
    #[error("the datagram is malformed")]
    Malformed(#[source] DecodeError),
    /// The engine found something wrong with it.
    #[error("the gossip engine refused: {0}")]
    Refused(String),
}
