//! A run starts where and when it may: not before its time, on a node that knows its task, in a
//! slot that is free.

use umbel_protocol::executor::Start;
use umbel_protocol::task::Outcome;
use umbel_protocol::time::Span;

use crate::faults::Slack;
use crate::jobs::{Purpose, What};
use crate::ledger::TaskLog;
use crate::world::World;

/// A run starts on `host`.
///
/// # Errors
/// What it should have waited for.
pub fn on_start(world: &World, host: usize, mark: u64, start: &Start) -> Result<(), String> {
    let one = &world.hosts[host];
    let template = &start.template;
    let Some(pool) = one.profile.pool(&template.queue, &template.name) else {
        return Err(format!("host {host} runs {} and does not know it", template.name));
    };
    let running = one.process.as_ref().map_or(0, |process| process.running(pool));
    // Leases for slots that there were before are on their way for a while, beside those for what there is now.
    let before = one.slots_before.iter().filter(|(until, _)| *until > world.now);
    let lent = before.map(|(_, pools)| pools[pool]).max().unwrap_or(0);
    if running >= one.profile.pools[pool] + lent {
        return Err(format!("host {host} runs {running} tasks in pool {pool} already"));
    }
    let Some(log) = world.ledger.tasks.get(&mark) else {
        return Ok(());
    };
    let early = earliest(log, start, world.plan.older > 0, world.slack).filter(|earliest| {
        // Partition time is that of clocks which may be off, each against each, and are known as they
        // were when a message left, which a node that stands still reads late. What a minority's
        // clocks show when they are wild does not count, nor those of one or two nodes, whom nobody tells
        // what is right.
        let (ahead, behind) = world.slack.waits;
        let off = ahead + behind + world.network.slowest() + world.slack.read_late;
        world.now + off < *earliest
    });
    match early {
        Some(earliest) => Err(format!(
            "attempt {} of #{mark} starts {} us too early: it was tried at {:?}, with a delay of {:?} \
             or not before {:?}, and has started before: {:?}",
            start.attempt,
            earliest - world.now,
            log.first_try,
            start.template.options.delay,
            log.not_before,
            log.starts
        )),
        None => Ok(()),
    }
}

/// A run of a task of a job starts on `host`.
///
/// # Errors
/// If it may only run elsewhere.
pub fn on_start_of_job(world: &mut World, host: usize, start: &Start) -> Result<(), String> {
    let labels = world.labels_of(host);
    let node = world.hosts[host].node;
    let Some(Purpose { job, what }) = world.jobs.purpose_of(start.task).cloned() else {
        return Ok(());
    };
    let meant = match what {
        What::Alert(_) => return Ok(()),
        What::Tick(place) | What::ByHand(place) => place,
    };
    let lasting = world.jobs.lasting.get(&job).copied();
    let is_selected = lasting.is_none_or(|lasting| labels.match_all(&lasting.select()));
    if is_selected && meant.is_none_or(|meant| meant == node) {
        return Ok(());
    }
    Err(format!("host {host} runs {} of {job}, which is for {what:?} of {lasting:?}", start.task))
}

/// Before when the run cannot start, if clocks were right. An owner of an older version takes a run that says when
/// to try again for one that failed.
fn earliest(log: &TaskLog, start: &Start, has_older: bool, slack: Slack) -> Option<u64> {
    let options = &start.template.options;
    // A tenth of what is waited for may be gained.
    let waited = |span: Span| match slack.was_slewed {
        true => span.as_micros() - span.as_micros() / 10,
        false => span.as_micros(),
    };
    // A time of day is what clocks show, however they have stepped.
    let ahead = if slack.was_slewed { slack.ahead } else { 0 };
    let not_before = log.not_before.map(|at| at.saturating_sub(ahead));
    // The tick of a job is one.
    let ahead = if start.task.is_derived() { ahead } else { 0 };
    let first_try = log.first_try.map(|at| at.saturating_sub(ahead));
    let delayed = first_try.map(|at| at + waited(options.delay)).max(not_before);
    // How an attempt ended that is made once more, as its node was lost, nobody heard.
    let before = log.starts.iter().filter(|before| before.attempt < start.attempt);
    let retried = before.filter_map(|before| {
        // At least half of what doubles.
        let doubled = Span::from_micros(options.backoff(1).as_micros() / 2);
        let of_policy = options.listed_backoff(before.attempt).unwrap_or(doubled);
        let (at, pause) = match &before.end {
            Some((at, Outcome::Failed(_))) => (at, of_policy),
            Some((at, Outcome::Deferred { pause, .. })) if has_older => (at, of_policy.min(*pause)),
            Some((at, Outcome::Deferred { pause, .. })) => (at, *pause),
            _ => return None,
        };
        Some(*at + waited(pause))
    });
    // Walls count in milliseconds.
    delayed.max(retried.max()).map(|at| at.saturating_sub(2_000))
}
