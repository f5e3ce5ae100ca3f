//! The Executor actor.
//!
//! *Owns* the executor machine and the runs that it has started. *Receives* what owners say, and the
//! ends of runs. *Sends* grants, beats and outcomes to owners, and its free slots to gossip. *Never*
//! runs a task on its own thread: runs are futures of the runtime, and a panic in one is its
//! outcome.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use umbel_protocol::executor::{self, Effect, Event, Start};
use umbel_protocol::id::{NodeId, TaskId, Token};
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::scheduler;
use umbel_protocol::task::{Failure, FailureKind, Outcome};
use umbel_protocol::time::Tick;
use umbel_protocol::wire::{OwnerSays, PeerMessage};

use super::Happened;
use super::gossip::Free;
use super::supervisor::{Bell, Handles};
use crate::clock::Clock;
use crate::wire_out::send_envelopes;
use crate::work::{Registry, RunRequest, Runner, Started};

/// Runs that one spawned future starts one after the other. A run that computes before it first
/// waits delays those behind it, so a batch is spread over all threads first.
const STARTS_PER_FUTURE: usize = 64;

/// Runs tasks in slots. See the [module](self).
pub struct Executor {
    machine: executor::Executor,
    clock: Clock,
    registry: Arc<Registry>,
    runner: Runner,
    handles: Handles,
    running: HashMap<(TaskId, Token), CancellationToken>,
    /// What the scheduler of this node had no room for.
    for_scheduler: Vec<scheduler::Event>,
    effects: Vec<Effect>,
    alarm: Option<(Tick, SpawnHandle)>,
    _bell: Bell,
}

/// An owner says something.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct OwnerSpoke {
    pub(crate) from: NodeId,
    pub(crate) says: Vec<OwnerSays>,
}

/// Runs have ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct RunnersEnded(pub(crate) Vec<(TaskId, Token, Outcome)>);

/// A new way to a node was opened, or its scheduler was started anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Reached(pub(crate) NodeId);

/// How many runs are held: started, or ended and not yet on record.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct Held;

impl Executor {
    pub(crate) fn new(
        machine: executor::Executor,
        clock: Clock,
        registry: Arc<Registry>,
        runner: Runner,
        handles: Handles,
        bell: Bell,
    ) -> Self {
        Self {
            machine,
            clock,
            registry,
            runner,
            handles,
            running: HashMap::new(),
            for_scheduler: Vec::new(),
            effects: Vec::new(),
            alarm: None,
            _bell: bell,
        }
    }

    fn step(&mut self, event: Event) {
        self.machine.step(self.clock.tick(), event, &mut self.effects);
    }

    /// Performs what the steps of a message have decided, together.
    fn perform(&mut self, ctx: &mut Context<Self>) {
        let mut starts = Vec::new();
        let mut says: HashMap<NodeId, Vec<PeerMessage>> = HashMap::new();
        for effect in mem::take(&mut self.effects) {
            match effect {
                Effect::Send { to, says } if to == self.machine.me().node => {
                    self.for_scheduler.push(scheduler::Event::Executor(says));
                }
                Effect::Send { to, says: said } => {
                    says.entry(to).or_default().push(PeerMessage::FromExecutor(said));
                }
                Effect::Start(start) => starts.push(start),
                Effect::Stop { task, token } => {
                    if let Some(cancel) = self.running.get(&(task, token)) {
                        cancel.cancel();
                    }
                }
            }
        }
        for (to, messages) in says {
            send_envelopes(&self.handles.transport, to, false, messages);
        }
        self.start(starts, ctx);
        self.pass_on();
        self.set_alarm(ctx);
    }

    fn start(&mut self, starts: Vec<Start>, ctx: &Context<Self>) {
        if starts.is_empty() {
            return;
        }
        let spread = starts.len().div_ceil(self.handles.threads).clamp(1, STARTS_PER_FUTURE);
        let mut starts = starts.into_iter().peekable();
        while starts.peek().is_some() {
            let some: Vec<(Start, CancellationToken)> = (starts.by_ref().take(spread))
                .map(|start| {
                    let cancel = CancellationToken::new();
                    self.running.insert((start.task, start.token), cancel.clone());
                    (start, cancel)
                })
                .collect();
            let (registry, runner) = (Arc::clone(&self.registry), self.runner.clone());
            let to = ctx.address();
            self.handles.runtime.spawn(run(some, registry, runner, to));
        }
    }

