//! One record in hand: all that may become of it, with every count and every change told.

use super::tally::Tally;
use super::{Change, Partition};
use crate::id::TaskId;
use crate::limits::{
    PARTITION_FAILURES_BYTES_MAX, PartitionLimits, RUNS_KEPT_CROWDED, RUNS_KEPT_MAX,
};
use crate::task::{Failure, Lease, Phase, Record, Run, RunEnd, State, Transition};
use crate::time::{Span, Wall};

/// A record that is being changed. The counts of the partition follow when it is put back.
pub(super) struct Hand<'a> {
    pub(super) task: TaskId,
    pub(super) record: &'a mut Record,
    /// Partition time.
    pub(super) now: Wall,
    limits: PartitionLimits,
    tally: &'a mut Tally,
    changes: &'a mut Vec<Change>,
}

impl Partition {
    /// Takes the record of `task` in hand, if there is one, and puts it back afterwards.
    pub(super) fn take<R>(
        &mut self,
        task: TaskId,
        changes: &mut Vec<Change>,
        act: impl FnOnce(&mut Hand<'_>) -> R,
    ) -> Option<R> {
        let record = self.records.get_mut(&task)?;
        self.tally.subtract(record);
        let mut hand = Hand::new(task, record, self.now, self.limits, &mut self.tally, changes);
        let result = act(&mut hand);
        let Hand { record, tally, .. } = hand;
        tally.add(record);
        Some(result)
    }
}

impl<'a> Hand<'a> {
    pub(super) const fn new(
        task: TaskId,
        record: &'a mut Record,
        now: Wall,
        limits: PartitionLimits,
        tally: &'a mut Tally,
        changes: &'a mut Vec<Change>,
    ) -> Self {
        Self { task, record, now, limits, tally, changes }
    }

    /// The present run.
    pub(super) fn lease(&self) -> Option<Lease> {
        match self.record.phase() {
            Phase::Leased(lease) => Some(**lease),
            Phase::Scheduled { .. }
            | Phase::Ready
            | Phase::Succeeded(_)
            | Phase::Dead(_)
            | Phase::Cancelled
            | Phase::Expired => None,
        }
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
        history.runs.drain(..excess);
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
        });
    }

    /// Keeps why the present run failed, in place of why an earlier one did, as far as there is room.
    pub(super) fn remember(&mut self, failure: Failure) {
        // The record itself is not counted while it is in hand.
        let taken = self.tally.failures_bytes;
        let fits = |failure: &Failure, limit| taken + failure.weight_kept() <= limit;
        let kept = if fits(&failure, PARTITION_FAILURES_BYTES_MAX / 2) {
            failure
        } else {
            failure.without_detail()
        };
        self.record.history_mut().failure =
            fits(&kept, PARTITION_FAILURES_BYTES_MAX).then(|| Box::new(kept));
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

    /// The task is tried again after `pause`.
    pub(super) fn retry(&mut self, pause: Span) {
        let not_before = self.now + pause;
        self.step(Transition::Retry, Phase::Scheduled { not_before });
        self.changes.push(Change::Scheduled { task: self.task, not_before });
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
