//! The store on disk: all groups in one log, their states in files beside it.
//!
//! One log batch of the engine carries all of a [`Store::write`] and is synced once; it is there
//! whole after a crash or not at all. The order of things within a write is what recovery rests
//! on: files of received snapshots (mostly on the chore thread, long before), then the census if it does not know a copy yet, then the log,
//! then the watermark, and only then are old files removed.
//!
//! The engine panics when a sync fails, and must not be used or even dropped after that: from the
//! first failure on this store has no engine any more.

use std::collections::BTreeMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use raft_engine::{Command, LogBatch};
use umbel_protocol::durable::{GroupWrite, Snapshot, StateWrite, WriteBatch};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::census::{Census, Row};
use super::error::{Misuse, StoreError};
use super::known::{Known, Point};
use super::probe::Engine;
#[cfg(test)]
use super::probe::Probe;
use super::record::{
    COMMON_REGION, COUNTER_KEY, Entries, RECORD_KEY, Record, encode_entry, region,
};
use super::snapshot_file::SnapshotDir;
use super::watermark::Watermark;
use super::{Chore, ChoreDone, Done, Recovered, SavedCheckpoint, Store, recovery};

/// Batches of one write that are put into one record of the log: larger ones would only make
/// recovery hold more in memory.
const RUN_BYTES: usize = 32 * 1024 * 1024;

/// How large files grow. The defaults are for use; tests take small ones.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// One file of the log.
    pub log_file_bytes: u64,
    /// Bytes of log files above which old ones are cleared away.
    pub log_bytes: u64,
    /// Bytes written between two looks at whether that is so.
    pub upkeep_bytes: u64,
}

impl Sizes {
    /// For a log of so many bytes: it goes away an eighth at a time.
    #[must_use]
    pub const fn of(log_bytes: u64) -> Self {
        let log_file_bytes = log_bytes / 8;
        Self { log_file_bytes, log_bytes, upkeep_bytes: log_file_bytes }
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self::of(512 * 1024 * 1024)
    }
}

/// See the module.
pub struct DiskStore {
    /// None from the first failure on.
    pub(super) engine: Option<Arc<Engine>>,
    #[cfg(test)]
    pub(super) probe: Arc<Probe>,
    pub(super) log_path: PathBuf,
    pub(super) snapshots: SnapshotDir,
    pub(super) census: Census,
    pub(super) watermark: Watermark,
    /// The last write.
    pub(super) counter: u64,
    pub(super) known: BTreeMap<GroupId, Held>,
    /// Checkpoints that are safe in their files and not yet named by the log.
    pub(super) saved: Vec<SavedCheckpoint>,
    /// Received states whose files are safe and not yet named by the log, one of a group.
    pub(super) kept: BTreeMap<GroupId, (ReplicaId, Point)>,
    pub(super) sizes: Sizes,
    /// Bytes of the log since old files were last looked at, by whatever process they were written.
    pub(super) written_bytes: u64,
    /// Whether they are being cleared away now.
    pub(super) purging: bool,
}

/// What the log holds of a group.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) known: Known,
    /// The write that made its record.
    pub(super) stamp: u64,
}

impl DiskStore {
    /// Opens the store in `dir`, or makes one there. Whoever calls this holds the directory's lock.
    pub fn open(dir: &Path) -> Result<(Self, Recovered), StoreError> {
        Self::open_with(dir, Sizes::default())
    }

    /// The same with files of other sizes.
    pub fn open_with(dir: &Path, sizes: Sizes) -> Result<(Self, Recovered), StoreError> {
        recovery::open(dir, sizes)
    }

    /// Writes one record of the log and what belongs to it.
    fn write_run(&mut self, batches: &[WriteBatch]) -> Result<(), StoreError> {
        let mut plan = self.plan(batches)?;
        for write in batches.iter().flat_map(|batch| &batch.groups) {
            // Named from now on, or never: its group has gone on without it.
            if let Some((replica, point)) = self.kept.get(&write.group)
                && (write.snapshot.is_some() || write.destroy || write.replica != *replica)
            {
                plan.spent.push(write.group);
                plan.retired.push((write.group, *replica, point.index));
            }
        }
        if plan.next.is_empty() {
            self.remove_files(&plan.retired);
            return Ok(());
        }
        for (write, snapshot) in &plan.states {
            let point = Point { index: snapshot.index, term: snapshot.term };
            if self.kept.get(&write.group) != Some(&(write.replica, point)) {
                self.snapshots.save(write.group, write.replica, snapshot)?;
            }
        }
        for group in &plan.spent {
            self.kept.remove(group);
        }
        self.enter_copies(&plan.next)?;
        self.commit(plan.log)?;
        let stamp = self.counter;
        self.known.extend(plan.next.into_iter().map(|(id, known)| (id, Held { known, stamp })));
        self.remove_files(&plan.retired);
        Ok(())
    }

