//! Runs that are not given up as soon as their executor is not heard of: those of tasks that ask for more
//! patience, and those that must not overlap with others, whose executors end them in the meantime.
//!
//! Of the latter the executor asks again and again whether they may go on. An owner that says so must be one
//! at that time: it asks a majority first, as for a read. Whoever owns the partition next was elected after
//! that, so it waits as long as any run may go on by what an owner before it said.

use std::collections::BTreeMap;

use super::Scheduler;
use crate::id::{Lessee, PartitionId, TaskId, Token};
use crate::limits::{BATCH_TASKS_MAX, GUARD_GRACE};
use crate::partition::Command;
use crate::task::{Options, Phase};
use crate::time::{Span, Tick};
use crate::wire::OwnerSays;

/// Clocks of two nodes go apart by less than this part of the time that passes.
const DRIFT_PART: u64 = 50;

/// Leased runs that are waited for, by task.
#[derive(Debug, Default)]
pub(super) struct Guards {
    runs: BTreeMap<TaskId, Guard>,
}

#[derive(Debug)]
struct Guard {
    lessee: Lessee,
    token: Token,
    patience: Span,
    is_exclusive: bool,
    /// When its executor last asked and was, or may have been, told that it may go on; of one that may overlap
    /// with others, when its executor was last heard of.
    since: Tick,
    /// Whether the command that gives it up is on its way into the log.
    is_given_up: bool,
}

impl Guard {
    fn is_over(&self, now: Tick) -> bool {
        let patience = self.patience.as_micros();
        let slack =
            if self.is_exclusive { patience / DRIFT_PART + GUARD_GRACE.as_micros() } else { 0 };
        now.since(self.since) >= Span::from_micros(patience + slack)
    }
}

/// An executor asks whether runs may go on, and the confirmation that this node may say so is awaited.
pub(super) struct Question {
    lessee: Lessee,
    number: u64,
    runs: Vec<(TaskId, Token)>,
    asked_at: Tick,
}

impl Guards {
    /// A run is leased, or dispatched once more, which changes nothing.
    pub(super) fn leased(
        &mut self,
        lessee: Lessee,
        (task, token): (TaskId, Token),
        options: &Options,
        now: Tick,
    ) {
        let Some(patience) = options.lost_after() else {
            return;
        };
        if self.runs.get(&task).is_none_or(|guard| guard.token != token) {
            let (is_exclusive, is_given_up) = (options.is_exclusive(), false);
            let guard = Guard { lessee, token, patience, is_exclusive, since: now, is_given_up };
            self.runs.insert(task, guard);
        }
    }

    pub(super) fn closed(&mut self, task: TaskId, token: Token) {
        if self.runs.get(&task).is_some_and(|guard| guard.token == token) {
            self.runs.remove(&task);
        }
    }

    pub(super) fn has(&self, task: TaskId) -> bool {
        self.runs.contains_key(&task)
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.runs.retain(|task, _| task.partition() != partition);
    }

    /// An executor lists runs that it holds.
    pub(super) fn heard(&mut self, held: &[(TaskId, Token)], now: Tick) {
        if self.runs.is_empty() {
            return;
        }
        for (task, token) in held {
            if let Some(guard) = self.runs.get_mut(task)
                && guard.token == *token
                && !guard.is_exclusive
            {
                guard.since = now;
            }
        }
    }

    /// Those of `lessee` that have been waited for long enough, by partition; they are given up.
    fn give_up(
        &mut self,
        lessee: Lessee,
        now: Tick,
    ) -> BTreeMap<PartitionId, Vec<(TaskId, Token)>> {
        let mut over: BTreeMap<PartitionId, Vec<_>> = BTreeMap::new();
        for (task, guard) in &mut self.runs {
            if guard.lessee == lessee && !guard.is_given_up && guard.is_over(now) {
                guard.is_given_up = true;
                over.entry(task.partition()).or_default().push((*task, guard.token));
            }
        }
        over
    }
}

impl Scheduler {
    /// An executor asks whether these runs may go on. One that is over, which it has not heard, is to stop: if
    /// it has not begun it waits for the answer, in a slot, and nobody else would ever say so while its task
    /// waits for another run.
    pub(super) fn asked_to_go_on(&mut self, lessee: Lessee, number: u64, runs: &[(TaskId, Token)]) {
        let asked_at = self.now.tick;
        let mut by_partition: BTreeMap<PartitionId, Vec<(TaskId, Token)>> = BTreeMap::new();
        for (task, token) in runs {
            match self.guards.runs.get(task).filter(|guard| guard.token == *token) {
                Some(guard) if !guard.is_given_up => {
                    by_partition.entry(task.partition()).or_default().push((*task, *token));
                }
                // Its end is on its way into the log.
                Some(_) => {}
                None if self.is_over(*task, *token) => {
                    self.outbox.stop(lessee.node, *task, *token);
                }
                None => {}
            }
        }
        for (partition, runs) in by_partition {
            let question = Question { lessee, number, runs, asked_at };
            self.confirm_owner(partition, question);
        }
    }

    /// Whether a run is closed for certain.
    fn is_over(&self, task: TaskId, token: Token) -> bool {
        let partition = self.owned(task.partition()).filter(|_| self.knows_of(task, token));
        partition.is_some_and(|partition| {
            match partition.record(task).as_ref().map(|r| r.phase()) {
                Some(Phase::Leased(lease)) => lease.token != token,
                Some(_) | None => true,
            }
        })
    }

    /// This node was the owner when it was asked, and says that those runs may go on which it has not given
    /// up meanwhile.
    pub(super) fn let_go_on(&mut self, question: Question) {
        let Question { lessee, number, mut runs, asked_at } = question;
        runs.retain(|(task, token)| match self.guards.runs.get_mut(task) {
            Some(guard) if guard.token == *token && !guard.is_given_up => {
                guard.since = guard.since.max(asked_at);
                true
            }
            Some(_) | None => false,
        });
        if !runs.is_empty() {
            self.tell(lessee.node, OwnerSays::GoOn { lessee, number, runs });
        }
    }

    /// Gives up runs of an executor that has not been heard of for as long as they wait.
    pub(super) fn give_up_guarded(&mut self, lessee: Lessee) {
        let hold = self.settings.limits.crash_hold;
        for (partition, runs) in self.guards.give_up(lessee, self.now.tick) {
            if let Some(line) = self.line(partition) {
                let parts = runs.chunks(BATCH_TASKS_MAX);
                line.commands.extend(parts.map(|runs| Command::GiveUp {
                    lessee,
                    runs: runs.to_vec(),
                    hold,
                }));
            }
            self.lessees.unheard(lessee, partition);
        }
    }
}
