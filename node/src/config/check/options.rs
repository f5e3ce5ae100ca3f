//! How tasks are treated: what a task of the file, a job and an alert say of it in the same way.

use std::collections::BTreeMap;

use toml::Spanned;
use umbel_protocol::limits::{
    ATTEMPTS_MAX, BACKOFF_FIRST_DEFAULT, BACKOFF_LIST_MAX, BACKOFF_MAX_DEFAULT, CONCURRENCY_MAX,
    CRASHES_ALLOWED_MAX, DELAY_MAX, LOST_AFTER_MAX, LOST_AFTER_MIN, RATE_PER_SECOND_MAX,
    REDACT_MAX, REDACT_NAME_BYTES_MAX, RETENTION_MIN,
};
use umbel_protocol::task::{InvalidRate, Options, Rate, Template, UniquePolicy, UniqueScope};
use umbel_protocol::time::Span;

use super::super::Queue;
use super::super::quantity;
use super::super::raw::{RawOptions, Text};
use super::super::report::Problems;
use super::super::suggest::nearest;
use super::super::task::{Task, Work};
use super::{PRIORITY, SPAN_MIN, choice, optional, span};
use crate::work::{WebhookSpec, span as time_span};

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
    options: Options,
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
        let crashes = 1..=i64::from(CRASHES_ALLOWED_MAX);
        let (backoff_first, backoff_max) = backoff(&raw, unsaid, problems);
        conflicts(&raw, problems);
        let unique_scope = raw.unique_until.as_ref().and_then(|text| scope(text, problems));
        let policies = [
            ("existing", UniquePolicy::Existing),
            ("replace", UniquePolicy::Replace),
            ("refuse", UniquePolicy::Refuse),
        ];
        let unique_policy = choice("if_exists", raw.if_exists.as_ref(), &policies, problems);
        let concurrency = 1..=i64::from(CONCURRENCY_MAX);
        let rate = raw.rate.as_ref().and_then(|text| rate(text, problems));
        let patience = LOST_AFTER_MIN..=LOST_AFTER_MAX;
        let lost_after = span("lost_after", raw.lost_after.as_ref(), patience, problems);
        let kept = RETENTION_MIN..=DELAY_MAX;
        let retention = span("retention", raw.retention.as_ref(), kept, problems);
        let mut length = |name, raw: Option<&Text>| span(name, raw, SPAN_MIN..=DELAY_MAX, problems);
        let options = Options {
            backoff_first,
            backoff_max,
            time_limit: length("time_limit", raw.time_limit.as_ref()),
            soft_limit: length("soft_limit", raw.soft_limit.as_ref()),
            expires: length("expires", raw.expires.as_ref()),
            deadline: length("deadline", raw.deadline.as_ref()),
            backoff_list: raw.backoff_list.as_ref().map(|list| pauses(list, problems)),
            attempts_max: optional("attempts", raw.attempts.as_ref(), attempts, problems),
            crashes_max: optional("crashes", raw.crashes.as_ref(), crashes, problems),
            unique_scope,
            unique_policy,
            concurrency: optional("concurrency", raw.concurrency.as_ref(), concurrency, problems),
            rate,
            exclusive: raw.exclusive.as_ref().map(|said| *said.get_ref()),
            lost_after,
            retention,
            ignore_result: raw.ignore_result.as_ref().map(|said| *said.get_ref()),
            redact: raw.redact.as_ref().map(|names| hidden(names, problems)),
            at_most_once: raw.at_most_once.as_ref().map(|said| *said.get_ref()),
            priority: optional("priority", raw.priority.as_ref(), PRIORITY, problems),
            ..Options::default()
        };
        Self { queue: raw.queue.map(|name| queue(name, queues, problems)), options }
    }

    /// The task that does `work`; what is not said is as by default.
    pub(super) fn task(self, work: Work) -> Task {
        let Self { queue, mut options } = self;
        if let Work::Webhook(_) = &work {
            // One that never answers holds a slot and a connection, and only a limit can end that.
            let limit = || time_span(WebhookSpec::TIME_LIMIT_DEFAULT);
            options.time_limit.get_or_insert_with(limit);
        }
        let queue = queue.unwrap_or_else(|| Template::QUEUE_DEFAULT.to_owned());
        Task { work, queue, resource: None, options }
    }

    /// What submissions of the task `name` say; what is not said is as the task is declared.
    pub(super) fn template(&self, name: impl Into<String>) -> Template {
        let queue = self.queue.clone().unwrap_or_default();
        Template { queue, options: self.options.clone(), ..Template::new(name) }
    }
}

/// How many tasks of a limit key may start in how long.
pub(super) fn rate(text: &Text, problems: &mut Problems<'_>) -> Option<Rate> {
    match text.get_ref().parse() {
        Ok(rate) => Some(rate),
        Err(InvalidRate { text: read }) => {
            let help = format!(
                "say how many in how long, at most {RATE_PER_SECOND_MAX} a second: \"100/s\", \"20/min\""
            );
            problems.add(text.span(), format!("`{read}` is no rate"), help);
            None
        }
    }
}

