//! Jobs and their ticks in the words that people read.

use umbel_protocol::job::{
    Alert, Job, JobName, Misfire, On, Overlap, Schedule, Source, TickEnd, TickEnds, TickRecord,
    TickRun, Verdict, due,
};
use umbel_protocol::time::Span;

use super::moment::Place;
use crate::cli::time::count_of;
use crate::config::quantity::spelled;

/// When its ticks are.
pub(super) fn schedule(job: &Job) -> String {
    match &job.schedule {
        Schedule::At(at) => format!("once, {}", Place::or_utc(&job.timezone).show(*at)),
        Schedule::Cron(text) => format!("{text} {}", job.timezone),
        Schedule::Every(span) => format!("every {}", spelled(*span)),
    }
}

/// By how much all its ticks come later, so that those of many jobs spread.
pub(super) fn delay(name: &JobName, job: &Job) -> Span {
    due::offset(name, job.jitter)
}

/// How many nodes run a tick.
pub(super) const fn on(on: On) -> &'static str {
    match on {
        On::One => "one",
        On::Each => "each",
    }
}

/// The same with which ones.
pub(super) fn hosts(job: &Job) -> String {
    match (job.on, job.select.is_empty()) {
        (On::One, true) => "one node".to_owned(),
        (On::One, false) => format!("one of the nodes with {}", job.select),
        (On::Each, true) => "each node".to_owned(),
        (On::Each, false) => format!("each of the nodes with {}", job.select),
    }
}

/// What a node must have, or be, to run it: after "no node".
pub(super) fn wanted(job: &Job) -> String {
    if job.select.is_empty() {
        return "serves".to_owned();
    }
    format!("that serves has the labels {}; see `umbel cluster status`", job.select)
}

/// What becomes of late ticks.
pub(super) const fn misfire(misfire: Misfire) -> &'static str {
    match misfire {
        Misfire::Skip => "skip",
        Misfire::Once => "once",
        Misfire::All { .. } => "all",
    }
}

/// What becomes of a tick while an earlier one runs.
pub(super) const fn overlap(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Allow => "allow",
        Overlap::Forbid => "forbid",
        Overlap::Replace => "replace",
    }
}

/// What is told by an alert.
pub(super) fn alerted(alert: &Alert) -> Vec<&'static str> {
    let told = [
        ("failure", alert.on_failure),
        ("recovery", alert.on_recovery),
        ("missed", alert.on_missed),
    ];
    told.into_iter().filter(|(_, is_told)| *is_told).map(|(word, _)| word).collect()
}

/// Who says what the job is.
pub(super) const fn source(source: Source) -> &'static str {
    match source {
        Source::File { .. } => "file",
        Source::Live => "live",
    }
}

/// Whether it fires.
pub(super) const fn enabled(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// What was decided about a tick.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fired => "fired",
        Verdict::Missed => "missed",
        Verdict::Skipped => "skipped",
    }
}

/// The same, and whether somebody has asked for it, and whether it did not report in time.
pub(super) fn decided(record: &TickRecord) -> String {
    let word = match (record.by_hand, record.verdict) {
        (true, Verdict::Fired) => "by hand".to_owned(),
        (true, other) => format!("by hand, {}", verdict(other)),
        (false, other) => verdict(other).to_owned(),
    };
    if record.unreported { format!("{word}, unreported") } else { word }
}

/// How one run of a tick ended, or what it does.
pub(super) fn ended(run: &TickRun) -> &'static str {
    match (run.end, run.started_at) {
        (Some(end), _) => end.as_str(),
        (None, Some(_)) => "running",
        (None, None) => "waits",
    }
}

/// How a tick ended: in a word if it was one run, else how many ended in which way.
pub(super) fn outcome(record: &TickRecord) -> String {
    let counts = counts(record.ends);
    match counts.as_slice() {
        [] if record.verdict == Verdict::Fired => "no node".to_owned(),
        [] => verdict(record.verdict).to_owned(),
        [(1, word)] => match record.runs.as_slice() {
            [run] => ended(run).to_owned(),
            _ => (*word).to_owned(),
        },
        several => {
            let told: Vec<_> = several.iter().map(|(n, word)| format!("{n} {word}")).collect();
            told.join(", ")
        }
    }
}

