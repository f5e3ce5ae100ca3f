//! Answering what is on record, and waiting for ends.
//!
//! An owner answers a read only after a majority has confirmed that it still is the owner: what has
//! ended stays so and needs no confirmation, all else does, above all "there is no such task".

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Scheduler;
use super::asks::Origin;
use crate::id::{GroupId, TaskId};
use crate::limits::{BATCH_BYTES_MAX, WAITERS_MAX};
use crate::partition::Partition;
use crate::task::{Phase, State};
use crate::time::Span;
use crate::wire::{Answer, Ending, RequestError};

/// A read that was not confirmed for so long is asked for again.
const REPEAT_AFTER: Span = Span::from_millis(500);

/// A read that waits for its confirmation.
pub(super) struct Read {
    pub(super) origin: Origin,
    pub(super) task: TaskId,
    /// Whether it waits until the task has ended.
    pub(super) waits: bool,
}

/// Who waits for tasks to end.
#[derive(Default)]
pub(super) struct Waits {
    open: BTreeMap<u64, Wait>,
    by_task: BTreeMap<TaskId, Vec<u64>>,
    last: u64,
    waiting: usize,
}

struct Wait {
    origin: Origin,
    missing: usize,
    endings: Vec<Ending>,
    /// Whether one task is shown, or the ends of many are told.
    shows: bool,
}

impl Scheduler {
    /// Shows a task, or waits until it has ended.
    pub(super) fn read(&mut self, origin: Origin, task: TaskId, wait: bool) {
        if self.has_ended(task) {
            return self.show(origin, task);
        }
        let now = self.now.tick;
        let number = self.next_read;
        let Some(owner) = self.owner_mut(task.partition()) else {
            return;
        };
        // Reads of one round share a confirmation.
        owner.reads.entry(number).or_insert_with(|| (now, Vec::new())).1.push(Read {
            origin,
            task,
            waits: wait,
        });
        self.unconfirmed.insert(GroupId::of(task.partition()));
    }

    /// Whether a task of a partition that this node owns has ended.
    pub(super) fn has_ended(&self, task: TaskId) -> bool {
        let record = self.owned(task.partition()).and_then(|partition| partition.record(task));
        record.is_some_and(|record| record.state().is_final())
    }

    /// Asks for the confirmation of reads that came since the last round.
    pub(super) fn ask_confirmations(&mut self) {
        if self.unconfirmed.is_empty() {
            return;
        }
        let number = self.next_read;
        self.next_read += 1;
        for id in std::mem::take(&mut self.unconfirmed) {
            if let Some(replica) = self.replicas.get_mut(&id) {
                replica.group.read_index(number);
                self.dirty.insert(id);
            }
        }
    }

    /// Reads were confirmed: they may be answered once the entry at the index is applied.
    pub(super) fn confirm_reads(&mut self, id: GroupId, reads: &[(u64, u64)]) {
        for (number, index) in reads {
            let Some(owner) = self.replicas.get_mut(&id).and_then(|r| r.owner.as_mut()) else {
                return;
            };
            if let Some((_, reads)) = owner.reads.remove(number) {
                self.confirmed.entry(id).or_default().push((*index, reads));
            }
        }
        if !reads.is_empty() {
            self.serve_confirmed(id);
        }
    }

    pub(super) fn serve_confirmed(&mut self, id: GroupId) {
        let Some(waiting) = self.confirmed.remove(&id) else {
            return;
        };
        let applied = self.replicas.get(&id).map_or(0, |replica| replica.group.applied());
        let mut later = Vec::new();
        for (index, reads) in waiting {
            if index > applied {
                later.push((index, reads));
                continue;
            }
            for Read { origin, task, waits } in reads {
                if waits {
                    self.wait_for(origin, task);
                } else {
                    self.show(origin, task);
                }
            }
        }
        if !later.is_empty() {
            self.confirmed.insert(id, later);
        }
    }

    /// Asks again for confirmations that got lost.
    pub(super) fn repeat_reads(&mut self) {
        let now = self.now.tick;
        let number = self.next_read;
        for (id, replica) in &mut self.replicas {
            let Some(owner) = &mut replica.owner else {
                continue;
            };
            let lost: Vec<u64> = (owner.reads.iter())
                .filter(|(_, (at, _))| now.since(*at) > REPEAT_AFTER)
                .map(|(number, _)| *number)
                .collect();
            for old in lost {
                if let Some((_, reads)) = owner.reads.remove(&old) {
                    owner.reads.entry(number).or_insert_with(|| (now, Vec::new())).1.extend(reads);
                    self.unconfirmed.insert(*id);
                }
            }
        }
    }

