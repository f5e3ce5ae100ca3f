//! How the log engine holds a group: under which region, as which key, in which bytes.
//!
//! Each group is a region of the engine with one key, the [`Record`], and the entries of the log.
//! There is one key only because the engine may forget that a key was deleted or that entries were
//! compacted once the files which said so are gone: a record that is replaced as a whole and says
//! where the log ends makes such ghosts harmless.

use bytes::Bytes;
use protobuf::ProtobufEnum;
use raft::eraftpb::{Entry, EntryType};
use raft_engine::MessageExt;
use serde::{Deserialize, Serialize};
use umbel_protocol::durable::{EntryKind, HardState, LogEntry};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::known::{Known, Point};

/// The region of what belongs to no group.
pub(super) const COMMON_REGION: u64 = 0;
/// The key under which a group's region has its record.
pub(super) const RECORD_KEY: &[u8] = b"record";
/// The key of the counter of writes in the common region.
pub(super) const COUNTER_KEY: &[u8] = b"counter";

const VERSION: u8 = 1;

/// The region of `group`.
pub(super) fn region(group: GroupId) -> u64 {
    u64::from(group.0) + 1
}

/// The group that has `region`, unless it is none's.
pub(super) fn group(region: u64) -> Option<GroupId> {
    region.checked_sub(1).and_then(|group| u16::try_from(group).ok()).map(GroupId)
}

/// All that the store keeps of a copy beside its entries and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u8,
    pub(super) replica: ReplicaId,
    pub(super) destroyed: bool,
    pub(super) hard_state: HardState,
    /// Index and term of the state in the snapshot file.
    pub(super) snapshot: Option<(u64, u64)>,
    /// Index and term of the last entry: what the engine has behind it are ghosts.
    pub(super) last: (u64, u64),
    /// The write that made this record.
    pub(super) stamp: u64,
}

impl Record {
    pub(super) fn new(known: &Known, stamp: u64) -> Self {
        let last = known.last();
        Self {
            version: VERSION,
            replica: known.replica,
            destroyed: known.destroyed,
            hard_state: known.hard_state,
            snapshot: known.snapshot.map(|point| (point.index, point.term)),
            last: (last.index, last.term),
            stamp,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        bincode::serialize(self).expect("plain numbers always encode")
    }

    /// None if these bytes are no record of a version that we know.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let record: Self = bincode::deserialize(bytes).ok()?;
        (record.version == VERSION).then_some(record)
    }
}

/// [`Entry`] as the engine takes it.
pub(super) struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

/// `entry` as the engine stores it. It also says the term of the entry before it: if two entries
/// that follow each other agree on that, then by the rules of consensus so do all before them, and
/// no entry of an overwritten suffix can hide among the others.
pub(super) fn encode_entry(entry: &LogEntry, previous_term: u64) -> Entry {
    let mut encoded = Entry::default();
    encoded.set_entry_type(match entry.kind {
        EntryKind::Commands => EntryType::EntryNormal,
        EntryKind::Membership => EntryType::EntryConfChangeV2,
    });
    encoded.index = entry.index;
    encoded.term = entry.term;
    encoded.data = entry.data.clone();
    encoded.context = Bytes::copy_from_slice(&previous_term.to_le_bytes());
    encoded
}

/// The entry that was stored, if it is the one that follows `previous`; otherwise what is wrong.
pub(super) fn decode_entry(stored: Entry, previous: Point) -> Result<LogEntry, String> {
    let context = <[u8; 8]>::try_from(&stored.context[..])
        .map_err(|_| format!("entry {} does not say what it follows", stored.index))?;
    let index = previous.index + 1;
    if stored.index != index {
        return Err(format!("entry {} stands where {index} should be", stored.index));
    }
    if u64::from_le_bytes(context) != previous.term {
        return Err(format!("entry {index} does not follow the one before it"));
    }
    let kind = match stored.get_entry_type() {
        EntryType::EntryNormal => EntryKind::Commands,
        EntryType::EntryConfChangeV2 => EntryKind::Membership,
        other @ EntryType::EntryConfChange => {
            return Err(format!("entry {index} is of the unknown kind {}", other.value()));
        }
    };
    Ok(LogEntry { index, term: stored.term, kind, data: stored.data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_name_their_groups() {
        for id in [GroupId(0), GroupId(255), GroupId::META] {
            assert_eq!(group(region(id)), Some(id));
        }
        assert_eq!(group(COMMON_REGION), None);
        assert_eq!(group(u64::from(u16::MAX) + 2), None);
    }

    #[test]
    fn the_bytes_of_a_record_do_not_change() {
        let mut known = Known::new(ReplicaId(3));
        known.hard_state = HardState { term: 4, vote: 5, commit: 6 };
        let record = Record::new(&known, 9);
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01030000000000000000040000000000000005000000000000000600000000000000000000000000000000\
             00000000000000000900000000000000"
                .replace(char::is_whitespace, "")
        );
        let mut newer = bytes;
        newer[0] = VERSION + 1;
        assert_eq!(Record::decode(&newer), None);
    }

    #[test]
    fn an_entry_knows_what_it_follows() {
        let entry = LogEntry {
            index: 8,
            term: 3,
            kind: EntryKind::Membership,
            data: Bytes::from_static(b"x"),
        };
        let stored = encode_entry(&entry, 2);
        assert_eq!(decode_entry(stored.clone(), Point { index: 7, term: 2 }), Ok(entry));
        assert!(decode_entry(stored.clone(), Point { index: 7, term: 1 }).is_err());
        assert!(decode_entry(stored, Point { index: 6, term: 2 }).is_err());
    }
}
