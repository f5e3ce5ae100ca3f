//! What the cluster looks like: who belongs to it, who owns what, how much there is to do.
//!
//! A node knows for sure only what it owns itself, and of partitions without a copy here nothing. So
//! each member that is alive is asked what it owns, and a partition has an owner if somebody claims
//! it: one whose owner is dead has none, whatever others last heard.

use std::collections::BTreeMap;

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use super::replica::Replica;
use crate::id::{NodeId, PartitionId, ReplicaId};
use crate::meta::Meta;
use crate::placement::voters_of;
use crate::time::Span;
use crate::wire::{Answer, Ask, Claim, Claims, MemberStatus, RequestError, Share, Status, Welcome};

/// How long a survey waits for a member before it goes without it.
pub(super) const WAIT_MAX: Span = Span::from_millis(1_000);
/// So many entries a copy may be behind while work flows; one that is further behind is not counted.
const LAG_MAX: u64 = 256;

/// A survey to which other nodes still contribute.
pub(super) struct Survey {
    node: NodeId,
    meta: Meta,
    members: Vec<MemberStatus>,
    shares: BTreeMap<NodeId, Share>,
    owners: BTreeMap<PartitionId, (NodeId, Claim)>,
    running: u64,
}

impl Scheduler {
    /// Asks all members how they are.
    pub(super) fn survey(&mut self, origin: Origin) {
        let Some(meta) = self.meta.clone() else {
            return self.not_a_member(origin);
        };
        let Origin::Here(id) = origin else {
            return;
        };
        let mut survey = Survey {
            node: self.node(),
            meta,
            members: self.member_statuses(),
            shares: BTreeMap::new(),
            owners: BTreeMap::new(),
            running: 0,
        };
        survey.add(self.node(), self.claims());
        self.gather(id, &Ask::Status, survey, |scheduler| &mut scheduler.surveys);
    }

    /// Tells another node what this one owns.
    pub(super) fn claim(&mut self, origin: Origin) {
        let claims = Box::new(self.claims());
        self.answer(origin, Answer::Claims(claims));
    }

    /// Another node has told what it owns.
    pub(super) fn claimed(&mut self, from: NodeId, id: u64, claims: Claims) {
        let Some(survey) = self.surveys.told(from, id) else {
            return;
        };
        survey.add(from, claims);
        if let Some(answer) = self.surveys.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }

    pub(super) fn welcome(&mut self, origin: Origin) {
        let Some(meta) = &self.meta else {
            return self.not_a_member(origin);
        };
        let owned: Vec<PartitionId> = (self.replicas.iter())
            .filter(|(_, replica)| replica.is_settled())
            .filter_map(|(group, _)| group.partition())
            .collect();
        let welcome = Welcome {
            node: self.node(),
            cluster: meta.cluster,
            partitions: meta.partitions,
            owned,
            members: self.member_statuses(),
        };
        self.answer(origin, Answer::Welcome(Box::new(welcome)));
    }

    fn not_a_member(&mut self, origin: Origin) {
        let missing = "this node has not joined its cluster yet".to_owned();
        // Unlike a request about a task it is not kept: whoever asks wants to know now.
        let Origin::Here(_) = origin else {
            return;
        };
        self.fail(origin, RequestError::Forming { missing });
    }

    fn member_statuses(&self) -> Vec<MemberStatus> {
        let members = self.meta.iter().flat_map(|meta| meta.members.iter());
        members
            .map(|(node, member)| MemberStatus {
                node: *node,
                name: member.name.clone(),
                address: member.address,
                liveness: self.liveness(*node),
                pid: self.lessees.profile(*node).map_or(0, |profile| profile.pid),
                condition: self.condition_of(*node),
            })
            .collect()
    }

    /// What this node owns. It does not claim what it can decide nothing about.
    fn claims(&self) -> Claims {
        let owned = self
            .replicas
            .iter()
            .filter(|(_, replica)| replica.is_settled() && !self.is_cut_off(replica));
        let owned = owned.filter_map(|(group, replica)| {
            Some(Claim {
                partition: group.partition()?,
                term: replica.group.term(),
                is_whole: self.is_whole(replica),
                open: replica.partition()?.fill().open as u64,
            })
        });
        let copies = self.replicas.len() as u64;
        Claims { owned: owned.collect(), running: self.lessees.runs(), copies }
    }

    /// Whether a group that is led here has as many copies as it should, on nodes that are alive.
    ///
    /// Of a copy whose node was reached anew, what it had before counts for nothing: it may be lost.
    /// Whoever restarts nodes one by one looks here before the next.
    pub(super) fn is_whole(&self, replica: &Replica) -> bool {
        let (group, owner) = (&replica.group, replica.owner.as_ref());
        let (Some(aim), Some(owner)) = (self.aim(group.id()), owner) else {
            return false;
        };
        let is_there = |copy: &&ReplicaId| {
            let node = group.roster().node(**copy);
            let is_heard = **copy == group.replica() || owner.heard.contains(*copy);
            node.is_some_and(|node| self.is_alive(node) && is_heard)
                && !owner.lost.contains(*copy)
                && group.lag(**copy).is_some_and(|lag| lag <= LAG_MAX)
        };
        let copies = group.copies();
        if copies.is_joint() {
            // A majority of those that were before is needed, too, and may be about to go.
            return false;
        }
        let voters = copies.voters.iter().filter(is_there).count();
        let learners = copies.learners.iter().filter(is_there).count();
        voters >= voters_of(aim.copies) && voters + learners >= aim.copies
    }
}

impl Survey {
    /// Adds what `node` told. Of two that claim a partition the one of the later term owns it.
    fn add(&mut self, node: NodeId, claims: Claims) {
        let share = self.shares.entry(node).or_default();
        share.has_told = true;
        share.copies = claims.copies;
        for claim in claims.owned {
            let known = self.owners.get(&claim.partition);
            if claim.partition.0 < self.meta.partitions
                && known.is_none_or(|(_, known)| known.term < claim.term)
            {
                self.owners.insert(claim.partition, (node, claim));
            }
        }
        for (executor, runs) in claims.running {
            self.running = self.running.saturating_add(runs);
            if self.meta.members.contains_key(&executor) {
                let share = self.shares.entry(executor).or_default();
                share.running = share.running.saturating_add(runs);
            }
        }
    }
}

impl Gather for Survey {
    fn complete(mut self) -> Answer {
        let (mut owned, mut whole, mut open) = (0, 0, 0_u64);
        // As many as there are partitions at most, whose number fits.
        for (owner, claim) in self.owners.values() {
            let share = self.shares.entry(*owner).or_default();
            share.owned += 1;
            share.open = share.open.saturating_add(claim.open);
            owned += 1;
            whole += u16::from(claim.is_whole);
            open = open.saturating_add(claim.open);
        }
        Answer::Status(Box::new(Status {
            node: self.node,
            meta: self.meta,
            members: self.members,
            shares: self.shares,
            partitions_owned: owned,
            partitions_whole: whole,
            open,
            running: self.running,
        }))
    }
}
