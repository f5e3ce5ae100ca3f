//! What an owner does with a request.

use super::Scheduler;
use super::asks::Origin;
use super::list::Wanted;
use crate::id::TaskId;
use crate::meta::MetaCommand;
use crate::wire::{Answer, Ask, RequestError};

impl Scheduler {
    /// Answers a request whose partition this node should own.
    pub(super) fn serve(&mut self, origin: Origin, ask: Ask) {
        let partition = ask.partition(self.partitions());
        if let Some(partition) = partition
            && self.owned(partition).is_none()
        {
            let owner = self.owner_of(partition);
            return self
                .answer(origin, Answer::Failed(RequestError::NotOwner { partition, owner }));
        }
        // Ends are on record for good; all else needs a majority, and waiting for one is the
        // caller's choice.
        let needs_majority = match &ask {
            Ask::Cancel { .. } | Ask::Submit { .. } => true,
            Ask::Show { task } | Ask::Wait { task } | Ask::Watch { task, .. } => {
                !self.has_ended(*task)
            }
            Ask::ChangeJob { .. } | Ask::RunJob { .. } | Ask::ShowJob { .. } => true,
            Ask::List { .. } | Ask::ListJobs { .. } | Ask::Status | Ask::Welcome => false,
            Ask::Drain { .. } | Ask::Forget { .. } | Ask::OfferFile { .. } => false,
            Ask::Reload => false,
        };
        if let Some(partition) = partition
            && needs_majority
            && self.lacks_majority(partition)
        {
            let error = RequestError::NoQuorum { partition };
            return self.answer(origin, Answer::Failed(error));
        }
        match ask {
            Ask::Cancel { task } => self.cancel(origin, task),
            Ask::Show { task } => self.read(origin, task, false),
            Ask::Submit { batch, wait } => self.submit(origin, batch, wait),
            Ask::Wait { task } => self.read(origin, task, true),
            Ask::Watch { task, seen } => self.read_news(origin, task, seen),
            Ask::List { state, queue, limit, labels } => {
                self.list_here(origin, &Wanted { state, queue, labels }, limit);
            }
            Ask::Status => self.claim(origin),
            Ask::Welcome => self.welcome(origin),
            Ask::Drain { node, draining } => {
                self.change_facts(origin, MetaCommand::Drain { node, draining });
            }
            Ask::Forget { node } => self.forget_member(origin, node),
            Ask::ChangeJob { job, change } => self.change_job(origin, job, change),
            Ask::RunJob { job, at } => self.run_job(origin, job, at),
            Ask::ShowJob { job } => self.read_job(origin, job),
            Ask::ListJobs { .. } => self.list_jobs_here(origin, &ask),
            Ask::Reload => self.not_yours(origin),
            Ask::OfferFile { hash, deliberate } => {
                self.change_facts(origin, MetaCommand::File { hash, deliberate });
            }
        }
    }

    fn cancel(&mut self, origin: Origin, task: TaskId) {
        if let Some(line) = self.line(task.partition()) {
            line.cancels.push((origin, task));
        }
    }
}
