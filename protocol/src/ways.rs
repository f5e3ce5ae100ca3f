//! Which way what owners and executors say to each other takes.
//!
//! Two nodes may be cut from each other and from nobody else. Gossip keeps both alive, as it should,
//! so the leases between them neither end nor are lost, and work would stand still until the cut
//! heals. So whoever has had no connection with a member for [`RELAY_AFTER`] says what it has to say
//! as owner or executor through another member that is alive and connected here:
//!
//! ```text
//!          Relay { from: A, to: B }             Relay { from: A, to: B }
//!   A  ------------------------------->  C  ------------------------------->  B
//!      <-------------------------------     (or nothing, if C cannot reach B)
//!              NoWay { to: B }
//! ```
//!
//! **One hop.** A relay gives what it gets to the receiver, or drops it and says so. Nothing is kept
//! here, confirmed or repeated: owner and executor repeat all that matters until it is answered. The
//! relays take turns, and one that has no way is passed over for a while, so that none is tried in
//! vain for ever. Consensus and gossip are not relayed: both have their own ways around a cut.
//!
//! **Out of order.** What goes through a third may be overtaken by what takes another way, so the
//! executor hears of each such word that it is one. That includes what is said directly for
//! [`CROSSING_MAX`] after something was relayed: it is sent as relayed without a relay.
//!
//! **A connection is both ways.** A cut that only one direction suffers leaves no acknowledgements in
//! the other: QUIC ends the connection, and both sides are told. So there is nothing that can be said
//! directly and not be answered directly for longer than that takes.
//!
//! **Trust.** Who is connected has shown the certificate of a node and is taken by its word for which
//! node it is. A relay passes on only what its sender says in its own name, and only between members;
//! so nobody gets further through it than by itself. The receiver believes the relay that this was
//! so: a member may put words into the mouth of another, as it might in the meta group. An executor's
//! words still count only for the executors of the node they are said for. What a relay passes on
//! goes through the same frames, queues and limits as what it says itself.
//!
//! **Contract.** [`Ways::step`] is called with times that never go back; each effect is carried out at
//! once. There is no deadline: nothing happens here by itself.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::limits::{CROSSING_MAX, RELAY_AFTER, RELAY_AVOIDED, RELAY_TURN};
use crate::membership::Liveness;
use crate::sabotage::{self, Defect};
use crate::time::Tick;
use crate::wire::{PeerMessage, Relayed, Said};

/// The ways between a node and all others.
#[derive(Debug)]
pub struct Ways {
    node: NodeId,
    others: BTreeMap<NodeId, Other>,
}

/// What is known of another node: it is a member, connected, or told of by gossip.
#[derive(Debug)]
struct Other {
    is_connected: bool,
    is_member: bool,
    liveness: Option<Liveness>,
    /// Since when it has been a member without a connection.
    apart_since: Tick,
    /// When something was last said to it through another.
    relayed_at: Option<Tick>,
    /// Who has no way to it either, and until when that is believed.
    avoided: BTreeMap<NodeId, Tick>,
}

/// What happens to the ways of a node.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection was opened.
    Connected(NodeId),
    /// There is no connection any more.
    Disconnected(NodeId),
    /// Gossip tells of a node.
    Liveness {
        /// Which.
        node: NodeId,
        /// What.
        liveness: Liveness,
    },
    /// These are the members of the cluster now.
    Members(Vec<NodeId>),
    /// A relay has no way to a node.
    NoWay {
        /// The relay.
        via: NodeId,
        /// Whom it cannot reach.
        to: NodeId,
    },
    /// Another node gives this one what was relayed, or is to be.
    Relayed {
        /// Which, as its connection shows.
        sender: NodeId,
        /// What.
        relayed: Vec<Relayed>,
    },
    /// Another node is to be told.
    Say {
        /// Which.
        to: NodeId,
        /// What, in this order.
        messages: Vec<PeerMessage>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand to this node's scheduler or executor what came through another, or may overtake it.
    Deliver {
        /// Who says it.
        from: NodeId,
        /// What.
        said: Said,
    },
    /// Tell another node directly.
    Send {
        /// Which.
        to: NodeId,
        /// What.
        messages: Vec<PeerMessage>,
    },
}

/// The way to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    /// Directly, and it may overtake what is under way through others.
    Crossing,
    Through(NodeId),
}

impl Other {
    const fn new(now: Tick) -> Self {
        Self {
            is_connected: false,
            is_member: false,
            liveness: None,
            apart_since: now,
            relayed_at: None,
            avoided: BTreeMap::new(),
        }
    }

    /// Whether anything depends on it.
    fn matters(&self) -> bool {
        self.is_connected
            || self.is_member
            || self.liveness.is_some_and(|liveness| liveness != Liveness::Down)
    }

    fn can_relay(&self) -> bool {
        self.is_connected && self.is_member && self.liveness == Some(Liveness::Alive)
    }
}

impl Ways {
    /// Those of `node`, which knows nobody yet.
    #[must_use]
    pub const fn new(node: NodeId) -> Self {
        Self { node, others: BTreeMap::new() }
    }

