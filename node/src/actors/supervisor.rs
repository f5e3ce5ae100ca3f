//! The Supervisor actor.
//!
//! *Owns* the other actors, the store's write thread, and the lock on the directory. *Receives* word
//! that an actor is gone, and questions how they fare. *Sends* an actor that it has built word of
//! what its predecessor was told, and its farewell to one that is to end. *Never* lets a panicked
//! actor stay away: actix only restarts an actor that asks for it, so each carries a [`Bell`] that
//! rings when it is dropped, and a successor is built from the store, after a pause that grows if
//! that happens again and again.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use actix_rt::ArbiterHandle;
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};
use umbel_protocol::cold::Cold;
use umbel_protocol::executor;
use umbel_protocol::id::Lessee;
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::membership::{self, Identity, Membership};
use umbel_protocol::scheduler::{self, Event, Settings};

use super::bell::{Bell, Fallen, Which};
use super::executor::{Reached, Repertoire, Retire};
use super::gossip::TellAll;
use super::ground::{Directory, Ground};
use super::health::{Health, Part, PartHealth};
use super::runs::Runs;
use super::{Executor, Gossip, Gossiped, Handles, Happened, NodeError, Scheduler};
use crate::clock::Clock;
use crate::store::{
    ColdFile, DiskStore, Persisted, Recovered, Sizes, Store as _, StoreError, Writer,
};
use crate::work::Runner;

/// First pause before an actor is built again; it doubles up to the limit.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// An actor that lived so long before it fell starts with the first pause again.
const STEADY: Duration = Duration::from_secs(60);
/// How long gossip may take to tell others that this node goes.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// Batches that wait for the disk: a scheduler has one at a time.
const BATCHES_MAX: usize = 16;

/// What the actors are built of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) identity: Identity,
    /// Where the store is.
    pub(crate) store: PathBuf,
    /// How large its files grow.
    pub(crate) sizes: Sizes,
    /// Bytes that are to be left on its disk by what can do without.
    pub(crate) disk_reserve: u64,
    pub(crate) runner: Runner,
    pub(crate) clock: Clock,
    /// How long it may take to hand over what it has, when it leaves.
    pub(crate) stop_patience: Duration,
    pub(crate) handles: Handles,
}

/// Ends all runs and all actors, the store last.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop {
    /// Runs are not given the time to end in order, and nothing waits for them.
    pub(crate) at_once: bool,
    pub(crate) done: oneshot::Sender<()>,
}

/// Starts, watches and restarts the other actors. See the [module](self). Ask it how they fare with
/// [`Health`].
pub struct Supervisor {
    /// There until the node is over.
    ground: Option<Ground>,
    work: ArbiterHandle,
    gossip: ArbiterHandle,
    pub(super) setup: Setup,
    /// Those of the present executor.
    runs: Option<Runs>,
    executors: u32,
    schedulers: u32,
    parts: [Part; Which::ALL.len()],
    /// What is under way and must come to its end before the node is over: the store is being
    /// opened, runs are being ended.
    under_way: u32,
    /// Whether it hands over what it has.
    pub(super) leaving: bool,
    pub(super) stopping: bool,
    at_once: bool,
    /// Whether gossip was told that this node goes.
    has_said_farewell: bool,
    is_over: bool,
    /// Who waits until it is.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Supervisor {
    /// To be called within an actix system.
    pub(crate) fn new(setup: Setup, directory: Directory) -> Self {
        let mut ground = Ground::new(directory);
        Self {
            work: ground.arbiter(),
            gossip: ground.arbiter(),
            ground: Some(ground),
            setup,
            runs: None,
            executors: 0,
            schedulers: 0,
            parts: [Part::new(PAUSE_FIRST); Which::ALL.len()],
            under_way: 0,
            leaving: false,
            stopping: false,
            at_once: false,
            has_said_farewell: false,
            is_over: false,
            waiting: Vec::new(),
        }
    }

    const fn part(&mut self, which: Which) -> &mut Part {
        match which {
            Which::Executor => &mut self.parts[0],
            Which::Gossip => &mut self.parts[1],
            Which::Scheduler => &mut self.parts[2],
        }
    }

