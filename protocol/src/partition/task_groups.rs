//! Which tasks are of which [group](TaskGroup), and how far they are: kept as records change, so that nobody has to
//! look through a million of them to tell, or to find those of one group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Counts, Found, Partition};
use crate::id::{TaskGroupId, TaskId};
use crate::task::{Record, TaskGroup, TaskGroupView};

/// Tasks by group. Derived from the records. A group has nothing of its own but what is in these: there may be
/// as many groups as tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskGroups {
    counts: BTreeMap<TaskGroupId, Counts>,
    /// How many tasks each size was told by that is here.
    sizes: BTreeMap<(TaskGroupId, u32), usize>,
    /// All that are here.
    tasks: BTreeSet<(TaskGroupId, TaskId)>,
    /// Those that have not ended, by their places in line.
    open: BTreeSet<(TaskGroupId, u64, TaskId)>,
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

impl TaskGroupCounts {
    /// As it is told.
    #[must_use]
    pub fn view(&self) -> TaskGroupView {
        let Self { counts, size, awaited } = *self;
        TaskGroupView {
            size,
            scheduled: counts.scheduled as u64,
            ready: counts.ready as u64,
            running: counts.leased as u64,
            succeeded: counts.succeeded as u64,
            dead: counts.dead as u64,
            stopped: counts.stopped as u64,
            awaited,
        }
    }
}

impl TaskGroups {
    pub(super) fn add(&mut self, task: TaskId, record: &Record) {
        let Some(TaskGroup { id, size }) = group(record) else {
            return;
        };
        *self.counts.entry(id).or_default().of(record.state()) += 1;
        *self.sizes.entry((id, size)).or_default() += 1;
        self.tasks.insert((id, task));
        if !record.state().is_final() {
            self.open.insert((id, record.order, task));
        }
    }

    pub(super) fn subtract(&mut self, task: TaskId, record: &Record) {
        let Some(TaskGroup { id, size }) = group(record) else {
            return;
        };
        if let Some(counts) = self.counts.get_mut(&id) {
            *counts.of(record.state()) -= 1;
            if *counts == Counts::default() {
                self.counts.remove(&id);
            }
        }
        if let Some(told) = self.sizes.get_mut(&(id, size)) {
            *told -= 1;
            if *told == 0 {
                self.sizes.remove(&(id, size));
            }
        }
        self.tasks.remove(&(id, task));
        self.open.remove(&(id, record.order, task));
    }
}

fn group(record: &Record) -> Option<TaskGroup> {
    record.particulars.as_ref()?.group
}

impl Partition {
    /// How many tasks of a group are how far, of those that are here.
    #[must_use]
    pub fn task_group(&self, id: TaskGroupId) -> TaskGroupCounts {
        let TaskGroups { counts, sizes, open, tasks: _ } = &self.tally.task_groups;
        let Some(counts) = counts.get(&id) else {
            return TaskGroupCounts::default();
        };
        let size = sizes.range((id, 0)..=(id, u32::MAX)).next_back();
        let last = open.range((id, 0, TaskId::MIN)..=(id, u64::MAX, TaskId::MAX)).next_back();
        TaskGroupCounts {
            counts: *counts,
            size: size.map_or(0, |((_, size), _)| *size),
            awaited: last.map(|(.., task)| *task),
        }
    }

    /// Records of the tasks of a group whose ids come before `before`, or of all, by id, without a look at those
    /// that are put away.
    pub(crate) fn found_in_group(
        &self,
        id: TaskGroupId,
        before: Option<TaskId>,
    ) -> impl DoubleEndedIterator<Item = (TaskId, Found<'_>)> {
        let end =
            before.map_or(Bound::Included((id, TaskId::MAX)), |task| Bound::Excluded((id, task)));
        let tasks = self.tally.task_groups.tasks.range((Bound::Included((id, TaskId::MIN)), end));
        tasks.filter_map(|(_, task)| Some((*task, self.records.find(*task)?)))
    }
}
