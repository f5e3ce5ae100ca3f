//! What can go wrong with a store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use umbel_protocol::id::{GroupId, ReplicaId};

/// Why a store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More is damaged than can be told apart. Nothing was changed.
    #[error(
        "{path} is damaged beyond repair ({what}): empty the data directory and start again; \
         the node then joins as a new one and is filled by its peers"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// No space left, or a quota or limit on file sizes reached. Nothing acknowledged is lost; the
    /// store takes no more writes until it is opened again.
    #[error(
        "no space left for {path}: free some and start the node again; nothing acknowledged is lost"
    )]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log engine refused. The store takes no more writes until it is opened again.
    #[error("the log in {path} failed")]
    Engine {
        /// The log's directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: raft_engine::Error,
    },
    /// The files were written by a newer version of umbel. Nothing was changed.
    #[error("{path} was written by a newer version of umbel: start that version")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The system refused. The store takes no more writes until it is opened again.
    #[error("cannot {action} {path}: check the disk and the permissions, then start again")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A bug in the caller. Nothing was written, and the store works on.
    #[error("a write breaks the contract of the store")]
    Misuse(#[source] Misuse),
    /// A sync failed or the writing thread broke down: what is on disk is not known. The process
    /// must end; when it starts again, the store finds out by itself.
    #[error(
        "{what}: what is on disk is not known, so the node must stop; check the disk, then start \
         again"
    )]
    Panicked {
        /// What the panic said.
        what: String,
    },
    /// An earlier write failed; open the store again.
    #[error("the store takes no more writes because an earlier one failed")]
    Poisoned,
}

impl StoreError {
    /// `source` while trying to `action` the file at `path`.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            Self::DiskFull { path, source }
        } else {
            Self::Io { action, path, source }
        }
    }

    /// What the log engine in `path` said.
    pub(super) fn engine(path: &Path, source: raft_engine::Error) -> Self {
        let path = path.to_owned();
        match source {
            raft_engine::Error::Io(source) if is_full(&source) => Self::DiskFull { path, source },
            // The engine retries in a new file when there is no space left, and says this when
            // there is none for that either.
            raft_engine::Error::TryAgain(what) => {
                Self::DiskFull { path, source: io::Error::new(io::ErrorKind::StorageFull, what) }
            }
            source => Self::Engine { path, source },
        }
    }

    /// A panic, caught.
    pub(super) fn panicked(payload: &(dyn std::any::Any + Send)) -> Self {
        Self::Panicked { what: panic_text(payload) }
    }
}

/// What a panic said.
pub(super) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What a caller got wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A checkpoint beyond the end of the log.
    #[error("a checkpoint of {group} at {index} lies beyond its last entry {last}")]
    CheckpointAhead {
        /// The group.
        group: GroupId,
        /// The checkpoint's index.
        index: u64,
        /// The last entry.
        last: u64,
    },
    /// A checkpoint of an entry that the log does not have.
    #[error("a checkpoint of {group} at {index} has the term {term}, unlike its entry")]
    CheckpointTerm {
        /// The group.
        group: GroupId,
        /// The checkpoint's index.
        index: u64,
        /// The checkpoint's term.
        term: u64,
    },
    /// The copy was destroyed.
    #[error("copy {} of {group} was destroyed", replica.0)]
    Destroyed {
        /// The group.
        group: GroupId,
        /// The copy.
        replica: ReplicaId,
    },
    /// Destroying and writing at once.
    #[error("a write destroys copy {} of {group} and fills it", replica.0)]
    DestroyedAndFilled {
        /// The group.
        group: GroupId,
        /// The copy.
        replica: ReplicaId,
    },
    /// Entries that do not follow each other or the log.
    #[error("{group} writes entry {index} where the log takes {first} to {next}")]
    Hole {
        /// The group.
        group: GroupId,
        /// The entry.
        index: u64,
        /// The lowest index that may be replaced.
        first: u64,
        /// The index that would extend the log.
        next: u64,
    },
    /// A copy that was replaced by a higher one.
    #[error("copy {} of {group} was replaced by {}", replica.0, by.0)]
    Replaced {
        /// The group.
        group: GroupId,
        /// The copy that writes.
        replica: ReplicaId,
        /// The highest known.
        by: ReplicaId,
    },
    /// A received snapshot older than the one that is there.
    #[error("a snapshot of {group} at {index} is older than the present one at {present}")]
    SnapshotBehind {
        /// The group.
        group: GroupId,
        /// The new one's index.
        index: u64,
        /// The present one's index.
        present: u64,
    },
    /// More bytes in one batch than the log can take.
    #[error("batch {number} is too large for the log")]
    TooLarge {
        /// The batch.
        number: u64,
    },
}
