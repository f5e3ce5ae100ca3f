//! The Supervisor actor.
//!
//! *Owns* the other actors and the store's write thread. *Receives* word that an actor is gone.
//! *Sends* nothing. *Never* lets a panicked actor stay away: actix only restarts an actor that asks
//! for it, so each carries a [`Bell`] that rings when it is dropped, and a successor is built from
//! the store, after a pause that grows if that happens again and again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use actix_rt::{Arbiter, ArbiterHandle};
use dashmap::DashMap;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use umbel_protocol::executor;
use umbel_protocol::id::{ClusterId, Lessee, NodeId};
use umbel_protocol::limits::MAILBOX_MAX;
use umbel_protocol::membership::{self, Identity, Membership};
use umbel_protocol::meta::JoinRefusal;
use umbel_protocol::scheduler::{self, Event, Loss, Settings};
use umbel_protocol::wire::Profile;

use super::executor::Reached;
use super::gossip::TellAll;
use super::{Executor, Gossip, Gossiped, Happened, Post, Scheduler};
use crate::clock::Clock;
use crate::store::{DiskStore, Recovered, StoreError, Writer};
use crate::transport::Transport;
use crate::work::{Registry, Runner};

/// First pause before an actor is built again; it doubles up to the limit.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// An actor that lived so long before it fell starts with the first pause again.
const STEADY: Duration = Duration::from_secs(60);
/// Batches that wait for the disk: a scheduler has one at a time.
const BATCHES_MAX: usize = 16;

/// One of the actors that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The [`Executor`].
    Executor,
    /// The [`Gossip`].
    Gossip,
    /// The [`Scheduler`].
    Scheduler,
}

/// Why a node stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The cluster does not take it in.
    #[error("the cluster refuses this node: {0}")]
    Refused(#[from] JoinRefusal),
    /// It is a cluster by itself, and its disk has lost what only it had.
    #[error(
        "the disk of this node has lost {}, and no other node has a copy: put back a copy of its \
         data directory, or empty that to begin anew",
        lost(*.0)
    )]
    Lost(Loss),
    /// Its disk failed; peers take over.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Another process with the same identity is in the cluster.
    #[error(
        "another process at {address} runs with the identity of this node: its data directory was \
         copied or restored; empty this one, or stop the other process"
    )]
    Superseded {
        /// Where it is.
        address: SocketAddr,
    },
    /// A peer told that this process must not go on.
    #[error("{0}")]
    Outdated(String),
}

fn lost(loss: Loss) -> String {
    match loss {
        Loss::Cluster => "all that it knew of its cluster".to_owned(),
        Loss::Partitions(1) => "the tasks of one partition".to_owned(),
        Loss::Partitions(partitions) => format!("the tasks of {partitions} partitions"),
    }
}

/// What the actors are built of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) identity: Identity,
    /// Where the store is.
    pub(crate) store: PathBuf,
    pub(crate) registry: Arc<Registry>,
    pub(crate) profile: Profile,
    pub(crate) runner: Runner,
    pub(crate) clock: Clock,
    pub(crate) handles: Handles,
}

/// What everybody in a node needs to reach everybody else. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) transport: Transport,
    pub(crate) runtime: Handle,
    /// Threads that run tasks.
    pub(crate) threads: usize,
    pub(crate) scheduler: Post<Scheduler>,
    pub(crate) executor: Post<Executor>,
    pub(crate) gossip: Post<Gossip>,
    /// Where members were said to be: a gossip that starts anew asks them.
    pub(crate) met: Arc<DashMap<NodeId, SocketAddr>>,
    /// The cluster of this node, once it has one.
    pub(crate) cluster: watch::Sender<Option<ClusterId>>,
    /// Ends the tasks that belong to the node and to no actor.
    pub(crate) stopping: CancellationToken,
    /// Why the node must stop, if it must.
    pub(crate) fatal: watch::Sender<Option<Arc<NodeError>>>,
}

