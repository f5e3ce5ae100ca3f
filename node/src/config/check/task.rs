//! What a `[tasks.NAME]` means: a command or a webhook, and only what belongs to it.

use std::collections::BTreeMap;
use std::ops::Range;

use reqwest::Url;
use toml::Spanned;
use umbel_protocol::limits::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, BACKOFF_FIRST_DEFAULT, BACKOFF_MAX_DEFAULT, CAPTURE_BYTES_MAX,
    DELAY_MAX,
};
use umbel_protocol::task::Template;
use umbel_protocol::time::Span;

use super::super::Queue;
use super::super::command_line::{CommandLine, InvalidCommandLine, InvalidPattern, Pattern};
use super::super::keys::{COMMAND_ONLY, WEBHOOK_ONLY};
use super::super::quantity::{self, SIZE_HELP};
use super::super::raw::{RawCommand, RawTask, Text};
use super::super::report::Problems;
use super::super::suggest::nearest;
use super::super::task::{Command, Program, Secret, Task, Webhook, Work};
use super::{PRIORITY, integer, optional, path, span};

/// The task that `raw` stands for; nothing if it is not even clear what it does.
pub(super) fn task(
    name: &Text,
    mut raw: RawTask,
    queues: &BTreeMap<String, Queue>,
    problems: &mut Problems<'_>,
) -> Option<Task> {
    let queue = queue(raw.queue.take(), queues, problems);
    let mut attempts = ATTEMPTS_DEFAULT;
    let allowed = 1..=i64::from(ATTEMPTS_MAX);
    integer("attempts", raw.attempts.as_ref(), allowed, &mut attempts, problems);
    let (backoff_first, backoff_max) = backoff(&raw, problems);
    let time_limit = span("time_limit", raw.time_limit.as_ref(), SPAN_MIN..=DELAY_MAX, problems);
    let priority = optional("priority", raw.priority.as_ref(), PRIORITY, problems);

    let work = match (raw.key("command"), raw.key("webhook")) {
        (Some(command), Some(webhook)) => {
            problems.add(
                if command.start < webhook.start { webhook } else { command },
                format!("task `{}` is both a command and a webhook", name.get_ref()),
                "keep one of them, and give the other a [tasks.NAME] of its own",
            );
            return None;
        }
        // What is missing may be what was misspelt, and that has been reported.
        (None, None) if raw.has_unknown => return None,
        (None, None) => {
            problems.add(
                name.span(),
                format!("task `{}` is neither a command nor a webhook", name.get_ref()),
                "give it a command = [\"program\", \"{argument}\"] or a webhook = \"https://...\"",
            );
            return None;
        }
        (Some(_), None) => {
            refuse(&raw, &WEBHOOK_ONLY, "command", "webhooks", problems);
            Work::Command(command(raw, problems)?)
        }
        (None, Some(_)) => {
            refuse(&raw, &COMMAND_ONLY, "webhook", "commands", problems);
            Work::Webhook(webhook(raw, problems)?)
        }
    };
    let time_limit = match &work {
        Work::Command(_) => time_limit,
        Work::Webhook(_) => time_limit.or(Some(WEBHOOK_TIME_LIMIT)),
    };
    Some(Task { work, queue, attempts, backoff_first, backoff_max, time_limit, priority })
}

fn refuse(raw: &RawTask, keys: &[&str], this: &str, others: &str, problems: &mut Problems<'_>) {
    for key in keys {
        if let Some(span) = raw.key(key) {
            let help = format!("only {others} have it, remove it");
            problems.add(span, format!("`{key}` means nothing for a {this}"), help);
        }
    }
}

fn queue(
    raw: Option<Text>,
    queues: &BTreeMap<String, Queue>,
    problems: &mut Problems<'_>,
) -> String {
    let Some(queue) = raw else { return Template::QUEUE_DEFAULT.to_owned() };
    let name = queue.get_ref();
    if !queues.contains_key(name) {
        let help = nearest(name, queues.keys().map(String::as_str)).map_or_else(
            || format!("list it: [queues.{name}]"),
            |near| format!("did you mean `{near}`? else list it: [queues.{name}]"),
        );
        problems.add(queue.span(), format!("there is no queue `{name}`"), help);
    }
    queue.into_inner()
}

fn backoff(raw: &RawTask, problems: &mut Problems<'_>) -> (Span, Span) {
    let allowed = || SPAN_MIN..=DELAY_MAX;
    let first = span("backoff_first", raw.backoff_first.as_ref(), allowed(), problems);
    let max = span("backoff_max", raw.backoff_max.as_ref(), allowed(), problems);
    let both = (first.unwrap_or(BACKOFF_FIRST_DEFAULT), max.unwrap_or(BACKOFF_MAX_DEFAULT));
    let given = raw.backoff_max.as_ref().or(raw.backoff_first.as_ref());
    if let Some(given) = given.filter(|_| both.0 > both.1) {
        let (first, max) = (quantity::show(both.0), quantity::show(both.1));
        let unsaid = |given: bool| if given { "" } else { " (its default)" };
        problems.add(
            given.span(),
            format!(
                "`backoff_first` is {first}{}, longer than `backoff_max`, which is {max}{}",
                unsaid(raw.backoff_first.is_some()),
                unsaid(raw.backoff_max.is_some()),
            ),
            "pauses double from the first to the longest",
        );
    }
    both
}

