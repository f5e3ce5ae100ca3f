//! What jobs are, drawn at random: brief intervals, seconds in cron expressions, little patience.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use umbel_protocol::job::{Alert, Job, Misfire, On, Overlap, Schedule};
use umbel_protocol::task::{Options, Template};
use umbel_protocol::time::Span;

use super::Lasting;
use crate::host::true_wall;
use crate::plan::{MS, SECOND};
use crate::work::Script;

const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

pub(super) fn lasting(rng: &mut ChaCha8Rng) -> Lasting {
    let on = if rng.random_bool(0.3) { On::Each } else { On::One };
    Lasting { on, is_selective: rng.random_bool(0.4), may_replace: rng.random_bool(0.3) }
}

/// A job that is defined at `at`.
pub(super) fn job(lasting: Lasting, at: u64, is_long: bool, rng: &mut ChaCha8Rng) -> Job {
    let millis =
        |rng: &mut ChaCha8Rng, low: u64, high: u64| Span::from_millis(rng.random_range(low..high));
    let schedule = match rng.random_range(0..10) {
        0..=4 => {
            let least = if is_long { 4_000 } else { 1_000 };
            let most = if rng.random_bool(0.7) { 5_000 } else { 20_000 };
            Schedule::Every(millis(rng, least, most))
        }
        5..=8 => {
            let every = [3, 5, 10, 15][rng.random_range(usize::from(is_long)..4)];
            let from = rng.random_range(0..every);
            Schedule::Cron(match rng.random_range(0..3) {
                0 => format!("*/{every} * * * * *"),
                1 => format!("{from}-59/{every} * * * * *"),
                _ => format!("{from},{},{} * * * * *", from + 20, from + 40),
            })
        }
        _ => Schedule::At(true_wall(
            at.saturating_sub(2 * SECOND) + rng.random_range(0..20_000) * MS,
        )),
    };
    let mut job = Job::new(schedule, template(rng));
    job.timezone = ZONES[rng.random_range(0..ZONES.len())].to_owned();
    job.args = script(rng).to_args();
    (job.on, job.select) = (lasting.on, lasting.select());
    // Where few may run it, all of them may be gone.
    let is_bound = lasting.is_selective || lasting.on == On::Each;
    job.expires = (is_bound || rng.random_bool(0.2)).then(|| millis(rng, 1_000, 8_000));
    job.misfire = match rng.random_range(0..3) {
        0 => Misfire::Skip,
        1 => Misfire::Once,
        _ => Misfire::All { most: rng.random_range(1..6) },
    };
    job.misfire_grace =
        if rng.random_bool(0.7) { millis(rng, 0, 3_000) } else { millis(rng, 0, 60_000) };
    job.overlap = match rng.random_range(0..3) {
        0 => Overlap::Forbid,
        1 if lasting.may_replace => Overlap::Replace,
        _ => Overlap::Allow,
    };
    if rng.random_bool(0.3) {
        job.jitter = millis(rng, 0, 3_000);
    }
    job.max_runs = rng.random_bool(0.15).then(|| rng.random_range(1..12));
    if rng.random_bool(0.1) {
        job.start = Some(true_wall(at) + millis(rng, 0, 10_000));
    }
    if rng.random_bool(0.1) {
        job.end = Some(true_wall(at) + millis(rng, 10_000, 40_000));
    }
    job.enabled = rng.random_bool(0.9);
    job.report_within = rng.random_bool(0.3).then(|| millis(rng, 500, 6_000));
    job.alert = rng.random_bool(0.4).then(|| Alert {
        template: Template::new(["mail", "resize"][rng.random_range(0..2)]),
        on_failure: rng.random_bool(0.7),
        on_recovery: rng.random_bool(0.7),
        on_missed: true,
    });
    job
}

/// One that fires every few seconds, whatever else it does.
pub(super) fn lively(lasting: Lasting, at: u64, rng: &mut ChaCha8Rng) -> Job {
    let mut job = job(lasting, at, false, rng);
    job.schedule = Schedule::Every(Span::from_millis(rng.random_range(1_000..4_000)));
    (job.start, job.end, job.max_runs, job.enabled) = (None, None, None, true);
    job
}

fn template(rng: &mut ChaCha8Rng) -> Template {
    // Those that all hosts know.
    let mut template = Template::new(["mail", "resize"][rng.random_range(0..2)]);
    template.queue = ["bulk", "default"][rng.random_range(0..2)].to_owned();
    template.options = Options {
        priority: Some(rng.random_range(0..3)),
        attempts_max: Some(rng.random_range(1..4)),
        backoff_first: Some(Span::from_millis(rng.random_range(10..500))),
        backoff_max: Some(Span::from_millis(1_000)),
        ..Options::default()
    };
    template
}

fn script(rng: &mut ChaCha8Rng) -> Script {
    let takes = match rng.random_range(0..10) {
        0 => rng.random_range(4 * SECOND..8 * SECOND),
        1..4 => rng.random_range(SECOND / 2..3 * SECOND),
        _ => rng.random_range(MS..200 * MS),
    };
    let failures = if rng.random_bool(0.25) { rng.random_range(1..4) } else { 0 };
    let permanent = rng.random_bool(0.05);
    Script { takes, failures, permanent, ..Script::plain(0) }
}
