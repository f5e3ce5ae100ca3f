//! What a scheduler wants done.

use std::net::SocketAddr;

use super::Caller;
use crate::cold::Damaged;
use crate::durable::{StateWrite, WriteBatch};
use crate::id::{ClusterId, GroupId, NodeId};
use crate::meta::JoinRefusal;
use crate::wire::{Answer, OwnerSays, PeerMessage};

/// What a lone node has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The facts of the cluster: without them nothing else can be used.
    Cluster,
    /// So many partitions.
    Partitions(usize),
}

/// What a scheduler wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This node is a member now, under the name and address that it gave.
    Admitted,
    /// Answer a client.
    Answer {
        /// Whom.
        caller: Caller,
        /// What.
        answer: Answer,
        /// Whether nothing more will be said to this request.
        is_last: bool,
    },
    /// What was put away outside of memory cannot be read back. This scheduler does nothing any more, and
    /// nothing has come of the step in which it was found: another is to be built from what the store holds,
    /// with a cold store of its own.
    Damaged(Damaged),
    /// Tell the executor of this node.
    Execute(OwnerSays),
    /// A node is no member any more and never will be: nobody is to look for it or speak to it.
    Forget(NodeId),
    /// This is the cluster of this node, whether it is a member already or asks to be one: to be kept
    /// on disk.
    Joined(ClusterId),
    /// Put the bytes of a received state on the disk, beside all other writes: a few at a time, each
    /// answered with [`Event::Kept`](super::Event::Kept).
    Keep(StateWrite),
    /// This node was told to leave, and has: its executor holds nothing and it leads no group that
    /// another node could lead. It may end now without harm.
    Left,
    /// The whole cluster speaks this version from now on: nodes that only speak an older one are to be
    /// refused.
    Spoken(u16),
    /// This node held the only copies of these groups and has lost them: it must stop, as nobody
    /// can bring them back.
    Lost(Loss),
    /// These are the members of the cluster now.
    Members(Vec<NodeId>),
    /// A node may be reached at this address.
    Meet {
        /// Which.
        node: NodeId,
        /// Where.
        address: SocketAddr,
    },
    /// An entry of a log cannot be read or makes no sense: it has no effect, here and on all copies.
    /// There is a bug, here or in another member: a human must look.
    PassedOver {
        /// Whose log.
        group: GroupId,
        /// Where it stands.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// Make these writes durable.
    Persist(WriteBatch),
    /// Read the file of this node again, for a client that asks for it: answered with
    /// [`Event::Reloaded`](super::Event::Reloaded).
    Reload(Caller),
    /// The cluster does not take this node in: it must stop.
    Refused(JoinRefusal),
    /// Tell another node. What concerns consensus must not wait behind other things.
    Send {
        /// Which.
        to: NodeId,
        /// Whether it concerns consensus.
        urgent: bool,
        /// What.
        messages: Vec<PeerMessage>,
    },
}
