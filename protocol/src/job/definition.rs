//! What a job is: when it fires, what it then runs, and how it is treated.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::cron::InvalidCron;
use super::labels::{InvalidLabel, Labels};
use super::plan::Plan;
use super::zone::{UnknownZone, Zones};
use crate::limits::{DELAY_MAX, JOB_ARGS_BYTES_MAX, JOB_COMMAND_BYTES_MAX, MISFIRES_MAX};
use crate::task::{InvalidBatch, Metadata, Options, Template, discreet};
use crate::time::{Span, Wall};
use crate::wire::since_3;

/// The definition of a job. It never changes by itself; whoever edits a job replaces it as a whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// When its ticks are.
    pub schedule: Schedule,
    /// By whose clocks a cron expression is read, as the time zone database names it.
    pub timezone: String,
    /// What each tick runs. It says neither a delay nor when it expires: those follow from the tick.
    pub template: Template,
    /// The command that its task is, where that is the job's own: for people to read, the task is what
    /// runs. At most [`JOB_COMMAND_BYTES_MAX`] bytes.
    pub command: Option<String>,
    /// Its arguments, JSON.
    pub args: Bytes,
    /// How long after it was fired a task is given up if it does not run, whether it was tried before or
    /// not. One on one node is given up after ten minutes if nothing is said.
    pub expires: Option<Span>,
    /// How many nodes run each tick.
    pub on: On,
    /// Which nodes may: those that have all of these labels.
    pub select: Labels,
    /// What becomes of ticks that are noticed too late.
    pub misfire: Misfire,
    /// How late a tick may be noticed and still be in time: a second at the least.
    pub misfire_grace: Span,
    /// What becomes of a tick while the one before still runs.
    pub overlap: Overlap,
    /// Each of its ticks fires by the same part of this later, which follows from its name: jobs of one
    /// schedule spread, and the time between two ticks of one stays as it is.
    pub jitter: Span,
    /// No ticks before.
    pub start: Option<Wall>,
    /// No ticks from then on.
    pub end: Option<Wall>,
    /// Whether it fires at all when it is defined; it can be enabled and disabled later.
    pub enabled: bool,
    /// How many ticks it fires at most.
    pub max_runs: Option<u64>,
    /// Within how long after it was fired a tick must have ended well, on each node where it ran: else
    /// that is told.
    pub report_within: Option<Span>,
    /// Whom to tell when it fails, recovers or is missed.
    pub alert: Option<Alert>,
    /// What is said of each of its tasks besides how it is treated; neither parents nor a trace, which
    /// would be the same for all of them. Since version 3.
    #[serde(with = "since_3")]
    pub metadata: Option<Arc<Metadata>>,
}

discreet!(Job {
    schedule, timezone, template, command, expires, on, select, misfire, misfire_grace, overlap, jitter,
    start, end, enabled, max_runs, report_within, alert, metadata,
} hides { args });

/// When ticks are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Once.
    At(Wall),
    /// As a [cron expression](super::cron) says.
    Cron(String),
    /// So far apart, counted from the job's start or, if it has none, from when it was defined: by
    /// nominal time, so there is no drift however late ticks fire.
    Every(Span),
}

impl Schedule {
    /// By which time its ticks are counted, when it is `now` and clocks show `shown`, which is another time only
    /// while that is made up for by which clocks have stepped.
    #[must_use]
    pub const fn by(&self, now: Wall, shown: Wall) -> Wall {
        match self {
            Self::At(_) | Self::Cron(_) => shown,
            Self::Every(_) => now,
        }
    }
}

/// How many nodes run a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum On {
    /// Any one that is selected.
    #[default]
    One,
    /// Every one that is selected and a member when the tick fires.
    Each,
}

/// What becomes of ticks that are noticed later than their grace allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Misfire {
    /// None of them is fired.
    Skip,
    /// The last of them is fired, unless one that is in time is.
    Once,
    /// The last so many of them are fired.
    All {
        /// How many, at most [`MISFIRES_MAX`].
        most: u16,
    },
}

