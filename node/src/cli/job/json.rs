//! Jobs and their ticks as JSON: the form in which all commands of `umbel job` print them.
//!
//! Names are those of the keys in `cluster.toml`. Times are RFC 3339 in UTC, lengths of time are
//! written as in `cluster.toml` (`"1m30s"`), nodes are called by their names. What is not said, or has
//! not happened, is null.

use std::collections::BTreeMap;

use serde::Serialize;
use umbel_protocol::job::{
    Alert, Declared, Job, JobCounts, JobLine, JobName, JobView, Misfire, Schedule, SentAlert,
    Source, TickEnd, TickEnds, TickRecord, TickRun,
};
use umbel_protocol::task::{REDACTED, Template, hides_header};
use umbel_protocol::time::{Span, Wall};

use super::nobody::Places;
use super::words;
use crate::cli::names::Names;
use crate::cli::task_line::{Shown, made};
use crate::cli::time::stamp;
use crate::config::quantity::spelled;

/// A job.
#[derive(Debug, Serialize)]
pub(super) struct JobJson<'a> {
    name: &'a str,
    /// Of these three one is not null.
    cron: Option<&'a str>,
    every: Option<String>,
    at: Option<String>,
    timezone: &'a str,
    task: &'a str,
    /// The command that the task is, if it is the job's own; this and the next only in what is said of
    /// one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Shown<'a>>,
    /// This and the next three only if there is such a thing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    redact: &'a [Box<str>],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(flatten)]
    treatment: TreatmentJson<'a>,
    expires: Option<String>,
    on: &'static str,
    select: BTreeMap<&'a str, &'a str>,
    misfire: &'static str,
    misfire_max: Option<u16>,
    misfire_grace: String,
    overlap: &'static str,
    jitter: String,
    start: Option<String>,
    end: Option<String>,
    max_runs: Option<u64>,
    report_within: Option<String>,
    alert: Option<AlertJson<'a>>,
    /// What was told last; only in what is said of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_alert: Option<SentAlertJson>,
    enabled: bool,
    /// Whether a node is there that knows its task and serves its queue: else its tasks wait.
    declared: bool,
    /// Whether a node has the labels of `select`: else its tasks wait, or run nowhere. Null if nobody
    /// could be asked.
    placed: Option<bool>,
    /// `file` or `live`.
    from: &'static str,
    /// When its schedule was last changed; only in what is said of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The nominal time of its next tick,
    next: Option<String>,
    /// and when that fires: later by what the job has of `jitter`.
    fires_at: Option<String>,
    counts: CountsJson,
    last: Option<TickJson>,
    /// Its last ticks, oldest first; only in what is said of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<TickJson>>,
}

/// How a task is treated.
#[derive(Debug, Serialize)]
struct TreatmentJson<'a> {
    queue: Option<&'a str>,
    priority: Option<u8>,
    attempts: Option<u16>,
    backoff_first: Option<String>,
    backoff_max: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_list: Option<Vec<String>>,
    time_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    soft_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crashes: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_most_once: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_result: Option<bool>,
}

#[derive(Debug, Serialize)]
struct AlertJson<'a> {
    task: &'a str,
    on: Vec<&'static str>,
    #[serde(flatten)]
    treatment: TreatmentJson<'a>,
    /// Whether a node is there that knows it: else it waits.
    declared: bool,
}

/// Something that was told by the job's alert.
#[derive(Debug, Serialize)]
struct SentAlertJson {
    event: &'static str,
    /// When it was noticed.
    at: String,
    task: String,
}

#[derive(Debug, Serialize)]
struct CountsJson {
    fired: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    missed: u64,
    skipped: u64,
    failures_in_row: u64,
}

