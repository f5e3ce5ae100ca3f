//! What can be wrong with certificates, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Role;

/// A certificate, key or authority cannot be made, read or used. Nothing was changed on disk unless
/// the variant says so; trying again helps only after what it names was mended.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Several certificates would do and none was named.
    #[error(
        "several {role} certificates in {}: {}; {}",
        dir.display(), names.join(", "), choose(*role)
    )]
    Ambiguous {
        /// Where.
        dir: PathBuf,
        /// What was looked for.
        role: Role,
        /// What was found.
        names: Vec<String>,
    },
    /// A name cannot be part of a certificate.
    #[error(
        "{name:?} cannot be the name of a certificate: use 1 to 63 lower-case letters, digits, \
         `-`, `_` and `.`, beginning and ending with a letter or digit, and not `ca`"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// It would overwrite what exists.
    #[error("{} exists already and is left alone: move it away to make a new one", path.display())]
    Exists {
        /// What exists.
        path: PathBuf,
    },
    /// The time of the certificate is over.
    #[error(
        "certificate {} expired at {not_after}: where the authority is, move {name}.pem and \
         {name}.key away, make new ones with `umbel ca issue {name} --dir DIR{}`, and copy them here",
        path.display(), flag(*role)
    )]
    Expired {
        /// The certificate.
        path: PathBuf,
        /// Whom it names.
        name: String,
        /// What it is for.
        role: Role,
        /// When it ended.
        not_after: jiff::Timestamp,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Key and certificate are of different pairs.
    #[error(
        "key {} does not belong to certificate {}: copy both files of the same name again",
        key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// A file is not there.
    #[error("no {what} at {}: {todo}", path.display())]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// How to get it.
        todo: &'static str,
    },
    /// The file does not hold what it should.
    #[error("{} does not hold a {what} in PEM form: copy it again", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The time of the certificate has not begun.
    #[error(
        "certificate {} is valid only from {not_before}: set this host's clock right",
        path.display()
    )]
    NotYetValid {
        /// The certificate.
        path: PathBuf,
        /// When it begins.
        not_before: jiff::Timestamp,
    },
    /// The certificate is not one of umbel's.
    #[error(
        "certificate {} names no umbel node or client: use those of `umbel ca issue`",
        path.display()
    )]
    NotUmbel {
        /// The certificate.
        path: PathBuf,
    },
    /// Making a key or a certificate failed.
    #[error("cannot make a certificate: {why}")]
    Make {
        /// Why.
        why: String,
    },
    /// TLS refuses the certificate for a reason of its own.
    #[error("certificate {} cannot be used: {why}", path.display())]
    Unusable {
        /// The certificate.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another authority signed it.
    #[error(
        "certificate {} was not issued by the authority in {}: both must come from the same \
         `umbel ca init`",
        certificate.display(), ca.display()
    )]
    WrongCa {
        /// The certificate.
        certificate: PathBuf,
        /// The authority.
        ca: PathBuf,
    },
    /// The certificate is for the other role.
    #[error(
        "certificate {} is that of a {found}, and a {wanted} needs one: issue it with \
         `umbel ca issue NAME --dir DIR{}`",
        path.display(), if *wanted == Role::Client { " --client" } else { "" }
    )]
    WrongRole {
        /// The certificate.
        path: PathBuf,
        /// What was asked for.
        wanted: Role,
        /// What it is.
        found: Role,
    },
}

impl TlsError {
    /// Wraps what the operating system said.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// How to say which of several is meant.
const fn choose(role: Role) -> &'static str {
    match role {
        Role::Client => {
            "say which one with `--cert NAME`, in a program with `ClientBuilder::certificate`"
        }
        Role::Node => "none is called as this node: start it under the name of one of them",
    }
}

const fn flag(role: Role) -> &'static str {
    match role {
        Role::Client => " --client",
        Role::Node => "",
    }
}
