//! A task as it is shown to whoever asks.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Failure, History, Metadata, Obstacle, Phase, REDACTED, Record, RunEnd, State, Treatment,
    hides_header, redacted,
};
use crate::id::{NodeId, TaskGroupId, TaskId};
use crate::job::Labels;
use crate::journal::Live;
use crate::time::Wall;
use crate::wire::grown;

/// All that is known of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    pub task: String,
    /// Its queue.
    pub queue: String,
    /// Where it is in its life.
    pub state: State,
    /// Runs that failed, plus one if it was started since: lost runs and those that
    /// were stopped are no attempts of their own. It never goes down.
    pub attempts: u16,
    /// The last starts, oldest first. What an executor was to run and never had was none.
    pub runs: Vec<RunView>,
    /// Who runs it, or ran it last.
    pub node: Option<NodeId>,
    /// What it returned, JSON.
    pub result: Option<Bytes>,
    /// Why the last attempt that failed did, unless a later one has succeeded.
    pub error: Option<Failure>,
    /// When it was accepted.
    pub submitted_at: Wall,
    /// When it may start, if that lies ahead.
    pub not_before: Option<Wall>,
    /// When it reached its final state.
    pub finished_at: Option<Wall>,
    /// Whether its result, the text or the detail of its error, or runs before the last one were left out of a listing
    /// that has no room for them. Asked for by itself, the task has them.
    pub left_out: bool,
    /// What is said of it besides how it is treated; in a listing only what is [meant for
    /// it](Metadata::listed). Headers whose names are [redacted](super::Options::redact) are shown without
    /// their values. Since version 3, as all that follows.
    pub metadata: Option<Arc<Metadata>>,
    /// Its arguments, JSON, without those that are [never shown](super::redacted); only of a task that is
    /// shown by itself.
    pub args: Option<Bytes>,
    /// The task that had ended and was tried again as this one.
    pub retry_of: Option<TaskId>,
    /// What its run says of itself; only of a task that is shown by itself, and runs.
    pub live: Option<Live>,
    /// The group that it belongs to.
    pub group: Option<TaskGroupId>,
    /// What keeps it from starting, if it may; only of a task that is shown by itself.
    pub obstacle: Option<Obstacle>,
    /// How it is treated; only of a task that is shown by itself.
    pub treatment: Option<Box<Treatment>>,
}

grown!(View {
    id, task, queue, state, attempts, runs, node, result, error, submitted_at, not_before, finished_at,
    left_out,
} since 3 {
    metadata = None,
    args = None,
    retry_of = None,
    live = None,
    group = None,
    obstacle = None,
    treatment = None,
});

/// One start of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// Who ran it.
    pub node: NodeId,
    /// When it was leased.
    pub started_at: Wall,
    /// When its end was known; absent while it runs.
    pub finished_at: Option<Wall>,
    /// How it ended; absent while it runs.
    pub end: Option<RunEnd>,
    /// Why, in short, if it failed and there was room to keep that. Since version 3.
    pub error: Option<String>,
}

grown!(RunView { node, started_at, finished_at, end } since 3 { error = None });

impl View {
    /// The task `id` as `record` tells it.
    #[must_use]
    pub fn of(id: TaskId, record: &Record) -> Self {
        let history = record.history.as_deref();
        let mut runs: Vec<RunView> = history
            .map(|history| history.runs.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|run| run.end != RunEnd::NeverHad)
            .map(|run| RunView {
                node: run.lessee.node,
                started_at: run.started_at,
                finished_at: Some(run.finished_at),
                end: Some(run.end),
                error: run.error.as_deref().map(str::to_owned),
            })
            .collect();
        let mut view = Self {
            id,
            task: record.template.name.clone(),
            queue: record.template.queue.clone(),
            state: record.state(),
            attempts: attempts(record),
            runs: Vec::new(),
            node: None,
            result: None,
            error: history.and_then(last_failure),
            submitted_at: record.accepted_at,
            not_before: None,
            finished_at: history.and_then(|history| history.finished_at),
            left_out: false,
            metadata: record.metadata().map(|said| shown(said, record.template.options.redact())),
            args: None,
            retry_of: record.particulars.as_ref().and_then(|said| said.retry_of),
            live: None,
            group: record.particulars.as_ref().and_then(|said| said.group).map(|group| group.id),
            obstacle: None,
            treatment: None,
        };
        match record.phase() {
            Phase::Scheduled { not_before } => view.not_before = Some(*not_before),
            Phase::Leased(lease) => {
                runs.push(RunView {
                    node: lease.lessee.node,
                    started_at: lease.since,
                    finished_at: None,
                    end: None,
                    error: None,
                });
            }
            Phase::Succeeded(result) => {
                view.result = Some(result.clone());
                view.error = None;
            }
            Phase::Dead(failure) => view.error = Some((**failure).clone()),
            Phase::Ready | Phase::Cancelled | Phase::Expired => {}
        }
        view.node = runs.last().map(|run| run.node);
        view.runs = runs;
        view
    }

    /// Whether it has all of these labels.
    #[must_use]
    pub fn has_labels(&self, labels: &Labels) -> bool {
        labels.is_empty()
            || self.metadata.as_ref().is_some_and(|said| said.labels.match_all(labels))
    }

    /// The same with what only a task has that is shown by itself: the arguments of `record`, as far as they may
    /// be shown, and how it is treated.
    #[must_use]
    pub fn with_details(self, record: &Record) -> Self {
        let args = redacted(&record.args, record.template.options.redact());
        Self { args: Some(args), treatment: Some(Box::new(Treatment::of(record))), ..self }
    }
}

/// What is said of a task as it may be shown.
fn shown(said: &Arc<Metadata>, names: &[Box<str>]) -> Arc<Metadata> {
    let is_hidden = |header: &str| hides_header(names, header);
    if !said.headers.iter().any(|(name, _)| is_hidden(name)) {
        return Arc::clone(said);
    }
    let mut shown = Metadata::clone(said);
    shown.headers.hide(is_hidden, REDACTED);
    Arc::new(shown)
}

/// The number of the attempt that it is at, or was at when it ended.
fn attempts(record: &Record) -> u16 {
    let history = record.history.as_deref();
    let failures = history.map_or(0, |history| history.failures);
    let last = history.and_then(|history| history.runs.last());
    let is_under_way = match record.state() {
        State::Leased | State::Succeeded => true,
        State::Scheduled | State::Ready | State::Dead | State::Cancelled | State::Expired => {
            last.is_some_and(|run| !matches!(run.end, RunEnd::Failed(_)))
        }
    };
    failures.saturating_add(u16::from(is_under_way))
}

/// Why the last attempt that failed did: at least of what kind that was.
fn last_failure(history: &History) -> Option<Failure> {
    if let Some(failure) = &history.failure {
        return Some((**failure).clone());
    }
    let failed = history.runs.iter().rev().find_map(|run| match run.end {
        RunEnd::Failed(kind) => Some(kind),
        RunEnd::Cancelled
        | RunEnd::CutOff
        | RunEnd::Lost
        | RunEnd::NeverHad
        | RunEnd::Dropped
        | RunEnd::Snoozed
        | RunEnd::Succeeded
        | RunEnd::Unheard => None,
    });
    failed.map(|kind| Failure::new(kind, NOT_KEPT))
}

/// What is told of a failure that there was no room for.
const NOT_KEPT: &str = "what it said is not kept: too many tasks fail at present";
