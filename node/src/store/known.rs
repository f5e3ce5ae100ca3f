//! What a store knows of a copy without reading anything, and which writes that admits.
//!
//! Kept for every group that ever had a copy here. [`Known::after`] is the contract of
//! [`GroupWrite`] in code, shared by all stores; the contents of entries and states are absent.

use umbel_protocol::durable::{GroupWrite, HardState, LogEntry, Snapshot, StoredGroup};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::SavedCheckpoint;
use super::error::Misuse;

/// A point of a group's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) index: u64,
    pub(super) term: u64,
}

impl Point {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self { index: snapshot.index, term: snapshot.term }
    }
}

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) replica: ReplicaId,
    pub(super) destroyed: bool,
    pub(super) hard_state: HardState,
    /// The newest complete state.
    pub(super) snapshot: Option<Point>,
    /// The terms of the entries behind it: each from its index on. A log has few terms.
    terms: Vec<Point>,
    /// The last entry, or that of the snapshot, or zero.
    last: u64,
}

impl Known {
    /// A copy that has nothing yet.
    pub(super) fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            destroyed: false,
            hard_state: HardState::default(),
            snapshot: None,
            terms: Vec::new(),
            last: 0,
        }
    }

    /// What is left of a copy when it is destroyed.
    pub(super) fn tombstone(replica: ReplicaId) -> Self {
        Self { destroyed: true, ..Self::new(replica) }
    }

    /// What a store that was just opened holds.
    pub(super) fn of(stored: &StoredGroup) -> Self {
        let mut known = Self {
            destroyed: stored.destroyed,
            hard_state: stored.hard_state,
            ..Self::new(stored.replica)
        };
        if let Some(snapshot) = &stored.snapshot {
            known.restart_at(Point::of(snapshot));
        }
        for entry in &stored.entries {
            known.append(entry);
        }
        known
    }

    /// The last entry, or the snapshot's.
    pub(super) fn last(&self) -> Point {
        Point { index: self.last, term: self.term(self.last) }
    }

    /// The last entry that a snapshot has made unnecessary.
    pub(super) fn base(&self) -> Point {
        self.snapshot.unwrap_or_default()
    }

    /// The term of the entry at `index`, which must not lie before the snapshot.
    pub(super) fn term(&self, index: u64) -> u64 {
        let base = self.base();
        if index <= base.index {
            return base.term;
        }
        let run = self.terms.partition_point(|run| run.index <= index);
        run.checked_sub(1).and_then(|run| self.terms.get(run)).map_or(base.term, |run| run.term)
    }

    /// The state of the copy after `write`, given what was known of the group before it.
    pub(super) fn after(known: Option<&Self>, write: &GroupWrite) -> Result<Self, Misuse> {
        let (group, replica) = (write.group, write.replica);
        let mut next = match known {
            Some(known) if replica < known.replica => {
                return Err(Misuse::Replaced { group, replica, by: known.replica });
            }
            Some(known) if replica == known.replica => known.clone(),
            Some(_) | None => Self::new(replica),
        };
        let fills = write.snapshot.is_some()
            || !write.entries.is_empty()
            || write.hard_state.is_some()
            || write.checkpoint.is_some();
        if write.destroy {
            return if fills {
                Err(Misuse::DestroyedAndFilled { group, replica })
            } else {
                Ok(Self::tombstone(replica))
            };
        }
        if next.destroyed {
            return Err(Misuse::Destroyed { group, replica });
        }
        if let Some(snapshot) = &write.snapshot {
            if let Some(present) = next.snapshot
                && snapshot.index < present.index
            {
                let (index, present) = (snapshot.index, present.index);
                return Err(Misuse::SnapshotBehind { group, index, present });
            }
            next.restart_at(Point::of(snapshot));
        }
        next.append_all(group, &write.entries)?;
        // Votes outlive a snapshot: only the log is replaced by it.
        next.hard_state = write.hard_state.unwrap_or(next.hard_state);
        if let Some(checkpoint) = &write.checkpoint {
            if checkpoint.index > next.last {
                let (index, last) = (checkpoint.index, next.last);
                return Err(Misuse::CheckpointAhead { group, index, last });
            }
            let (index, term) = (checkpoint.index, checkpoint.term);
            if index >= next.base().index && term != next.term(index) {
                return Err(Misuse::CheckpointTerm { group, index, term });
            }
            next.cut_at(Point::of(checkpoint));
        }
        Ok(next)
    }

    /// Whether `write` leaves nothing of what was known before it.
    pub(super) fn starts_anew(known: &Self, write: &GroupWrite) -> bool {
        known.replica != write.replica || write.destroy || write.snapshot.is_some()
    }

    /// Lets a checkpoint that was saved beside the log replace the entries up to it. False if the
    /// copy has moved on meanwhile, so that nobody needs it.
    pub(super) fn adopt(&mut self, saved: &SavedCheckpoint) -> bool {
        let (index, term) = (saved.index, saved.term);
        if self.destroyed || self.replica != saved.replica || index > self.last {
            return false;
        }
        if index > self.base().index && self.term(index) != term {
            tracing::error!(group = %saved.group, index, term, "a checkpoint of another log");
            return false;
        }
        self.cut_at(Point { index: saved.index, term: saved.term })
    }

    fn append_all(&mut self, group: GroupId, entries: &[LogEntry]) -> Result<(), Misuse> {
        let mut first = self.base().index + 1;
        for entry in entries {
            let next = self.last + 1;
            if entry.index < first || entry.index > next {
                return Err(Misuse::Hole { group, index: entry.index, first, next });
            }
            self.append(entry);
            // Only the first entry of a write replaces others.
            first = self.last + 1;
        }
        Ok(())
    }

    fn append(&mut self, entry: &LogEntry) {
        let kept = self.terms.partition_point(|run| run.index < entry.index);
        self.terms.truncate(kept);
        if self.term(entry.index - 1) != entry.term || entry.index == 1 {
            self.terms.push(Point { index: entry.index, term: entry.term });
        }
        self.last = entry.index;
    }

    /// The log is empty and goes on behind `point`.
    fn restart_at(&mut self, point: Point) {
        self.terms.clear();
        self.last = point.index;
        self.snapshot = Some(point);
    }

    /// All up to `point` lies in a snapshot. False if that was so before.
    fn cut_at(&mut self, point: Point) -> bool {
        if point.index <= self.base().index {
            return false;
        }
        let following = (point.index < self.last).then(|| self.term(point.index + 1));
        self.terms.retain(|run| run.index > point.index + 1);
        self.snapshot = Some(point);
        if let Some(term) = following {
            self.terms.insert(0, Point { index: point.index + 1, term });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use umbel_protocol::durable::{Copies, EntryKind};

    use super::*;

    fn write(entries: &[(u64, u64)]) -> GroupWrite {
        let entries = entries.iter().map(|&(index, term)| LogEntry {
            index,
            term,
            kind: EntryKind::Commands,
            data: Bytes::new(),
        });
        GroupWrite {
            group: GroupId(3),
            replica: ReplicaId(7),
            destroy: false,
            snapshot: None,
            entries: entries.collect(),
            hard_state: None,
            checkpoint: None,
        }
    }

    fn snapshot(index: u64, term: u64) -> Snapshot {
        Snapshot { index, term, copies: Copies::default(), data: Bytes::new() }
    }

    #[test]
    fn terms_follow_replaced_suffixes_and_checkpoints() {
        let first = Known::after(None, &write(&[(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])).unwrap();
        assert_eq!((1..=5).map(|i| first.term(i)).collect::<Vec<_>>(), [1, 1, 2, 2, 3]);

        let replaced = Known::after(Some(&first), &write(&[(4, 5), (5, 5), (6, 6)])).unwrap();
        assert_eq!((1..=6).map(|i| replaced.term(i)).collect::<Vec<_>>(), [1, 1, 2, 5, 5, 6]);

        let cut = GroupWrite { checkpoint: Some(snapshot(4, 5)), ..write(&[]) };
        let cut = Known::after(Some(&replaced), &cut).unwrap();
        assert_eq!((4..=6).map(|i| cut.term(i)).collect::<Vec<_>>(), [5, 5, 6]);
        assert_eq!(cut.last(), Point { index: 6, term: 6 });
    }

    #[test]
    fn holes_are_refused() {
        let known = Known::after(None, &write(&[(1, 1), (2, 1)])).unwrap();
        for wrong in [vec![(4, 1)], vec![(3, 1), (5, 1)], vec![(3, 1), (3, 1)], vec![(0, 1)]] {
            let error = Known::after(Some(&known), &write(&wrong)).unwrap_err();
            assert!(matches!(error, Misuse::Hole { .. }), "{wrong:?}: {error}");
        }
        let cut = GroupWrite { checkpoint: Some(snapshot(2, 1)), ..write(&[]) };
        let known = Known::after(Some(&known), &cut).unwrap();
        assert!(Known::after(Some(&known), &write(&[(2, 1)])).is_err());
        assert!(Known::after(Some(&known), &write(&[(3, 1)])).is_ok());
    }
}