fn command(raw: RawTask, problems: &mut Problems<'_>) -> Option<Command> {
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
    Some(Command { program: program?, env, cwd, capture_bytes })
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
    let Some(bytes) = quantity::size(size.get_ref()) else {
        problems.add(size.span(), format!("{:?} is not a size", size.get_ref()), SIZE_HELP);
        return None;
    };
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

fn webhook(raw: RawTask, problems: &mut Problems<'_>) -> Option<Webhook> {
    let url = raw.webhook.and_then(|text| address(&text, problems));
    let mut headers = BTreeMap::new();
    for (name, value) in raw.headers {
        let lower = name.get_ref().to_ascii_lowercase();
        if let Some((problem, help)) = header_problem(&lower) {
            problems.add(name.span(), problem, help);
        } else if !value.get_ref().chars().all(|c| c == '\t' || (' '..='~').contains(&c)) {
            let problem = format!("header `{lower}` cannot have this value");
            problems.add(value.span(), problem, "use printable ASCII characters");
        } else if headers.insert(lower.clone(), value.into_inner()).is_some() {
            let problem = format!("header `{lower}` is given twice");
            problems.add(name.span(), problem, "header names are the same in upper and lower case");
        }
    }
    let secret = match (raw.secret_env, raw.secret_file) {
        (Some(env), Some(file)) => {
            let last: Range<usize> =
                if env.span().start < file.span().start { file.span() } else { env.span() };
            problems.add(last, "the secret cannot be in two places", "keep one of them");
            None
        }
        (Some(env), None) => {
            if !is_variable(env.get_ref()) {
                let problem = format!("{:?} cannot be a variable", env.get_ref());
                problems.add(env.span(), problem, VARIABLE_HELP);
            }
            Some(Secret::Env(env.into_inner()))
        }
        (None, file) => file.and_then(|file| path("secret_file", file, problems)).map(Secret::File),
    };
    Some(Webhook { url: url?, headers, secret })
}

fn address(text: &Text, problems: &mut Problems<'_>) -> Option<Url> {
    let mut refuse = |problem: String, help: &str| {
        problems.add(text.span(), problem, help);
        None
    };
    if text.get_ref().contains(['{', '}']) {
        return refuse(
            "the address of a webhook has no places for arguments".to_owned(),
            "all arguments are in the body of the request, as JSON",
        );
    }
    let url = match Url::parse(text.get_ref()) {
        Ok(url) => url,
        Err(error) => return refuse(format!("this is no URL: {error}"), URL_HELP),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(format!("webhooks do not speak `{}`", url.scheme()), URL_HELP);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            "an address is shown in logs, it cannot hold a password".to_owned(),
            "sign the request: secret_env = \"NAME\" or secret_file = \"PATH\"",
        );
    }
    Some(url)
}

fn header_problem(name: &str) -> Option<(String, &'static str)> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(legal) {
        return Some((format!("{name:?} cannot be a header"), "use letters, digits and -"));
    }
    if HEADERS_OF_OURS.contains(&name) || name.starts_with(HEADER_PREFIX_OF_OURS) {
        return Some((format!("header `{name}` is set by umbel"), "remove it"));
    }
    None
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What somebody meant who wrote a command as for a shell, if that is easy to tell.
fn listed(text: &str) -> String {
    if text.contains(['"', '\'', '\\', '$', '|', '&', ';', '<', '>', '*', '`']) {
        return "write each argument as a string of a list".to_owned();
    }
    let words: Vec<_> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
    format!("write [{}]", words.join(", "))
}

/// Neither pauses nor limits can be nothing: retries would spin, and no run could end in time.
const SPAN_MIN: Span = Span::from_millis(1);
/// A webhook that never answers holds a slot and a connection, and only a limit can end that.
const WEBHOOK_TIME_LIMIT: Span = Span::from_millis(30_000);
/// Enough to see what went wrong, little enough that a partition keeps hundreds of results.
const CAPTURE_BYTES_DEFAULT: usize = 64 * 1024;
const HEADERS_OF_OURS: [&str; 5] =
    ["connection", "content-length", "content-type", "host", "transfer-encoding"];
const HEADER_PREFIX_OF_OURS: &str = "x-umbel-";
const VARIABLE_HELP: &str = "use A-Z a-z 0-9 and _, not starting with a digit";
const URL_HELP: &str = "write https://HOST/PATH";
