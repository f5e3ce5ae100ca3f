//! Whom a job tells of what has happened to it, as it is said on the command line.

use anyhow::bail;
use clap::{Args, ValueEnum};
use umbel_protocol::job::Alert;
use umbel_protocol::task::Template;
use umbel_protocol::time::Span;

use super::{set, set_some};
use crate::cli::time::parse_some_span;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Alert")]
pub(super) struct AlertSettings {
    /// A task to submit when something happens to the job; its arguments say what
    #[arg(id = "alert", long, value_name = "TASK")]
    task: Option<String>,
    /// What is to be told by it [default: failure,recovery,missed]
    #[arg(id = "alert-on", long, value_name = "EVENT,...", value_delimiter = ',')]
    on: Option<Vec<AlertWord>>,
    /// Queue for it to wait in
    #[arg(id = "alert-queue", long, value_name = "NAME")]
    queue: Option<String>,
    /// 0 to 9, higher first
    #[arg(id = "alert-priority", long, value_name = "N",
        value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// How often it may fail before it is given up
    #[arg(id = "alert-attempts", long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..))]
    attempts: Option<u16>,
    /// Pause before its first retry; it doubles with each failure
    #[arg(id = "alert-backoff-first", long, value_name = "SPAN", value_parser = parse_some_span)]
    backoff_first: Option<Span>,
    /// Longest pause before it is retried
    #[arg(id = "alert-backoff-max", long, value_name = "SPAN", value_parser = parse_some_span)]
    backoff_max: Option<Span>,
    /// How long one run of it may take
    #[arg(id = "alert-time-limit", long, value_name = "SPAN", value_parser = parse_some_span)]
    time_limit: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AlertWord {
    Failure,
    Recovery,
    Missed,
}

impl AlertSettings {
    /// Changes what is said of `alert`. Another task tells of the same, and is treated alike.
    pub(super) fn apply(&self, alert: &mut Option<Alert>) -> anyhow::Result<()> {
        if let (Some(task), None) = (&self.task, &alert) {
            let template = Template::new(task);
            *alert = Some(Alert { template, on_failure: true, on_recovery: true, on_missed: true });
        }
        match (alert, self.detail()) {
            (Some(alert), _) => self.apply_to(alert),
            (None, Some(said)) => {
                bail!("{said} goes with an alert; say which task it is: --alert TASK")
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn apply_to(&self, alert: &mut Alert) {
        if let Some(events) = &self.on {
            alert.on_failure = events.contains(&AlertWord::Failure);
            alert.on_recovery = events.contains(&AlertWord::Recovery);
            alert.on_missed = events.contains(&AlertWord::Missed);
        }
        let template = &mut alert.template;
        set(&mut template.name, self.task.clone());
        set(&mut template.queue, self.queue.clone());
        let options = &mut template.options;
        set_some(&mut options.priority, self.priority);
        set_some(&mut options.attempts_max, self.attempts);
        set_some(&mut options.backoff_first, self.backoff_first);
        set_some(&mut options.backoff_max, self.backoff_max);
        set_some(&mut options.time_limit, self.time_limit);
    }

    /// The first option that says something of an alert, but not which task it is.
    fn detail(&self) -> Option<&'static str> {
        let details = [
            ("--alert-on", self.on.is_some()),
            ("--alert-queue", self.queue.is_some()),
            ("--alert-priority", self.priority.is_some()),
            ("--alert-attempts", self.attempts.is_some()),
            ("--alert-backoff-first", self.backoff_first.is_some()),
            ("--alert-backoff-max", self.backoff_max.is_some()),
            ("--alert-time-limit", self.time_limit.is_some()),
        ];
        details.into_iter().find(|(_, is_said)| *is_said).map(|(option, _)| option)
    }
}
