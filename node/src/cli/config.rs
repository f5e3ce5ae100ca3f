//! `umbel config`: what a file says, before a node is started with it.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::connect::ConnectArgs;
use super::{Done, block_on, failure, out};
use crate::config::{Config, ConfigError};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a cluster.toml; every problem is shown with its line, and what may not
    /// be meant
    Check {
        /// The file
        file: PathBuf,
    },
    /// Have nodes read their file again
    ///
    /// Jobs and tasks are taken over at once; what else has changed is told, and counts when a node
    /// is started anew. A file that cannot be used changes nothing. Asked are the nodes of the cluster
    /// on this host, or those of --connect. SIGHUP does the same.
    Reload {
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

pub(super) fn run(command: ConfigCommand) -> anyhow::Result<Done> {
    match command {
        ConfigCommand::Check { file } => check(&file),
        ConfigCommand::Reload { connect } => block_on(reload(connect)),
    }
}

async fn reload(connect: ConnectArgs) -> anyhow::Result<Done> {
    let target = connect.target()?;
    let mut done = Done::Well;
    for address in target.addresses() {
        let reloaded = async { Ok(target.client_of(address.clone()).await?.reload().await?) };
        match reloaded.await {
            Ok(notes) => {
                let notes = if notes.is_empty() {
                    "nothing has changed".to_owned()
                } else {
                    notes.join("\n  ")
                };
                out::line(format!("{address} has read its file again: {notes}"))?;
            }
            Err(why) => {
                let why: anyhow::Error = why;
                out::note(format!("{address}: {}", failure::told(&why)));
                done = Done::Badly;
            }
        }
    }
    Ok(done)
}

fn check(file: &Path) -> anyhow::Result<Done> {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(ConfigError::Invalid(report)) => {
            // It has its own form, with carets.
            out::note(report.to_string());
            return Ok(Done::Badly);
        }
        Err(error) => return Err(error.into()),
    };
    let Config { cluster, queues, tasks, jobs, warnings, .. } = &config;
    if let Some(warnings) = warnings {
        out::note(format!("{warnings}\n"));
    }
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    out::line(format!(
        "{} is good: cluster {:?}, {}, {}, {}, {}",
        file.display(),
        cluster.name,
        many(cluster.seeds.len(), "seed"),
        many(queues.len(), "queue"),
        many(tasks.len(), "task"),
        many(jobs.len(), "job")
    ))?;
    Ok(Done::Well)
}
