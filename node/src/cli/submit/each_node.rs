//! A task for each node.

use anyhow::Context;
use bytes::Bytes;
use serde::Serialize;

use super::settings::Settings;
use super::tally::Report;
use crate::cli::interrupt::Interrupts;
use crate::cli::names::Names;
use crate::cli::task_group;
use crate::cli::{Done, out};
use crate::client::Client;
use crate::work::Submission;

/// One of them in JSON.
#[derive(Debug, Serialize)]
struct EachLine {
    group: String,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) async fn run(
    client: &Client,
    name: &str,
    args: Bytes,
    settings: &Settings,
    report: Report,
) -> anyhow::Result<Done> {
    let cannot = || format!("cannot submit {name:?} for each node");
    let submission = Submission {
        template: settings.template(name),
        args,
        particulars: settings.particulars(),
        id: None,
    };
    let group = client.new_group().await.with_context(cannot)?;
    if !report.json {
        // Whoever does not wait for what follows can ask for it.
        out::note(format!("group {group}"));
    }
    let (nodes, taken) = client.submit_to_each(&submission, group).await.with_context(cannot)?;
    let names = Names::ask(client).await;
    let mut results = out::Results::new();
    let mut done = Done::Well;
    let is_any = !nodes.is_empty();
    for (node, task) in nodes.into_iter().zip(taken) {
        let node = names.name(node);
        let (id, error) = match task {
            Ok(id) => (Some(id.to_string()), None),
            Err(why) => (None, Some(why.to_string())),
        };
        if error.is_some() {
            done = Done::Badly;
        }
        if report.json {
            results.json(&EachLine { group: group.to_string(), node, id, error })?;
        } else {
            let told = id.unwrap_or_else(|| format!("not taken in: {}", error.unwrap_or_default()));
            results.line(format!("{node}  {told}"))?;
        }
    }
    results.flush()?;
    if !is_any {
        out::note("there is no such node; see `umbel cluster status`");
        return Ok(Done::Badly);
    }
    if report.wait {
        let mut interrupts = Interrupts::listen()?;
        let waited = tokio::select! {
            waited = client.wait_group(group) => waited.context("their ends could not be learned")?,
            () = interrupts.any() => {
                out::note(format!("they go on; `umbel task group {group} --wait` waits for them"));
                return Ok(Done::Interrupted);
            }
        };
        task_group::tell(group, &waited, report.json)?;
        if !task_group::went_well(&waited) {
            task_group::tell_failures(client, group).await;
            return Ok(Done::Badly);
        }
    }
    Ok(done)
}
