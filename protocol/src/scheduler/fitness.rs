//! Which nodes can do their part: this one as it was told and as it sees itself, others as they tell by
//! gossip.
//!
//! Nobody is made an owner, given a copy or leased to that cannot, as long as others can. As long
//! as: where all are alike the cluster goes on with those that it has.

use super::Scheduler;
use super::strain::Strain;
use crate::id::NodeId;
use crate::membership::Condition;
use crate::meta::Meta;
use crate::time::Tick;

/// The burden of a node that is to own nothing.
const DRAINED: u8 = 3;

/// What condition this node is in.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    told: Condition,
    strain: Strain,
    /// As which it was taken last.
    taken: Condition,
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
    pub(super) fn condition(&self, now: Tick) -> Condition {
        if self.leaving.is_some() {
            return Condition::Leaving;
        }
        // Of two that weigh alike the one that was seen here: tasks may stand still because the disk does.
        let seen = self.strain.condition(now);
        if seen.burden() >= self.told.burden() { seen } else { self.told }
    }

    fn has_slow_disk(&self, now: Tick) -> bool {
        [self.told, self.strain.condition(now)].contains(&Condition::DiskSlow)
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
    /// This node is told what condition it is in.
    pub(super) fn is_in(&mut self, condition: Condition) {
        self.fitness.told = condition;
        self.follow_condition();
    }

    /// A deadline has come that was due then.
    pub(super) fn woke(&mut self, due: Tick) {
        self.fitness.strain.woke(self.now.tick, due);
        self.follow_condition();
    }

    /// A batch is handed to the disk.
    pub(super) const fn writes(&mut self) {
        self.fitness.strain.writes(self.now.tick);
    }

    /// It is durable.
    pub(super) fn wrote(&mut self) {
        self.fitness.strain.wrote(self.now.tick);
    }

    /// What follows from a condition that has changed.
    pub(super) fn follow_condition(&mut self) {
        let condition = self.condition();
        if self.fitness.taken != condition {
            self.fitness.taken = condition;
            self.set_reluctance();
        }
    }

    /// Copies here campaign when they should, or only if nobody else does.
    pub(super) fn set_reluctance(&mut self) {
        let is_reluctant = !self.is_fit(self.node());
        for replica in self.replicas.values_mut() {
            replica.group.set_reluctant(is_reluctant);
        }
    }

    /// What condition this node is in: gossip is to tell the others.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.fitness.condition(self.now.tick)
    }

    /// Whether the disk here may hang, whatever else weighs more.
    pub(super) fn has_slow_disk(&self) -> bool {
        self.fitness.has_slow_disk(self.now.tick)
    }

    /// What condition a node is in, as far as is known here.
    pub(super) fn condition_of(&self, node: NodeId) -> Condition {
        if node == self.node() {
            return self.condition();
        }
        let incarnation = self.peers.get(&node).map(|peer| peer.incarnation);
        self.loads.condition(node, incarnation.unwrap_or_default())
    }

    /// Whether a node is to have nothing: it is drained, or was forgotten.
    pub(super) fn is_drained(&self, node: NodeId) -> bool {
        let drained = |meta: &Meta| meta.is_draining(node) || meta.is_forgotten(node);
        self.meta.as_ref().is_some_and(drained)
    }

    /// Whether nothing speaks against giving a node anything.
    pub(super) fn is_fit(&self, node: NodeId) -> bool {
        self.condition_of(node).is_serving() && !self.is_drained(node)
    }

    /// Whether an executor there would take no run, or is to be given none.
    pub(super) fn runs_nothing(&self, node: NodeId) -> bool {
        self.condition_of(node) == Condition::Leaving || self.is_drained(node)
    }

    /// How ill a node serves as an owner; the best is zero. Worse than one that is to own nothing is
    /// only one that is about to be gone.
    pub(super) fn burden_of(&self, node: NodeId) -> u8 {
        let burden = self.condition_of(node).burden();
        if self.is_drained(node) { burden.max(DRAINED) } else { burden }
    }
}