/// How long a task keeps others with its unique key out.
fn scope(text: &Text, problems: &mut Problems<'_>) -> Option<UniqueScope> {
    match text.get_ref().as_str() {
        "started" => return Some(UniqueScope::UntilStarted),
        "finished" => return Some(UniqueScope::UntilFinished),
        time if quantity::span(time).is_some() => {}
        other => {
            let problem = format!("`unique_until` cannot be {other:?}");
            problems.add(text.span(), problem, "use \"started\", \"finished\" or a length of time");
            return None;
        }
    }
    span("unique_until", Some(text), SPAN_MIN..=DELAY_MAX, problems).map(UniqueScope::For)
}

/// The names of arguments that are never shown.
fn hidden(names: &Spanned<Vec<Text>>, problems: &mut Problems<'_>) -> Vec<Box<str>> {
    let fits = |name: &Text| {
        (1..=REDACT_NAME_BYTES_MAX).contains(&name.get_ref().len())
            && !name.get_ref().chars().any(char::is_control)
    };
    if !(1..=REDACT_MAX).contains(&names.get_ref().len()) {
        let problem = format!("`redact` has {} names", names.get_ref().len());
        problems.add(names.span(), problem, format!("use 1 to {REDACT_MAX}, or [\"*\"] for all"));
    }
    for name in names.get_ref().iter().filter(|name| !fits(name)) {
        let problem = format!("no argument is called {:?}", name.get_ref());
        problems.add(name.span(), problem, format!("use 1 to {REDACT_NAME_BYTES_MAX} bytes"));
    }
    names.get_ref().iter().map(|name| name.get_ref().as_str().into()).collect()
}

/// The pauses of `list`, each of which may be none at all.
fn pauses(list: &Spanned<Vec<Text>>, problems: &mut Problems<'_>) -> Vec<Span> {
    if !(1..=BACKOFF_LIST_MAX).contains(&list.get_ref().len()) {
        let problem = format!("`backoff_list` has {} pauses", list.get_ref().len());
        problems.add(list.span(), problem, format!("use 1 to {BACKOFF_LIST_MAX}"));
    }
    let pause = |text| span("backoff_list", Some(text), Span::ZERO..=DELAY_MAX, problems);
    list.get_ref().iter().filter_map(pause).collect()
}

/// Reports what is right by itself and wrong beside something else.
fn conflicts(raw: &RawOptions, problems: &mut Problems<'_>) {
    if let Some(list) = &raw.backoff_list
        && (raw.backoff_first.is_some() || raw.backoff_max.is_some())
    {
        let problem = "`backoff_list` and pauses that double exclude each other";
        problems.add(list.span(), problem, "keep it, or `backoff_first` and `backoff_max`");
    }
    let is_tried = raw.attempts.as_ref().is_some_and(|attempts| *attempts.get_ref() > 1);
    if let Some(once) = raw.at_most_once.as_ref().filter(|once| *once.get_ref())
        && (is_tried
            || raw.backoff_list.is_some()
            || raw.backoff_first.is_some()
            || raw.backoff_max.is_some())
    {
        let problem = "what is never started twice cannot be tried again";
        problems.add(once.span(), problem, "keep it, or attempts and the pauses before them");
    }
    if let Some(once) = raw.at_most_once.as_ref().filter(|once| *once.get_ref())
        && raw.crashes.is_some()
    {
        let problem = "what is never started twice takes one node with it at most";
        problems.add(once.span(), problem, "keep it, or `crashes`");
    }
    if let Some(alone) = raw.exclusive.as_ref().filter(|alone| *alone.get_ref())
        && raw.concurrency.as_ref().is_some_and(|most| *most.get_ref() > 1)
    {
        let problem = "an exclusive task runs alone";
        problems.add(alone.span(), problem, "keep it, or a concurrency");
    }
    let limit = |raw: &Option<Text>| raw.as_ref().and_then(|text| quantity::span(text.get_ref()));
    if let (Some(soft), Some(hard)) = (limit(&raw.soft_limit), limit(&raw.time_limit))
        && soft >= hard
        && let Some(text) = &raw.soft_limit
    {
        let problem = "`soft_limit` is not shorter than `time_limit`";
        problems.add(text.span(), problem, "a run is told some time before it is stopped");
    }
    if let (Some(soft), Some(end)) = (limit(&raw.soft_limit), limit(&raw.deadline))
        && soft >= end
        && let Some(text) = &raw.soft_limit
    {
        let problem = "`soft_limit` is not shorter than `deadline`";
        problems.add(text.span(), problem, "no run takes so long before its time is over");
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
