//! Where each cold record lies: little for each, as there may be millions.
//!
//! Entries stand in the order of their ids in short pieces. Ids grow with time, so nearly all are added at
//! the end, and pieces are left nearly full behind. A piece knows when the first of its records is due, which is
//! all that is kept of their order in time: looking through a piece costs less than another index would.

use crate::cold::Place;
use crate::id::TaskId;
use crate::time::{Span, Wall};

/// Entries of a piece at most: what is moved to make room for one stays within a few pages.
const PIECE: usize = 256;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Index {
    pieces: Vec<Piece>,
    len: usize,
}

#[derive(Debug, Default)]
struct Piece {
    /// Never empty but while it is worked on.
    entries: Vec<Entry>,
    /// No record of it is due earlier.
    first_due: Due,
}

/// One cold record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: TaskId,
    pub(super) place: Place,
    pub(super) due: Due,
    /// The number of its template.
    pub(super) template: u32,
}

/// A time in whole seconds, not later than what is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due(u32);

impl Due {
    pub(super) fn at(time: Wall) -> Self {
        Self(u32::try_from(time.as_millis() / 1_000).unwrap_or(u32::MAX))
    }

    fn time(self) -> Wall {
        Wall::EPOCH + Span::from_millis(u64::from(self.0) * 1_000)
    }
}

impl Index {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: TaskId) -> Option<Entry> {
        let piece = self.pieces.get(self.piece_of(id)?)?;
        let at = piece.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        piece.entries.get(at).copied()
    }

    /// The piece that `id` is in, if it is here.
    fn piece_of(&self, id: TaskId) -> Option<usize> {
        self.pieces.partition_point(|piece| piece.first_id() <= Some(id)).checked_sub(1)
    }

    /// Adds an entry of which there is none yet.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.len += 1;
        let at = self.piece_of(entry.id).unwrap_or(0);
        let Some(piece) = self.pieces.get_mut(at) else {
            return self.pieces.push(Piece::of(vec![entry]));
        };
        let place = piece.entries.partition_point(|other| other.id < entry.id);
        if piece.entries.len() < PIECE {
            piece.first_due = piece.first_due.min(entry.due);
            return piece.entries.insert(place, entry);
        }
        // What comes before it stays, as nothing more is likely to come there.
        let mut rest = piece.entries.split_off(place.max(PIECE / 2));
        if place > PIECE / 2 {
            rest.insert(0, entry);
        } else {
            piece.entries.insert(place, entry);
            piece.first_due = piece.first_due.min(entry.due);
        }
        self.pieces.insert(at + 1, Piece::of(rest));
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<Entry> {
        let at = self.piece_of(id)?;
        let piece = self.pieces.get_mut(at)?;
        let place = piece.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        let entry = piece.entries.remove(place);
        self.len -= 1;
        if piece.entries.is_empty() {
            self.pieces.remove(at);
        } else {
            piece.shrink();
        }
        Some(entry)
    }

    /// No record is due earlier, if there is one.
    pub(super) fn first_due(&self) -> Option<Wall> {
        self.pieces.iter().map(|piece| piece.first_due).min().map(Due::time)
    }

    /// Entries that are due by `time`, so many at most.
    pub(super) fn due_by(&mut self, time: Wall, most: usize) -> Vec<Entry> {
        let time = Due::at(time);
        let mut due = Vec::new();
        for piece in self.pieces.iter_mut().filter(|piece| piece.first_due <= time) {
            let before = due.len();
            due.extend(piece.entries.iter().filter(|entry| entry.due <= time).take(most - before));
            if due.len() == before {
                // Those that were have been taken out.
                piece.first_due = piece.first_of_all();
            }
            if due.len() == most {
                break;
            }
        }
        due
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.pieces.iter().flat_map(|piece| &piece.entries)
    }

    /// The same of those that come before `id`.
    pub(super) fn iter_before(&self, id: TaskId) -> impl DoubleEndedIterator<Item = &Entry> {
        // All pieces but the last of these come before it as a whole.
        let pieces = self.piece_of(id).map_or(0, |last| last + 1);
        let (last, whole) = match self.pieces.get(..pieces).and_then(<[Piece]>::split_last) {
            Some((last, whole)) => (last.entries.as_slice(), whole),
            None => (&[][..], &[][..]),
        };
        let within = last.partition_point(|entry| entry.id < id);
        let whole = whole.iter().flat_map(|piece| &piece.entries);
        whole.chain(last.get(..within).unwrap_or_default())
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let entries = self.pieces.iter().map(|piece| piece.entries.capacity() * size_of::<Entry>());
        self.pieces.capacity() * size_of::<Piece>() + entries.sum::<usize>()
    }
}

