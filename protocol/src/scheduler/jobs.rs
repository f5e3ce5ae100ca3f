//! The jobs of the partitions that this node owns: when each is to be looked at next.
//!
//! An index over the jobs' states, rebuilt when a partition gets its owner here, and kept right by what
//! its entries change: [`fire`] acts on what is due, [`alert`] tells what there is to tell, and [`ask`]
//! does what people want. A hundred thousand jobs cost nothing but their places here while none is due.

mod alert;
mod ask;
mod fire;
mod list;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::list::{JobListing, Page};
use super::{Now, Scheduler};
use crate::id::PartitionId;
use crate::job::{Job, JobName, JobState, Plan, Schedule, Zones};
use crate::time::{Tick, Wall};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Plans {
    known: BTreeMap<JobName, Known>,
    /// The jobs of each partition.
    names: BTreeMap<PartitionId, BTreeSet<JobName>>,
    due: BTreeSet<(Wall, JobName)>,
    /// What is looked at again, and when.
    again: BTreeSet<(Tick, JobName)>,
    /// Jobs that have something to tell.
    notices: BTreeSet<JobName>,
    /// Expressions that were parsed, with their zones: many jobs have the same.
    parsed: BTreeMap<(String, String), Plan>,
    /// How many are still looked at in this step.
    budget: usize,
}

#[derive(Debug)]
struct Known {
    partition: PartitionId,
    revision: u64,
    /// None if this node does not know its time zone: then it never fires here.
    plan: Option<Plan>,
    /// Its place among those that are due.
    due: Option<Wall>,
    again: Option<Tick>,
}

impl Plans {
    /// When the next is to be looked at, by the clocks that show `now`.
    pub(super) fn next(&self, now: Now) -> Tick {
        let by_wall = self.due.first().map(|(at, _)| now.tick + at.since(now.wall));
        let again = self.again.first().map(|(at, _)| *at);
        by_wall.into_iter().chain(again).min().unwrap_or(Tick::NEVER)
    }

    /// The next job whose time has come by `now`. It is told of no more until it is indexed again.
    fn pop(&mut self, now: Now) -> Option<JobName> {
        if let Some((at, name)) = self.due.first().filter(|(at, _)| *at <= now.wall).cloned() {
            self.due.remove(&(at, name.clone()));
            self.known.get_mut(&name)?.due = None;
            return Some(name);
        }
        let (at, name) = self.again.first().filter(|(at, _)| *at <= now.tick).cloned()?;
        self.again.remove(&(at, name.clone()));
        self.known.get_mut(&name)?.again = None;
        Some(name)
    }

    /// `name` is looked at again at `at`, whatever its plan says.
    fn look_again(&mut self, name: &JobName, at: Tick) {
        let Some(known) = self.known.get_mut(name) else {
            return;
        };
        if let Some(before) = known.again.replace(at) {
            self.again.remove(&(before, name.clone()));
        }
        self.again.insert((at, name.clone()));
    }

    fn look_at(&mut self, name: &JobName, at: Option<Wall>) {
        let Some(known) = self.known.get_mut(name) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut known.due, at) {
            self.due.remove(&(before, name.clone()));
        }
        if let Some(again) = known.again.take() {
            self.again.remove(&(again, name.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, name.clone()));
        }
    }

    fn insert(&mut self, name: &JobName, known: Known) {
        self.look_at(name, None);
        self.names.entry(known.partition).or_default().insert(name.clone());
        self.known.insert(name.clone(), known);
    }

    fn remove(&mut self, name: &JobName) {
        self.look_at(name, None);
        if let Some(known) = self.known.remove(name)
            && let Some(names) = self.names.get_mut(&known.partition)
        {
            names.remove(name);
        }
        self.notices.remove(name);
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        let gone = self.names.remove(&partition).unwrap_or_default();
        gone.iter().for_each(|name| self.remove(name));
    }

    /// What the ticks of `job` are, if its zone is known here.
    fn plan(&mut self, job: &Job, zones: &Zones) -> Option<Plan> {
        let Schedule::Cron(text) = &job.schedule else {
            return Plan::new(&job.schedule, &job.timezone, zones).ok();
        };
        let key = (text.clone(), job.timezone.clone());
        if let Some(plan) = self.parsed.get(&key) {
            return Some(plan.clone());
        }
        let plan = Plan::new(&job.schedule, &job.timezone, zones).ok()?;
        if self.parsed.len() >= PARSED_MAX {
            self.parsed.clear();
        }
        self.parsed.insert(key, plan.clone());
        Some(plan)
    }

    /// A step begins.
    pub(super) const fn begin_step(&mut self) {
        self.budget = JOBS_PER_STEP;
    }
}

/// Jobs that are looked at in one step: the rest is due in the next one, so that votes and beats of
/// others do not wait for all of a herd.
const JOBS_PER_STEP: usize = 1_024;
/// Parsed expressions that are kept.
const PARSED_MAX: usize = 4_096;

impl Scheduler {
    /// The partition of a job.
    pub(super) fn partition_of_job(&self, job: &JobName) -> Option<PartitionId> {
        self.meta.as_ref().map(|meta| job.partition(meta.partitions))
    }

    /// A job, if its partition is owned here.
    fn owned_job(&self, job: &JobName) -> Option<&JobState> {
        self.owned(self.partition_of_job(job)?)?.job(job)
    }

    /// All jobs of a partition that is owned here from now on are looked after.
    pub(super) fn index_jobs(&mut self, partition: PartitionId) {
        let jobs = self.owned(partition).into_iter().flat_map(|owned| owned.jobs());
        let jobs: Vec<(JobName, bool)> =
            jobs.map(|(name, state)| (name.clone(), !state.alerts.is_empty())).collect();
        for (name, has_notices) in jobs {
            self.index_job(&name);
            if has_notices {
                self.plans.notices.insert(name);
            }
        }
    }

    /// When a job is to be looked at next may have changed.
    pub(super) fn index_job(&mut self, name: &JobName) {
        let Some(partition) = self.partition_of_job(name) else {
            return;
        };
        let replica = self.replicas.get(&crate::id::GroupId::of(partition));
        let Some(state) = replica.and_then(|r| r.partition()).and_then(|p| p.job(name)) else {
            return self.plans.remove(name);
        };
        let is_known =
            self.plans.known.get(name).is_some_and(|known| known.revision == state.revision);
        if !is_known {
            let plan = self.plans.plan(&state.job, &self.settings.zones);
            let revision = state.revision;
            self.plans.insert(name, Known { partition, revision, plan, due: None, again: None });
        }
        let plan = self.plans.known.get(name).and_then(|known| known.plan.as_ref());
        let tick = plan.and_then(|plan| state.next_look(name, plan));
        let report = next_report(state);
        let next = tick.into_iter().chain(report).min();
        self.plans.look_at(name, next);
    }

    /// The next tick of a job, as far as this node can tell.
    fn next_tick_of(&self, name: &JobName, state: &JobState) -> Option<Wall> {
        let known = self.plans.known.get(name);
        state.next(known?.plan.as_ref()?)
    }
}

/// When the next tick of a job should have reported, of those that have not.
fn next_report(state: &JobState) -> Option<Wall> {
    state.awaited.iter().map(|(_, by)| *by).min()
}
