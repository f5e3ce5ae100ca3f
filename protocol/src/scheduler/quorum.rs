//! Whether groups can decide anything, judged by who is down.
//!
//! The consensus engine finds out by itself, but slowly, and not at all while a group sleeps. What is
//! asked meanwhile would wait for nothing.

use super::Scheduler;
use super::replica::Replica;
use crate::group::Role;
use crate::id::{GroupId, PartitionId, ReplicaId};
use crate::membership::Liveness;

impl Scheduler {
    /// Whether so many of the partition's voters are down that nothing can be decided. False where
    /// nothing is known of it.
    pub(super) fn lacks_majority(&self, partition: PartitionId) -> bool {
        self.replicas.get(&GroupId::of(partition)).is_some_and(|replica| self.is_cut_off(replica))
    }

    /// The same of a copy that is here.
    pub(super) fn is_cut_off(&self, replica: &Replica) -> bool {
        let (copies, roster) = (replica.group.copies(), replica.group.roster());
        // Only what gossip has told counts: one that is not heard of yet may be there.
        let is_down = |copy: &&ReplicaId| {
            let peer = roster.node(**copy).and_then(|node| self.peers.get(&node));
            peer.is_some_and(|peer| peer.liveness == Liveness::Down)
        };
        let lacks = |voters: usize, down: usize| voters > 0 && 2 * down >= voters;
        lacks(copies.voters.len(), copies.voters.iter().filter(is_down).count())
            || lacks(
                copies.voters_outgoing.len(),
                copies.voters_outgoing.iter().filter(is_down).count(),
            )
    }

    /// A node is down: groups led here that lack a majority now must notice, also those that sleep.
    pub(super) fn wake_groups_cut_off(&mut self) {
        let cut_off: Vec<GroupId> = (self.replicas.iter())
            .filter(|(_, replica)| replica.group.role() == Role::Leader && self.is_cut_off(replica))
            .map(|(id, _)| *id)
            .collect();
        for id in cut_off {
            if let Some(replica) = self.replicas.get_mut(&id) {
                replica.group.wake();
                self.dirty.insert(id);
            }
        }
    }
}
