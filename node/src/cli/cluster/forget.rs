//! `umbel cluster forget`: a node is no member any more.

use anyhow::Context;
use clap::Args;

use super::{Done, member, name, out};
use crate::cli::connect::ConnectArgs;

#[derive(Debug, Args)]
pub(in crate::cli) struct ForgetArgs {
    /// Its name or id
    node: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: ForgetArgs) -> anyhow::Result<Done> {
    let ForgetArgs { node: text, connect } = args;
    let client = connect.client().await?;
    let status = client.status().await.context("cannot ask for the status")?;
    let node = member(&status, &text)?;
    let name = name(&status, node);
    client.forget(node).await.with_context(|| format!("cannot forget {name}"))?;
    out::line(format!("{name} is forgotten; its copies are kept by other nodes from now on"))?;
    Ok(Done::Well)
}
