//! `umbel job add`: a new job.

use anyhow::Context;
use clap::Args;
use umbel_protocol::job::JobName;
use umbel_protocol::partition::Precondition;

use super::settings::Settings;
use super::{Done, show};
use crate::cli::connect::ConnectArgs;
use crate::clock::wall;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  umbel job add nightly --cron '30 2 * * *' --timezone Europe/Berlin --task backup
  umbel job add poll --every 5m --task fetch --args '{\"url\": \"https://example.org\"}'
  umbel job add clean --cron '@daily' --task clean-tmp --on each --select role=web")]
pub(in crate::cli) struct AddArgs {
    /// What it is called: letters, digits and _ - . : /
    name: JobName,
    /// Print the job as one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: AddArgs) -> anyhow::Result<Done> {
    let AddArgs { name, json, settings, connect } = args;
    // What is typed wrong is told before anybody is called.
    let job = settings.job(settings.typed()?, wall())?;
    let client = connect.client().await?;
    client
        .define_job(&name, job, Precondition::Absent)
        .await
        .with_context(|| format!("cannot add job {name}"))?;
    let view = client
        .job(&name)
        .await
        .with_context(|| format!("job {name} is defined, but cannot be shown"))?;
    show::tell(&client, &view, "is defined", json).await?;
    Ok(Done::Well)
}
