//! The Executor actor.
//!
//! *Owns* the executor machine and the runs that it has started. *Receives* what owners say, and the
//! ends of runs. *Sends* grants, beats and outcomes to owners, and its free slots to gossip. *Never*
//! runs a task on its own thread: runs are futures of the runtime, and a panic in one is its
//! outcome.

mod control;
mod line;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use tracing::warn;
use umbel_protocol::executor::{self, Effect, Event, Start};
use umbel_protocol::id::{NodeId, TaskId, Token};
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::scheduler;
use umbel_protocol::task::Outcome;
use umbel_protocol::time::Tick;
use umbel_protocol::wire::{ExecutorSays, OwnerSays, PeerMessage, Profile};

use self::control::Control;
use self::line::{Line, run};
use super::Handles;
use super::Happened;
use super::alarm::{Alarm, Driven};
use super::bell::Bell;
use super::gossip::Free;
use super::runs::Tie;
use crate::clock::Clock;
use crate::transport::Room;
use crate::work::{Lingering, Registry, Runner};

/// Runs tasks in slots. See the [module](self).
pub struct Executor {
    machine: executor::Executor,
    clock: Clock,
    registry: Arc<Registry>,
    /// Whether any of its tasks has a grace of its own.
    has_graces: bool,
    runner: Runner,
    handles: Handles,
    running: HashMap<(TaskId, Token), Control>,
    /// What the scheduler of this node had no room for.
    for_scheduler: Vec<scheduler::Event>,
    effects: Vec<Effect>,
    alarm: Alarm,
    tie: Tie,
    _bell: Bell,
}

/// What an executor can run.
#[derive(Clone, Debug)]
pub(crate) struct Repertoire {
    /// By name.
    pub(crate) registry: Arc<Registry>,
    /// As it is told to owners.
    pub(crate) profile: Profile,
}

/// It can run something else from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Learned(pub(crate) Repertoire);

/// An owner says something.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct OwnerSpoke {
    pub(crate) from: NodeId,
    pub(crate) says: Vec<OwnerSays>,
    /// What it takes of the memory for frames until it is dealt with, if it came in one.
    pub(crate) room: Option<Room>,
}

/// Owners say something that was relayed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct OwnersRelayed {
    pub(crate) relayed: Vec<(NodeId, OwnerSays)>,
    /// As in [`OwnerSpoke`].
    pub(crate) room: Room,
}

/// Runs have ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct RunnersEnded(pub(crate) Vec<(TaskId, Token, Outcome)>);

/// A run that is heeded has said more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Spoke {
    task: TaskId,
    token: Token,
}

/// The code of a run that was given up has come to its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Quiet {
    task: TaskId,
    token: Token,
}

/// A node is not heard of any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Unheard(pub(crate) NodeId);

/// A new way to a node was opened, its scheduler was started anew, or it is heard of again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Reached(pub(crate) NodeId);

/// This node is a member of its cluster.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Admitted;

/// This node leaves: no run is begun any more, and those that are held come to their ends.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

