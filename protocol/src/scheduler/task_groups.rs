//! Groups of tasks, of which every owner has its part.

use std::collections::BTreeMap;

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use crate::id::{NodeId, PartitionId, TaskGroupId};
use crate::sabotage::{self, Defect};
use crate::task::TaskGroupView;
use crate::wire::{Answer, Ask, RequestError, TaskGroupPart, Told};

/// A count to which other nodes still contribute.
pub(super) struct TaskGroupCount {
    parts: BTreeMap<PartitionId, TaskGroupPart>,
    /// How many partitions there are.
    partitions: u16,
}

impl Scheduler {
    /// Counts the tasks of a group at all owners.
    pub(super) fn count_task_group_everywhere(&mut self, origin: Origin, group: TaskGroupId) {
        let Origin::Here(id) = origin else {
            return;
        };
        if !self.all_understand(GROUPS_SINCE) {
            return self.answer(origin, Answer::Failed(RequestError::NotUpgraded));
        }
        let mut count = TaskGroupCount { parts: BTreeMap::new(), partitions: self.partitions() };
        count.add(self.task_group_owned(group));
        self.gather(id, &Ask::TaskGroup { group }, count, |scheduler| {
            &mut scheduler.task_group_counts
        });
    }

    /// Tells another node of the tasks of a group in the partitions that this node owns.
    pub(super) fn count_task_group_here(&mut self, origin: Origin, group: TaskGroupId) {
        let parts = self.task_group_owned(group);
        self.answer(origin, Answer::TaskGroupParts(parts));
    }

    /// Another node has told of a group in the partitions that it owns.
    pub(super) fn task_group_counted(&mut self, from: NodeId, id: u64, parts: Vec<TaskGroupPart>) {
        let Some(count) = self.task_group_counts.told(from, id) else {
            return;
        };
        count.add(parts);
        if let Some(answer) = self.task_group_counts.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }

    fn task_group_owned(&self, group: TaskGroupId) -> Vec<TaskGroupPart> {
        let parts = self.telling().filter_map(|replica| {
            let partition = replica.partition()?;
            let view = partition.task_group(group).view();
            let told = Told { partition: partition.id(), term: replica.group.term() };
            Some(TaskGroupPart { told, view })
        });
        parts.collect()
    }
}

impl TaskGroupCount {
    /// Of two owners of a partition, of which one does not know yet that it is none, the later one counts.
    fn add(&mut self, parts: Vec<TaskGroupPart>) {
        for part in parts {
            let Told { partition, term } = part.told;
            let known = self.parts.get(&partition);
            if partition.0 < self.partitions && known.is_none_or(|known| known.told.term < term) {
                self.parts.insert(partition, part);
            }
        }
    }
}

impl Gather for TaskGroupCount {
    fn complete(self) -> Answer {
        let views = self.parts.values().map(|part| &part.view);
        let view = views.fold(TaskGroupView::default(), TaskGroupView::and);
        let told = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
        let told = if sabotage::has(Defect::CountInPart) { self.partitions } else { told };
        let partitions_missing = self.partitions.saturating_sub(told);
        Answer::TaskGroup { view, partitions_missing }
    }
}

/// The version of the protocol in which tasks can be grouped.
const GROUPS_SINCE: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_owners_of_a_partition_the_later_one_counts() {
        let part = |partition, term, ready| TaskGroupPart {
            told: Told { partition: PartitionId(partition), term },
            view: TaskGroupView { ready, ..TaskGroupView::default() },
        };
        let mut count = TaskGroupCount { parts: BTreeMap::new(), partitions: 3 };
        count.add(vec![part(0, 4, 10), part(1, 6, 200)]);
        // One that is no owner any more, one that has become one, and one of no such partition.
        count.add(vec![part(0, 3, 11), part(1, 7, 100), part(9, 1, 1_000)]);
        let Answer::TaskGroup { view, partitions_missing } = count.complete() else {
            panic!("it is a count")
        };
        assert_eq!((view.ready, partitions_missing), (110, 1));
    }
}
