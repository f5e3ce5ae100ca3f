//! The one record of a task: everything that is known of it, the same on every replica.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Failure, FailureKind, IllegalTransition, Lease, Metadata, Particulars, Phase, State, Template,
    Transition, discreet,
};
use crate::id::{Lessee, Token};
use crate::time::Wall;
use crate::wire::{grown, grown_enum};

/// A task. Queues, running sets and timers are indexes over records, never a second truth.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What it has in common with others of its kind, shared between their records.
    pub template: Arc<Template>,
    /// Its arguments, JSON.
    pub args: Bytes,
    /// What is said of it alone.
    pub particulars: Option<Box<Particulars>>,
    /// When it was accepted, in partition time.
    pub accepted_at: Wall,
    /// Its place in the line of the partition: a task that waits again stands where it stood.
    pub order: u64,
    /// Where it is in its life.
    phase: Phase,
    /// What happened so far; absent while nothing has.
    pub history: Option<Box<History>>,
}

discreet!(Record { template, particulars, accepted_at, order, phase, history } hides { args });

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Why, in short, if it failed and there was room to keep that. Since version 3.
    pub error: Option<Box<str>>,
}

grown!(Run { lessee, token, started_at, finished_at, end } since 3 { error = None });

/// How a run ended, without what it returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
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
    /// It said that there is nothing to be done. Since version 3, as all that follows.
    Dropped,
    /// It said that it is not time yet.
    Snoozed,
}

grown_enum!(RunEnd since 3, before that before_3);

