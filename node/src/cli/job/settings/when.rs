//! When a job fires, as it is said on the command line.

use anyhow::bail;
use clap::Args;
use umbel_protocol::job::{Job, Schedule};
use umbel_protocol::time::{Span, Wall};

use super::{set, set_some};
use crate::cli::job::cron_text;
use crate::cli::job::moment::{Moment, Place, moment};
use crate::cli::out;
use crate::cli::time::{away, parse_some_span, parse_span};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "When")]
pub(super) struct When {
    #[command(flatten)]
    ticks: Ticks,
    /// By whose clocks times are read, as in Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Each tick fires by a part of this later, the same one for each; jobs of one schedule spread
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    jitter: Option<Span>,
    /// No ticks before; intervals are counted from then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start: Option<Moment>,
    /// No ticks from then on
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end: Option<Moment>,
    /// How many ticks it fires at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_runs: Option<u64>,
    /// It fires nothing until it is enabled
    #[arg(long)]
    disabled: bool,
}

/// When its ticks are: one of these.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
struct Ticks {
    /// As a cron expression says, in quotes: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,
    /// So far apart: 30s, 5m, 1h30m
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span)]
    every: Option<Span>,
    /// Once: 2030-03-01T02:30:00+01:00, or without +01:00 by the clocks of --timezone
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Moment>,
}

impl When {
    /// Looks at what can be judged without the job.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if let Some(text) = &self.ticks.cron
            && let Some(note) = cron_text::note(&cron_text::parse(text)?)
        {
            out::note(note);
        }
        if let Some(timezone) = &self.timezone {
            Place::named(timezone)?;
        }
        Ok(())
    }

    pub(super) const fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Whether it does not say when the ticks are.
    pub(super) const fn is_left_out(&self) -> bool {
        matches!(self.ticks, Ticks { cron: None, every: None, at: None })
    }

    pub(super) fn apply(&self, job: &mut Job, now: Wall) -> anyhow::Result<()> {
        set(&mut job.timezone, self.timezone.clone());
        let place = Place::named(&job.timezone)?;
        self.ticks.apply(&mut job.schedule, &place, now)?;
        set(&mut job.jitter, self.jitter);
        for (moment, place_of) in [(self.start, &mut job.start), (self.end, &mut job.end)] {
            if let Some(moment) = moment {
                *place_of = Some(moment.at(&place)?);
            }
        }
        set_some(&mut job.max_runs, self.max_runs);
        job.enabled &= !self.disabled;
        Ok(())
    }
}

impl Ticks {
    fn apply(&self, schedule: &mut Schedule, place: &Place, now: Wall) -> anyhow::Result<()> {
        if let Some(text) = &self.cron {
            *schedule = Schedule::Cron(text.clone());
        }
        if let Some(span) = self.every {
            *schedule = Schedule::Every(span);
        }
        if let Some(moment) = self.at {
            let at = moment.at(place)?;
            if at <= now {
                bail!(
                    "{} is over ({}), so it would never run; give a time to come, or submit the \
                     task with `umbel submit`",
                    place.show(at),
                    away(now, at)
                );
            }
            *schedule = Schedule::At(at);
        }
        Ok(())
    }
}
