//! Certificates: the cluster's own authority, and what is read from a directory.
//!
//! One flat directory serves everywhere. The operator's has all of it; a host's has `ca.pem` and
//! the two files of its own name:
//!
//! ```text
//! DIR/ca.pem  DIR/ca.key      umbel ca init DIR               (ca.key stays with the operator)
//! DIR/NAME.pem DIR/NAME.key   umbel ca issue NAME --dir DIR [--client]
//! ```
//!
//! A certificate proves a name and a [`Role`], nothing else: it carries the DNS names
//! `ROLE.umbel` and `NAME.ROLE.umbel`. A dialer asks for [`SERVER_NAME`], which every node
//! certificate of the cluster and no client certificate has; so addresses may change freely. Which
//! node it is, and which of its lives, is said in the handshake on top.

pub mod ca;
mod error;
mod files;
mod local;
mod peer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
pub use umbel_protocol::wire::hello::Role;

pub use self::error::TlsError;
pub use self::files::TlsFiles;
pub use self::local::{ensure_local, share_local};
pub use self::peer::Identity;

/// What every node certificate is valid for, and therefore what dialers ask for.
pub const SERVER_NAME: &str = "node.umbel";
/// What both ends must agree to speak inside TLS.
pub const ALPN: &[u8] = b"umbel";

/// The cryptography used, named explicitly so that no other crate's choice changes it.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