impl Piece {
    fn of(entries: Vec<Entry>) -> Self {
        let mut piece = Self { entries, first_due: Due::default() };
        piece.first_due = piece.first_of_all();
        piece
    }

    fn first_id(&self) -> Option<TaskId> {
        self.entries.first().map(|entry| entry.id)
    }

    fn first_of_all(&self) -> Due {
        self.entries.iter().map(|entry| entry.due).min().unwrap_or_default()
    }

    /// Gives room back of which most is not needed any more.
    fn shrink(&mut self) {
        if self.entries.capacity() >= 16 && self.entries.len() <= self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::id::PartitionId;

    fn id(n: u64) -> TaskId {
        TaskId::new(Wall::from_millis(1_000 + n / 4), PartitionId(3), n)
    }

    fn entry(n: u64, due: u64) -> Entry {
        let due = Due::at(Wall::from_millis(due * 1_000));
        Entry { id: id(n), place: Place(n), due, template: 0 }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in vec((0..3_000_u64, 0..60_u64, 0..4_u8), 1..3_000)) {
            let (mut index, mut map) = (Index::default(), BTreeMap::new());
            for (n, due, what) in steps {
                let entry = entry(n, due);
                match what {
                    0 => prop_assert_eq!(index.remove(entry.id), map.remove(&entry.id)),
                    _ if map.contains_key(&entry.id) => {
                        prop_assert_eq!(index.get(entry.id), map.get(&entry.id).copied());
                    }
                    _ => {
                        index.insert(entry);
                        map.insert(entry.id, entry);
                    }
                }
                prop_assert_eq!(index.len(), map.len());
                let first = map.values().map(|entry| entry.due).min().map(Due::time);
                prop_assert!(index.first_due() <= first && index.first_due().is_some() == first.is_some());
            }
            prop_assert!(index.iter().eq(map.values()));
            prop_assert!(index.iter().rev().eq(map.values().rev()));
            for time in 0..60 {
                let time = Wall::from_millis(time * 1_000);
                let due = index.due_by(time, usize::MAX);
                prop_assert!(due.iter().eq(map.values().filter(|entry| entry.due.time() <= time)));
            }
        }
    }

    #[test]
    fn what_is_due_is_found_bit_by_bit() {
        let mut index = Index::default();
        (0..2_000).for_each(|n| index.insert(entry(n, n % 50)));
        let now = Wall::from_millis(9_999);
        assert_eq!(index.first_due(), Some(Wall::EPOCH));
        let mut found = 0;
        loop {
            let due = index.due_by(now, 30);
            if due.is_empty() {
                break;
            }
            assert!(due.len() <= 30);
            for entry in due {
                assert!(entry.due.time() <= now);
                index.remove(entry.id);
                found += 1;
            }
        }
        assert_eq!(found, 2_000 / 50 * 10);
        assert_eq!(index.first_due(), Some(Wall::from_millis(10_000)));
    }

    #[test]
    fn it_takes_little_for_ids_that_grow_with_time() {
        assert_eq!(size_of::<Entry>(), 32);
        let mut index = Index::default();
        // Those of one moment come in any order.
        for n in 0..100_000_u64 {
            index.insert(entry(n / 8 * 8 + (n * 5) % 8, 3_600));
        }
        assert_eq!(index.len(), 100_000);
        assert!(index.bytes() < 100_000 * 40, "{} bytes", index.bytes());
    }
}
