//! Why connections end: the codes that umbel closes with, and every reason in words.

use std::fmt;
use std::net::SocketAddr;

use quinn::{ConnectionError, VarInt};
use umbel_protocol::wire::hello::{HelloError, Refusal};

use crate::tls::TlsError;

/// Why this side ends a connection. The code goes over the wire: none changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The process ends.
    Bye = 0,
    /// The greeting was judged, and the answer says why.
    Refused = 1,
    /// The same two are connected by another connection.
    Duplicate = 2,
    /// The peer broke a limit or the order of things.
    Violation = 3,
    /// The session was closed by its owner.
    Dropped = 4,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// Ends `connection`, telling the peer. QUIC sends the reason behind what is on its way; if the
/// network takes nothing more at this moment, it is lost, and the peer finds a closed door (a
/// stateless reset) with its next packet.
pub(super) fn close(connection: &quinn::Connection, code: Code, why: &str) {
    connection.close(code.into(), why.as_bytes());
}

/// A node could not be reached or will not talk. Nothing was sent but the greeting, so trying again
/// is always safe.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TLS failed over a certificate.
    #[error("{addr}: {fault}")]
    Certificate {
        /// Who was called.
        addr: SocketAddr,
        /// What is wrong, and with whose.
        fault: CertificateFault,
    },
    /// This side is shutting down.
    #[error("the transport is closed")]
    Closed,
    /// The connection broke in the middle of the greeting.
    #[error("{addr} broke off the connection: {why}; try again")]
    Lost {
        /// Who was called.
        addr: SocketAddr,
        /// Why, as far as it was told.
        why: String,
    },
    /// Nothing came back.
    #[error("nobody answers at {addr}: check that a node runs there and that UDP is let through")]
    NoAnswer {
        /// Who was called.
        addr: SocketAddr,
    },
    /// Something answered that is not umbel.
    #[error("{addr} does not speak umbel's protocol ({why}): check the address")]
    NotUmbel {
        /// Who was called.
        addr: SocketAddr,
        /// What it said.
        why: String,
    },
    /// One of the two will not go on.
    #[error("{addr}: {refusal}")]
    Refused {
        /// Who was called.
        addr: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// The local socket failed.
    #[error("cannot open a socket to call {addr}")]
    Socket {
        /// Who was to be called.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Our own certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What is wrong with a presented certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// Whether it is ours, and the other side refused it.
    pub ours: bool,
    /// What is wrong.
    pub kind: CertificateFaultKind,
}

/// The ways in which a certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFaultKind {
    /// Its time is over, or has not begun.
    Expired,
    /// There is none.
    Missing,
    /// Another authority signed it.
    OtherCa,
    /// Something else, in the words of TLS.
    Unusable(String),
    /// It is not that of a node.
    WrongRole,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.ours {
            "the other side refuses our certificate: it"
        } else {
            "the other side's certificate"
        };
        match &self.kind {
            CertificateFaultKind::Expired => write!(
                f,
                "{whose} has expired or is not valid yet: check the clocks of both hosts, or issue \
                 a new one with `umbel ca issue`"
            ),
            CertificateFaultKind::Missing => write!(f, "{whose} is missing"),
            CertificateFaultKind::OtherCa => write!(
                f,
                "{whose} was issued by another authority: both hosts need certificates from the \
                 same `umbel ca init`"
            ),
            CertificateFaultKind::Unusable(why) => write!(f, "{whose} cannot be used: {why}"),
            CertificateFaultKind::WrongRole => write!(
                f,
                "{whose} is not that of a node: issue one with `umbel ca issue NAME --dir DIR`, \
                 without --client"
            ),
        }
    }
}

impl DialError {
    /// What went wrong with calling `addr`.
    pub(super) fn lost(addr: SocketAddr, error: ConnectionError) -> Self {
        if let Some(fault) = certificate_fault(&error) {
            return Self::Certificate { addr, fault };
        }
        match error {
            ConnectionError::TimedOut => Self::NoAnswer { addr },
            ConnectionError::LocallyClosed => Self::Closed,
            ConnectionError::VersionMismatch | ConnectionError::TransportError(_) => {
                Self::NotUmbel { addr, why: error.to_string() }
            }
            ConnectionError::ConnectionClosed(ref frame)
                if alert(u64::from(frame.error_code)) == Some(NO_APPLICATION_PROTOCOL) =>
            {
                Self::NotUmbel { addr, why: error.to_string() }
            }
            ConnectionError::ConnectionClosed(_)
            | ConnectionError::ApplicationClosed(_)
            | ConnectionError::Reset
            | ConnectionError::CidsExhausted => Self::Lost { addr, why: words(&error) },
        }
    }

    pub(super) fn garbled(addr: SocketAddr, error: HelloError) -> Self {
        Self::NotUmbel { addr, why: error.to_string() }
    }
}

/// Why a connection ended, for logs.
pub(super) fn words(error: &ConnectionError) -> String {
    if let Some(fault) = certificate_fault(error) {
        return fault.to_string();
    }
    match error {
        ConnectionError::ApplicationClosed(frame) => {
            format!("closed by the other side: {}", String::from_utf8_lossy(&frame.reason))
        }
        ConnectionError::TimedOut => format!("silent for {} s", super::settings::IDLE.as_secs()),
        ConnectionError::LocallyClosed => "closed by this side".to_owned(),
        ConnectionError::Reset => {
            "the other side has no memory of the connection: it closed it or was restarted"
                .to_owned()
        }
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// What was wrong with a certificate, if that is why the connection ended.
fn certificate_fault(error: &ConnectionError) -> Option<CertificateFault> {
    let (ours, code, reason) = match error {
        ConnectionError::TransportError(error) => {
            (false, u64::from(error.code), error.reason.clone())
        }
        ConnectionError::ConnectionClosed(frame) => {
            let reason = String::from_utf8_lossy(&frame.reason).into_owned();
            (true, u64::from(frame.error_code), reason)
        }
        ConnectionError::VersionMismatch
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => return None,
    };
    let kind = match alert(code)? {
        // A wrong signature: an authority of the same name, made anew.
        UNKNOWN_CA | DECRYPT_ERROR => CertificateFaultKind::OtherCa,
        CERTIFICATE_EXPIRED => CertificateFaultKind::Expired,
        CERTIFICATE_REQUIRED => CertificateFaultKind::Missing,
        // We ask for the name and the purpose of a node only: nothing else can be wrong with them.
        BAD_CERTIFICATE | UNSUPPORTED_CERTIFICATE if !ours => CertificateFaultKind::WrongRole,
        BAD_CERTIFICATE..=CERTIFICATE_UNKNOWN => CertificateFaultKind::Unusable(reason),
        _ => return None,
    };
    Some(CertificateFault { ours, kind })
}

/// The TLS alert inside a QUIC error code.
fn alert(code: u64) -> Option<u8> {
    u8::try_from(code.checked_sub(0x100)?).ok()
}

// Alerts of TLS (RFC 8446, section 6).
const BAD_CERTIFICATE: u8 = 42;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const CERTIFICATE_EXPIRED: u8 = 45;
const CERTIFICATE_UNKNOWN: u8 = 46;
const UNKNOWN_CA: u8 = 48;
const DECRYPT_ERROR: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_APPLICATION_PROTOCOL: u8 = 120;
