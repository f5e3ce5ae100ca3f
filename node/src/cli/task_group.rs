//! `umbel task group`: how far the tasks of a group are.

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use umbel_protocol::id::TaskGroupId;
use umbel_protocol::task::{State, View};

use super::connect::ConnectArgs;
use super::interrupt::Interrupts;
use super::names::Names;
use super::table::brief;
use super::{Done, all_told, out};
use crate::client::{Client, Filter, GroupCount, States};

#[derive(Debug, Args)]
pub(super) struct GroupArgs {
    /// Its id, as `umbel submit --group new` or `--each-node` printed it
    id: TaskGroupId,
    /// Wait until all that were taken in have ended; fails if not all succeeded, or some are forgotten
    #[arg(long)]
    wait: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A group in JSON.
#[derive(Debug, Serialize)]
struct GroupLine {
    group: String,
    /// How many tasks it has, if whoever submitted them said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    scheduled: u64,
    ready: u64,
    running: u64,
    succeeded: u64,
    dead: u64,
    /// Cancelled or expired.
    stopped: u64,
    partitions_missing: u16,
}

pub(super) async fn run(args: GroupArgs) -> anyhow::Result<Done> {
    let GroupArgs { id, wait, json, connect } = args;
    let client = connect.client().await?;
    let mut interrupts = Interrupts::listen()?;
    let counting =
        async { if wait { client.wait_group(id).await } else { client.group(id).await } };
    let count = tokio::select! {
        count = counting => count.context("cannot count the group")?,
        () = interrupts.any() => return Ok(Done::Interrupted),
    };
    tell(id, &count, json)?;
    if wait && !went_well(&count) {
        tell_failures(&client, id).await;
        return Ok(Done::Badly);
    }
    Ok(all_told("tasks", count.partitions_missing))
}

/// Whether all tasks succeeded, as far as is known, and there are any; of one that is forgotten nobody knows.
pub(super) fn went_well(count: &GroupCount) -> bool {
    let tasks = &count.tasks;
    tasks.succeeded > 0 && tasks.succeeded == tasks.known() && count.unknown() == 0
}

pub(super) fn tell(id: TaskGroupId, count: &GroupCount, json: bool) -> anyhow::Result<()> {
    let tasks = &count.tasks;
    if json {
        let line = GroupLine {
            group: id.to_string(),
            size: (tasks.size > 0).then_some(tasks.size),
            scheduled: tasks.scheduled,
            ready: tasks.ready,
            running: tasks.running,
            succeeded: tasks.succeeded,
            dead: tasks.dead,
            stopped: tasks.stopped,
            partitions_missing: count.partitions_missing,
        };
        out::line(serde_json::to_string(&line)?)?;
    } else {
        out::line(told(count))?;
    }
    Ok(())
}

/// Says of some tasks that did not succeed where that was, and why. What cannot be learned is left out: how many they are
/// was told.
pub(super) async fn tell_failures(client: &Client, group: TaskGroupId) {
    let states = States::of(&[State::Dead, State::Cancelled, State::Expired]);
    let failed = Filter { group: Some(group), states, limit: FAILURES_MAX, ..Filter::default() };
    let Ok(listing) = client.list(failed).await else {
        return;
    };
    let names = Names::ask(client).await;
    for view in &listing.tasks {
        out::note(failure(view, &names));
    }
}

fn failure(view: &View, names: &Names) -> String {
    let node = view.node.map(|node| format!(" on {}", names.name(node))).unwrap_or_default();
    let why = view.error.as_ref().map(|error| format!(": {}", brief(&error.message, 200)));
    format!("task {}{node} is {}{}", view.id, view.state.as_str(), why.unwrap_or_default())
}

/// So many failures of a group are told one by one.
const FAILURES_MAX: u32 = 20;

/// In a line for people.
fn told(count: &GroupCount) -> String {
    let tasks = &count.tasks;
    if tasks.known() == 0 && tasks.size == 0 {
        return "no task of this group is known".to_owned();
    }
    let parts = [
        (tasks.succeeded, "succeeded"),
        (tasks.dead, "dead"),
        (tasks.stopped, "cancelled or expired"),
        (tasks.running, "running"),
        (tasks.ready, "ready"),
        (tasks.scheduled, "scheduled"),
        (count.unknown(), "not known"),
    ];
    let parts: Vec<String> = (parts.into_iter())
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let all = tasks.known().max(tasks.size.into());
    format!("{all} tasks: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use umbel_protocol::task::TaskGroupView;

    use super::*;

    #[test]
    fn a_group_is_told_in_a_line() {
        let count = |tasks| GroupCount { tasks, partitions_missing: 0 };
        let nothing = count(TaskGroupView::default());
        assert_eq!(told(&nothing), "no task of this group is known");
        assert!(!went_well(&nothing));
        let some =
            count(TaskGroupView { size: 9, succeeded: 5, ready: 2, ..TaskGroupView::default() });
        assert_eq!(told(&some), "9 tasks: 5 succeeded, 2 ready, 2 not known");
        assert!(!went_well(&some) && !some.has_ended());
        let all = count(TaskGroupView { size: 5, succeeded: 5, ..TaskGroupView::default() });
        assert_eq!(told(&all), "5 tasks: 5 succeeded");
        assert!(went_well(&all) && all.has_ended());
    }
}