impl RunEnd {
    /// The nearest of those that there were before version 3.
    const fn before_3(self) -> Self {
        match self {
            Self::Dropped => Self::Failed(FailureKind::Permanent),
            Self::Snoozed => Self::Cancelled,
            Self::Cancelled
            | Self::CutOff
            | Self::Failed(_)
            | Self::Lost
            | Self::NeverHad
            | Self::Succeeded
            | Self::Unheard => self,
        }
    }
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
        Self { template, args, particulars: None, accepted_at, order, phase, history: None }
    }

    /// The same with what is said of it alone.
    #[must_use]
    pub fn with_particulars(self, particulars: Option<Box<Particulars>>) -> Self {
        Self { particulars, ..self }
    }

    /// The same, waiting for its time if it is to start later than it was accepted, when clocks showed that.
    #[must_use]
    pub fn in_time(mut self, shown: Wall) -> Self {
        let (not_before, is_early) = match self.time_of_day() {
            Some(at) => (at, at > shown),
            None => {
                let is_delayed = !self.template.options.delay.is_zero();
                (self.due_at(), is_delayed || self.due_at() > self.accepted_at)
            }
        };
        if self.phase == Phase::Ready && is_early {
            self.phase = Phase::Scheduled { not_before };
        }
        self
    }

    /// The time of day for which it waits, if somebody named one, and not how long it is to wait.
    fn time_of_day(&self) -> Option<Wall> {
        let is_delayed = !self.template.options.delay.is_zero();
        let said = self.particulars.as_ref().and_then(|particulars| particulars.not_before);
        said.filter(|_| !is_delayed)
    }

    /// By which time it starts, when it is `now` and clocks show `shown`: by what they show if it waits for a
    /// time of day.
    #[must_use]
    pub fn starts_by(&self, now: Wall, shown: Wall) -> Wall {
        if self.time_of_day().is_some() && !self.waits_again() { shown } else { now }
    }

    /// By which time it is given up: of what waits for a time of day not before it may start, nor before it is
    /// time.
    #[must_use]
    pub fn ends_by(&self, now: Wall, shown: Wall) -> Wall {
        if self.time_of_day().is_some() { now.min(shown) } else { now }
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

    /// Its present run, if it has one.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match &self.phase {
            Phase::Leased(lease) => Some(lease),
            Phase::Scheduled { .. }
            | Phase::Ready
            | Phase::Succeeded(_)
            | Phase::Dead(_)
            | Phase::Cancelled
            | Phase::Expired => None,
        }
    }

    /// When it may start, if it waits for that.
    #[must_use]
    pub const fn not_before(&self) -> Option<Wall> {
        match &self.phase {
            Phase::Scheduled { not_before } => Some(*not_before),
            Phase::Ready
            | Phase::Leased(_)
            | Phase::Succeeded(_)
            | Phase::Dead(_)
            | Phase::Cancelled
            | Phase::Expired => None,
        }
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

    /// Since when it could have been given to an executor, if it waits for one.
    #[must_use]
    pub fn waits_since(&self) -> Wall {
        match &self.phase {
            Phase::Scheduled { not_before } => *not_before,
            Phase::Ready
            | Phase::Leased(_)
            | Phase::Succeeded(_)
            | Phase::Dead(_)
            | Phase::Cancelled
            | Phase::Expired => self.due_at(),
        }
    }

    /// Whether an executor has begun it. What one was to run and never had was no beginning.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.history.as_ref().is_some_and(|history| {
            let void = history.runs.iter().filter(|run| run.end == RunEnd::NeverHad).count();
            history.starts as usize > void
        })
    }

    /// When it may first start at the earliest: that is what was asked for, or when it was accepted.
    #[must_use]
    pub fn due_at(&self) -> Wall {
        let said = self.particulars.as_ref().and_then(|particulars| particulars.not_before);
        let delayed = self.accepted_at + self.template.options.delay;
        said.map_or(delayed, |at| at.max(delayed))
    }

    /// When it is given up if no run of it has begun that is not over, if ever.
    #[must_use]
    pub fn expires_at(&self) -> Option<Wall> {
        let options = &self.template.options;
        let after = options.expires.map(|expires| self.due_at() + expires);
        options.expires_at.into_iter().chain(after).min()
    }

    /// When it must have ended, if ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Wall> {
        self.template.options.deadline.map(|deadline| self.due_at() + deadline)
    }

    /// When it is given up if it waits then, for whatever reason.
    #[must_use]
    pub fn given_up_at(&self) -> Option<Wall> {
        self.expires_at().into_iter().chain(self.deadline()).min()
    }

    /// Whether it may not start any more at `now`, be it for the first time or again.
    #[must_use]
    pub fn is_overdue(&self, now: Wall) -> bool {
        self.given_up_at().is_some_and(|at| at <= now)
    }

    /// What happened so far, to be added to.
    pub fn history_mut(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    /// What is said of it besides how it is treated, if anything.
    #[must_use]
    pub fn metadata(&self) -> Option<&Arc<Metadata>> {
        self.particulars.as_ref()?.metadata.as_ref()
    }

    /// What its memory is counted as, without its template, which it shares.
    #[must_use]
    pub fn weight(&self) -> usize {
        let history = self.history.as_ref().map_or(0, |history| {
            let failure = history.failure.as_ref().map_or(0, |failure| failure.weight_kept());
            HISTORY_WEIGHT + history.runs.len() * RUN_WEIGHT + history.errors_weight() + failure
        });
        let particulars = self.particulars.as_ref().map_or(0, |particulars| particulars.weight());
        let phase = match &self.phase {
            Phase::Succeeded(result) => result.len(),
            Phase::Dead(failure) => failure.weight(),
            Phase::Leased(_) => LEASE_WEIGHT,
            Phase::Scheduled { .. } | Phase::Ready | Phase::Cancelled | Phase::Expired => 0,
        };
        RECORD_WEIGHT + self.args.len() + particulars + history + phase
    }
}

impl History {
    /// What the memory of why runs failed is counted as.
    #[must_use]
    pub fn errors_weight(&self) -> usize {
        let errors = self.runs.iter().filter_map(|run| run.error.as_ref());
        errors.map(|error| RUN_ERROR_WEIGHT + error.len()).sum()
    }
}

impl Template {
    /// What its memory is counted as while a partition keeps it, however many records share it.
    #[must_use]
    pub fn weight_kept(&self) -> usize {
        TEMPLATE_WEIGHT + self.name.len() + self.queue.len() + self.options.list_weight()
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
/// Why a run failed, without what that says.
pub(crate) const RUN_ERROR_WEIGHT: usize = 16;
/// The run that goes on.
pub(crate) const LEASE_WEIGHT: usize = 80;
/// What records share, without the names in it.
pub(crate) const TEMPLATE_WEIGHT: usize = 320;
/// What is left of a record that was forgotten.
pub(crate) const STUB_WEIGHT: usize = 40;
