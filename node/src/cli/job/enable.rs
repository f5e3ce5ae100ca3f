//! `umbel job enable` and `umbel job disable`: whether a job fires.

use anyhow::Context;

use super::{Done, NameArgs, show};

pub(super) async fn run(args: NameArgs, enabled: bool) -> anyhow::Result<Done> {
    let NameArgs { name, json, connect } = args;
    let client = connect.client().await?;
    let verb = if enabled { "enable" } else { "disable" };
    client.enable_job(&name, enabled).await.with_context(|| format!("cannot {verb} job {name}"))?;
    let view = client
        .job(&name)
        .await
        .with_context(|| format!("job {name} is {verb}d, but cannot be shown"))?;
    show::tell(&client, &view, &format!("is {verb}d"), json).await?;
    Ok(Done::Well)
}
