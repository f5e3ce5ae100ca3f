//! The Scheduler actor.
//!
//! *Owns* the scheduler machine: every group of this node, every request it was asked. *Receives*
//! what the network, the store, the executor and gossip have for it. *Sends* writes to the store,
//! frames to other nodes, dispatches to the executor, answers to callers. *Never* waits for any of
//! them, and never decides.

use std::collections::{HashMap, VecDeque};
use std::mem;

use actix::{Actor, ActorContext as _, Context, Handler, Message, MessageResult};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, error, info, warn};
use umbel_protocol::durable::{Copies, StateWrite};
use umbel_protocol::group::Role;
use umbel_protocol::id::{GroupId, ReplicaId};
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::membership::Condition;
use umbel_protocol::scheduler::{self, Caller, Effect, Event};
use umbel_protocol::time::Tick;
use umbel_protocol::ways;
use umbel_protocol::wire::{Answer, OwnerSays, Request};

use super::OwnerSpoke;
use super::alarm::{Alarm, Driven};
use super::bell::Bell;
use super::gossip::Fares;
use super::majority::{Majority, Turn};
use super::{By, Handles, NodeError, Reload};
use crate::clock::Clock;
use crate::node::ReloadError;
use crate::store::WriterHandle;
use crate::transport::{ReplyError, Room};
use crate::wire_out::{answer_frame, send_envelopes};

/// Sessions of this process itself; the transport counts its own from one.
const SESSION_HERE: u64 = 0;

/// Drives the groups of this node and answers requests. See the [module](self).
pub struct Scheduler {
    machine: scheduler::Scheduler,
    clock: Clock,
    writer: WriterHandle,
    handles: Handles,
    /// What the executor had no room for.
    for_executor: VecDeque<OwnerSays>,
    /// What gossip was told last.
    told: Fares,
    effects: Vec<Effect>,
    alarm: Alarm,
    callers: HashMap<u64, mpsc::Sender<Answer>>,
    last_caller: u64,
    majority: Majority,
    /// Rings when this actor is gone.
    _bell: Bell,
}

/// Something happened that the scheduler is to know.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Happened(pub(crate) Vec<Event>);

/// Others have said something.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Arrived {
    /// What.
    pub(crate) events: Vec<Event>,
    /// What it takes of the memory for frames, until it is dealt with.
    pub(crate) rooms: Vec<Room>,
}

