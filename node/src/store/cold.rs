//! Records outside of memory, in a file that lives no longer than the process.
//!
//! *Owns* the file; nothing in it is ever read by another process, as all of it is in the store as well. It
//! has no name: whatever ends the process, nothing of it is left behind.
//!
//! A record lies in a slot of whole units behind a sum of it. Records are written in bulk at the end of
//! the file, or into a slot that was freed by one that took as many units; when none is left the file is
//! emptied. It may grow beyond what there was at a time if the sizes of records change: up to its limit, or for as
//! long as the disk has room.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::statvfs::fstatvfs;
use tracing::warn;
use umbel_protocol::cold::{ColdStore, Damaged, Full, Place};
use umbel_protocol::limits::COLD_BYTES_MAX;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What slots begin and end at: a place is a number of units, so it takes four bytes.
const UNIT: usize = 32;
/// Bytes of the sum before each record.
const SUM: usize = 8;
/// So much is written at once.
const TAIL: usize = 64 * 1024;
/// While there is no room on the disk it is asked again before each of so many that are refused.
const ASK_AGAIN: u32 = 1_024;

const _: () = assert!(COLD_BYTES_MAX / UNIT as u64 <= u32::MAX as u64);

/// See the [module](self).
#[derive(Debug)]
pub struct ColdFile {
    inner: Mutex<Inner>,
    /// Bytes that the file may grow to.
    limit: u64,
    /// Bytes that are to be left on the disk.
    reserve: u64,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Units up to the end of the last slot.
    end: u32,
    /// The last slots, as far as they are not in the file.
    tail: Vec<u8>,
    /// Slots that are free, by their sizes.
    free: BTreeMap<u32, Vec<u32>>,
    /// Slots in use.
    used: u64,
    /// Whether something could not be written: what is in the tail stays there, and nothing more comes.
    has_failed: bool,
    /// How many were refused since the disk was found to have too little room.
    refused: Option<u32>,
}

impl ColdFile {
    /// Makes one in `dir`, which takes nothing of the `reserve` that is to be left on its disk.
    ///
    /// # Errors
    /// What the system says; nothing is left there then.
    pub fn create(dir: &Path, reserve: u64) -> io::Result<Self> {
        Self::with_limit(dir, reserve, COLD_BYTES_MAX)
    }

    /// The same that grows to `limit` bytes at most.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn with_limit(dir: &Path, reserve: u64, limit: u64) -> io::Result<Self> {
        let path = dir.join(NAME);
        // One that is still in use has no name any more; this is of a process that was killed meanwhile.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self { inner: Mutex::new(Inner::new(file)), limit, reserve })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whatever panicked has left no slot half written: it is not in use yet.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file may have `units` more.
    fn may_grow(&self, inner: &mut Inner, units: u32) -> bool {
        let end = u64::from(inner.end) + u64::from(units);
        if end * UNIT as u64 > self.limit.min(COLD_BYTES_MAX) {
            return false;
        }
        let Some(refused) = &mut inner.refused else {
            return true;
        };
        *refused += 1;
        if refused.is_multiple_of(ASK_AGAIN) && has_room(&inner.file, self.reserve) {
            inner.refused = None;
        }
        inner.refused.is_none()
    }
}

impl ColdStore for ColdFile {
    fn put(&self, bytes: &[u8]) -> Result<Place, Full> {
        let mut inner = self.inner();
        let len = u32::try_from(bytes.len()).map_err(|_| Full)?;
        let units = units_of(len).ok_or(Full)?;
        if inner.has_failed {
            return Err(Full);
        }
        let reused = inner.free.get_mut(&units).and_then(Vec::pop);
        let at = match reused {
            Some(at) => at,
            None if self.may_grow(&mut inner, units) => inner.end,
            None => return Err(Full),
        };
        let mut slot = Vec::with_capacity(units as usize * UNIT);
        slot.extend_from_slice(&sum_of(bytes, at).to_le_bytes());
        slot.extend_from_slice(bytes);
        if reused.is_some() {
            inner.write(at, &slot)?;
        } else {
            slot.resize(units as usize * UNIT, 0);
            inner.tail.extend_from_slice(&slot);
            inner.end += units;
            if inner.tail.len() >= TAIL && inner.flush() && !has_room(&inner.file, self.reserve) {
                inner.refused = Some(0);
            }
        }
        inner.used += 1;
        Ok(Place(u64::from(at) << 32 | u64::from(len)))
    }

    fn get(&self, place: Place) -> Result<Vec<u8>, Damaged> {
        let (at, len) = parts(place);
        let mut bytes = vec![0; SUM + len as usize];
        self.inner().read(at, &mut bytes).map_err(|why| Damaged(why.to_string()))?;
        let rest = bytes.split_off(SUM);
        if bytes == sum_of(&rest, at).to_le_bytes() {
            Ok(rest)
        } else {
            Err(Damaged("it is not what was written there".to_owned()))
        }
    }

