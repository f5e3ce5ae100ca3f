//! Requests that change the cluster's facts: members are drained, serve again, or are forgotten.
//!
//! Whoever leads the meta group decides, so a request is passed on to it; who is asked and does not
//! lead says who does. One to forget a member that lives is answered only after all have told what
//! that member has: what it has would be lost to it.

use super::Scheduler;
use super::asks::Origin;
use super::replica::Replica;
use crate::id::{GroupId, NodeId};
use crate::membership::Liveness;
use crate::meta::{MetaCommand, PartingRefusal};
use crate::wire::{Answer, Ask, Drain, RequestError, Status};

impl Scheduler {
    /// Finds out who decides a request about the cluster's facts, and asks.
    pub(super) fn route_to_facts(&mut self, id: u64) {
        if self.meta.is_none() {
            return self.park(id);
        }
        if let Some(node) = self.is_to_look_first(id) {
            if self.surveys.is_open(id) {
                return;
            }
            if self.liveness(node) != Liveness::Down {
                return self.survey(Origin::Here(id));
            }
        }
        let leader = match self.replicas.get(&GroupId::META) {
            Some(replica) => replica.group.leader(),
            None => match self.keeper_of_facts.filter(|keeper| self.is_alive(*keeper)) {
                Some(keeper) => Some(keeper),
                None => self.some_keeper_of_facts(),
            },
        };
        self.hand_on(id, leader);
    }

    /// The member that request `id` is to forget, if it was not looked at yet.
    fn is_to_look_first(&self, id: u64) -> Option<NodeId> {
        let open = self.asks.open.get(&id).filter(|open| !open.acknowledged)?;
        match open.ask {
            Ask::Forget { node } => Some(node),
            _ => None,
        }
    }

    /// All have told what the member has that request `id` is to forget.
    pub(super) fn looked_at_before_it_is_forgotten(
        &mut self,
        id: u64,
        node: NodeId,
        status: &Status,
    ) {
        let has_left = match status.drain(node) {
            Drain::Drained => true,
            Drain::Serving | Drain::Draining => self.liveness(node) == Liveness::Down,
        };
        if status.meta.members.contains_key(&node) && !has_left {
            let error = PartingRefusal::InUse { node }.into();
            return self.answer(Origin::Here(id), Answer::Failed(error));
        }
        if let Some(open) = self.asks.open.get_mut(&id) {
            open.acknowledged = true;
        }
        self.route_to_facts(id);
    }

    /// Forgets a member, if this node decides that.
    pub(super) fn forget_member(&mut self, origin: Origin, node: NodeId) {
        let is_there = self.liveness(node) != Liveness::Down
            && self.meta.as_ref().is_some_and(|meta| meta.members.contains_key(&node));
        // Whoever asks has seen that it has nothing. It gets nothing more as long as it is drained.
        if is_there && !self.is_drained(node) {
            let error = PartingRefusal::InUse { node }.into();
            return self.answer(origin, Answer::Failed(error));
        }
        self.change_facts(origin, MetaCommand::Forget { node });
    }

    /// Says something of queues or tasks, if this node decides that and all members would understand it.
    pub(super) fn change_rules(&mut self, origin: Origin, command: MetaCommand) {
        if self.meta.is_some() && !self.all_understand(RULES_SINCE) {
            return self.answer(origin, Answer::Failed(RequestError::NotUpgraded));
        }
        self.change_facts(origin, command);
    }

    /// Puts a command for the meta group in line, if it is led here.
    pub(super) fn change_facts(&mut self, origin: Origin, command: MetaCommand) {
        let replica = self.replicas.get_mut(&GroupId::META);
        let leader = replica.as_ref().and_then(|replica| replica.group.leader());
        match replica.and_then(Replica::settled) {
            Some(owner) => {
                owner.line.meta.push((Some(origin), command));
                self.staged.insert(GroupId::META);
            }
            None => {
                let leader = leader.filter(|leader| *leader != self.node());
                let error = RequestError::NotLeader { leader };
                self.answer(origin, Answer::Failed(error));
            }
        }
    }
}

/// The version of the protocol in which facts have rules.
const RULES_SINCE: u16 = 3;