    /// What the next record of the log will be.
    fn plan<'a>(&mut self, batches: &'a [WriteBatch]) -> Result<Plan<'a>, StoreError> {
        let mut plan = Plan::default();
        for batch in batches {
            for write in &batch.groups {
                let held = self.known.get(&write.group).map(|held| &held.known);
                let planned = plan.next.remove(&write.group);
                let known = planned.as_ref().or(held);
                let next = Known::after(known, write).map_err(StoreError::Misuse)?;
                plan.add(known, write, batch.number)?;
                plan.advance(write.group, known, next);
            }
        }
        for saved in mem::take(&mut self.saved) {
            let held = self.known.get(&saved.group).map(|held| &held.known);
            let known = plan.next.get(&saved.group).or(held).cloned();
            let mut next = known.clone();
            if next.as_mut().is_some_and(|next| next.adopt(&saved))
                && let Some(next) = next
            {
                plan.cut(saved.group, saved.index);
                plan.advance(saved.group, known.as_ref(), next);
            } else {
                plan.retired.push((saved.group, saved.replica, saved.index));
            }
        }
        let counter = self.counter + 1;
        for (group, known) in &plan.next {
            let record = Record::new(known, counter).encode();
            put(&mut plan.log, region(*group), RECORD_KEY, record);
        }
        put(&mut plan.log, COMMON_REGION, COUNTER_KEY, self.watermark.marker(counter));
        Ok(plan)
    }

    /// Lets the census know of copies before the log does.
    fn enter_copies(&mut self, next: &BTreeMap<GroupId, Known>) -> Result<(), StoreError> {
        let mut changed = false;
        for (group, known) in next {
            let row = self.census.rows.entry(*group);
            let row = row.or_insert(Row { replica: ReplicaId(0), stamp: 0 });
            if row.replica < known.replica {
                row.replica = known.replica;
                changed = true;
            }
        }
        if changed { self.save_census() } else { Ok(()) }
    }

    /// Writes the census with all that is durable now.
    pub(super) fn save_census(&mut self) -> Result<(), StoreError> {
        for (group, held) in &self.known {
            if let Some(row) = self.census.rows.get_mut(group) {
                row.stamp = held.stamp;
            }
        }
        self.census.save()
    }

    /// Writes and syncs one record of the log and moves the watermark up to it.
    pub(super) fn commit(&mut self, mut log: LogBatch) -> Result<(), StoreError> {
        let engine = self.engine.as_ref().ok_or(StoreError::Poisoned)?;
        let written = catch_unwind(AssertUnwindSafe(|| engine.write(&mut log, true)))
            .map_err(|payload| StoreError::panicked(&*payload))?
            .map_err(|error| StoreError::engine(&self.log_path, error))?;
        self.counter += 1;
        self.written_bytes += written as u64;
        self.watermark.advance(self.counter)
    }

    /// Removes the files of states that nothing names any more.
    fn remove_files(&self, retired: &[(GroupId, ReplicaId, u64)]) {
        for &(group, replica, index) in retired {
            let named = self.known.get(&group).is_some_and(|held| {
                held.known.replica == replica && held.known.base().index == index
            });
            if !named {
                self.snapshots.remove(group, replica, index);
            }
        }
    }

    /// From now on nothing is written any more.
    fn poison(&mut self) {
        // Dropping the engine would sync again, and panic if that fails again.
        mem::forget(self.engine.take());
    }
}

impl Store for DiskStore {
    fn synced(&self) -> u64 {
        self.counter
    }

    fn write(&mut self, batches: &[WriteBatch]) -> Result<(), StoreError> {
        if self.engine.is_none() {
            return Err(StoreError::Poisoned);
        }
        let mut rest = batches;
        loop {
            let (run, behind) = rest.split_at(run_len(rest));
            let result = self.write_run(run);
            if let Err(error) = result {
                if !matches!(error, StoreError::Misuse(_)) {
                    self.poison();
                }
                return Err(error);
            }
            if behind.is_empty() {
                return Ok(());
            }
            rest = behind;
        }
    }

