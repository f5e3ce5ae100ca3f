//! Why a test has no cluster.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::NodeError;
use crate::client::ClientError;
use crate::node::StartError;

/// Why a test has no cluster, or not the one that it wants. What was started is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The client could not be connected.
    #[error("the cluster's client cannot connect")]
    Client(#[from] ClientError),
    /// There is no place for its data, or no address.
    #[error("cannot make room for node {place}")]
    Room {
        /// Which node.
        place: usize,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A node stopped by itself.
    #[error("node {place} stopped")]
    Node {
        /// Which.
        place: usize,
        /// Why.
        #[source]
        source: Arc<NodeError>,
    },
    /// A cluster of no nodes, or of too many for a test.
    #[error("a test's cluster has 1 to {max} nodes, not {nodes}", max = super::builder::NODES_MAX)]
    Nodes {
        /// As many were asked for.
        nodes: usize,
    },
    /// It is not ready in time.
    #[error("not all nodes share the work after {} s: {found}", after.as_secs())]
    NotReady {
        /// How long was waited.
        after: Duration,
        /// What was found last.
        found: String,
    },
    /// A node could not be started.
    #[error("node {place} cannot be started")]
    Start {
        /// Which.
        place: usize,
        /// Why.
        #[source]
        source: StartError,
    },
}
