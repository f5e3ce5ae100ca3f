//! Who a node is, and which of its lives.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A node, for as long as its data directory lives: random, made together with that directory. An
/// emptied directory is another node; an address is only a hint where a node may be found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u128);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{:08x}", self.0 >> 96)
    }
}

/// A cluster, minted when it is formed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:08x}", self.0 >> 96)
    }
}

/// Which start of a node this is: kept on disk, one more at each start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

/// Who holds a lease: one start of one executor of one start of one node. A dispatch names it
/// exactly, so nothing leased to a process that is gone can ever run on its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lessee {
    /// The node.
    pub node: NodeId,
    /// Which start of the node.
    pub incarnation: Incarnation,
    /// Which start of the executor within that process, from one.
    pub executor: u32,
}
