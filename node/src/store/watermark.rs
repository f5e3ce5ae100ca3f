//! How far the log was synced, kept outside the log.
//!
//! The log engine takes any damage at the end of its last file for a write that a crash tore, and
//! cuts it off. That is right only if the write was never acknowledged. So every write carries a
//! counter in a [`marker`], and once its sync has returned the counter also goes into a small file
//! of its own, in two alternating slots, by an unsynced write in place: it costs a microsecond
//! and survives the death of the process. After a power failure the file may lag behind; then
//! [`highest_marker`] helps, which finds markers in the raw file: as only one write is ever on its
//! way, any that lies two or more behind the end of the log was written after a finished sync.
//!
//! Markers carry a random nonce of the directory, so that nobody's payload can pose as one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use crate::data_dir::durable_file;

const MAGIC: &[u8; 8] = b"UMBLMARK";
/// Parts lie in sectors of their own, so that one torn write harms one part.
const SECTOR: usize = 512;
const FILE_BYTES: usize = 3 * SECTOR;
const NONCE_BYTES: usize = 16;
const SLOT_BYTES: usize = 8 + 4;
const MARKER_BYTES: usize = NONCE_BYTES + SLOT_BYTES;

/// A directory's own random number.
pub(super) type Nonce = [u8; NONCE_BYTES];

/// The file.
#[derive(Debug)]
pub(super) struct Watermark {
    path: PathBuf,
    file: File,
    nonce: Nonce,
    slot: usize,
}

/// What the file said when it was opened.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) nonce: Nonce,
    /// The last write known to have been synced.
    pub(super) completed: u64,
}

impl Watermark {
    /// What the file at `path` says; None if it is missing or damaged.
    pub(super) fn load(path: &Path) -> Result<Option<Mark>, StoreError> {
        match fs::read(path) {
            Ok(bytes) => Ok(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path, error)),
        }
    }

    /// Starts the file anew, durably.
    pub(super) fn create(path: PathBuf, nonce: Nonce, completed: u64) -> Result<Self, StoreError> {
        let mut bytes = vec![0; FILE_BYTES];
        let mut head = Vec::with_capacity(MAGIC.len() + NONCE_BYTES + 4);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&nonce);
        let crc = crc32fast::hash(&head);
        head.extend_from_slice(&crc.to_le_bytes());
        let slot = encode_slot(nonce, completed);
        for (at, part) in [(0, &head[..]), (SECTOR, &slot), (2 * SECTOR, &slot)] {
            bytes[at..at + part.len()].copy_from_slice(part);
        }
        let failed = |error| StoreError::io("write", &path, error);
        durable_file::replace(&path, &[&bytes]).map_err(failed)?;
        let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
        Ok(Self { path, file, nonce, slot: 0 })
    }

    /// The sync of write `counter` has returned.
    pub(super) fn advance(&mut self, counter: u64) -> Result<(), StoreError> {
        let at = (1 + self.slot) * SECTOR;
        self.slot = 1 - self.slot;
        self.file
            .write_all_at(&encode_slot(self.nonce, counter), at as u64)
            .map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// Makes what the file says durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::io("sync", &self.path, error))
    }

    /// What write `counter` puts into the log.
    pub(super) fn marker(&self, counter: u64) -> Vec<u8> {
        marker(self.nonce, counter)
    }
}

/// What a directory with `nonce` puts into its log with write `counter`.
pub(super) fn marker(nonce: Nonce, counter: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MARKER_BYTES);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&encode_slot(nonce, counter));
    bytes
}

/// The counter in a marker, whatever the nonce; None if these bytes are none.
pub(super) fn decode_marker(bytes: &[u8]) -> Option<u64> {
    let (nonce, slot) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    (bytes.len() == MARKER_BYTES).then(|| decode_slot(*nonce, slot))?
}

