//! How many tasks of each [group](TaskGroup) are how far: counted as records change, so that nobody has to look
//! through a million of them to tell.

use std::collections::{BTreeMap, BTreeSet};

use super::{Counts, Partition};
use crate::id::{TaskGroupId, TaskId};
use crate::task::{Record, TaskGroup};

/// Counts by group. Derived from the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskGroups {
    by_id: BTreeMap<TaskGroupId, Members>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members {
    counts: Counts,
    /// How many tasks each size was told by that is here.
    sizes: BTreeMap<u32, usize>,
    /// Those that have not ended, by their places in line.
    open: BTreeSet<(u64, TaskId)>,
}

/// What a partition knows of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskGroupCounts {
    /// Tasks that are there, by their states.
    pub counts: Counts,
    /// How many the whole group has, as far as that was said; 0 if not.
    pub size: u32,
    /// Of those that have not ended one that is likely to be among the last.
    pub awaited: Option<TaskId>,
}

impl TaskGroups {
    pub(super) fn add(&mut self, task: TaskId, record: &Record) {
        let Some(TaskGroup { id, size }) = group(record) else {
            return;
        };
        let members = self.by_id.entry(id).or_default();
        *members.counts.of(record.state()) += 1;
        *members.sizes.entry(size).or_default() += 1;
        if !record.state().is_final() {
            members.open.insert((record.order, task));
        }
    }

    pub(super) fn subtract(&mut self, task: TaskId, record: &Record) {
        let Some(TaskGroup { id, size }) = group(record) else {
            return;
        };
        let Some(members) = self.by_id.get_mut(&id) else {
            return;
        };
        *members.counts.of(record.state()) -= 1;
        if let Some(told) = members.sizes.get_mut(&size) {
            *told -= 1;
            if *told == 0 {
                members.sizes.remove(&size);
            }
        }
        members.open.remove(&(record.order, task));
        if members.sizes.is_empty() {
            self.by_id.remove(&id);
        }
    }
}

fn group(record: &Record) -> Option<TaskGroup> {
    record.particulars.as_ref()?.group
}

impl Partition {
    /// How many tasks of a group are how far, of those that are here.
    #[must_use]
    pub fn task_group(&self, id: TaskGroupId) -> TaskGroupCounts {
        let Some(members) = self.tally.task_groups.by_id.get(&id) else {
            return TaskGroupCounts::default();
        };
        TaskGroupCounts {
            counts: members.counts,
            size: members.sizes.last_key_value().map_or(0, |(size, _)| *size),
            awaited: members.open.last().map(|(_, task)| *task),
        }
    }
}
