//! An enabled job fires in time, and at its nominal times: none is lost, none is invented, and what
//! becomes of a late one is what its job says.
//!
//! How far a job has fired is compared with its schedule, worked out anew, whenever that has moved; and
//! where most of a partition's copies are well, no tick is due for longer than it takes to have an owner.

use std::collections::BTreeMap;

use umbel_protocol::id::{GroupId, PartitionId, TaskId};
use umbel_protocol::job::due::{next_tick, offset};
use umbel_protocol::job::{
    Job, JobName, JobState, Misfire, On, Overlap, Plan, Schedule, TickRecord, Verdict, Zones,
};
use umbel_protocol::limits::TICKS_KEPT_MAX;
use umbel_protocol::partition::Partition;
use umbel_protocol::time::{Span, Wall};

use super::each_host_has_its_run::Held;
use super::majority_serves::{circles, has_bad_ways, has_majority, is_well};
use super::{owner, partitions};
use crate::faults::Slack;
use crate::host::true_wall;
use crate::jobs::{Purpose, What};
use crate::network::LAG_FOR;
use crate::plan::SECOND;
use crate::world::World;

/// For how long a tick may be due: it takes up to 6 s until a partition has an owner again, and a moment
/// until that knows the time.
const FIRED_WITHIN: u64 = 8 * SECOND;
/// How much longer it may take where messages get lost, or ways are slow.
const ON_BAD_WAYS: u64 = LAG_FOR + SECOND;
/// What was found in time may be put into the log so much later.
const PUT_LATER: Span = Span::from_millis(5_000);
/// More ticks than are looked at at once.
const TICKS_MAX: usize = 4_096;

/// What was seen of jobs.
#[derive(Debug, Default)]
pub struct Fired {
    /// How far each was when its partition was looked at last.
    known: BTreeMap<JobName, Known>,
    /// Which ticks are due, by how far their jobs have fired, and since when.
    due: BTreeMap<(JobName, Wall), u64>,
    /// When ways were last bad.
    bad_at: u64,
}

/// How far a job was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    born: u64,
    revision: u64,
    since: Wall,
    fired_through: Wall,
    fired: u64,
    left: u64,
}

impl Known {
    fn of(state: &JobState) -> Self {
        Self {
            born: state.born,
            revision: state.revision,
            since: state.since,
            fired_through: state.fired_through,
            fired: state.counts.fired,
            left: state.left(),
        }
    }
}

/// A partition of which a copy has applied what none had before.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// The time zones that all know.
    pub zones: &'a Zones,
    /// Which.
    pub id: PartitionId,
    /// Of how many.
    pub partitions: u16,
    /// As it is then.
    pub partition: &'a Partition,
}

/// A copy of a partition has applied what none had before.
///
/// # Errors
/// The first job that has fired otherwise than it says.
pub fn on_applied(
    fired: &mut Fired,
    held: &Held,
    slack: Slack,
    applied: &Applied<'_>,
) -> Result<(), String> {
    let Applied { zones: _, id, partitions, partition } = *applied;
    for (name, state) in partition.jobs() {
        let now = Known::of(state);
        let Some(before) = fired.known.insert(name.clone(), now) else {
            continue;
        };
        // One that is to fire once, and was defined anew in the moment of that, fires.
        let is_anew = matches!(state.job.schedule, Schedule::At(at) if at <= state.since)
            && now.revision != before.revision;
        // One that was removed and is another now counts from what clocks show, which may have been ahead.
        let is_another = slack.was_slewed && now.born != before.born;
        if now.fired_through < before.fired_through && !is_anew && !is_another {
            return Err(format!("{name} has gone back: {before:?}, {now:?}"));
        }
        if now.since != before.since && now.revision == before.revision {
            return Err(format!("{name} counts from another time: {before:?}, {now:?}"));
        }
        let is_changed = (now.revision, now.since) != (before.revision, before.since);
        if is_changed || now.fired_through == before.fired_through {
            continue;
        }
        moved(name, state, before, held, slack, applied)
            .map_err(|why| format!("{name}: {why}; {before:?}, {now:?}, {:?}", state.job))?;
    }
    // What is removed has no past.
    let of_partition = |name: &JobName| name.partition(partitions) == id;
    fired.known.retain(|name, _| !of_partition(name) || partition.job(name).is_some());
    Ok(())
}