    /// Answers with what is on record now.
    pub(super) fn show(&mut self, origin: Origin, task: TaskId) {
        let partition = task.partition();
        let answer = match self.owned(partition) {
            None => {
                let owner = self.owner_of(partition);
                Answer::Failed(RequestError::NotOwner { partition, owner })
            }
            Some(partition) => Self::view_of(partition, task)
                .unwrap_or(Answer::Failed(RequestError::NotFound { task })),
        };
        self.answer(origin, answer);
    }

    fn wait_for(&mut self, origin: Origin, task: TaskId) {
        let record = self.owned(task.partition()).and_then(|p| p.record(task));
        if record.is_none_or(|record| record.state().is_final()) {
            return self.show(origin, task);
        }
        self.add_wait(origin, vec![task], true);
        self.answer(origin, Answer::Waiting);
    }

    /// Answers once all of `tasks` have ended.
    pub(super) fn wait_for_all(&mut self, origin: Origin, tasks: Vec<TaskId>) {
        self.add_wait(origin, tasks, false);
    }

    fn add_wait(&mut self, origin: Origin, tasks: Vec<TaskId>, shows: bool) {
        if self.waits.waiting + tasks.len() > WAITERS_MAX {
            let what = "callers that wait for tasks to end".to_owned();
            return self.answer(origin, Answer::Failed(RequestError::Overloaded { what }));
        }
        let mut endings = Vec::new();
        let mut open = Vec::with_capacity(tasks.len());
        for task in tasks {
            match self.owned(task.partition()).and_then(|partition| ending(partition, task)) {
                Some(ending) => endings.push(ending),
                None => open.push(task),
            }
        }
        if open.is_empty() {
            return self.answer(origin, finished(endings));
        }
        self.waits.last += 1;
        let id = self.waits.last;
        self.waits.waiting += open.len();
        let missing = open.len();
        for task in open {
            self.waits.by_task.entry(task).or_default().push(id);
        }
        self.waits.open.insert(id, Wait { origin, missing, endings, shows });
    }

    /// A task has ended.
    pub(super) fn tell_waiters(&mut self, task: TaskId) {
        let Some(waits) = self.waits.by_task.remove(&task) else {
            return;
        };
        for id in waits {
            self.waits.waiting -= 1;
            let ending = self.owned(task.partition()).and_then(|p| ending(p, task));
            let Some(wait) = self.waits.open.get_mut(&id) else {
                continue;
            };
            wait.missing -= 1;
            wait.endings.extend(ending);
            if wait.missing > 0 {
                continue;
            }
            if let Some(Wait { origin, endings, shows, .. }) = self.waits.open.remove(&id) {
                if shows {
                    self.show(origin, task);
                } else {
                    self.answer(origin, finished(endings));
                }
            }
        }
    }

    /// The partition changes hands: whoever waits here must wait elsewhere.
    pub(super) fn give_up_waits(&mut self, partition: crate::id::PartitionId) {
        let tasks: Vec<TaskId> = (self.waits.by_task.keys())
            .filter(|task| task.partition() == partition)
            .copied()
            .collect();
        for task in tasks {
            for id in self.waits.by_task.remove(&task).unwrap_or_default() {
                self.waits.waiting -= 1;
                if let Some(Wait { origin, .. }) = self.waits.open.remove(&id) {
                    let error = RequestError::NotOwner { partition, owner: None };
                    self.answer(origin, Answer::Failed(error));
                }
            }
        }
    }
}

/// The ends of many tasks, in one frame: results beyond what fits are left out and must be asked for.
fn finished(mut endings: Vec<Ending>) -> Answer {
    let mut bytes = 0;
    for ending in &mut endings {
        bytes += ending.result.as_ref().map_or(0, Bytes::len);
        if bytes > BATCH_BYTES_MAX {
            ending.result = None;
        }
    }
    Answer::Finished(endings)
}

/// How a task ended, if it has.
fn ending(partition: &Partition, task: TaskId) -> Option<Ending> {
    let bare = |state: State| Ending { task, state, result: None, error: None };
    let Some(record) = partition.record(task) else {
        return partition.stub(task).map(bare);
    };
    match record.phase() {
        Phase::Scheduled { .. } | Phase::Ready | Phase::Leased(_) => None,
        Phase::Succeeded(result) => {
            Some(Ending { result: Some(result.clone()), ..bare(State::Succeeded) })
        }
        Phase::Dead(failure) => {
            Some(Ending { error: Some((**failure).clone()), ..bare(State::Dead) })
        }
        Phase::Cancelled => Some(bare(State::Cancelled)),
        Phase::Expired => Some(bare(State::Expired)),
    }
}
