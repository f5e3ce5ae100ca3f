//! What a command means, in a task or in a job.

use std::collections::BTreeMap;

use toml::Spanned;
use umbel_protocol::limits::CAPTURE_BYTES_MAX;
use umbel_protocol::time::Span;

use super::super::command_line::{CommandLine, InvalidCommandLine, InvalidPattern, Pattern};
use super::super::raw::{RawCommand, RawProgram, Text};
use super::super::report::Problems;
use super::super::task::{Command, Program};
use super::{VARIABLE_HELP, bytes_of, is_variable, path, span};
use crate::work::{CommandSpec, span as time_span};

/// The command that `raw` stands for.
pub(super) fn command(raw: RawProgram, problems: &mut Problems<'_>) -> Option<Command> {
    let shell = raw.shell.as_ref().is_some_and(|shell| *shell.get_ref());
    let program = match raw.command {
        Some(RawCommand::List(list)) if shell => {
            problems.add(
                list.span(),
                "a command for the shell is one string",
                "write it as a string, or leave out `shell`: lists need no shell",
            );
            None
        }
        Some(RawCommand::List(list)) => command_line(&list, problems).map(Program::CommandLine),
        Some(RawCommand::Text(text)) if shell => {
            let bad = text.get_ref().trim().is_empty() || text.get_ref().contains('\0');
            if bad {
                problems.add(text.span(), "this is no command", "write what /bin/sh is to run");
            }
            (!bad).then(|| Program::Shell(text.into_inner()))
        }
        Some(RawCommand::Text(text)) => {
            problems.add(
                text.span(),
                "a command is a list of strings",
                format!("{}, or set shell = true", listed(text.get_ref())),
            );
            None
        }
        None => None,
    };
    let mut env = BTreeMap::new();
    for (name, value) in raw.env {
        if !is_variable(name.get_ref()) {
            let problem = format!("{:?} cannot be a variable", name.get_ref());
            problems.add(name.span(), problem, VARIABLE_HELP);
        }
        match Pattern::parse(value.get_ref()) {
            Ok(pattern) => drop(env.insert(name.into_inner(), pattern)),
            Err(error) => pattern_problem(&value, &error, problems),
        }
    }
    let cwd = raw.cwd.and_then(|cwd| path("cwd", cwd, problems));
    let capture_bytes = raw.capture_bytes.and_then(|size| capture(&size, problems));
    let capture_bytes = capture_bytes.unwrap_or(CAPTURE_BYTES_DEFAULT);
    let memory_bytes = raw.memory.and_then(|size| memory(&size, problems));
    let longest = time_span(CommandSpec::GRACE_MAX);
    let grace = span("grace", raw.grace.as_ref(), Span::ZERO..=longest, problems);
    Some(Command { program: program?, env, cwd, capture_bytes, memory_bytes, grace })
}

fn command_line(list: &Spanned<Vec<Text>>, problems: &mut Problems<'_>) -> Option<CommandLine> {
    let elements: Vec<_> = list.get_ref().iter().map(|text| text.get_ref().clone()).collect();
    let first = || list.get_ref().first().map_or_else(|| list.span(), Spanned::span);
    let error = match CommandLine::parse(&elements) {
        Ok(line) => return Some(line),
        Err(error) => error,
    };
    match &error {
        InvalidCommandLine::Pattern { element, source } => {
            if let Some(text) = list.get_ref().get(*element) {
                pattern_problem(text, source, problems);
            }
        }
        InvalidCommandLine::Empty | InvalidCommandLine::NoProgram => {
            problems.add(
                first(),
                error.to_string(),
                "name the program first: [\"program\", \"-x\"]",
            );
        }
        InvalidCommandLine::ProgramFromArguments => problems.add(
            first(),
            error.to_string(),
            "write the program as it is, and give each program a [tasks.NAME] of its own",
        ),
    }
    None
}

fn pattern_problem(text: &Text, error: &InvalidPattern, problems: &mut Problems<'_>) {
    let help = match error {
        InvalidPattern::Key { .. } => {
            "a key has letters, digits, _ and -; for literal braces write {{ and }}"
        }
        InvalidPattern::Nul { .. } => "",
        InvalidPattern::Unclosed { .. } => "write {key} for an argument, {{ for a literal brace",
        InvalidPattern::Unopened { .. } => "write {key} for an argument, }} for a literal brace",
    };
    let place = problems.inside(text.span(), text.get_ref(), error.span());
    problems.add(place, error.to_string(), help);
}

fn capture(size: &Text, problems: &mut Problems<'_>) -> Option<usize> {
    let bytes = bytes_of(size, problems)?;
    let fitting = usize::try_from(bytes).ok().filter(|bytes| *bytes <= CAPTURE_BYTES_MAX);
    if fitting.is_none() {
        problems.add(
            size.span(),
            format!("`capture_bytes` cannot be {bytes}"),
            format!("use 0 to {CAPTURE_BYTES_MAX}; programs write larger output to a file"),
        );
    }
    fitting
}

fn memory(size: &Text, problems: &mut Problems<'_>) -> Option<u64> {
    let bytes = bytes_of(size, problems)?;
    if bytes < MEMORY_BYTES_MIN {
        let least = MEMORY_BYTES_MIN >> 20;
        problems.add(
            size.span(),
            format!("`memory` cannot be {bytes}"),
            format!("use at least {least} MiB: the program itself and its libraries count, too"),
        );
        return None;
    }
    Some(bytes)
}

/// What somebody meant who wrote a command as for a shell, if that is easy to tell.
fn listed(text: &str) -> String {
    if text.contains(['"', '\'', '\\', '$', '|', '&', ';', '<', '>', '*', '`']) {
        return "write each argument as a string of a list".to_owned();
    }
    let words: Vec<_> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
    format!("write [{}]", words.join(", "))
}

/// Enough to see what went wrong, little enough that a partition keeps hundreds of results.
const CAPTURE_BYTES_DEFAULT: usize = 64 * 1024;
/// With less hardly any program starts.
const MEMORY_BYTES_MIN: u64 = 16 << 20;
