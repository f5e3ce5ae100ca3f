//! `umbel job list`: all jobs, one line each.

use anyhow::Context;
use clap::Args;
use umbel_protocol::job::{Declared, JobLine};
use umbel_protocol::time::Wall;

use super::json::JobJson;
use super::moment::Place;
use super::nobody::Places;
use super::words;
use super::{Done, out};
use crate::cli::all_told;
use crate::cli::connect::ConnectArgs;
use crate::cli::names::Names;
use crate::cli::table::{brief, table};
use crate::cli::time::{away, count};
use crate::client::JobListing;
use crate::clock::wall;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those whose names begin so
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Print one line of JSON for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: ListArgs) -> anyhow::Result<Done> {
    let ListArgs { prefix, json, connect } = args;
    let client = connect.client().await?;
    let listing = client.jobs(&prefix).await.context("cannot list jobs")?;
    let JobListing { jobs, partitions_missing } = listing;
    let mut results = out::Results::new();
    let places = Places::ask(&client, jobs.iter().map(|line| &line.job)).await;
    if json {
        let names = Names::ask(&client).await;
        for line in &jobs {
            results.json(&JobJson::of_line(line, &names, &places))?;
        }
    } else {
        for line in for_people(&jobs, &places, wall()) {
            results.line(line)?;
        }
    }
    results.flush()?;
    Ok(all_told("jobs", partitions_missing))
}

fn for_people(jobs: &[JobLine], places: &Places, now: Wall) -> Vec<String> {
    let rows: Vec<_> = jobs.iter().map(|line| row(line, places, now)).collect();
    table(["NAME", "SCHEDULE", "RUNS", "ON", "FROM", "STATE", "NEXT", "LAST", "FAILING"], &rows)
}

fn row(line: &JobLine, places: &Places, now: Wall) -> [String; 9] {
    let JobLine { name, job, source, enabled, declared, next, counts, last } = line;
    let on = match job.select.is_empty() {
        true => words::on(job.on).to_owned(),
        false => format!("{} {}", words::on(job.on), brief(&job.select.to_string(), 24)),
    };
    let on = match places.has(job) {
        Some(false) => format!("{on} (no node)"),
        Some(true) | None => on,
    };
    let task = brief(&job.template.name, 32);
    let task = match declared {
        Declared { task: false, .. } => format!("{task} (unknown)"),
        Declared { alert: false, .. } => format!("{task} (alert unknown)"),
        Declared { task: true, alert: true } => task,
    };
    let place = Place::or_utc(&job.timezone);
    let fires = next.map(|next| next + words::delay(name, job));
    let next = fires.map_or_else(|| "none".to_owned(), |fires| place.show(fires));
    let last = last.as_ref().map_or_else(
        || "none".to_owned(),
        |last| format!("{}, {}", words::outcome(last), away(now, last.tick)),
    );
    let failing = match counts.failures_in_row {
        0 => String::new(),
        times => format!("{} in a row", count(times)),
    };
    [
        // All other commands want it as a whole.
        name.to_string(),
        brief(&words::schedule(job), 48),
        task,
        on,
        words::source(*source).to_owned(),
        words::enabled(*enabled).to_owned(),
        next,
        last,
        failing,
    ]
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::ClusterId;
    use umbel_protocol::job::{Job, JobCounts, Schedule, Source, TickEnd};
    use umbel_protocol::meta::Meta;
    use umbel_protocol::task::Template;
    use umbel_protocol::time::Span;

    use super::*;
    use crate::cli::job::words::tests::tick;

    #[test]
    fn jobs_are_shown_line_by_line() {
        let now = Wall::from_millis(1_700_000_000_000);
        let mut nightly =
            Job::new(Schedule::Cron("30 2 * * *".to_owned()), Template::new("backup"));
        nightly.timezone = "Europe/Berlin".to_owned();
        nightly.select = "role=db".parse().unwrap();
        let often = Job::new(Schedule::Every(Span::from_millis(90_000)), Template::new("poll"));
        let line = |name: &str, job, next, last| JobLine {
            name: name.parse().unwrap(),
            job,
            source: Source::Live,
            enabled: true,
            declared: Declared::ALL,
            next,
            counts: JobCounts { failures_in_row: 2, ..JobCounts::default() },
            last,
        };
        let soon = now + Span::from_millis(3_600_000);
        let places = Places::of(Meta::new(ClusterId(7), "test".to_owned(), 2, 1, 1));
        let long = "n".repeat(60);
        assert_eq!(row(&line(&long, often.clone(), None, None), &places, now)[0], long);
        let shown = for_people(
            &[
                line("nightly", nightly, Some(soon), None),
                line("often", often, None, Some(tick(&[Some(TickEnd::Failed)]))),
            ],
            &places,
            now + Span::from_millis(300_000),
        );
        assert_eq!(
            shown[1..],
            [
                "nightly  30 2 * * * Europe/Berlin  backup  one role=db (no node)  live  enabled  \
                 2023-11-15 00:13:20 +01:00  none            2 in a row",
                "often    every 1m30s               poll    one                    live  enabled  \
                 none                        failed, 5m ago  2 in a row",
            ]
        );
    }
}