/// Ends this executor, and tells its runs to end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

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
        tie: Tie,
        bell: Bell,
    ) -> Self {
        Self {
            machine,
            clock: clock.clone(),
            has_graces: has_graces(&registry),
            registry,
            runner,
            handles,
            running: HashMap::new(),
            for_scheduler: Vec::new(),
            effects: Vec::new(),
            alarm: Alarm::new(clock),
            tie,
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
                Effect::Retired => self.for_scheduler.push(scheduler::Event::Retired),
                Effect::Start(start) => starts.push(start),
                Effect::Kill { task, token } => {
                    if let Some(control) = self.running.get(&(task, token)) {
                        control.kill();
                    }
                }
                Effect::Heed { task, token, place } => {
                    // An address that was just made has room for one message, and it is said once.
                    let me = ctx.address();
                    self.runner.journals().heed(task, token, place, move || {
                        drop(me.try_send(Spoke { task, token }));
                    });
                }
                Effect::Tell { to, task, token, after, is_last } => {
                    let words = self.runner.journals().words(task, token, after);
                    let lessee = self.machine.me();
                    let news = ExecutorSays::News { lessee, task, token, words, is_last };
                    if to == lessee.node {
                        self.for_scheduler.push(scheduler::Event::Executor(news));
                    } else {
                        says.entry(to).or_default().push(PeerMessage::FromExecutor(news));
                    }
                }
                Effect::Stop { task, token } => {
                    if let Some(control) = self.running.get(&(task, token)) {
                        control.cancel.cancel();
                    }
                }
            }
        }
        for (to, messages) in says {
            self.handles.ways.say(to, messages);
        }
        self.start(starts, ctx);
        self.settle(ctx);
    }

    /// How long a run may go on after it was asked to end.
    fn grace_of(&self, start: &Start) -> Duration {
        let named = || self.registry.get(&start.template.name);
        let definition = self.has_graces.then(named).flatten();
        definition.map_or_else(|| self.runner.grace(), |known| self.runner.grace_of(known))
    }

    /// Tells the machine which runs, of those that are meant, go on in part though they are over, and again
    /// when they do not.
    fn tell_lingering(&mut self, is_meant: impl Fn(TaskId, Token) -> bool, ctx: &Context<Self>) {
        for Lingering { task, token, name, queue } in self.runner.lingering(is_meant) {
            // As with what a run says: there is room for one message.
            let me = ctx.address();
            let tell = move || drop(me.try_send(Quiet { task, token }));
            if self.runner.when_quiet(task, token, tell) {
                self.step(Event::Lingers { task, token, queue, name });
            }
        }
    }

    fn start(&mut self, starts: Vec<Start>, ctx: &Context<Self>) {
        if starts.is_empty() {
            return;
        }
        let waiting: Vec<(Start, Control)> = starts
            .into_iter()
            .map(|start| {
                let control = Control::of(&start, self.grace_of(&start));
                self.running.insert((start.task, start.token), control.clone());
                (start, control)
            })
            .collect();
        let threads = self.handles.threads.min(waiting.len());
        let line = Arc::new(Line::new(waiting));
        for _ in 0..threads {
            let (registry, runner) = (Arc::clone(&self.registry), self.runner.clone());
            let (line, to, tie) = (Arc::clone(&line), ctx.address(), self.tie.clone());
            self.handles.tasks.spawn(run(line, registry, runner, to, tie));
        }
    }
}

impl Driven for Executor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn deadline(&self) -> Tick {
        self.machine.next_deadline()
    }

    fn due(&mut self, ctx: &mut Context<Self>) {
        self.step(Event::Due);
        self.perform(ctx);
        // One that is not yet allowed to begin may be watched already.
        let (running, machine) = (&self.running, &self.machine);
        let goes_on = |run: &(_, _)| running.contains_key(run) || machine.holds(run.0, run.1);
        self.runner.journals().keep(goes_on);
        // Once a second is often enough for gossip, and the next one says it again.
        drop(self.handles.gossip.try_send(Free(self.machine.free())));
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

impl Actor for Executor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        // Its predecessor may have left some.
        self.tell_lingering(|_, _| true, ctx);
        self.step(Event::Reached(self.machine.me().node));
        if *self.handles.member.borrow() {
            // One before it has been told.
            self.step(Event::Admitted);
        }
        self.perform(ctx);
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Nobody hears any more how they end; what does not do so soon is ended by the supervisor,
        // before it builds a successor.
        let mut longest = self.runner.grace();
        for ((task, token), control) in &self.running {
            control.cancel.cancel();
            longest = longest.max(control.grace);
            // Nobody asks any more whether those may go on that must not overlap with others.
            if let Some(until) = self.machine.guarded_until(*task, *token) {
                let (left, control) = (self.clock.until(until), control.clone());
                self.handles.tasks.spawn(async move {
                    tokio::time::sleep(left).await;
                    control.kill();
                });
            }
        }
        self.tie.told(longest);
        if !self.running.is_empty() {
            warn!(runs = self.running.len(), "runs are given up with their executor");
        }
    }
}

