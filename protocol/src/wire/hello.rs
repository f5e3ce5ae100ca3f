//! What two ends tell each other first, and whether they may go on.
//!
//! Both sides judge: whoever is called judges the caller's [`Hello`], the caller judges the one in
//! the [`Answer`]. A certificate has proven before that both belong to the same authority, and
//! whether an end is a node or a client; who exactly it is, and which of its lives, is said here.
//!
//! The bytes (see `fields.rs`) can be read by every version that there will ever be: magic, the range of
//! versions, then tagged fields of which unknown ones are skipped. A field never changes its
//! meaning; a new one gets a new tag.

mod fields;
mod judge;
mod refusal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use self::fields::{BODY_BYTES_MAX, HEAD_BYTES, Head, HelloError};
pub use self::judge::{Known, judge};
pub use self::refusal::Refusal;
use crate::id::{ClusterId, Incarnation, NodeId};

/// What an end of a connection says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it can speak.
    pub versions: Versions,
    /// Who it is.
    pub who: Who,
}

/// Who an end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A program that submits or asks.
    Client {
        /// What it calls itself: for logs only.
        name: String,
    },
    /// A node.
    Node(NodeHello),
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHello {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// Drawn at random by each process: two processes with the same identity differ in it.
    pub start: u64,
    /// How many writes its store has synced, in all its starts. It never goes back: see
    /// [`Refusal::RolledBack`].
    pub synced: u64,
    /// What people call it.
    pub name: String,
    /// Where others reach it.
    pub listen: SocketAddr,
    /// Its cluster, unless it is blank: then it may meet any, for that is how it joins.
    pub cluster: Option<ClusterId>,
    /// What people call the cluster.
    pub cluster_name: String,
}

/// What a caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who was reached. Told even to those who are refused: their operator needs it.
    pub hello: Hello,
    /// The version to speak from here on, or why not.
    pub verdict: Result<u16, Refusal>,
}

/// The versions that an end can speak, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

impl Versions {
    /// What this build speaks: the present version and the one before it, so that a cluster can be
    /// upgraded node by node.
    pub const OWN: Self = Self { min: 2, max: 3 };

    /// The newest version that both can speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "version {}", self.min)
        } else {
            write!(f, "versions {} to {}", self.min, self.max)
        }
    }
}

/// What the certificate of the other end proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// For whom it was issued.
    pub name: &'a str,
    /// What its holder may be.
    pub role: Role,
}

/// The name in certificates that all nodes of one host share: whoever holds one may be called as it
/// likes. Authorities of whole clusters issue none of these unless they are asked to.
pub const SHARED_NAME: &str = "node";

/// What a certificate proves its holder to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A program that submits or asks.
    Client,
    /// A node; it may do all that a client may.
    Node,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Node => "node",
        })
    }
}
