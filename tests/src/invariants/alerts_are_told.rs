//! What happens to a job is told, if the job says so: each notice waits, has become a task, or was dropped
//! because too many newer ones waited or the job was changed.
//!
//! Notices are numbered. So what was told and what waits add up to all that there ever were, and whatever
//! was counted as missed, is failing, goes well again or did not report must have made that sum grow.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::job::{JobName, JobState};
use umbel_protocol::limits::NOTICES_MAX;
use umbel_protocol::partition::Partition;
use umbel_protocol::time::Wall;

use super::is_forgotten;
use crate::jobs::{Purpose, What};

/// How far each job was told of when its partition was looked at last.
pub type Told = BTreeMap<JobName, Known>;

/// How far a job was told of.
#[derive(Clone, Debug)]
pub struct Known {
    born: u64,
    revision: u64,
    /// Notices that had been taken off the list.
    gone: u64,
    /// When those were noticed that waited.
    waiting: Vec<Wall>,
    last: Option<Wall>,
    is_failing: bool,
    missed: u64,
    unreported: BTreeSet<Wall>,
}

impl Known {
    fn of(state: &JobState) -> Self {
        let unreported = state.history.iter().filter(|tick| tick.unreported && !tick.by_hand);
        Self {
            born: state.born,
            revision: state.revision,
            gone: state.alert_next,
            waiting: state.alerts.iter().map(|notice| notice.at).collect(),
            last: state.last_alert.map(|alert| alert.at),
            is_failing: state.is_failing,
            missed: state.counts.missed,
            unreported: unreported.map(|tick| tick.tick).collect(),
        }
    }

    const fn all(&self) -> u64 {
        self.gone + self.waiting.len() as u64
    }
}

/// A copy of a partition has applied what none had before.
///
/// # Errors
/// The first job of which something is not told that must be.
pub fn on_applied(told: &mut Told, partition: &Partition) -> Result<(), String> {
    for (name, state) in partition.jobs() {
        let now = Known::of(state);
        let before = told.insert(name.clone(), now.clone());
        let Some(before) = before.filter(|before| before.born == now.born) else {
            continue;
        };
        check(name, state, &before, &now, partition)
            .map_err(|why| format!("{name} {why}; {before:?}, {now:?}, {:?}", state.job.alert))?;
    }
    Ok(())
}

fn check(
    name: &JobName,
    state: &JobState,
    before: &Known,
    now: &Known,
    partition: &Partition,
) -> Result<(), String> {
    if now.gone < before.gone || now.all() < before.all() {
        return Err("has fewer notices than it had".to_owned());
    }
    if let Some(last) = state.last_alert.filter(|last| before.last != Some(last.at))
        && partition.record(last.task).is_none()
        && !is_forgotten(partition, last.task)
    {
        return Err(format!("is told of by {}, which is not there", last.task));
    }
    if now.revision != before.revision {
        return Ok(());
    }
    for (number, at) in (before.gone..now.gone).zip(&before.waiting) {
        let purpose = Purpose { job: name.clone(), what: What::Alert(number) };
        let task = purpose.task(*at, partition.id());
        let is_told = partition.record(task).is_some() || is_forgotten(partition, task);
        let is_crowded_out = now.all() > number + NOTICES_MAX as u64;
        if !is_told && !is_crowded_out {
            return Err(format!("is not told of by {task}, number {number}"));
        }
    }
    let least = happened(state, before, now);
    let noticed = now.all() - before.all();
    if noticed < least {
        return Err(format!("has noticed {noticed} of {least} or more that have happened"));
    }
    Ok(())
}

/// At least so much has happened that is to be told.
fn happened(state: &JobState, before: &Known, now: &Known) -> u64 {
    let Some(alert) = &state.job.alert else {
        return 0;
    };
    let unreported = now.unreported.difference(&before.unreported).count() as u64;
    let of_missed = u64::from(now.missed > before.missed) + unreported;
    let fails = !before.is_failing && now.is_failing;
    let recovers = before.is_failing && !now.is_failing;
    let all = [
        if alert.on_missed { of_missed } else { 0 },
        u64::from(alert.on_failure && fails),
        u64::from(alert.on_recovery && recovers),
    ];
    all.iter().sum()
}