/// A tick of a job.
#[derive(Debug, Serialize)]
pub(super) struct TickJson {
    /// Its nominal time.
    tick: String,
    decided_at: String,
    /// How much later it was decided about than it was to fire: at its nominal time, and what the job
    /// has of `jitter`.
    lateness: String,
    by_hand: bool,
    /// `fired`, `missed` or `skipped`.
    verdict: &'static str,
    /// Whether no run of it ended well in the time that its job gives.
    unreported: bool,
    /// How many of its runs ended in which way.
    ends: EndsJson,
    /// Its runs, as far as they are remembered.
    runs: Vec<RunJson>,
}

#[derive(Debug, Serialize)]
struct EndsJson {
    open: u32,
    succeeded: u32,
    failed: u32,
    cancelled: u32,
    missed: u32,
    skipped: u32,
}

/// A run of a tick.
#[derive(Debug, Serialize)]
struct RunJson {
    /// Null if its node missed the tick, or skipped it.
    task: Option<String>,
    node: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    duration: Option<String>,
    /// Null while it has not ended.
    outcome: Option<&'static str>,
    /// The end of what it printed or returned.
    output: String,
}

/// What is known of a job in a list and by itself.
struct Known<'a> {
    name: &'a JobName,
    job: &'a Job,
    source: Source,
    enabled: bool,
    declared: Declared,
    next: Option<Wall>,
    counts: JobCounts,
    last: Option<&'a TickRecord>,
}

impl<'a> JobJson<'a> {
    /// A job in a list.
    pub(super) fn of_line(line: &'a JobLine, names: &Names, places: &Places) -> Self {
        let JobLine { name, job, source, enabled, declared, next, counts, last } = line;
        let known = Known {
            name,
            job,
            source: *source,
            enabled: *enabled,
            declared: *declared,
            next: *next,
            counts: *counts,
            last: last.as_ref(),
        };
        Self::of(&known, names, places)
    }

    /// All that is known of a job.
    pub(super) fn of_view(view: &'a JobView, names: &Names, places: &Places) -> Self {
        let JobView { name, job, source, enabled, declared, since, next, counts, history, .. } =
            view;
        let known = Known {
            name,
            job,
            source: *source,
            enabled: *enabled,
            declared: *declared,
            next: *next,
            counts: *counts,
            last: history.last(),
        };
        let delay = words::delay(name, job);
        let said = job.metadata.as_deref();
        let is_hidden = |name: &str| hides_header(&view.redact, name);
        let shown = |(name, value)| if is_hidden(name) { (name, REDACTED) } else { (name, value) };
        Self {
            command: job.command.as_deref(),
            args: Some(made(&view.args_shown())),
            redact: &view.redact,
            labels: said.map(|said| said.labels.iter().collect()).unwrap_or_default(),
            headers: said.map(|said| said.headers.iter().map(shown).collect()).unwrap_or_default(),
            display_name: said.and_then(|said| said.display_name.as_deref()),
            last_alert: view.last_alert.as_ref().map(SentAlertJson::of),
            since: Some(stamp(*since)),
            history: Some(
                history.iter().map(|record| TickJson::of(record, delay, names)).collect(),
            ),
            ..Self::of(&known, names, places)
        }
    }

    fn of(known: &Known<'a>, names: &Names, places: &Places) -> Self {
        let Known { name, job, source, enabled, declared, next, counts, last } = *known;
        let (mut cron, mut every, mut at) = (None, None, None);
        match &job.schedule {
            Schedule::At(once) => at = Some(stamp(*once)),
            Schedule::Cron(text) => cron = Some(text.as_str()),
            Schedule::Every(span) => every = Some(spelled(*span)),
        }
        Self {
            name: name.as_str(),
            cron,
            every,
            at,
            timezone: &job.timezone,
            task: &job.template.name,
            command: None,
            args: None,
            redact: &[],
            labels: BTreeMap::new(),
            headers: BTreeMap::new(),
            display_name: None,
            treatment: TreatmentJson::of(&job.template),
            expires: job.expires.map(spelled),
            on: words::on(job.on),
            select: job.select.iter().collect(),
            misfire: words::misfire(job.misfire),
            misfire_max: match job.misfire {
                Misfire::All { most } => Some(most),
                Misfire::Once | Misfire::Skip => None,
            },
            misfire_grace: spelled(job.misfire_grace),
            overlap: words::overlap(job.overlap),
            jitter: spelled(job.jitter),
            start: job.start.map(stamp),
            end: job.end.map(stamp),
            max_runs: job.max_runs,
            report_within: job.report_within.map(spelled),
            alert: job.alert.as_ref().map(|alert| AlertJson::of(alert, declared)),
            last_alert: None,
            enabled,
            declared: declared.task,
            placed: places.has(job),
            from: words::source(source),
            since: None,
            next: next.map(stamp),
            fires_at: next.map(|next| stamp(next + words::delay(name, job))),
            counts: CountsJson::of(counts),
            last: last.map(|record| TickJson::of(record, words::delay(name, job), names)),
            history: None,
        }
    }
}

