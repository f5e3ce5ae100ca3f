//! What an owner does with a request.

use super::Scheduler;
use super::asks::Origin;
use crate::id::TaskId;
use crate::meta::MetaCommand;
use crate::partition::Command;
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
            Ask::Retry { .. } | Ask::Delete { .. } | Ask::Withdraw { .. } => true,
            Ask::Show { task } | Ask::Wait { task } | Ask::Watch { task, .. } => {
                !self.has_ended(*task)
            }
            Ask::ChangeJob { .. } | Ask::RunJob { .. } | Ask::ShowJob { .. } => true,
            Ask::List(_) | Ask::ListJobs { .. } | Ask::Status | Ask::Welcome => false,
            Ask::Drain { .. } | Ask::Forget { .. } | Ask::OfferFile { .. } => false,
            Ask::ChangeRule { .. } | Ask::FileRules { .. } => false,
            Ask::Reload | Ask::Queues | Ask::TaskGroup { .. } => false,
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
            Ask::Retry { task, id } => self.steer(origin, task, Command::Retry { task, id }),
            Ask::Delete { task } => self.steer(origin, task, Command::Delete { task }),
            Ask::Withdraw { task } => self.steer(origin, task, Command::Withdraw { task }),
            Ask::Show { task } => self.read(origin, task, false),
            Ask::Submit { batch, wait } => self.submit(origin, batch, wait),
            Ask::Wait { task } => self.read(origin, task, true),
            Ask::Watch { task, seen } => self.read_news(origin, task, seen),
            Ask::List(wanted) => self.list_here(origin, &wanted),
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
            Ask::ChangeRule { subject, change } => {
                self.change_rules(origin, MetaCommand::Rule { subject, change });
            }
            Ask::FileRules { number, rules } => {
                self.change_rules(origin, MetaCommand::FileRules { number, rules });
            }
            Ask::Queues => self.list_queues_here(origin),
            Ask::TaskGroup { group } => self.count_task_group_here(origin, group),
        }
    }

    fn cancel(&mut self, origin: Origin, task: TaskId) {
        if let Some(line) = self.line(task.partition()) {
            line.cancels.push((origin, task));
        }
    }

    /// Does something with a task that does not run, if all members would understand it.
    fn steer(&mut self, origin: Origin, task: TaskId, command: Command) {
        if !self.all_understand(STEERED_SINCE) {
            return self.answer(origin, Answer::Failed(RequestError::NotUpgraded));
        }
        if let Some(line) = self.line(task.partition()) {
            line.asked.push((origin, command));
        }
    }
}

/// The version of the protocol in which tasks that have ended can be tried again and dropped, and those that wait
/// withdrawn.
const STEERED_SINCE: u16 = 3;
