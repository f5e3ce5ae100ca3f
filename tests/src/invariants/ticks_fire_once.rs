//! A tick of a job is decided about once, for ever: it is fired or it is not, and no host runs it under two
//! ids.
//!
//! The first copy that applies an entry is looked at before anything else happens, so nothing that is
//! remembered of a job for a moment only is missed. The ids of its tasks are [worked out](crate::jobs)
//! anew: a task whose id does not follow from what it is for would be the second one for that.

use std::collections::BTreeMap;

use umbel_protocol::id::{NodeId, TaskId};
use umbel_protocol::job::{JobName, On, Schedule, TickRecord, Verdict};
use umbel_protocol::partition::Partition;
use umbel_protocol::time::Wall;

use super::jobs_are_kept;
use crate::host::true_time;
use crate::jobs::{Jobs, Purpose, What};
use crate::world::World;

/// What was decided about each tick, by the name of its job, its time, and whether somebody asked for it.
pub type Ticks = BTreeMap<(JobName, Wall, bool), Decided>;

/// What was decided about a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    verdict: Verdict,
    at: Wall,
    /// Its tasks, by the host if each host has one.
    tasks: BTreeMap<Option<NodeId>, TaskId>,
}

/// Whether a tick of a job was seen before.
#[must_use]
pub fn knows(ticks: &Ticks, job: &JobName, tick: &TickRecord) -> bool {
    ticks.contains_key(&(job.clone(), tick.tick, tick.by_hand))
}

/// A copy of a partition has applied what none had before.
///
/// # Errors
/// The first tick that was decided about twice, or has a task that it cannot have.
pub fn check(ticks: &mut Ticks, jobs: &mut Jobs, partition: &Partition) -> Result<(), String> {
    for (name, state) in partition.jobs() {
        let on = jobs.lasting.get(name).map_or(On::One, |lasting| lasting.on);
        let mut before = None;
        for record in state.history.iter() {
            let key = (record.tick, record.by_hand);
            let is_twice =
                state.history.iter().filter(|one| (one.tick, one.by_hand) == key).count();
            if is_twice != 1 {
                return Err(format!("{name} has decided twice about {:?}", record.tick));
            }
            if !record.by_hand && before.replace(record.tick) >= Some(record.tick) {
                return Err(format!("{name} has gone back to {:?}", record.tick));
            }
            let decided = decided(on, record);
            let known = ticks.entry((name.clone(), record.tick, record.by_hand));
            let known = known.or_insert_with(|| decided.clone());
            if record.by_hand && known.verdict != Verdict::Fired {
                // It did not run. Whoever asks again when the job was defined anew may have it run.
                known.clone_from(&decided);
            }
            let is_defined_anew =
                matches!(state.job.schedule, Schedule::At(at) if at <= state.since);
            if is_defined_anew && record.decided_at >= state.since && known.at < state.since {
                // It was removed, and defined anew in the moment of its tick: that is another job.
                if record.verdict == Verdict::Fired {
                    known.clone_from(&decided);
                }
                continue;
            }
            let is_same = (known.verdict, known.at) == (decided.verdict, decided.at)
                // Runs of ticks of long ago are forgotten.
                && (decided.tasks.is_empty() || known.tasks == decided.tasks);
            if !is_same {
                let (tick, job) = (record.tick, &state.job);
                return Err(format!(
                    "the tick of {name} at {tick:?} was {known:?}, now {decided:?}; by hand: {}, \
                     since {:?}, {job:?}",
                    record.by_hand, state.since
                ));
            }
            for (place, task) in &decided.tasks {
                let what = if record.by_hand { What::ByHand(*place) } else { What::Tick(*place) };
                let purpose = Purpose { job: name.clone(), what };
                if purpose.task(record.tick, partition.id()) != *task {
                    return Err(format!("{task} is no id for {purpose:?} at {:?}", record.tick));
                }
            }
        }
    }
    for (name, tick, task) in partition.job_tasks() {
        let Some(Purpose { job, what }) = jobs.purpose_of(task).cloned() else {
            return Err(format!("{task} is no id of a task of {name}"));
        };
        let by_hand = match what {
            What::Tick(_) => false,
            What::ByHand(_) => true,
            What::Alert(_) => return Err(format!("{task} of {name} is an alert")),
        };
        let verdict = ticks.get(&(name.clone(), tick, by_hand)).map(|decided| decided.verdict);
        if job != *name || verdict.is_some_and(|verdict| verdict != Verdict::Fired) {
            return Err(format!("{task} is a task of {name} for {tick:?}, which was {verdict:?}"));
        }
    }
    Ok(())
}

fn decided(on: On, record: &TickRecord) -> Decided {
    let runs = record.runs.iter().filter_map(|run| Some((run.node, run.task?)));
    let tasks = runs.map(|(node, task)| (node.filter(|_| on == On::Each), task)).collect();
    Decided { verdict: record.verdict, at: record.decided_at, tasks }
}

/// Somebody is told that a job has run, or will, as was asked for at `at`.
///
/// # Errors
/// If nothing is known of that.
pub fn on_run(world: &World, job: &JobName, at: Wall) -> Result<(), String> {
    // Others may have asked for the same before.
    let asked_at = true_time(at);
    let is_known = world.watch.ticks.contains_key(&(job.clone(), at, true));
    // What was removed in the same entry leaves nothing that could be seen, if it was not to run then.
    if is_known || jobs_are_kept::may_be_removed(world, job, asked_at) {
        return Ok(());
    }
    Err(format!("{job} was to run at {at:?}, and has not"))
}