/// A job has fired further.
fn moved(
    name: &JobName,
    state: &JobState,
    before: Known,
    held: &Held,
    slack: Slack,
    applied: &Applied<'_>,
) -> Result<(), String> {
    let Applied { zones, partition, .. } = *applied;
    let plan = Plan::new(&state.job.schedule, &state.job.timezone, zones)
        .map_err(|why| why.to_string())?;
    let mut last = before.fired_through;
    let next = || {
        let next = next_nominal(&state.job, &plan, state.since, last)?;
        last = next;
        (next <= state.fired_through).then_some(next)
    };
    let nominal: Vec<Wall> = std::iter::from_fn(next).take(TICKS_MAX).collect();
    if nominal.len() < TICKS_MAX && nominal.last() != Some(&state.fired_through) {
        return Err(format!("its last tick is none of {nominal:?}"));
    }
    let fresh: Vec<&TickRecord> = (state.history.iter())
        .filter(|record| !record.by_hand && record.tick > before.fired_through)
        .collect();
    let ticks: Vec<Wall> = fresh.iter().map(|record| record.tick).collect();
    let by_hand = state.history.iter().filter(|record| record.by_hand).count();
    let is_all = nominal.len() + by_hand <= TICKS_KEPT_MAX;
    let is_told = if state.left() == 0 {
        // The last ones that it may fire are fired, and no more.
        nominal.starts_with(&ticks) || !is_all
    } else if is_all {
        nominal == ticks
    } else {
        nominal.ends_with(&ticks)
    };
    if !is_told {
        return Err(format!("of {nominal:?} it tells {ticks:?}"));
    }
    let count = fresh.iter().filter(|record| record.verdict == Verdict::Fired).count() as u64;
    let counted =
        state.counts.fired.checked_sub(before.fired).ok_or("it counts less than before")?;
    if is_all && counted != count {
        return Err(format!("it counts {counted} and tells {count} that were fired"));
    }
    // Of one that is down is told that it has missed it.
    let had_nobody = |record: &TickRecord| {
        record.runs.is_empty() && held.selected(&state.job.select, record.tick, slack).is_empty()
    };
    misfires(name, state, &fresh, partition, had_nobody)?;
    overlaps(name, state, &fresh, partition)
}

/// The tick after `after`. Of an interval it is worked out anew: by cron another test has its say.
fn next_nominal(job: &Job, plan: &Plan, since: Wall, after: Wall) -> Option<Wall> {
    let Schedule::Every(every) = job.schedule else {
        return next_tick(job, plan, since, after);
    };
    let first = job.start.unwrap_or(since + every);
    let passed = (after >= first).then(|| after.since(first).as_millis() / every.as_millis() + 1);
    let next = first + Span::from_millis(passed.unwrap_or(0) * every.as_millis());
    job.end.is_none_or(|end| next < end).then_some(next)
}

/// What was late is treated as the job says.
fn misfires(
    name: &JobName,
    state: &JobState,
    fresh: &[&TickRecord],
    partition: &Partition,
    had_nobody: impl Fn(&TickRecord) -> bool,
) -> Result<(), String> {
    let job = &state.job;
    // A tick is missed as well that no host is there for, or that has run before its job was removed.
    let may_be_missed = |record: &TickRecord| match job.on {
        On::One => false,
        On::Each => !record.runs.is_empty() || had_nobody(record),
    };
    let had_run = |tick: Wall| {
        let purpose = Purpose { job: name.clone(), what: What::Tick(None) };
        let task = purpose.task(tick, partition.id());
        partition.record(task).is_some() || partition.stub(task).is_some()
    };
    let offset = offset(name, job.jitter);
    let mut late: BTreeMap<Wall, usize> = BTreeMap::new();
    for record in fresh {
        let is_late =
            |more: Span| record.decided_at > record.tick + offset + job.misfire_grace + more;
        if record.verdict == Verdict::Missed {
            if !is_late(Span::ZERO) && !may_be_missed(record) && !had_run(record.tick) {
                return Err(format!("{record:?} was in time, and is missed"));
            }
        } else if is_late(PUT_LATER) {
            *late.entry(record.decided_at).or_default() += 1;
        }
    }
    let most = match job.misfire {
        Misfire::Skip => 0,
        Misfire::Once => 1,
        Misfire::All { most } => usize::from(most),
    };
    match late.into_iter().find(|(_, count)| *count > most) {
        Some((at, count)) => Err(format!("{count} late ticks are fired at {at:?}: {fresh:?}")),
        None => Ok(()),
    }
}

