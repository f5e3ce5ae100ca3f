//! `umbel task cancel`, `retry` and `delete`: some tasks by their ids, or all that are selected.

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::State;

use super::{Matching, print};
use crate::cli::connect::ConnectArgs;
use crate::cli::submit::count_tasks;
use crate::cli::{Done, all_told, out};
use crate::client::{Client, Filter, Steered, Steering};

#[derive(Debug, Args)]
pub(in crate::cli) struct SteerArgs {
    /// Their ids, as `umbel submit` printed them
    #[arg(conflicts_with_all = SELECTING)]
    ids: Vec<TaskId>,
    #[command(flatten)]
    selection: Selection,
    /// Print one line of JSON: what came of it, or, of one that is named to `cancel`, the task
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What stands in place of ids.
#[derive(Debug, Args)]
#[command(next_help_heading = "In place of ids")]
struct Selection {
    /// All that there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    matching: Matching,
}

/// The flags of a [`Selection`].
const SELECTING: [&str; 6] = ["all", "states", "queue", "name", "labels", "group"];

/// What came of it.
#[derive(Serialize)]
struct Line {
    done: u64,
    refused: u64,
    /// The first ones.
    why: Vec<Why>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retried_as: Vec<Retried>,
    partitions_missing: u16,
}

#[derive(Serialize)]
struct Why {
    id: TaskId,
    error: String,
}

#[derive(Serialize)]
pub(in crate::cli) struct Retried {
    id: TaskId,
    new_id: TaskId,
}

pub(super) async fn run(steering: Steering, args: SteerArgs) -> anyhow::Result<Done> {
    let SteerArgs { ids, selection, json, connect } = args;
    if !ids.is_empty() {
        return each(&connect.client().await?, steering, ids, json).await;
    }
    let filter = selection.matching.filter(u32::MAX)?;
    if !selection.all && filter == (Filter { limit: u32::MAX, ..Filter::default() }) {
        bail!(
            "name tasks by their ids, or say which: --state, --queue, --name, --label, --group, or --all of them"
        );
    }
    // What is typed wrong is told before anybody is called.
    steering.states_meant(filter.states)?;
    let client = connect.client().await?;
    let steered = client.steer_all(steering, filter).await.with_context(|| cannot(steering))?;
    told(steering, &steered, Vec::new(), json)
}

/// Those with these ids.
async fn each(
    client: &Client,
    steering: Steering,
    ids: Vec<TaskId>,
    json: bool,
) -> anyhow::Result<Done> {
    if let (Steering::Cancel, [id]) = (steering, ids.as_slice()) {
        return cancel(client, *id, json).await;
    }
    let mut steered = Steered::default();
    let mut retried_as = Vec::new();
    if steering == Steering::Retry {
        for id in ids {
            match client.retry(id).await {
                Ok(new_id) => {
                    steered.done += 1;
                    retried_as.push(Retried { id, new_id });
                }
                Err(why) => {
                    steered.refused_count += 1;
                    steered.refused.push((id, why));
                }
            }
        }
    } else {
        client.steer_each(steering.into(), ids, &mut steered, true).await;
    }
    told(steering, &steered, retried_as, json)
}

async fn cancel(client: &Client, id: TaskId, json: bool) -> anyhow::Result<Done> {
    let view = client.cancel(id).await.context("cannot cancel the task")?;
    print(client, &view, json).await?;
    match view.state {
        State::Cancelled | State::Scheduled | State::Ready | State::Leased => Ok(Done::Well),
        State::Succeeded | State::Dead | State::Expired => {
            out::note("the task had ended before it could be cancelled");
            Ok(Done::Badly)
        }
    }
}

pub(in crate::cli) fn told(
    steering: Steering,
    steered: &Steered,
    retried_as: Vec<Retried>,
    json: bool,
) -> anyhow::Result<Done> {
    let Steered { done, refused, refused_count, partitions_missing, cut_short } = steered;
    let mut results = out::Results::new();
    if json {
        let why = refused.iter().map(|(id, why)| Why { id: *id, error: why.to_string() }).collect();
        let (done, refused, partitions_missing) = (*done, *refused_count, *partitions_missing);
        results.json(&Line { done, refused, why, retried_as, partitions_missing })?;
    } else {
        for Retried { id, new_id } in &retried_as {
            results.line(format!("{id} is tried again as {new_id}"))?;
        }
        if retried_as.is_empty() {
            results.line(format!("{} {}", count_tasks(*done), done_to(steering)))?;
        }
    }
    results.flush()?;
    for (id, why) in refused.iter().filter(|_| !json) {
        out::note(format!("{id}: {why}"));
    }
    let untold = refused_count.saturating_sub(refused.len() as u64);
    if untold > 0 {
        out::note(format!("and {} more", count_tasks(untold)));
    }
    let found = all_told("tasks", *partitions_missing);
    if let Some(why) = cut_short {
        bail!(
            "{} were reached, the older ones not, for which it may be run again: {why}",
            count_tasks(*done + *refused_count)
        );
    }
    Ok(if *refused_count == 0 { found } else { Done::Badly })
}

const fn cannot(steering: Steering) -> &'static str {
    match steering {
        Steering::Cancel => "cannot cancel tasks",
        Steering::Retry => "cannot try tasks again",
        Steering::Delete => "cannot drop tasks",
    }
}

const fn done_to(steering: Steering) -> &'static str {
    match steering {
        Steering::Cancel => "cancelled, or asked to stop",
        Steering::Retry => "tried again",
        Steering::Delete => "dropped",
    }
}
