//! Which copies this directory may ever have held, in a file outside the log.
//!
//! When the log is lost or cut off, the log itself cannot say whose votes went with it: this file
//! can. It is written before the log first mentions a copy, so it never knows too few of them, and
//! it remembers for each group a write that was durable, so that an older state of the group is
//! recognised as such. Its version stands for the layout of the whole store directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use umbel_protocol::id::{GroupId, ReplicaId};

use super::error::StoreError;
use crate::data_dir::durable_file;

const MAGIC: &[u8; 8] = b"UMBLLEDG";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const ROW_BYTES: usize = 18;
const CRC_BYTES: usize = 4;

/// What is known of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The highest copy that the log may mention.
    pub(super) replica: ReplicaId,
    /// A write to the group that was durable; zero if none was known to be.
    pub(super) stamp: u64,
}

/// The file.
#[derive(Debug)]
pub(super) struct Census {
    path: PathBuf,
    pub(super) rows: BTreeMap<GroupId, Row>,
}

impl Census {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, rows: BTreeMap::new() }
    }

    /// Reads it; None if it is missing or damaged.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, StoreError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        let Some((version, rows)) = decode(&bytes) else {
            tracing::warn!(path = %path.display(), "the list of copies is damaged");
            return Ok(None);
        };
        if version > VERSION {
            return Err(StoreError::Format { path: path.to_owned() });
        }
        Ok(Some(Self { path: path.to_owned(), rows }))
    }

    /// Makes it durable.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        durable_file::replace(&self.path, &[&encode(&self.rows)])
            .map_err(|error| StoreError::io("write", &self.path, error))
    }
}

fn encode(rows: &BTreeMap<GroupId, Row>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + rows.len() * ROW_BYTES + CRC_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let count = u32::try_from(rows.len()).expect("group ids are 16 bits");
    bytes.extend_from_slice(&count.to_le_bytes());
    for (group, row) in rows {
        bytes.extend_from_slice(&group.0.to_le_bytes());
        bytes.extend_from_slice(&row.replica.0.to_le_bytes());
        bytes.extend_from_slice(&row.stamp.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version and, if it is ours, the rows.
fn decode(bytes: &[u8]) -> Option<(u32, BTreeMap<GroupId, Row>)> {
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(CRC_BYTES)?)?;
    if crc32fast::hash(body) != u32::from_le_bytes(crc.try_into().ok()?) {
        return None;
    }
    let (header, rows) = body.split_at_checked(HEADER_BYTES)?;
    if header.get(..8)? != MAGIC {
        return None;
    }
    let version = u32::from_le_bytes(header.get(8..12)?.try_into().ok()?);
    if version > VERSION {
        return Some((version, BTreeMap::new()));
    }
    let count = u32::from_le_bytes(header.get(12..16)?.try_into().ok()?);
    let (rows, rest) = rows.as_chunks::<ROW_BYTES>();
    if !rest.is_empty() || rows.len() != count as usize {
        return None;
    }
    let rows = rows.iter().map(|row| {
        let group = u16::from_le_bytes(row.get(..2)?.try_into().ok()?);
        let replica = u64::from_le_bytes(row.get(2..10)?.try_into().ok()?);
        let stamp = u64::from_le_bytes(row.get(10..)?.try_into().ok()?);
        Some((GroupId(group), Row { replica: ReplicaId(replica), stamp }))
    });
    Some((version, rows.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_damage_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("copies");
        assert!(Census::load(&path).unwrap().is_none());

        let mut census = Census::new(path.clone());
        census.rows.insert(GroupId(1), Row { replica: ReplicaId(10), stamp: 100 });
        census.rows.insert(GroupId::META, Row { replica: ReplicaId(u64::MAX), stamp: 0 });
        census.save().unwrap();
        assert_eq!(Census::load(&path).unwrap().unwrap().rows, census.rows);

        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(decode(&flipped), None, "bit {at}");
        }
        for len in 0..whole.len() {
            assert_eq!(decode(&whole[..len]), None);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("copies");
        let mut bytes = encode(&BTreeMap::new());
        bytes[8] = 2;
        let body = bytes.len() - CRC_BYTES;
        let crc = crc32fast::hash(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&crc);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(Census::load(&path), Err(StoreError::Format { .. })));
    }
}
