//! `umbel task`: what became of tasks, and what is to become of them.

pub(super) mod steer;

use std::time::Duration;

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use umbel_protocol::id::{TaskGroupId, TaskId};
use umbel_protocol::job::Labels;
use umbel_protocol::limits::LIST_MAX;
use umbel_protocol::task::{State, States, View};

use self::steer::SteerArgs;
use super::connect::ConnectArgs;
use super::interrupt::Interrupts;
use super::names::Names;
use super::submit::said::labels;
use super::submit::{count_tasks, goes_on};
use super::table::{brief, table};
use super::task_group::{self, GroupArgs};
use super::task_line::{TaskLine, details};
use super::task_watch::{WatchArgs, watch};
use super::time::{parse, stamp};
use super::{Done, all_told, out};
use crate::client::{Client, Filter, Listing, Steering};

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Show all that is known of a task
    ///
    /// In place of arguments that are never to be shown it says so.
    ///
    /// With --json, "result" is what it returned. Of a task that is dead it is what the failure left:
    /// of a command exit_code (or signal), stdout and stderr, of a webhook status and body.
    Show(TaskArgs),
    /// Wait until a task has ended; fails if it did not succeed
    Wait(WaitArgs),
    /// Watch a task: what it says, how far it is, and its end; fails if it did not succeed
    ///
    /// What it says goes to standard output, line by line while it runs; how far it is goes to standard
    /// error. A handler says so with `Context::log` and `Context::progress`; a command by what it
    /// prints, and lines like `::umbel progress 3/10 thumbnails`. With --json each event is a line of JSON:
    /// "started", "progress", "log", "missed" or "ended".
    Watch(WatchArgs),
    /// Show how many tasks of a group are how far, or wait until all have ended
    Group(GroupArgs),
    /// Stop tasks: some by their ids, or all that are selected
    ///
    /// One that waits is cancelled at once, one that runs is asked to stop.
    Cancel(SteerArgs),
    /// Try tasks again that are dead, were cancelled or have expired
    ///
    /// A new task does the same work at once, with all its attempts; the old one is dropped. With a selection
    /// and no --state the dead are meant.
    Retry(SteerArgs),
    /// Drop tasks that have ended: nothing of them is shown any more
    Delete(SteerArgs),
    /// List tasks, the newest first
    ///
    /// With --json each has its result, up to 2.5 MiB of results in all, and its error, up to 1 MiB in
    /// all: the newest have theirs, any other says "left_out": true. Show a task by itself to see what
    /// was left out. The table shows neither.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct TaskArgs {
    /// Its id, as `umbel submit` printed it
    pub(super) id: TaskId,
    /// Print one line of JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// How long to wait [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = parse, allow_hyphen_values = true)]
    timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    matching: Matching,
    /// Only those that were submitted before this one
    #[arg(long, value_name = "ID")]
    before: Option<TaskId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=LIST_MAX as i64))]
    limit: u32,
    /// Print one line of JSON for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Which tasks are meant: those that match all of it.
#[derive(Debug, Args)]
pub(super) struct Matching {
    /// Only those in this state, or in one of these if it is given several times
    #[arg(long = "state", value_name = "STATE",
        value_parser = PossibleValuesParser::new(State::ALL.map(State::as_str)))]
    states: Vec<String>,
    /// Only those of this queue
    #[arg(long)]
    queue: Option<String>,
    #[command(flatten)]
    kind: Kind,
}

/// Which tasks are meant, whatever their states and queues.
#[derive(Debug, Args)]
pub(super) struct Kind {
    /// Only those that are called so
    #[arg(long)]
    name: Option<String>,
    /// Only those with all of these labels; can be given several times
    #[arg(long = "label", value_name = "KEY=VALUE,...", value_parser = labels)]
    labels: Vec<Labels>,
    /// Only those of this group
    #[arg(long, value_name = "ID")]
    group: Option<TaskGroupId>,
}

impl Matching {
    /// So many of them at most.
    ///
    /// # Errors
    /// None could match.
    fn filter(self, limit: u32) -> anyhow::Result<Filter> {
        let Self { states, queue, kind } = self;
        let states = if states.is_empty() {
            States::ALL
        } else {
            State::ALL
                .into_iter()
                .filter(|state| states.iter().any(|word| word == state.as_str()))
                .collect()
        };
        Ok(Filter { states, queue, ..kind.filter(limit)? })
    }
}