/// A request of this process itself: what a [`Client`](crate::Client) sends, without what that does for its callers. Its
/// answers come through `answers`, which needs room for two.
///
/// | [what is asked](umbel_protocol::wire::Ask) | what is [answered](Answer) |
/// |---|---|
/// | `Submit` | `Submitted` once the tasks are on the disks of a majority, with the rows that were refused; then, if that was asked for, `Finished` when all have ended |
/// | `Wait` | the `View` of the task when it has ended |
/// | `Watch` | `News` as soon as the task says more than was `seen`, and its `View` if it has ended and there is no more: whoever wants all asks again with what is known then |
/// | `Cancel` | the `View` of the task once the wish is durable; it has ended when a `View` says so |
/// | any | `Failed`: [the error](umbel_protocol::wire::RequestError) says whether to ask again, `TimedOut` when `deadline` is over |
///
/// Asked again under the same ids nothing is done twice. What a client adds is to do that by itself while the cluster
/// finds another owner, to choose ids whose partitions are owned near, and to cut large batches.
///
/// ```standalone_crate
/// use std::sync::Arc;
///
/// use tokio::sync::mpsc;
/// use umbel::actors::Ask;
/// use umbel::protocol::task::Batch;
/// use umbel::protocol::time::Span;
/// use umbel::protocol::wire::{self, Answer, Request};
/// # use umbel::{Call, Node};
///
/// /// Sends one request, for its answers.
/// async fn ask(node: &Node, ask: wire::Ask) -> mpsc::Receiver<Answer> {
///     let (answers, answered) = mpsc::channel(2);
///     let request = Request { deadline: Span::from_millis(5_000), ask };
///     // After a restart it has a new address: ask the node each time.
///     if let Some(scheduler) = node.scheduler() {
///         // If it is gone nothing answers.
///         scheduler.do_send(Ask { request, answers });
///     }
///     answered
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let node = Node::builder().name("a").listen(([127, 0, 0, 1], 0).into()).data(dir.path());
/// # let node = node.register("double", |n: u64| async move { Ok::<_, String>(2 * n) }).start().await?;
/// # node.joined().await?;
/// // The ids first, so that it can be asked again; of one partition.
/// let mut calls = vec![Call::<u64>::named("double", &21).into_submission()?];
/// node.client().number(&mut calls).await?;
/// let task = calls[0].id.expect("it has one now");
/// let batch = Arc::new(Batch::one(task, calls[0].template.clone(), calls[0].args.clone()));
///
/// let mut answered = ask(&node, wire::Ask::Submit { batch, wait: true }).await;
/// let Some(Answer::Submitted { refused, .. }) = answered.recv().await else { panic!("no receipt") };
/// assert!(refused.is_empty());
/// let Some(Answer::Finished(endings)) = answered.recv().await else { panic!("no end") };
/// assert_eq!(endings[0].result.as_deref(), Some(&b"42"[..]));
///
/// let mut seen = None;
/// let view = loop {
///     match ask(&node, wire::Ask::Watch { task, seen }).await.recv().await {
///         Some(Answer::News(news)) => seen = Some(news.seen()),
///         Some(Answer::View(view)) => break view,
///         other => panic!("{other:?}"),
///     }
/// };
/// assert!(view.state.is_final());
///
/// // What has ended stays as it has ended.
/// let Some(Answer::View(view)) = ask(&node, wire::Ask::Cancel { task }).await.recv().await else {
///     panic!("it is known")
/// };
/// assert_eq!(view.state.as_str(), "succeeded");
/// # node.stop().await;
/// # Ok(()) }
/// ```
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ask {
    /// What is asked.
    pub request: Request,
    /// Where the answers go. If it is closed or full they are dropped.
    pub answers: mpsc::Sender<Answer>,
}

impl Scheduler {
    pub(crate) fn new(
        machine: scheduler::Scheduler,
        clock: Clock,
        writer: WriterHandle,
        handles: Handles,
        bell: Bell,
    ) -> Self {
        Self {
            machine,
            clock: clock.clone(),
            writer,
            handles,
            for_executor: VecDeque::new(),
            told: Fares::default(),
            effects: Vec::new(),
            alarm: Alarm::new(clock),
            callers: HashMap::new(),
            last_caller: 0,
            majority: Majority::default(),
            _bell: bell,
        }
    }

    fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        self.step_all([event], ctx);
    }

    fn step_all(&mut self, events: impl IntoIterator<Item = Event>, ctx: &mut Context<Self>) {
        self.machine.step_all(self.clock.now(), events, &mut self.effects);
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform(effect, ctx);
        }
        self.effects = effects;
        self.settle(ctx);
    }

    /// Has the file read again for a client.
    fn reload(&self, caller: Caller) {
        if let Err(refused) = self.handles.reloads.try_send(Reload { by: By::Client(caller) }) {
            let (TrySendError::Full(Reload { by }) | TrySendError::Closed(Reload { by })) = refused;
            by.tell(Err(ReloadError::Busy), &self.handles);
        }
    }

    fn tell_gossip(&mut self) {
        let fares = Fares {
            waiting: self.machine.backlog(),
            condition: self.machine.condition(),
            is_tight: self.machine.is_tight(),
        };
        if fares == self.told || self.handles.gossip.try_send(fares).is_err() {
            return;
        }
        let before = mem::replace(&mut self.told, fares).condition;
        tell_condition(before, fares.condition);
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Admitted => self.handles.admitted(),
            Effect::Answer { caller, answer, is_last } => self.answer(caller, answer, is_last),
            Effect::Damaged(why) => {
                error!(%why, "all that is known of tasks is read anew from the store");
                // The supervisor builds another.
                ctx.stop();
            }
            Effect::Execute(says) => self.for_executor.push_back(says),
            Effect::Forget(node) => self.handles.forget(node),
            Effect::Joined(cluster) => self.handles.joined(cluster),
            Effect::Keep(write) => self.keep(write),
            Effect::Left => drop(self.handles.left.send_replace(true)),
            Effect::Lost(loss) => self.handles.fail(NodeError::Lost(loss)),
            Effect::Meet { node, address } => self.handles.meet(node, address),
            Effect::Members(members) => {
                tell(self.majority.members(&members));
                self.handles.ways.note(ways::Event::Members(members));
            }
            Effect::PassedOver { group, index, why } => {
                error!(%group, index, %why, "an entry of the log makes no sense and has no effect");
            }
            Effect::Persist(batch) => {
                if let Err(why) = self.writer.submit(batch) {
                    // The machine would wait for this batch for ever. A store that has failed has
                    // told why before, and the first reason counts.
                    self.handles.fail(NodeError::Unwritten(why.to_string()));
                }
            }
            Effect::Reload(caller) => self.reload(caller),
            Effect::Refused(refusal) => self.handles.fail(refusal.into()),
            Effect::Spoken(version) => self.handles.transport.set_oldest(version),
            Effect::Send { to, urgent: true, messages } => {
                send_envelopes(&self.handles.transport, to, true, messages);
            }
            Effect::Send { to, urgent: false, messages } => self.handles.ways.say(to, messages),
        }
    }

    fn keep(&self, write: StateWrite) {
        let (group, replica, index) = (write.group, write.replica, write.state.index);
        let post = self.handles.scheduler.clone();
        // As for batches: an address that was just made has room for one message, and a successor
        // knows of no state that it waits for.
        let tell = move || {
            if let Some(scheduler) = post.addr() {
                let kept = Event::Kept { group, replica, index };
                drop(scheduler.try_send(Happened(vec![kept])));
            }
        };
        if !self.writer.keep(write, tell) {
            self.handles.fail(NodeError::Unwritten("a received state was not taken".to_owned()));
        }
    }

    fn answer(&mut self, caller: Caller, answer: Answer, is_last: bool) {
        let Caller { session, request } = caller;
        if session == SESSION_HERE {
            if let Some(answers) = self.callers.get(&request)
                && answers.try_send(answer).is_err()
            {
                debug!(request, "a caller went away before its answer");
            }
            if is_last || self.callers.get(&request).is_some_and(mpsc::Sender::is_closed) {
                self.callers.remove(&request);
            }
            return;
        }
        let Some(version) = self.handles.transport.session_version(session) else {
            return debug!(session, "a client went away before its answer");
        };
        let frame = answer_frame(version, request, answer);
        if let Err(why) = self.handles.transport.reply(session, frame) {
            if why == ReplyError::Gone {
                return debug!(session, "a client went away before its answer");
            }
            // A client that does not read its answers is cut off rather than buffered for.
            warn!(session, %why, "an answer could not be sent to a client");
            self.handles.transport.close_session(session, "answers are not taken");
        }
    }
}

fn tell(turn: Option<Turn>) {
    match turn {
        Some(Turn::Lost { down, members }) => warn!(
            "{down} of {members} members are down, so there is no majority: no task is taken in or \
             started before more are back"
        ),
        Some(Turn::Regained { down, members }) => {
            info!("there is a majority again: {down} of {members} members are down");
        }
        None => {}
    }
}

/// What a node sees itself: the rest is told by whoever sees it.
fn tell_condition(before: Condition, now: Condition) {
    match now {
        Condition::DiskSlow if before != now => warn!(
            "the disk takes seconds for what should take milliseconds: other nodes take over what \
             this one owns"
        ),
        Condition::Starved if before != now => {
            warn!("this node gets too little time: other nodes take over what it owns");
        }
        Condition::Serving if before != now => info!("this node can do its part again"),
        _ => {}
    }
}

impl Driven for Scheduler {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn deadline(&self) -> Tick {
        self.machine.next_deadline()
    }

    fn due(&mut self, ctx: &mut Context<Self>) {
        self.step(Event::Due, ctx);
        self.tell_gossip();
    }

