//! `umbel job show`: all that is known of a job.

use anyhow::Context;
use umbel_protocol::job::{Alert, Job, JobCounts, JobView, Misfire, SentAlert, Source};
use umbel_protocol::task::Template;
use umbel_protocol::time::{Span, Wall};

use super::history::ticks;
use super::json::JobJson;
use super::moment::Place;
use super::nobody::Places;
use super::words;
use super::{Done, NameArgs, nobody, out};
use crate::cli::names::Names;
use crate::cli::table::{facts, printable};
use crate::cli::time::{away, count, stamp};
use crate::client::Client;
use crate::clock::wall;
use crate::config::quantity::spelled;

pub(super) async fn run(args: NameArgs) -> anyhow::Result<Done> {
    let NameArgs { name, json, connect } = args;
    let client = connect.client().await?;
    let view = client.job(&name).await.with_context(|| format!("cannot show job {name}"))?;
    let names = Names::ask(&client).await;
    let places = Places::ask(&client, [&view.job].into_iter()).await;
    let mut results = out::Results::new();
    if json {
        results.json(&JobJson::of_view(&view, &names, &places))?;
    } else {
        for line in for_people(&view, wall(), &names) {
            results.line(line)?;
        }
    }
    results.flush()?;
    nobody::notes(&view, &places).into_iter().for_each(out::note);
    Ok(Done::Well)
}

/// Tells what a job has become: as one line of JSON, or as `what` and its next tick. And if no node may
/// run it, that.
pub(super) async fn tell(
    client: &Client,
    view: &JobView,
    what: &str,
    json: bool,
) -> anyhow::Result<()> {
    let places = Places::ask(client, [&view.job].into_iter()).await;
    if json {
        let names = Names::ask(client).await;
        out::line(serde_json::to_string(&JobJson::of_view(view, &names, &places))?)?;
    } else {
        out::line(became(view, what))?;
    }
    nobody::notes(view, &places).into_iter().for_each(out::note);
    Ok(())
}

fn became(view: &JobView, what: &str) -> String {
    let name = &view.name;
    let next = match (view.enabled, view.next) {
        (_, Some(next)) => {
            let fires = next + words::delay(name, &view.job);
            format!("; its next tick is {}", when(view, fires, wall()))
        }
        (true, None) => "; it has no tick to come".to_owned(),
        (false, None) => format!("; it fires nothing until `umbel job enable {name}`"),
    };
    format!("job {name} {what}{next}")
}

/// By the clocks of its place, and how far away.
fn when(view: &JobView, at: Wall, now: Wall) -> String {
    let place = Place::or_utc(&view.job.timezone);
    format!("{} ({})", place.show_day(at), away(now, at))
}

fn for_people(view: &JobView, now: Wall, names: &Names) -> Vec<String> {
    let JobView { name, job, source, enabled, since, next, counts, history, .. } = view;
    let args = printable(&String::from_utf8_lossy(&view.args_shown()));
    let delay = words::delay(name, job);
    let state = match source {
        Source::File { .. } => format!("{}; defined in cluster.toml", words::enabled(*enabled)),
        Source::Live => words::enabled(*enabled).to_owned(),
    };
    let misfire = match job.misfire {
        Misfire::Skip => "no late tick is fired".to_owned(),
        Misfire::Once => "of late ticks the last one is fired".to_owned(),
        Misfire::All { most } => format!("of late ticks the last {most} are fired"),
    };
    let mut told = vec![
        ("name", name.to_string()),
        ("schedule", words::schedule(job)),
        ("task", job.template.name.clone()),
        ("args", args),
        ("on", words::hosts(job)),
        ("state", state),
        ("next", next.map_or_else(|| "none".to_owned(), |next| when(view, next + delay, now))),
        ("counts", counted(*counts)),
    ];
    if let Some(command) = &job.command {
        told.insert(3, ("command", printable(command)));
    }
    if counts.failures_in_row > 0 {
        told.push(("failing", format!("{} in a row", count(counts.failures_in_row))));
    }
    told.push(("misfire", format!("{misfire}; late is after {}", spelled(job.grace()))));
    told.push(("overlap", words::overlap(job.overlap).to_owned()));
    let place = Place::or_utc(&job.timezone);
    let said = [
        ("jitter", (!job.jitter.is_zero()).then(|| jitter(job.jitter, delay))),
        ("start", job.start.map(|at| place.show(at))),
        ("end", job.end.map(|at| place.show(at))),
        ("max runs", job.max_runs.map(count)),
        ("expires", job.expires.map(|span| format!("{} after its tick", spelled(span)))),
        ("reports", job.report_within.map(|span| format!("within {}", spelled(span)))),
        ("alert", job.alert.as_ref().map(alert)),
        ("told last", view.last_alert.as_ref().map(|sent| told_last(sent, now))),
    ];
    let said = said.into_iter().chain(treatment(&job.template)).chain(besides(job));
    let said = said.chain([("since", Some(stamp(*since)))]);
    told.extend(said.filter_map(|(name, text)| Some((name, text?))));
    let mut lines = facts(&told);
    if history.last().is_some() {
        lines.push(String::new());
        lines.extend(ticks(view, TICKS_SHOWN, now, names));
    }
    lines
}

/// What it may be, and what it is for this job.
fn jitter(most: Span, delay: Span) -> String {
    format!("{}, of which this job's ticks have {}", spelled(most), spelled(delay))
}

