//! Jobs of the file: what the cluster is told of them, and the commands that they bring along.
//!
//! A job that names a task needs nothing on the node but its definition. One that has a command of its
//! own is two things: a definition, which lives in the cluster, and a task by a name of its own, which
//! each node can run because it has read the file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use umbel_protocol::job::{Job, JobName};
use umbel_protocol::meta::{Rule, Subject};
use umbel_protocol::time::Span;
use umbel_protocol::wire::encode_for;
use umbel_protocol::wire::hello::Versions;
use xxhash_rust::xxh3::xxh3_64;

use super::task::{Command, Program, Task, Work};

/// A job of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredJob {
    /// Its name.
    pub name: JobName,
    /// What it is.
    pub job: Job,
    /// The command that it runs, if it has one of its own: a task called
    /// [`command_name`](Self::command_name).
    pub command: Option<Task>,
    /// Where it stands in the file, from 1.
    pub line: usize,
}

impl ConfiguredJob {
    /// What the tasks of commands that jobs bring along begin with.
    pub const COMMAND_PREFIX: &'static str = "job:";

    /// The name of the task that its command is.
    #[must_use]
    pub fn command_name(&self) -> String {
        command_name(self.name.as_str())
    }
}

/// The name of the task that the command of the job `job` is.
pub(super) fn command_name(job: &str) -> String {
    format!("{}{job}", ConfiguredJob::COMMAND_PREFIX)
}

/// A number that tells one set of jobs and their commands from another, on any host and in any version
/// that writes jobs in the same way. The order of `jobs` makes no difference, nor do lines.
#[must_use]
pub fn jobs_hash(jobs: &[ConfiguredJob]) -> u64 {
    let mut all: Vec<_> = jobs
        .iter()
        .map(|ConfiguredJob { name, job, command, line: _ }| {
            (name, job, command.as_ref().map(Written::of))
        })
        .collect();
    all.sort_unstable_by_key(|(name, ..)| *name);
    // As long as nothing newer is said, the number is that of the version before.
    let version = jobs.iter().map(|job| job.job.needs_version()).max();
    xxh3_64(&encode_for(version.unwrap_or(Versions::OWN.min), &all))
}

/// The same for all that a file says to the cluster: its jobs, and what it says of queues and tasks.
#[must_use]
pub fn file_hash(jobs: &[ConfiguredJob], rules: &BTreeMap<Subject, Rule>) -> u64 {
    let jobs = jobs_hash(jobs);
    if rules.is_empty() {
        // The number that a version has which knows no rules.
        return jobs;
    }
    xxh3_64(&encode_for(RULES_SINCE, &(jobs, rules)))
}

/// The version of the protocol in which a cluster has rules.
const RULES_SINCE: u16 = 3;

/// A command as it is hashed: all that the file says of it and the definition of the job does not.
#[derive(Serialize)]
enum Written<'t> {
    Command {
        /// Each element as it is written in the file.
        line: Vec<String>,
        env: Vec<(&'t str, String)>,
        cwd: Option<&'t Path>,
        capture_bytes: u64,
    },
    Shell {
        text: &'t str,
        env: Vec<(&'t str, String)>,
        cwd: Option<&'t Path>,
        capture_bytes: u64,
    },
    /// No job has one.
    Webhook,
    /// A command or a text for the shell whose memory is limited; others keep the number that they had
    /// before there were limits.
    Limited {
        memory_bytes: u64,
        command: Box<Self>,
    },
    /// One of these that says how long it may go on after it was told to end.
    Graced {
        grace: Span,
        command: Box<Self>,
    },
}

impl<'t> Written<'t> {
    fn of(task: &'t Task) -> Self {
        let Work::Command(command) = &task.work else {
            return Self::Webhook;
        };
        let Command { program, env, cwd, capture_bytes, memory_bytes, grace } = command;
        let env = env.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
        let (cwd, capture_bytes) = (cwd.as_deref(), *capture_bytes as u64);
        let command = match program {
            Program::CommandLine(line) => {
                Self::Command { line: line.written().collect(), env, cwd, capture_bytes }
            }
            Program::Shell(text) => Self::Shell { text, env, cwd, capture_bytes },
        };
        let command = match *memory_bytes {
            Some(memory_bytes) => Self::Limited { memory_bytes, command: Box::new(command) },
            None => command,
        };
        match *grace {
            Some(grace) => Self::Graced { grace, command: Box::new(command) },
            None => command,
        }
    }
}