    fn bell(&mut self, ctx: &Context<Self>, which: Which) -> Bell {
        Bell::new(ctx.address(), which, self.part(which).built())
    }

    fn build(&mut self, which: Which, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        match which {
            Which::Executor => self.replace_executor(ctx),
            Which::Gossip => self.build_gossip(ctx),
            Which::Scheduler => self.open_store(ctx),
        }
    }

    /// Builds an executor when nothing of its predecessor goes on: owners lease to it at once what
    /// that one had.
    fn replace_executor(&mut self, ctx: &mut Context<Self>) {
        let Some(runs) = self.runs.take() else {
            return self.build_executor(ctx);
        };
        let dropped = runs.drop_all(self.setup.runner.clone());
        self.meanwhile(dropped, ctx, |(), actor, ctx| {
            if !actor.stopping {
                actor.build_executor(ctx);
            }
        });
    }

    /// Does `work` on the node's threads, then goes on with what came of it. The node is not over
    /// before that.
    fn meanwhile<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
        ctx: &mut Context<Self>,
        then: impl FnOnce(T, &mut Self, &mut Context<Self>) + 'static,
    ) {
        self.under_way += 1;
        let done = self.setup.handles.runtime.spawn(work);
        ctx.spawn(done.into_actor(self).map(|done, actor, ctx| {
            actor.under_way -= 1;
            match done {
                Ok(done) => then(done, actor, ctx),
                Err(why) => {
                    if let Ok(payload) = why.try_into_panic() {
                        actor.setup.handles.panicked(payload);
                    }
                }
            }
            actor.end_if_done(ctx);
        }));
    }

    fn build_executor(&mut self, ctx: &Context<Self>) {
        self.executors += 1;
        let Setup { settings, runner, clock, handles, .. } = self.setup.clone();
        let Repertoire { registry, profile } = handles.repertoire.borrow().clone();
        let me = Lessee {
            node: settings.node,
            incarnation: settings.incarnation,
            executor: self.executors,
        };
        let machine = executor::Executor::new(me, profile, clock.tick());
        let bell = self.bell(ctx, Which::Executor);
        let (runs, tie) = Runs::none();
        self.runs = Some(runs);
        let post = handles.executor.clone();
        post.fill(Executor::start_in_arbiter(&self.work, move |_| {
            Executor::new(machine, clock, registry, runner, handles, tie, bell)
        }));
        self.tell_if_leaving(Which::Executor);
    }

    fn build_gossip(&mut self, ctx: &Context<Self>) {
        let Setup { settings, identity, clock, handles, .. } = self.setup.clone();
        let config = membership::Config::default();
        let machine = Membership::new(config, identity, settings.seed);
        let bell = self.bell(ctx, Which::Gossip);
        let gossip = handles.clone();
        handles.gossip.fill(Gossip::start_in_arbiter(&self.gossip, move |_| {
            Gossip::new(machine, clock, gossip, bell)
        }));
        for member in handles.met.iter() {
            handles.announce(*member.key(), *member.value());
        }
    }

    /// Opens the store, which ends the writer that had it before, and then builds the scheduler.
    fn open_store(&mut self, ctx: &mut Context<Self>) {
        let Some(ground) = &mut self.ground else {
            return;
        };
        let before = ground.writer.take();
        let directory = Arc::clone(&ground.directory);
        let (path, sizes) = (self.setup.store.clone(), self.setup.sizes);
        let opening = async move {
            let opened = tokio::task::spawn_blocking(move || {
                drop(before);
                // The lock is held for as long as the store is open, whoever still wants it.
                (DiskStore::open_with(&path, sizes), directory)
            });
            opened.await.map_err(|why| why.try_into_panic().ok())
        };
        self.meanwhile(opening, ctx, |opened, actor, ctx| match opened {
            Ok((Ok((store, recovered)), _)) if !actor.stopping => {
                actor.build_scheduler(store, recovered, ctx);
            }
            Ok((Ok(_), _)) => debug!("the store is not needed any more"),
            Ok((Err(why), _)) => actor.setup.handles.fail(why.into()),
            Err(Some(payload)) => actor.setup.handles.panicked(payload),
            Err(None) => debug!("the store was not opened: the node ends"),
        });
    }

    fn build_scheduler(&mut self, store: DiskStore, recovered: Recovered, ctx: &mut Context<Self>) {
        let Setup { mut settings, clock, handles, .. } = self.setup.clone();
        self.schedulers += 1;
        settings.scheduler = self.schedulers;
        settings.cold = self.cold();
        for doubt in &recovered.doubtful {
            let (group, damage) = (doubt.group, &doubt.damage);
            warn!(%group, %damage, "a copy cannot be vouched for and is given up");
        }
        handles.transport.set_synced(store.synced());
        let fatal = handles.clone();
        let on_fatal = move |why: StoreError| fatal.fail(why.into());
        let writer = match Writer::start(store, BATCHES_MAX, on_fatal) {
            Ok(writer) => writer,
            Err(why) => return handles.fail(NodeError::Thread(why)),
        };
        let post = handles.scheduler.clone();
        let transport = handles.transport.clone();
        let batches = writer.handle(move |Persisted { number, synced }| {
            // Before anybody says what rests on it.
            transport.set_synced(synced);
            // An address that was just made has room for one message, however full the mailbox is.
            // If the scheduler has fallen, its successor learns from the store what is durable.
            if let Some(scheduler) = post.addr() {
                drop(scheduler.try_send(Happened(vec![Event::Persisted { number }])));
            }
        });
        if let Some(ground) = &mut self.ground {
            ground.writer = Some(writer);
        }
        let bell = self.bell(ctx, Which::Scheduler);
        // Where it will live: decoding all that was stored takes its time, and may panic.
        self.work.spawn_fn(move || {
            let node = settings.node;
            let built = catch_unwind(AssertUnwindSafe(|| {
                scheduler::Scheduler::new(settings, clock.now(), recovered.groups)
            }));
            let machine = match built {
                Ok(machine) => machine,
                Err(payload) => return handles.panicked(payload),
            };
            let scheduler = Scheduler::new(machine, clock, batches, handles.clone(), bell);
            handles.scheduler.fill(scheduler.start());
            // A new scheduler knows neither who is reached, nor who is alive, nor what its executor can do.
            let reached = handles.transport.versions().into_iter();
            let reached = reached.map(|(node, version)| Event::Reached { node, version });
            handles.tell(&handles.scheduler, Happened(reached.collect()));
            handles.tell(&handles.gossip, TellAll);
            handles.tell(&handles.executor, Reached(node));
        });
        // Delivered to the new one as soon as it is there: the old one's place was emptied.
        self.tell_if_leaving(Which::Scheduler);
    }

    /// Where a new scheduler puts records away. It does without if there is no such place.
    fn cold(&self) -> Option<Cold> {
        let Setup { store, disk_reserve, sizes, .. } = &self.setup;
        // A node without room for the reserve cannot go on: what can do without ends well before.
        let left = disk_reserve.saturating_mul(2).saturating_add(sizes.log_bytes);
        match ColdFile::create(store.parent().unwrap_or(store), left) {
            Ok(file) => Some(Cold::new(Arc::new(file))),
            Err(why) => {
                warn!(%why, "there is no file for records of delayed tasks: all of them stay in memory");
                None
            }
        }
    }

    /// The node is over when its runs are, and its ground is gone. If it must go at once it says
    /// nothing more, whatever its runs still do.
    fn end_if_done(&mut self, ctx: &mut Context<Self>) {
        if !self.stopping || (self.under_way > 0 && !self.at_once) {
            return;
        }
        if !self.at_once && !mem::replace(&mut self.has_said_farewell, true) {
            // Its runs have ended: others may take it to be down.
            let gossip = self.setup.handles.gossip.addr();
            return self.meanwhile(
                async move {
                    if let Some(gossip) = gossip {
                        let farewell = gossip.send(Gossiped(membership::Event::Leave));
                        // One that does not listen is about to be missed anyhow.
                        drop(tokio::time::timeout(FAREWELL_MAX, farewell).await);
                    }
                },
                ctx,
                |(), _, _| {},
            );
        }
        if let Some(ground) = self.ground.take() {
            self.setup.handles.scheduler.empty();
            self.setup.handles.executor.empty();
            self.setup.handles.gossip.empty();
            let gone = async move {
                // It fails only if the runtime ends, and with it all that is waited for.
                drop(tokio::task::spawn_blocking(move || drop(ground)).await);
            };
            return self.meanwhile(gone, ctx, |(), _, _| {});
        }
        if self.under_way == 0 {
            self.is_over = true;
            for done in self.waiting.drain(..) {
                // Whoever waited for it may have gone.
                let _ = done.send(());
            }
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        self.build(Which::Gossip, ctx);
        self.build(Which::Executor, ctx);
        self.build(Which::Scheduler, ctx);
    }
}

