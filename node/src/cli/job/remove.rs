//! `umbel job remove`: there is no such job any more.

use anyhow::Context;
use serde::Serialize;

use super::{Done, NameArgs, out};

/// What is left to say of it in JSON.
#[derive(Debug, Serialize)]
struct RemovedLine {
    name: String,
    removed: bool,
}

pub(super) async fn run(args: NameArgs) -> anyhow::Result<Done> {
    let NameArgs { name, json, connect } = args;
    let client = connect.client().await?;
    client.remove_job(&name).await.with_context(|| format!("cannot remove job {name}"))?;
    let told = if json {
        serde_json::to_string(&RemovedLine { name: name.to_string(), removed: true })?
    } else {
        format!("job {name} is removed; what runs of it goes on, what waits is cancelled")
    };
    out::line(told)?;
    Ok(Done::Well)
}
