//! Tasks that wait for their time: an index over records, rebuilt at each takeover.

use std::collections::BTreeSet;

use crate::id::{PartitionId, TaskId};
use crate::time::Wall;

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Wall, TaskId)>,
}

impl Timers {
    pub(super) fn insert(&mut self, at: Wall, task: TaskId) {
        self.due.insert((at, task));
    }

    pub(super) fn next(&self) -> Option<Wall> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next task whose time has come by `now`.
    pub(super) fn pop(&mut self, now: Wall) -> Option<TaskId> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        self.due.pop_first().map(|(_, task)| task)
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.due.retain(|(_, task)| task.partition() != partition);
    }
}
