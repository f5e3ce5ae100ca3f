//! What a `[jobs.NAME]` means: when it fires, what it runs, and how it is treated.

use std::ops::Range;

use umbel_protocol::job::{
    InvalidJob, Job, JobName, MISFIRE_GRACE_DEFAULT, MISFIRES_DEFAULT, Misfire, On, Overlap, Zones,
};
use umbel_protocol::limits::{DELAY_MAX, MISFIRES_MAX};
use umbel_protocol::time::{Span, Wall};

use self::doubt::Doubts;
use self::what::What;
use self::when::Times;
use super::super::raw::{RawJob, Text};
use super::super::report::Problems;
use super::super::task::Task;
use super::super::{Config, ConfiguredJob};
use super::options::{Treatment, Unsaid};
use super::{SPAN_MIN, TASKS_MAX, check_name, choice, labels, optional, span, too_many_tasks};
use crate::timezones;

mod alert;
mod doubt;
mod said;
mod what;
mod when;

/// What jobs are checked against.
struct Surroundings<'c> {
    /// What is known of the file besides its jobs.
    config: &'c Config,
    zones: Zones,
    now: Wall,
}

/// The jobs that `raw` stands for, by name.
pub(super) fn jobs(
    raw: Vec<(Text, RawJob)>,
    config: &Config,
    problems: &mut Problems<'_>,
) -> Vec<ConfiguredJob> {
    let now = jiff::Timestamp::now().as_millisecond();
    let around = Surroundings {
        config,
        zones: timezones::zones(),
        now: Wall::from_millis(now.try_into().unwrap_or(0)),
    };
    let mut doubts = Doubts::default();
    let mut jobs = Vec::with_capacity(raw.len());
    let mut commands = config.tasks.len();
    for (name, raw) in raw {
        let place = name.span();
        let Some(job) = job(name, raw, &around, &mut doubts, problems) else { continue };
        if job.command.is_some() {
            commands += 1;
            if commands == TASKS_MAX + 1 {
                too_many_tasks(place, problems);
            }
        }
        jobs.push(job);
    }
    jobs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    doubts.tell_of_tasks(&around, &jobs, problems);
    jobs
}

/// The job that `raw` stands for; nothing if anything is wrong with it.
fn job(
    name: Text,
    mut raw: RawJob,
    around: &Surroundings<'_>,
    doubts: &mut Doubts,
    problems: &mut Problems<'_>,
) -> Option<ConfiguredJob> {
    let before = problems.errors();
    check_name("job", &name, problems);
    let times = Times::of(raw.timezone.as_ref(), &around.zones, problems);
    let when = when::schedule(&name, &raw, &times, problems);
    let options = std::mem::take(&mut raw.options);
    let unsaid = if raw.present.key("run").is_some() { Unsaid::Default } else { Unsaid::Declared };
    let treatment = Treatment::of(options, unsaid, &around.config.queues, problems);
    let what = what::what(&name, &mut raw, treatment, &around.config.tasks, problems);
    let alert = raw.alert.take().and_then(|raw_alert| {
        alert::alert(raw_alert, raw.present.key("alert"), around.config, doubts, problems)
    });
    let rules = Rules::of(&raw, problems);
    let select = labels(std::mem::take(&mut raw.select), problems);
    let metadata = said::said(&mut raw, problems);
    let start = times.time("start", raw.start.as_ref(), problems);
    let end = times.time("end", raw.end.as_ref(), problems);
    if problems.errors() > before {
        return None;
    }
    let (when, what) = (when?, what?);
    let job = Job {
        timezone: times.into_zone(),
        command: what.command.as_ref().and_then(Task::shown),
        args: what.args.clone().into(),
        expires: rules.expires,
        on: rules.on,
        select,
        misfire: rules.misfire,
        misfire_grace: rules.misfire_grace,
        overlap: rules.overlap,
        jitter: rules.jitter,
        start,
        end,
        enabled: raw.enabled.as_ref().is_none_or(|enabled| *enabled.get_ref()),
        max_runs: rules.max_runs,
        report_within: rules.report_within,
        alert,
        metadata,
        ..Job::new(when.schedule.clone(), what.template.clone())
    };
    if let Err(error) = job.check(&around.zones) {
        refused(&name, &raw, &what, &error, problems);
        return None;
    }
    doubts.of_job(&job, &when, &what, &raw, around, problems);
    let line = problems.line_of(&name.span());
    let name: JobName = name.get_ref().parse().ok()?;
    Some(ConfiguredJob { name, job, command: what.command, line })
}

