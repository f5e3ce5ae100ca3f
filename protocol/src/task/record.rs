//! The one record of a task: everything that is known of it, the same on every replica.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Failure, FailureKind, IllegalTransition, Phase, State, Template, Transition};
use crate::id::{Lessee, Token};
use crate::time::Wall;

/// A task. Queues, running sets and timers are indexes over records, never a second truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it has in common with others of its kind, shared between their records.
    pub template: Arc<Template>,
    /// Its arguments, JSON.
    pub args: Bytes,
    /// When it was accepted, in partition time.
    pub accepted_at: Wall,
    /// Its place in the line of the partition: a task that waits again stands where it stood.
    pub order: u64,
    /// Where it is in its life.
    phase: Phase,
    /// What happened so far; absent while nothing has.
    pub history: Option<Box<History>>,
}

/// What happened to a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Runs that failed.
    pub failures: u16,
    /// Runs that were lost with their node, as far as is known.
    pub crashes: u16,
    /// Whether a request to cancel it was accepted.
    pub cancelled: bool,
    /// All starts, the forgotten ones included.
    pub starts: u32,
    /// The last starts, oldest first, at most [`RUNS_KEPT_MAX`](crate::limits::RUNS_KEPT_MAX).
    pub runs: Vec<Run>,
    /// When it reached its final phase, in partition time.
    pub finished_at: Option<Wall>,
    /// Its place among the finished tasks of the partition.
    pub finish_order: u64,
    /// Why the last attempt that failed did, as far as there was room for it. It is of no use any
    /// more once another succeeds; dead tasks have theirs in their [phase](Phase::Dead).
    pub failure: Option<Box<Failure>>,
}

/// One start of a task that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Who ran it.
    pub lessee: Lessee,
    /// Its fencing token.
    pub token: Token,
    /// When it was leased, in partition time.
    pub started_at: Wall,
    /// When its end was known, in partition time.
    pub finished_at: Wall,
    /// How it ended.
    pub end: RunEnd,
}

/// How a run ended, without what it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    /// It stopped because it was asked to.
    Cancelled,
    /// It was taken to be lost, but its executor was only out of reach.
    CutOff,
    /// It failed.
    Failed(FailureKind),
    /// Its process is gone: the node was heard of again with a later start.
    Lost,
    /// The executor never had it: the dispatch was lost or refused.
    NeverHad,
    /// It returned a result.
    Succeeded,
    /// Its node was not heard of any more.
    Unheard,
}

impl Record {
    /// A task just accepted.
    #[must_use]
    pub fn new(
        template: Arc<Template>,
        args: Bytes,
        accepted_at: Wall,
        order: u64,
        phase: Phase,
    ) -> Self {
        Self { template, args, accepted_at, order, phase, history: None }
    }

    /// Where it is in its life.
    #[must_use]
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The name of that.
    #[must_use]
    pub const fn state(&self) -> State {
        self.phase.state()
    }

    /// Takes one step to `next`, if the table has it.
    ///
    /// # Errors
    /// When the table does not have the step; nothing has changed then.
    ///
    /// # Panics
    /// When `next` is not where the step leads: a bug of ours.
    pub fn take(&mut self, step: Transition, next: Phase) -> Result<(), IllegalTransition> {
        let to = self.state().after(step)?;
        assert_eq!(to, next.state(), "{step:?} leads to {to:?}");
        self.phase = next;
        Ok(())
    }

    /// Marks the present run as asked to stop; whether there is one.
    pub fn flag_cancel(&mut self) -> bool {
        self.history_mut().cancelled = true;
        match &mut self.phase {
            Phase::Leased(lease) => {
                lease.cancelling = true;
                true
            }
            Phase::Scheduled { .. }
            | Phase::Ready
            | Phase::Succeeded(_)
            | Phase::Dead(_)
            | Phase::Cancelled
            | Phase::Expired => false,
        }
    }

    /// Runs that were lost with their node, as far as is known.
    #[must_use]
    pub fn crashes(&self) -> u16 {
        self.history.as_ref().map_or(0, |history| history.crashes)
    }

    /// Whether it was started before, and that run is over.
    #[must_use]
    pub fn waits_again(&self) -> bool {
        self.history.as_ref().is_some_and(|history| history.starts > 0)
    }

    /// Whether an executor has begun it. What one was to run and never had was no beginning.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.history.as_ref().is_some_and(|history| {
            let void = history.runs.iter().filter(|run| run.end == RunEnd::NeverHad).count();
            history.starts as usize > void
        })
    }

    /// Whether it may not start any more at `now`, be it for the first time or again.
    #[must_use]
    pub fn is_overdue(&self, now: Wall) -> bool {
        self.template.options.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// What happened so far, to be added to.
    pub fn history_mut(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    /// What its memory is counted as, without its template, which it shares.
    #[must_use]
    pub fn weight(&self) -> usize {
        let history = self.history.as_ref().map_or(0, |history| {
            let failure = history.failure.as_ref().map_or(0, |failure| failure.weight_kept());
            HISTORY_WEIGHT + history.runs.len() * RUN_WEIGHT + failure
        });
        let phase = match &self.phase {
            Phase::Succeeded(result) => result.len(),
            Phase::Dead(failure) => failure.weight(),
            Phase::Leased(_) => LEASE_WEIGHT,
            Phase::Scheduled { .. } | Phase::Ready | Phase::Cancelled | Phase::Expired => 0,
        };
        RECORD_WEIGHT + self.args.len() + history + phase
    }
}

impl Template {
    /// What its memory is counted as while a partition keeps it, however many records share it.
    #[must_use]
    pub const fn weight_kept(&self) -> usize {
        TEMPLATE_WEIGHT + self.name.len() + self.queue.len()
    }
}

impl Failure {
    /// What its memory is counted as while a history keeps it.
    #[must_use]
    pub const fn weight_kept(&self) -> usize {
        FAILURE_WEIGHT + self.weight()
    }
}

// About what each takes in memory. They are part of the log's meaning, as `limits` explains: what
// the compiler makes of our types may differ between two replicas, these may not.

/// A record, its place among the others included: ids grow with time, so nodes of the tree that
/// holds them stay half empty.
pub(crate) const RECORD_WEIGHT: usize = 232;
/// What happened to a task, without its runs.
pub(crate) const HISTORY_WEIGHT: usize = 72;
/// Why a task failed that goes on, without what that says.
pub(crate) const FAILURE_WEIGHT: usize = 64;
/// One run that has ended.
pub(crate) const RUN_WEIGHT: usize = 80;
/// The run that goes on.
pub(crate) const LEASE_WEIGHT: usize = 80;
/// What records share, without the names in it.
pub(crate) const TEMPLATE_WEIGHT: usize = 320;
/// What is left of a record that was forgotten.
pub(crate) const STUB_WEIGHT: usize = 40;
