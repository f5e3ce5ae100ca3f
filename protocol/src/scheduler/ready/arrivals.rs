//! Tasks in the order in which they came.
//!
//! Nearly all join at the end. Those that have waited elsewhere, for a limit or for their next attempt, stand
//! apart until they are taken, so that a long line need not be opened for them.

use std::collections::{BTreeSet, VecDeque};

use crate::id::TaskId;
use crate::task::Record;
use crate::time::Wall;

/// A task that waits, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scheduler) struct Arrival {
    /// Since when it waits.
    pub(in crate::scheduler) came: Wall,
    /// Of those of a partition that came in the same moment: in which order they were accepted.
    order: u64,
    pub(in crate::scheduler) task: TaskId,
}

impl Arrival {
    pub(in crate::scheduler) fn of(record: &Record, task: TaskId) -> Self {
        Self { came: record.waits_since(), order: record.order, task }
    }
}

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// In order, as they joined.
    late: VecDeque<Arrival>,
    /// Those that came before the last of them.
    early: BTreeSet<Arrival>,
}

impl Arrivals {
    pub(super) fn push(&mut self, arrival: Arrival) {
        if self.late.back().is_none_or(|last| *last <= arrival) {
            self.late.push_back(arrival);
        } else {
            self.early.insert(arrival);
        }
    }

    /// The one that has waited longest.
    pub(super) fn front(&self) -> Option<Arrival> {
        let (late, early) = (self.late.front(), self.early.first());
        late.into_iter().chain(early).min().copied()
    }

    pub(super) fn pop(&mut self) -> Option<Arrival> {
        let late = self.late.front().copied();
        match self.early.first() {
            Some(early) if late.is_none_or(|late| *early < late) => self.early.pop_first(),
            Some(_) | None => self.late.pop_front(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.late.is_empty() && self.early.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.late.len() + self.early.len()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(TaskId) -> bool) {
        self.late.retain(|arrival| keep(arrival.task));
        self.early.retain(|arrival| keep(arrival.task));
    }
}

#[cfg(test)]
impl Arrival {
    pub(super) const fn at(came: Wall, task: TaskId) -> Self {
        Self { came, order: 0, task }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PartitionId;

    #[test]
    fn whoever_came_first_is_first_whenever_it_joins() {
        let arrival = |came: u64, order: u64| {
            let came = Wall::from_millis(came);
            Arrival { came, order, task: TaskId::new(came, PartitionId(0), order) }
        };
        let mut arrivals = Arrivals::default();
        for (came, order) in [(5, 1), (7, 3), (5, 0), (6, 2), (7, 4), (1, 9)] {
            arrivals.push(arrival(came, order));
        }
        assert_eq!((arrivals.len(), arrivals.front()), (6, Some(arrival(1, 9))));
        let gone = arrival(6, 2).task;
        arrivals.retain(|task| task != gone);
        let orders = |arrivals: &mut Arrivals, count: usize| -> Vec<u64> {
            std::iter::from_fn(|| arrivals.pop()).take(count).map(|arrival| arrival.order).collect()
        };
        assert_eq!(orders(&mut arrivals, 2), [9, 0]);
        // When all that are left joined early, whoever joins stands at the end nevertheless.
        assert_eq!(orders(&mut arrivals, 2), [1, 3]);
        arrivals.push(arrival(8, 5));
        arrivals.push(arrival(2, 6));
        assert_eq!(orders(&mut arrivals, 9), [6, 4, 5]);
        assert!(arrivals.is_empty() && arrivals.front().is_none() && arrivals.pop().is_none());
    }
}
