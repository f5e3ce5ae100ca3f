//! Every task that was taken in ends, and exactly as it should.
//!
//! What a task does is scripted, so that its end follows from its script, its options, what its
//! client asked for and which of its nodes were lost. Nothing here believes the record: what it
//! says of itself is compared with what was seen.

use umbel_protocol::id::{Lessee, TaskId};
use umbel_protocol::task::{FailureKind, History, Outcome, Phase, Record, Run, RunEnd};
use umbel_protocol::time::Span;

use super::{owned, partitions};
use crate::ledger::{StartLog, TaskLog};
use crate::work::{Manner, Script};
use crate::world::World;

/// A task that has not ended, if there is one.
#[must_use]
pub fn open(world: &World) -> Option<String> {
    for id in partitions(world) {
        let Some(partition) = owned(world, id) else {
            return Some(format!("nobody owns {id}"));
        };
        let open = partition.records().find(|(_, record)| !record.state().is_final());
        if let Some((task, record)) = open {
            let mark = Script::of_task(task, &record.args).map_or(0, |script| script.mark);
            return Some(format!("#{mark} {task} is {:?}", record.phase()));
        }
    }
    None
}

/// What tasks ended with is what their runs did.
///
/// # Errors
/// The first one that ended otherwise.
pub fn at_end(world: &World) -> Result<(), String> {
    for id in partitions(world) {
        for (task, record) in owned(world, id).into_iter().flat_map(|p| p.records()) {
            judge(world, task, &record)?;
        }
    }
    Ok(())
}

/// No pause before a retry is longer.
const PAUSE_MAX: Span = Span::from_millis(2_000);

/// Judges how the task of `record` ended.
///
/// # Errors
/// How it should have ended.
pub fn judge(world: &World, task: TaskId, record: &Record) -> Result<(), String> {
    let Some(script) = Script::of_task(task, &record.args) else {
        return Err(format!("the arguments of {task} have changed"));
    };
    let Some(log) = world.ledger.tasks.get(&script.mark) else {
        return Err(format!("{task} was never submitted"));
    };
    let nothing = History::default();
    let history = record.history.as_deref().unwrap_or(&nothing);
    let succeeded = succeeded_in_reach(world, task, log, history);
    if script.manner != Manner::Plain && world.plan.older > 0 {
        // What it says is put into older words for owners that know no others.
        return counted_right(world, record, history);
    }
    let verdict = ended_as_scripted(record, history, &script, log, succeeded)
        .and_then(|()| counted_right(world, record, history));
    verdict.map_err(|should| {
        format!("#{} {task} ended as {:?}, but {should}: {history:?}", script.mark, record.phase())
    })
}

fn ended_as_scripted(
    record: &Record,
    history: &History,
    script: &Script,
    log: &TaskLog,
    succeeded: bool,
) -> Result<(), String> {
    let attempts_max = record.template.options.attempts_max();
    // Its own failures are always tried again, up to the last one that it may have.
    let fails = if script.permanent { 1 } else { script.failures };
    let is_doomed = script.permanent || script.kills || script.failures >= u32::from(attempts_max);
    let options = &record.template.options;
    let last = history.runs.last().map(|run| run.end);
    // Whether there was no time for the longest pause before its deadline.
    let is_cut_short = (record.deadline().zip(history.finished_at))
        .is_some_and(|(deadline, finished_at)| finished_at + PAUSE_MAX >= deadline);
    let failures = u32::from(history.failures);
    let claim = |holds: bool, should: &str| if holds { Ok(()) } else { Err(should.to_owned()) };
    match record.phase() {
        Phase::Succeeded(result) => {
            claim(**result == *script.mark.to_string().as_bytes(), "it returned something else")?;
            claim(!is_doomed && script.manner != Manner::Drops, "none of its runs can succeed")?;
            claim(failures == fails, "it fails another number of times first")?;
        }
        Phase::Dead(failure) => {
            claim(!log.stopped, "its cancellation was acknowledged")?;
            match failure.kind {
                FailureKind::Crashed => {
                    // One that comes back when the task was given up for it is pardoned in vain.
                    let cut_off = history.runs.iter().filter(|run| run.end == RunEnd::CutOff);
                    let lost = usize::from(history.crashes) + cut_off.count();
                    claim(
                        lost >= usize::from(options.crashes_max()),
                        "too few of its nodes were lost",
                    )?;
                }
                FailureKind::Permanent => {
                    claim(script.permanent && failures == 1, "it fails otherwise")?;
                    claim(!script.kills, "none of its runs comes to an end")?;
                }
                FailureKind::Error => {
                    claim(!script.kills, "none of its runs comes to an end")?;
                    claim(!script.permanent, "it fails for good")?;
                    let is_last = is_doomed && failures == u32::from(attempts_max);
                    claim(is_last || is_cut_short, "it has other attempts")?;
                }
                FailureKind::Deadline => {
                    let is_over =
                        record.deadline().is_some_and(|at| history.finished_at >= Some(at));
                    let is_stopped = last == Some(RunEnd::Failed(FailureKind::Deadline));
                    claim(options.deadline.is_some(), "it has no deadline")?;
                    claim(is_over || is_stopped, "its deadline has not come")?;
                }
                FailureKind::Lost => {
                    claim(options.is_at_most_once(), "it may be started again")?;
                    let is_lost = match last {
                        Some(
                            RunEnd::Lost | RunEnd::Unheard | RunEnd::NeverHad | RunEnd::Cancelled,
                        ) => true,
                        Some(RunEnd::Snoozed) => script.manner == Manner::Snoozes,
                        Some(
                            RunEnd::CutOff
                            | RunEnd::Dropped
                            | RunEnd::Failed(_)
                            | RunEnd::Succeeded,
                        ) => last == Some(RunEnd::CutOff),
                        None => false,
                    };
                    claim(is_lost, "its only run was not lost")?;
                }
                other => return Err(format!("none of its runs ends so: {other:?}")),
            }
        }
        Phase::Cancelled if last == Some(RunEnd::Dropped) => {
            claim(script.manner == Manner::Drops, "it has something to do")?;
        }
        Phase::Cancelled if is_replaced(history) => {
            let particulars = record.particulars.as_ref();
            let has_key = particulars.is_some_and(|said| said.unique_key.is_some());
            claim(has_key && !log.stopped, "nothing can take its place")?;
        }
        Phase::Cancelled => {
            claim(log.cancel_asked, "nobody asked for it")?;
            claim(history.cancelled, "the wish is not on record")?;
            claim(!succeeded, "a run of it had succeeded, and nobody was lost")?;
        }
        Phase::Expired => {
            claim(!log.stopped, "its cancellation was acknowledged")?;
            let in_time = record.expires_at().is_some_and(|at| history.finished_at >= Some(at));
            claim(in_time, "it does not expire, or not yet")?;
        }
        Phase::Scheduled { .. } | Phase::Ready | Phase::Leased(_) => {
            return Err("it has not ended".to_owned());
        }
    }
    // A deadline that comes while it runs is a failure, too.
    let stopped = u32::from(last == Some(RunEnd::Failed(FailureKind::Deadline)));
    claim(failures <= fails.min(u32::from(attempts_max)) + stopped, "it does not fail so often")
}