    fn pass_on(&mut self) -> bool {
        if self.for_executor.is_empty() {
            return true;
        }
        let says = mem::take(&mut self.for_executor).into();
        let home = self.machine.node();
        if let Err((_, OwnerSpoke { says, .. })) =
            self.handles.executor.try_send(OwnerSpoke { from: home, says, room: None })
        {
            self.for_executor = says.into();
        }
        self.for_executor.is_empty()
    }
}

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        self.step(Event::Due, ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if self.callers.values().any(|caller| !caller.is_closed()) {
            error!("the scheduler stops while requests are open");
        }
    }
}

impl Handler<Happened> for Scheduler {
    type Result = ();

    fn handle(&mut self, Happened(events): Happened, ctx: &mut Self::Context) {
        self.make_way(ctx);
        for event in &events {
            if let Event::Liveness { node, liveness, .. } = event {
                tell(self.majority.liveness(*node, *liveness));
            }
        }
        self.step_all(events, ctx);
    }
}

impl Handler<Arrived> for Scheduler {
    type Result = ();

    fn handle(&mut self, Arrived { events, rooms }: Arrived, ctx: &mut Self::Context) {
        self.make_way(ctx);
        self.step_all(events, ctx);
        drop(rooms);
    }
}

impl Handler<Ask> for Scheduler {
    type Result = ();

    fn handle(&mut self, Ask { request, answers }: Ask, ctx: &mut Self::Context) {
        self.make_way(ctx);
        self.last_caller += 1;
        let caller = Caller { session: SESSION_HERE, request: self.last_caller };
        self.callers.insert(self.last_caller, answers);
        self.step(Event::Asked { caller, request }, ctx);
    }
}

/// Asks which copies of groups there are on this node.
#[derive(Debug, Message)]
#[rtype(result = "Vec<CopyStatus>")]
pub struct CopiesHere;

/// One copy of a group on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyStatus {
    /// The group.
    pub group: GroupId,
    /// The copy.
    pub replica: ReplicaId,
    /// Whether it leads its group.
    pub leads: bool,
    /// The last entry that its state includes.
    pub applied: u64,
    /// Who votes and who learns, as far as it knows.
    pub copies: Copies,
}

impl Handler<CopiesHere> for Scheduler {
    type Result = MessageResult<CopiesHere>;

    fn handle(&mut self, _: CopiesHere, _: &mut Self::Context) -> Self::Result {
        let copies = self.machine.copies().map(|copy| CopyStatus {
            group: copy.group(),
            replica: copy.replica(),
            leads: copy.role() == Role::Leader,
            applied: copy.applied(),
            copies: copy.copies(),
        });
        MessageResult(copies.collect())
    }
}

/// Asks how many requests of this process are open.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub(crate) struct Callers;

#[cfg(test)]
impl Handler<Callers> for Scheduler {
    type Result = usize;

    fn handle(&mut self, _: Callers, _: &mut Self::Context) -> usize {
        self.callers.len()
    }
}

/// Asks how many waits for ends of tasks are open.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub(crate) struct Waiters;

#[cfg(test)]
impl Handler<Waiters> for Scheduler {
    type Result = usize;

    fn handle(&mut self, _: Waiters, _: &mut Self::Context) -> usize {
        self.machine.waiting().1
    }
}

/// Makes the actor panic, as a bug of ours would.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Panic;

#[cfg(test)]
impl Handler<Panic> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("a bug in the scheduler");
    }
}

/// Keeps the actor's mailbox from ever being empty while anybody holds what this points to.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Flood(pub(crate) std::sync::Weak<()>);

#[cfg(test)]
impl Handler<Flood> for Scheduler {
    type Result = ();

    fn handle(&mut self, Flood(held): Flood, ctx: &mut Self::Context) {
        use actix::AsyncContext as _;
        if held.upgrade().is_some() {
            ctx.address().try_send(Happened(Vec::new())).expect("a new address has room");
            ctx.address().try_send(Flood(held)).expect("a new address has room");
        }
    }
}
