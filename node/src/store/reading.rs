//! Reading all groups out of an opened log, and judging each.
//!
//! Entries are read in the order in which they lie in the files, see [`super::probe`]. All reads
//! happen on a thread of their own: the engine keeps the last record that it read per thread and
//! takes it for a record at the same place of any other log that the thread had opened before.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use raft::eraftpb::Entry;
use umbel_protocol::durable::{HardState, LogEntry, StoredGroup};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::census::Row;
use super::error::panic_text;
use super::known::Point;
use super::probe::{Engine, Probe};
use super::record::{self, Entries, RECORD_KEY, Record};
use super::snapshot_file::SnapshotDir;
use super::{Damage, Doubt};

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// All groups in ascending order, each with the write that made its record.
    pub(super) stored: Vec<(StoredGroup, u64)>,
    /// Those among them that cannot be vouched for.
    pub(super) doubtful: Vec<Doubt>,
}

/// Reads groups out of a log.
pub(super) struct Reader<'a> {
    pub(super) engine: &'a Engine,
    pub(super) probe: &'a Probe,
    pub(super) snapshots: &'a SnapshotDir,
    /// Why no group can be vouched for, if that is so.
    pub(super) doubt: Option<Damage>,
}

/// What is to be read of a copy that may be whole.
struct Wanted {
    record: Record,
    entries: Vec<Entry>,
    /// The first thing that was wrong with them.
    wrong: Option<String>,
}

impl Wanted {
    fn base(&self) -> Point {
        let base = self.record.snapshot.map(|(index, term)| Point { index, term });
        base.unwrap_or_default()
    }
}

/// What the record of a group says about it.
enum Verdict {
    /// There is nothing, and never was.
    Absent,
    Doubtful(Damage),
    Gone(ReplicaId),
    Promising(Record),
}

