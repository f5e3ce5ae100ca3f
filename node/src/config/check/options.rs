//! How tasks are treated: what a task of the file, a job and an alert say of it in the same way.

use std::collections::BTreeMap;

use umbel_protocol::limits::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, BACKOFF_FIRST_DEFAULT, BACKOFF_MAX_DEFAULT, DELAY_MAX,
};
use umbel_protocol::task::{Options, Template};
use umbel_protocol::time::Span;

use super::super::Queue;
use super::super::quantity;
use super::super::raw::{RawOptions, Text};
use super::super::report::Problems;
use super::super::suggest::nearest;
use super::super::task::{Task, Work};
use super::{PRIORITY, SPAN_MIN, optional, span};

/// What holds for what is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// The default: nobody else declares the task.
    Default,
    /// Whatever the task is declared with, which the file may not know.
    Declared,
}

/// What is said of how tasks are treated.
#[derive(Clone, Debug, Default)]
pub(super) struct Treatment {
    queue: Option<String>,
    attempts: Option<u16>,
    backoff_first: Option<Span>,
    backoff_max: Option<Span>,
    time_limit: Option<Span>,
    priority: Option<u8>,
}

impl Treatment {
    /// What `raw` stands for.
    pub(super) fn of(
        raw: RawOptions,
        unsaid: Unsaid,
        queues: &BTreeMap<String, Queue>,
        problems: &mut Problems<'_>,
    ) -> Self {
        let attempts = 1..=i64::from(ATTEMPTS_MAX);
        let (backoff_first, backoff_max) = backoff(&raw, unsaid, problems);
        let time_limit = raw.time_limit.as_ref();
        Self {
            attempts: optional("attempts", raw.attempts.as_ref(), attempts, problems),
            backoff_first,
            backoff_max,
            time_limit: span("time_limit", time_limit, SPAN_MIN..=DELAY_MAX, problems),
            priority: optional("priority", raw.priority.as_ref(), PRIORITY, problems),
            queue: raw.queue.map(|name| queue(name, queues, problems)),
        }
    }

    /// The task that does `work`; what is not said is as by default.
    pub(super) fn task(self, work: Work) -> Task {
        let time_limit = match &work {
            Work::Command(_) => self.time_limit,
            Work::Webhook(_) => self.time_limit.or(Some(WEBHOOK_TIME_LIMIT)),
        };
        Task {
            work,
            queue: self.queue.unwrap_or_else(|| Template::QUEUE_DEFAULT.to_owned()),
            attempts: self.attempts.unwrap_or(ATTEMPTS_DEFAULT),
            backoff_first: self.backoff_first.unwrap_or(BACKOFF_FIRST_DEFAULT),
            backoff_max: self.backoff_max.unwrap_or(BACKOFF_MAX_DEFAULT),
            time_limit,
            priority: self.priority,
        }
    }

    /// What submissions of the task `name` say; what is not said is as the task is declared.
    pub(super) fn template(&self, name: impl Into<String>) -> Template {
        let options = Options {
            priority: self.priority,
            attempts_max: self.attempts,
            backoff_first: self.backoff_first,
            backoff_max: self.backoff_max,
            time_limit: self.time_limit,
            ..Options::default()
        };
        let queue = self.queue.clone().unwrap_or_default();
        Template { queue, options, ..Template::new(name) }
    }
}

fn queue(queue: Text, queues: &BTreeMap<String, Queue>, problems: &mut Problems<'_>) -> String {
    let name = queue.get_ref();
    if !queues.contains_key(name) {
        let help = nearest(name, queues.keys().map(String::as_str)).map_or_else(
            || format!("list it: [queues.{name}]"),
            |near| format!("did you mean `{near}`? else list it: [queues.{name}]"),
        );
        problems.add(queue.span(), format!("there is no queue `{name}`"), help);
    }
    queue.into_inner()
}

fn backoff(
    raw: &RawOptions,
    unsaid: Unsaid,
    problems: &mut Problems<'_>,
) -> (Option<Span>, Option<Span>) {
    let allowed = || SPAN_MIN..=DELAY_MAX;
    let first = span("backoff_first", raw.backoff_first.as_ref(), allowed(), problems);
    let max = span("backoff_max", raw.backoff_max.as_ref(), allowed(), problems);
    let is_known = unsaid == Unsaid::Default || (first.is_some() && max.is_some());
    let given = raw.backoff_max.as_ref().or(raw.backoff_first.as_ref()).filter(|_| is_known);
    if let Some((given, problem)) = given.zip(shrinking(first, max)) {
        problems.add(given.span(), problem, BACKOFF_HELP);
    }
    (first, max)
}

/// What is wrong with two pauses, if the longest one is shorter than the first.
pub(crate) fn shrinking(first: Option<Span>, max: Option<Span>) -> Option<String> {
    let both = (first.unwrap_or(BACKOFF_FIRST_DEFAULT), max.unwrap_or(BACKOFF_MAX_DEFAULT));
    let unsaid = |said: Option<Span>| if said.is_some() { "" } else { " (its default)" };
    (both.0 > both.1).then(|| {
        format!(
            "`backoff_first` is {}{}, longer than `backoff_max`, which is {}{}",
            quantity::spelled(both.0),
            unsaid(first),
            quantity::spelled(both.1),
            unsaid(max),
        )
    })
}

/// Why that is wrong.
pub(crate) const BACKOFF_HELP: &str = "pauses double from the first to the longest";

/// A webhook that never answers holds a slot and a connection, and only a limit can end that.
const WEBHOOK_TIME_LIMIT: Span = Span::from_millis(30_000);
