//! Closing runs as their executors tell, and deciding what becomes of their tasks.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::hand::Hand;
use super::{Change, Partition, Report};
use crate::id::{Lessee, TaskId, Token};
use crate::limits::DELAY_MAX;
use crate::sabotage::{self, Defect};
use crate::task::{Failure, FailureKind, Lease, Options, Outcome, Phase, RunEnd, Transition};
use crate::time::Span;

impl Partition {
    pub(super) fn report(
        &mut self,
        lessee: Lessee,
        reports: Vec<Report>,
        changes: &mut Vec<Change>,
    ) {
        for Report { task, token, outcome } in reports {
            let mut was_open = false;
            self.take(task, changes, |hand| match hand.lease() {
                Some(lease) if lease.token == token && lease.lessee == lessee => {
                    was_open = true;
                    conclude(hand, &lease, outcome);
                }
                Some(lease) if sabotage::has(Defect::OldOutcome) => conclude(hand, &lease, outcome),
                lease => conclude_late(hand, token, lease, outcome),
            });
            changes.push(match was_open {
                true => Change::Closed { task, token, lessee },
                false => Change::ClosedAlready { task, token, lessee },
            });
        }
    }
}

/// The present run has ended.
fn conclude(hand: &mut Hand<'_>, lease: &Lease, outcome: Outcome) {
    let end = match &outcome {
        Outcome::Succeeded(_) => RunEnd::Succeeded,
        Outcome::Deferred { failure, pause: _ } | Outcome::Failed(failure) => {
            RunEnd::Failed(failure.kind)
        }
        Outcome::Dropped(_) => RunEnd::Dropped,
        Outcome::Snoozed { pause: _ } => RunEnd::Snoozed,
        Outcome::Cancelled => RunEnd::Cancelled,
    };
    hand.close(lease, end);
    match outcome {
        Outcome::Succeeded(_) if lease.cancelling && sabotage::has(Defect::CancelBeatsSuccess) => {
            hand.finish(Transition::Cancel, Phase::Cancelled);
        }
        Outcome::Succeeded(result) => succeed(hand, result),
        Outcome::Failed(failure) => fail(hand, lease, failure, None),
        Outcome::Deferred { failure, pause } => fail(hand, lease, failure, Some(pause)),
        Outcome::Dropped(reason) => {
            hand.remember(reason);
            hand.finish(Transition::Cancel, Phase::Cancelled);
        }
        Outcome::Cancelled | Outcome::Snoozed { .. } if lease.cancelling => {
            hand.finish(Transition::Cancel, Phase::Cancelled);
        }
        Outcome::Cancelled | Outcome::Snoozed { .. } if hand.is_at_most_once() => {
            hand.die(lost("it was stopped before its end; it is never started twice"));
        }
        // Nobody asked for it: the executor stopped. The task waits for the next one.
        Outcome::Cancelled => hand.requeue(),
        Outcome::Snoozed { pause } => hand.retry(pause.min(DELAY_MAX)),
    }
}

/// A run that is closed already tells how it ended. Only a success can still matter.
fn conclude_late(hand: &mut Hand<'_>, token: Token, present: Option<Lease>, outcome: Outcome) {
    let Outcome::Succeeded(result) = outcome else {
        return;
    };
    let ran = hand.record.history.as_ref().is_some_and(|history| {
        history.runs.iter().any(|run| run.token == token)
            || history.starts as usize > history.runs.len()
    });
    if hand.record.state().is_final() || !ran {
        return;
    }
    if present.is_some() && hand.record.template.options.is_exclusive() {
        // The run that goes on is no more in vain than that one was, and while it stops no other of its key
        // may begin.
        return;
    }
    if let Some(lease) = &present {
        hand.close(lease, RunEnd::Cancelled);
        hand.tell_stop(lease);
        // Its end is decided, whatever it will tell: nobody is to wait for that, or for its loss.
        hand.tell_closed(lease);
    }
    let now = hand.now;
    let history = hand.record.history_mut();
    if let Some(run) = history.runs.iter_mut().find(|run| run.token == token) {
        run.end = RunEnd::Succeeded;
        run.finished_at = now;
    }
    succeed(hand, result);
}

/// Of a task whose result nobody wants there is none from here on.
fn succeed(hand: &mut Hand<'_>, result: Bytes) {
    let is_kept = !hand.record.template.options.ignores_result();
    let result = if is_kept { result } else { Bytes::from_static(b"null") };
    hand.finish(Transition::Succeed, Phase::Succeeded(result));
}

/// The run failed: the next attempt is scheduled, after its own pause if it said one, or there is none.
fn fail(hand: &mut Hand<'_>, lease: &Lease, failure: Failure, said: Option<Span>) {
    let history = hand.record.history_mut();
    history.failures = history.failures.saturating_add(1);
    let failures = history.failures;
    let options = &hand.record.template.options;
    if lease.cancelling {
        hand.remember(failure);
        return hand.finish(Transition::Cancel, Phase::Cancelled);
    }
    if !failure.kind.is_retryable() || failures >= options.attempts_max() {
        return hand.die(failure);
    }
    let pause = match said.or_else(|| options.listed_backoff(failures)) {
        Some(_) | None if sabotage::has(Defect::NoPause) => Span::ZERO,
        Some(pause) => pause.min(DELAY_MAX),
        None => backoff(hand.task, options, failures),
    };
    if hand.record.deadline().is_some_and(|deadline| hand.now + pause >= deadline) {
        return hand.die(failure.and_then("no time is left for another attempt"));
    }
    hand.remember(failure);
    hand.retry(pause);
}

/// The pause before the attempt after the `failures`th failure: of the longest a part between half and all
/// is taken, so that tasks that failed together do not come back together. The part follows from the
/// task's id: replicas agree.
fn backoff(task: TaskId, options: &Options, failures: u16) -> Span {
    let full = options.backoff(failures).as_micros();
    let mut key = [0; 18];
    let (id, count) = key.split_at_mut(16);
    id.copy_from_slice(&task.bits().to_le_bytes());
    count.copy_from_slice(&failures.to_le_bytes());
    let half = full / 2;
    Span::from_micros(half + xxh3_64(&key) % (full - half + 1))
}

/// What is said of a task that is never started twice and whose only run did not come to its end.
pub(super) fn lost(message: &str) -> Failure {
    Failure::new(FailureKind::Lost, message)
}