impl Handler<OwnerSpoke> for Executor {
    type Result = ();

    fn handle(&mut self, OwnerSpoke { from, says, room }: OwnerSpoke, ctx: &mut Self::Context) {
        self.make_way(ctx);
        for says in says {
            self.step(Event::Owner { from, says });
        }
        drop(room);
        self.perform(ctx);
    }
}

impl Handler<OwnersRelayed> for Executor {
    type Result = ();

    fn handle(&mut self, OwnersRelayed { relayed, room }: OwnersRelayed, ctx: &mut Self::Context) {
        self.make_way(ctx);
        for (from, says) in relayed {
            self.step(Event::Relayed { from, says });
        }
        drop(room);
        self.perform(ctx);
    }
}

impl Handler<RunnersEnded> for Executor {
    type Result = ();

    fn handle(&mut self, RunnersEnded(ended): RunnersEnded, ctx: &mut Self::Context) {
        self.make_way(ctx);
        for (task, token, _) in &ended {
            self.running.remove(&(*task, *token));
        }
        // What they said is told before their ends, and then forgotten.
        let said = (!self.runner.journals().is_empty())
            .then(|| ended.iter().map(|(task, token, _)| (*task, *token)).collect::<Vec<_>>());
        let is_over = |task, token| ended.iter().any(|end| (end.0, end.1) == (task, token));
        self.tell_lingering(is_over, ctx);
        self.step(Event::Finished(ended));
        self.perform(ctx);
        for (task, token) in said.into_iter().flatten() {
            self.runner.journals().end(task, token);
        }
    }
}

impl Handler<Spoke> for Executor {
    type Result = ();

    fn handle(&mut self, Spoke { task, token }: Spoke, ctx: &mut Self::Context) {
        self.step(Event::Spoke { task, token });
        self.perform(ctx);
    }
}

impl Handler<Quiet> for Executor {
    type Result = ();

    fn handle(&mut self, Quiet { task, token }: Quiet, ctx: &mut Self::Context) {
        self.step(Event::Quiet { task, token });
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

impl Handler<Learned> for Executor {
    type Result = ();

    /// Whoever can be reached is told at once, as after a new connection.
    fn handle(&mut self, Learned(repertoire): Learned, ctx: &mut Self::Context) {
        let Repertoire { registry, profile } = repertoire;
        self.has_graces = has_graces(&registry);
        self.registry = registry;
        self.step(Event::Learned(profile));
        self.step(Event::Reached(self.machine.me().node));
        for (node, _) in self.handles.transport.versions() {
            self.step(Event::Reached(node));
        }
        self.perform(ctx);
    }
}

impl Handler<Admitted> for Executor {
    type Result = ();

    fn handle(&mut self, _: Admitted, ctx: &mut Self::Context) {
        self.step(Event::Admitted);
        self.perform(ctx);
    }
}

impl Handler<Unheard> for Executor {
    type Result = ();

    fn handle(&mut self, Unheard(node): Unheard, ctx: &mut Self::Context) {
        self.step(Event::Unheard(node));
        self.perform(ctx);
    }
}

impl Handler<Leave> for Executor {
    type Result = ();

    fn handle(&mut self, Leave: Leave, ctx: &mut Self::Context) {
        self.step(Event::Retire);
        self.perform(ctx);
    }
}

impl Handler<Retire> for Executor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Held> for Executor {
    type Result = usize;

    fn handle(&mut self, _: Held, _: &mut Self::Context) -> usize {
        self.machine.held()
    }
}

fn has_graces(registry: &Registry) -> bool {
    registry.iter().any(|definition| definition.grace().is_some())
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
