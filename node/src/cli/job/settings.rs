//! What can be said of a job on the command line, and the job that comes of it.

use anyhow::bail;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use umbel_protocol::job::{Alert, Job, Labels, MISFIRES_DEFAULT, Misfire, On, Overlap, Schedule};
use umbel_protocol::task::Template;
use umbel_protocol::time::{Span, Wall};

use super::cron_text;
use super::moment::{Moment, Place, moment, zones};
use crate::cli::out;
use crate::cli::submit::typed_args;
use crate::cli::time::{away, parse_some_span, parse_span};

/// What is said of a job.
#[derive(Debug, Default, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    when: When,
    /// By whose clocks times are read, as in Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", help_heading = "When")]
    timezone: Option<String>,
    /// Each tick fires by a part of this later, the same one for each; jobs of one schedule spread
    #[arg(long, value_name = "SPAN", value_parser = parse_span, help_heading = "When")]
    jitter: Option<Span>,
    /// No ticks before; intervals are counted from then
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "When")]
    start: Option<Moment>,
    /// No ticks from then on
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "When")]
    end: Option<Moment>,
    /// How many ticks it fires at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "When")]
    max_runs: Option<u64>,
    /// It fires nothing until it is enabled
    #[arg(long, help_heading = "When")]
    disabled: bool,

    /// The task that it runs
    #[arg(long, value_name = "NAME", help_heading = "What")]
    task: Option<String>,
    /// Its arguments, JSON; @FILE is what a file holds, - is stdin [default: null]
    #[arg(long, value_name = "JSON", allow_hyphen_values = true, help_heading = "What")]
    args: Option<String>,
    /// Queue to wait in
    #[arg(long, value_name = "NAME", help_heading = "What")]
    queue: Option<String>,
    /// 0 to 9, higher first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9),
        help_heading = "What")]
    priority: Option<u8>,
    /// How often a run may fail before it is given up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..),
        help_heading = "What")]
    attempts: Option<u16>,
    /// Pause before the first retry; it doubles with each failure
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span, help_heading = "What")]
    backoff_first: Option<Span>,
    /// Longest pause before a retry
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span, help_heading = "What")]
    backoff_max: Option<Span>,
    /// How long one run may take
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span, help_heading = "What")]
    time_limit: Option<Span>,
    /// A run that has not started so long after its tick was fired is given up
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span, help_heading = "What")]
    expires: Option<Span>,

    /// How many nodes run a tick [default: one]
    #[arg(long, value_name = "NODES", help_heading = "Where")]
    on: Option<OnWord>,
    /// Nodes that may: those with all of these labels
    #[arg(long, value_name = "KEY=VALUE,...", help_heading = "Where")]
    select: Option<Labels>,

    /// Of ticks that are noticed too late fire none, the last one, or all [default: once]
    #[arg(long, value_name = "RULE", help_heading = "What if")]
    misfire: Option<MisfireWord>,
    /// With --misfire all, the last so many of them [default: 10]
    #[arg(long, value_name = "N", help_heading = "What if")]
    misfire_max: Option<u16>,
    /// How late is not too late [default: 1m]
    #[arg(long, value_name = "SPAN", value_parser = parse_span, help_heading = "What if")]
    misfire_grace: Option<Span>,
    /// While an earlier run goes on run beside it, skip the tick, or replace it [default: allow]
    #[arg(long, value_name = "RULE", help_heading = "What if")]
    overlap: Option<OverlapWord>,
    /// A tick of which no run ended well so long after it is told as missed
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span, help_heading = "What if")]
    report_within: Option<Span>,
    /// A task to submit when something happens to the job; its arguments say what
    #[arg(long, value_name = "TASK", help_heading = "What if")]
    alert: Option<String>,
    /// What is to be told by it [default: failure,recovery,missed]
    #[arg(long, value_name = "EVENT,...", value_delimiter = ',', help_heading = "What if")]
    alert_on: Option<Vec<AlertWord>>,
}

