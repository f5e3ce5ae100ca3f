//! What a job runs, as it is said on the command line.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use bytes::Bytes;
use clap::Args;
use umbel_protocol::job::Job;
use umbel_protocol::task::Template;
use umbel_protocol::time::Span;

use super::{set, set_some};
use crate::cli::submit::said::Said;
use crate::cli::submit::typed_args;
use crate::cli::time::{parse_some_span, parse_span};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What")]
pub(super) struct What {
    /// The task that it runs
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Its arguments, JSON; @FILE is what a file holds, - is stdin [default: null]
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    args: Option<String>,
    /// Queue to wait in
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// 0 to 9, higher first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// How often a run may fail before it is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    attempts: Option<u16>,
    /// Pause before the first retry; it doubles with each failure
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    backoff_first: Option<Span>,
    /// Longest pause before a retry
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    backoff_max: Option<Span>,
    /// The pauses before its retries one by one: 1s,10s,5m
    #[arg(long, value_name = "SPAN,...", value_parser = parse_span, value_delimiter = ',',
        conflicts_with_all = ["backoff_first", "backoff_max"])]
    backoff_list: Option<Vec<Span>>,
    /// How long one run may take
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    time_limit: Option<Span>,
    /// After how long a run is told that its time will soon be over; a command gets SIGTERM then
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    soft_limit: Option<Span>,
    /// A tick must have ended so long after it was fired, with all its retries
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    deadline: Option<Span>,
    /// How often a run may take its node with it before it is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    crashes: Option<u16>,
    /// Never start a run twice, whatever happens; false to undo it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    at_most_once: Option<bool>,
    /// How long the node that runs it must not have been heard of before the run is taken to be lost
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    lost_after: Option<Span>,
    /// How long what became of a run is kept after it has ended [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    retention: Option<Span>,
    /// Drop what runs return; false to undo it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    ignore_result: Option<bool>,
    /// A run that has not started so long after its tick was fired is given up
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    expires: Option<Span>,
    /// Never show arguments, or fields of them, of these names; "*" stands for all
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    redact: Option<Vec<Box<str>>>,
    #[command(flatten)]
    said: Said,
}

impl What {
    /// Reads the arguments, from a file or stdin if so said.
    pub(super) fn typed(&self) -> anyhow::Result<Option<Bytes>> {
        self.args.as_deref().map(typed_args).transpose()
    }

    /// What a new job runs; how it is treated is left to [`apply`](Self::apply).
    pub(super) fn template(&self) -> anyhow::Result<Template> {
        let Some(task) = &self.task else { bail!("say what it runs: --task NAME") };
        Ok(Template::new(task))
    }

    pub(super) fn apply(&self, job: &mut Job, args: Option<Bytes>) -> anyhow::Result<()> {
        let template = &mut job.template;
        set(&mut template.name, self.task.clone());
        set(&mut template.queue, self.queue.clone());
        let options = &mut template.options;
        set_some(&mut options.priority, self.priority);
        set_some(&mut options.attempts_max, self.attempts);
        if self.backoff_list.is_some() {
            (options.backoff_first, options.backoff_max) = (None, None);
        }
        if self.backoff_first.is_some() || self.backoff_max.is_some() {
            options.backoff_list = None;
        }
        set_some(&mut options.backoff_first, self.backoff_first);
        set_some(&mut options.backoff_max, self.backoff_max);
        set_some(&mut options.backoff_list, self.backoff_list.clone());
        set_some(&mut options.time_limit, self.time_limit);
        set_some(&mut options.soft_limit, self.soft_limit);
        set_some(&mut options.deadline, self.deadline);
        set_some(&mut options.crashes_max, self.crashes);
        set_some(&mut options.at_most_once, self.at_most_once);
        set_some(&mut options.lost_after, self.lost_after);
        set_some(&mut options.retention, self.retention);
        set_some(&mut options.ignore_result, self.ignore_result);
        set(&mut job.args, args);
        set_some(&mut job.expires, self.expires);
        set_some(&mut job.template.options.redact, self.redact.clone());
        let said = self.said.metadata().map_err(|why| anyhow!(why))?;
        if !said.is_empty() {
            let before = job.metadata.as_deref().cloned().unwrap_or_default();
            job.metadata = Some(Arc::new(said.or(&before)));
        }
        Ok(())
    }
}
