//! Why a node does not start.

use umbel_protocol::job::InvalidLabel;

use crate::config::{HostPort, InvalidAddress, OpenWithoutTls};
use crate::data_dir::DataDirError;
use crate::node::InvalidTask;
use crate::tls::TlsError;
use crate::transport::TransportError;
use crate::work::{LedgerError, NotGiven, RegisterError};

/// A node could not be started. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address for others cannot be made of the name.
    #[error("the address that others are to use is no address")]
    Advertise(#[source] InvalidAddress),
    /// The address for others cannot be looked up.
    #[error("the address {address} that others are to use cannot be looked up: {why}")]
    AdvertiseUnknown {
        /// What was looked up.
        address: HostPort,
        /// What came of it.
        why: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What it is to be labelled with is no label.
    #[error("the node cannot have this label")]
    Label(#[from] InvalidLabel),
    /// Process groups cannot be remembered.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It cannot be called that.
    #[error(
        "{name:?} cannot be the name of a node: use 1 to 63 lower-case letters, digits, `-`, `_` and \
         `.`, beginning and ending with a letter or digit, and not `ca`"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A task, or a middleware, takes a value that the node was not given.
    #[error(transparent)]
    NotGiven(#[from] NotGiven),
    /// It would listen for other hosts without certificates of its own.
    #[error(transparent)]
    Open(#[from] OpenWithoutTls),
    /// A task is declared twice, or in a way that cannot be.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// There is no multi-thread tokio runtime around.
    #[error("a node must be started inside a multi-thread tokio runtime")]
    Runtime,
    /// A task of the configuration cannot be run.
    #[error(transparent)]
    Task(#[from] InvalidTask),
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The network cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
}
