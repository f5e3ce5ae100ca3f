//! The Gossip actor.
//!
//! *Owns* the membership machine. *Receives* datagrams, what is known of connections, and what this
//! node can take. *Sends* datagrams, and what it finds out to the scheduler. *Never* shares its thread: a probe that is
//! answered late makes a healthy node look dead.

use std::mem;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, SpawnHandle};
use tracing::{debug, info, warn};
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::membership::{Effect, Event, Liveness, Load, Membership};
use umbel_protocol::scheduler;
use umbel_protocol::time::Tick;

use super::Happened;
use super::supervisor::{Bell, Handles, NodeError};
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
    alarm: Option<(Tick, SpawnHandle)>,
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

/// Tasks of this node's partitions that wait for a slot.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Waiting(pub(crate) usize);

/// Tells everything again that was told before: a new scheduler knows nothing.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TellAll;

/// All nodes that gossip knows, and what it thinks of them.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(NodeId, Liveness)>")]
pub struct Members;

impl Gossip {
    pub(crate) const fn new(
        machine: Membership,
        clock: Clock,
        handles: Handles,
        bell: Bell,
    ) -> Self {
        Self {
            machine,
            clock,
            handles,
            load: Load::default(),
            for_scheduler: Vec::new(),
            effects: Vec::new(),
            alarm: None,
            _bell: bell,
        }
    }

    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.machine.step(self.clock.tick(), event, &mut self.effects);
        for effect in mem::take(&mut self.effects) {
            self.perform(effect);
        }
        self.pass_on();
        self.set_alarm(ctx);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Changed { identity, liveness } => {
                info!(node = ?identity.node, ?liveness, "a node is {liveness:?}");
                let (node, incarnation) = (identity.node, identity.incarnation);
                self.for_scheduler.push(scheduler::Event::Liveness { node, incarnation, liveness });
            }
            Effect::Load { node, load, .. } => {
                self.for_scheduler.push(scheduler::Event::Load { node, load });
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

    fn pass_on(&mut self) {
        if self.for_scheduler.is_empty() {
            return;
        }
        let events = mem::take(&mut self.for_scheduler);
        if let Err((_, Happened(events))) = self.handles.scheduler.try_send(Happened(events)) {
            self.for_scheduler = events;
        }
    }

    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let deadline = self.machine.next_deadline();
        if self.alarm.is_some_and(|(at, _)| at <= deadline) {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let alarm = ctx.run_later(self.clock.until(deadline), |actor, ctx| {
            actor.alarm = None;
            actor.step(Event::Tick, ctx);
        });
        self.alarm = Some((deadline, alarm));
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

impl Handler<Waiting> for Gossip {
    type Result = ();

    fn handle(&mut self, Waiting(tasks): Waiting, _: &mut Self::Context) {
        // It goes with what the executor tells next, which is once a second.
        self.load.backlog = u32::try_from(tasks).unwrap_or(u32::MAX);
    }
}

impl Handler<TellAll> for Gossip {
    type Result = ();

    fn handle(&mut self, _: TellAll, _: &mut Self::Context) {
        let all = self.machine.nodes().map(|(identity, liveness)| scheduler::Event::Liveness {
            node: identity.node,
            incarnation: identity.incarnation,
            liveness,
        });
        self.for_scheduler.extend(all);
        self.pass_on();
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
