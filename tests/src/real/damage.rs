//! What disks do to data: flipped bits and torn blocks, in files of a node that stands or runs.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A block of a disk.
const BLOCK: u64 = 4_096;

/// The files of a node's log, the oldest first.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn log_files(data: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(data.join("store").join("log"))
        .expect("there is a log")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "raftlog"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no log", data.display());
    files
}

/// The bytes of a file that hold something: files are made longer beforehand, with zeros.
#[must_use]
pub fn written_bytes(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Flips one bit at `at`.
///
/// # Panics
/// When the file cannot be changed.
pub fn flip_bit(path: &Path, at: u64) {
    let file = open(path);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it is inside");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("it can be written");
    file.sync_all().expect("it is on disk");
}

/// Replaces the block around `at` by zeros, as if it had never been written.
///
/// # Panics
/// When the file cannot be changed.
pub fn tear_block(path: &Path, at: u64) {
    let first = at / BLOCK * BLOCK;
    let file = open(path);
    let end = file.metadata().expect("it has a length").len();
    let bytes = usize::try_from(BLOCK.min(end - first)).expect("a block");
    file.write_all_at(&vec![0; bytes], first).expect("it can be written");
    file.sync_all().expect("it is on disk");
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).expect("it is there")
}
