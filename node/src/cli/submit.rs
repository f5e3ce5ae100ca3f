//! `umbel submit`: one task, or one for each line of a file.

mod book;
mod each_node;
mod file;
mod line;
mod nodes;
mod parent;
mod read;
pub(super) mod said;
mod settings;
mod tally;

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use tokio::time::timeout;
use umbel_protocol::id::TaskId;
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::State;
use umbel_protocol::wire::RequestError;

use self::settings::Settings;
use self::tally::Report;
pub(super) use self::tally::count_tasks;
use super::connect::ConnectArgs;
use super::interrupt::Interrupts;
use super::names::Names;
use super::task_line::{IdLine, TaskLine, summary};
use super::{Done, json_text, out};
use crate::client::{Client, ClientError};
use crate::work::Submission;

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// Name of the task
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    name: Option<String>,
    /// Its arguments, JSON; @FILE is what a file holds, - is stdin [default: null]
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    args: Option<String>,
    /// Submit a task for each line of a file; - is stdin
    ///
    /// A line is {"task": NAME, "args": JSON} and, as wished, "id", which makes it harmless to submit it
    /// again, and what may be said of how it is treated and besides, by the names below with "_" in place of
    /// "-": "delay", "time_limit" and so on. Others are only the names of "labels" and "headers", objects as
    /// "select" is, in place of --label and --header; --no-parent and a group that is "new" are for all lines.
    /// "backoff_list" and "redact" are lists; "exclusive", "ignore_result" and "at_most_once" are true or
    /// false: false holds for the line, whatever is typed or declared.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Submit a task for each node that is there, or for each that --select selects
    ///
    /// Each runs on its own node and nowhere else. Prints the id of their group, and a line for each: node and id.
    /// A node that goes away before it has run its task keeps it waiting: say when it --expires.
    #[arg(long = "each-node", conflicts_with_all = ["from", "id", "on_node", "group", "unique"])]
    each_node: bool,
    /// Wait until it has ended; fails if it did not succeed
    #[arg(long)]
    wait: bool,
    /// Print JSON: the id, or with --wait the task
    #[arg(long)]
    json: bool,
    /// Its id; submitting a task twice under one id is submitting it once
    #[arg(long, conflicts_with = "from")]
    id: Option<TaskId>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: SubmitArgs) -> anyhow::Result<Done> {
    let SubmitArgs { name, args: json_args, from, each_node, wait, json, id, settings, connect } =
        args;
    let (name, from, wait, json, id) = (&name, &from, &wait, &json, &id);
    let settings = settings.checked().map_err(|why| anyhow!(why))?;
    // What is typed wrong is told before anybody is called.
    let json_args = typed_args(json_args.as_deref().unwrap_or("null"))?;
    let target = connect.target()?;
    if let Some(path) = from {
        let client = target.client().await?;
        let settings = settings.placed(&client).await?;
        let report = Report { json: *json, wait: *wait };
        return file::run(client, path, settings.clone(), report).await;
    }
    let Some(name) = name else { return Err(anyhow!("name a task, or a file with --from")) };
    let client = target.client().await?;
    let settings = settings.placed(&client).await?;
    if each_node {
        return each_node::run(
            &client,
            name,
            json_args,
            &settings,
            Report { json: *json, wait: *wait },
        )
        .await;
    }
    let cannot = || format!("cannot submit {name:?}");
    let mut submission = Submission {
        template: settings.template(name),
        args: json_args,
        particulars: settings.particulars(),
        id: *id,
    };
    client.number(std::slice::from_mut(&mut submission)).await.with_context(cannot)?;
    let id = submission.id.context("it was given one")?;
    let mut interrupts = Interrupts::listen()?;
    let submitted = tokio::select! {
        submitted = client.submit_all(vec![submission]) => submitted,
        () = interrupts.any() => {
            out::note(unknown(id));
            return Ok(Done::Interrupted);
        }
    };
    let taken = submitted.into_iter().next().context("one task has one answer")?;
    // It may be another one, that has the same unique key.
    let id = *taken.as_ref().unwrap_or(&id);
    if let Err(error) = taken {
        let is_unknown = matches!(
            error,
            ClientError::NoAnswer { .. } | ClientError::Request(RequestError::Unknown)
        );
        let error = anyhow!(error).context(cannot());
        // Only with its id can anybody find out.
        return Err(if is_unknown {
            error.context(format!("{}{}", unknown(id), absent(&client).await))
        } else {
            error
        });
    }
    let unwritten = || format!("task {id} was submitted, which could not be told");
    if !wait {
        let told = if *json { serde_json::to_string(&IdLine::taken(id))? } else { id.to_string() };
        out::line(told).with_context(unwritten)?;
        return Ok(Done::Well);
    }
    let waited = tokio::select! {
        waited = client.wait(id, None) => waited,
        () = interrupts.any() => {
            out::note(goes_on(id));
            return Ok(Done::Interrupted);
        }
    };
    let view = waited
        .with_context(|| format!("task {id} was submitted, but its end could not be learned"))?;
    let told = if *json {
        serde_json::to_string(&TaskLine::of(&view, &Names::ask(&client).await))?
    } else {
        summary(&view)
    };
    out::line(told).with_context(unwritten)?;
    Ok(if view.state == State::Succeeded { Done::Well } else { Done::Badly })
}

/// The arguments that were typed as JSON, or where they are.
pub(super) fn typed_args(typed: &str) -> anyhow::Result<Bytes> {
    json_text::args(written(typed)?.trim())
        .map_err(|error| anyhow!("the arguments are not JSON: {error}\n{QUOTE}"))
}

/// Arguments that are too long to be typed are somewhere else.
fn written(typed: &str) -> anyhow::Result<String> {
    if typed == "-" {
        return io::read_to_string(io::stdin()).context("cannot read the arguments from stdin");
    }
    match typed.strip_prefix('@') {
        Some(file) => fs::read_to_string(file)
            .with_context(|| format!("cannot read the arguments from {file}")),
        None => Ok(typed.to_owned()),
    }
}

fn unknown(id: TaskId) -> String {
    format!("it is not known whether task {id} was taken in; submit it again with --id {id}")
}

/// What to say to one who waits no longer.
pub(super) fn goes_on(id: TaskId) -> String {
    format!(
        "task {id} goes on; `umbel task wait {id}` waits for it, `umbel task cancel {id}` stops it"
    )
}

/// Members that may be why there is no answer.
async fn absent(client: &Client) -> String {
    let Ok(Ok(members)) = timeout(ABSENT_WAIT, client.members()).await else {
        return String::new();
    };
    let absent = members.iter().filter(|member| member.liveness != Liveness::Alive);
    let absent: Vec<_> = absent.map(|member| member.name.as_str()).collect();
    if absent.is_empty() {
        return String::new();
    }
    format!(" (not heard of: {} of {} nodes, {})", absent.len(), members.len(), absent.join(", "))
}

/// Who is asked why nobody answers gets little time for it.
const ABSENT_WAIT: Duration = Duration::from_secs(1);

const QUOTE: &str = "put JSON in single quotes, so that the shell leaves it alone: \
                     '{\"path\": \"/etc/hosts\"}'";
