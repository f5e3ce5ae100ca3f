//! A cold store that is no colder than anything else: for tests and simulations.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ColdStore, Damaged, Full, Place};

/// Keeps what it is given in memory.
#[derive(Debug, Default)]
pub struct MemoryColdStore {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: BTreeMap<u64, Vec<u8>>,
    next: u64,
    bytes: u64,
    room: u64,
    puts: u64,
    gets: u64,
}

impl Default for Inner {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), next: 0, bytes: 0, room: u64::MAX, puts: 0, gets: 0 }
    }
}

impl MemoryColdStore {
    /// One that has room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: u64) -> Self {
        Self { inner: Mutex::new(Inner { room: bytes, ..Inner::default() }) }
    }

    /// How often something was put here, and how often something was read.
    #[must_use]
    pub fn uses(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.puts, inner.gets)
    }

    /// Loses all that is here, as a disk might.
    pub fn wipe(&self) {
        self.inner().kept.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whatever panicked has not left anything half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ColdStore for MemoryColdStore {
    fn put(&self, bytes: &[u8]) -> Result<Place, Full> {
        let mut inner = self.inner();
        let more = bytes.len() as u64;
        if inner.bytes + more > inner.room {
            return Err(Full);
        }
        inner.next += 1;
        inner.puts += 1;
        inner.bytes += more;
        let place = inner.next;
        inner.kept.insert(place, bytes.to_vec());
        Ok(Place(place))
    }

    fn get(&self, place: Place) -> Result<Vec<u8>, Damaged> {
        let mut inner = self.inner();
        inner.gets += 1;
        inner.kept.get(&place.0).cloned().ok_or_else(|| Damaged("it is gone".to_owned()))
    }

    fn free(&self, place: Place) {
        let mut inner = self.inner();
        if let Some(gone) = inner.kept.remove(&place.0) {
            inner.bytes -= gone.len() as u64;
        }
    }

    fn bytes(&self) -> u64 {
        self.inner().bytes
    }
}
