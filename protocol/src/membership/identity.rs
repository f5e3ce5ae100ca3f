//! Who takes part in gossip: one life of a node, and how two claims about a node are ordered.
//!
//! A node is one node wherever it lives, so its id is what the engine calls an address. Of two
//! lives of a node the greater wins: the field order of [`Identity`] is that order.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, NodeId};

/// Where a node may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which node.
    pub node: NodeId,
    /// Where it was last; a connection by id is as good.
    pub address: SocketAddr,
}

/// One life of one node, as gossip knows it. Greater ones replace lesser ones of the same node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Which node.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// How often this process has come back after having been declared down.
    pub bump: u32,
    /// A number that the process drew when it started, never zero: it tells two processes apart
    /// that claim the same incarnation, and settles which of them the others believe.
    pub start: u64,
    /// Where it may be found.
    pub address: SocketAddr,
}

impl Identity {
    /// The identity of a process that just started.
    #[must_use]
    pub fn new(node: NodeId, incarnation: Incarnation, start: u64, address: SocketAddr) -> Self {
        Self { node, incarnation, bump: 0, start: start.max(1), address: bare(address) }
    }

    /// Where this node may be found.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        Peer { node: self.node, address: self.address }
    }

    /// Whether both are the same process, however often it has come back.
    #[must_use]
    pub fn same_process(&self, other: &Self) -> bool {
        (self.node, self.incarnation, self.start) == (other.node, other.incarnation, other.start)
    }

    /// Any life of `peer`: enough to address a first greeting to.
    pub(super) fn any_of(peer: Peer) -> Self {
        let address = bare(peer.address);
        Self { node: peer.node, incarnation: Incarnation(0), bump: 0, start: 0, address }
    }

    /// Whether `other` shows that another process took this one's place: the same node in a later
    /// incarnation, or in the same one but another process. Greetings to anybody name no process.
    pub(super) fn superseded_by(&self, other: &Self) -> bool {
        self.node == other.node
            && other.start != 0
            && other.start != self.start
            && other.incarnation >= self.incarnation
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(Self { bump: self.bump.checked_add(1)?, ..*self })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

/// `address` without what does not travel (scope and flow of IPv6), else a node would not recognise
/// its own identity in what others say.
fn bare(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => SocketAddr::new(IpAddr::V6(ip), address.port()),
    }
}
