//! Closing runs as their executors tell, and deciding what becomes of their tasks.

use xxhash_rust::xxh3::xxh3_64;

use super::finish::close;
use super::{Change, Partition, Report};
use crate::id::{Lessee, TaskId, Token};
use crate::task::{Failure, Lease, Options, Outcome, Phase, RunEnd, Transition};
use crate::time::Span;

impl Partition {
    pub(super) fn report(
        &mut self,
        lessee: Lessee,
        reports: Vec<Report>,
        changes: &mut Vec<Change>,
    ) {
        for Report { task, token, outcome } in reports {
            let lease = self.records.get(&task).and_then(|record| match record.phase() {
                Phase::Leased(lease) => Some(**lease),
                Phase::Scheduled { .. }
                | Phase::Ready
                | Phase::Succeeded(_)
                | Phase::Dead(_)
                | Phase::Cancelled
                | Phase::Expired => None,
            });
            match lease {
                Some(lease) if lease.token == token && lease.lessee == lessee => {
                    self.conclude(task, &lease, outcome, changes);
                }
                lease => self.conclude_late(task, token, lease, outcome, changes),
            }
            changes.push(Change::Closed { task, token, lessee });
        }
    }

    /// The present run of `task` has ended.
    fn conclude(
        &mut self,
        task: TaskId,
        lease: &Lease,
        outcome: Outcome,
        changes: &mut Vec<Change>,
    ) {
        let now = self.now;
        let end = match &outcome {
            Outcome::Succeeded(_) => RunEnd::Succeeded,
            Outcome::Failed(failure) => RunEnd::Failed(failure.kind),
            Outcome::Cancelled => RunEnd::Cancelled,
        };
        self.amend(task, |record| close(record, lease, now, end));
        match outcome {
            Outcome::Succeeded(result) => {
                self.finish(task, Transition::Succeed, Phase::Succeeded(result), changes);
            }
            _ if lease.cancelling => {
                self.finish(task, Transition::Cancel, Phase::Cancelled, changes);
            }
            Outcome::Failed(failure) => self.fail(task, failure, changes),
            // Nobody asked for it: the executor stopped. The task waits for the next one.
            Outcome::Cancelled => self.requeue(task, changes),
        }
    }

    /// A run that is closed already tells how it ended. Only a success can still matter.
    fn conclude_late(
        &mut self,
        task: TaskId,
        token: Token,
        present: Option<Lease>,
        outcome: Outcome,
        changes: &mut Vec<Change>,
    ) {
        let Outcome::Succeeded(result) = outcome else {
            return;
        };
        let Some(record) = self.records.get(&task) else {
            return;
        };
        let ran = record.history.as_ref().is_some_and(|history| {
            history.runs.iter().any(|run| run.token == token)
                || history.starts as usize > history.runs.len()
        });
        if record.state().is_final() || !ran {
            return;
        }
        let now = self.now;
        self.amend(task, |record| {
            if let Some(lease) = &present {
                close(record, lease, now, RunEnd::Cancelled);
            }
            let history = record.history_mut();
            if let Some(run) = history.runs.iter_mut().find(|run| run.token == token) {
                run.end = RunEnd::Succeeded;
                run.finished_at = now;
            }
        });
        if let Some(lease) = present {
            changes.push(Change::Stop { task, token: lease.token, lessee: lease.lessee });
        }
        self.finish(task, Transition::Succeed, Phase::Succeeded(result), changes);
    }

    /// The run failed: the next attempt is scheduled, or there is none.
    fn fail(&mut self, task: TaskId, failure: Failure, changes: &mut Vec<Change>) {
        let retry = self.amend(task, |record| {
            let history = record.history_mut();
            history.failures = history.failures.saturating_add(1);
            let failures = history.failures;
            let options = &record.template.options;
            let again = failure.kind.is_retryable() && failures < options.attempts_max();
            again.then(|| backoff(task, options, failures))
        });
        match retry.flatten() {
            Some(pause) => {
                let not_before = self.now + pause;
                self.amend(task, |record| {
                    record
                        .take(Transition::Retry, Phase::Scheduled { not_before })
                        .expect("its run has just ended");
                });
                changes.push(Change::Scheduled { task, not_before });
            }
            None => self.finish(task, Transition::Die, Phase::Dead(Box::new(failure)), changes),
        }
    }

    /// The task waits again, where it stood before.
    pub(super) fn requeue(&mut self, task: TaskId, changes: &mut Vec<Change>) {
        self.amend(task, |record| {
            record.take(Transition::Release, Phase::Ready).expect("its run has just been closed");
        });
        changes.push(Change::Ready { task });
    }
}

/// The pause before the attempt after the `failures`th failure: it doubles each time up to the
/// limit, and of the result a part between half and all is taken, so that tasks that failed
/// together do not come back together. The part follows from the task's id: replicas agree.
fn backoff(task: TaskId, options: &Options, failures: u16) -> Span {
    let doublings = u32::from(failures.saturating_sub(1)).min(32);
    let full = options.backoff_first().times(1 << doublings).min(options.backoff_max()).as_micros();
    let mut key = [0; 18];
    let (id, count) = key.split_at_mut(16);
    id.copy_from_slice(&task.bits().to_le_bytes());
    count.copy_from_slice(&failures.to_le_bytes());
    let half = full / 2;
    Span::from_micros(half + xxh3_64(&key) % (full - half + 1))
}
