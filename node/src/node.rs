//! A whole node, in this process.

mod builder;
mod definitions;
mod error;
mod jobs_file;
mod profile;
mod reload;
mod runtime;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;
use umbel_protocol::id::{ClusterId, NodeId};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{self, Answer, Reloaded, Request};

pub use self::builder::NodeBuilder;
pub use self::definitions::InvalidTask;
pub use self::error::StartError;
pub use self::reload::ReloadError;
use self::runtime::OwnRuntime;
use crate::actors::{
    Ask, By, Directory, Executor, Gossip, Handles, Leave, NodeError, Post, Reload, Scheduler,
    Setup, Stop, Supervisor, Which,
};
use crate::client::Client;
use crate::client::local::LocalRequest;
use crate::data_dir::DataDir;

/// Requests of local clients that wait for the scheduler.
const LOCAL_REQUESTS_MAX: usize = 256;
/// How long a node that comes back waits to be let in by another, and how often it looks.
const CONTACT_WAIT: Duration = Duration::from_secs(3);
const CONTACT_POLL: Duration = Duration::from_millis(20);
/// How long [`Node::stop`] waits for its port to be free, and how often it looks.
const FREE_WAIT: Duration = Duration::from_secs(2);
const FREE_POLL: Duration = Duration::from_millis(2);

/// A running node: scheduler, executor, gossip and their supervisor, its transport and its store.
///
/// Dropping it stops it without ceremony, like a crash; [`stop`](Self::stop) ends it properly.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let node = umbel::Node::builder().name("a").start().await?;
/// node.joined().await?;
/// println!("{} listens on {}", node.name(), node.address());
/// node.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct Node {
    name: String,
    id: NodeId,
    address: SocketAddr,
    tls_dir: PathBuf,
    handles: Handles,
    supervisor: Addr<Supervisor>,
    /// Whether it had a cluster before it was started.
    comes_back: bool,
    /// Whether it was told of other nodes.
    has_seeds: bool,
    /// Ends the actors' thread.
    system: Option<actix_rt::System>,
    /// There until this is dropped.
    runtime: Option<OwnRuntime>,
}

impl Node {
    /// Sets a node up.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id, for as long as its data directory lives.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its certificates are; clients on this host find theirs there, too.
    #[must_use]
    pub fn tls_dir(&self) -> &Path {
        &self.tls_dir
    }

