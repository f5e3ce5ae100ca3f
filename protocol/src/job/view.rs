//! A job as it is shown to whoever asks.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::definition::Job;
use super::history::{JobCounts, TickHistory, TickRecord};
use super::name::JobName;
use super::state::{JobState, SentAlert, Source};
use crate::task::redacted;
use crate::time::Wall;
use crate::wire::since_3;

/// Of which tasks of a job there is a node that declares them and serves their queues: others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Whether the task that it runs is.
    pub task: bool,
    /// Whether the one that tells of it is, or there is none.
    pub alert: bool,
}

impl Declared {
    /// All of them.
    pub const ALL: Self = Self { task: true, alert: true };
}

/// All that is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Its name.
    pub name: JobName,
    /// Its definition.
    pub job: Job,
    /// Where that comes from.
    pub source: Source,
    /// Which of the things that were said of it was the last one.
    pub revision: u64,
    /// Whether it fires: what was last said when it was defined, enabled or disabled.
    pub enabled: bool,
    /// When its schedule was last changed.
    pub since: Wall,
    /// Which of its tasks are known.
    pub declared: Declared,
    /// Its next tick, by its nominal time.
    pub next: Option<Wall>,
    /// How often what has happened.
    pub counts: JobCounts,
    /// Its last ticks, oldest first.
    pub history: TickHistory,
    /// What was told last of it.
    pub last_alert: Option<SentAlert>,
    /// The names of its arguments that are [never shown](crate::task::redacted), those among them that the
    /// declaration of its task says. Its definition has them all, so that it can be edited: whoever shows
    /// them leaves these out. Since version 3.
    #[serde(with = "since_3")]
    pub redact: Vec<Box<str>>,
}

/// A job in a list of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLine {
    /// Its name.
    pub name: JobName,
    /// Its definition as it is [listed](Job::listed), without its command and its arguments.
    pub job: Job,
    /// Where that comes from.
    pub source: Source,
    /// Whether it fires.
    pub enabled: bool,
    /// Which of its tasks are known.
    pub declared: Declared,
    /// Its next tick, by its nominal time.
    pub next: Option<Wall>,
    /// How often what has happened.
    pub counts: JobCounts,
    /// Its last tick, with no more than one run.
    pub last: Option<TickRecord>,
}

impl JobView {
    /// The job `name` as `state` tells it, whose next tick is `next`, of whose tasks some are `declared`.
    #[must_use]
    pub fn of(name: &JobName, state: &JobState, declared: Declared, next: Option<Wall>) -> Self {
        Self {
            name: name.clone(),
            job: state.job.clone(),
            source: state.source,
            revision: state.revision,
            enabled: state.enabled,
            since: state.since,
            declared,
            next,
            counts: state.counts,
            history: state.history.clone(),
            last_alert: state.last_alert,
            redact: state.job.template.options.redact().to_vec(),
        }
    }

    /// Its arguments, as they may be shown.
    #[must_use]
    pub fn args_shown(&self) -> Bytes {
        redacted(&self.job.args, &self.redact)
    }
}

impl JobLine {
    /// As [`JobView::of`], in short.
    #[must_use]
    pub fn of(name: &JobName, state: &JobState, declared: Declared, next: Option<Wall>) -> Self {
        let last = state.history.last().map(|last| {
            let runs = last.runs.iter().take(1).cloned().collect();
            TickRecord { runs, ..last.clone() }
        });
        Self {
            name: name.clone(),
            job: state.job.listed(),
            source: state.source,
            enabled: state.enabled,
            declared,
            next,
            counts: state.counts,
            last,
        }
    }
}
