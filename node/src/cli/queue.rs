//! `umbel queue`: how it stands with queues, and what is said of them.

mod list;

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::time::timeout;
use umbel_protocol::meta::{Rule, Subject};
use umbel_protocol::wire::QueueLine;

use self::list::ListArgs;
use super::connect::ConnectArgs;
use super::rule::SharedArgs;
use super::task::Kind;
use super::task::steer::told;
use super::{Done, out};
use crate::client::{Client, Filter, QueueListing, States, Steering};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List queues: how many tasks wait and run, how long the oldest has waited, how many begin and end
    List(ListArgs),
    /// Have the tasks of a queue wait until it is resumed; what runs goes on
    Pause(NameArgs),
    /// Have the tasks of a queue start again
    Resume(NameArgs),
    /// Cancel the tasks of a queue that wait: all, or those that are selected; what runs goes on
    Purge(PurgeArgs),
    /// Say how much of a queue runs, in what share, and where, in the whole cluster
    ///
    /// What is said here counts before what cluster.toml says, until it is cleared. What is not said stays as it
    /// is.
    Set(SetArgs),
    /// Take back all that was said of a queue: what cluster.toml says counts again
    Clear(NameArgs),
}

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// The queue
    name: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    queue: String,
    #[command(flatten)]
    kind: Kind,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The queue
    name: String,
    /// How large a share of the slots it gets while others wait, too; one of which nothing is said has 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    weight: Option<u16>,
    /// 0 to 9, higher first: as long as tasks of one with a higher rank wait, none of this begins
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    rank: Option<u8>,
    #[command(flatten)]
    shared: SharedArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(command: QueueCommand) -> anyhow::Result<Done> {
    match command {
        QueueCommand::List(args) => list::run(args).await,
        QueueCommand::Pause(NameArgs { name, connect }) => {
            let client = connect.client().await?;
            client.pause_queue(&name).await.context("cannot pause the queue")?;
            doubt(&client, &name).await;
            Ok(Done::Well)
        }
        QueueCommand::Resume(NameArgs { name, connect }) => {
            connect.client().await?.resume_queue(&name).await.context("cannot resume the queue")?;
            Ok(Done::Well)
        }
        QueueCommand::Purge(args) => purge(args).await,
        QueueCommand::Set(SetArgs { name, weight, rank, shared, connect }) => {
            let rule = Rule { weight, rank, ..shared.rule()? };
            let client = super::rule::set(Subject::Queue(name.clone()), rule, &connect).await?;
            doubt(&client, &name).await;
            Ok(Done::Well)
        }
        QueueCommand::Clear(NameArgs { name, connect }) => {
            let client = connect.client().await?;
            client.clear_rule(Subject::Queue(name)).await.context("cannot clear the rule")?;
            Ok(Done::Well)
        }
    }
}

/// So long it is looked whether there is such a queue.
const DOUBT_MAX: Duration = Duration::from_secs(1);

/// Says so if there is nothing in a queue of which a rule was said: its name may be another. What could not be learned
/// is no reason to doubt.
async fn doubt(client: &Client, name: &str) {
    let listing = timeout(DOUBT_MAX, client.queues()).await;
    let Ok(Ok(QueueListing { queues, partitions_missing: 0, .. })) = listing else {
        return;
    };
    let is_used = |line: &QueueLine| {
        let there = line.ready + line.scheduled + line.running + line.dead;
        line.name == name && there + line.begun + line.ended > 0
    };
    if !queues.iter().any(is_used) {
        out::note(format!("no task is in a queue {name:?} now; this holds for those to come"));
    }
}

async fn purge(args: PurgeArgs) -> anyhow::Result<Done> {
    let PurgeArgs { queue, kind, json, connect } = args;
    let waiting = Filter { states: States::WAITING, queue: Some(queue), ..kind.filter(u32::MAX)? };
    let client = connect.client().await?;
    let steered = client.steer_all(Steering::Cancel, waiting).await;
    told(Steering::Cancel, &steered.context("cannot purge the queue")?, Vec::new(), json)
}
