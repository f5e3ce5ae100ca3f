//! Why there is no configuration.

use std::io;
use std::net::SocketAddr;

use super::FILE_BYTES_MAX;
use super::report::Report;

/// Why a file gives no configuration. The node does not start; nothing has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It says what makes no sense, here and there.
    #[error(transparent)]
    Invalid(#[from] Report),
    /// It is no text.
    #[error("{file} is not a text file: there is no UTF-8 at byte {at}")]
    NotText {
        /// Its name.
        file: String,
        /// The first byte that belongs to no character.
        at: usize,
    },
    /// It cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// Its name.
        file: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is too large to be what it should be.
    #[error("{file} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// Its name.
        file: String,
    },
}

/// A node would listen where other hosts reach it, with certificates that only its own host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {OPEN_HELP}", self.problem())]
pub struct OpenWithoutTls {
    /// Where it would listen.
    pub listen: SocketAddr,
}

impl OpenWithoutTls {
    /// What is wrong, without what to do about it.
    pub(super) fn problem(&self) -> String {
        let Self { listen } = self;
        format!(
            "other hosts can reach {listen}, but there are no certificates that they could share"
        )
    }
}

/// What to do about it.
pub(super) const OPEN_HELP: &str = "make certificates with `umbel ca init` and `umbel ca issue`; copy ca.pem, NAME.pem and NAME.key, \
     never ca.key, to each host and set their directory as dir in [tls]";