impl Handler<Fallen> for Supervisor {
    type Result = ();

    fn handle(&mut self, Fallen { which, lived }: Fallen, ctx: &mut Self::Context) {
        if self.stopping {
            return;
        }
        let handles = &self.setup.handles;
        match which {
            Which::Executor => {
                handles.executor.empty();
                if let Some(runs) = &self.runs {
                    runs.give_up();
                }
            }
            Which::Gossip => handles.gossip.empty(),
            Which::Scheduler => {
                handles.scheduler.empty();
                // Nobody else knows what was asked: whoever waits for an answer asks again.
                handles.transport.close_sessions("what was asked is to be asked again");
            }
        }
        let part = self.part(which);
        part.fell();
        if lived > STEADY {
            part.pause = PAUSE_FIRST;
        }
        let wait = part.pause;
        part.pause = (wait * 2).min(PAUSE_MAX);
        error!(?which, ?lived, ?wait, "an actor fell and is built anew");
        ctx.run_later(wait, move |actor, ctx| actor.build(which, ctx));
    }
}

impl Handler<Health> for Supervisor {
    type Result = Vec<PartHealth>;

    fn handle(&mut self, Health: Health, _: &mut Self::Context) -> Self::Result {
        let handles = self.setup.handles.clone();
        let health = Which::ALL.map(|which| {
            let is_running = match which {
                Which::Executor => handles.executor.addr().is_some(),
                Which::Gossip => handles.gossip.addr().is_some(),
                Which::Scheduler => handles.scheduler.addr().is_some(),
            };
            self.part(which).health(which, is_running)
        });
        health.to_vec()
    }
}

