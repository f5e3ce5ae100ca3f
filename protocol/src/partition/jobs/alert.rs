//! Telling of what has happened to a job: a task for each notice, made in the step that takes it off
//! the list.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::task::Purpose;
use crate::job::{JobName, JobState, Notice, SentAlert};
use crate::partition::{Change, Partition};
use crate::sabotage::{self, Defect};
use crate::task::Template;

/// The task that tells of one notice of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertTask {
    /// The job.
    pub job: JobName,
    /// Which job of that name; see [`JobState::born`].
    pub born: u64,
    /// Which of its notices: how many were told before.
    pub number: u64,
    /// What the job's alert runs, with what it leaves to the declaration of its task.
    pub template: Template,
    /// Its arguments, JSON, which tell what has happened.
    pub args: Bytes,
}

impl Partition {
    /// Creates the task that tells of the oldest notice of a job, if that is the one that is meant.
    pub(in crate::partition) fn alert(&mut self, alert: &AlertTask, changes: &mut Vec<Change>) {
        let AlertTask { job, born, number, template, args } = alert;
        let may_tell = |state: &&JobState| {
            (state.born, state.alert_next) == (*born, *number) && state.may_tell()
        };
        let Some(state) = self.jobs.states.get(job).filter(may_tell) else {
            return;
        };
        let Some(notice) = state.alerts.front() else {
            return;
        };
        if !state.job.alert.as_ref().is_some_and(|alert| alert.is_told_by(template)) {
            // Another one is to tell by now: it has not been asked yet.
            return self.tell_notices(job, changes);
        }
        let task = self.job_task(job, notice.at, Purpose::Alert(*number));
        if !self.has_room_for(1, args, None) {
            changes.push(Change::JobFull { job: job.clone() });
            return;
        }
        if !sabotage::has(Defect::LoseAlert) && self.create(task, template, args, None, changes) {
            self.jobs.begin_telling(job, task);
        }
        self.jobs.take(job, |state| {
            if let Some(Notice { event, at, .. }) = state.alerts.pop_front() {
                state.last_alert = Some(SentAlert { event, at, task });
            }
            state.alert_next += 1;
        });
        self.tell_notices(job, changes);
    }
}