    /// Gives the scheduler of this node what there is for it, in order.
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
            actor.step(Event::Due);
            actor.perform(ctx);
            // Once a second is often enough for gossip, and the next one says it again.
            drop(actor.handles.gossip.try_send(Free(actor.machine.free())));
        });
        self.alarm = Some((deadline, alarm));
    }
}

/// Starts some runs. Those that end at once are told together, the others each by itself.
async fn run(
    starts: Vec<(Start, CancellationToken)>,
    registry: Arc<Registry>,
    runner: Runner,
    to: actix::Addr<Executor>,
) {
    let mut ended = Vec::with_capacity(starts.len());
    for (start, cancel) in starts {
        let (task, token) = (start.task, start.token);
        match begin(&start, &registry, &runner, cancel) {
            Started::Ready(outcome) => ended.push((task, token, outcome)),
            Started::Running(run) => {
                let to = to.clone();
                tokio::spawn(async move {
                    let outcome = run.await;
                    report(&to, vec![(task, token, outcome)]).await;
                });
            }
        }
    }
    if !ended.is_empty() {
        report(&to, ended).await;
    }
}

fn begin(
    start: &Start,
    registry: &Registry,
    runner: &Runner,
    cancel: CancellationToken,
) -> Started {
    let Some(definition) = registry.get(&start.template.name) else {
        let message = format!("this node does not know the task {:?}", start.template.name);
        let failure = Failure::new(FailureKind::Permanent, message);
        return Started::Ready(Outcome::Failed(failure));
    };
    let limit = start.template.options.time_limit;
    let request = RunRequest {
        id: start.task,
        token: start.token,
        attempt: u16::try_from(start.attempt).unwrap_or(u16::MAX),
        args: start.args.clone(),
        time_limit: limit.map(|span| std::time::Duration::from_micros(span.as_micros())),
    };
    runner.start(definition, request, cancel)
}

async fn report(to: &actix::Addr<Executor>, ended: Vec<(TaskId, Token, Outcome)>) {
    if to.send(RunnersEnded(ended)).await.is_err() {
        // The executor that started them is gone, and its leases with it.
        debug!("runs ended after their executor");
    }
}

impl Actor for Executor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        self.step(Event::Reached(self.machine.me().node));
        self.perform(ctx);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // A successor may be dispatched to at once: nothing of this one may go on beside it.
        for cancel in self.running.values() {
            cancel.cancel();
        }
        if !self.running.is_empty() {
            warn!(runs = self.running.len(), "runs are given up with their executor");
        }
    }
}

impl Handler<OwnerSpoke> for Executor {
    type Result = ();

    fn handle(&mut self, OwnerSpoke { from, says }: OwnerSpoke, ctx: &mut Self::Context) {
        for says in says {
            self.step(Event::Owner { from, says });
        }
        self.perform(ctx);
    }
}

impl Handler<RunnersEnded> for Executor {
    type Result = ();

    fn handle(&mut self, RunnersEnded(ended): RunnersEnded, ctx: &mut Self::Context) {
        for (task, token, _) in &ended {
            self.running.remove(&(*task, *token));
        }
        self.step(Event::Finished(ended));
        self.perform(ctx);
    }
}

impl Handler<Reached> for Executor {
    type Result = ();

    fn handle(&mut self, Reached(node): Reached, ctx: &mut Self::Context) {
        self.step(Event::Reached(node));
        self.perform(ctx);
    }
}

impl Handler<Held> for Executor {
    type Result = usize;

    fn handle(&mut self, _: Held, _: &mut Self::Context) -> usize {
        self.machine.held()
    }
}

/// Makes the actor panic, as a bug of ours would.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Panic;

#[cfg(test)]
impl Handler<Panic> for Executor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a bug in the executor");
    }
}