    fn free(&self, place: Place) {
        let (at, len) = parts(place);
        let mut inner = self.inner();
        let Some(units) = units_of(len) else {
            return;
        };
        inner.used = inner.used.saturating_sub(1);
        if inner.used > 0 {
            inner.free.entry(units).or_default().push(at);
        } else {
            inner.clear();
        }
    }

    fn bytes(&self) -> u64 {
        u64::from(self.inner().end) * UNIT as u64
    }
}

impl Inner {
    const fn new(file: File) -> Self {
        Self {
            file,
            end: 0,
            tail: Vec::new(),
            free: BTreeMap::new(),
            used: 0,
            has_failed: false,
            refused: None,
        }
    }

    /// Nothing is in use.
    fn clear(&mut self) {
        self.end = 0;
        self.tail = Vec::new();
        self.free.clear();
        // What cannot be cut is written over.
        self.has_failed = self.file.set_len(0).inspect_err(failed).is_err();
    }

    /// Where the tail begins, in bytes.
    const fn tail_at(&self) -> usize {
        self.end as usize * UNIT - self.tail.len()
    }

    /// Writes the tail; whether that went well.
    fn flush(&mut self) -> bool {
        let written = self.file.write_all_at(&self.tail, self.tail_at() as u64);
        self.has_failed = written.inspect_err(failed).is_err();
        if !self.has_failed {
            self.tail.clear();
        }
        !self.has_failed
    }

    /// Writes a slot that there was before.
    fn write(&mut self, at: u32, slot: &[u8]) -> Result<(), Full> {
        let (at, tail_at) = (at as usize * UNIT, self.tail_at());
        if let Some(at) = at.checked_sub(tail_at) {
            let place = self.tail.get_mut(at..at + slot.len()).ok_or(Full)?;
            place.copy_from_slice(slot);
            return Ok(());
        }
        let written = self.file.write_all_at(slot, at as u64);
        self.has_failed = written.inspect_err(failed).is_err();
        if self.has_failed { Err(Full) } else { Ok(()) }
    }