    fn save_checkpoint(&mut self, group: GroupId, replica: ReplicaId, snapshot: Snapshot) -> Chore {
        let snapshots = self.snapshots.clone();
        Chore::new(move || {
            snapshots.save(group, replica, &snapshot)?;
            let Snapshot { index, term, .. } = snapshot;
            let saved = SavedCheckpoint { group, replica, index, term, snapshot: None };
            Ok(ChoreDone(Done::Saved(saved)))
        })
    }

    fn save_state(&mut self, write: StateWrite) -> Chore {
        let snapshots = self.snapshots.clone();
        let StateWrite { group, replica, state } = write;
        Chore::new(move || {
            snapshots.save(group, replica, &state)?;
            let point = Point { index: state.index, term: state.term };
            Ok(ChoreDone(Done::Kept { group, replica, point }))
        })
    }

    fn upkeep(&mut self) -> Result<Option<Chore>, StoreError> {
        if self.purging || self.written_bytes < self.sizes.upkeep_bytes {
            return Ok(None);
        }
        let Some(engine) = self.engine.clone() else { return Err(StoreError::Poisoned) };
        self.written_bytes = 0;
        // Damage to what is rewritten shows only by comparison with what the census remembers.
        if let Err(error) = self.watermark.sync().and_then(|()| self.save_census()) {
            self.poison();
            return Err(error);
        }
        self.purging = true;
        let (log_path, log_bytes) = (self.log_path.clone(), self.sizes.log_bytes);
        Ok(Some(Chore::new(move || {
            // See [`super::reading`] for why this has a thread of its own.
            let purged = thread::scope(|scope| scope.spawn(|| purge(&engine, log_bytes)).join());
            if !matches!(purged, Ok(Ok(()))) {
                mem::forget(engine);
            }
            purged
                .map_err(|payload| StoreError::panicked(&*payload))?
                .map_err(|error| StoreError::engine(&log_path, error))?;
            Ok(ChoreDone(Done::Purged))
        })))
    }

    fn finish(&mut self, done: ChoreDone) {
        match done.0 {
            Done::Kept { group, replica, point } => {
                let unnamed = self.kept.insert(group, (replica, point));
                if let Some((replica, point)) = unnamed.filter(|other| *other != (replica, point)) {
                    self.remove_files(&[(group, replica, point.index)]);
                }
            }
            Done::Purged => self.purging = false,
            Done::Saved(saved) => self.saved.push(saved),
        }
    }
}

/// Clears old files away until no more than `log_bytes` are left, or nothing more can go.
///
/// The engine names groups that keep old files from going, and has patience with them for so many rounds:
/// then it copies what they need of these by itself. It counts rounds in memory, so they all come at once
/// here: of a process that is ended soon none would be the last.
fn purge(engine: &Engine, log_bytes: u64) -> raft_engine::Result<()> {
    for _ in 0..=PURGE_PATIENCE {
        let in_the_way = engine.purge_expired_files()?;
        if in_the_way.is_empty() || engine.get_used_size() as u64 <= log_bytes {
            break;
        }
    }
    Ok(())
}

/// `MAX_COUNT_BEFORE_FORCE_REWRITE` of the engine.
const PURGE_PATIENCE: u32 = 9;

/// How many of `batches` go into one record: at least one, if there is any.
fn run_len(batches: &[WriteBatch]) -> usize {
    let mut bytes = 0;
    let fits = |batch: &&WriteBatch| {
        let entries = batch.groups.iter().flat_map(|write| &write.entries);
        bytes += entries.map(|entry| entry.data.len()).sum::<usize>();
        bytes <= RUN_BYTES
    };
    batches.iter().take_while(fits).count().max(1).min(batches.len())
}

/// One record of the log in the making.
#[derive(Default)]
struct Plan<'a> {
    log: LogBatch,
    /// The groups it changes, as they will be.
    next: BTreeMap<GroupId, Known>,
    /// States whose files must be safe before.
    states: Vec<(&'a GroupWrite, &'a Snapshot)>,
    /// States whose files may go after, unless they are named then.
    retired: Vec<(GroupId, ReplicaId, u64)>,
    /// Groups whose kept states are of no more use after.
    spent: Vec<GroupId>,
}

