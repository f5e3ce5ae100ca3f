//! What people say of jobs: defined, removed, enabled, disabled.

use serde::{Deserialize, Serialize};

use crate::job::{Job, JobName, JobState, Source};
use crate::limits::{JOBS_BYTES_MAX, JOBS_MAX};
use crate::partition::{Change, Partition};

/// What is said of a job. New variants go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobChange {
    /// This is the job from now on. To say it once more changes nothing.
    Define {
        /// What it is.
        job: Box<Job>,
        /// Who says so.
        source: Source,
        /// Whether it must not be there yet (`true`), must be there (`false`), or either.
        is_new: Option<bool>,
    },
    /// There is no such job any more. Its tasks go on.
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

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JobRefusal {
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
            JobChange::Define { job, source, is_new } => {
                self.define(index, name, *job, source, is_new)
            }
            JobChange::Remove { source } => self.remove_job(name, source),
            JobChange::Enable { enabled } => self.enable(index, name, enabled),
        };
        changes.push(Change::JobChanged { job: name.clone(), result });
        changes.push(Change::JobDue { job: name.clone() });
    }

    fn define(
        &mut self,
        index: u64,
        name: &JobName,
        job: Job,
        source: Source,
        is_new: Option<bool>,
    ) -> Result<(), JobRefusal> {
        let now = self.now;
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
        match (is_new, known) {
            (Some(true), Some(_)) => return Err(JobRefusal::Exists { job: name.clone() }),
            (Some(false), None) => return Err(JobRefusal::NotFound { job: name.clone() }),
            _ => {}
        }
        let before = known.map_or(0, |state| state.job.weight());
        let grows = job.weight() > before;
        let is_full = self.jobs.bytes() >= JOBS_BYTES_MAX && grows;
        if is_full || (known.is_none() && self.jobs.states.len() >= JOBS_MAX) {
            return Err(JobRefusal::Full);
        }
        let changed = self.jobs.take(name, |state| {
            // What passed while nothing was to be fired any more was not missed.
            if !state.has_ticks_of(&job) || state.is_over(now) {
                if !state.has_ticks_of(&job) {
                    state.since = now;
                }
                state.fired_through = now;
            }
            if state.job.enabled != job.enabled {
                state.fired_through = if state.enabled { state.fired_through } else { now };
                state.enabled = job.enabled;
            }
            if job.alert.is_none() {
                state.alerts.clear();
            }
            state.job = job.clone();
            state.source = source;
            state.revision = index;
        });
        if changed.is_none() {
            self.jobs.put(name.clone(), JobState::new(job, source, index, now));
        }
        Ok(())
    }

    fn remove_job(&mut self, name: &JobName, source: Source) -> Result<(), JobRefusal> {
        let job = || name.clone();
        self.jobs.note_file(source).map_err(|()| JobRefusal::OldFile { job: job() })?;
        match (self.jobs.states.get(name).map(|state| state.source), source) {
            (Some(Source::File { .. }), Source::Live) => Err(JobRefusal::OfFile { job: job() }),
            // What somebody has added is none of the file's.
            (Some(Source::Live), Source::File { .. }) | (None, _) => {
                Err(JobRefusal::NotFound { job: job() })
            }
            (Some(Source::File { .. }), Source::File { .. })
            | (Some(Source::Live), Source::Live) => {
                self.jobs.remove(name);
                Ok(())
            }
        }
    }

    fn enable(&mut self, index: u64, name: &JobName, enabled: bool) -> Result<(), JobRefusal> {
        let now = self.now;
        let changed = self.jobs.take(name, |state| {
            if state.enabled != enabled {
                state.enabled = enabled;
                state.fired_through = now;
                state.revision = index;
            }
        });
        changed.ok_or_else(|| JobRefusal::NotFound { job: name.clone() })
    }
}