    fn read(&self, at: u32, bytes: &mut [u8]) -> io::Result<()> {
        let (at, tail_at) = (at as usize * UNIT, self.tail_at());
        let Some(at_in_tail) = at.checked_sub(tail_at) else {
            return self.file.read_exact_at(bytes, at as u64);
        };
        let slot = self.tail.get(at_in_tail..at_in_tail + bytes.len());
        bytes.copy_from_slice(slot.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

fn failed(why: &io::Error) {
    warn!(%why, "records of delayed tasks cannot be put away any more: they stay in memory");
}

fn has_room(file: &File, reserve: u64) -> bool {
    // A disk that does not tell says so when it has none.
    fstatvfs(file).map_or(true, |told| {
        told.blocks_available().saturating_mul(told.fragment_size()) >= reserve
    })
}

/// Of so many bytes, each at its place: one that lies elsewhere is another.
fn sum_of(bytes: &[u8], at: u32) -> u64 {
    xxh3_64_with_seed(bytes, u64::from(at) << 32 | bytes.len() as u64)
}

fn parts(place: Place) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = place.0.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// Units of the slot for a record of `len` bytes. There are few sizes of large ones, so that slots are used
/// again; no more than an eighth is left empty.
fn units_of(len: u32) -> Option<u32> {
    let units = len.checked_add(SUM as u32)?.div_ceil(UNIT as u32);
    let step = (units.checked_next_power_of_two()? / 16).max(1);
    units.checked_next_multiple_of(step)
}

/// What it is called for a moment.
const NAME: &str = "cold.tmp";

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use umbel_protocol::cold::MemoryColdStore;

    use super::*;

    fn file(limit: u64) -> (tempfile::TempDir, ColdFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = ColdFile::with_limit(dir.path(), 0, limit).unwrap();
        (dir, file)
    }

    fn bytes(seed: u32, len: usize) -> Vec<u8> {
        (0..len).map(|n| (seed.wrapping_mul(31) as usize + n * 7) as u8).collect()
    }

    /// What every cold store promises: `steps` are a record to be put, or which one is to be freed.
    fn conforms(store: &dyn ColdStore, steps: &[(bool, usize, usize)]) {
        let mut kept: BTreeMap<Place, Vec<u8>> = BTreeMap::new();
        for (n, (is_put, which, len)) in steps.iter().enumerate() {
            let before = store.bytes();
            if *is_put || kept.is_empty() {
                let record = bytes(n as u32, *len);
                match store.put(&record) {
                    Ok(place) => {
                        assert_eq!(kept.insert(place, record), None, "a place is taken twice")
                    }
                    Err(Full) => assert_eq!(store.bytes(), before, "nothing has changed"),
                }
            } else {
                let place = *kept.keys().nth(which % kept.len()).unwrap();
                kept.remove(&place);
                store.free(place);
            }
            if n % 16 == 0 {
                assert!(
                    kept.iter().all(|(place, record)| store.get(*place).as_ref() == Ok(record))
                );
            }
        }
        for (place, record) in kept {
            assert_eq!(store.get(place), Ok(record));
            store.free(place);
        }
        assert_eq!(store.bytes(), 0, "nothing is left");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]

        #[test]
        fn both_stores_conform(
            steps in vec((prop::bool::weighted(0.6), any::<usize>(), 0..3_000_usize), 1..400),
            room in prop_oneof![Just(u64::MAX), 0..200_000_u64],
        ) {
            conforms(&MemoryColdStore::with_room(room), &steps);
            conforms(&file(room).1, &steps);
        }
    }

    #[test]
    fn it_has_no_name_and_leaves_nothing_behind() {
        let (dir, file) = file(u64::MAX);
        fs::write(dir.path().join(NAME), "of one that was killed").unwrap();
        let place = file.put(&bytes(1, 100_000)).unwrap();
        let next = ColdFile::create(dir.path(), 0).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        next.put(&bytes(2, 100_000)).unwrap();
        assert_eq!(file.get(place), Ok(bytes(1, 100_000)), "each has its own");
    }

    #[test]
    fn room_is_used_again() {
        let (_dir, file) = file(u64::MAX);
        let mut places: Vec<Place> =
            (0..20_000).map(|n| file.put(&bytes(n, 100)).unwrap()).collect();
        let most = file.bytes();
        for n in 0..20_000 {
            file.free(places.swap_remove(n as usize % 97));
            places.push(file.put(&bytes(n, 90 + n as usize % 20)).unwrap());
        }
        assert_eq!(file.bytes(), most);
        assert!(most <= 20_000 * 128);
        places.into_iter().for_each(|place| file.free(place));
        assert_eq!(file.bytes(), 0);
        assert_eq!(file.inner().file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn what_is_damaged_is_told() {
        let (_dir, file) = file(u64::MAX);
        let places: Vec<Place> = (0..2_000).map(|n| file.put(&bytes(n, 100)).unwrap()).collect();
        let damage = |place: Place, with: &[u8], from: u64| {
            let at = u64::from(parts(place).0) * UNIT as u64;
            file.inner().file.write_all_at(with, at + from).unwrap();
        };
        damage(places[1], &[0xee], 50);
        damage(places[2], &[0xee], 3);
        // A whole record that belongs elsewhere.
        let mut other = vec![0; 108];
        file.inner().file.read_exact_at(&mut other, u64::from(parts(places[3]).0) * 32).unwrap();
        damage(places[4], &other, 0);
        for (n, place) in places.iter().enumerate().take(10) {
            let is_damaged = [1, 2, 4].contains(&n);
            assert_eq!(file.get(*place).is_err(), is_damaged, "{n}");
        }
        file.inner().file.set_len(1_000).unwrap();
        assert!(file.get(places[900]).is_err(), "it is cut off");
        assert_eq!(file.get(places[1_999]), Ok(bytes(1_999, 100)), "the last is not written yet");
    }

    #[test]
    fn a_disk_without_room_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = ColdFile::create(dir.path(), u64::MAX).unwrap();
        let put = |n| file.put(&bytes(n, 1_000));
        let places: Vec<Place> = (0..10_000).map_while(|n| put(n).ok()).collect();
        assert!(places.len() < 100, "{} were put", places.len());
        assert_eq!(file.get(places[0]), Ok(bytes(0, 1_000)));
        file.free(places[7]);
        assert!(put(1).is_ok(), "it takes no more room");
        assert_eq!(put(1), Err(Full));
    }

    #[test]
    fn what_cannot_be_written_is_kept_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read-only");
        fs::write(&path, "").unwrap();
        let inner = Mutex::new(Inner::new(File::open(&path).unwrap()));
        let file = ColdFile { inner, limit: u64::MAX, reserve: 0 };
        let places: Vec<Place> =
            (0..10_000).map_while(|n| file.put(&bytes(n, 1_000)).ok()).collect();
        assert!(places.len() < 100);
        for (n, place) in places.iter().enumerate() {
            assert_eq!(file.get(*place), Ok(bytes(n as u32, 1_000)));
        }
    }

    #[test]
    fn sizes_are_few_and_not_much_too_large() {
        assert_eq!([0, 24, 25, 130].map(units_of), [1, 1, 2, 5].map(Some));
        for len in (1_000..3_000_000).step_by(997) {
            let taken = units_of(len).unwrap() as usize * UNIT;
            let needed = len as usize + SUM;
            assert!(taken >= needed && taken < needed + needed / 8 + UNIT, "{len}");
        }
    }
}