impl Handles {
    /// This node belongs to a cluster.
    pub(crate) fn joined(&self, cluster: ClusterId) {
        self.cluster.send_if_modified(|known| known.replace(cluster) != Some(cluster));
    }

    /// A node may be reached at `address`.
    pub(crate) fn meet(&self, node: NodeId, address: SocketAddr) {
        if self.met.insert(node, address) == Some(address) {
            return;
        }
        self.transport.set_peer(node, address);
        self.announce(node, address);
    }

    fn announce(&self, node: NodeId, address: SocketAddr) {
        let to = membership::Peer { node, address };
        // Lost ones do no harm: gossip spreads by any other way.
        drop(self.gossip.try_send(Gossiped(membership::Event::Announce { to })));
    }

    /// Runs `task` for as long as the node does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.runtime.spawn(async move {
            // Cancelled or done, there is nothing to tell.
            let _ = stopping.run_until_cancelled(task).await;
        });
    }

    /// The node must stop. The first reason counts.
    pub(crate) fn fail(&self, why: NodeError) {
        error!(%why, "this node stops");
        self.fatal.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| Arc::new(why));
            first
        });
    }
}

/// Tells the supervisor that its actor is gone, whatever ended it.
pub(crate) struct Bell {
    supervisor: Addr<Supervisor>,
    which: Which,
    since: Instant,
}

impl Drop for Bell {
    fn drop(&mut self) {
        let fallen = Fallen { which: self.which, lived: self.since.elapsed() };
        // One message in the life of an actor: it must not get lost for want of room.
        self.supervisor.do_send(fallen);
    }
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Fallen {
    which: Which,
    lived: Duration,
}

/// Ends all actors, the store last.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop {
    pub(crate) done: oneshot::Sender<()>,
}

/// Starts, watches and restarts the other actors. See the [module](self).
pub struct Supervisor {
    setup: Setup,
    work: ArbiterHandle,
    gossip: ArbiterHandle,
    writer: Option<Writer>,
    executors: u32,
    schedulers: u32,
    pauses: [Duration; 3],
    stopping: bool,
    /// Held so that the threads live as long as this actor.
    _arbiters: (Arbiter, Arbiter),
}

impl Supervisor {
    /// To be called within an actix system.
    pub(crate) fn new(setup: Setup) -> Self {
        let (work, gossip) = (Arbiter::new(), Arbiter::new());
        Self {
            setup,
            work: work.handle(),
            gossip: gossip.handle(),
            writer: None,
            executors: 0,
            schedulers: 0,
            pauses: [PAUSE_FIRST; 3],
            stopping: false,
            _arbiters: (work, gossip),
        }
    }

    fn bell(ctx: &Context<Self>, which: Which) -> Bell {
        Bell { supervisor: ctx.address(), which, since: Instant::now() }
    }

    fn build(&mut self, which: Which, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        match which {
            Which::Executor => self.build_executor(ctx),
            Which::Gossip => self.build_gossip(ctx),
            Which::Scheduler => self.open_store(ctx),
        }
    }

    fn build_executor(&mut self, ctx: &Context<Self>) {
        self.executors += 1;
        let Setup { settings, registry, profile, runner, clock, handles, .. } = self.setup.clone();
        let me = Lessee {
            node: settings.node,
            incarnation: settings.incarnation,
            executor: self.executors,
        };
        let machine = executor::Executor::new(me, profile, clock.tick());
        let bell = Self::bell(ctx, Which::Executor);
        let post = handles.executor.clone();
        post.fill(Executor::start_in_arbiter(&self.work, move |_| {
            Executor::new(machine, clock, registry, runner, handles, bell)
        }));
    }

