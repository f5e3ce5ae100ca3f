//! Handing over in order: a node that leaves, or cannot make progress, lets others lead its groups.
//!
//! The lead goes to a voter that has everything and can do its part better, at once, however busy
//! the group is: what is under way is proposed again by whoever asked, and runs go on under their
//! leases. Where nobody else could lead a group it stays, and nobody waits for that.

use super::replica::Replica;
use super::{Effect, Scheduler};
use crate::group::Role;
use crate::id::{GroupId, Lessee, NodeId};
use crate::membership::{Condition, Liveness};
use crate::partition::Command;
use crate::placement::ranking;
use crate::sabotage::{self, Defect};

impl Scheduler {
    /// This node is to stop.
    pub(super) fn leave(&mut self) {
        self.fitness.leave();
        self.follow_condition();
    }

    /// Hands a group that is led here to a voter that can do it better; whether it did.
    pub(super) fn part_with(&mut self, id: GroupId) -> bool {
        let Some(replica) = self.replicas.get(&id) else {
            return false;
        };
        // Nobody waits for a disk that hangs. On others it is owned in a moment, and its copies are
        // changed.
        let is_between = !replica.is_settled() || replica.group.is_changing();
        if replica.group.is_handing_over() || (is_between && !self.has_slow_disk()) {
            return false;
        }
        if self.condition() == Condition::Leaving && self.begins_runs_here(replica) {
            return false;
        }
        let Some(next) = self.successor(id).filter(|_| !sabotage::has(Defect::HoldOn)) else {
            return false;
        };
        if let Some(replica) = self.replicas.get_mut(&id) {
            replica.group.hand_over(next);
            self.dirty.insert(id);
        }
        true
    }

    /// Whether leases for this node's own executor are on their way into a group's log, or on their
    /// way back. A successor would find them when there is nobody left to ask about them, and take
    /// for lost what was never begun. No new ones are made by one that leaves.
    fn begins_runs_here(&self, replica: &Replica) -> bool {
        let Some(owner) = &replica.owner else {
            return false;
        };
        let is_own = |lessee: &Lessee| lessee.node == self.node();
        let is_about_own = |command: &Command| match command {
            Command::Accept { grants, .. } => grants.iter().any(|grant| is_own(&grant.lessee)),
            Command::Lease { lessee, .. } => is_own(lessee),
            Command::Release { .. } => true,
            Command::Report { .. }
            | Command::GiveUp { .. }
            | Command::Retry { .. }
            | Command::Delete { .. }
            | Command::Withdraw { .. }
            | Command::ForgetTimed { .. }
            | Command::Lose { .. }
            | Command::Pardon { .. }
            | Command::Cancel { .. }
            | Command::Expire { .. }
            | Command::Forget { .. }
            | Command::ChangeJob { .. }
            | Command::Fire(_)
            | Command::RunNow(_)
            | Command::Alert(_)
            | Command::NoteUnreported { .. } => false,
        };
        let line = &owner.line;
        let in_flight = owner.in_flight.iter().flat_map(|entry| &entry.proposal.commands);
        let waiting = line.submissions.iter().flat_map(|submission| &submission.slots);
        line.leases.keys().any(is_own)
            || waiting.map(|(lessee, ..)| lessee).any(is_own)
            || line.commands.iter().chain(in_flight).any(is_about_own)
    }

    /// The node that should lead a group in this one's place now, if there is one that can.
    fn successor(&self, id: GroupId) -> Option<NodeId> {
        let group = &self.replicas.get(&id)?.group;
        // While copies change: those that vote afterwards, too.
        let voting = group.copies().voters;
        let voters = (group.roster().iter())
            .filter(|(copy, node)| *node != self.node() && voting.contains(copy))
            .filter(|(copy, node)| self.is_alive(*node) && group.is_caught_up(*copy));
        let own = self.burden_of(self.node());
        let better = voters.map(|(_, node)| node).filter(|node| self.burden_of(*node) < own);
        // Of those that do equally well the one that ranks first: it would get the group anyhow.
        ranking(id, better).into_iter().min_by_key(|node| self.burden_of(*node))
    }

    /// How well a node would lead a group that this one must not lead any more; the least is the best.
    pub(super) fn lead_worth(&self, node: NodeId) -> (bool, u8) {
        (!self.is_alive(node), self.burden_of(node))
    }

    /// Tells the driver when nothing keeps this node any more.
    pub(super) fn tell_if_left(&mut self) {
        if self.fitness.waits_for_groups() && !self.replicas.keys().any(|id| self.is_kept_by(*id)) {
            self.fitness.told_left();
            self.outbox.effects.push(Effect::Left);
        }
    }

    /// Whether this node leads a group that another one could lead, now or in a moment.
    fn is_kept_by(&self, id: GroupId) -> bool {
        let Some(group) = self.replicas.get(&id).map(|replica| &replica.group) else {
            return false;
        };
        group.role() == Role::Leader
            && group.roster().iter().any(|(copy, node)| {
                node != self.node()
                    && group.votes(copy)
                    && self.liveness(node) != Liveness::Down
                    && self.burden_of(node) < self.burden_of(self.node())
            })
    }
}
