//! The Executor actor.
//!
//! *Owns* the executor machine and the runs that it has started. *Receives* what owners say, and the
//! ends of runs. *Sends* grants, beats and outcomes to owners, and its free slots to gossip. *Never*
//! runs a task on its own thread: runs are futures of the runtime, and a panic in one is its
//! outcome.

use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use umbel_protocol::executor::{self, Effect, Event, Start};
use umbel_protocol::id::{NodeId, TaskId, Token};
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::scheduler;
use umbel_protocol::task::{Failure, FailureKind, Outcome};
use umbel_protocol::time::Tick;
use umbel_protocol::wire::{OwnerSays, PeerMessage, Profile};

use super::Handles;
use super::Happened;
use super::alarm::{Alarm, Driven};
use super::bell::Bell;
use super::gossip::Free;
use super::runs::Tie;
use crate::clock::Clock;
use crate::transport::Room;
use crate::work::{Registry, RunRequest, Runner, Started, duration, panicked};

/// Runs that ended at once and are told together; also how many are started before other tasks of
/// the thread have their turn.
const TOGETHER_MAX: usize = 64;

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
            clock,
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
                Effect::Stop { task, token } => {
                    if let Some(cancel) = self.running.get(&(task, token)) {
                        cancel.cancel();
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

    fn start(&mut self, starts: Vec<Start>, ctx: &Context<Self>) {
        if starts.is_empty() {
            return;
        }
        let waiting: Vec<(Start, CancellationToken)> = starts
            .into_iter()
            .map(|start| {
                let cancel = CancellationToken::new();
                self.running.insert((start.task, start.token), cancel.clone());
                (start, cancel)
            })
            .collect();
        let threads = self.handles.threads.min(waiting.len());
        let line = Arc::new(Line { waiting, next: AtomicUsize::new(0), ended: Mutex::default() });
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

/// Runs that are to be started, by any thread that is free: one that computes before it first waits
/// holds up its own thread and none of the others in line.
struct Line {
    waiting: Vec<(Start, CancellationToken)>,
    /// The first that nobody has taken.
    next: AtomicUsize,
    /// Those that ended at once and are not told yet. Whoever comes to the end of the line tells of
    /// all, because others may be held up.
    ended: Mutex<Vec<(TaskId, Token, Outcome)>>,
}

impl Line {
    /// Keeps an end; all of them, when there are enough to be told.
    fn keep(&self, end: (TaskId, Token, Outcome)) -> Option<Vec<(TaskId, Token, Outcome)>> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push(end);
        (ended.len() >= TOGETHER_MAX).then(|| mem::take(&mut *ended))
    }

    fn rest(&self) -> Vec<(TaskId, Token, Outcome)> {
        mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts runs. Those that end at once are told together, the others each by itself.
async fn run(
    line: Arc<Line>,
    registry: Arc<Registry>,
    runner: Runner,
    to: actix::Addr<Executor>,
    tie: Tie,
) {
    while !tie.is_cut() {
        let Some((start, cancel)) = line.waiting.get(line.next.fetch_add(1, Ordering::Relaxed))
        else {
            break;
        };
        let (task, token) = (start.task, start.token);
        match begin(start, &registry, &runner, cancel.clone()) {
            Started::Ready(outcome) => {
                if let Some(ended) = line.keep((task, token, outcome)) {
                    report(&to, ended).await;
                    tokio::task::yield_now().await;
                }
            }
            Started::Running(run) => {
                let (to, tie) = (to.clone(), tie.clone());
                tokio::spawn(async move {
                    let held = tie.clone();
                    if let Some(outcome) = tie.hold(run).await {
                        report(&to, vec![(task, token, outcome)]).await;
                    }
                    drop(held);
                });
                // What was spawned last cannot be taken over by another thread: it goes first, in
                // case that the next run computes for long.
                tokio::task::yield_now().await;
            }
        }
    }
    let ended = line.rest();
    if !ended.is_empty() {
        report(&to, ended).await;
    }
}

/// Starts one run. Whatever goes wrong is its outcome: a run that is never told of is held for ever.
fn begin(
    start: &Start,
    registry: &Registry,
    runner: &Runner,
    cancel: CancellationToken,
) -> Started {
    catch_unwind(AssertUnwindSafe(|| try_begin(start, registry, runner, cancel)))
        .unwrap_or_else(|payload| Started::Ready(Outcome::Failed(panicked(&*payload))))
}

fn try_begin(
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
    let options = &start.template.options;
    let request = RunRequest {
        id: start.task,
        token: start.token,
        attempt: start.attempt,
        args: start.args.clone(),
        time_limit: options.time_limit.map(duration),
        soft_limit: options.soft_limit.map(duration),
        time_left: start.time_left.map(duration),
        metadata: start.metadata.clone(),
        redacts: options.redact.is_some(),
    };
    runner.start(definition, request, cancel)
}

async fn report(to: &actix::Addr<Executor>, ended: Vec<(TaskId, Token, Outcome)>) {
    // Nobody need wait until it was handled, unless there is no room.
    let told = match to.try_send(RunnersEnded(ended)) {
        Err(actix::prelude::SendError::Full(message)) => to.send(message).await.is_ok(),
        told => told.is_ok(),
    };
    if !told {
        // The executor that started them is gone, and its leases with it.
        debug!("runs ended after their executor");
    }
}

impl Actor for Executor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
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

impl Handler<Learned> for Executor {
    type Result = ();

    /// Whoever can be reached is told at once, as after a new connection.
    fn handle(&mut self, Learned(repertoire): Learned, ctx: &mut Self::Context) {
        let Repertoire { registry, profile } = repertoire;
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

#[cfg(test)]
mod tests {
    use umbel_protocol::task::Template;

    use super::*;
    use crate::work::Ledger;

    #[test]
    fn a_run_that_cannot_be_begun_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new("a", Ledger::open(dir.path()).unwrap());
        let mut registry = Registry::declared().unwrap();
        registry.register_blocking("block", |(): ()| Ok::<_, std::io::Error>(())).unwrap();
        let start = Start {
            task: "018bcfe5-687b-7003-8000-000000000001".parse().unwrap(),
            token: Token { term: 1, index: 2, position: 3 },
            attempt: 1,
            template: Arc::new(Template::new("block")),
            args: "null".into(),
            time_left: None,
            metadata: None,
        };
        // There is no runtime that could have a thread for it.
        let started = begin(&start, &registry, &runner, CancellationToken::new());
        let Started::Ready(Outcome::Failed(failure)) = started else { panic!("{started:?}") };
        assert_eq!(failure.kind, FailureKind::Panicked);
    }
}
