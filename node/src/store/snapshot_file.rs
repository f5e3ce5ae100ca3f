//! The state of a group in a file of its own.
//!
//! A file is complete and synced before anything names it, and what nothing names is removed when
//! the store is opened. The layout, all numbers little-endian:
//!
//! ```text
//! magic 8 | version 4 | group 2 | replica 8 | index 8 | term 8 | copies length 4 | data length 8
//! copies | data | crc32 of all before it 4
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use umbel_protocol::durable::{Copies, Snapshot};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::error::StoreError;
use super::known::Point;
use crate::data_dir::durable_file;

const MAGIC: &[u8; 8] = b"UMBLSNAP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 2 + 8 + 8 + 8 + 4 + 8;
const COPIES_LEN_AT: usize = HEADER_BYTES - 12;
const CRC_BYTES: usize = 4;

/// The directory that holds them.
#[derive(Clone, Debug)]
pub(super) struct SnapshotDir {
    path: PathBuf,
    /// Numbers unfinished files, as two threads may be writing the same one.
    next_unfinished: Arc<AtomicU64>,
}

impl SnapshotDir {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        durable_file::create_dir(&path).map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Self { path, next_unfinished: Arc::default() })
    }

    /// Where the state of a copy as of `index` is.
    pub(super) fn path(&self, group: GroupId, replica: ReplicaId, index: u64) -> PathBuf {
        self.path.join(format!("{}-{}-{index}.snap", group.0, replica.0))
    }

    /// Keeps `snapshot`, durably.
    pub(super) fn save(
        &self,
        group: GroupId,
        replica: ReplicaId,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let path = self.path(group, replica, snapshot.index);
        let copies = bincode::serialize(&snapshot.copies).expect("plain lists always encode");
        let header = header(group, replica, snapshot, &copies);
        let mut crc = crc32fast::Hasher::new();
        for part in [&header[..], &copies, &snapshot.data] {
            crc.update(part);
        }
        let crc = crc.finalize().to_le_bytes();
        let number = self.next_unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.path.join(format!("{number}.tmp"));
        durable_file::replace_by(&unfinished, &path, &[&header, &copies, &snapshot.data, &crc])
            .map_err(|error| StoreError::io("write", &path, error))
    }

    /// Reads the state that was saved for `point`, or says what is wrong with it.
    pub(super) fn load(
        &self,
        group: GroupId,
        replica: ReplicaId,
        point: Point,
    ) -> Result<Snapshot, String> {
        let path = self.path(group, replica, point.index);
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        decode(Bytes::from(bytes), group, replica, point)
            .ok_or_else(|| format!("{} is not what was written", path.display()))
    }

    /// Removes the state of a copy as of `index`. A failure only costs space until the next start.
    pub(super) fn remove(&self, group: GroupId, replica: ReplicaId, index: u64) {
        let path = self.path(group, replica, index);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove an old snapshot");
        }
    }

    /// Removes all files but those in `named`.
    pub(super) fn keep_only(&self, named: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
        let failed = |path: &Path, error| StoreError::io("clean", path, error);
        for entry in fs::read_dir(&self.path).map_err(|error| failed(&self.path, error))? {
            let path = entry.map_err(|error| failed(&self.path, error))?.path();
            if !named.contains(&path) {
                fs::remove_file(&path).map_err(|error| failed(&path, error))?;
            }
        }
        Ok(())
    }
}

fn header(group: GroupId, replica: ReplicaId, snapshot: &Snapshot, copies: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&group.0.to_le_bytes());
    header.extend_from_slice(&replica.0.to_le_bytes());
    header.extend_from_slice(&snapshot.index.to_le_bytes());
    header.extend_from_slice(&snapshot.term.to_le_bytes());
    let copies_len = u32::try_from(copies.len()).expect("a group has few copies");
    header.extend_from_slice(&copies_len.to_le_bytes());
    header.extend_from_slice(&(snapshot.data.len() as u64).to_le_bytes());
    header
}

/// The snapshot in `bytes` if every bit is as it was written, for this copy and point.
fn decode(bytes: Bytes, group: GroupId, replica: ReplicaId, point: Point) -> Option<Snapshot> {
    let body_len = bytes.len().checked_sub(CRC_BYTES)?;
    let crc = u32::from_le_bytes(bytes.get(body_len..)?.try_into().ok()?);
    if body_len < HEADER_BYTES || crc32fast::hash(bytes.get(..body_len)?) != crc {
        return None;
    }
    let copies_len =
        u32::from_le_bytes(bytes.get(COPIES_LEN_AT..COPIES_LEN_AT + 4)?.try_into().ok()?);
    let data_at = HEADER_BYTES.checked_add(usize::try_from(copies_len).ok()?)?;
    let copies: Copies = bincode::deserialize(bytes.get(HEADER_BYTES..data_at)?).ok()?;
    let data = (data_at <= body_len).then(|| bytes.slice(data_at..body_len))?;
    let snapshot = Snapshot { index: point.index, term: point.term, copies, data };
    let copies = bytes.get(HEADER_BYTES..data_at)?;
    // What the header should be tells at once whether any field of it is wrong.
    (bytes.get(..HEADER_BYTES)? == header(group, replica, &snapshot, copies)).then_some(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(5);
    const REPLICA: ReplicaId = ReplicaId(77);

    fn snapshot() -> Snapshot {
        let copies = Copies { voters: vec![ReplicaId(77), ReplicaId(78)], ..Copies::default() };
        Snapshot { index: 42, term: 3, copies, data: Bytes::from_static(b"the state") }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().join("snapshots")).unwrap();
        dir.save(GROUP, REPLICA, &snapshot()).unwrap();
        let point = Point { index: 42, term: 3 };
        assert_eq!(dir.load(GROUP, REPLICA, point), Ok(snapshot()));

        let whole = fs::read(dir.path(GROUP, REPLICA, 42)).unwrap();
        for at in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(flipped.into(), GROUP, REPLICA, point), None, "bit {at}");
        }
        for len in 0..whole.len() {
            assert_eq!(decode(whole[..len].to_vec().into(), GROUP, REPLICA, point), None);
        }
        let bytes = Bytes::from(whole);
        assert_eq!(decode(bytes.clone(), GroupId(6), REPLICA, point), None);
        assert_eq!(decode(bytes.clone(), GROUP, ReplicaId(78), point), None);
        assert_eq!(decode(bytes, GROUP, REPLICA, Point { index: 42, term: 4 }), None);
    }

    #[test]
    fn what_nothing_names_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = SnapshotDir::open(temp.path().to_owned()).unwrap();
        dir.save(GROUP, REPLICA, &snapshot()).unwrap();
        dir.save(GroupId(6), REPLICA, &snapshot()).unwrap();
        fs::write(temp.path().join("7.tmp"), b"half").unwrap();
        let named = dir.path(GROUP, REPLICA, 42);
        dir.keep_only(&BTreeSet::from([named.clone()])).unwrap();
        let left: Vec<_> =
            fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [named]);
    }
}