/// How many runs a tick had.
pub(super) fn hosts_of(record: &TickRecord) -> String {
    let all = counts(record.ends).iter().map(|(n, _)| u64::from(*n)).sum();
    count_of(all, "node")
}

/// What there is at least one of.
fn counts(ends: TickEnds) -> Vec<(u32, &'static str)> {
    let TickEnds { open, succeeded, failed, cancelled, missed, skipped } = ends;
    let all = [
        (failed, TickEnd::Failed.as_str()),
        (missed, TickEnd::Missed.as_str()),
        (skipped, TickEnd::Skipped.as_str()),
        (cancelled, TickEnd::Cancelled.as_str()),
        (open, OPEN),
        (succeeded, TickEnd::Succeeded.as_str()),
    ];
    all.into_iter().filter(|(n, _)| *n > 0).collect()
}

/// What has not ended.
const OPEN: &str = "open";

#[cfg(test)]
pub(super) mod tests {
    use umbel_protocol::id::NodeId;
    use umbel_protocol::time::Wall;

    use super::*;

    /// A tick with one run for each of `ends`, on the nodes 1, 2 and so on.
    pub(in crate::cli::job) fn tick(ends: &[Option<TickEnd>]) -> TickRecord {
        let at = |millis: u64| Wall::from_millis(1_700_000_000_000 + millis);
        let mut counted = TickEnds::default();
        let runs = (1..).zip(ends).map(|(node, end)| {
            let has_run = matches!(end, Some(TickEnd::Succeeded | TickEnd::Failed));
            *match end {
                None => &mut counted.open,
                Some(TickEnd::Cancelled) => &mut counted.cancelled,
                Some(TickEnd::Failed) => &mut counted.failed,
                Some(TickEnd::Missed) => &mut counted.missed,
                Some(TickEnd::Skipped) => &mut counted.skipped,
                Some(TickEnd::Succeeded) => &mut counted.succeeded,
            } += 1;
            TickRun {
                task: None,
                node: Some(NodeId(node)),
                started_at: has_run.then(|| at(20)),
                finished_at: has_run.then(|| at(1_520)),
                end: *end,
                output: if has_run { "42\nfiles".to_owned() } else { String::new() },
            }
        });
        let runs = runs.collect();
        TickRecord {
            tick: at(0),
            decided_at: at(12),
            by_hand: false,
            verdict: Verdict::Fired,
            runs,
            ends: counted,
            unreported: false,
        }
    }

    #[test]
    fn ticks_are_put_into_words() {
        use TickEnd::{Failed, Missed, Succeeded};
        for (ends, told) in [
            (&[][..], "no node"),
            (&[None], "waits"),
            (&[Some(Succeeded)], "succeeded"),
            (&[Some(Succeeded), Some(Succeeded)], "2 succeeded"),
            (&[Some(Succeeded), Some(Missed), Some(Failed)], "1 failed, 1 missed, 1 succeeded"),
        ] {
            assert_eq!(outcome(&tick(ends)), told);
        }
        let mut begun = tick(&[None]);
        begun.runs[0].started_at = Some(begun.tick);
        assert_eq!(outcome(&begun), "running");
        let mut late = tick(&[]);
        late.verdict = Verdict::Missed;
        assert_eq!((outcome(&late), decided(&late)), ("missed".into(), "missed".into()));
        let by_hand = TickRecord { by_hand: true, unreported: true, ..tick(&[None]) };
        assert_eq!(decided(&by_hand), "by hand, unreported");
        let skipped = TickRecord { by_hand: true, verdict: Verdict::Skipped, ..tick(&[None]) };
        assert_eq!(decided(&skipped), "by hand, skipped");
    }
}
