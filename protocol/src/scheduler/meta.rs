//! The cluster's facts: keeping up with them, and changing them when this node leads their group.

use std::mem;

use rand::RngExt;

use super::replica::{Machine, Replica};
use super::{Effect, Scheduler};
use crate::id::{ClusterId, GroupId, NodeId};
use crate::limits::META_VOTERS_MAX;
use crate::meta::{Join, JoinRefusal, Meta, MetaCommand};
use crate::placement::ranking;
use crate::wire::PeerMessage;

impl Scheduler {
    /// Takes a newer version over.
    pub(super) fn learn_meta(&mut self, meta: Meta) {
        let known = self.meta.as_ref();
        if known.is_some_and(|known| known.cluster != meta.cluster || known.version >= meta.version)
        {
            return;
        }
        for (node, member) in &meta.members {
            if *node != self.settings.node {
                let address = member.address;
                self.outbox.effects.push(Effect::Meet { node: *node, address });
            }
        }
        let members: Vec<NodeId> = meta.members.keys().copied().collect();
        self.outbox.effects.push(Effect::Members(members.clone()));
        let forgotten: Vec<NodeId> = (meta.forgotten.iter().copied())
            .filter(|node| known.is_none_or(|known| !known.is_forgotten(*node)))
            .collect();
        for member in members {
            self.know_by_name(member);
        }
        let was_member = mem::replace(&mut self.is_member, meta.has(&self.settings.join));
        let cluster = meta.cluster;
        let spoken = meta.spoken;
        let before = self.meta.replace(meta);
        if before.is_none() {
            self.outbox.effects.push(Effect::Joined(cluster));
        }
        if before.is_none_or(|before| before.spoken < spoken) {
            self.outbox.effects.push(Effect::Spoken(spoken));
        }
        if self.is_member && !was_member {
            self.outbox.effects.push(Effect::Admitted);
        }
        for node in forgotten {
            self.forget_node(node);
        }
        self.set_reluctance();
        self.learn_rules();
        if self.leads_meta() {
            self.announce_meta();
        }
    }

    /// A node is no member any more, and never will be.
    fn forget_node(&mut self, node: NodeId) {
        if node == self.node() {
            return self.outbox.effects.push(Effect::Refused(JoinRefusal::Forgotten));
        }
        self.strangers.remove(&node);
        self.lessees.dismiss(node);
        self.slots.forget(node);
        self.loads.forget(node);
        self.joins.remove(&node);
        self.outbox.effects.push(Effect::Forget(node));
    }

    /// Takes over what this node's own copy of the meta group says.
    pub(super) fn learn_own_meta(&mut self) {
        if let Some(Machine::Meta(meta)) =
            self.replicas.get(&GroupId::META).and_then(|replica| replica.machine.as_ref())
        {
            let meta = meta.clone();
            self.learn_meta(meta);
        }
    }

    pub(super) fn leads_meta(&self) -> bool {
        self.replicas.get(&GroupId::META).is_some_and(Replica::is_settled)
    }

    fn announce_meta(&mut self) {
        let Some(meta) = &self.meta else {
            return;
        };
        let others: Vec<NodeId> =
            meta.members.keys().copied().filter(|node| *node != self.settings.node).collect();
        let message = PeerMessage::Meta(Box::new(meta.clone()));
        for node in others {
            self.outbox.send(node, message.clone());
        }
    }

    /// Tells one other member, at random, which version this node has. A scheduler that was built anew
    /// may have none, and nobody opens a new way to it for that: it asks whom gossip tells of.
    pub(super) fn compare_meta(&mut self) {
        let (me, version) = (self.node(), self.meta.as_ref().map_or(0, |meta| meta.version));
        let others: Vec<NodeId> = match &self.meta {
            Some(meta) => meta.members.keys().copied().collect(),
            None => self.peers.keys().copied().collect(),
        };
        let others: Vec<NodeId> =
            others.into_iter().filter(|node| *node != me && self.is_alive(*node)).collect();
        if others.is_empty() {
            return;
        }
        let pick = self.rng.random_range(0..others.len());
        if let Some(node) = others.get(pick) {
            self.outbox.send(*node, PeerMessage::MetaVersion(version));
        }
    }