/// What only a whole job shows.
fn refused(
    name: &Text,
    raw: &RawJob,
    what: &What,
    error: &InvalidJob,
    problems: &mut Problems<'_>,
) {
    let of_key = |key: &str| raw.present.key(key).unwrap_or_else(|| name.span());
    let place = match error {
        InvalidJob::Args { .. } => of_key("args"),
        InvalidJob::Cron(_) => of_key("cron"),
        InvalidJob::Label(_) => of_key("select"),
        InvalidJob::Option { what, .. } => of_key(what),
        InvalidJob::Task(_) => what.place.clone(),
        InvalidJob::Zone(_) => of_key("timezone"),
    };
    let message = match error {
        InvalidJob::Option { what, range } => format!("`{what}` must be {range}"),
        InvalidJob::Args { .. }
        | InvalidJob::Cron(_)
        | InvalidJob::Label(_)
        | InvalidJob::Task(_)
        | InvalidJob::Zone(_) => error.to_string(),
    };
    add_in_two(place, &message, problems);
}

/// Adds what says in one sentence what is wrong and what to do instead.
fn add_in_two(place: Range<usize>, message: &str, problems: &mut Problems<'_>) {
    let (problem, help) = message.split_once("; ").unwrap_or((message, ""));
    problems.add(place, problem, help);
}

/// What is said of a job that no other value changes.
struct Rules {
    expires: Option<Span>,
    on: On,
    misfire: Misfire,
    misfire_grace: Span,
    overlap: Overlap,
    jitter: Span,
    max_runs: Option<u64>,
    report_within: Option<Span>,
}

impl Rules {
    fn of(raw: &RawJob, problems: &mut Problems<'_>) -> Self {
        let on = [("one", On::One), ("each", On::Each)];
        let overlap =
            [("allow", Overlap::Allow), ("forbid", Overlap::Forbid), ("replace", Overlap::Replace)];
        let some = SPAN_MIN..=DELAY_MAX;
        let any = Span::ZERO..=DELAY_MAX;
        let grace = span("misfire_grace", raw.misfire_grace.as_ref(), any.clone(), problems);
        let within = raw.report_within.as_ref();
        Self {
            expires: span("expires", raw.expires.as_ref(), some.clone(), problems),
            on: choice("on", raw.on.as_ref(), &on, problems).unwrap_or_default(),
            misfire: misfire(raw, problems),
            misfire_grace: grace.unwrap_or(MISFIRE_GRACE_DEFAULT),
            overlap: choice("overlap", raw.overlap.as_ref(), &overlap, problems)
                .unwrap_or(Overlap::Allow),
            jitter: span("jitter", raw.jitter.as_ref(), any, problems).unwrap_or(Span::ZERO),
            max_runs: optional("max_runs", raw.max_runs.as_ref(), 1..=i64::MAX, problems),
            report_within: span("report_within", within, some, problems),
        }
    }
}

fn misfire(raw: &RawJob, problems: &mut Problems<'_>) -> Misfire {
    let range = 1..=i64::from(MISFIRES_MAX);
    let most = optional("misfire_max", raw.misfire_max.as_ref(), range, problems);
    let all = Misfire::All { most: most.unwrap_or(MISFIRES_DEFAULT) };
    let words = [("skip", Misfire::Skip), ("once", Misfire::Once), ("all", all)];
    let misfire = choice("misfire", raw.misfire.as_ref(), &words, problems);
    let place = raw.present.key("misfire_max");
    // A word that could not be read may have been meant for the one that it goes with.
    let is_other = misfire.map_or_else(|| raw.present.key("misfire").is_none(), |it| it != all);
    if let Some(place) = place.filter(|_| is_other) {
        problems.add(
            place,
            "`misfire_max` means nothing unless all late ticks are fired",
            "write misfire = \"all\", or remove it",
        );
    }
    misfire.unwrap_or(Misfire::Once)
}
