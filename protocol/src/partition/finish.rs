//! The end of a run, and the end of a task.

use super::{Change, Partition};
use crate::id::TaskId;
use crate::limits::RUNS_KEPT_MAX;
use crate::task::{Lease, Phase, Record, Run, RunEnd, Transition};
use crate::time::Wall;

impl Partition {
    /// Ends `task` for good in `phase`.
    pub(super) fn finish(
        &mut self,
        task: TaskId,
        step: Transition,
        phase: Phase,
        changes: &mut Vec<Change>,
    ) {
        let Some(record) = self.records.get_mut(&task) else {
            return;
        };
        let before = record.weight();
        record.take(step, phase).expect("only tasks that have not ended get here");
        self.finish_next += 1;
        let history = record.history_mut();
        history.finished_at = Some(self.now);
        history.finish_order = self.finish_next;
        let after = record.weight();
        self.bytes = self.bytes - before + after;
        self.finished_bytes += after;
        self.finished.push_back(task);
        self.open -= 1;
        changes.push(Change::Finished { task });
    }

    /// Changes the record of `task` and keeps the count of bytes right.
    pub(super) fn amend<R>(
        &mut self,
        task: TaskId,
        change: impl FnOnce(&mut Record) -> R,
    ) -> Option<R> {
        let record = self.records.get_mut(&task)?;
        let before = record.weight();
        let result = change(record);
        let after = record.weight();
        self.bytes = self.bytes - before + after;
        if record.state().is_final() {
            self.finished_bytes = self.finished_bytes - before + after;
        }
        Some(result)
    }
}

/// Writes the end of the run that `lease` began into the history of `record`.
pub(super) fn close(record: &mut Record, lease: &Lease, now: Wall, end: RunEnd) {
    let history = record.history_mut();
    history.starts += 1;
    if history.runs.len() == RUNS_KEPT_MAX {
        history.runs.remove(0);
    }
    history.runs.push(Run {
        lessee: lease.lessee,
        token: lease.token,
        started_at: lease.since,
        finished_at: now,
        end,
    });
}
