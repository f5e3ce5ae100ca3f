//! What a job runs: a task by its name, or a command of its own.

use std::collections::BTreeMap;
use std::ops::Range;

use umbel_protocol::limits::NAME_BYTES_MAX;
use umbel_protocol::task::Template;

use super::super::super::ConfiguredJob;
use super::super::super::jobs::command_name;
use super::super::super::keys::COMMAND_ONLY;
use super::super::super::raw::{RawJob, Text};
use super::super::super::report::Problems;
use super::super::super::task::{Task, Work};
use super::super::command::command;
use super::super::options::Treatment;
use crate::work::Arguments;

/// What a job runs.
pub(super) struct What {
    pub(super) template: Template,
    /// JSON.
    pub(super) args: String,
    /// Its own command, if it has one.
    pub(super) command: Option<Task>,
    /// Where the name of the task or the command stands.
    pub(super) place: Range<usize>,
}

/// What `raw` says of it.
pub(super) fn what(
    name: &Text,
    raw: &mut RawJob,
    treatment: Treatment,
    tasks: &BTreeMap<String, Task>,
    problems: &mut Problems<'_>,
) -> Option<What> {
    let args = raw.args.as_ref().map_or_else(|| "null".to_owned(), |args| args.get_ref().clone());
    match (raw.present.key("task"), raw.present.key("run")) {
        (Some(task), Some(run)) => {
            problems.add(
                if task.start < run.start { run } else { task },
                format!("job `{}` has both a task and a command", name.get_ref()),
                "keep one of them, and give the other a [jobs.NAME] of its own",
            );
            None
        }
        // What is missing may be what was misspelt, and that has been reported.
        (None, None) if raw.present.has_unknown => None,
        (None, None) => {
            problems.add(
                name.span(),
                format!("job `{}` runs nothing", name.get_ref()),
                "give it the task = \"NAME\" of a task, or a command: run = [\"program\", \"-x\"]",
            );
            None
        }
        (Some(_), None) => {
            for key in COMMAND_ONLY {
                if let Some(place) = raw.present.key(key) {
                    problems.add(
                        place,
                        format!("`{key}` means nothing for a job that runs a task by its name"),
                        "only commands have it: remove it, or give it to the task",
                    );
                }
            }
            let task = raw.task.as_ref()?;
            let template = treatment.template(task.get_ref());
            Some(What { template, args, command: None, place: task.span() })
        }
        (None, Some(_)) => {
            let task = own_name(name, tasks, problems);
            let program = std::mem::take(&mut raw.run);
            let place = program.command.as_ref()?.span();
            let template = treatment.template(&task);
            let task = treatment.task(Work::Command(command(program, problems)?));
            if let Err(error) = fits(&task, &args) {
                let args = raw.args.as_ref().map(Text::span);
                problems.add(
                    args.unwrap_or_else(|| place.clone()),
                    format!("the command cannot run: {error}"),
                    "write it into the job: args = { key = \"value\" }",
                );
            }
            Some(What { template, args, command: Some(task), place })
        }
    }
}

/// The name of the task that the command of the job `name` is.
fn own_name(name: &Text, tasks: &BTreeMap<String, Task>, problems: &mut Problems<'_>) -> String {
    let own = command_name(name.get_ref());
    let prefix = ConfiguredJob::COMMAND_PREFIX;
    // What is too long even without the prefix has been reported.
    if own.len() > NAME_BYTES_MAX && name.get_ref().len() <= NAME_BYTES_MAX {
        problems.add(
            name.span(),
            format!(
                "the command of a job is a task called {prefix}NAME, and this name is too long"
            ),
            format!("use at most {} characters", NAME_BYTES_MAX - prefix.len()),
        );
    }
    if tasks.contains_key(&own) {
        problems.add(
            name.span(),
            format!("the command of this job is the task `{own}`, and there is one already"),
            "call one of them something else",
        );
    }
    own
}

/// Why `task` cannot run with these arguments, which no job changes.
pub(super) fn fits(task: &Task, args: &str) -> Result<(), String> {
    let Work::Command(command) = &task.work else { return Ok(()) };
    let args = Arguments::parse(args.as_bytes()).map_err(|error| error.to_string())?;
    command.invocation(&args).map(drop).map_err(|error| error.to_string())
}