impl<'a> TreatmentJson<'a> {
    fn of(template: &'a Template) -> Self {
        let (queue, options) = (template.queue.as_str(), &template.options);
        Self {
            queue: (!queue.is_empty()).then_some(queue),
            priority: options.priority,
            attempts: options.attempts_max,
            backoff_first: options.backoff_first.map(spelled),
            backoff_max: options.backoff_max.map(spelled),
            backoff_list: options
                .backoff_list
                .as_ref()
                .map(|list| list.iter().copied().map(spelled).collect()),
            time_limit: options.time_limit.map(spelled),
            soft_limit: options.soft_limit.map(spelled),
            deadline: options.deadline.map(spelled),
            crashes: options.crashes_max,
            at_most_once: options.is_at_most_once(),
            lost_after: options.lost_after.map(spelled),
            retention: options.retention.map(spelled),
            ignore_result: options.ignore_result,
        }
    }
}

impl<'a> AlertJson<'a> {
    fn of(alert: &'a Alert, declared: Declared) -> Self {
        let treatment = TreatmentJson::of(&alert.template);
        let (task, on) = (alert.template.name.as_str(), words::alerted(alert));
        Self { task, on, treatment, declared: declared.alert }
    }
}

impl SentAlertJson {
    fn of(sent: &SentAlert) -> Self {
        let SentAlert { event, at, task } = *sent;
        Self { event: event.as_str(), at: stamp(at), task: task.to_string() }
    }
}

impl CountsJson {
    const fn of(counts: JobCounts) -> Self {
        let JobCounts { fired, succeeded, failed, cancelled, missed, skipped, failures_in_row } =
            counts;
        Self { fired, succeeded, failed, cancelled, missed, skipped, failures_in_row }
    }
}

impl TickJson {
    pub(super) fn of(record: &TickRecord, delay: Span, names: &Names) -> Self {
        let TickEnds { open, succeeded, failed, cancelled, missed, skipped } = record.ends;
        Self {
            tick: stamp(record.tick),
            decided_at: stamp(record.decided_at),
            lateness: spelled(record.lateness(delay)),
            by_hand: record.by_hand,
            verdict: words::verdict(record.verdict),
            unreported: record.unreported,
            ends: EndsJson { open, succeeded, failed, cancelled, missed, skipped },
            runs: record.runs.iter().map(|run| RunJson::of(run, names)).collect(),
        }
    }
}