    /// Takes an event and appends what is to be done to `effects`.
    pub fn step(&mut self, now: Tick, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Connected(node) => self.other(now, node).is_connected = true,
            Event::Disconnected(node) => {
                let other = self.other(now, node);
                if other.is_connected {
                    other.is_connected = false;
                    other.apart_since = now;
                }
                self.forget_strangers();
            }
            Event::Liveness { node, liveness } => {
                self.other(now, node).liveness = Some(liveness);
                self.forget_strangers();
            }
            Event::Members(members) => self.learn_members(now, &members),
            Event::NoWay { via, to } => self.avoid(now, via, to),
            Event::Relayed { sender, relayed } => self.relayed(sender, relayed, effects),
            Event::Say { to, messages } => self.say(now, to, messages, effects),
        }
    }

    fn other(&mut self, now: Tick, node: NodeId) -> &mut Other {
        self.others.entry(node).or_insert_with(|| Other::new(now))
    }

    fn forget_strangers(&mut self) {
        self.others.retain(|_, other| other.matters());
    }

    fn learn_members(&mut self, now: Tick, members: &[NodeId]) {
        for other in self.others.values_mut() {
            other.is_member = false;
        }
        for node in members {
            if *node != self.node {
                self.other(now, *node).is_member = true;
            }
        }
        self.forget_strangers();
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.others.get(&node).is_some_and(|other| other.is_member)
    }

    fn say(
        &mut self,
        now: Tick,
        to: NodeId,
        messages: Vec<PeerMessage>,
        effects: &mut Vec<Effect>,
    ) {
        let (first, relays) = match self.way(now, to) {
            // Without a connection it gets lost, as what is not relayed does anyhow.
            Way::Direct => return effects.push(Effect::Send { to, messages }),
            Way::Crossing => (to, false),
            Way::Through(via) => (via, true),
        };
        let mut relayed = Vec::with_capacity(messages.len());
        let mut others = Vec::new();
        for message in messages {
            let said = match message {
                PeerMessage::FromExecutor(says) => Said::FromExecutor(says),
                PeerMessage::ToExecutor(says) => Said::ToExecutor(says),
                other => {
                    others.push(other);
                    continue;
                }
            };
            let relay = Relayed { from: self.node, to, said };
            relayed.push(PeerMessage::Relay(Box::new(relay)));
        }
        if !relayed.is_empty() {
            if relays && let Some(other) = self.others.get_mut(&to) {
                other.relayed_at = Some(now);
            }
            effects.push(Effect::Send { to: first, messages: relayed });
        }
        if !others.is_empty() {
            effects.push(Effect::Send { to, messages: others });
        }
    }

    fn way(&self, now: Tick, to: NodeId) -> Way {
        let Some(other) = self.others.get(&to) else {
            return Way::Direct;
        };
        if other.is_connected {
            let crosses = other.relayed_at.is_some_and(|at| now.since(at) < CROSSING_MAX);
            return if crosses { Way::Crossing } else { Way::Direct };
        }
        let is_apart = now.since(other.apart_since) >= RELAY_AFTER;
        // Nobody reaches one that is down.
        let is_there = other.is_member && other.liveness != Some(Liveness::Down);
        match self.relay_to(now, to, other).filter(|_| is_apart && is_there) {
            Some(via) => Way::Through(via),
            None => Way::Direct,
        }
    }

    /// Whose turn it is to relay to `to`. Each pair of nodes begins with another one.
    fn relay_to(&self, now: Tick, to: NodeId, other: &Other) -> Option<NodeId> {
        let all = || {
            let able = self.others.iter().filter(|(_, relay)| relay.can_relay());
            able.map(|(node, _)| *node)
        };
        let is_avoided = |node: &NodeId| other.avoided.get(node).is_some_and(|until| now < *until);
        let mut candidates: Vec<NodeId> = all().filter(|node| !is_avoided(node)).collect();
        if candidates.is_empty() {
            candidates = all().collect();
        }
        let turn = now.since(other.apart_since).as_micros() / RELAY_TURN.as_micros();
        let place = (self.node.0 ^ to.0).wrapping_add(u128::from(turn));
        let place = place.checked_rem(u128::try_from(candidates.len()).ok()?)?;
        candidates.get(usize::try_from(place).ok()?).copied()
    }

    fn avoid(&mut self, now: Tick, via: NodeId, to: NodeId) {
        if !self.is_member(via) {
            return;
        }
        let Some(other) = self.others.get_mut(&to) else {
            return;
        };
        other.avoided.retain(|_, until| now < *until);
        if other.is_member && !other.is_connected {
            other.avoided.insert(via, now + RELAY_AVOIDED);
        }
    }

    /// Takes what is for this node, and gives on what is for others.
    fn relayed(&self, sender: NodeId, relayed: Vec<Relayed>, effects: &mut Vec<Effect>) {
        if !self.is_member(sender) {
            return;
        }
        let mut onward: BTreeMap<NodeId, Option<Vec<PeerMessage>>> = BTreeMap::new();
        for one in relayed {
            let is_own = match &one.said {
                Said::FromExecutor(says) => says.node() == one.from,
                Said::ToExecutor(_) => true,
            };
            if !is_own || !self.is_member(one.from) {
                continue;
            }
            if one.to == self.node {
                effects.push(Effect::Deliver { from: one.from, said: one.said });
            } else if one.from == sender && one.to != sender && self.is_member(one.to) {
                if sabotage::has(Defect::MuteRelays) {
                    continue;
                }
                let is_connected = self.others.get(&one.to).is_some_and(|to| to.is_connected);
                let messages = onward.entry(one.to).or_insert_with(|| is_connected.then(Vec::new));
                if let Some(messages) = messages {
                    messages.push(PeerMessage::Relay(Box::new(one)));
                }
            }
        }
        for (to, messages) in onward {
            effects.push(match messages {
                Some(messages) => Effect::Send { to, messages },
                None => Effect::Send { to: sender, messages: vec![PeerMessage::NoWay { to }] },
            });
        }
    }
}
