//! What people say of jobs: defined, removed, enabled, disabled.

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::job::{Job, JobName, JobState, Schedule, Source};
use crate::limits::{JOBS_BYTES_MAX, JOBS_MAX};
use crate::partition::{Change, Partition};
use crate::sabotage::{self, Defect};
use crate::task::State;
use crate::time::{Span, Wall};
use crate::wire::hello::Versions;

/// What is said of a job. New variants go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobChange {
    /// This is the job from now on. To say it once more changes nothing.
    Define {
        /// What it is.
        job: Box<Job>,
        /// Who says so.
        source: Source,
        /// What must be so for that.
        precondition: Precondition,
    },
    /// There is no such job any more. Those of its tasks that run go on, those that wait are cancelled, and
    /// so are those that were to tell of it; of the latter one that runs is tried again if it fails.
    Remove {
        /// Who says so. A file removes only what earlier files have said.
        source: Source,
    },
    /// It fires from now on, or does not. Ticks that pass meanwhile are no missed ones.
    Enable {
        /// Whether it fires.
        enabled: bool,
    },
}

impl JobChange {
    /// The version of the protocol that knows all that it says.
    pub(crate) fn needs_version(&self) -> u16 {
        match self {
            Self::Define { job, .. } => job.needs_version(),
            Self::Remove { .. } | Self::Enable { .. } => Versions::OWN.min,
        }
    }
}

/// What whoever defines a job takes to be so: if it is not, nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// There is no job of this name.
    Absent,
    /// Nothing.
    Any,
    /// There is one, of which nothing was said since [this revision](JobState::revision).
    Revision(u64),
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JobRefusal {
    /// Somebody has said something else of it meanwhile.
    #[error(
        "the job {job} was changed meanwhile; look at it with `umbel job show {job}` and try again"
    )]
    Changed {
        /// Its name.
        job: JobName,
    },
    /// There is a job of this name, and it was to be a new one.
    #[error(
        "there is a job {job} already; change it with `umbel job edit`, or choose another name"
    )]
    Exists {
        /// Its name.
        job: JobName,
    },
    /// There is no such job.
    #[error("there is no job {job}; see `umbel job list`")]
    NotFound {
        /// Its name.
        job: JobName,
    },
    /// The job belongs to the cluster's file.
    #[error(
        "the job {job} is defined in cluster.toml: change it there and run `umbel config reload`; \
         it can be disabled and enabled here"
    )]
    OfFile {
        /// Its name.
        job: JobName,
    },
    /// There is no room for more jobs.
    #[error(
        "the partition of this job is full ({JOBS_MAX} jobs or {JOBS_BYTES_MAX} bytes of them); \
         remove some, give it another name, or form clusters with more partitions"
    )]
    Full,
    /// A later version of the file says otherwise.
    #[error("the job {job} was defined by a later version of cluster.toml")]
    OldFile {
        /// Its name.
        job: JobName,
    },
    /// There is no room for tasks of the job just now.
    #[error(
        "there is no room for tasks of the job {job} just now; try again when others have ended"
    )]
    Overloaded {
        /// Its name.
        job: JobName,
    },
    /// It was to run now, and that was said too long ago to be sure that it has not.
    #[error("the request to run the job {job} is too old, or its clock is wrong; ask again")]
    Untimely {
        /// Its name.
        job: JobName,
    },
}

impl Partition {
    /// Carries out what was said of a job, by the entry at `index`.
    pub(in crate::partition) fn change_job(
        &mut self,
        index: u64,
        name: &JobName,
        change: JobChange,
        changes: &mut Vec<Change>,
    ) {
        let result = match change {
            JobChange::Define { job, source, precondition } => {
                self.define(index, name, *job, source, precondition)
            }
            JobChange::Remove { source } => {
                let result = self.may_remove(name, source);
                if result.is_ok() {
                    self.remove_job(name, changes);
                }
                result
            }
            JobChange::Enable { enabled } => self.enable(index, name, enabled),
        };
        changes.push(Change::JobChanged { job: name.clone(), result });
        changes.push(Change::JobDue { job: name.clone() });
        self.drop_unwanted(name, changes);
        // What had no room before is remembered by nothing but that it was to be looked at again.
        self.tell_notices(name, changes);
    }

