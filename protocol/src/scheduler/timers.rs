//! Tasks that wait for their time: an index over records, rebuilt at each takeover.

use std::collections::BTreeSet;

use crate::id::{PartitionId, TaskId};
use crate::time::Wall;

/// So few are not worth a sweep.
const SLACK: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Wall, TaskId, Due)>,
    /// How many were left when those of tasks that do not wait any more were last swept out.
    swept: usize,
}

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// It has not started in time.
    Expire,
    /// It may start.
    Start,
}

impl Timers {
    pub(super) fn insert(&mut self, at: Wall, task: TaskId, what: Due) {
        self.due.insert((at, task, what));
    }

    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn next(&self) -> Option<Wall> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// The next task whose time has come by `now`.
    pub(super) fn pop(&mut self, now: Wall) -> Option<(TaskId, Due)> {
        let (at, ..) = self.due.first()?;
        if *at > now {
            return None;
        }
        self.due.pop_first().map(|(_, task, what)| (task, what))
    }

    /// Drops those for which nobody waits, if they may be more than half of all.
    pub(super) fn sweep(&mut self, waits: impl Fn(TaskId, Due) -> bool) {
        if self.due.len() > self.swept * 2 + SLACK {
            self.due.retain(|(_, task, what)| waits(*task, *what));
            self.swept = self.due.len();
        }
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.due.retain(|(_, task, _)| task.partition() != partition);
    }
}