/// What becomes of a tick while tasks of earlier ones have not ended; with [`On::Each`], on that node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overlap {
    /// It runs beside them.
    Allow,
    /// It is skipped.
    Forbid,
    /// They are cancelled.
    Replace,
}

/// A task that is submitted when something happens to a job. Alerts raise no alerts themselves, so
/// there are no cycles of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The task: a webhook, a command or a handler. Its arguments tell what has happened.
    pub template: Template,
    /// When a run failed for good, the first after one that did not.
    pub on_failure: bool,
    /// When a tick ended well, the first after something of this was told: with all of its runs, and after
    /// one was missed or not reported on all of its nodes.
    pub on_recovery: bool,
    /// When a tick was missed, or nothing was reported in time.
    pub on_missed: bool,
}

impl Alert {
    /// Whether a task that was made as `template` says is what tells: the same one, in the same queue,
    /// whether that was said or filled in.
    pub(crate) fn is_told_by(&self, template: &Template) -> bool {
        let queue = self.template.said().queue;
        self.template.name == template.name
            && (queue == template.said().queue || queue == template.queue)
    }
}

/// How late a tick may be noticed unless its job says otherwise: longer than partitions take to have a
/// new owner.
pub const MISFIRE_GRACE_DEFAULT: Span = Span::from_millis(60_000);
/// How many late ticks `all` fires unless it says otherwise.
pub const MISFIRES_DEFAULT: u16 = 10;

impl Job {
    /// A job that runs what `template` says by `schedule`, all else as it is by default.
    #[must_use]
    pub fn new(schedule: Schedule, template: Template) -> Self {
        Self {
            schedule,
            timezone: "UTC".to_owned(),
            template,
            command: None,
            args: Bytes::from_static(b"null"),
            expires: None,
            on: On::One,
            select: Labels::NONE,
            misfire: Misfire::Once,
            misfire_grace: MISFIRE_GRACE_DEFAULT,
            overlap: Overlap::Allow,
            jitter: Span::ZERO,
            start: None,
            end: None,
            enabled: true,
            max_runs: None,
            report_within: None,
            alert: None,
            metadata: None,
        }
    }

    /// How late a tick may be and still be in time: nobody notices one the moment it comes.
    #[must_use]
    pub fn grace(&self) -> Span {
        self.misfire_grace.max(GRACE_MIN)
    }

