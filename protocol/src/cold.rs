//! Where records lie that nobody will look at for a while: outside of memory.
//!
//! A task that is delayed by an hour is a record that is not touched for an hour. It is *cold*: what there
//! is to it is put away in a [`ColdStore`], and only what it takes to find it stays in memory. Shortly before
//! its time it is warmed, that is, read back.
//!
//! **It is a swap, not a second truth.** Durable is what the log and the snapshots hold, as ever; a cold
//! store is empty whenever a node starts, and is gone when it ends. What of a partition is cold is no part of its
//! state either: copies of it may have different records put away, for reasons of their own, and decide the
//! same.
//!
//! **What cannot be read back is never made up.** A scheduler of which a record is damaged tells nothing of
//! what it does in that step, and does nothing from then on: another is built from the log and the
//! snapshots. See [`Effect::Damaged`](crate::scheduler::Effect::Damaged).

mod memory;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use self::memory::MemoryColdStore;
use crate::limits::{COLD_AFTER, WARM_AHEAD};
use crate::time::Span;

/// Keeps bytes outside of memory, for as long as the process lives.
///
/// Whatever is put must be found again as it was, or not at all: a store keeps a sum of it.
pub trait ColdStore: fmt::Debug + Send + Sync {
    /// Puts `bytes` away. It is called for every task that is delayed, so it must not wait for a disk
    /// longer than a write to a file usually takes.
    ///
    /// # Errors
    /// When there is no room, or none can be had. Nothing has changed then.
    fn put(&self, bytes: &[u8]) -> Result<Place, Full>;

    /// What was put at `place`.
    ///
    /// # Errors
    /// When it is not what was put there, or cannot be read.
    fn get(&self, place: Place) -> Result<Vec<u8>, Damaged>;

    /// What was put at `place` is not wanted any more: others may have its room.
    fn free(&self, place: Place);

    /// Bytes that it takes where it keeps them.
    fn bytes(&self) -> u64;
}

/// Where something was put. What it means is known to the store alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u64);

/// There is no room, or none can be had: what was to be put away stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for more records outside of memory")]
pub struct Full;

/// What was put away is not there as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record that was put away cannot be read back: {0}")]
pub struct Damaged(pub String);

/// A store, and which records are put there. All clones are the same one.
#[derive(Clone, Debug)]
pub struct Cold {
    store: Arc<dyn ColdStore>,
    after: Span,
    ahead: Span,
    damage: Arc<OnceLock<Damaged>>,
}

impl Cold {
    /// Puts away what waits for longer than [`COLD_AFTER`].
    #[must_use]
    pub fn new(store: Arc<dyn ColdStore>) -> Self {
        Self::with_times(store, COLD_AFTER, WARM_AHEAD)
    }

    /// Puts away what waits for longer than `after`, and reads it back `ahead` of its time.
    #[must_use]
    pub fn with_times(store: Arc<dyn ColdStore>, after: Span, ahead: Span) -> Self {
        Self { store, after, ahead, damage: Arc::default() }
    }

    /// What waits for longer is put away.
    #[must_use]
    pub const fn after(&self) -> Span {
        self.after
    }

    /// So long before its time it is read back.
    #[must_use]
    pub const fn ahead(&self) -> Span {
        self.ahead
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn ColdStore {
        &*self.store
    }

    /// What was found of the first that was not there as it was put, if any was. It stays so: whoever has
    /// looked may have concluded what is not so.
    #[must_use]
    pub fn damage(&self) -> Option<&Damaged> {
        self.damage.get()
    }

    /// Something is not there as it was put.
    pub(crate) fn note_damage(&self, why: &Damaged) {
        self.damage.get_or_init(|| why.clone());
    }
}