    pub(super) fn compared_meta(&mut self, from: NodeId, version: u64) {
        let Some(meta) = &self.meta else {
            if version > 0 {
                self.outbox.send(from, PeerMessage::MetaVersion(0));
            }
            return;
        };
        if meta.version > version {
            let message = PeerMessage::Meta(Box::new(meta.clone()));
            self.outbox.send(from, message);
        } else if meta.version < version {
            let own = PeerMessage::MetaVersion(meta.version);
            self.outbox.send(from, own);
        }
    }

    /// Asks to be a member, or to be noted at this address, until that is so. Who can note it may be
    /// out of reach for this very reason, so any member is asked to pass the wish on as well.
    pub(super) fn ask_to_join(&mut self) {
        if self.is_member || self.meta.is_none() {
            return;
        }
        let join = self.settings.join.clone();
        let alive: Vec<NodeId> =
            self.members().filter(|node| *node != self.node() && self.is_alive(*node)).collect();
        if !alive.is_empty() {
            let pick = self.rng.random_range(0..alive.len());
            if let Some(via) = alive.get(pick) {
                self.outbox.send(*via, PeerMessage::Join(join.clone()));
            }
        }
        self.pass_join(join);
    }

    /// A node wants to be a member.
    pub(super) fn wants_to_join(&mut self, join: Join) {
        if self.meta.is_some() {
            let (node, address) = (join.node, join.address);
            self.know_by_name(node);
            self.outbox.effects.push(Effect::Meet { node, address });
            self.pass_join(join);
        }
    }

    /// Carries a wish to join out, or on to who can.
    fn pass_join(&mut self, join: Join) {
        if self.leads_meta() {
            return self.join(join);
        }
        let leader = match self.replicas.get(&GroupId::META) {
            Some(replica) => replica.group.leader(),
            None => self.some_keeper_of_facts(),
        };
        if let Some(leader) = leader.filter(|leader| *leader != self.node()) {
            self.outbox.send(leader, PeerMessage::Join(join));
        }
    }

    /// A member that should have a copy of the meta group, any of them.
    pub(super) fn some_keeper_of_facts(&mut self) -> Option<NodeId> {
        let serving = self.meta.iter().flat_map(|meta| meta.serving());
        let holders = ranking(GroupId::META, serving.filter(|node| self.is_alive(*node)));
        let pick = self.rng.random_range(0..META_VOTERS_MAX);
        holders.get(pick).or_else(|| holders.first()).copied()
    }

    fn join(&mut self, join: Join) {
        let Some(Replica { machine: Some(Machine::Meta(meta)), .. }) =
            self.replicas.get(&GroupId::META)
        else {
            return;
        };
        if let Err(refusal) = meta.check(&join) {
            return self.tell_joiner(join.node, Err(refusal));
        }
        if meta.has(&join) {
            return self.tell_joiner(join.node, Ok(meta.cluster));
        }
        let at = self.now.wall;
        self.joins.insert(join.node, join.clone());
        let command = if meta.has_place(&join) {
            MetaCommand::Label { node: join.node, labels: join.labels }
        } else {
            MetaCommand::Join { join, at }
        };
        if let Some(owner) = self.replicas.get_mut(&GroupId::META).and_then(Replica::settled) {
            owner.line.meta.push((None, command));
            self.staged.insert(GroupId::META);
        }
    }

    /// After the meta group has changed: those who wanted to join are told.
    pub(super) fn answer_joins(&mut self) {
        if self.leads_meta() {
            for (_, join) in mem::take(&mut self.joins) {
                // Carried out or refused: asking again tells which.
                self.join(join);
            }
        }
    }

    fn tell_joiner(&mut self, node: NodeId, result: Result<ClusterId, JoinRefusal>) {
        if node == self.node() {
            return self.joined(result);
        }
        self.outbox.send(node, PeerMessage::Joined(result));
        if let Some(meta) = &self.meta {
            let message = PeerMessage::Meta(Box::new(meta.clone()));
            self.outbox.send(node, message);
        }
    }

    /// This node is told whether it is a member.
    pub(super) fn joined(&mut self, result: Result<ClusterId, JoinRefusal>) {
        if let Err(refusal) = result
            && !self.is_member
        {
            self.outbox.effects.push(Effect::Refused(refusal));
        }
    }
}
