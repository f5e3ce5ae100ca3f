//! The jobs of a partition, and what their ticks lead to, one file per verb: [`define`], [`fire`],
//! [`conclude`], [`alert`].
//!
//! A tick fires **once**: one command moves [`fired_through`](JobState::fired_through) and creates the
//! [`task`]s, whose ids follow from the job, the tick and the node; there is no state in which one has
//! happened and not the other.

mod alert;
mod conclude;
mod define;
mod fire;
mod image;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

pub use self::alert::AlertTask;
pub use self::define::{JobChange, JobRefusal, Precondition};
pub use self::fire::{Fire, Nodes, RunNow};
pub(super) use self::image::JobsImage;
use super::Partition;
use crate::id::TaskId;
use crate::job::{JobName, JobState, Source, Target};
use crate::limits::{JOB_TASKS_BYTES_MAX, JOB_TASKS_MAX, JOBS_BYTES_MAX};
use crate::task::Record;
use crate::time::Wall;

/// All jobs of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    states: BTreeMap<JobName, JobState>,
    /// Tasks of jobs that have not ended.
    open: BTreeMap<TaskId, OpenTask>,
    /// The latest version of the cluster's file that was heard of here: an earlier one has no say.
    file: u64,

    // Derived.
    by_job: BTreeMap<JobName, BTreeSet<TaskId>>,
    /// Tasks that tell of jobs and have not ended.
    telling: BTreeMap<TaskId, JobName>,
    bytes: usize,
    /// What the open tasks are of those.
    open_bytes: usize,
}

/// A task of a job that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OpenTask {
    job: JobName,
    /// Which job of that name; see [`JobState::born`].
    born: u64,
    tick: Wall,
    by_hand: bool,
    /// Where it may run.
    target: Target,
}

impl Jobs {
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.open.is_empty() && self.file == 0
    }

    /// What their memory is counted as.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same without their open tasks, which have room of their own.
    const fn states_bytes(&self) -> usize {
        self.bytes - self.open_bytes
    }

    /// Takes a job in hand, if there is one, and weighs it anew afterwards.
    fn take<R>(&mut self, name: &JobName, act: impl FnOnce(&mut JobState) -> R) -> Option<R> {
        let state = self.states.get_mut(name)?;
        self.bytes -= weight(name, state);
        let result = act(state);
        if self.bytes - self.open_bytes + weight(name, state) > JOBS_BYTES_MAX / 2 {
            state.history.crowd();
        }
        self.bytes += weight(name, state);
        Some(result)
    }

    fn put(&mut self, name: JobName, state: JobState) {
        self.bytes += weight(&name, &state);
        self.telling.extend(state.alerts_open.iter().map(|task| (*task, name.clone())));
        if let Some(before) = self.states.get(&name) {
            self.bytes -= weight(&name, before);
        }
        self.states.insert(name, state);
    }

    fn remove(&mut self, name: &JobName) {
        if let Some(state) = self.states.remove(name) {
            self.bytes -= weight(name, &state);
            state.alerts_open.iter().for_each(|task| drop(self.telling.remove(task)));
        }
    }

    /// A task of `name` tells of it.
    fn begin_telling(&mut self, name: &JobName, task: TaskId) {
        self.telling.insert(task, name.clone());
        self.take(name, |state| state.alerts_open.insert(task));
    }

    /// It has ended; the job that it told of.
    fn end_telling(&mut self, task: TaskId) -> Option<JobName> {
        let name = self.telling.remove(&task)?;
        self.take(&name, |state| state.alerts_open.remove(&task));
        Some(name)
    }

    fn open(&mut self, task: TaskId, open: OpenTask) {
        let weight = open.weight();
        self.bytes += weight;
        self.open_bytes += weight;
        self.by_job.entry(open.job.clone()).or_default().insert(task);
        self.open.insert(task, open);
    }

    fn close(&mut self, task: TaskId) -> Option<OpenTask> {
        let open = self.open.remove(&task)?;
        let weight = open.weight();
        self.bytes -= weight;
        self.open_bytes -= weight;
        if let Some(tasks) = self.by_job.get_mut(&open.job) {
            tasks.remove(&task);
            if tasks.is_empty() {
                self.by_job.remove(&open.job);
            }
        }
        Some(open)
    }

    /// Whether there is room for so many open tasks, which run where `select` says or on one node.
    fn has_room_for(&self, tasks: usize, select: &Target) -> bool {
        self.open.len() + tasks <= JOB_TASKS_MAX
            && self.open_bytes + tasks * (OPEN_WEIGHT + select.weight()) <= JOB_TASKS_BYTES_MAX
    }

    /// Somebody says something; an error if it is an earlier version of the file than was heard of.
    fn note_file(&mut self, source: Source) -> Result<(), ()> {
        let Source::File { number } = source else {
            return Ok(());
        };
        if number < self.file {
            return Err(());
        }
        self.file = number;
        Ok(())
    }

    /// What is derived is as if it were made anew.
    #[cfg(test)]
    pub(super) fn assert_counted(&self) {
        let anew = Self::from_image(self.to_image());
        let of =
            |jobs: &Self| (jobs.bytes, jobs.open_bytes, jobs.by_job.clone(), jobs.telling.clone());
        assert_eq!(of(self), of(&anew), "jobs");
    }

    /// Tasks of a job that have not ended.
    fn open_of(&self, name: &JobName) -> impl Iterator<Item = (TaskId, &OpenTask)> {
        let tasks = self.by_job.get(name).into_iter().flatten();
        tasks.filter_map(|task| Some((*task, self.open.get(task)?)))
    }
}

fn weight(name: &JobName, state: &JobState) -> usize {
    name.as_str().len() + state.weight()
}

/// An open task and its places in the two maps, without the labels that it asks for.
const OPEN_WEIGHT: usize = 192;

impl OpenTask {
    fn weight(&self) -> usize {
        OPEN_WEIGHT + self.target.weight()
    }
}

impl Partition {
    /// The job `name`.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<&JobState> {
        self.jobs.states.get(name)
    }

    /// All jobs, by name.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = (&JobName, &JobState)> {
        self.jobs.states.iter()
    }

    /// The jobs whose names begin with `prefix` and come after `after`, by name.
    pub fn jobs_from<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a JobName>,
    ) -> impl Iterator<Item = (&'a JobName, &'a JobState)> {
        let from = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            Some(_) | None => Bound::Included(prefix),
        };
        let found = self.jobs.states.range::<str, _>((from, Bound::Unbounded));
        found.take_while(move |(name, _)| name.as_str().starts_with(prefix))
    }

    /// Where a task of a job may run that has not ended.
    #[must_use]
    pub fn job_target(&self, task: TaskId) -> Option<&Target> {
        // Nearly all tasks are of no job, and their ids say so.
        let open = task.is_derived().then(|| self.jobs.open.get(&task)).flatten()?;
        Some(&open.target)
    }

    /// Where the task of `record` may run.
    #[must_use]
    pub fn target(&self, task: TaskId, record: &Record) -> Target {
        let said = || record.particulars.as_ref().map(|said| &said.target);
        self.job_target(task).or_else(said).cloned().unwrap_or_default()
    }

    /// Tasks of jobs that have not ended: their job, their tick and themselves.
    pub fn job_tasks(&self) -> impl Iterator<Item = (&JobName, Wall, TaskId)> {
        self.jobs.open.iter().map(|(task, open)| (&open.job, open.tick, *task))
    }
}
