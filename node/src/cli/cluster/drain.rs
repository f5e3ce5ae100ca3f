//! `umbel cluster drain` and `umbel cluster undrain`: a node parts with what it has, and gets it back.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use umbel_protocol::id::NodeId;
use umbel_protocol::wire::{Drain, Status};

use super::{Done, member, name, out};
use crate::cli::connect::ConnectArgs;
use crate::cli::interrupt::Interrupts;
use crate::cli::time::count;
use crate::client::Client;

#[derive(Debug, Args)]
pub(in crate::cli) struct DrainArgs {
    /// Its name or id
    node: String,
    /// Return as soon as it has begun
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UndrainArgs {
    /// Its name or id
    node: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn drain(args: DrainArgs) -> anyhow::Result<Done> {
    let DrainArgs { node: text, no_wait, connect } = args;
    let client = connect.client().await?;
    let status = client.status().await.context("cannot ask for the status")?;
    let node = member(&status, &text)?;
    let name = name(&status, node);
    client.drain(node, true).await.with_context(|| format!("cannot drain {name}"))?;
    if no_wait {
        out::line(format!("{name} is being drained; see `umbel cluster status`"))?;
        return Ok(Done::Well);
    }
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        drained = until_drained(&client, node, &name) => drained?,
        () = interrupts.any() => {
            out::note(format!(
                "{name} goes on being drained; `umbel cluster undrain {name}` has it serve again"
            ));
            return Ok(Done::Interrupted);
        }
    }
    out::line(format!("{name} is drained: it owns, keeps and runs nothing"))?;
    Ok(Done::Well)
}

pub(super) async fn undrain(args: UndrainArgs) -> anyhow::Result<Done> {
    let UndrainArgs { node: text, connect } = args;
    let client = connect.client().await?;
    let status = client.status().await.context("cannot ask for the status")?;
    let node = member(&status, &text)?;
    let name = name(&status, node);
    client.drain(node, false).await.with_context(|| format!("cannot have {name} serve again"))?;
    out::line(format!("{name} serves again"))?;
    Ok(Done::Well)
}

/// Waits, and says how far it is whenever that has changed.
async fn until_drained(client: &Client, node: NodeId, name: &str) -> anyhow::Result<()> {
    let mut said = String::new();
    loop {
        let status = client.status().await.context("cannot ask how far it is")?;
        match status.drain(node) {
            Drain::Drained => return Ok(()),
            Drain::Serving => bail!("somebody has {name} serve again"),
            Drain::Draining => {}
        }
        let rest = rest(&status, node);
        if rest != said {
            out::note(format!("{name} {rest}"));
            said = rest;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a node still has.
fn rest(status: &Status, node: NodeId) -> String {
    let share = status.share(node);
    if !share.has_told {
        return "does not answer; once it is down for good, `umbel cluster forget` it".to_owned();
    }
    format!(
        "still owns {} partitions, keeps {} copies and runs {} tasks",
        count(share.owned.into()),
        count(share.copies),
        count(share.running)
    )
}

/// How often the cluster is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