/// How a task is treated, as far as that is said.
fn treatment(template: &Template) -> [(&'static str, Option<String>); 15] {
    let (queue, options) = (&template.queue, &template.options);
    [
        ("queue", (!queue.is_empty()).then(|| queue.clone())),
        ("priority", options.priority.map(|priority| priority.to_string())),
        ("attempts", options.attempts_max.map(|attempts| attempts.to_string())),
        ("backoff", options.backoff_first.map(|first| format!("{} at first", spelled(first)))),
        ("backoff max", options.backoff_max.map(spelled)),
        ("backoff", options.backoff_list.as_deref().map(listed)),
        ("time limit", options.time_limit.map(spelled)),
        ("soft limit", options.soft_limit.map(spelled)),
        ("expires", options.expires.map(|span| format!("after {}", spelled(span)))),
        ("deadline", options.deadline.map(|span| format!("after {}", spelled(span)))),
        ("crashes", options.crashes_max.map(|crashes| crashes.to_string())),
        ("started", options.is_at_most_once().then(|| "once at the most".to_owned())),
        ("lost after", options.lost_after.map(spelled)),
        ("kept", options.retention.map(spelled)),
        ("result", options.ignore_result.map(|is| if is { "dropped" } else { "kept" }.to_owned())),
    ]
}

/// What is said of its tasks besides how they are treated, and what of them is not shown.
fn besides(job: &Job) -> Vec<(&'static str, Option<String>)> {
    let redact = job.template.options.redact();
    let mut told = vec![("hidden", (!redact.is_empty()).then(|| redact.join(", ")))];
    if let Some(said) = &job.metadata {
        let headers: Vec<_> = said.headers.iter().map(|(name, _)| name).collect();
        told.push(("called", said.display_name.as_deref().map(printable)));
        told.push(("labels", (!said.labels.is_empty()).then(|| said.labels.to_string())));
        told.push(("headers", (!headers.is_empty()).then(|| headers.join(", "))));
    }
    told
}

fn listed(pauses: &[Span]) -> String {
    let pauses: Vec<_> = pauses.iter().map(|pause| spelled(*pause)).collect();
    pauses.join(", ")
}

/// Which task tells of what, and on a second line how it is treated.
fn alert(alert: &Alert) -> String {
    let text = format!("{} on {}", alert.template.name, words::alerted(alert).join(", "));
    let said: Vec<_> = treatment(&alert.template)
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} {}", text?)))
        .collect();
    if said.is_empty() { text } else { format!("{text}\n{}", said.join(", ")) }
}

/// What was told last, and which task did: whether that went well is for the task to say.
fn told_last(sent: &SentAlert, now: Wall) -> String {
    let SentAlert { event, at, task } = sent;
    format!("{}, {}; see `umbel task show {task}`", event.as_str(), away(now, *at))
}

fn counted(counts: JobCounts) -> String {
    let JobCounts { fired, succeeded, failed, cancelled, missed, skipped, .. } = counts;
    let all = [
        (fired, "fired"),
        (succeeded, "succeeded"),
        (failed, "failed"),
        (cancelled, "cancelled"),
        (missed, "missed"),
        (skipped, "skipped"),
    ];
    let told: Vec<_> = all.into_iter().map(|(n, word)| format!("{} {word}", count(n))).collect();
    told.join(", ")
}

/// Ticks that are shown besides all else; `umbel job history` shows the others.
const TICKS_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use umbel_protocol::job::{Schedule, TickHistory};
    use umbel_protocol::time::Span;

    use super::*;

    #[test]
    fn what_is_said_of_a_job_is_shown() {
        let now = Wall::from_millis(1_700_000_000_000);
        let mut job = Job::new(Schedule::Cron("30 2 * * *".into()), Template::new("backup"));
        job.select = "role=db".parse().unwrap();
        job.jitter = Span::from_millis(60_000);
        let mut template = Template { queue: "ops".to_owned(), ..Template::new("tell") };
        template.options.priority = Some(9);
        template.options.backoff_first = Some(Span::from_millis(2_000));
        job.alert = Some(Alert { template, on_failure: true, on_recovery: true, on_missed: false });
        let view = JobView {
            name: "nightly".parse().unwrap(),
            job,
            source: Source::File { number: 1 },
            revision: 1,
            enabled: false,
            declared: umbel_protocol::job::Declared::ALL,
            since: now,
            next: Some(now + Span::from_millis(7_200_000)),
            counts: JobCounts { failed: 1_200, failures_in_row: 3, ..JobCounts::default() },
            history: TickHistory::default(),
            last_alert: None,
            redact: Vec::new(),
        };
        let shown = for_people(&view, now, &Names::default());
        for line in [
            "schedule  30 2 * * * UTC",
            "on        one of the nodes with role=db",
            "state     disabled; defined in cluster.toml",
            "next      Wed 2023-11-15 00:13:49 +00:00 (in 2h)",
            "counts    0 fired, 0 succeeded, 1,200 failed, 0 cancelled, 0 missed, 0 skipped",
            "failing   3 in a row",
            "misfire   of late ticks the last one is fired; late is after 1m",
            "jitter    1m, of which this job's ticks have 29s914ms",
            "alert     tell on failure, recovery\n          \
             queue ops, priority 9, backoff 2s at first",
        ] {
            assert!(shown.iter().any(|shown| shown == line), "{line}\n{shown:#?}");
        }
    }
}
