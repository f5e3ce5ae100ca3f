//! What people want of jobs, where the job is owned.

use crate::id::{GroupId, PartitionId};
use crate::job::{Declared, InvalidJob, Job, JobName, JobView, Source};
use crate::limits::NAME_BYTES_MAX;
use crate::partition::{Command, JobChange, JobRefusal, RunNow};
use crate::scheduler::Scheduler;
use crate::scheduler::asks::Origin;
use crate::scheduler::route::NAME_WAIT;
use crate::time::Wall;
use crate::wire::{Answer, Ask, RequestError};

impl Scheduler {
    /// Refuses a request about jobs that could not be carried out.
    ///
    /// # Errors
    /// When there can be no such job, or not all members would understand it.
    pub(in crate::scheduler) fn check_job(&self, ask: &Ask) -> Result<(), RequestError> {
        if let Ask::ListJobs { prefix, .. } = ask
            && prefix.len() > NAME_BYTES_MAX
        {
            let (what, range) =
                ("prefix".to_owned(), format!("at most {NAME_BYTES_MAX} bytes long"));
            return Err(InvalidJob::Option { what, range }.into());
        }
        let Ask::ChangeJob { change: JobChange::Define { job, source, .. }, .. } = ask else {
            return Ok(());
        };
        job.check(&self.settings.zones)?;
        // Before it is known what the cluster is nobody can tell.
        if self.meta.is_some() && !self.all_understand(job.needs_version()) {
            return Err(RequestError::NotUpgraded);
        }
        match source {
            // Somebody is there to be told. A file is the same everywhere, and whoever has the task
            // may start later than whoever brings the file.
            Source::Live => self.know_tasks_of(job),
            Source::File { .. } => Ok(()),
        }
    }

    /// Which tasks of `job` a node is known for.
    pub(super) fn declared_of(&self, job: &Job) -> Declared {
        let alert = job.alert.as_ref().map(|alert| &alert.template);
        Declared {
            task: self.is_served(&job.template),
            alert: alert.is_none_or(|template| self.is_served(template)),
        }
    }

    fn know_tasks_of(&self, job: &Job) -> Result<(), RequestError> {
        let alert = job.alert.as_ref().map(|alert| &alert.template);
        [Some(&job.template), alert]
            .into_iter()
            .flatten()
            .try_for_each(|template| {
                // Its ticks have no limit key, so what it is declared with would be ignored.
                if self.completed(template)?.options.is_limited() {
                    let what = format!("the task {:?} of a job", template.name);
                    let range = "one that is declared without `concurrency`, `rate` and `exclusive`: how \
                                 many ticks run at once is for `overlap` to say";
                    return Err(InvalidJob::Option { what, range: range.to_owned() }.into());
                }
                Ok(())
            })
    }

    /// Puts what is said of a job in line.
    pub(in crate::scheduler) fn change_job(
        &mut self,
        origin: Origin,
        job: JobName,
        change: JobChange,
    ) {
        if let (JobChange::Define { job, .. }, Origin::Peer(..)) = (&change, origin)
            && let Err(error) = job.check(&self.settings.zones)
        {
            return self.answer(origin, Answer::Failed(error.into()));
        }
        let Some(partition) = self.partition_of_job(&job) else {
            return;
        };
        if let JobChange::Define { job: defined, .. } = &change
            && !self.has_memory_for_more()
            && self.owned_job(&job).is_none_or(|state| defined.weight() > state.job.weight())
        {
            let error = self.out_of_memory();
            return self.answer(origin, Answer::Failed(error));
        }
        self.push_asked(partition, origin, Command::ChangeJob { job, change });
    }

    /// Has a job run now.
    pub(in crate::scheduler) fn run_job(&mut self, origin: Origin, job: JobName, at: Wall) {
        let Some(state) = self.owned_job(&job) else {
            return self.read_job_to_run(origin, job, at);
        };
        if !self.has_memory_for_more() {
            let error = self.out_of_memory();
            return self.answer(origin, Answer::Failed(error));
        }
        let Some(partition) = self.partition_of_job(&job) else {
            return;
        };
        let is_declared = self.declared(&state.job.template).is_ok();
        let owner = self.replicas.get(&GroupId::of(partition)).and_then(|own| own.owner.as_ref());
        let is_new = owner.is_some_and(|owner| self.now.tick.since(owner.since) < NAME_WAIT);
        if !is_declared && self.profiles_missing() && is_new {
            // Whoever has just become the owner has not heard yet how it is treated: it is asked again.
            let owner = Some(self.node());
            let error = RequestError::NotOwner { partition, owner };
            return self.answer(origin, Answer::Failed(error));
        }
        let template = self.template_of(&state.job.template);
        let nodes = self.nodes_of(state);
        let run = RunNow { job, revision: state.revision, at, template, nodes };
        self.push_asked(partition, origin, Command::RunNow(Box::new(run)));
    }

    /// Has a job run now, if it is there by now: this node was the owner a moment ago.
    pub(in crate::scheduler) fn run_job_if_there(
        &mut self,
        origin: Origin,
        job: JobName,
        at: Wall,
    ) {
        let Some(partition) = self.partition_of_job(&job) else {
            return;
        };
        let Some(owned) = self.owned(partition) else {
            let owner = self.owner_of(partition);
            let error = RequestError::NotOwner { partition, owner };
            return self.answer(origin, Answer::Failed(error));
        };
        if owned.job(&job).is_some() {
            return self.run_job(origin, job, at);
        }
        self.answer(origin, Answer::Failed(JobRefusal::NotFound { job }.into()));
    }

    fn push_asked(&mut self, partition: PartitionId, origin: Origin, command: Command) {
        if let Some(line) = self.line(partition) {
            line.asked.push((origin, command));
        }
    }

    /// Answers with what is on record of a job now.
    pub(in crate::scheduler) fn show_job(&mut self, origin: Origin, job: &JobName) {
        let Some(partition) = self.partition_of_job(job) else {
            return;
        };
        let answer = match self.owned(partition).map(|owned| owned.job(job)) {
            None => {
                let owner = self.owner_of(partition);
                Answer::Failed(RequestError::NotOwner { partition, owner })
            }
            Some(None) => Answer::Failed(JobRefusal::NotFound { job: job.clone() }.into()),
            Some(Some(state)) => {
                let next = self.next_tick_of(job, state);
                let declared = self.declared_of(&state.job);
                let mut view = JobView::of(job, state, declared, next);
                if let Ok(whole) = self.declared(&state.job.template) {
                    view.redact = whole.options.redact().to_vec();
                }
                Answer::Job(Box::new(view))
            }
        };
        self.answer(origin, answer);
    }
}