    fn define(
        &mut self,
        index: u64,
        name: &JobName,
        job: Job,
        source: Source,
        precondition: Precondition,
    ) -> Result<(), JobRefusal> {
        let now = job.schedule.by(self.now, self.shown);
        self.jobs.note_file(source).map_err(|()| JobRefusal::OldFile { job: name.clone() })?;
        let known = self.jobs.states.get(name);
        if let Some(state) = known
            && state.job == job
            && state.source == source
        {
            return Ok(());
        }
        if let Some(state) = known
            && let (Source::File { .. }, Source::Live) = (state.source, source)
        {
            return Err(JobRefusal::OfFile { job: name.clone() });
        }
        match (precondition, known) {
            (Precondition::Any, _) | (Precondition::Absent, None) => {}
            (Precondition::Absent, Some(_)) => {
                return Err(JobRefusal::Exists { job: name.clone() });
            }
            (Precondition::Revision(_), None) => {
                return Err(JobRefusal::NotFound { job: name.clone() });
            }
            (Precondition::Revision(seen), Some(state))
                if state.revision != seen && !sabotage::has(Defect::EditBlindly) =>
            {
                return Err(JobRefusal::Changed { job: name.clone() });
            }
            (Precondition::Revision(_), Some(_)) => {}
        }
        let before = known.map_or(0, |state| state.job.weight());
        let grows = job.weight() > before;
        let is_full = self.jobs.states_bytes() >= JOBS_BYTES_MAX && grows;
        if is_full || (known.is_none() && self.jobs.states.len() >= JOBS_MAX) {
            return Err(JobRefusal::Full);
        }
        let from = fires_from(&job, now, self.dedup_floor);
        let changed = self.jobs.take(name, |state| {
            // What passed while nothing was to be fired any more was not missed.
            let has_same_ticks = state.has_ticks_of(&job);
            if !has_same_ticks || state.is_over(now) {
                state.fired_through = state.fired_through.max(from);
            }
            if !has_same_ticks {
                state.since = now;
            }
            if state.job.enabled != job.enabled {
                let from = if state.enabled { state.fired_through } else { now };
                state.fired_through = state.fired_through.max(from);
                state.enabled = job.enabled;
            }
            state.report_within(state.job.report_within, job.report_within);
            let is_told_elsewhere = match (&state.job.alert, &job.alert) {
                (Some(before), Some(after)) => !after.is_told_by(&before.template),
                (None, _) | (_, None) => true,
            };
            if is_told_elsewhere {
                state.tell_anew();
            }
            if job.alert.is_none() {
                // What is on its way about one of them has no effect any more.
                state.alert_next += state.alerts.len() as u64;
                state.alerts.clear();
            }
            state.job = job.clone();
            state.source = source;
            state.revision = index;
        });
        if changed.is_none() {
            self.jobs.put(name.clone(), JobState::new(job, source, index, now, from));
        }
        Ok(())
    }

    fn remove_job(&mut self, name: &JobName, changes: &mut Vec<Change>) {
        let alerts = self.jobs.states.get(name).map(|state| state.alerts_open.clone());
        self.jobs.remove(name);
        self.drop_unwanted(name, changes);
        let waiting = alerts.into_iter().flatten().filter(|task| self.waits(*task));
        for task in waiting.collect::<Vec<_>>() {
            self.cancel(task, changes);
        }
    }

    fn may_remove(&mut self, name: &JobName, source: Source) -> Result<(), JobRefusal> {
        let job = || name.clone();
        self.jobs.note_file(source).map_err(|()| JobRefusal::OldFile { job: job() })?;
        match (self.jobs.states.get(name).map(|state| state.source), source) {
            (Some(Source::File { .. }), Source::Live) => Err(JobRefusal::OfFile { job: job() }),
            // What somebody has added is none of the file's.
            (Some(Source::Live), Source::File { .. }) | (None, _) => {
                Err(JobRefusal::NotFound { job: job() })
            }
            (Some(Source::File { .. }), Source::File { .. })
            | (Some(Source::Live), Source::Live) => Ok(()),
        }
    }

    fn enable(&mut self, index: u64, name: &JobName, enabled: bool) -> Result<(), JobRefusal> {
        let Self { now, shown, .. } = *self;
        let changed = self.jobs.take(name, |state| {
            if state.enabled != enabled {
                state.enabled = enabled;
                let from = state.job.schedule.by(now, shown);
                state.fired_through = state.fired_through.max(from);
                state.revision = index;
            }
        });
        changed.ok_or_else(|| JobRefusal::NotFound { job: name.clone() })
    }

    /// Cancels what waits to be run for `name` and is not wanted any more.
    fn drop_unwanted(&mut self, name: &JobName, changes: &mut Vec<Change>) {
        if sabotage::has(Defect::KeepUnwanted) {
            return;
        }
        let alerts = self.jobs.states.get(name).map(|state| &state.alerts_open);
        let tasks = self.jobs.open_of(name).map(|(task, _)| task);
        let tasks = tasks.chain(alerts.into_iter().flatten().copied());
        let waiting: Vec<TaskId> =
            tasks.filter(|task| self.waits(*task) && self.is_unwanted(*task)).collect();
        for task in waiting {
            self.cancel(task, changes);
        }
    }

    fn waits(&self, task: TaskId) -> bool {
        matches!(self.records.state(task), Some(State::Scheduled | State::Ready))
    }

    /// Whether the job of `task` was removed, or runs another task by now, or is told of by another one, or
    /// in another queue.
    /// The command of a job of the file goes with it: nobody may be left that could run this one.
    pub(super) fn is_unwanted(&self, task: TaskId) -> bool {
        let Some(record) = self.records.get(task) else {
            return false;
        };
        if let Some(open) = self.jobs.open.get(&task) {
            return self.jobs.states.get(&open.job).is_none_or(|state| {
                state.born != open.born || state.job.template.name != record.template.name
            });
        }
        let told = self.jobs.telling.get(&task).and_then(|job| self.jobs.states.get(job));
        told.is_some_and(|state| {
            let alert = state.job.alert.as_ref();
            !alert.is_some_and(|alert| alert.is_told_by(&record.template))
        })
    }
}

/// After when a job fires that is defined at `now`. One tick that has only just passed, because this took
/// its time, is fired, unless it may have been fired before and its id be forgotten.
fn fires_from(job: &Job, now: Wall, dedup_floor: Wall) -> Wall {
    match job.schedule {
        Schedule::At(at) if at <= now && now.since(at) <= job.grace() && at > dedup_floor => {
            at - Span::from_millis(1)
        }
        Schedule::At(_) | Schedule::Cron(_) | Schedule::Every(_) => now,
    }
}