    /// Refuses what could never fire, or no partition would take.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, zones: &Zones) -> Result<(), InvalidJob> {
        Plan::new(&self.schedule, &self.timezone, zones)?;
        let option = |what: &str, range: &str| {
            Err(InvalidJob::Option { what: what.to_owned(), range: range.to_owned() })
        };
        match self.schedule {
            Schedule::Every(span) if span < EVERY_MIN => return option("every", "at least \"1s\""),
            Schedule::Every(span) if span > DELAY_MAX => {
                return option("every", "at most 366 days");
            }
            Schedule::Every(span) if span.as_micros() % 1_000 != 0 => {
                return option("every", "whole milliseconds");
            }
            Schedule::At(_) | Schedule::Cron(_) | Schedule::Every(_) => {}
        }
        let alert = self.alert.as_ref().map(|alert| &alert.template);
        for template in [Some(&self.template), alert].into_iter().flatten() {
            template.check()?;
            let Options { delay, expires_at, expires, .. } = &template.options;
            if !delay.is_zero() || expires_at.is_some() || expires.is_some() {
                let follow = "left out: they follow from the tick";
                return option("delay, expires_at and expires", follow);
            }
            if template.options.is_limited() {
                let follow = "left out: how many ticks run at once is for `overlap` to say";
                return option("concurrency, rate and exclusive", follow);
            }
        }
        if self.expires.is_some_and(|span| span.as_millis() == 0) {
            return option("expires", "at least \"1ms\"");
        }
        if self.args.len() > JOB_ARGS_BYTES_MAX {
            return Err(InvalidJob::Args { bytes: self.args.len() });
        }
        if self.command.as_ref().is_some_and(|text| text.len() > JOB_COMMAND_BYTES_MAX) {
            return option("command", &format!("at most {JOB_COMMAND_BYTES_MAX} bytes"));
        }
        self.select.check()?;
        if let Misfire::All { most } = self.misfire
            && !(1..=MISFIRES_MAX).contains(&most)
        {
            return option("misfire_max", &format!("1 to {MISFIRES_MAX}"));
        }
        let longest = [("misfire_grace", self.misfire_grace), ("jitter", self.jitter)].into_iter();
        let longest = longest.chain(self.expires.map(|span| ("expires", span)));
        let longest = longest.chain(self.report_within.map(|span| ("report_within", span)));
        for (what, span) in longest {
            if span > DELAY_MAX {
                return option(what, "at most 366 days");
            }
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            return option("end", "later than start");
        }
        if self.max_runs == Some(0) {
            return option("max_runs", "at least 1");
        }
        if let Some(alert) = &self.alert
            && !(alert.on_failure || alert.on_recovery || alert.on_missed)
        {
            return option("alert", "on one of failure, recovery and missed at the least");
        }
        if let Some(metadata) = &self.metadata {
            metadata.check()?;
            if metadata.trace.is_some() || metadata.parent.is_some() {
                return option("trace and parent", "left out: a job is part of no other task");
            }
        }
        Ok(())
    }

    /// The version of the protocol that knows all that it says.
    #[must_use]
    pub fn needs_version(&self) -> u16 {
        let alert = self.alert.as_ref().map(|alert| &alert.template);
        let mut templates = [Some(&self.template), alert].into_iter().flatten();
        let is_since_3 = templates.any(|template| template.options.is_since_3());
        if is_since_3 || self.metadata.is_some() { 3 } else { 2 }
    }

    /// As it stands in a list of many: without its command, its arguments and what is said of its tasks,
    /// which may be long.
    #[must_use]
    pub fn listed(&self) -> Self {
        Self { command: None, args: Bytes::new(), metadata: None, ..self.clone() }
    }

    /// What its memory is counted as.
    #[must_use]
    pub fn weight(&self) -> usize {
        let alert = self.alert.as_ref().map_or(0, |alert| alert.template.weight_kept());
        let expression = match &self.schedule {
            Schedule::Cron(text) => text.len(),
            Schedule::At(_) | Schedule::Every(_) => 0,
        };
        JOB_WEIGHT
            + expression
            + self.timezone.len()
            + self.template.weight_kept()
            + self.command.as_ref().map_or(0, String::len)
            + self.args.len()
            + self.select.weight()
            + alert
            + self.metadata.as_ref().map_or(0, |metadata| metadata.weight())
    }
}

/// What is later by less is in time, whatever the grace.
const GRACE_MIN: Span = Span::from_millis(1_000);
/// The shortest interval: what fires more often is a loop, and belongs into a task.
const EVERY_MIN: Span = Span::from_millis(1_000);
/// A definition without its texts, and its place among the others.
const JOB_WEIGHT: usize = 512;

/// A definition that no partition would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidJob {
    /// Its arguments are too long.
    #[error(
        "the arguments take {bytes} bytes, {JOB_ARGS_BYTES_MAX} are allowed: every tick has a copy; \
         put large data where the task can reach it"
    )]
    Args {
        /// How long they are.
        bytes: usize,
    },
    /// The expression makes no sense.
    #[error(transparent)]
    Cron(#[from] InvalidCron),
    /// A label of the selection is none.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
    /// A value is out of its range.
    #[error("{what} must be {range}")]
    Option {
        /// Which.
        what: String,
        /// What it may be.
        range: String,
    },
    /// What it runs could not be submitted either.
    #[error(transparent)]
    Task(#[from] InvalidBatch),
    /// There is no such time zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}