    /// Its cluster, once it knows one.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        *self.handles.cluster.borrow()
    }

    /// The actor that drives this node's groups. The address is that of the present actor: after a
    /// restart ask again.
    #[must_use]
    pub fn scheduler(&self) -> Option<Addr<Scheduler>> {
        self.handles.scheduler.addr()
    }

    /// The actor that runs tasks.
    #[must_use]
    pub fn executor(&self) -> Option<Addr<Executor>> {
        self.handles.executor.addr()
    }

    /// The actor that knows who is alive.
    #[must_use]
    pub fn gossip(&self) -> Option<Addr<Gossip>> {
        self.handles.gossip.addr()
    }

    /// The actor that watches the others. It stays the same for as long as the node lives;
    /// [`Health`](crate::actors::Health) asks it how they fare.
    #[must_use]
    pub fn supervisor(&self) -> Addr<Supervisor> {
        self.supervisor.clone()
    }

    /// A place that always leads to the present scheduler, across restarts.
    #[must_use]
    pub fn scheduler_post(&self) -> Post<Scheduler> {
        self.handles.scheduler.clone()
    }

    /// Asks this node, without a network. All answers come through the receiver: one, or two for a
    /// submission that waits. None come from a node that has stopped.
    pub async fn ask(&self, request: Request) -> mpsc::Receiver<Answer> {
        let (answers, receiver) = mpsc::channel(2);
        let asked = self.handles.scheduler.deliver(Ask { request, answers });
        // If it stops meanwhile nobody has the other end any more.
        let _ = self.handles.stopping.run_until_cancelled(asked).await;
        receiver
    }

    /// Waits until this node is a member of a cluster: it has formed one, or one has let it in. That
    /// it was a member before its last stop counts as well.
    ///
    /// # Errors
    /// When it stopped by itself before that, because the cluster refuses it, say.
    pub async fn joined(&self) -> Result<(), Arc<NodeError>> {
        let mut member = self.handles.member.subscribe();
        tokio::select! {
            joined = member.wait_for(|member| *member) => {
                drop(joined);
                Ok(())
            }
            why = fatal(self.handles.fatal.subscribe()) => Err(why),
        }
    }

    /// Waits until another node has let this one in again, which may have been away for long; whether
    /// any has within 3 s. One that is alone, or has just become a member, need not wait. For a health
    /// check after [`joined`](Self::joined): a node of which the others do not want to know may have been
    /// their member once.
    ///
    /// # Errors
    /// When it stopped by itself before that.
    pub async fn met(&self) -> Result<bool, Arc<NodeError>> {
        let met = async {
            if !self.comes_back || (!self.has_seeds && self.is_alone().await) {
                return true;
            }
            let met = async {
                while self.handles.transport.connected() == 0 {
                    tokio::time::sleep(CONTACT_POLL).await;
                }
            };
            tokio::time::timeout(CONTACT_WAIT, met).await.is_ok()
        };
        tokio::select! {
            biased;
            why = fatal(self.handles.fatal.subscribe()) => Err(why),
            met = met => Ok(met),
        }
    }

    /// Whether it is the only member.
    async fn is_alone(&self) -> bool {
        let deadline =
            Span::from_micros(u64::try_from(CONTACT_WAIT.as_micros()).unwrap_or(u64::MAX));
        let mut answers = self.ask(Request { deadline, ask: wire::Ask::Status }).await;
        matches!(answers.recv().await, Some(Answer::Status(status)) if status.meta.members.len() < 2)
    }

    /// Whether all actors that the Supervisor watches take messages: for a watchdog. One that is just
    /// being built anew counts if it is there in time.
    ///
    /// # Errors
    /// The first of those that have not answered `within` that time.
    pub async fn responds(&self, within: Duration) -> Result<(), Which> {
        self.handles.pulse(within).await
    }

    /// Reads the file again that it was started with: its tasks and its jobs are taken over, all else
    /// counts at the next start. What there is to tell of it.
    ///
    /// # Errors
    /// There is no file, or it cannot be used: then what was read before holds. Or the cluster does not
    /// take some of its jobs: then all else is as the file says.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (answer, answered) = oneshot::channel();
        let reload = Reload { by: By::Program(answer) };
        self.handles.reloads.send(reload).await.map_err(|_| ReloadError::Stopping)?;
        answered.await.unwrap_or(Err(ReloadError::Stopping))
    }

    /// Waits until this node stops by itself, which it only does when it must not go on.
    pub async fn failed(&self) -> Arc<NodeError> {
        fatal(self.handles.fatal.subscribe()).await
    }

    /// Has it hand over all that it has, so that it can be stopped without harm: what it owns goes to
    /// other nodes, no run is begun here any more, and those that were come to their ends. Whether all
    /// of that was so within `stop_patience` (see [`Config`](crate::config::Node)). It takes part no
    /// more after this: stop it.
    pub async fn leave(&self) -> bool {
        self.leave_for(None).await
    }

    /// [Leaves](Self::leave) with a patience of its own: that of a deployment that is in a hurry, say,
    /// or of one that is not.
    pub async fn leave_within(&self, patience: Duration) -> bool {
        self.leave_for(Some(patience)).await
    }

    async fn leave_for(&self, patience: Option<Duration>) -> bool {
        let (done, left) = oneshot::channel();
        // An error means that it is gone, or is being stopped.
        let told = self.supervisor.send(Leave { patience, done }).await;
        told.is_ok() && left.await.unwrap_or(false)
    }

    /// Lets it [leave](Self::leave), and [ends](Self::end) it.
    pub async fn stop(self) {
        self.leave().await;
        self.end().await;
    }

    /// [Stops](Self::stop) it with a patience of its own; whether all was handed over by then. What was
    /// not is ended, which takes some ten seconds more if runs do not end when they are told to, or as
    /// long as commands have in [grace](crate::work::CommandSpec::grace): a service that is killed after
    /// 30 s stops its node within 15.
    ///
    /// ```no_run
    /// # async fn example(node: umbel::Node) {
    /// use std::time::Duration;
    ///
    /// if !node.stop_within(Duration::from_secs(15)).await {
    ///     eprintln!("other nodes run some tasks again");
    /// }
    /// # }
    /// ```
    pub async fn stop_within(self, patience: Duration) -> bool {
        let left = self.leave_within(patience).await;
        self.end().await;
        left
    }

    /// Ends it without handing anything over: runs are told to end and, after 5 s or the
    /// [grace](crate::work::CommandSpec::grace) of their command, made to; other nodes run their tasks
    /// again. What was acknowledged is on disk, connections are closed, the directory and the port are
    /// free.
    pub async fn end(mut self) {
        let (done, stopped) = oneshot::channel();
        if self.supervisor.send(Stop { at_once: false, done }).await.is_ok() {
            // An error means that it was gone already.
            drop(stopped.await);
        }
        self.handles.transport.close().await;
        if let Some(system) = self.system.take() {
            system.stop();
        }
        self.handles.stopping.cancel();
        let (name, address, runtime) = (self.name.clone(), self.address, self.runtime.take());
        drop(self);
        if let Some(runtime) = runtime {
            runtime.end().await;
        }
        free(address).await;
        info!(name, "stopped");
    }

    /// Ends it as its process being killed would: nobody is told. Its directory and its port are free soon
    /// after.
    #[cfg(feature = "testing")]
    pub(crate) async fn crash(mut self) {
        let (address, runtime) = (self.address, self.runtime.take());
        // Without a node nothing is said any more, not even that it goes.
        drop(self);
        if let Some(runtime) = runtime {
            runtime.end().await;
        }
        free(address).await;
    }

    /// A client of this very node, without a network.
    #[must_use]
    pub fn client(&self) -> Client {
        connector(&self.handles)()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn handles(&self) -> &Handles {
        &self.handles
    }

    fn start(
        setup: Setup,
        name: String,
        tls_dir: PathBuf,
        address: SocketAddr,
        data_dir: DataDir,
        runtime: OwnRuntime,
    ) -> Result<Self, StartError> {
        let (id, handles) = (setup.settings.node, setup.handles.clone());
        let comes_back = handles.cluster.borrow().is_some();
        let has_seeds = setup.settings.has_seeds;
        let directory: Directory = Arc::new(Mutex::new(data_dir));
        // Whoever only notes something there must not keep it locked.
        let noted = Arc::downgrade(&directory);
        let (started, has_started) = std::sync::mpsc::channel();
        let thread = thread::Builder::new().name("umbel-system".to_owned()).spawn(move || {
            let system = actix_rt::System::new();
            let supervisor = system.block_on(async { Supervisor::new(setup, directory).start() });
            // Whoever waits for this has not gone: it waits without a limit.
            drop(started.send((supervisor, actix_rt::System::current())));
            system.run()
        });
        thread.map_err(StartError::Thread)?;
        let (supervisor, system) = has_started
            .recv()
            .map_err(|_| StartError::Thread(std::io::Error::other("the actors' thread ended")))?;
        let node = Self {
            name,
            id,
            address,
            tls_dir,
            handles,
            supervisor,
            comes_back,
            has_seeds,
            system: Some(system),
            runtime: Some(runtime),
        };
        node.note_cluster(noted);
        node.stop_when_it_must();
        Ok(node)
    }

    /// Keeps the cluster's id on disk, and tells peers, once there is one.
    fn note_cluster(&self, directory: Weak<Mutex<DataDir>>) {
        let mut cluster = self.handles.cluster.subscribe();
        let handles = self.handles.clone();
        self.handles.spawn(async move {
            let Ok(id) = cluster.wait_for(Option::is_some).await.map(|id| *id) else {
                return;
            };
            let Some(id) = id else {
                return;
            };
            let mut own = handles.transport.own();
            own.cluster = Some(id);
            let name = own.cluster_name.clone();
            handles.transport.set_own(own);
            let noted = tokio::task::spawn_blocking(move || {
                let Some(directory) = directory.upgrade() else { return Ok(()) };
                let mut directory = directory.lock().unwrap_or_else(PoisonError::into_inner);
                directory.join_cluster(id, &name)
            });
            if let Ok(Err(why)) = noted.await {
                handles.fail(NodeError::DataDir(why));
            }
        });
    }

    /// A node that must not go on says nothing more.
    fn stop_when_it_must(&self) {
        let why = fatal(self.handles.fatal.subscribe());
        let (supervisor, handles) = (self.supervisor.clone(), self.handles.clone());
        self.handles.runtime.spawn(async move {
            if handles.stopping.run_until_cancelled(why).await.is_none() {
                return;
            }
            let (done, stopped) = oneshot::channel();
            if supervisor.send(Stop { at_once: true, done }).await.is_ok() {
                drop(stopped.await);
            }
            handles.transport.close().await;
            // Nobody is left to whom anything could be delivered.
            handles.stopping.cancel();
        });
    }
}