    fn build_gossip(&self, ctx: &Context<Self>) {
        let Setup { settings, identity, clock, handles, .. } = self.setup.clone();
        let config = membership::Config::default();
        let machine = Membership::new(config, identity, settings.seed);
        let bell = Self::bell(ctx, Which::Gossip);
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
        let before = self.writer.take();
        let path = self.setup.store.clone();
        let opened = self.setup.handles.runtime.spawn_blocking(move || {
            drop(before);
            DiskStore::open(&path)
        });
        ctx.spawn(opened.into_actor(self).map(|opened, actor, ctx| match opened {
            Ok(Ok((store, recovered))) => actor.build_scheduler(store, recovered, ctx),
            Ok(Err(why)) => actor.setup.handles.fail(why.into()),
            Err(panicked) => {
                let why = format!("opening the store failed: {panicked}");
                actor.setup.handles.fail(NodeError::Outdated(why));
            }
        }));
    }

    fn build_scheduler(&mut self, store: DiskStore, recovered: Recovered, ctx: &Context<Self>) {
        let Setup { mut settings, clock, handles, .. } = self.setup.clone();
        self.schedulers += 1;
        settings.scheduler = self.schedulers;
        for doubt in &recovered.doubtful {
            let (group, damage) = (doubt.group, &doubt.damage);
            warn!(%group, %damage, "a copy cannot be vouched for and is given up");
        }
        let fatal = handles.clone();
        let on_fatal = move |why: StoreError| fatal.fail(why.into());
        let writer = match Writer::start(store, BATCHES_MAX, on_fatal) {
            Ok(writer) => writer,
            Err(why) => {
                let why = format!("the store's thread cannot be started: {why}");
                return handles.fail(NodeError::Outdated(why));
            }
        };
        let post = handles.scheduler.clone();
        let batches = writer.handle(move |persisted| {
            let number = persisted.number;
            let mut events = vec![Event::Persisted { number }];
            // The scheduler always reads its mailbox: it waits for nobody. If it has fallen, its
            // successor learns from the store itself what is durable.
            while let Err((super::PostError::Full, Happened(back))) =
                post.try_send(Happened(events))
            {
                events = back;
                std::thread::yield_now();
            }
        });
        self.writer = Some(writer);
        let machine = scheduler::Scheduler::new(settings, clock.now(), recovered.groups);
        let bell = Self::bell(ctx, Which::Scheduler);
        let node = machine.node();
        let scheduler = handles.clone();
        handles.scheduler.fill(Scheduler::start_in_arbiter(&self.work, move |_| {
            Scheduler::new(machine, clock, batches, scheduler, bell)
        }));
        // A new scheduler knows neither who is alive nor what its executor can do.
        drop(handles.gossip.try_send(TellAll));
        drop(handles.executor.try_send(Reached(node)));
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        self.build_gossip(ctx);
        self.build_executor(ctx);
        self.open_store(ctx);
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
            Which::Executor => handles.executor.empty(),
            Which::Gossip => handles.gossip.empty(),
            Which::Scheduler => {
                handles.scheduler.empty();
                // Nobody else knows what was asked: whoever waits for an answer asks again.
                handles.transport.close_sessions("what was asked is to be asked again");
            }
        }
        let Some(pause) = self.pauses.get_mut(which as usize) else {
            return;
        };
        if lived > STEADY {
            *pause = PAUSE_FIRST;
        }
        let wait = *pause;
        *pause = (*pause * 2).min(PAUSE_MAX);
        error!(?which, ?lived, ?wait, "an actor fell and is built anew");
        ctx.run_later(wait, move |actor, ctx| actor.build(which, ctx));
    }
}

impl Handler<Stop> for Supervisor {
    type Result = ();

    fn handle(&mut self, Stop { done }: Stop, _: &mut Self::Context) {
        self.stopping = true;
        info!("this node stops");
        let writer = self.writer.take();
        self.setup.handles.scheduler.empty();
        self.setup.handles.executor.empty();
        self.setup.handles.gossip.empty();
        self.work.stop();
        self.gossip.stop();
        self.setup.handles.runtime.spawn_blocking(move || {
            drop(writer);
            // Whoever waited for it may have gone.
            let _ = done.send(());
        });
    }
}
