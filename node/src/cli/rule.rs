//! `umbel rule`: what is said of tasks by their names, and all that is said.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use umbel_protocol::job::Labels;
use umbel_protocol::limits::PERMITS_MAX;
use umbel_protocol::meta::{Rule, Subject};
use umbel_protocol::task::Rate;

use super::connect::ConnectArgs;
use super::table::{brief, table};
use super::{Done, out};
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum RuleCommand {
    /// List all that is said of queues and of tasks
    List(ListArgs),
    /// Say where tasks of a name go, and how many of them run, in the whole cluster
    ///
    /// What is said here counts before what cluster.toml says, until it is cleared. What is not said stays as it
    /// is. Of rules that match the limits of all hold; the queue and the priority are those of the one that says
    /// most of the name.
    Set(SetArgs),
    /// Take back all that was said of tasks of a name: what cluster.toml says counts again
    Clear(NameArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print one line of JSON for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// The name of the tasks; * stands for any text
    name: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The name of the tasks; * stands for any text: 'mail.*'
    name: String,
    /// The queue of those that are submitted without one
    #[arg(long)]
    queue: Option<String>,
    /// The priority of those that are submitted without one, 0 to 9
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Have them wait until --resume
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    /// Have them start again
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    shared: SharedArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What can be said of queues and of tasks.
#[derive(Debug, Args)]
pub(super) struct SharedArgs {
    /// How many may begin in how long: 100/s, 20/min; "none" for any number
    #[arg(long, value_name = "N/TIME|none")]
    rate: Option<String>,
    /// How many may run at once; "none" for any number
    #[arg(long, value_name = "N|none")]
    concurrency: Option<String>,
    /// Labels of the nodes that may run them; "none" for all
    #[arg(long, value_name = "KEY=VALUE,...|none")]
    select: Option<String>,
}

#[derive(Serialize)]
struct Line {
    kind: &'static str,
    name: String,
    from: &'static str,
    paused: bool,
    queue: Option<String>,
    priority: Option<u8>,
    weight: Option<u16>,
    rank: Option<u8>,
    rate: Option<String>,
    concurrency: Option<u32>,
    select: Option<String>,
}

impl SharedArgs {
    /// The rule that says this.
    ///
    /// # Errors
    /// Something of it is not what it must be.
    pub(super) fn rule(&self) -> anyhow::Result<Rule> {
        let Self { rate, concurrency, select } = self;
        let is_none = |text: &String| text == "none";
        let rate = rate.as_ref().map(|text| match is_none(text) {
            true => Ok(None),
            false => text.parse::<Rate>().map(Some),
        });
        let concurrency = concurrency.as_ref().map(|text| match is_none(text) {
            true => Ok(None),
            false => text.parse::<u32>().map(Some),
        });
        let select = select.as_ref().map(|text| match is_none(text) {
            true => Ok(Labels::NONE),
            false => text.parse::<Labels>(),
        });
        let why = || format!("--concurrency is 1 to {PERMITS_MAX}, or none");
        Ok(Rule {
            rate: rate.transpose().context("--rate")?,
            concurrency: concurrency.transpose().with_context(why)?,
            select: select.transpose().context("--select")?,
            ..Rule::default()
        })
    }
}

pub(super) async fn run(command: RuleCommand) -> anyhow::Result<Done> {
    match command {
        RuleCommand::List(args) => list(args).await,
        RuleCommand::Set(args) => {
            let SetArgs { name, queue, priority, pause, resume, shared, connect } = args;
            let paused = (pause || resume).then_some(pause);
            let rule = Rule { queue, priority, paused, ..shared.rule()? };
            set(Subject::Tasks(name), rule, &connect).await?;
            Ok(Done::Well)
        }
        RuleCommand::Clear(NameArgs { name, connect }) => {
            let client = connect.client().await?;
            client.clear_rule(Subject::Tasks(name)).await.context("cannot clear the rule")?;
            Ok(Done::Well)
        }
    }
}

/// Says something of a queue or of tasks; the client that did.
pub(super) async fn set(
    subject: Subject,
    rule: Rule,
    connect: &ConnectArgs,
) -> anyhow::Result<Client> {
    if rule.is_empty() {
        bail!("say something of it, such as --rate 100/s; see --help");
    }
    let client = connect.client().await?;
    client.set_rule(subject, rule).await.context("cannot set the rule")?;
    Ok(client)
}

async fn list(args: ListArgs) -> anyhow::Result<Done> {
    let ListArgs { json, connect } = args;
    let client = connect.client().await?;
    let rules = client.queues().await.context("cannot list rules")?.rules;
    let mut results = out::Results::new();
    let mut subjects: Vec<&Subject> = rules.subjects().collect();
    subjects.sort_unstable();
    let mut rows = Vec::new();
    for subject in subjects {
        let rule = rules.of(subject);
        let from = match (rules.said.contains_key(subject), rules.file.contains_key(subject)) {
            (true, true) => "both",
            (true, false) => "live",
            (false, _) => "file",
        };
        if json {
            results.json(&Line::of(subject, &rule, from))?;
        } else {
            rows.push([
                kind(subject).to_owned(),
                brief(subject.name(), 60),
                from.to_owned(),
                words(&rule),
            ]);
        }
    }
    if !json {
        for line in table(["OF", "NAME", "FROM", "RULE"], &rows) {
            results.line(line)?;
        }
    }
    results.flush()?;
    Ok(Done::Well)
}

const fn kind(subject: &Subject) -> &'static str {
    match subject {
        Subject::Queue(_) => "queue",
        Subject::Tasks(_) => "tasks",
    }
}

impl Line {
    fn of(subject: &Subject, rule: &Rule, from: &'static str) -> Self {
        Self {
            kind: kind(subject),
            name: subject.name().to_owned(),
            from,
            paused: rule.is_paused(),
            queue: rule.queue.clone(),
            priority: rule.priority,
            weight: rule.weight,
            rank: rule.rank,
            rate: rule.rate().map(|rate| rate.to_string()),
            concurrency: rule.concurrency(),
            select: rule.select.as_ref().map(ToString::to_string),
        }
    }
}

/// What a rule says, in short.
pub(super) fn words(rule: &Rule) -> String {
    let mut words = Vec::new();
    if rule.is_paused() {
        words.push("paused".to_owned());
    }
    words.extend(rule.queue.as_ref().map(|queue| format!("queue {}", brief(queue, 40))));
    words.extend(rule.priority.map(|priority| format!("priority {priority}")));
    words.extend(rule.rank.map(|rank| format!("rank {rank}")));
    words.extend(rule.weight.map(|weight| format!("weight {weight}")));
    words.extend(rule.rate().map(|rate| rate.to_string()));
    words.extend(rule.concurrency().map(|most| format!("{most} at once")));
    let select = rule.select.as_ref().filter(|select| !select.is_empty());
    words.extend(select.map(|select| format!("on {}", brief(&select.to_string(), 60))));
    words.join(", ")
}
