//! What can be said of a job on the command line, and the job that comes of it.
//!
//! One file for each heading of the help: what is said there, and what it changes of a job.

mod alert;
mod command;
mod what;
mod what_if;
mod when;

use std::iter;

use anyhow::bail;
use bytes::Bytes;
use clap::{Args, ValueEnum};
use umbel_protocol::job::{Job, Labels, On, Schedule};
use umbel_protocol::task::Options;
use umbel_protocol::time::Wall;

use self::alert::AlertSettings;
use self::command::NoCommand;
use self::what::What;
use self::what_if::WhatIf;
use self::when::When;
use super::cron_text;
use crate::config::check::options::{BACKOFF_HELP, shrinking};
use crate::timezones;

/// What is said of a job.
#[derive(Debug, Default, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    what: What,
    /// How many nodes run a tick [default: one]
    #[arg(long, value_name = "NODES", help_heading = "Where")]
    on: Option<OnWord>,
    /// Nodes that may: those with all of these labels
    #[arg(long, value_name = "KEY=VALUE,...", help_heading = "Where")]
    select: Option<Labels>,
    #[command(flatten)]
    what_if: WhatIf,
    #[command(flatten)]
    alert: AlertSettings,
    #[command(flatten)]
    _command: NoCommand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnWord {
    One,
    Each,
}

impl Settings {
    /// Looks at what can be judged without the job, and reads the arguments: before anybody is called.
    pub(super) fn typed(&self) -> anyhow::Result<Option<Bytes>> {
        self.when.check()?;
        self.what.typed()
    }

    /// Whether it is to fire nothing.
    pub(super) const fn is_disabled(&self) -> bool {
        self.when.is_disabled()
    }

    /// A new job.
    pub(super) fn job(&self, args: Option<Bytes>, now: Wall) -> anyhow::Result<Job> {
        // The first instant of all stands for what `apply` knows when it has the time zone.
        let mut job = Job::new(Schedule::At(Wall::EPOCH), self.what.template()?);
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
        self.when.apply(job, now)?;
        self.what.apply(job, args)?;
        set(&mut job.on, self.on.map(OnWord::meaning));
        set(&mut job.select, self.select.clone());
        self.what_if.apply(job)?;
        self.alert.apply(&mut job.alert)?;
        check(job)
    }
}

/// Refuses what no node would take, in its words and with carets; and what no file may say either.
fn check(job: &Job) -> anyhow::Result<()> {
    let alert = job.alert.as_ref().map(|alert| (&alert.template, "of the alert "));
    for (template, whose) in iter::once((&job.template, "")).chain(alert) {
        let Options { backoff_first, backoff_max, .. } = template.options;
        // What is not said is as the task is declared.
        if backoff_first.is_some()
            && backoff_max.is_some()
            && let Some(problem) = shrinking(backoff_first, backoff_max)
        {
            bail!("{whose}{problem}; {BACKOFF_HELP}");
        }
    }
    let text = match &job.schedule {
        Schedule::Cron(text) => Some(text.as_str()),
        Schedule::At(_) | Schedule::Every(_) => None,
    };
    job.check(&timezones::zones()).map_err(|invalid| cron_text::told(invalid, text))
}

impl OnWord {
    pub(super) const fn meaning(self) -> On {
        match self {
            Self::One => On::One,
            Self::Each => On::Each,
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
    use umbel_protocol::job::{Misfire, Overlap};
    use umbel_protocol::task::Template;
    use umbel_protocol::time::Span;

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
        Line::try_parse_from(iter::once("x".to_owned()).chain(words)).expect(line).settings
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
             --alert tell --alert-on failure,missed --alert-queue r --alert-priority 9 \
             --alert-attempts 5 --alert-backoff-first 2s --alert-backoff-max 7s \
             --alert-time-limit 3m")
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
        assert_eq!((alert.on_failure, alert.on_recovery, alert.on_missed), (true, false, true));
        let options = Options {
            priority: Some(9),
            attempts_max: Some(5),
            backoff_first: Some(seconds(2)),
            backoff_max: Some(seconds(7)),
            time_limit: Some(seconds(180)),
            ..Options::default()
        };
        let queue = "r".to_owned();
        assert_eq!(alert.template, Template { queue, options, ..Template::new("tell") });
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
            ("--every 5m --task a --alert-on missed", "--alert-on goes with an alert; say which"),
            ("--every 5m --task a --alert-queue q", "--alert-queue goes with an alert"),
            ("--every 5m --task a --alert-priority 9", "--alert-priority goes with an alert"),
            ("--every 5m --task a --alert-attempts 9", "--alert-attempts goes with an alert"),
            ("--every 5m --task a --alert-backoff-first 1s", "--alert-backoff-first goes with an"),
            ("--every 5m --task a --alert-backoff-max 1s", "--alert-backoff-max goes with an"),
            ("--every 5m --task a --alert-time-limit 1s", "--alert TASK"),
            ("--every 5m --task a --alert b --alert-queue q!", "queue \"q!\" is not usable"),
            ("--every 10ms --task a", "every must be at least \"1s\""),
            (
                "--every 5m --task a --backoff-first 1h --backoff-max 1s",
                "`backoff_first` is 1h, longer than `backoff_max`, which is 1s; pauses double",
            ),
            (
                "--every 5m --task a --alert b --alert-backoff-first 1h --alert-backoff-max 1s",
                "of the alert `backoff_first` is 1h",
            ),
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
                    --alert-on missed --alert-queue q --alert-attempts 5 --max-runs 3 \
                    --timezone Europe/Berlin --disabled";
        let before = job(line).unwrap();
        let edited = |line: &str| {
            let mut job = before.clone();
            settings(line).apply(&mut job, None, NOW).map(|()| job)
        };
        assert_eq!(edited("").unwrap(), before);
        let Job { misfire, alert, .. } =
            edited("--misfire all --alert other --alert-priority 9 --overlap forbid").unwrap();
        assert_eq!(misfire, Misfire::All { most: 7 });
        let alert = alert.unwrap();
        assert_eq!((alert.template.name.as_str(), alert.on_failure), ("other", false));
        assert_eq!((alert.template.queue.as_str(), alert.on_missed), ("q", true));
        let options = &alert.template.options;
        assert_eq!((options.attempts_max, options.priority), (Some(5), Some(9)));
        let alert = edited("--alert-on failure --alert-attempts 2").unwrap().alert.unwrap();
        assert_eq!((alert.template.name.as_str(), alert.on_failure), ("tell", true));
        assert_eq!(alert.template.options.attempts_max, Some(2));
        let at = edited("--at 2030-03-01T02:30").unwrap();
        // Berlin was not said again.
        assert_eq!(at.schedule, Schedule::At(Wall::from_millis(1_898_559_000_000)));
        let error = edited("--misfire once --misfire-max 3").unwrap_err();
        assert!(error.to_string().contains("--misfire all only"), "{error}");
    }
}
