//! Counts over all records of a partition, and the order in which they ended.

use std::collections::VecDeque;

use super::Fill;
use crate::id::TaskId;
use crate::task::Record;
use crate::time::Wall;

/// Kept right by whoever changes a record; derived from the records, but for `finish_next`.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Place among the finished of the task that ended last.
    pub(super) finish_next: u64,
    /// Finished records, in the order in which they ended.
    pub(super) finished: VecDeque<TaskId>,
    pub(super) finished_bytes: usize,
    pub(super) open: usize,
    /// Bytes of why open tasks failed last.
    pub(super) failures_bytes: usize,
    pub(super) bytes: usize,
}

impl Tally {
    pub(super) fn fill(&self, stubs: usize) -> Fill {
        Fill {
            open: self.open,
            finished: self.finished.len(),
            finished_bytes: self.finished_bytes,
            stubs,
            bytes: self.bytes,
        }
    }

    /// A record has come.
    pub(super) fn add(&mut self, record: &Record) {
        let weight = record.weight();
        self.bytes += weight;
        if record.state().is_final() {
            self.finished_bytes += weight;
        } else {
            self.open += 1;
            self.failures_bytes += failure_weight(record);
        }
    }

    /// A record is gone.
    pub(super) fn subtract(&mut self, record: &Record) {
        let weight = record.weight();
        self.bytes -= weight;
        if record.state().is_final() {
            self.finished_bytes -= weight;
        } else {
            self.open -= 1;
            self.failures_bytes -= failure_weight(record);
        }
    }

    /// Notes in `record` that it has just ended; its counts change when it is put back.
    pub(super) fn end(&mut self, task: TaskId, record: &mut Record, now: Wall) {
        self.finish_next += 1;
        let history = record.history_mut();
        history.finished_at = Some(now);
        history.finish_order = self.finish_next;
        self.finished.push_back(task);
    }
}

fn failure_weight(record: &Record) -> usize {
    let failure = record.history.as_ref().and_then(|history| history.failure.as_ref());
    failure.map_or(0, |failure| failure.weight_kept())
}