/// What of earlier ticks had not ended is treated as the job says.
fn overlaps(
    name: &JobName,
    state: &JobState,
    fresh: &[&TickRecord],
    partition: &Partition,
) -> Result<(), String> {
    if state.job.on == On::Each {
        return Ok(());
    }
    let open: Vec<(Wall, TaskId)> = (partition.job_tasks())
        .filter(|(job, ..)| *job == name)
        .map(|(_, tick, task)| (tick, task))
        .collect();
    for record in fresh.iter().filter(|record| record.verdict == Verdict::Fired) {
        let of_tick = |tick: Wall| state.history.iter().find(move |one| one.tick == tick);
        for (tick, task) in open.iter().filter(|(tick, _)| *tick < record.tick) {
            // One by hand may be younger than it seems.
            if of_tick(*tick).is_none_or(|one| one.by_hand) {
                continue;
            }
            let known = partition.record(*task);
            let is_stopped = (known.as_ref().and_then(|record| record.history.as_ref()))
                .is_some_and(|history| history.cancelled);
            match state.job.overlap {
                Overlap::Forbid => {
                    return Err(format!("{:?} runs beside {task}", record.tick));
                }
                Overlap::Replace if !is_stopped => {
                    return Err(format!("{:?} does not replace {task}", record.tick));
                }
                Overlap::Allow | Overlap::Replace => {}
            }
        }
    }
    if let Some(record) = fresh.iter().find(|record| record.verdict == Verdict::Skipped)
        && state.job.overlap != Overlap::Forbid
    {
        return Err(format!("{record:?} is skipped for no reason"));
    }
    Ok(())
}

/// Looks for ticks that are due.
///
/// # Errors
/// The first that has been for too long.
pub fn check(world: &mut World) -> Result<(), String> {
    if world.plan.jobs == 0 {
        return Ok(());
    }
    let now = world.now;
    let known = std::mem::take(&mut world.watch.fired.due);
    if has_bad_ways(world) {
        world.watch.fired.bad_at = now;
    }
    let bad_at = world.watch.fired.bad_at;
    let mut due = BTreeMap::new();
    let circles = circles(world, |host| is_well(world, host));
    for id in partitions(world) {
        let is_able =
            |hosts: &std::collections::BTreeSet<usize>| has_majority(world, GroupId::of(id), hosts);
        let Some((host, partition)) = owner(world, id) else {
            continue;
        };
        // An owner that is not well, or hears nobody, does nothing in time, nor must it.
        if !circles.iter().any(|hosts| hosts.contains(&host) && is_able(hosts)) {
            continue;
        }
        // Nor does one whose memory is full.
        let memory = world.hosts[host].process.as_ref().map_or(0, |one| one.scheduler.memory());
        if memory >= world.plan.limits.node_bytes_max {
            continue;
        }
        for (name, state) in partition.jobs() {
            let plan = Plan::new(&state.job.schedule, &state.job.timezone, &world.zones);
            let next = plan.ok().and_then(|plan| state.next_look(name, &plan));
            let behind = Span::from_micros(world.slack.behind);
            let Some(next) = next.filter(|next| *next + behind <= true_wall(now)) else {
                continue;
            };
            let key = (name.clone(), state.fired_through);
            let since = known.get(&key).copied().unwrap_or(now);
            let grace = if since <= bad_at { ON_BAD_WAYS } else { 0 };
            if now - since > FIRED_WITHIN + grace {
                let clock = partition.now();
                return Err(format!(
                    "{name} has been due for {} us at host {host}: {next:?}, and it is {clock:?}, \
                     {state:?}",
                    now - since
                ));
            }
            due.insert(key, since);
        }
    }
    world.watch.fired.due = due;
    Ok(())
}
