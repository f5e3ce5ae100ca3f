//! `umbel queue list`: all queues, one line each.

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use umbel_protocol::meta::{Rule, Rules, Subject};
use umbel_protocol::time::Wall;
use umbel_protocol::wire::QueueLine;

use crate::cli::connect::ConnectArgs;
use crate::cli::rule::words;
use crate::cli::table::{brief, table};
use crate::cli::time::{between, count};
use crate::cli::{Done, all_told, out};
use crate::client::QueueListing;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Print one line of JSON for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Serialize)]
struct Line<'a> {
    queue: &'a str,
    ready: u64,
    scheduled: u64,
    running: u64,
    dead: u64,
    /// For how long the one has waited that has waited longest.
    oldest_ms: Option<u64>,
    begun_per_second: f64,
    ended_per_second: f64,
    paused: bool,
    weight: u16,
    rank: u8,
    rate: Option<String>,
    concurrency: Option<u32>,
    select: Option<String>,
}

pub(super) async fn run(args: ListArgs) -> anyhow::Result<Done> {
    let ListArgs { json, connect } = args;
    let client = connect.client().await?;
    let listing = client.queues().await.context("cannot list queues")?;
    let QueueListing { queues, rules, partitions_missing } = listing;
    let mut results = out::Results::new();
    if json {
        for line in &queues {
            results.json(&Line::of(line, &rule_of(&rules, line)))?;
        }
    } else {
        let rows: Vec<_> = queues.iter().map(|line| row(line, &rule_of(&rules, line))).collect();
        let head =
            ["QUEUE", "READY", "DELAYED", "RUNNING", "DEAD", "OLDEST", "BEGUN", "ENDED", "RULE"];
        for line in table(head, &rows) {
            results.line(line)?;
        }
    }
    results.flush()?;
    Ok(all_told("tasks", partitions_missing))
}

fn rule_of(rules: &Rules, line: &QueueLine) -> Rule {
    rules.of(&Subject::Queue(line.name.clone()))
}

impl<'a> Line<'a> {
    fn of(line: &'a QueueLine, rule: &Rule) -> Self {
        Self {
            queue: &line.name,
            ready: line.ready,
            scheduled: line.scheduled,
            running: line.running,
            dead: line.dead,
            oldest_ms: line.oldest.map(umbel_protocol::time::Span::as_millis),
            begun_per_second: per_second(line.begun),
            ended_per_second: per_second(line.ended),
            paused: rule.is_paused(),
            weight: rule.weight.unwrap_or(1),
            rank: rule.rank.unwrap_or(0),
            rate: rule.rate().map(|rate| rate.to_string()),
            concurrency: rule.concurrency(),
            select: rule.select.as_ref().map(ToString::to_string),
        }
    }
}

/// Of what has happened within ten seconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "no more than can be told apart happens in ten seconds"
)]
fn per_second(count: u64) -> f64 {
    count as f64 / 10.0
}

fn row(line: &QueueLine, rule: &Rule) -> [String; 9] {
    let oldest = line.oldest.map(|age| between(Wall::EPOCH, Wall::EPOCH + age));
    [
        brief(&line.name, 40),
        count(line.ready),
        count(line.scheduled),
        count(line.running),
        count(line.dead),
        oldest.unwrap_or_default(),
        format!("{:.1}/s", per_second(line.begun)),
        format!("{:.1}/s", per_second(line.ended)),
        words(rule),
    ]
}
