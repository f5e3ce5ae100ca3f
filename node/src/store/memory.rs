//! A store without files, for tests and simulations.
//!
//! [`MemoryDisk`] is what a disk would be: it outlives the [`MemoryStore`]s that are opened on it,
//! so a crash is to drop the store and open another. It admits exactly the writes that
//! [`super::DiskStore`] does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use umbel_protocol::durable::{
    GroupWrite, HardState, Snapshot, StateWrite, StoredGroup, WriteBatch,
};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::error::StoreError;
use super::known::{Known, Point};
use super::{Chore, ChoreDone, Done, Recovered, SavedCheckpoint, Store};

/// What outlives a crash.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    groups: Arc<Mutex<BTreeMap<GroupId, StoredGroup>>>,
    synced: Arc<AtomicU64>,
}

impl MemoryDisk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a store on it. An older one must not be written any more.
    #[must_use]
    pub fn open(&self) -> (MemoryStore, Recovered) {
        let groups: Vec<_> = self.with(|groups| groups.values().cloned().collect());
        let known = groups.iter().map(|stored| (stored.group, Known::of(stored))).collect();
        let store = MemoryStore { disk: self.clone(), known, saved: Vec::new() };
        (store, Recovered { groups, doubtful: Vec::new() })
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<GroupId, StoredGroup>) -> T) -> T {
        // Changes are made after everything that can fail, so a panic leaves nothing half done.
        f(&mut self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See the module.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    known: BTreeMap<GroupId, Known>,
    saved: Vec<SavedCheckpoint>,
}

impl Store for MemoryStore {
    fn write(&mut self, batches: &[WriteBatch]) -> Result<(), StoreError> {
        let writes = || batches.iter().flat_map(|batch| &batch.groups);
        let mut known = self.known.clone();
        for write in writes() {
            let next = Known::after(known.get(&write.group), write).map_err(StoreError::Misuse)?;
            known.insert(write.group, next);
        }
        self.disk.with(|groups| {
            for write in writes() {
                apply(groups, write);
            }
            for saved in self.saved.drain(..) {
                if let Some(known) = known.get_mut(&saved.group)
                    && known.adopt(&saved)
                    && let Some(stored) = groups.get_mut(&saved.group)
                    && let Some(snapshot) = saved.snapshot
                {
                    cut(stored, &snapshot);
                }
            }
        });
        self.known = known;
        self.disk.synced.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn synced(&self) -> u64 {
        self.disk.synced.load(Ordering::Relaxed)
    }

    fn save_checkpoint(&mut self, group: GroupId, replica: ReplicaId, snapshot: Snapshot) -> Chore {
        Chore::new(move || {
            let Snapshot { index, term, .. } = snapshot;
            let snapshot = Some(snapshot);
            Ok(ChoreDone(Done::Saved(SavedCheckpoint { group, replica, index, term, snapshot })))
        })
    }

    fn save_state(&mut self, write: StateWrite) -> Chore {
        let StateWrite { group, replica, state } = write;
        let point = Point { index: state.index, term: state.term };
        Chore::new(move || Ok(ChoreDone(Done::Kept { group, replica, point })))
    }

    fn upkeep(&mut self) -> Result<Option<Chore>, StoreError> {
        Ok(None)
    }

    fn finish(&mut self, done: ChoreDone) {
        match done.0 {
            Done::Kept { .. } | Done::Purged => {}
            Done::Saved(saved) => self.saved.push(saved),
        }
    }
}

/// Does what an admitted write says.
fn apply(groups: &mut BTreeMap<GroupId, StoredGroup>, write: &GroupWrite) {
    let blank = || StoredGroup {
        group: write.group,
        replica: write.replica,
        destroyed: write.destroy,
        hard_state: HardState::default(),
        snapshot: None,
        entries: Vec::new(),
    };
    let stored = groups.entry(write.group).or_insert_with(blank);
    if stored.replica != write.replica || write.destroy {
        *stored = blank();
    }
    if let Some(snapshot) = &write.snapshot {
        stored.snapshot = Some(snapshot.clone());
        stored.entries.clear();
    }
    if let Some(first) = write.entries.first() {
        stored.entries.retain(|entry| entry.index < first.index);
        stored.entries.extend_from_slice(&write.entries);
    }
    if let Some(hard_state) = write.hard_state {
        stored.hard_state = hard_state;
    }
    if let Some(checkpoint) = &write.checkpoint {
        cut(stored, checkpoint);
    }
}

/// Lets `checkpoint` replace the entries up to it, unless it comes too late.
fn cut(stored: &mut StoredGroup, checkpoint: &Snapshot) {
    let present = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
    if checkpoint.index > present {
        stored.snapshot = Some(checkpoint.clone());
        stored.entries.retain(|entry| entry.index > checkpoint.index);
    }
}