/// The highest counter of all markers that lie anywhere in `file`, whatever else is damaged there.
pub(super) fn highest_marker(file: &Path, nonce: Nonce) -> io::Result<Option<u64>> {
    const BLOCK: usize = 1024 * 1024;
    let mut file = File::open(file)?;
    let mut buffer = vec![0; BLOCK + MARKER_BYTES];
    let (mut held, mut highest) = (0, None);
    loop {
        let read = file.read(&mut buffer[held..])?;
        let filled = held + read;
        let ends = filled.saturating_sub(MARKER_BYTES - 1);
        for at in 0..ends {
            // The comparison of one byte first keeps this at the speed of reading.
            if buffer[at] == nonce[0] && buffer[at..].starts_with(&nonce) {
                let slot = &buffer[at + NONCE_BYTES..at + MARKER_BYTES];
                highest = highest.max(decode_slot(nonce, slot));
            }
        }
        if read == 0 {
            return Ok(highest);
        }
        // The rest may be the first part of a marker.
        buffer.copy_within(ends..filled, 0);
        held = filled - ends;
    }
}

fn encode_slot(nonce: Nonce, counter: u64) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    let (number, crc) = bytes.split_at_mut(8);
    number.copy_from_slice(&counter.to_le_bytes());
    crc.copy_from_slice(&slot_crc(nonce, counter).to_le_bytes());
    bytes
}

fn decode_slot(nonce: Nonce, bytes: &[u8]) -> Option<u64> {
    let counter = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let crc = u32::from_le_bytes(bytes.get(8..SLOT_BYTES)?.try_into().ok()?);
    (slot_crc(nonce, counter) == crc).then_some(counter)
}

fn slot_crc(nonce: Nonce, counter: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&nonce);
    crc.update(&counter.to_le_bytes());
    crc.finalize()
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    if bytes.len() != FILE_BYTES {
        return None;
    }
    let (head, rest) = bytes.split_at_checked(MAGIC.len() + NONCE_BYTES)?;
    let crc = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    let nonce: Nonce = head.strip_prefix(MAGIC)?.try_into().ok()?;
    if crc32fast::hash(head) != crc {
        return None;
    }
    let slot = |at| decode_slot(nonce, bytes.get(at..at + SLOT_BYTES)?);
    // One slot may have been torn by a power failure; the other then holds the write before.
    let completed = slot(SECTOR).max(slot(2 * SECTOR))?;
    Some(Mark { nonce, completed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = *b"0123456789abcdef";

    #[test]
    fn the_higher_of_two_slots_counts_and_one_may_be_torn() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("watermark");
        let mut watermark = Watermark::create(path.clone(), NONCE, 7).unwrap();
        let completed = |path| Watermark::load(path).unwrap().map(|mark| mark.completed);
        assert_eq!(completed(&path), Some(7));
        for counter in 8..12 {
            watermark.advance(counter).unwrap();
            assert_eq!(completed(&path), Some(counter));
        }
        let whole = fs::read(&path).unwrap();
        // 11 went into the second slot.
        for (at, left) in [(2 * SECTOR, Some(10)), (SECTOR, Some(11)), (8, None)] {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            fs::write(&path, &torn).unwrap();
            assert_eq!(completed(&path), left, "byte {at}");
        }
    }

    #[test]
    fn markers_are_found_in_rubble_and_not_forged() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        let mut rubble: Vec<u8> = (0..3_000_000u32).map(|i| i.wrapping_mul(31) as u8).collect();
        // One across the border of two blocks.
        for (at, counter) in [(10, 4), (1024 * 1024 + 10, 9), (2_999_972, 6)] {
            rubble[at..at + MARKER_BYTES].copy_from_slice(&marker(NONCE, counter));
        }
        let mut torn = marker(NONCE, 20);
        torn[20] ^= 1;
        rubble[100..100 + MARKER_BYTES].copy_from_slice(&torn);
        rubble[200..200 + MARKER_BYTES].copy_from_slice(&marker([1; 16], 30));
        fs::write(&path, &rubble).unwrap();
        assert_eq!(highest_marker(&path, NONCE).unwrap(), Some(9));
        assert_eq!(highest_marker(&path, [2; 16]).unwrap(), None);
        assert_eq!(decode_marker(&marker(NONCE, 5)), Some(5));
        assert_eq!(decode_marker(&torn), None);
    }
}
