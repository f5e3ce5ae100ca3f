//! Which way a message to another node takes: the machine of [`umbel_protocol::ways`], and what it
//! decides, done.
//!
//! Owned by nobody and used by all: scheduler and executor have something to say, gossip and the
//! network know who is there. So it is behind a lock, which is held for a few look-ups.

use std::sync::{Arc, Mutex, PoisonError};

use umbel_protocol::id::NodeId;
use umbel_protocol::ways::{Effect, Event, Ways as Machine};
use umbel_protocol::wire::{PeerMessage, Relayed, Said};

use crate::clock::Clock;
use crate::transport::Transport;
use crate::wire_out::send_envelopes;

/// The ways between this node and the others. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ways(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    machine: Mutex<Machine>,
    clock: Clock,
    transport: Transport,
}

impl Ways {
    pub(crate) fn new(node: NodeId, clock: Clock, transport: Transport) -> Self {
        Self(Arc::new(Inner { machine: Mutex::new(Machine::new(node)), clock, transport }))
    }

    /// Something is known of another node.
    pub(crate) fn note(&self, event: Event) {
        // Nobody is told anything by what is merely known.
        self.step(event);
    }

    /// Tells another node, directly or through a third.
    pub(crate) fn say(&self, to: NodeId, messages: Vec<PeerMessage>) {
        self.step(Event::Say { to, messages });
    }

    /// Passes on what `sender` wants relayed. What was for this node, and who says it.
    pub(crate) fn relay(&self, sender: NodeId, relayed: Vec<Relayed>) -> Vec<(NodeId, Said)> {
        self.step(Event::Relayed { sender, relayed })
    }

    fn step(&self, event: Event) -> Vec<(NodeId, Said)> {
        let Inner { machine, clock, transport } = &*self.0;
        let mut effects = Vec::new();
        {
            let mut machine = machine.lock().unwrap_or_else(PoisonError::into_inner);
            // Read under the lock: the machine must not see time go back.
            machine.step(clock.tick(), event, &mut effects);
        }
        let mut delivered = Vec::new();
        for effect in effects {
            match effect {
                Effect::Deliver { from, said } => delivered.push((from, said)),
                Effect::Send { to, messages } => send_envelopes(transport, to, false, messages),
            }
        }
        delivered
    }
}
