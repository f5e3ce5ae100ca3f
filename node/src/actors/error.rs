//! Why a node ends that nobody has stopped.

use std::io;
use std::net::SocketAddr;

use umbel_protocol::meta::JoinRefusal;
use umbel_protocol::scheduler::Loss;

use crate::data_dir::DataDirError;
use crate::store::StoreError;

/// Why a node stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Its data directory cannot be written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A peer told that this process must not go on.
    #[error("{0}")]
    Outdated(String),
    /// A part of it that cannot be built anew broke down: a bug of ours. What was acknowledged is on
    /// disk, and peers take over.
    #[error("a part of this node broke down ({what}): start it again, and report this")]
    Panicked {
        /// What was said.
        what: String,
    },
    /// The cluster does not take it in.
    #[error("the cluster refuses this node: {0}")]
    Refused(#[from] JoinRefusal),
    /// It is a cluster by itself, and its disk has lost what only it had.
    #[error(
        "the disk of this node has lost {}, and no other node has a copy: put back a copy of its \
         data directory, or empty that to begin anew",
        lost(*.0)
    )]
    Lost(Loss),
    /// Its disk failed; peers take over.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Another process with the same identity is in the cluster.
    #[error(
        "another process at {address} runs with the identity of this node: its data directory was \
         copied or restored; empty this one, or stop the other process"
    )]
    Superseded {
        /// Where it is.
        address: SocketAddr,
    },
    /// The system has no thread for it.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
    /// Its store takes no more.
    #[error("a batch was not taken by the store: {0}")]
    Unwritten(String),
}

fn lost(loss: Loss) -> String {
    match loss {
        Loss::Cluster => "all that it knew of its cluster".to_owned(),
        Loss::Partitions(1) => "the tasks of one partition".to_owned(),
        Loss::Partitions(partitions) => format!("the tasks of {partitions} partitions"),
    }
}