/// When its ticks are: one of these.
#[derive(Debug, Default, Args)]
#[group(multiple = false)]
struct When {
    /// As a cron expression says, in quotes: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "EXPR", help_heading = "When")]
    cron: Option<String>,
    /// So far apart: 30s, 5m, 1h30m
    #[arg(long, value_name = "SPAN", value_parser = parse_some_span, help_heading = "When")]
    every: Option<Span>,
    /// Once: 2030-03-01T02:30:00+01:00, or without +01:00 by the clocks of --timezone
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "When")]
    at: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnWord {
    One,
    Each,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MisfireWord {
    Skip,
    Once,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OverlapWord {
    Allow,
    Forbid,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AlertWord {
    Failure,
    Recovery,
    Missed,
}

impl Settings {
    /// Looks at what can be judged without the job, and reads the arguments: before anybody is called.
    pub(super) fn typed(&self) -> anyhow::Result<Option<Bytes>> {
        if let Some(text) = &self.when.cron
            && cron_text::parse(text)?.is_every_second()
        {
            out::note("this ticks every second; for every minute leave out the first field");
        }
        if let Some(timezone) = &self.timezone {
            Place::named(timezone)?;
        }
        self.args.as_deref().map(typed_args).transpose()
    }

    /// A new job.
    pub(super) fn job(&self, args: Option<Bytes>, now: Wall) -> anyhow::Result<Job> {
        let Some(task) = &self.task else { bail!("say what it runs: --task NAME") };
        // The first instant of all stands for what `apply` knows when it has the time zone.
        let mut job = Job::new(Schedule::At(Wall::EPOCH), Template::new(task));
        if self.when.is_left_out() {
            bail!("say when it ticks: --cron EXPR, --every SPAN or --at TIME");
        }
        self.apply(&mut job, args, now)?;
        Ok(job)
    }

    /// Changes what is said of `job`.
    pub(super) fn apply(
        &self,
        job: &mut Job,
        args: Option<Bytes>,
        now: Wall,
    ) -> anyhow::Result<()> {
        set(&mut job.timezone, self.timezone.clone());
        let place = Place::named(&job.timezone)?;
        self.when.apply(&mut job.schedule, &place, now)?;
        set(&mut job.jitter, self.jitter);
        for (moment, place_of) in [(self.start, &mut job.start), (self.end, &mut job.end)] {
            if let Some(moment) = moment {
                *place_of = Some(moment.at(&place)?);
            }
        }
        set_some(&mut job.max_runs, self.max_runs);
        job.enabled &= !self.disabled;

        let template = &mut job.template;
        set(&mut template.name, self.task.clone());
        set(&mut template.queue, self.queue.clone());
        let options = &mut template.options;
        set_some(&mut options.priority, self.priority);
        set_some(&mut options.attempts_max, self.attempts);
        set_some(&mut options.backoff_first, self.backoff_first);
        set_some(&mut options.backoff_max, self.backoff_max);
        set_some(&mut options.time_limit, self.time_limit);
        set(&mut job.args, args);
        set_some(&mut job.expires, self.expires);

        set(&mut job.on, self.on.map(OnWord::meaning));
        set(&mut job.select, self.select.clone());
        self.apply_misfire(&mut job.misfire)?;
        set(&mut job.misfire_grace, self.misfire_grace);
        set(&mut job.overlap, self.overlap.map(OverlapWord::meaning));
        set_some(&mut job.report_within, self.report_within);
        self.apply_alert(&mut job.alert)?;
        check(job)
    }

    fn apply_misfire(&self, misfire: &mut Misfire) -> anyhow::Result<()> {
        match (self.misfire, &misfire) {
            (Some(MisfireWord::Skip), _) => *misfire = Misfire::Skip,
            (Some(MisfireWord::Once), _) => *misfire = Misfire::Once,
            // How many is kept if it was said before.
            (Some(MisfireWord::All), Misfire::All { .. }) | (None, _) => {}
            (Some(MisfireWord::All), _) => *misfire = Misfire::All { most: MISFIRES_DEFAULT },
        }
        match (self.misfire_max, misfire) {
            (Some(max), Misfire::All { most }) => *most = max,
            (Some(_), _) => bail!("--misfire-max goes with --misfire all only"),
            (None, _) => {}
        }
        Ok(())
    }

    fn apply_alert(&self, alert: &mut Option<Alert>) -> anyhow::Result<()> {
        if let Some(task) = &self.alert {
            let (on_failure, on_recovery, on_missed) = match alert {
                Some(known) => (known.on_failure, known.on_recovery, known.on_missed),
                None => (true, true, true),
            };
            let template = Template::new(task);
            *alert = Some(Alert { template, on_failure, on_recovery, on_missed });
        }
        match (&self.alert_on, alert) {
            (Some(events), Some(alert)) => {
                alert.on_failure = events.contains(&AlertWord::Failure);
                alert.on_recovery = events.contains(&AlertWord::Recovery);
                alert.on_missed = events.contains(&AlertWord::Missed);
            }
            (Some(_), None) => bail!("--alert-on says when; say by which task, too: --alert TASK"),
            (None, _) => {}
        }
        Ok(())
    }
}

impl When {
    const fn is_left_out(&self) -> bool {
        matches!(self, Self { cron: None, every: None, at: None })
    }

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

/// Refuses what no node would take, in its words and with carets.
fn check(job: &Job) -> anyhow::Result<()> {
    let text = match &job.schedule {
        Schedule::Cron(text) => Some(text.as_str()),
        Schedule::At(_) | Schedule::Every(_) => None,
    };
    job.check(&zones()).map_err(|invalid| cron_text::told(invalid, text))
}

impl OnWord {
    pub(super) const fn meaning(self) -> On {
        match self {
            Self::One => On::One,
            Self::Each => On::Each,
        }
    }
}

impl OverlapWord {
    const fn meaning(self) -> Overlap {
        match self {
            Self::Allow => Overlap::Allow,
            Self::Forbid => Overlap::Forbid,
            Self::Replace => Overlap::Replace,
        }
    }
}

fn set<T>(place: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *place = said;
    }
}

fn set_some<T>(place: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *place = said;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    const NOW: Wall = Wall::from_millis(1_700_000_000_000);

    fn settings(line: &str) -> Settings {
        // Expressions have spaces, which are written as underscores here.
        let words = line.split_whitespace().map(|word| word.replace('_', " "));
        Line::try_parse_from(std::iter::once("x".to_owned()).chain(words)).expect(line).settings
    }

    fn job(line: &str) -> anyhow::Result<Job> {
        let settings = settings(line);
        let args = settings.typed()?;
        settings.job(args, NOW)
    }

    fn seconds(seconds: u64) -> Span {
        Span::from_millis(seconds * 1_000)
    }

    #[test]
    fn what_is_not_said_is_as_by_default() {
        let cron = Schedule::Cron("30 2 * * *".to_owned());
        let made = job("--cron 30_2_*_*_* --task backup").unwrap();
        assert_eq!(made, Job::new(cron, Template::new("backup")));
    }

    #[test]
    fn all_can_be_said() {
        let made = job("--every 90s --timezone Europe/Berlin --task a --args [1] --queue q \
             --priority 3 --attempts 2 --backoff-first 1s --backoff-max 5s --time-limit 1m \
             --expires 2m --on each --select role=db,zone=a --misfire all --misfire-max 7 \
             --misfire-grace 0s --overlap forbid --jitter 30s --start 2030-03-01 \
             --end 2031-03-01T00:00:00Z --max-runs 9 --disabled --report-within 1h \
             --alert tell --alert-on failure,missed")
        .unwrap();
        assert_eq!((&made.schedule, made.on), (&Schedule::Every(seconds(90)), On::Each));
        assert_eq!((made.args.as_ref(), made.template.queue.as_str()), (&b"[1]"[..], "q"));
        let options = &made.template.options;
        assert_eq!((options.priority, options.attempts_max), (Some(3), Some(2)));
        assert_eq!(options.backoff_first, Some(seconds(1)));
        assert_eq!(options.backoff_max, Some(seconds(5)));
        assert_eq!((options.time_limit, made.expires), (Some(seconds(60)), Some(seconds(120))));
        assert_eq!(made.select.to_string(), "role=db,zone=a");
        assert_eq!((made.misfire, made.misfire_grace), (Misfire::All { most: 7 }, Span::ZERO));
        assert_eq!((made.overlap, made.jitter), (Overlap::Forbid, seconds(30)));
        // By the clocks of Berlin, an hour before it is midnight in universal time.
        assert_eq!(made.start, Some(Wall::from_millis(1_898_550_000_000)));
        assert_eq!(made.end, Some(Wall::from_millis(1_930_089_600_000)));
        assert_eq!((made.max_runs, made.enabled), (Some(9), false));
        assert_eq!(made.report_within, Some(seconds(3_600)));
        let alert = made.alert.unwrap();
        assert_eq!(alert.template.name, "tell");
        assert_eq!((alert.on_failure, alert.on_recovery, alert.on_missed), (true, false, true));
    }

    #[test]
    fn what_can_be_no_job_is_refused_with_what_to_do() {
        for (line, told) in [
            ("--cron 61_*_*_*_* --task a", "\n  | 61 * * * *\n  | ^^"),
            ("--task a", "say when it ticks: --cron EXPR"),
            ("--every 5m", "say what it runs: --task"),
            ("--at 2020-01-01T00:00:00Z --task a", "2020-01-01 00:00:00 +00:00 is over (1413d"),
            ("--every 5m --task a --timezone berlin", "did you mean Europe/Berlin?"),
            ("--every 5m --task a --misfire-max 3", "with --misfire all only"),
            ("--every 5m --task a --misfire all --misfire-max 1000", "misfire_max must be 1 to"),
            ("--every 5m --task a --alert-on missed", "--alert TASK"),
            ("--every 10ms --task a", "every must be at least \"1s\""),
            ("--every 5m --task a --args {", "the arguments are not JSON"),
            ("--every 5m --task a!", "task name \"a!\" is not usable"),
            ("--every 5m --task a --start 2030-03-01 --end 2030-03-01", "later than start"),
        ] {
            let error = job(line).expect_err(line).to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn of_a_job_only_what_is_said_is_changed() {
        let line = "--cron 30_2_*_*_* --task a --misfire all --misfire-max 7 --alert tell \
                    --alert-on missed --max-runs 3 --timezone Europe/Berlin --disabled";
        let before = job(line).unwrap();
        let edited = |line: &str| {
            let mut job = before.clone();
            settings(line).apply(&mut job, None, NOW).map(|()| job)
        };
        assert_eq!(edited("").unwrap(), before);
        let Job { misfire, alert, .. } =
            edited("--misfire all --alert other --overlap forbid").unwrap();
        assert_eq!(misfire, Misfire::All { most: 7 });
        let alert = alert.unwrap();
        assert_eq!((alert.template.name.as_str(), alert.on_failure), ("other", false));
        let at = edited("--at 2030-03-01T02:30").unwrap();
        // Berlin was not said again.
        assert_eq!(at.schedule, Schedule::At(Wall::from_millis(1_898_559_000_000)));
        let error = edited("--misfire once --misfire-max 3").unwrap_err();
        assert!(error.to_string().contains("--misfire all only"), "{error}");
    }
}
