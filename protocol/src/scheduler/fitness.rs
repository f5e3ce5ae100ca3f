//! Which nodes can do their part: this one as it was told, others as they tell by gossip.
//!
//! Nobody is made an owner, given a copy or leased to that cannot, as long as others can. As long
//! as: where all are alike the cluster goes on with those that it has.

use super::Scheduler;
use crate::id::NodeId;
use crate::membership::Condition;

/// What condition this node is in.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    told: Condition,
    /// What is known of its leaving, once it was told to.
    leaving: Option<Leaving>,
}

#[derive(Debug, Default)]
struct Leaving {
    /// Whether its executor holds nothing any more.
    has_retired: bool,
    has_told: bool,
}

impl Fitness {
    pub(super) const fn condition(&self) -> Condition {
        match self.leaving {
            Some(_) => Condition::Leaving,
            None => self.told,
        }
    }

    pub(super) fn leave(&mut self) {
        self.leaving.get_or_insert_default();
    }

    pub(super) const fn retired(&mut self) {
        if let Some(leaving) = &mut self.leaving {
            leaving.has_retired = true;
        }
    }

    /// Whether only groups may keep this node, and nobody was told that none does.
    pub(super) fn waits_for_groups(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.has_retired && !leaving.has_told)
    }

    pub(super) const fn told_left(&mut self) {
        if let Some(leaving) = &mut self.leaving {
            leaving.has_told = true;
        }
    }
}

impl Scheduler {
    /// This node's own condition changes.
    pub(super) fn is_in(&mut self, condition: Condition) {
        self.fitness.told = condition;
        self.set_reluctance();
    }

    /// Copies here campaign when they should, or only if nobody else does.
    pub(super) fn set_reluctance(&mut self) {
        let is_reluctant = !self.condition().is_serving();
        for replica in self.replicas.values_mut() {
            replica.group.set_reluctant(is_reluctant);
        }
    }

    /// What condition this node is in.
    pub(super) const fn condition(&self) -> Condition {
        self.fitness.condition()
    }

    /// What condition a node is in, as far as is known here.
    pub(super) fn condition_of(&self, node: NodeId) -> Condition {
        if node == self.node() {
            return self.condition();
        }
        let incarnation = self.peers.get(&node).map(|peer| peer.incarnation);
        self.loads.condition(node, incarnation.unwrap_or_default())
    }

    pub(super) fn is_serving(&self, node: NodeId) -> bool {
        self.condition_of(node).is_serving()
    }
}