impl RunJson {
    fn of(run: &TickRun, names: &Names) -> Self {
        Self {
            task: run.task.map(|task| task.to_string()),
            node: run.node.map(|node| names.name(node)),
            started_at: run.started_at.map(stamp),
            finished_at: run.finished_at.map(stamp),
            duration: run.duration().map(spelled),
            outcome: run.end.map(TickEnd::as_str),
            output: run.output.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::ClusterId;
    use umbel_protocol::job::{On, TickHistory};
    use umbel_protocol::meta::Meta;
    use umbel_protocol::time::Span;

    use super::*;
    use crate::cli::job::words::tests::tick;

    #[test]
    fn a_job_is_told_in_the_words_of_the_file() {
        let at = |millis: u64| Wall::from_millis(1_700_000_000_000 + millis);
        let mut job = Job::new(Schedule::Every(Span::from_millis(90_000)), Template::new("backup"));
        job.template.options.attempts_max = Some(2);
        job.on = On::Each;
        job.jitter = Span::from_millis(60_000);
        job.select = "role=db".parse().unwrap();
        job.misfire = Misfire::All { most: 3 };
        job.args = r#"{"n":1.10}"#.into();
        let mut alert = Alert {
            template: Template { queue: "ops".to_owned(), ..Template::new("tell") },
            on_failure: true,
            on_recovery: false,
            on_missed: true,
        };
        alert.template.options.time_limit = Some(Span::from_millis(30_000));
        job.alert = Some(alert);
        let places = Places::of(Meta::new(ClusterId(7), "test".to_owned(), 2, 1, 1));
        let view = JobView {
            name: "nightly".parse().unwrap(),
            job,
            source: Source::File { number: 3 },
            revision: 1,
            enabled: true,
            declared: Declared::ALL,
            since: at(0),
            next: Some(at(90_000)),
            counts: JobCounts { fired: 1, ..JobCounts::default() },
            history: TickHistory::default(),
            last_alert: None,
            redact: Vec::new(),
        };
        assert_eq!(
            serde_json::to_string(&JobJson::of_view(&view, &Names::default(), &places)).unwrap(),
            concat!(
                r#"{"name":"nightly","cron":null,"every":"1m30s","at":null,"timezone":"UTC","#,
                r#""task":"backup","args":{"n":1.10},"queue":null,"priority":null,"attempts":2,"#,
                r#""backoff_first":null,"backoff_max":null,"time_limit":null,"expires":null,"#,
                r#""on":"each","select":{"role":"db"},"misfire":"all","misfire_max":3,"#,
                r#""misfire_grace":"1m","overlap":"allow","jitter":"1m","start":null,"end":null,"#,
                r#""max_runs":null,"report_within":null,"#,
                r#""alert":{"task":"tell","on":["failure","missed"],"queue":"ops","#,
                r#""priority":null,"attempts":null,"backoff_first":null,"backoff_max":null,"#,
                r#""time_limit":"30s","declared":true},"enabled":true,"declared":true,"placed":false,"from":"file","#,
                r#""since":"2023-11-14T22:13:20.000Z","#,
                r#""next":"2023-11-14T22:14:50.000Z","fires_at":"2023-11-14T22:15:19.914Z","counts":{"fired":1,"succeeded":0,"#,
                r#""failed":0,"cancelled":0,"missed":0,"skipped":0,"failures_in_row":0},"#,
                r#""last":null,"history":[]}"#,
            )
        );
    }

    #[test]
    fn a_tick_is_told_with_its_runs() {
        let record = tick(&[Some(TickEnd::Succeeded), Some(TickEnd::Missed)]);
        assert_eq!(
            serde_json::to_string(&TickJson::of(&record, Span::from_millis(5), &Names::default()))
                .unwrap(),
            concat!(
                r#"{"tick":"2023-11-14T22:13:20.000Z","decided_at":"2023-11-14T22:13:20.012Z","#,
                r#""lateness":"7ms","by_hand":false,"verdict":"fired","unreported":false,"#,
                r#""ends":{"open":0,"succeeded":1,"failed":0,"cancelled":0,"missed":1,"#,
                r#""skipped":0},"runs":[{"task":null,"node":"00000000000000000000000000000001","#,
                r#""started_at":"2023-11-14T22:13:20.020Z","#,
                r#""finished_at":"2023-11-14T22:13:21.520Z","duration":"1s500ms","#,
                r#""outcome":"succeeded","output":"42\nfiles"},{"task":null,"#,
                r#""node":"00000000000000000000000000000002","started_at":null,"#,
                r#""finished_at":null,"duration":null,"outcome":"missed","output":""}]}"#,
            )
        );
    }
}
