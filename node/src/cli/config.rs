//! `umbel config`: what a file says, before a node is started with it.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Done, out};
use crate::config::{Config, ConfigError};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a cluster.toml; every problem is shown with its line
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(super) fn run(command: ConfigCommand) -> anyhow::Result<Done> {
    let ConfigCommand::Check { file } = command;
    let config = match Config::load(&file) {
        Ok(config) => config,
        Err(ConfigError::Invalid(report)) => {
            // It has its own form, with carets.
            out::note(report.to_string());
            return Ok(Done::Badly);
        }
        Err(error) => return Err(error.into()),
    };
    let Config { cluster, queues, tasks, .. } = &config;
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    out::line(format!(
        "{} is good: cluster {:?}, {}, {}, {}",
        file.display(),
        cluster.name,
        many(cluster.seeds.len(), "seed"),
        many(queues.len(), "queue"),
        many(tasks.len(), "task")
    ))?;
    Ok(Done::Well)
}
