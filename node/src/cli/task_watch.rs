//! `umbel task watch`: what a task says of itself, as it says it, and its end.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;
use umbel_protocol::journal::{LogLine, Progress};
use umbel_protocol::task::State;

use super::interrupt::Interrupts;
use super::names::Names;
use super::submit::goes_on;
use super::table::printable;
use super::task::{TaskArgs, print};
use super::task_line::TaskLine;
use super::time::{parse, stamp};
use super::{Done, out};
use crate::client::Event;

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    task: TaskArgs,
    /// How long to watch [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = parse, allow_hyphen_values = true)]
    timeout: Option<Duration>,
}

/// How far a task is, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct ProgressLine<'a> {
    done: u64,
    total: Option<u64>,
    message: Option<&'a str>,
}

/// What a task said, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct SaidLine<'a> {
    at: String,
    is_error: bool,
    line: &'a str,
}

/// What happened, in JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum EventLine<'a> {
    Started { attempt: u16, node: String },
    Progress(ProgressLine<'a>),
    Log(SaidLine<'a>),
    Missed { lines: u64 },
    Ended { task: Box<TaskLine<'a>> },
}

impl<'a> ProgressLine<'a> {
    pub(super) fn of(progress: &'a Progress) -> Self {
        let Progress { done, total, message } = progress;
        Self { done: *done, total: *total, message: message.as_deref() }
    }
}

impl<'a> SaidLine<'a> {
    pub(super) fn of(line: &'a LogLine) -> Self {
        Self { at: stamp(line.at), is_error: line.is_error, line: &line.text }
    }
}

/// What it says goes to stdout, what is to be known besides to stderr.
pub(super) async fn watch(args: WatchArgs) -> anyhow::Result<Done> {
    let WatchArgs { task: TaskArgs { id, json, connect }, timeout } = args;
    let client = connect.client().await?;
    let mut interrupts = Interrupts::listen()?;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut names = Names::ask(&client).await;
    let mut watch = client.watch(id);
    loop {
        let event = tokio::select! {
            event = watch.next_before(deadline) => event.context("cannot watch the task")?,
            () = interrupts.any() => {
                out::note(goes_on(id));
                return Ok(Done::Interrupted);
            }
        };
        let Some(event) = event else { return Ok(Done::Badly) };
        if let Event::Started { .. } = &event {
            // It may be a new one.
            names = Names::ask(&client).await;
        }
        if json {
            let mut results = out::Results::new();
            results.json(&line(&event, &names))?;
            results.flush()?;
        } else if let Event::Ended(view) = &event {
            print(&client, view, false).await?;
        } else {
            tell(&event, &names)?;
        }
        if let Event::Ended(view) = event {
            return Ok(if view.state == State::Succeeded { Done::Well } else { Done::Badly });
        }
    }
}

fn line<'a>(event: &'a Event, names: &Names) -> EventLine<'a> {
    match event {
        Event::Started { attempt, node } => {
            EventLine::Started { attempt: *attempt, node: names.name(*node) }
        }
        Event::Progress(progress) => EventLine::Progress(ProgressLine::of(progress)),
        Event::Log(said) => EventLine::Log(SaidLine::of(said)),
        Event::Missed(lines) => EventLine::Missed { lines: *lines },
        Event::Ended(view) => EventLine::Ended { task: Box::new(TaskLine::of(view, names)) },
    }
}

fn tell(event: &Event, names: &Names) -> anyhow::Result<()> {
    match event {
        Event::Started { attempt, node } => {
            out::note(format!("attempt {attempt} runs on {}", names.name(*node)));
        }
        Event::Progress(progress) => out::note(printable(&progress.to_string())),
        Event::Log(said) => out::line(printable(&said.text))?,
        Event::Missed(lines) => {
            out::note(format!("{lines} lines were said before and are not kept any more"));
        }
        Event::Ended(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::NodeId;
    use umbel_protocol::time::Wall;

    use super::*;

    #[test]
    fn each_event_is_a_line_of_json() {
        let names = Names::default();
        let json = |event: &Event| serde_json::to_string(&line(event, &names)).expect("it is JSON");
        let node = NodeId(7 << 96);
        let started = json(&Event::Started { attempt: 2, node });
        assert!(started.starts_with(r#"{"event":"started","attempt":2,"node":"#), "{started}");
        assert_eq!(
            json(&Event::Progress(Progress::new(3, None))),
            r#"{"event":"progress","done":3,"total":null,"message":null}"#
        );
        let said = LogLine { at: Wall::EPOCH, is_error: true, text: "no".into() };
        let said = json(&Event::Log(said));
        assert!(said.ends_with(r#""is_error":true,"line":"no"}"#), "{said}");
        assert_eq!(json(&Event::Missed(4)), r#"{"event":"missed","lines":4}"#);
    }
}
