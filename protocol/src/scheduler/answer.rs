//! Answers on their way back, to a client of this node or to the node that asked for one.

use super::asks::{Origin, Place};
use super::jobs::Page;
use super::list::TaskPage;
use super::{Effect, Scheduler};
use crate::id::NodeId;
use crate::partition::{JobRefusal, SteerRefusal};
use crate::wire::{Answer, Ask, PeerMessage, RequestError};

impl Scheduler {
    /// Sends an answer on its way, or asks again if it only says that somebody else should.
    pub(super) fn answer(&mut self, origin: Origin, answer: Answer) {
        let id = match origin {
            Origin::Peer(node, id) => {
                return self.outbox.send(node, PeerMessage::Answer { id, answer });
            }
            Origin::Here(id) => id,
        };
        let Some(open) = self.asks.open.get_mut(&id) else {
            return;
        };
        let caller = open.caller;
        if let (Ask::Forget { node }, Answer::Status(status)) = (&open.ask, &answer) {
            let node = *node;
            return self.looked_at_before_it_is_forgotten(id, node, status);
        }
        let goes_on = match &answer {
            Answer::Failed(
                RequestError::NotOwner { .. }
                | RequestError::NotLeader { .. }
                | RequestError::Forming { .. },
            ) => {
                // The next upkeep finds the owner, or the deadline comes.
                return self.park(id);
            }
            // The first try may have come through when this one could not.
            Answer::Failed(RequestError::NoQuorum { .. } | RequestError::Overloaded { .. })
                if open.repeated && open.ask.acts() =>
            {
                return self.answer(origin, Answer::Failed(RequestError::Unknown));
            }
            // The first try may have removed it, and what was asked for is so in any case.
            Answer::Failed(RequestError::Job(JobRefusal::NotFound { .. }))
                if open.repeated && open.ask.removes_job() =>
            {
                return self.answer(origin, Answer::Done);
            }
            // The first try may have done it, and what was asked for is so in any case.
            Answer::Failed(RequestError::Steer(SteerRefusal::NotFound { .. }))
                if open.repeated && matches!(open.ask, Ask::Delete { .. }) =>
            {
                return self.answer(origin, Answer::Done);
            }
            Answer::Waiting => {
                open.acknowledged = true;
                return;
            }
            Answer::Submitted { refused, .. } => {
                let Ask::Submit { batch, wait } = &open.ask else {
                    return;
                };
                let waits = *wait && refused.len() < batch.rows.len();
                if open.acknowledged && waits {
                    return;
                }
                open.acknowledged = true;
                waits
            }
            Answer::Claims(_)
            | Answer::Done
            | Answer::Failed(_)
            | Answer::File(_)
            | Answer::Finished(_)
            | Answer::Job(_)
            | Answer::Jobs { .. }
            | Answer::Queues { .. }
            | Answer::TaskGroup { .. }
            | Answer::TaskGroupParts(_)
            | Answer::News(_)
            | Answer::Reloaded(_)
            | Answer::Status(_)
            | Answer::Tasks { .. }
            | Answer::View(_)
            | Answer::Welcome(_) => false,
        };
        if !goes_on {
            self.asks.remove(id);
        }
        self.outbox.effects.push(Effect::Answer { caller, answer, is_last: !goes_on });
    }

    /// An answer came from the node that was asked.
    pub(super) fn answered(&mut self, from: NodeId, id: u64, answer: Answer) {
        let answer = match answer {
            Answer::Claims(claims) => return self.claimed(from, id, *claims),
            Answer::Tasks { tasks, partitions_missing, cut_before, told } => {
                let page = TaskPage { tasks, cut_before };
                return self.listed(from, id, page, (told, partitions_missing));
            }
            Answer::Queues { queues, rules: _, partitions_missing, told } => {
                return self.queues_listed(from, id, queues, (told, partitions_missing));
            }
            Answer::TaskGroupParts(parts) => return self.task_group_counted(from, id, parts),
            Answer::Jobs { jobs, has_more, partitions_missing, told } => {
                let page = Page { jobs, has_more };
                return self.jobs_listed(from, id, page, (told, partitions_missing));
            }
            other => other,
        };
        if let Answer::Failed(error @ RequestError::TooLong { .. }) = &answer
            && (self.listings.give_up(from, id) || self.job_listings.give_up(from, id))
        {
            return self.answer(Origin::Here(id), Answer::Failed(error.clone()));
        }
        let expected = self
            .asks
            .open
            .get(&id)
            .is_some_and(|open| matches!(open.at, Place::Peer(node, _) if node == from));
        if let Answer::Failed(RequestError::NotOwner { partition, owner: Some(owner) }) = &answer
            && *owner != from
        {
            self.owners.insert(*partition, *owner);
        }
        if let Answer::Failed(RequestError::NotLeader { leader }) = &answer
            && expected
        {
            self.keeper_of_facts = leader.filter(|leader| *leader != from);
        }
        if expected {
            self.answer(Origin::Here(id), answer);
        }
    }
}