/// Whether another task took its place.
fn is_replaced(history: &History) -> bool {
    let why = history.failure.as_ref().filter(|why| why.kind == FailureKind::Dropped);
    why.is_some_and(|why| why.message.starts_with("replaced by"))
}

/// Whether a run of `task` was seen to succeed, on a node that nobody took to be lost since. Of one that was cut off
/// the end may come after its task was cancelled, which waited again.
fn succeeded_in_reach(world: &World, task: TaskId, log: &TaskLog, history: &History) -> bool {
    let was_cut_off = |start: &StartLog| {
        history.runs.iter().any(|run| run.token == start.token && run.end == RunEnd::CutOff)
    };
    log.starts.iter().filter(|start| start.task == task).any(|start| {
        matches!(start.end, Some((_, Outcome::Succeeded(_))))
            && !was_cut_off(start)
            && !world.ledger.was_lost(start.lessee, start.at, world.now)
    })
}

/// What is counted is what is listed, and what is listed has happened.
fn counted_right(world: &World, record: &Record, history: &History) -> Result<(), String> {
    // By what clocks show that have stepped it may not have.
    let is_timed = record.particulars.as_ref().is_some_and(|said| said.not_before.is_some());
    let given_up_at = record.given_up_at().filter(|_| !(is_timed && world.slack.was_slewed));
    for run in &history.runs {
        if run.end == RunEnd::Lost && !has_ended(world, run.lessee) {
            return Err(format!("{:?} lives", run.lessee));
        }
        if given_up_at.is_some_and(|at| run.started_at >= at) {
            return Err(format!("{} began after it had expired", run.token));
        }
    }
    if history.starts as usize != history.runs.len() {
        // Older ones were dropped from the list.
        return Ok(());
    }
    let count = |is_so: &dyn Fn(&Run) -> bool| history.runs.iter().filter(|r| is_so(r)).count();
    let failed = count(&|run| has_failed(&run.end));
    // One that fails after it was asked to stop is its last, and does not count.
    let is_cancelled = matches!(record.phase(), Phase::Cancelled);
    let uncounted = is_cancelled && history.runs.last().is_some_and(|r| has_failed(&r.end));
    let counted = usize::from(history.failures);
    if !(counted..=counted + usize::from(uncounted)).contains(&failed) {
        return Err(format!("{failed} of its runs failed"));
    }
    let lost = count(&|run| matches!(run.end, RunEnd::Lost | RunEnd::Unheard));
    // A run that was lost first and succeeded late stays counted.
    let late = count(&|run| run.end == RunEnd::Succeeded);
    if !(lost..=lost + late).contains(&usize::from(history.crashes)) {
        return Err(format!("{lost} of its runs were lost"));
    }
    Ok(())
}

const fn has_failed(end: &RunEnd) -> bool {
    matches!(end, RunEnd::Failed(_))
}

/// Whether the process of `lessee` has come to its end, in good order or not, or the executor alone.
fn has_ended(world: &World, lessee: Lessee) -> bool {
    let key = (lessee.node, lessee.incarnation);
    let ledger = &world.ledger;
    ledger.fallen.contains_key(&lessee)
        || ledger.ended.contains_key(&key)
        || ledger.left.contains_key(&key)
}
