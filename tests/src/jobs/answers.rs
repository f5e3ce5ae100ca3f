//! What people make of what they are told of jobs.

use umbel_protocol::job::{Job, JobView, Source};
use umbel_protocol::partition::{JobChange, JobRefusal, Precondition};
use umbel_protocol::wire::{Answer, Ask, RequestError};

use crate::invariants::{jobs_are_kept, ticks_fire_once};
use crate::plan::{MS, SECOND};
use crate::work::Script;
use crate::world::World;

impl World {
    /// Somebody who wanted something of jobs is answered; whether that is final.
    pub(crate) fn job_answered(
        &mut self,
        op: u64,
        asked_at: u64,
        ask: &Ask,
        answer: Answer,
    ) -> bool {
        match (ask, answer) {
            (Ask::ChangeRule { .. }, Answer::Done) => self.rule_holds(ask),
            (Ask::ChangeJob { .. }, Answer::Done) => {
                let is_right = jobs_are_kept::done(self, op);
                self.must("jobs_are_kept", is_right);
            }
            (Ask::RunJob { job, at }, Answer::Done) => {
                let has_run = ticks_fire_once::on_run(self, job, *at);
                self.must("ticks_fire_once", has_run);
            }
            (Ask::ShowJob { job }, Answer::Job(view)) => {
                let is_right = jobs_are_kept::shown(self, job, Some(&view.job), asked_at);
                self.must("jobs_are_kept", is_right);
                jobs_are_kept::seen(self, job, view.revision, asked_at);
                if self.flip(0.3) {
                    self.edit_job(&view);
                }
                let runs = view.history.iter().flat_map(|tick| &tick.runs);
                let tasks: Vec<_> = runs.filter_map(|run| run.task).collect();
                self.follow_job(&tasks);
            }
            (Ask::ListJobs { .. }, Answer::Jobs { jobs, .. }) => {
                let is_sorted = jobs.is_sorted_by(|one, next| one.name < next.name);
                if !is_sorted || jobs.len() > 3 {
                    self.must("jobs_are_kept", Err(format!("a list is {jobs:?}")));
                }
            }
            (_, Answer::Failed(RequestError::Job(refusal))) => {
                return self.refused(op, asked_at, ask, &refusal);
            }
            (_, Answer::Failed(RequestError::NotUpgraded)) => {
                return false;
            }
            (_, Answer::Failed(RequestError::InvalidJob(_) | RequestError::UnknownTask { .. })) => {
                self.violate(format!("{ask:?} is refused"));
            }
            (_, Answer::Failed(_)) => return false,
            (ask, answer) => self.violate(format!("{ask:?} is answered {answer:?}")),
        }
        self.progress_at = self.now;
        true
    }

    fn refused(&mut self, op: u64, asked_at: u64, ask: &Ask, refusal: &JobRefusal) -> bool {
        jobs_are_kept::refused(self, op);
        let result = match (ask, refusal) {
            (
                Ask::ChangeJob { job, .. } | Ask::RunJob { job, .. } | Ask::ShowJob { job },
                JobRefusal::NotFound { .. },
            ) => jobs_are_kept::shown(self, job, None, asked_at),
            (Ask::ChangeJob { job, .. }, JobRefusal::Exists { .. }) => {
                jobs_are_kept::shown_to_exist(self, job, asked_at)
            }
            (Ask::RunJob { .. }, JobRefusal::Changed { .. }) => {
                self.saw("job changed while it was to run");
                return false;
            }
            (Ask::ChangeJob { .. }, JobRefusal::Changed { .. }) => {
                self.saw("job changed while it was edited");
                jobs_are_kept::changed(self, op)
            }
            (Ask::RunJob { .. }, JobRefusal::Untimely { .. }) => {
                self.saw("run by hand too late");
                Ok(())
            }
            (_, refusal) => Err(format!("{ask:?} is refused: {refusal}")),
        };
        self.must("jobs_are_kept", result);
        self.progress_at = self.now;
        true
    }

    /// Somebody changes what a job is given, as they have seen it.
    fn edit_job(&mut self, view: &JobView) {
        let at = self.now + self.between(0, 2 * SECOND);
        // No two are the same.
        let takes = MS + self.between(0, SECOND);
        let script = Script { takes, ..Script::plain(0) };
        let job = Box::new(Job { args: script.to_args(), ..view.job.clone() });
        let precondition = Precondition::Revision(view.revision);
        let change = JobChange::Define { job, source: Source::Live, precondition };
        self.begin_job(at, Ask::ChangeJob { job: view.name.clone(), change });
    }

    /// Somebody looks at what a job has run, and stops it at times.
    fn follow_job(&mut self, tasks: &[umbel_protocol::id::TaskId]) {
        for task in tasks {
            let at = self.now + self.between(0, 2 * SECOND);
            match self.between(0, 19) {
                0 => self.begin_with_task(at, *task, true),
                1 => self.begin_with_task(at, *task, false),
                _ => {}
            }
        }
    }
}
