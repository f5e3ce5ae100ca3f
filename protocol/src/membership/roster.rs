//! What this node thinks of every other, and which of its opinions are news.
//!
//! A copy of the engine's list, kept by id and fed by the codec's journal, plus what the engine
//! does not know: the hint of a silent connection, and what was last reported.

use std::collections::{BTreeMap, BTreeSet};

use foca::{Incarnation as Refutations, Member, State};

use super::{Effect, Identity, Liveness};
use crate::id::NodeId;
use crate::time::Tick;

/// All nodes that the engine knows, but this one.
pub(super) struct Roster {
    me: NodeId,
    nodes: BTreeMap<NodeId, Known>,
    active: usize,
    /// Nodes to look at again before the end of the step.
    touched: BTreeSet<NodeId>,
    /// Nodes whose connection fell silent, and when that stops to count.
    silent: BTreeMap<NodeId, Tick>,
}

struct Known {
    identity: Identity,
    state: State,
    /// How often this life has refuted a suspicion.
    refutations: Refutations,
    reported: Option<(Identity, Liveness)>,
}

impl Roster {
    pub(super) const fn new(me: NodeId) -> Self {
        Self {
            me,
            nodes: BTreeMap::new(),
            active: 0,
            touched: BTreeSet::new(),
            silent: BTreeMap::new(),
        }
    }

    /// Takes over what the engine has written down. Whether the node was unknown before.
    pub(super) fn note(&mut self, member: &Member<Identity>) -> bool {
        let identity = *member.id();
        if identity.node == self.me {
            return false;
        }
        let known = self.nodes.get(&identity.node);
        self.active -= usize::from(known.is_some_and(|known| known.state != State::Down));
        self.active += usize::from(member.state() != State::Down);
        // A new life has another connection than the one that fell silent.
        if known.is_some_and(|known| !known.identity.same_process(&identity)) {
            self.silent.remove(&identity.node);
        }
        let reported = known.and_then(|known| known.reported);
        let first = known.is_none();
        let (state, refutations) = (member.state(), member.incarnation());
        self.nodes.insert(identity.node, Known { identity, state, refutations, reported });
        self.touched.insert(identity.node);
        first
    }

    /// The engine forgets `identity`. Whether that is the life that was known, and is down.
    pub(super) fn remove(&mut self, identity: &Identity) -> bool {
        let known = self.nodes.get(&identity.node);
        let gone =
            known.is_some_and(|known| known.identity == *identity && known.state == State::Down);
        if gone {
            self.nodes.remove(&identity.node);
            self.silent.remove(&identity.node);
        }
        gone
    }

    /// The connection to `node` is lost; that counts until `until`. Whom to ask, if it is known.
    pub(super) fn silence(&mut self, node: NodeId, until: Tick) -> Option<Identity> {
        let known = self.nodes.get(&node).filter(|known| known.state != State::Down)?;
        self.silent.insert(node, until);
        self.touched.insert(node);
        Some(known.identity)
    }

    /// Something came from `node`.
    pub(super) fn heard(&mut self, node: NodeId) {
        if self.silent.remove(&node).is_some() {
            self.touched.insert(node);
        }
    }

    /// Whether `member` is known exactly so.
    #[cfg(test)]
    pub(super) fn mirrors(&self, member: &Member<Identity>) -> bool {
        self.nodes.get(&member.id().node).is_some_and(|known| {
            known.identity == *member.id()
                && known.state == member.state()
                && known.refutations == member.incarnation()
        })
    }

    /// Drops hints that have counted long enough.
    pub(super) fn expire_silence(&mut self, now: Tick) {
        let Self { silent, touched, .. } = self;
        silent.retain(|&node, &mut until| {
            let counts = now < until;
            if !counts {
                touched.insert(node);
            }
            counts
        });
    }

    /// Writes down every opinion that has changed since the last call.
    pub(super) fn report(&mut self, effects: &mut Vec<Effect>) {
        for node in std::mem::take(&mut self.touched) {
            let liveness = self.liveness(node);
            let Some(known) = self.nodes.get_mut(&node) else { continue };
            let Some(liveness) = liveness else { continue };
            let same = known.reported.is_some_and(|(identity, last)| {
                last == liveness
                    && identity.same_process(&known.identity)
                    && identity.address == known.identity.address
            });
            if !same {
                known.reported = Some((known.identity, liveness));
                effects.push(Effect::Changed { identity: known.identity, liveness });
            }
        }
    }

    /// What is thought of `node`, if it is known.
    pub(super) fn liveness(&self, node: NodeId) -> Option<Liveness> {
        let known = self.nodes.get(&node)?;
        Some(match known.state {
            State::Down => Liveness::Down,
            State::Suspect => Liveness::Suspect,
            State::Alive if self.silent.contains_key(&node) => Liveness::Suspect,
            State::Alive => Liveness::Alive,
        })
    }

    /// Whether `identity` is still under the suspicion that it had refuted `refutations` times.
    pub(super) fn suspects(&self, identity: &Identity, refutations: Refutations) -> bool {
        self.nodes.get(&identity.node).is_some_and(|known| {
            known.identity == *identity
                && known.state == State::Suspect
                && known.refutations == refutations
        })
    }

    /// The life of `node` that is known.
    pub(super) fn identity(&self, node: NodeId) -> Option<Identity> {
        self.nodes.get(&node).map(|known| known.identity)
    }

    /// Every life that is known, by node.
    pub(super) fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.nodes.values().map(|known| &known.identity)
    }

    /// Nodes that are not down.
    pub(super) fn active(&self) -> impl Iterator<Item = &Identity> {
        self.nodes.values().filter(|known| known.state != State::Down).map(|known| &known.identity)
    }

    /// Nodes that are down.
    pub(super) fn down(&self) -> impl Iterator<Item = &Identity> {
        self.nodes.values().filter(|known| known.state == State::Down).map(|known| &known.identity)
    }

    /// Nodes whose connection fell silent.
    pub(super) fn silent(&self) -> impl Iterator<Item = Identity> {
        self.silent.keys().filter_map(|&node| self.identity(node))
    }

    /// How many nodes are not down, this one included.
    pub(super) const fn size(&self) -> usize {
        self.active + 1
    }

    /// How many nodes are known.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes are down.
    pub(super) fn lost(&self) -> usize {
        self.nodes.len() - self.active
    }
}
