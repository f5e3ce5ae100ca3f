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
    /// The variable with the secret of a webhook is empty.
    #[error("the webhook {task} takes its secret from the variable {variable}, which is empty")]
    EmptyVariable {
        /// The task.
        task: String,
        /// The variable.
        variable: String,
    },
    /// The first line of the file with the secret of a webhook is empty.
    #[error("the webhook {task} takes its secret from the first line of {}, which is empty", path.display())]
    EmptyFile {
        /// The task.
        task: String,
        /// The file.
        path: PathBuf,
    },
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
                let var = |name: &str| std::env::var(name).ok();
                let secret = secret(&name, webhook.secret.as_ref(), var)?;
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

fn secret(
    task: &str,
    secret: Option<&Secret>,
    var: impl Fn(&str) -> Option<String>,
) -> Result<Option<Vec<u8>>, InvalidTask> {
    let task = || task.to_owned();
    let text = match secret {
        None => return Ok(None),
        Some(Secret::Env(variable)) => {
            let variable = || variable.clone();
            match var(&variable()) {
                Some(text) if text.is_empty() => {
                    return Err(InvalidTask::EmptyVariable { task: task(), variable: variable() });
                }
                Some(text) => text,
                None => {
                    return Err(InvalidTask::NoVariable { task: task(), variable: variable() });
                }
            }
        }
        Some(Secret::File(path)) => {
            let path = || path.clone();
            let text = std::fs::read_to_string(path()).map_err(|source| InvalidTask::NoFile {
                task: task(),
                path: path(),
                source,
            })?;
            match text.lines().next() {
                Some(line) if !line.is_empty() => line.to_owned(),
                Some(_) | None => {
                    return Err(InvalidTask::EmptyFile { task: task(), path: path() });
                }
            }
        }
    };
    Ok(Some(text.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_empty_is_none() {
        let var = |name: &str| match name {
            "SET" => Some("s3cret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let of = |place: Secret| secret("hook", Some(&place), var);
        let told = |place| of(place).unwrap_err().to_string();
        assert_eq!(of(Secret::Env("SET".to_owned())).unwrap().as_deref(), Some(&b"s3cret"[..]));
        assert_eq!(
            told(Secret::Env("EMPTY".to_owned())),
            "the webhook hook takes its secret from the variable EMPTY, which is empty"
        );
        assert!(told(Secret::Env("UNSET".to_owned())).ends_with("UNSET, which is not set"));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (text, expected) in [("s3cret\r\nx", Some("s3cret")), ("", None), ("\ns3cret", None)] {
            std::fs::write(&path, text).unwrap();
            match (of(Secret::File(path.clone())), expected) {
                (Ok(read), Some(expected)) => {
                    assert_eq!(read.as_deref(), Some(expected.as_bytes()))
                }
                (Err(why), None) => {
                    let place =
                        format!("from the first line of {}, which is empty", path.display());
                    assert!(why.to_string().ends_with(&place), "{why}");
                }
                (read, _) => panic!("{text:?}: {read:?}"),
            }
        }

        // So it is when the tasks of a file are taken over.
        let task = format!("[tasks.hook]\nwebhook = \"https://h/\"\nsecret_file = {path:?}\n");
        let config = Config::parse("cluster.toml", &task).unwrap();
        let error = add_configured(&mut Registry::new(), &config).unwrap_err();
        assert!(matches!(error, InvalidTask::EmptyFile { .. }), "{error}");
    }
}