impl Reader<'_> {
    /// Reads all groups that the log or the census names.
    pub(super) fn read_all(&self, rows: &BTreeMap<GroupId, Row>) -> Groups {
        thread::scope(|scope| scope.spawn(|| self.read_here(rows)).join())
            .unwrap_or_else(|payload| resume_unwind(payload))
    }

    fn read_here(&self, rows: &BTreeMap<GroupId, Row>) -> Groups {
        let in_log = self.engine.raft_groups().into_iter().filter_map(record::group);
        let ids: BTreeSet<GroupId> = in_log.chain(rows.keys().copied()).collect();
        let (mut groups, mut wanted) = (Groups::default(), BTreeMap::new());
        for group in ids {
            let row = rows.get(&group).copied();
            let record = self.engine.get(record::region(group), RECORD_KEY);
            let record = record.as_deref().and_then(Record::decode);
            let stamp = record.as_ref().map_or(0, |record| record.stamp);
            let replica = record.as_ref().map(|record| record.replica);
            match self.judge(record, row) {
                Verdict::Absent => {}
                Verdict::Doubtful(damage) => {
                    // Whatever is damaged was named by the log or by the census.
                    if let Some(replica) = replica.max(row.map(|row| row.replica)) {
                        groups.give_up(group, replica, stamp, damage);
                    }
                }
                Verdict::Gone(replica) => groups.stored.push((tombstone(group, replica), stamp)),
                Verdict::Promising(record) => {
                    wanted.insert(group, Wanted { record, entries: Vec::new(), wrong: None });
                }
            }
        }
        self.fetch(&mut wanted);
        for (group, wanted) in wanted {
            let Record { replica, stamp, .. } = wanted.record;
            match self.assemble(group, wanted) {
                Ok(stored) => groups.stored.push((stored, stamp)),
                Err(damage) => {
                    let replica = rows.get(&group).map_or(replica, |row| replica.max(row.replica));
                    groups.give_up(group, replica, stamp, damage);
                }
            }
        }
        groups.stored.sort_by_key(|(stored, _)| stored.group);
        groups.doubtful.sort_by_key(|doubt| doubt.group);
        groups
    }

    fn judge(&self, record: Option<Record>, row: Option<Row>) -> Verdict {
        let found = record.as_ref().map_or(0, |record| record.stamp);
        if let Some(record) = &record
            && record.destroyed
            && row.is_none_or(|row| row.replica <= record.replica)
        {
            // It had been given up before, and nothing came after it.
            return Verdict::Gone(record.replica);
        }
        if let Some(doubt) = &self.doubt {
            return Verdict::Doubtful(doubt.clone());
        }
        if let Some(row) = row
            && row.stamp > found
        {
            return Verdict::Doubtful(Damage::Stale { found, known: row.stamp });
        }
        match record {
            // Then the census only tells of a write that never came about.
            None => Verdict::Absent,
            Some(record) if record.destroyed => Verdict::Gone(record.replica),
            Some(record) => Verdict::Promising(record),
        }
    }

    /// Reads the entries of all `wanted`, in the order of the files.
    fn fetch(&self, wanted: &mut BTreeMap<GroupId, Wanted>) {
        let mut places = Vec::new();
        for (group, wanted) in &*wanted {
            for index in wanted.base().index + 1..=wanted.record.last.0 {
                let place = self.probe.locate(|| self.entry(*group, index));
                places.push((place, *group, index));
            }
        }
        // Within a group this may change the order of entries: they are sorted again below.
        places.sort_unstable();
        for (_, group, index) in places {
            let Some(wanted) = wanted.get_mut(&group) else { continue };
            match self.entry(group, index) {
                Ok(entry) => wanted.entries.push(entry),
                Err(wrong) => {
                    wanted.wrong.get_or_insert(wrong);
                }
            }
        }
    }

    fn entry(&self, group: GroupId, index: u64) -> Result<Entry, String> {
        let region = record::region(group);
        // The engine trusts the lengths in its index and panics where a file is shorter.
        catch_unwind(AssertUnwindSafe(|| self.engine.get_entry::<Entries>(region, index)))
            .map_err(|payload| panic_text(&*payload))?
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("entry {index} is missing"))
    }

    /// The copy that was read, if all of it is what was written.
    fn assemble(&self, group: GroupId, wanted: Wanted) -> Result<StoredGroup, Damage> {
        let base = wanted.base();
        let Wanted { record, entries, wrong } = wanted;
        let replica = record.replica;
        let snapshot = record
            .snapshot
            .map(|_| self.snapshots.load(group, replica, base))
            .transpose()
            .map_err(Damage::Snapshot)?;
        let entries = match wrong {
            Some(wrong) => return Err(Damage::Entries(wrong)),
            None => chain(base, &record, entries).map_err(Damage::Entries)?,
        };
        let hard_state = record.hard_state;
        Ok(StoredGroup { group, replica, destroyed: false, hard_state, snapshot, entries })
    }
}

impl Groups {
    fn give_up(&mut self, group: GroupId, replica: ReplicaId, stamp: u64, damage: Damage) {
        self.stored.push((tombstone(group, replica), stamp));
        self.doubtful.push(Doubt { group, replica, damage });
    }
}

/// All entries behind `base`, or what is wrong with them.
fn chain(base: Point, record: &Record, mut stored: Vec<Entry>) -> Result<Vec<LogEntry>, String> {
    stored.sort_by_key(|entry| entry.index);
    let mut entries = Vec::with_capacity(stored.len());
    let mut previous = base;
    for stored in stored {
        let entry = record::decode_entry(stored, previous)?;
        previous = Point { index: entry.index, term: entry.term };
        entries.push(entry);
    }
    if (previous.index, previous.term) != record.last {
        let (index, term) = record.last;
        return Err(format!("the log does not end with entry {index} of term {term}"));
    }
    Ok(entries)
}

/// What is handed out of a copy that is gone.
fn tombstone(group: GroupId, replica: ReplicaId) -> StoredGroup {
    StoredGroup {
        group,
        replica,
        destroyed: true,
        hard_state: HardState::default(),
        snapshot: None,
        entries: Vec::new(),
    }
}