impl Handler<Stop> for Supervisor {
    type Result = ();

    fn handle(&mut self, Stop { at_once, done }: Stop, ctx: &mut Self::Context) {
        self.waiting.push(done);
        self.at_once |= at_once;
        if !mem::replace(&mut self.stopping, true) {
            info!("all work here is ended");
            // The runs end while others still hear of this node: if they took it to be down, they
            // would run its tasks beside them.
            if let Some(executor) = self.setup.handles.executor.addr() {
                self.setup.handles.executor.empty();
                executor.do_send(Retire);
            }
            if let Some(runs) = self.runs.take() {
                let runner = self.setup.runner.clone();
                if at_once {
                    self.meanwhile(runs.drop_all(runner), ctx, |(), _, _| {});
                } else {
                    self.meanwhile(runs.end(runner), ctx, |(), _, _| {});
                }
            }
        }
        self.end_if_done(ctx);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let handles = &self.setup.handles;
        if !self.stopping && !handles.stopping.is_cancelled() {
            handles.fail(NodeError::Panicked { what: "the supervisor is gone".to_owned() });
        }
    }
}

/// Ways to break a node, as bugs of ours would.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum Break {
    /// Stands still until the gate is opened.
    Hold(super::tests::Gate),
    /// Panics.
    Panic,
    /// Closes the store under the scheduler.
    Writer,
}

#[cfg(test)]
impl Handler<Break> for Supervisor {
    type Result = ();

    fn handle(&mut self, what: Break, _: &mut Self::Context) {
        match what {
            Break::Hold(gate) => gate.pass(),
            Break::Panic => panic!("a bug in the supervisor"),
            Break::Writer => self.ground.as_mut().expect("it runs").writer = None,
        }
    }
}
