//! Why two ends may not go on, in words for whoever has to mend it.

use serde::{Deserialize, Serialize};

use super::Versions;
use crate::id::{ClusterId, Incarnation, NodeId};

/// Why a connection ends before it begins. Encoded: new reasons are added at the end only, so that
/// older ones stay readable; a build that does not know a reason shows the text that came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The two belong to different clusters.
    #[error(
        "node belongs to cluster {own_name:?} ({own}) and was met by a node of cluster \
         {other_name:?} ({other}): correct the seeds, or start with an empty data directory to \
         join the other cluster"
    )]
    AnotherCluster {
        /// Cluster of the refusing node.
        own: ClusterId,
        /// Its name.
        own_name: String,
        /// Cluster of the refused node.
        other: ClusterId,
        /// Its name.
        other_name: String,
    },
    /// The two are connected already and keep the other connection. Not a fault.
    #[error("the two nodes are connected already; nothing needs to be done")]
    Duplicate,
    /// Another process with the same identity is there and answers.
    #[error(
        "node {node} is running in another process, and this one (start {}) must not run beside it: \
         its data directory is a copy, or is used twice; give this process an empty data directory, \
         and it joins as a new node", incarnation.0
    )]
    InUse {
        /// The node.
        node: NodeId,
        /// The start that the refused process claims to be.
        incarnation: Incarnation,
    },
    /// The refused end says that it is a node, and its certificate says that it is a client.
    #[error(
        "the certificate of node {node} is that of a client: issue one for a node with \
         `umbel ca issue NAME --dir DIR`"
    )]
    NotNodeCertificate {
        /// Who it says it is.
        node: NodeId,
    },
    /// Nothing is spoken by both.
    #[error(
        "no common protocol version: the refusing node speaks {own}, the other {other}; upgrade \
         the older one, one release at a time"
    )]
    NoCommonVersion {
        /// What the refusing end speaks.
        own: Versions,
        /// What the refused one speaks.
        other: Versions,
    },
    /// Any reason that this build does not know, in the words of the build that does.
    #[error("{0}")]
    Other(String),
    /// A later start of the node has been seen.
    #[error(
        "node {node} comes as start {} and was seen as start {} before: its data directory was \
         restored from a copy or is used by another process; give it an empty data directory, and \
         it joins as a new node", told.0, known.0
    )]
    StaleIncarnation {
        /// The node.
        node: NodeId,
        /// The latest start seen.
        known: Incarnation,
        /// The start that it claims to be.
        told: Incarnation,
    },
    /// There is no room for another peer or session.
    #[error("node has as many connections as it allows ({limit}): try another node")]
    TooMany {
        /// How many it allows.
        limit: u32,
    },
    /// The clusters are called differently: most likely a seed that is not meant.
    #[error(
        "node is of cluster {own:?} and was met by a node of cluster {other:?}: correct `name` or \
         the seeds in cluster.toml"
    )]
    WrongClusterName {
        /// Name of the refusing node's cluster.
        own: String,
        /// Name of the refused node's cluster.
        other: String,
    },
    /// A node called its own address. Not a fault: seeds are often the same list for all.
    #[error("node called itself; nothing needs to be done")]
    Yourself,
    /// What the node said before that it had on disk is not all there: what it promised to others
    /// may be lost, so it must not vote or acknowledge any more.
    #[error(
        "node {node} comes with {told} writes on disk and had {known} before: its data directory \
         was restored from a copy, or its disk has lost what it had; give it an empty data \
         directory, and it joins as a new node"
    )]
    RolledBack {
        /// The node.
        node: NodeId,
        /// The most writes that it said were synced.
        known: u64,
        /// How many it has now.
        told: u64,
    },
    /// A node is called otherwise than its certificate says.
    #[error(
        "node {told:?} has the certificate of {proven:?}: issue one for it with \
         `umbel ca issue {told} --dir DIR`"
    )]
    WrongName {
        /// What it calls itself.
        told: String,
        /// For whom its certificate was issued.
        proven: String,
    },
}
