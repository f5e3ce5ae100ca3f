//! Groups of tasks, of which every owner has its part.

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use super::replica::Replica;
use crate::id::{NodeId, TaskGroupId};
use crate::task::TaskGroupView;
use crate::wire::{Answer, Ask, RequestError};

/// A count to which other nodes still contribute.
pub(super) struct TaskGroupCount {
    view: TaskGroupView,
    /// Partitions that nobody has told of yet.
    partitions_missing: u16,
}

impl Scheduler {
    /// Counts the tasks of a group at all owners.
    pub(super) fn count_task_group_everywhere(&mut self, origin: Origin, group: TaskGroupId) {
        let Origin::Here(id) = origin else {
            return;
        };
        if self.meta.is_some() && !self.all_understand(GROUPS_SINCE) {
            return self.answer(origin, Answer::Failed(RequestError::NotUpgraded));
        }
        let (view, partitions_missing) = (self.task_group_owned(group), self.partitions_missing());
        let count = TaskGroupCount { view, partitions_missing };
        self.gather(id, &Ask::TaskGroup { group }, count, |scheduler| {
            &mut scheduler.task_group_counts
        });
    }

    /// Tells another node of the tasks of a group in the partitions that this node owns.
    pub(super) fn count_task_group_here(&mut self, origin: Origin, group: TaskGroupId) {
        let (view, partitions_missing) = (self.task_group_owned(group), self.partitions_missing());
        self.answer(origin, Answer::TaskGroup { view, partitions_missing });
    }

    /// Another node has told of a group in the partitions that it owns.
    pub(super) fn task_group_counted(
        &mut self,
        from: NodeId,
        id: u64,
        view: &TaskGroupView,
        partitions_missing: u16,
    ) {
        let told = self.partitions().saturating_sub(partitions_missing);
        let Some(count) = self.task_group_counts.told(from, id) else {
            return;
        };
        count.view = count.view.and(view);
        count.partitions_missing = count.partitions_missing.saturating_sub(told);
        if let Some(answer) = self.task_group_counts.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }

    fn task_group_owned(&self, group: TaskGroupId) -> TaskGroupView {
        let owned = self.replicas.values().filter(|replica| replica.is_settled());
        let parts =
            owned.filter_map(Replica::partition).map(|partition| partition.task_group(group));
        parts.fold(TaskGroupView::default(), |whole, part| whole.and(&part.view()))
    }
}

impl Gather for TaskGroupCount {
    fn complete(self) -> Answer {
        let Self { view, partitions_missing } = self;
        Answer::TaskGroup { view, partitions_missing }
    }
}

/// The version of the protocol in which tasks can be grouped.
const GROUPS_SINCE: u16 = 3;
