//! Tasks that need no code: commands and webhooks. Only what the file names can run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;
use umbel_protocol::limits::JOB_COMMAND_BYTES_MAX;
use umbel_protocol::task::{Options, Template};
use umbel_protocol::time::Span;

use super::command_line::{CommandLine, ExpandError, Pattern, quoted};
use crate::work::Arguments;

/// A command or webhook that runs under the name of a task, and how its tasks are treated unless
/// their submission says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What it does.
    pub work: Work,
    /// Where it waits.
    pub queue: String,
    /// Whose slot each of its runs takes, in place of one of its kind or queue.
    pub resource: Option<String>,
    /// How it is treated. A webhook always has a time limit; what is not said is as by default, and the
    /// priority that of the queue.
    pub options: Options,
}

impl Task {
    /// What its submissions do not say.
    #[must_use]
    pub fn template(&self, name: &str) -> Template {
        Template { queue: self.queue.clone(), options: self.options.clone(), ..Template::new(name) }
    }

    /// The command that it runs, if it is one, as people write it in a shell, or as much of it as is told
    /// of a job.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let Work::Command(command) = &self.work else { return None };
        let mut text = match &command.program {
            Program::CommandLine(line) => {
                let elements: Vec<String> =
                    line.written().map(|element| quoted(&element).into_owned()).collect();
                elements.join(" ")
            }
            Program::Shell(text) => text.trim().to_owned(),
        };
        if text.len() > JOB_COMMAND_BYTES_MAX {
            text.truncate(text.floor_char_boundary(JOB_COMMAND_BYTES_MAX - CUT.len()));
            text.push_str(CUT);
        }
        Some(text)
    }
}

/// What stands for the rest of a long command.
const CUT: &str = "…";

/// What a task of the file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It runs a program.
    Command(Command),
    /// It calls a web service.
    Webhook(Webhook),
}

/// A program. All arguments of the task are on its standard input, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which one.
    pub program: Program,
    /// Variables added to the environment of the node, with places for arguments.
    pub env: BTreeMap<String, Pattern>,
    /// Where it starts, if not where the node did.
    pub cwd: Option<PathBuf>,
    /// Most output that is kept, for each of stdout and stderr.
    pub capture_bytes: usize,
    /// Most address space that each of its processes may take, if there is a limit.
    pub memory_bytes: Option<u64>,
    /// How long its processes may go on after SIGTERM, if it says so.
    pub grace: Option<Span>,
}

/// How a program is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// By its command line; no shell takes part.
    CommandLine(CommandLine),
    /// By a text for `/bin/sh -c`. Nothing is ever put into that text: arguments reach it through
    /// variables of [`Command::env`] and its standard input, where no shell takes them for code.
    Shell(String),
}

/// A command made ready for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program and its arguments, at least one element.
    pub argv: Vec<String>,
    /// Variables to add to the environment.
    pub env: Vec<(String, String)>,
}

impl Command {
    /// The command for a task with these arguments.
    ///
    /// # Errors
    /// An argument is missing or cannot be passed; another attempt fails in the same way.
    pub fn invocation(&self, args: &Arguments) -> Result<Invocation, ExpandError> {
        let argv = match &self.program {
            Program::CommandLine(line) => line.expand(args)?,
            Program::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
        };
        let env = self
            .env
            .iter()
            .map(|(name, pattern)| Ok((name.clone(), pattern.expand(args)?)))
            .collect::<Result<_, ExpandError>>()?;
        Ok(Invocation { argv, env })
    }
}

/// A web service that takes the arguments as the JSON body of a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its address, http or https.
    pub url: Url,
    /// Headers to send besides our own; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// What the signature is made with; nothing means that there is none.
    pub secret: Option<Secret>,
    /// Whether it may be at an address that is none of the internet.
    pub allow_private: bool,
}

/// Where the secret of a webhook is; it is never in the file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In this variable of the node's environment.
    Env(String),
    /// In this file, up to the end of its first line.
    File(PathBuf),
}
