//! The next step that brings a group's copies to where they should be.
//!
//! One step at a time, each safe by itself: a copy is added as a learner and caught up before it
//! votes; voters are exchanged in one joint change; a copy that is not needed goes last. Death
//! alone never shrinks the voters: a group whose nodes are down keeps them until others stand in.

use crate::durable::Copies;
use crate::group::{Change, Roster};
use crate::id::{NodeId, ReplicaId};
use crate::placement::voters_of;

/// Where the copies of a group should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Members that may hold a copy, best first: those that are there, or were until a moment ago.
    pub eligible: Vec<NodeId>,
    /// How many copies there should be.
    pub copies: usize,
}

impl Aim {
    /// How many are to vote where `present` do. Death never makes them fewer; but while so many members
    /// are away that there cannot be as many as there should be, those that are there do not wait for
    /// them: else a copy that is ready would not take the place of one whose node is gone.
    #[must_use]
    pub fn voters(&self, present: usize) -> usize {
        let can = voters_of(self.copies.min(self.eligible.len()));
        voters_of(self.copies).min(can.max(present))
    }
}

/// The next change, if any. `is_caught_up` tells whether a copy has all that is committed;
/// `is_lost` whether it is known to have lost its storage.
#[must_use]
pub fn next_change(
    copies: &Copies,
    roster: &Roster,
    aim: &Aim,
    is_caught_up: impl Fn(ReplicaId) -> bool,
    is_lost: impl Fn(ReplicaId) -> bool,
) -> Option<Change> {
    if copies.is_joint() {
        // Left behind by a leader that fell while it held.
        return Some(Change::default());
    }
    let held_by = |node: NodeId| {
        roster.iter().filter(|(replica, _)| !is_lost(*replica)).find(|(_, n)| *n == node)
    };
    let targets: Vec<NodeId> = aim.eligible.iter().copied().take(aim.copies).collect();

    if let Some(node) = targets.iter().find(|node| held_by(**node).is_none()) {
        return Some(Change {
            learners: vec![(roster.next_replica(), *node)],
            ..Change::default()
        });
    }

    let wanted = aim.voters(copies.voters.len());
    let mut voters: Vec<ReplicaId> = Vec::new();
    // Voters that may stay, then learners that are ready, in the order of the ranking.
    let ready = targets.iter().filter_map(|node| held_by(*node)).map(|(replica, _)| replica);
    let (stay, join): (Vec<_>, Vec<_>) = ready.partition(|copy| copies.voters.contains(copy));
    voters.extend(stay.iter().take(wanted));
    let open = wanted.saturating_sub(voters.len());
    voters.extend(join.into_iter().filter(|copy| is_caught_up(*copy)).take(open));
    // Where not enough others can stand in, those that are away keep their votes.
    let away = copies.voters.iter().copied().filter(|copy| !voters.contains(copy));
    let kept: Vec<ReplicaId> = away.take(wanted.saturating_sub(voters.len())).collect();
    let complete = voters.len() + kept.len() == wanted;
    voters.extend(kept);
    voters.sort_unstable();

    if complete && voters != copies.voters {
        let is_target = |copy: &ReplicaId| {
            !is_lost(*copy) && roster.node(*copy).is_some_and(|node| targets.contains(&node))
        };
        let leaving = copies.voters.iter().copied().filter(|copy| !voters.contains(copy));
        let (demoted, removed) = leaving.partition(is_target);
        return Some(Change {
            learners: Vec::new(),
            promoted: voters.iter().copied().filter(|v| !copies.voters.contains(v)).collect(),
            demoted,
            removed,
        });
    }

    let superfluous = copies.learners.iter().copied().find(|copy| {
        is_lost(*copy) || roster.node(*copy).is_none_or(|node| !targets.contains(&node))
    });
    superfluous.map(|copy| Change { removed: vec![copy], ..Change::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);
    const D: NodeId = NodeId(4);

    /// Drives a group from its first copy on `A`, with every copy caught up at once.
    struct World {
        copies: Copies,
        roster: Roster,
    }

    impl World {
        fn new() -> Self {
            let copies = Copies { voters: vec![ReplicaId::FIRST], ..Copies::default() };
            Self { copies, roster: Roster::founding(A) }
        }

        fn settle(&mut self, eligible: &[NodeId], copies: usize) -> Vec<Change> {
            let aim = Aim { eligible: eligible.to_vec(), copies };
            let mut changes = Vec::new();
            while let Some(change) =
                next_change(&self.copies, &self.roster, &aim, |_| true, |_| false)
            {
                let leaving = |copy: &ReplicaId| {
                    !change.removed.contains(copy) && !change.demoted.contains(copy)
                };
                self.copies.voters.retain(leaving);
                self.copies.voters.extend(&change.promoted);
                self.copies.voters.sort_unstable();
                self.copies.learners.retain(|copy| {
                    !change.promoted.contains(copy) && !change.removed.contains(copy)
                });
                self.copies.learners.extend(change.learners.iter().map(|(copy, _)| *copy));
                self.copies.learners.extend(&change.demoted);
                self.roster.apply(&change, &self.copies);
                changes.push(change);
                assert!(changes.len() < 20, "it comes to rest: {changes:?}");
            }
            changes
        }

        fn voters(&self) -> Vec<NodeId> {
            self.copies.voters.iter().filter_map(|copy| self.roster.node(*copy)).collect()
        }
    }

    #[test]
    fn the_dead_are_replaced_though_there_are_too_few_to_make_more_voters() {
        let mut world = World::new();
        world.settle(&[A, B, C], 3);
        // Five belong to the cluster by now, and two of them are gone for good.
        world.settle(&[A, C, D], 5);
        let mut voters = world.voters();
        voters.sort_unstable();
        assert_eq!(voters, [A, C, D]);
        assert_eq!(world.copies.learners, []);
    }

    #[test]
    fn two_members_have_one_voter_and_one_learner() {
        let mut world = World::new();
        world.settle(&[B, A], 2);
        assert_eq!(world.voters(), [A]);
        assert_eq!(world.copies.learners.len(), 1);
    }

    #[test]
    fn the_third_makes_three_voters_in_one_joint_change() {
        let mut world = World::new();
        world.settle(&[A, B], 2);
        let changes = world.settle(&[A, B, C], 3);
        assert_eq!(world.voters(), [A, B, C]);
        assert_eq!(changes.iter().filter(|change| !change.promoted.is_empty()).count(), 1);
    }

    #[test]
    fn a_dead_one_is_replaced_learner_first() {
        let mut world = World::new();
        world.settle(&[A, B, C, D], 3);
        let changes = world.settle(&[A, B, D], 3);
        assert_eq!(world.voters(), [A, B, D]);
        assert!(!changes[0].learners.is_empty() && changes[0].removed.is_empty());
        assert!(changes[1].promoted.len() == 1 && changes[1].removed.len() == 1);
    }

    #[test]
    fn death_alone_never_shrinks_the_voters() {
        let mut world = World::new();
        world.settle(&[A, B, C], 3);
        assert_eq!(world.settle(&[A, B], 3), []);
        assert_eq!(world.settle(&[A], 3), []);
        assert_eq!(world.voters(), [A, B, C]);
    }

    #[test]
    fn a_copy_that_lost_its_storage_is_replaced_on_the_same_node() {
        let mut world = World::new();
        world.settle(&[A, B, C], 3);
        let lost = world.roster.replica_on(B).expect("it has one");
        let aim = Aim { eligible: vec![A, B, C], copies: 3 };
        let next = |world: &World| {
            next_change(&world.copies, &world.roster, &aim, |_| true, |copy| copy == lost)
        };
        let change = next(&world).expect("a new copy");
        assert_eq!(change.learners, [(world.roster.next_replica(), B)]);
        world.copies.learners.push(change.learners[0].0);
        world.roster.apply(&change, &world.copies.clone());
        let change = next(&world).expect("an exchange");
        assert_eq!(change.removed, [lost]);
        assert_eq!(change.promoted.len(), 1);
    }
}
