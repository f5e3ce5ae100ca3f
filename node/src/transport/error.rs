//! What the transport answers when it cannot do something.

use std::io;
use std::net::SocketAddr;

use crate::tls::TlsError;

/// The transport cannot begin. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address cannot be bound.
    #[error("cannot bind UDP {addr}: check `listen` in cluster.toml")]
    Bind {
        /// Which address.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Somebody else has it.
    #[error(
        "UDP {addr} is in use by another process: stop it (is the node running already?) or choose \
         another port with `listen` in cluster.toml"
    )]
    PortTaken {
        /// Which address.
        addr: SocketAddr,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A frame was not taken; nothing of it will be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer is slower than its traffic. Send again later, or less.
    #[error("too much waits for the node already")]
    Full,
    /// There is no connection. One is being made if the node is a peer.
    #[error("not connected with the node")]
    NotConnected,
    /// It could never be sent.
    #[error("{bytes} bytes where at most {bytes_max} are allowed")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many may be.
        bytes_max: usize,
    },
}

/// A reply was not taken; nothing of it will be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The client does not read what it asked for.
    #[error("too much waits for the client already")]
    Full,
    /// The session has ended.
    #[error("the client is gone")]
    Gone,
    /// It could never be sent.
    #[error("{bytes} bytes where at most {bytes_max} are allowed")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many may be.
        bytes_max: usize,
    },
}