impl<'a> Plan<'a> {
    /// `group` is `to` now. The file of its state is only left behind if that has another.
    fn advance(&mut self, group: GroupId, from: Option<&Known>, to: Known) {
        if let Some(from) = from
            && let Some(state) = from.snapshot
            && (from.replica, from.snapshot) != (to.replica, to.snapshot)
        {
            self.retired.push((group, from.replica, state.index));
        }
        self.next.insert(group, to);
    }

    /// Adds what `write` does to a group of which `known` is known.
    fn add(
        &mut self,
        known: Option<&Known>,
        write: &'a GroupWrite,
        number: u64,
    ) -> Result<(), StoreError> {
        let region = region(write.group);
        let anew = known.is_none_or(|known| Known::starts_anew(known, write));
        if anew {
            self.log.add_command(region, Command::Clean);
        }
        let mut term = match (&write.snapshot, known, write.entries.first()) {
            (Some(snapshot), _, _) => snapshot.term,
            (None, Some(known), Some(first)) if !anew => known.term(first.index - 1),
            (None, _, _) => 0,
        };
        let entries: Vec<_> = write
            .entries
            .iter()
            .map(|entry| encode_entry(entry, mem::replace(&mut term, entry.term)))
            .collect();
        self.log
            .add_entries::<Entries>(region, &entries)
            .map_err(|_| StoreError::Misuse(Misuse::TooLarge { number }))?;
        self.states.extend(write.snapshot.iter().map(|snapshot| (write, snapshot)));
        if let Some(checkpoint) = &write.checkpoint {
            self.states.push((write, checkpoint));
            self.cut(write.group, checkpoint.index);
        }
        Ok(())
    }

    /// Lets go of all entries up to `index`.
    fn cut(&mut self, group: GroupId, index: u64) {
        self.log.add_command(region(group), Command::Compact { index: index + 1 });
    }
}

/// Adds a key to `log`.
pub(super) fn put(log: &mut LogBatch, region: u64, key: &[u8], value: Vec<u8>) {
    log.put(region, key.to_vec(), value).expect("our keys are not the engine's own");
}

#[cfg(test)]
mod tests {
    use umbel_protocol::durable::GroupWrite;

    use super::super::conformance::{OnDisk, Place, SMALL, append, batch, blank, snapshot};
    use super::*;

    fn clear(store: &mut DiskStore) {
        if let Some(chore) = store.upkeep().unwrap() {
            store.finish(chore.run().unwrap());
        }
    }

    /// Bytes of all files of the log.
    fn log_bytes(store: &DiskStore) -> u64 {
        let files = std::fs::read_dir(&store.log_path).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    /// A process that appends `entries` to one group, saves its state, and is ended when what can be
    /// cleared away is; bytes of the log then.
    fn live(store: &mut DiskStore, life: u64, entries: u64) -> u64 {
        let first = life * entries + 1;
        let last = first + entries - 1;
        store.write(&[batch(1, vec![append(1, first..=last, 1)])]).unwrap();
        let checkpoint = Some(snapshot(last - 1, 1));
        store.write(&[batch(2, vec![GroupWrite { checkpoint, ..blank(1, 1) }])]).unwrap();
        clear(store);
        log_bytes(store)
    }

    #[test]
    fn a_log_stays_in_its_limits_though_no_process_lives_to_write_much() {
        let place = OnDisk::new();
        let most = (0..200).map(|life| {
            let (mut store, _) = place.open();
            live(&mut store, life, 10)
        });
        let most = most.max().unwrap();
        assert!(most < 3 * SMALL.log_bytes, "{most} bytes");
    }

    #[test]
    fn a_group_that_has_much_in_old_files_and_writes_no_more_keeps_none_of_them() {
        let place = OnDisk::new();
        let most = (0..100).map(|life| {
            let (mut store, _) = place.open();
            if life == 0 {
                store.write(&[batch(1, vec![append(2, 1..=60, 1)])]).unwrap();
            }
            live(&mut store, life, 20)
        });
        let most = most.max().unwrap();
        assert!(most < 3 * SMALL.log_bytes, "{most} bytes");
        let stored = place.open().1.groups;
        let idle = stored.iter().find(|stored| stored.group == GroupId(2)).unwrap();
        assert_eq!(idle.entries.len(), 60);
    }
}
