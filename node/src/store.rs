//! Keeping what must survive a crash.
//!
//! [`Store`] is what the deciding side's [`WriteBatch`]es go into; [`DiskStore`] keeps them on disk,
//! [`MemoryStore`] in memory for tests and simulations, and both pass one conformance suite.
//! [`ColdFile`] keeps what need not survive anything. [`Writer`] is the one thread that owns a store and lets batches of all actors share an fsync.
//!
//! The promise: when [`Store::write`] returns, everything in the batches survives any crash, and
//! what cannot be vouched for when a store is opened is never handed out as if it were whole.
//! Deciding what to write is deliberately absent.

mod census;
mod cold;
mod disk;
mod error;
mod known;
mod memory;
mod probe;
mod reading;
mod record;
mod recovery;
mod snapshot_file;
mod watermark;
mod writer;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod damage_tests;

use std::fmt;

use umbel_protocol::durable::{Snapshot, StateWrite, StoredGroup, WriteBatch};
use umbel_protocol::id::{GroupId, ReplicaId};

pub use self::cold::ColdFile;
pub use self::disk::{DiskStore, Sizes};
pub use self::error::{Misuse, StoreError};
use self::known::Point;
pub use self::memory::{MemoryDisk, MemoryStore};
pub use self::writer::{Persisted, SubmitError, Writer, WriterHandle};

/// Where batches become durable.
///
/// One caller at a time, who hands in batches in the order of their numbers. After an error other
/// than [`StoreError::Misuse`] all further writes are refused with [`StoreError::Poisoned`]: what
/// is on disk is then only known to a process that opens it anew.
pub trait Store: Send + 'static {
    /// Writes all of `batches`, and with them what [`Store::finish`] was given. On return all of it
    /// is durable.
    fn write(&mut self, batches: &[WriteBatch]) -> Result<(), StoreError>;

    /// The work of saving a checkpoint beside the write thread. Until its result has come back
    /// through [`Store::finish`] and one more write has returned, the log still holds everything
    /// that the checkpoint would replace, so nothing depends on when that happens.
    ///
    /// The entries up to the checkpoint must have been written before.
    fn save_checkpoint(&mut self, group: GroupId, replica: ReplicaId, snapshot: Snapshot) -> Chore;

    /// The work of putting the bytes of a received state on the disk beside the write thread. Once its
    /// result has come back through [`Store::finish`], a write that names the state is as small as
    /// any; one that names a state without that puts the bytes there itself.
    fn save_state(&mut self, write: StateWrite) -> Chore;

    /// Work that is due to keep the store small, if any; to be asked for after each write.
    fn upkeep(&mut self) -> Result<Option<Chore>, StoreError>;

    /// Takes the result of a chore; it counts from the next write on.
    fn finish(&mut self, done: ChoreDone);

    /// How many writes it has synced since it was made: after a crash no fewer than were told before.
    fn synced(&self) -> u64;
}

/// Work of a store that may be done on another thread than its writes.
pub struct Chore(Box<dyn FnOnce() -> Result<ChoreDone, StoreError> + Send>);

impl Chore {
    pub(crate) fn new(
        work: impl FnOnce() -> Result<ChoreDone, StoreError> + Send + 'static,
    ) -> Self {
        Self(Box::new(work))
    }

    /// Does it.
    pub fn run(self) -> Result<ChoreDone, StoreError> {
        (self.0)()
    }
}

impl fmt::Debug for Chore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chore")
    }
}

/// What came of a [`Chore`].
#[derive(Debug)]
pub struct ChoreDone(Done);

#[derive(Debug)]
enum Done {
    /// The bytes of a received state are safe and wait to be named by a write.
    Kept { group: GroupId, replica: ReplicaId, point: Point },
    /// Old log files are gone.
    Purged,
    /// The state of a copy is safe and waits to be named by the log.
    Saved(SavedCheckpoint),
}

#[derive(Debug)]
struct SavedCheckpoint {
    group: GroupId,
    replica: ReplicaId,
    index: u64,
    term: u64,
    /// Only a store without files needs it.
    snapshot: Option<Snapshot>,
}

/// What a store found when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every group that ever had a copy here, in ascending order.
    pub groups: Vec<StoredGroup>,
    /// Copies that lost something or may have. They are in `groups` as destroyed, and durably so:
    /// they never vote or acknowledge again, whatever later starts find. Their groups must be told
    /// to replace them.
    pub doubtful: Vec<Doubt>,
}

/// A copy that cannot be vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The group.
    pub group: GroupId,
    /// The highest id that its copy here may have had.
    pub replica: ReplicaId,
    /// What was found.
    pub damage: Damage,
}

/// Why a copy cannot be vouched for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The log ends before the last write that was acknowledged.
    #[error("the log ends at write {found} but write {completed} was acknowledged")]
    CutOff {
        /// The last write that the log holds.
        found: u64,
        /// The last write known to have been synced.
        completed: u64,
    },
    /// Entries are missing or are not those that were written.
    #[error("the group's log is damaged: {0}")]
    Entries(String),
    /// The log files as a whole cannot be read.
    #[error("the log cannot be read: {0}")]
    Log(String),
    /// The file with the group's state is missing or damaged.
    #[error("the group's snapshot is damaged: {0}")]
    Snapshot(String),
    /// The log holds an older state of the group than was once durable.
    #[error("the log holds the group as of write {found} but write {known} was durable")]
    Stale {
        /// The last write to the group that the log holds.
        found: u64,
        /// A later write that had been synced.
        known: u64,
    },
    /// The file that tells how far the log was synced is missing or damaged.
    #[error("the watermark is missing or damaged, so that nobody knows how far the log reached")]
    Watermark,
}
