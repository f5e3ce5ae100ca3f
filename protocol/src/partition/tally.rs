//! Counts over all records of a partition, and the order in which they ended.

use std::collections::{BTreeSet, VecDeque};

use super::census::Census;
use super::task_groups::TaskGroups;
use super::{Fill, Room, Shelf, Shelves};
use crate::id::TaskId;
use crate::limits::PartitionLimits;
use crate::task::Record;
use crate::time::Wall;

/// Kept right by whoever changes a record; derived from the records, but for `finish_next`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Place among the finished of the task that ended last.
    pub(super) finish_next: u64,
    /// Finished records that are kept for as long as all are.
    pub(super) finished: Shelves<Finished>,
    /// Those that are kept for as [long as they say](crate::task::Options::retention), by when that is over.
    pub(super) timed: BTreeSet<(Wall, TaskId)>,
    pub(super) timed_bytes: usize,
    pub(super) open: usize,
    /// Bytes of why open tasks failed last.
    pub(super) failures_bytes: usize,
    pub(super) bytes: usize,
    /// How many tasks of each queue and name are in which state.
    pub(super) census: Census,
    /// How many of each group are how far.
    pub(super) task_groups: TaskGroups,
}

/// The finished records of one shelf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Finished {
    /// In the order in which they ended.
    pub(super) tasks: VecDeque<TaskId>,
    pub(super) bytes: usize,
}

impl Tally {
    /// Whether nothing more is taken in.
    pub(super) const fn is_full(&self, limits: &PartitionLimits) -> bool {
        self.open >= limits.tasks || self.bytes >= limits.bytes
    }

    pub(super) fn fill(&self, stubs: usize, job_bytes: usize) -> Fill {
        let room = |shelf| {
            let Finished { tasks, bytes } = &self.finished[shelf];
            Room { tasks: tasks.len(), bytes: *bytes }
        };
        Fill {
            open: self.open,
            finished: Shelves::of(room),
            timed: Room { tasks: self.timed.len(), bytes: self.timed_bytes },
            stubs,
            bytes: self.bytes,
            job_bytes,
            key_bytes: 0,
        }
    }

    /// Bytes of all finished records.
    pub(super) fn finished_bytes(&self) -> usize {
        let shelves: usize = Shelf::ALL.iter().map(|shelf| self.finished[*shelf].bytes).sum();
        shelves + self.timed_bytes
    }

    /// The shelf that takes most room; none if those do that say for how long they are kept.
    pub(super) fn largest(&self) -> Option<Shelf> {
        let bytes = |shelf: &Shelf| self.finished[*shelf].bytes;
        let largest = Shelf::ALL.into_iter().max_by_key(bytes);
        largest.filter(|shelf| bytes(shelf) >= self.timed_bytes)
    }

    /// What finished records of its kind take, if it has ended.
    fn bytes_of(&mut self, record: &Record) -> Option<&mut usize> {
        let shelf = Shelf::of(record.state())?;
        Some(match record.template.options.retention {
            Some(_) => &mut self.timed_bytes,
            None => &mut self.finished[shelf].bytes,
        })
    }

    /// A record has come.
    pub(super) fn add(&mut self, task: TaskId, record: &Record) {
        let weight = record.weight();
        self.bytes += weight;
        self.census.add(record);
        self.task_groups.add(task, record);
        match self.bytes_of(record) {
            Some(bytes) => *bytes += weight,
            None => {
                self.open += 1;
                self.failures_bytes += failure_weight(record);
            }
        }
    }

    /// A record is gone.
    pub(super) fn subtract(&mut self, task: TaskId, record: &Record) {
        let weight = record.weight();
        self.bytes -= weight;
        self.census.subtract(record);
        self.task_groups.subtract(task, record);
        match self.bytes_of(record) {
            Some(bytes) => *bytes -= weight,
            None => {
                self.open -= 1;
                self.failures_bytes -= failure_weight(record);
            }
        }
    }

    /// Notes in `record` that it has just ended; its counts change when it is put back.
    pub(super) fn end(&mut self, task: TaskId, record: &mut Record, now: Wall) {
        self.finish_next += 1;
        let history = record.history_mut();
        history.finished_at = Some(now);
        history.finish_order = self.finish_next;
        self.ended(task, record);
    }

    /// `task` is the last of those that ended.
    pub(super) fn ended(&mut self, task: TaskId, record: &Record) {
        if let Some(until) = kept_until(record) {
            self.timed.insert((until, task));
        } else if let Some(shelf) = Shelf::of(record.state()) {
            self.finished[shelf].tasks.push_back(task);
        }
    }
}

/// Until when a record is kept that has ended, if it says so itself.
pub(super) fn kept_until(record: &Record) -> Option<Wall> {
    let retention = record.template.options.retention?;
    Some(record.history.as_ref()?.finished_at? + retention)
}

fn failure_weight(record: &Record) -> usize {
    record.history.as_ref().map_or(0, |history| {
        let failure = history.failure.as_ref().map_or(0, |failure| failure.weight_kept());
        failure + history.errors_weight()
    })
}
