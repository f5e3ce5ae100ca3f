//! One record in hand: all that may become of it, with every count and every change told.

use super::tally::Tally;
use super::uniques::Uniques;
use super::{Change, Partition};
use crate::id::TaskId;
use crate::limits::{
    PARTITION_FAILURES_BYTES_MAX, PartitionLimits, RUNS_KEPT_CROWDED, RUNS_KEPT_MAX,
};
use crate::sabotage::{self, Defect};
use crate::task::{
    Failure, FailureKind, Lease, Phase, RUN_ERROR_WEIGHT, Record, Run, RunEnd, State, Transition,
};
use crate::time::{Span, Wall};

/// A record that is being changed. The counts of the partition follow when it is put back.
pub(super) struct Hand<'a> {
    pub(super) task: TaskId,
    pub(super) record: &'a mut Record,
    /// Partition time.
    pub(super) now: Wall,
    pub(super) limits: PartitionLimits,
    /// That of the state.
    pub(super) version: u16,
    pub(super) tally: &'a mut Tally,
    pub(super) uniques: &'a mut Uniques,
    pub(super) changes: &'a mut Vec<Change>,
}

impl Partition {
    /// Takes the record of `task` in hand, if there is one, and puts it back afterwards.
    pub(super) fn take<R>(
        &mut self,
        task: TaskId,
        changes: &mut Vec<Change>,
        act: impl FnOnce(&mut Hand<'_>) -> R,
    ) -> Option<R> {
        let Self { now, limits, version, .. } = *self;
        let Self { records, tally, uniques, limited, .. } = self;
        // Of one that is put away a copy is in hand.
        let mut read = records.read_cold(task);
        let record = match &mut read {
            Some(record) => record,
            None => records.warm_mut(task)?,
        };
        tally.subtract(task, record);
        let ran = record.state() == State::Leased;
        let mut hand = Hand { task, record, now, limits, version, tally, uniques, changes };
        let result = act(&mut hand);
        let Hand { record, tally, uniques, changes, .. } = hand;
        tally.add(task, record);
        uniques.look_again(task, record);
        match (ran, record.state() == State::Leased) {
            (false, true) => limited.begins(record, now),
            (true, false) => {
                changes.extend(limited.ends(record).map(|key| Change::KeyFreed { key }));
            }
            (true, true) | (false, false) => {}
        }
        if let Some(record) = read {
            records.put_back(task, record);
        }
        Some(result)
    }
}

impl Hand<'_> {
    /// The present run.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.record.lease().copied()
    }

    /// Writes the end of the run that `lease` began into the history. An executor that is told of it
    /// need not hold the run any more.
    pub(super) fn close(&mut self, lease: &Lease, end: RunEnd) {
        let finished_at = self.now;
        let is_crowded = self.tally.bytes + self.record.weight() >= self.limits.bytes;
        let kept = if is_crowded { RUNS_KEPT_CROWDED } else { RUNS_KEPT_MAX };
        let history = self.record.history_mut();
        history.starts += 1;
        let excess = (history.runs.len() + 1).saturating_sub(kept);
        for _ in 0..excess {
            // What was not time yet tells less of a task than why it failed.
            let snoozed = history.runs.iter().position(|run| run.end == RunEnd::Snoozed);
            history.runs.remove(snoozed.unwrap_or(0));
        }
        if is_crowded {
            history.runs.shrink_to_fit();
        }
        // Nearly all tasks start once: room for more is made when it is needed.
        history.runs.reserve_exact(1);
        history.runs.push(Run {
            lessee: lease.lessee,
            token: lease.token,
            started_at: lease.since,
            finished_at,
            end,
            error: None,
        });
    }

    /// Keeps why the run that was closed last failed, as far as there is room: in short with the run, and
    /// whole in place of why an earlier one did.
    pub(super) fn remember(&mut self, failure: Failure) {
        self.remember_in_short(&failure);
        let fits = |hand: &Self, failure: &Failure, limit| {
            hand.failures_bytes() + failure.weight_kept() <= limit
        };
        let kept = if fits(self, &failure, PARTITION_FAILURES_BYTES_MAX / 2) {
            failure
        } else {
            failure.without_detail()
        };
        self.record.history_mut().failure =
            fits(self, &kept, PARTITION_FAILURES_BYTES_MAX).then(|| Box::new(kept));
    }

    /// Keeps in short why the run that was closed last failed, if there is room.
    pub(super) fn remember_in_short(&mut self, failure: &Failure) {
        if self.version < ERRORS_SINCE {
            return;
        }
        let error = failure.excerpt();
        let bytes = self.failures_bytes() + RUN_ERROR_WEIGHT + error.len();
        if bytes <= PARTITION_FAILURES_BYTES_MAX / 2
            && let Some(run) = self.record.history_mut().runs.last_mut()
        {
            run.error = Some(error);
        }
    }

    /// Bytes of why open tasks failed, but for why this one did last. The record itself is not counted
    /// while it is in hand.
    fn failures_bytes(&self) -> usize {
        let own = self.record.history.as_ref().map_or(0, |history| history.errors_weight());
        self.tally.failures_bytes + own
    }

    /// The executor that was given `lease` may forget it.
    pub(super) fn tell_closed(&mut self, lease: &Lease) {
        let Lease { lessee, token, .. } = *lease;
        self.changes.push(Change::Closed { task: self.task, token, lessee });
    }

    /// The executor that was given `lease` is gone, as far as is known.
    pub(super) fn tell_lost(&mut self, lease: &Lease) {
        let Lease { lessee, token, .. } = *lease;
        self.changes.push(Change::Lost { task: self.task, token, lessee });
    }

    /// The executor that was given `lease` is to stop it.
    pub(super) fn tell_stop(&mut self, lease: &Lease) {
        let Lease { lessee, token, .. } = *lease;
        self.changes.push(Change::Stop { task: self.task, token, lessee });
    }

    /// Leases the ready task.
    pub(super) fn grant(&mut self, lease: Lease) {
        let Lease { lessee, token, .. } = lease;
        self.step(Transition::Grant, Phase::Leased(Box::new(lease)));
        self.changes.push(Change::Leased { task: self.task, token, lessee });
    }

    /// A scheduled task need not wait any longer.
    pub(super) fn make_ready(&mut self) {
        self.step(Transition::Due, Phase::Ready);
    }

    /// The task waits again, where it stood before.
    pub(super) fn requeue(&mut self) {
        self.step(Transition::Release, Phase::Ready);
        self.tell_ready();
    }

    /// The task waits for a slot.
    pub(super) fn tell_ready(&mut self) {
        self.changes.push(Change::Ready { task: self.task });
    }

    /// The task is tried again after `pause`, as long as that may be.
    pub(super) fn retry(&mut self, pause: Span) {
        let not_before = self.now + pause;
        self.step(Transition::Retry, Phase::Scheduled { not_before });
        self.changes.push(Change::Scheduled { task: self.task, not_before });
    }

    /// Whether the task is never started twice.
    pub(super) fn is_at_most_once(&self) -> bool {
        self.record.template.options.is_at_most_once() && !sabotage::has(Defect::LeaseTwice)
    }

    /// Ends the task, which waits, because another takes its place.
    pub(super) fn replace(&mut self, by: TaskId) {
        let reason = format!("replaced by task {by}, which has the same unique key");
        self.record.history_mut().failure =
            Some(Box::new(Failure::new(FailureKind::Dropped, reason)));
        self.finish(Transition::Cancel, Phase::Cancelled);
    }

    /// Ends the task for good: it will not be tried again.
    pub(super) fn die(&mut self, failure: Failure) {
        if matches!(self.record.state(), State::Leased) {
            self.remember_in_short(&failure);
        }
        self.finish(Transition::Die, Phase::Dead(Box::new(failure)));
    }

    /// Ends the task for good in `phase`.
    pub(super) fn finish(&mut self, step: Transition, phase: Phase) {
        self.step(step, phase);
        if matches!(self.record.state(), State::Succeeded | State::Dead) {
            self.record.history_mut().failure = None;
        }
        self.tally.end(self.task, self.record, self.now);
        self.changes.push(Change::Finished { task: self.task });
    }

    fn step(&mut self, step: Transition, phase: Phase) {
        self.record.take(step, phase).expect("verbs look at the phase before they change it");
    }
}

/// The version in whose states runs have errors.
const ERRORS_SINCE: u16 = 3;
