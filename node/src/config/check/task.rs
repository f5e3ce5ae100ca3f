//! What a `[tasks.NAME]` means: a command or a webhook, and only what belongs to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use reqwest::Url;

use super::super::Queue;
use super::super::keys::{COMMAND_ONLY, WEBHOOK_ONLY};
use super::super::raw::{RawTask, Text, quoted};
use super::super::report::Problems;
use super::super::task::{Secret, Task, Webhook, Work};
use super::command::command;
use super::options::{Treatment, Unsaid};
use super::{VARIABLE_HELP, is_variable, path};
use crate::work::{is_ours, reach};

/// The task that `raw` stands for; nothing if it is not even clear what it does.
pub(super) fn task(
    name: &Text,
    mut raw: RawTask,
    queues: &BTreeMap<String, Queue>,
    resources: &BTreeSet<String>,
    problems: &mut Problems<'_>,
) -> Option<Task> {
    let options = std::mem::take(&mut raw.options);
    let treatment = Treatment::of(options, Unsaid::Default, queues, problems);
    let resource = raw.resource.take().map(|name| {
        if !resources.contains(name.get_ref()) {
            let problem = format!("there is no resource `{}`", name.get_ref());
            let help = format!(
                "say how many a node has: under [slots], or [nodes.NAME] for some nodes, \
                 resources = {{ {} = 1 }}",
                quoted(name.get_ref())
            );
            problems.add(name.span(), problem, help);
        }
        name.into_inner()
    });
    let work = match (raw.present.key("command"), raw.present.key("webhook")) {
        (Some(command), Some(webhook)) => {
            problems.add(
                if command.start < webhook.start { webhook } else { command },
                format!("task `{}` is both a command and a webhook", name.get_ref()),
                "keep one of them, and give the other a [tasks.NAME] of its own",
            );
            return None;
        }
        // What is missing may be what was misspelt, and that has been reported.
        (None, None) if raw.present.has_unknown => return None,
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
            Work::Command(command(raw.program, problems)?)
        }
        (None, Some(_)) => {
            refuse(&raw, &COMMAND_ONLY, "webhook", "commands", problems);
            // A request cannot be told anything.
            refuse(&raw, &["soft_limit"], "webhook", "commands", problems);
            Work::Webhook(webhook(raw, problems)?)
        }
    };
    Some(Task { resource, ..treatment.task(work) })
}

fn refuse(raw: &RawTask, keys: &[&str], this: &str, others: &str, problems: &mut Problems<'_>) {
    for key in keys {
        if let Some(span) = raw.present.key(key) {
            let help = format!("only {others} have it, remove it");
            problems.add(span, format!("`{key}` means nothing for a {this}"), help);
        }
    }
}

fn webhook(raw: RawTask, problems: &mut Problems<'_>) -> Option<Webhook> {
    let allow_private = raw.allow_private.is_some_and(|allowed| *allowed.get_ref());
    let url = raw.webhook.and_then(|text| {
        let url = address(&text, problems)?;
        if let Some(closed) = reach::foreseen(&url).filter(|_| !allow_private) {
            let problem = format!("{closed}: this webhook always fails");
            problems.warn(text.span(), problem, "to have it reached write allow_private = true");
        }
        Some(url)
    });
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
    Some(Webhook { url: url?, headers, secret, allow_private })
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
    if is_ours(name) {
        return Some((format!("header `{name}` is set by umbel"), "remove it"));
    }
    None
}

const URL_HELP: &str = "write https://HOST/PATH";