/// Makes clients of the node that has these `handles`, without a network. It keeps no more of the node
/// than they need: runs may keep it for longer than the node lives.
fn connector(handles: &Handles) -> impl Fn() -> Client + Send + Sync + 'static {
    let (scheduler, stopping) = (handles.scheduler.clone(), handles.stopping.clone());
    let (tasks, clock) = (handles.tasks.clone(), handles.transport.clock().clone());
    move || {
        let (requests, mut inbox) = mpsc::channel::<LocalRequest>(LOCAL_REQUESTS_MAX);
        let (scheduler, stopping) = (scheduler.clone(), stopping.clone());
        // Beside the caller: what it asks goes from its thread to the scheduler's.
        tasks.spawn(async move {
            let pump = async {
                while let Some(LocalRequest { request, answers }) = inbox.recv().await {
                    scheduler.deliver(Ask { request, answers }).await;
                }
            };
            // Cancelled or done, there is nothing to tell.
            let _ = stopping.run_until_cancelled(pump).await;
        });
        Client::local_by(requests, clock.clone())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handles.stopping.cancel();
        if let Some(system) = self.system.take() {
            system.stop();
        }
    }
}

/// Waits until nobody listens on `address`: the last handles of an endpoint go with the threads that
/// had them, a moment after these were told to end.
async fn free(address: SocketAddr) {
    let freed = async {
        while std::net::UdpSocket::bind(address).is_err() {
            tokio::time::sleep(FREE_POLL).await;
        }
    };
    // Somebody else may have taken it already.
    drop(tokio::time::timeout(FREE_WAIT, freed).await);
}

async fn fatal(mut fatal: watch::Receiver<Option<Arc<NodeError>>>) -> Arc<NodeError> {
    let why = fatal.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
    match why {
        Some(why) => why,
        // The node itself is gone, and with it whoever could fail.
        None => std::future::pending().await,
    }
}
