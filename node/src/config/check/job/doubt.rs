//! What can be done but may not be meant: warnings about jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use umbel_protocol::job::{Job, Misfire, On, Overlap, Plan, Schedule, due};
use umbel_protocol::time::Span;

use super::super::super::cron_doubt::{Doubt, doubt};
use super::super::super::raw::{RawJob, Text, quoted};
use super::super::super::report::Problems;
use super::super::super::suggest::nearest;
use super::super::super::task::Task;
use super::super::super::{ConfiguredJob, quantity};
use super::Surroundings;
use super::add_in_two;
use super::what::{What, fits};
use super::when::When;
use crate::work::Registry;

/// What can only be told of once all jobs are known.
#[derive(Default)]
pub(super) struct Doubts {
    /// Tasks that are named: where first, and how often besides.
    named: BTreeMap<String, (Range<usize>, usize)>,
}

impl Doubts {
    /// The task `name` is to be run, for a job or an alert.
    pub(super) fn of_name(
        &mut self,
        name: &Text,
        tasks: &BTreeMap<String, Task>,
        problems: &mut Problems<'_>,
    ) {
        if tasks.get(name.get_ref()).is_some_and(|task| task.options.is_limited()) {
            // Ticks have no limit key, so it would be ignored.
            problems.add(
                name.span(),
                format!(
                    "task `{}` has `concurrency`, `rate` or `exclusive`, which mean nothing for a job",
                    name.get_ref()
                ),
                "how many ticks run at once is for `overlap` to say; give the job a task without them",
            );
        }
        let span = name.span();
        match self.named.get_mut(name.get_ref()) {
            None => drop(self.named.insert(name.get_ref().clone(), (span, 0))),
            Some((first, more)) => {
                *more += 1;
                if span.start < first.start {
                    *first = span;
                }
            }
        }
    }

    /// What may not be meant in a job that is otherwise good.
    pub(super) fn of_job(
        &mut self,
        job: &Job,
        when: &When,
        what: &What,
        raw: &RawJob,
        around: &Surroundings<'_>,
        problems: &mut Problems<'_>,
    ) {
        if let Some(name) = &raw.task {
            self.of_name(name, &around.config.tasks, problems);
        }
        let known = around.config.tasks.get(&job.template.name);
        if let Some(Err(error)) = known.map(|task| fits(task, &what.args)) {
            let problem = format!("task `{}` cannot run for this job: {error}", job.template.name);
            problems.warn(what.place.clone(), problem, "write it into the job: args = { ... }");
        }
        let declared = known.map(|task| &task.options);
        if let Some(Err(why)) = declared.map(|options| job.template.options.check_times(options)) {
            let place = raw.present.key("soft_limit").unwrap_or_else(|| what.place.clone());
            add_in_two(place, &why.to_string(), problems);
        }
        never(job, when, raw, around, problems);
        let limit = job.template.options.time_limit;
        let limit = limit.or_else(|| known.and_then(|task| task.options.time_limit));
        often(job, when, limit, problems);
        overlapped(job, raw, problems);
        // How long a handler in Rust may take is said where it is registered.
        if known.is_some() || what.command.is_some() {
            unwatched(job, raw, limit, problems);
        }
    }

    /// Tasks that the file does not know.
    pub(super) fn tell_of_tasks(
        self,
        around: &Surroundings<'_>,
        jobs: &[ConfiguredJob],
        problems: &mut Problems<'_>,
    ) {
        let of_jobs = jobs.iter().filter(|job| job.command.is_some());
        let of_jobs: BTreeSet<_> = of_jobs.map(ConfiguredJob::command_name).collect();
        let tasks = &around.config.tasks;
        let is_known = |name: &str| {
            name == Registry::NOOP || tasks.contains_key(name) || of_jobs.contains(name)
        };
        let unknown = self.named.into_iter().filter(|(name, _)| !is_known(name));
        for (count, (name, (place, more))) in unknown.enumerate() {
            let fine = "fine if a service registers a handler of that name";
            let near = if count < SUGGESTIONS_MAX {
                let known = tasks.keys().chain(&of_jobs).map(String::as_str);
                nearest(&name, known)
            } else {
                None
            };
            let help = near.map_or_else(
                || fine.to_owned(),
                |near| format!("did you mean `{near}`? else {fine}"),
            );
            let more = match more {
                0 => String::new(),
                1 => ", which is named once more below".to_owned(),
                _ => format!(", which is named {more} times more below"),
            };
            let problem = format!("there is no [tasks.{}] here{more}", quoted(&name));
            problems.warn_of_task(place, &name, problem, help);
        }
    }
}

