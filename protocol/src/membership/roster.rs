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
    /// Whether it was heard here since it was suspected.
    is_heard: bool,
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
        // A suspicion that is new has yet to be doubted.
        let same = known.filter(|known| known.state == state && known.refutations == refutations);
        let is_heard = same.is_some_and(|known| known.is_heard);
        let known = Known { identity, state, refutations, is_heard, reported };
        self.nodes.insert(identity.node, known);
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
        let suspect = self.nodes.get_mut(&node).filter(|known| known.state == State::Suspect);
        let doubted = suspect.is_some_and(|known| !std::mem::replace(&mut known.is_heard, true));
        if self.silent.remove(&node).is_some() || doubted {
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
            // Whoever suspected it may be gone, and its refutation lost: the engine would suspect it
            // for ever. But it has been heard here meanwhile, and is down only if it fails a probe.
            State::Suspect if !known.is_heard => Liveness::Suspect,
            State::Alive | State::Suspect if self.silent.contains_key(&node) => Liveness::Suspect,
            State::Alive | State::Suspect => Liveness::Alive,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Incarnation;

    #[test]
    fn a_suspect_that_is_heard_is_alive_unless_it_is_suspected_anew_or_down() {
        let node = NodeId(2);
        let identity = Identity::new(node, Incarnation(1), 7, ([127, 0, 0, 1], 7_400).into());
        let mut roster = Roster::new(NodeId(1));
        let mut changes = |act: &dyn Fn(&mut Roster)| {
            let mut effects = Vec::new();
            act(&mut roster);
            roster.report(&mut effects);
            effects
        };
        let told = |liveness| [Effect::Changed { identity, liveness }];
        let note = |refutations, state| {
            move |roster: &mut Roster| {
                roster.note(&Member::new(identity, refutations, state));
            }
        };
        assert_eq!(changes(&note(0, State::Alive)), told(Liveness::Alive));
        assert_eq!(changes(&note(0, State::Suspect)), told(Liveness::Suspect));
        assert_eq!(changes(&|roster| roster.heard(node)), told(Liveness::Alive));
        assert_eq!(changes(&note(0, State::Suspect)), [], "the same suspicion, told again");
        assert_eq!(changes(&note(1, State::Suspect)), told(Liveness::Suspect));
        assert_eq!(changes(&|roster| roster.heard(node)), told(Liveness::Alive));
        assert_eq!(changes(&note(1, State::Down)), told(Liveness::Down));
        assert_eq!(changes(&|roster| roster.heard(node)), []);
    }
}
