//! Commands and webhooks of `cluster.toml`, as work that can be run.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, Config, Program as ConfiguredProgram, Secret, Work};
use crate::work::{
    CommandSpec, Definition, Program, RegisterError, Registry, WebhookSpec, duration,
};

/// A task of the configuration that cannot be run on this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTask {
    /// It has a name that is taken, or the like.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The variable with the secret of a webhook is not set.
    #[error("the webhook {task} takes its secret from the variable {variable}, which is not set")]
    NoVariable {
        /// The task.
        task: String,
        /// The variable.
        variable: String,
    },
    /// The file with the secret of a webhook cannot be read.
    #[error("the secret of the webhook {task} cannot be read from {}", path.display())]
    NoFile {
        /// The task.
        task: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Adds the tasks of `config` to `registry`, those among them that are the commands of jobs.
pub(super) fn add_configured(registry: &mut Registry, config: &Config) -> Result<(), InvalidTask> {
    for (name, task) in config.runnable() {
        let definition = match &task.work {
            Work::Command(command) => Definition::command(name.as_str(), command_spec(command)),
            Work::Webhook(webhook) => {
                let secret = secret(&name, webhook.secret.as_ref())?;
                let url = webhook.url.to_string();
                let headers = webhook.headers.clone();
                let allow_private = webhook.allow_private;
                let spec = WebhookSpec { url, headers, secret, allow_private };
                Definition::webhook(name.as_str(), spec)?
            }
        };
        let definition = match &task.resource {
            Some(resource) => definition.resource(resource.as_str()),
            None => definition,
        };
        registry.add(definition.with_template(task.template(&name)))?;
    }
    Ok(())
}

fn command_spec(command: &config::Command) -> CommandSpec {
    let shared = Arc::new(command.clone());
    let program = match &command.program {
        ConfiguredProgram::Shell(text) => Program::Shell(text.clone()),
        ConfiguredProgram::CommandLine(_) => {
            let command = Arc::clone(&shared);
            Program::Argv(Box::new(move |args| {
                command.invocation(args).map(|made| made.argv).map_err(|why| why.to_string())
            }))
        }
    };
    let mut spec = CommandSpec::new(program);
    spec.environment = Box::new(move |args| {
        shared.invocation(args).map(|made| made.env).map_err(|why| why.to_string())
    });
    spec.cwd.clone_from(&command.cwd);
    spec.capture_bytes = command.capture_bytes;
    spec.memory_bytes = command.memory_bytes;
    spec.grace = command.grace.map(duration);
    spec
}

fn secret(task: &str, secret: Option<&Secret>) -> Result<Option<Vec<u8>>, InvalidTask> {
    match secret {
        None => Ok(None),
        Some(Secret::Env(variable)) => match std::env::var(variable) {
            Ok(value) => Ok(Some(value.into_bytes())),
            Err(_) => {
                Err(InvalidTask::NoVariable { task: task.to_owned(), variable: variable.clone() })
            }
        },
        Some(Secret::File(path)) => {
            let text = std::fs::read_to_string(path).map_err(|source| InvalidTask::NoFile {
                task: task.to_owned(),
                path: path.clone(),
                source,
            })?;
            Ok(Some(text.lines().next().unwrap_or_default().as_bytes().to_vec()))
        }
    }
}