/// A job whose last tick is over, or that has none.
fn never(
    job: &Job,
    when: &When,
    raw: &RawJob,
    around: &Surroundings<'_>,
    problems: &mut Problems<'_>,
) {
    let mut over = |place, what| {
        let problem = format!("{what} is over: this job does not fire any more");
        problems.warn(place, problem, "remove the job, or write a later time");
    };
    match (&job.schedule, job.end) {
        // What has just passed is fired at once.
        (Schedule::At(at), _)
            if *at <= around.now
                && around.now.since(*at) <= job.grace()
                && job.start.is_none_or(|start| start <= *at)
                && job.end.is_none_or(|end| *at < end) =>
        {
            return;
        }
        (Schedule::At(at), _) if *at <= around.now => return over(when.place.clone(), "`at`"),
        (_, Some(end)) if end <= around.now => {
            return over(raw.end.as_ref().map_or_else(|| when.place.clone(), Text::span), "`end`");
        }
        // It ticks again and again; it may have begun to long ago.
        (Schedule::Cron(_) | Schedule::Every(_), None) | (Schedule::Every(_), _) => return,
        (Schedule::At(_) | Schedule::Cron(_), _) => {}
    }
    let plan = Plan::new(&job.schedule, &job.timezone, &around.zones).ok();
    let next = plan.and_then(|plan| due::next_tick(job, &plan, around.now, around.now));
    if next.is_none() {
        let problem = "this job never fires: there is no tick from its `start` to its `end`";
        problems.warn(when.place.clone(), problem, "write other times, or remove the job");
    }
}

/// A job that fires at other times than was meant, or so often that it may be more than its runs bear.
fn often(job: &Job, when: &When, limit: Option<Span>, problems: &mut Problems<'_>) {
    let interval = match &job.schedule {
        Schedule::Every(every) => *every,
        Schedule::Cron(_) => match &when.cron {
            Some(cron) => cron.nearest(),
            None => return,
        },
        Schedule::At(_) => return,
    };
    let may_pile_up = interval < OFTEN
        && job.overlap == Overlap::Allow
        && limit.is_none_or(|limit| limit > interval);
    // An interval in seconds is written by nobody who means minutes.
    let doubt = when.cron.as_ref().and_then(doubt);
    let (what, mut helps) =
        doubt.map_or((None, Vec::new()), |Doubt { what, instead }| (Some(what), vec![instead]));
    if may_pile_up {
        helps.push("runs pile up if one takes longer; set overlap = \"forbid\"".to_owned());
    }
    if !helps.is_empty() {
        let interval = quantity::spelled(interval);
        let problem = what.unwrap_or_else(|| match &when.cron {
            Some(_) => format!("ticks of this are only {interval} apart"),
            None => format!("this fires every {interval}"),
        });
        problems.warn(when.place.clone(), problem, helps.join("; "));
    }
}

/// A job of which several late ticks are to fire at once, of which no more than one can run.
fn overlapped(job: &Job, raw: &RawJob, problems: &mut Problems<'_>) {
    let what = match (job.misfire, job.overlap) {
        (Misfire::All { .. }, Overlap::Forbid) => {
            "the first of several late ticks runs, and `overlap` skips the others"
        }
        (Misfire::All { .. }, Overlap::Replace) => {
            "of several late ticks the last one runs, which cancels the others"
        }
        (Misfire::All { .. }, Overlap::Allow) | (Misfire::Once | Misfire::Skip, _) => return,
    };
    if let Some(misfire) = &raw.misfire {
        problems.warn(misfire.span(), what, "write misfire = \"once\", or overlap = \"allow\"");
    }
}

/// A job that has somebody told of ticks that are missed, but not of a run that never begins, or never ends.
fn unwatched(job: &Job, raw: &RawJob, limit: Option<Span>, problems: &mut Problems<'_>) {
    let begins = job.expires.is_some() || job.on == On::Each;
    let is_watched = job.report_within.is_some() || (begins && limit.is_some());
    let Some(place) = raw.present.key("alert").filter(|_| !is_watched) else {
        return;
    };
    if job.alert.as_ref().is_some_and(|alert| alert.on_missed) {
        let problem = "nobody is told of a run that waits for ever, or never ends";
        problems.warn(place, problem, "write report_within = \"1h\", or as long as it may take");
    }
}

/// What comes in shorter intervals is seldom meant to run twice at once.
const OFTEN: Span = Span::from_millis(10_000);
/// For so many unknown tasks others are looked for that may have been meant: with thousands of both
/// that would take minutes.
const SUGGESTIONS_MAX: usize = 100;