impl Kind {
    /// So many of them at most, of all states and queues.
    ///
    /// # Errors
    /// None could match.
    pub(super) fn filter(self, limit: u32) -> anyhow::Result<Filter> {
        let Self { name, labels: given, group } = self;
        let mut labels = Labels::NONE;
        for (key, value) in given.iter().flat_map(Labels::iter) {
            if labels.get(key).is_some_and(|other| other != value) {
                bail!("no task has two values of the label {key:?}; ask for one of them");
            }
            labels.insert(key, value)?;
        }
        Ok(Filter { name, labels, group, limit, ..Filter::default() })
    }
}

pub(super) async fn run(command: TaskCommand) -> anyhow::Result<Done> {
    match command {
        TaskCommand::Group(args) => task_group::run(args).await,
        TaskCommand::Show(args) => {
            let client = args.connect.client().await?;
            let view = client.show(args.id).await.context("cannot show the task")?;
            print(&client, &view, args.json).await?;
            Ok(Done::Well)
        }
        TaskCommand::Wait(WaitArgs { task: args, timeout }) => {
            let client = args.connect.client().await?;
            let mut interrupts = Interrupts::listen()?;
            let waited = tokio::select! {
                waited = client.wait(args.id, timeout) => waited,
                () = interrupts.any() => {
                    out::note(goes_on(args.id));
                    return Ok(Done::Interrupted);
                }
            };
            let view = waited.context("cannot wait for the task")?;
            print(&client, &view, args.json).await?;
            Ok(if view.state == State::Succeeded { Done::Well } else { Done::Badly })
        }
        TaskCommand::Cancel(args) => steer::run(Steering::Cancel, args).await,
        TaskCommand::Retry(args) => steer::run(Steering::Retry, args).await,
        TaskCommand::Delete(args) => steer::run(Steering::Delete, args).await,
        TaskCommand::Watch(args) => watch(args).await,
        TaskCommand::List(args) => list(args).await,
    }
}

pub(super) async fn print(client: &Client, view: &View, json: bool) -> anyhow::Result<()> {
    let names = Names::ask(client).await;
    let mut results = out::Results::new();
    if json {
        results.json(&TaskLine::of(view, &names))?;
    } else {
        for line in details(view, &names) {
            results.line(line)?;
        }
    }
    Ok(results.flush()?)
}

async fn list(args: ListArgs) -> anyhow::Result<Done> {
    let ListArgs { matching, before, limit, json, connect } = args;
    let filter = Filter { before, ..matching.filter(limit)? };
    let client = connect.client().await?;
    let listing = client.list(filter).await.context("cannot list tasks")?;
    let Listing { tasks, partitions_missing, cut_before } = listing;
    let names = Names::ask(&client).await;
    let mut results = out::Results::new();
    if json {
        for view in &tasks {
            results.json(&TaskLine::of(view, &names))?;
        }
    } else {
        let rows: Vec<_> = tasks.iter().map(|view| row(view, &names)).collect();
        for line in
            table(["ID", "STATE", "TASK", "QUEUE", "RUNS", "NODE", "SUBMITTED", "LABELS"], &rows)
        {
            results.line(line)?;
        }
    }
    results.flush()?;
    let left_out = tasks.iter().filter(|view| view.left_out).count();
    if json && left_out > 0 {
        out::note(format!(
            "of {} the result or the error was left out, for want of room in one listing: \
             `umbel task show ID` shows it",
            count_tasks(left_out as u64)
        ));
    }
    if !json && tasks.len() == limit as usize {
        let last = tasks.last().map(|view| view.id.to_string()).unwrap_or_default();
        let more = if (limit as usize) < LIST_MAX { "--limit N shows more, " } else { "" };
        out::note(format!("the newest {limit}; {more}--before {last} shows older ones"));
    }
    let told = all_told("tasks", partitions_missing);
    if let Some(cut) = cut_before {
        out::note(format!("there was no time to look at older ones; --before {cut} shows them"));
        return Ok(Done::Badly);
    }
    Ok(told)
}

/// What people call a task, and what it is.
fn called(view: &View) -> String {
    match view.metadata.as_ref().and_then(|said| said.display_name.as_deref()) {
        Some(name) => format!("{} ({})", brief(name, 40), brief(&view.task, 32)),
        None => brief(&view.task, 32),
    }
}

fn row(view: &View, names: &Names) -> [String; 8] {
    let labels = view.metadata.as_ref().map(|said| said.labels.to_string());
    [
        view.id.to_string(),
        view.state.as_str().to_owned(),
        called(view),
        brief(&view.queue, 20),
        view.runs.len().to_string(),
        view.node.map(|node| names.name(node)).unwrap_or_default(),
        stamp(view.submitted_at),
        brief(&labels.unwrap_or_default(), 80),
    ]
}
