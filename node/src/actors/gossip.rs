//! The Gossip actor.
//!
//! *Owns* the membership machine. *Receives* datagrams, what is known of connections, and what this
//! node can take. *Sends* datagrams, and what it finds out to the scheduler and the executor.
//! *Never* shares its thread: a probe that is answered late makes a healthy node look dead.

use std::mem;

use actix::{Actor, Context, Handler, Message, MessageResult};
use tracing::{debug, info, warn};
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::membership::{Condition, Effect, Event, Liveness, Load, Membership};
use umbel_protocol::scheduler;
use umbel_protocol::time::Tick;
use umbel_protocol::ways;

use super::alarm::{Alarm, Driven};
use super::bell::Bell;
use super::executor::Unheard;
use super::{Handles, NodeError};
use super::{Happened, Reached};
use crate::clock::Clock;

/// Drives membership. See the [module](self).
pub struct Gossip {
    machine: Membership,
    clock: Clock,
    handles: Handles,
    /// What this node can take, as far as its other actors have told.
    load: Load,
    for_scheduler: Vec<scheduler::Event>,
    effects: Vec<Effect>,
    alarm: Alarm,
    _bell: Bell,
}

/// Something happened that gossip is to know.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Gossiped(pub(crate) Event);

/// Slots of this node's executor that no run takes, by pool.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Free(pub(crate) Vec<u32>);

/// What the scheduler tells of this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) struct Fares {
    /// Tasks of its partitions that wait for a slot.
    pub(crate) waiting: usize,
    /// Whether it can do its part.
    pub(crate) condition: Condition,
    /// Whether its records take most of the memory that they may.
    pub(crate) is_tight: bool,
}

/// Tells everything again that was told before: a new scheduler knows nothing.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TellAll;

/// All nodes that gossip knows, and what it thinks of them.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(NodeId, Liveness)>")]
pub struct Members;

impl Gossip {
    pub(crate) fn new(machine: Membership, clock: Clock, handles: Handles, bell: Bell) -> Self {
        Self {
            machine,
            clock: clock.clone(),
            handles,
            load: Load::default(),
            for_scheduler: Vec::new(),
            effects: Vec::new(),
            alarm: Alarm::new(clock),
            _bell: bell,
        }
    }

    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.machine.step(self.clock.tick(), event, &mut self.effects);
        for effect in mem::take(&mut self.effects) {
            self.perform(effect);
        }
        self.settle(ctx);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Changed { identity, liveness } => {
                let (node, incarnation) = (identity.node, identity.incarnation);
                let name = self.handles.transport.called(node);
                info!(id = %node, "node {name} {}", words(liveness));
                // Whoever has not met that start itself refuses earlier ones all the same.
                self.handles.transport.note_incarnation(node, incarnation);
                self.handles.ways.note(ways::Event::Liveness { node, liveness });
                self.for_scheduler.push(scheduler::Event::Liveness { node, incarnation, liveness });
                let executor = &self.handles.executor;
                match liveness {
                    Liveness::Alive => self.handles.tell(executor, Reached(node)),
                    Liveness::Suspect | Liveness::Down => {
                        self.handles.tell(executor, Unheard(node));
                    }
                }
            }
            Effect::Load { node, incarnation, load } => {
                self.for_scheduler.push(scheduler::Event::Load { node, incarnation, load });
            }
            Effect::Rejected { from, why } => debug!(?from, %why, "a datagram was ignored"),
            Effect::Rejoined { .. } => {
                warn!("this node was taken to be down and has rejoined");
            }
            Effect::SendDatagram { to, data } => {
                if let Err(why) = self.handles.transport.send_datagram(to.node, data) {
                    debug!(to = ?to.node, %why, "a datagram was dropped");
                }
            }
            Effect::Superseded { by } => {
                self.handles.fail(NodeError::Superseded { address: by.address });
            }
        }
    }
}

const fn words(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Alive => "is alive",
        Liveness::Suspect => "does not answer",
        Liveness::Down => "is down",
    }
}

impl Driven for Gossip {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn deadline(&self) -> Tick {
        self.machine.next_deadline()
    }

    fn due(&mut self, ctx: &mut Context<Self>) {
        self.step(Event::Tick, ctx);
    }

    fn pass_on(&mut self) -> bool {
        if self.for_scheduler.is_empty() {
            return true;
        }
        let events = mem::take(&mut self.for_scheduler);
        if let Err((_, Happened(events))) = self.handles.scheduler.try_send(Happened(events)) {
            self.for_scheduler = events;
        }
        self.for_scheduler.is_empty()
    }
}

impl Actor for Gossip {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        self.step(Event::Tick, ctx);
    }
}

impl Handler<Gossiped> for Gossip {
    type Result = ();

    fn handle(&mut self, Gossiped(event): Gossiped, ctx: &mut Self::Context) {
        self.make_way(ctx);
        self.step(event, ctx);
    }
}

impl Handler<Free> for Gossip {
    type Result = ();

    fn handle(&mut self, Free(free): Free, ctx: &mut Self::Context) {
        // Queues with slots of their own come last, and are not told of.
        for (told, free) in self.load.free.iter_mut().zip(free) {
            *told = u16::try_from(free).unwrap_or(u16::MAX);
        }
        self.load.clock = self.clock.now().wall;
        self.step(Event::LoadChanged(self.load), ctx);
    }
}

impl Handler<Fares> for Gossip {
    type Result = ();

    fn handle(&mut self, fares: Fares, ctx: &mut Self::Context) {
        let Fares { waiting, condition, is_tight } = fares;
        self.load.is_tight = is_tight;
        self.load.backlog = u32::try_from(waiting).unwrap_or(u32::MAX);
        // All else goes with what the executor tells next, which is once a second.
        if mem::replace(&mut self.load.condition, condition) != condition {
            self.load.clock = self.clock.now().wall;
            self.step(Event::LoadChanged(self.load), ctx);
        }
    }
}

impl Handler<TellAll> for Gossip {
    type Result = ();

    fn handle(&mut self, _: TellAll, ctx: &mut Self::Context) {
        let all = self.machine.nodes().map(|(identity, liveness)| scheduler::Event::Liveness {
            node: identity.node,
            incarnation: identity.incarnation,
            liveness,
        });
        self.for_scheduler.extend(all);
        let loads = self.machine.loads().map(|(node, incarnation, load)| scheduler::Event::Load {
            node,
            incarnation,
            load,
        });
        self.for_scheduler.extend(loads);
        self.settle(ctx);
    }
}

impl Handler<Members> for Gossip {
    type Result = MessageResult<Members>;

    fn handle(&mut self, _: Members, _: &mut Self::Context) -> Self::Result {
        let nodes = self.machine.nodes();
        MessageResult(nodes.map(|(identity, liveness)| (identity.node, liveness)).collect())
    }
}

/// Makes the actor panic, as a bug of ours would.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Panic;

#[cfg(test)]
impl Handler<Panic> for Gossip {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a bug in gossip");
    }
}

/// Makes the actor stand still until the gate is opened.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Hold(pub(crate) super::tests::Gate);

#[cfg(test)]
impl Handler<Hold> for Gossip {
    type Result = ();

    fn handle(&mut self, Hold(gate): Hold, _: &mut Self::Context) {
        gate.pass();
    }
}
