//! Moving bytes between nodes, and between clients and nodes, over QUIC.
//!
//! Owns the UDP port, all connections and who is on their other ends; decides nothing but which of
//! two connections to keep. One connection per pair of nodes carries three classes of traffic that
//! never wait for each other: datagrams for gossip, one stream each way for each of the lanes
//! consensus and work, and a stream for each bulk message. A client has one stream each way.
//!
//! Frames are opaque here and come out as they went in, in order within a lane of one connection.
//! A frame to a node that is not connected is dropped, and so are those on their way when a
//! connection ends: whoever sends them has a protocol that asks again. Every queue has a limit in
//! bytes; what arrives faster than it is dealt with waits on the sender's side, class by class.

mod accept;
mod clients;
mod close;
mod congestion;
pub mod dial;
mod dialer;
mod error;
mod greeting;
mod inbox;
mod link;
mod outbox;
mod peers;
mod room;
mod settings;
mod streams;
#[cfg(test)]
mod tests;
mod throttle;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use quinn::Endpoint;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use umbel_protocol::id::{Incarnation, NodeId};
use umbel_protocol::limits;
pub use umbel_protocol::wire::frame::Lane;
use umbel_protocol::wire::hello::{Hello, Known, NodeHello, Versions, Who};

pub use self::close::{CertificateFault, CertificateFaultKind, DialError};
use self::close::{Code, close};
pub use self::error::{ReplyError, SendError, TransportError};
pub use self::inbox::{Inbound, Inbox};
use self::inbox::{Outlet, channels};
pub use self::room::Room;
pub(crate) use self::throttle::Throttle;
use crate::clock::Clock;
use crate::tls::TlsFiles;
use crate::work::panicked;

/// What a transport needs to begin.
#[derive(Debug)]
pub struct Config {
    /// The UDP address to bind.
    pub bind: SocketAddr,
    /// Who this node is. A listen port of 0 is replaced by the one that was bound.
    pub own: NodeHello,
    /// What it proves itself with.
    pub tls: TlsFiles,
    /// Where all of its tasks run: a multi-thread runtime.
    pub runtime: Handle,
}

/// A handle to the transport; cheap to clone. When the last one is dropped, all connections end.
#[derive(Clone)]
pub struct Transport {
    inner: Arc<Inner>,
    _guard: Arc<DropGuard>,
}

/// What all tasks share.
struct Inner {
    endpoint: Endpoint,
    calling: quinn::ClientConfig,
    own: RwLock<Arc<Hello>>,
    /// How many writes this node's store has synced, once it is open.
    synced: watch::Sender<Option<u64>>,
    peers: peers::Peers,
    sessions: clients::Sessions,
    outlet: Outlet,
    warnings: Throttle,
    clock: Clock,
    /// Nodes that tests cut this one from.
    #[cfg(any(test, feature = "testing"))]
    cut: dashmap::DashSet<NodeId>,
    runtime: Handle,
    closing: CancellationToken,
}

impl Transport {
    /// Binds the port and begins to take connections.
    ///
    /// # Errors
    /// When the port is taken or the certificates cannot be used.
    pub fn bind(config: Config) -> Result<(Self, Inbox), TransportError> {
        Self::bind_with(config, Clock::start())
    }

    /// The same with the clock that its node goes by.
    pub(crate) fn bind_with(config: Config, clock: Clock) -> Result<(Self, Inbox), TransportError> {
        let Config { bind: addr, mut own, tls, runtime } = config;
        let socket = UdpSocket::bind(addr).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => TransportError::PortTaken { addr },
            _ => TransportError::Bind { addr, source },
        })?;
        let server = settings::server(&tls)?;
        let calling = settings::client(&tls)?;
        let endpoint = {
            let _entered = runtime.enter();
            settings::endpoint(socket, Some(server))
        };
        let bind_failed = |source| TransportError::Bind { addr, source };
        let endpoint = endpoint.map_err(bind_failed)?;
        if own.listen.port() == 0 {
            own.listen.set_port(endpoint.local_addr().map_err(bind_failed)?.port());
        }
        let hello = Hello { versions: Versions::OWN, who: Who::Node(own) };
        let (outlet, inbox) = channels();
        let closing = CancellationToken::new();
        let inner = Arc::new(Inner {
            endpoint,
            calling,
            own: RwLock::new(Arc::new(hello)),
            synced: watch::Sender::new(None),
            peers: peers::Peers::default(),
            sessions: clients::Sessions::default(),
            outlet,
            warnings: Throttle::default(),
            clock,
            #[cfg(any(test, feature = "testing"))]
            cut: dashmap::DashSet::new(),
            runtime,
            closing: closing.clone(),
        });
        inner.spawn(accept::accept(Arc::clone(&inner)));
        Ok((Self { inner, _guard: Arc::new(closing.drop_guard()) }, inbox))
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.endpoint.local_addr()
    }

    /// What this node says of itself.
    #[must_use]
    pub fn own(&self) -> NodeHello {
        match &self.inner.own().who {
            Who::Node(own) => own.clone(),
            Who::Client { .. } => unreachable!("a transport belongs to a node"),
        }
    }

    /// Says something else of this node from now on: above all its cluster, once it has one.
    /// Connections with nodes of other clusters end.
    pub fn set_own(&self, own: NodeHello) {
        let cluster = own.cluster;
        self.inner.say(|hello| hello.who = Who::Node(own));
        for peer in self.inner.peers.all() {
            if let Some(link) = peer.state().link.clone()
                && link.hello.cluster.is_some()
                && cluster.is_some()
                && link.hello.cluster != cluster
            {
                close(&link.connection, Code::Refused, "the node joined another cluster");
            }
        }
    }

    /// Speaks nothing older than `version` from now on, as the whole cluster does: connections with nodes
    /// that do end, and whoever cannot do better is refused, and told so.
    pub fn set_oldest(&self, version: u16) {
        self.inner.say(|hello| hello.versions.min = hello.versions.min.max(version));
        for peer in self.inner.peers.all() {
            if let Some(link) = peer.state().link.clone().filter(|link| link.version < version) {
                close(&link.connection, Code::Refused, "the cluster speaks a newer version");
            }
        }
    }

    /// Keeps `node` connected, calling it at `addr` whenever it is not.
    pub fn set_peer(&self, node: NodeId, addr: SocketAddr) {
        if node == self.inner.own_node() {
            return;
        }
        // Members are bounded far below the table; one that does not fit is simply not called.
        let Some(peer) = self.inner.peers.entry(node) else { return };
        let begin = {
            let mut state = peer.state();
            state.addr = Some(addr);
            !std::mem::replace(&mut state.dialing, true)
        };
        if begin {
            let inner = Arc::clone(&self.inner);
            self.inner.spawn(dialer::keep_connected(peer, inner));
        } else {
            peer.changed.notify_one();
        }
    }

    /// Calls `node` no more. It is heard if it calls, so that it can be told that it is no member.
    pub fn forget_peer(&self, node: NodeId) {
        if let Some(peer) = self.inner.peers.get(node) {
            peer.state().addr = None;
            peer.changed.notify_one();
        }
    }

    /// Takes note of a start of `node` that others know of: earlier ones are refused.
    pub fn note_incarnation(&self, node: NodeId, incarnation: Incarnation) {
        let Some(peer) = self.inner.peers.entry(node) else { return };
        let mut state = peer.state();
        let synced = state.known.map_or(0, |known| known.synced);
        if state.known.is_none_or(|known| known.incarnation < incarnation) {
            state.known = Some(Known { incarnation, start: None, synced, lives: false });
        }
    }

    /// This node's store is open and has synced so many writes. Nobody is greeted as a node before
    /// that is known.
    pub fn set_synced(&self, writes: u64) {
        self.inner.synced.send_if_modified(|known| {
            let is_more = known.is_none_or(|known| known < writes);
            if is_more {
                *known = Some(writes);
            }
            is_more
        });
    }

    /// How many writes this node's store has synced, as far as is known.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.inner.synced.borrow().unwrap_or_default()
    }

    /// Takes note of how many writes `node` says that its store has synced: a later start that has
    /// fewer is refused.
    pub fn note_synced(&self, node: NodeId, writes: u64) {
        let Some(peer) = self.inner.peers.get(node) else { return };
        if let Some(known) = &mut peer.state().known {
            known.synced = known.synced.max(writes);
        }
    }

    /// Calls whoever is at `addr`, and keeps the connection if it is a node of the same cluster or
    /// one of the two is blank. A node that is connected and listens there is not called again.
    ///
    /// # Errors
    /// When nobody answers, or one of the two will not go on.
    pub async fn greet(&self, addr: SocketAddr) -> Result<NodeHello, DialError> {
        if let Some(link) = self.inner.peers.link_to(addr) {
            return Ok(link.hello.clone());
        }
        let inner = Arc::clone(&self.inner);
        // On the transport's own runtime, whatever runs the caller.
        let greeted = self
            .inner
            .runtime
            .spawn(async move { dialer::reach(&inner, addr, settings::CALL).await });
        greeted.await.unwrap_or(Err(DialError::Closed))
    }

    /// In which version frames to `to` are to be written, while it is connected.
    #[must_use]
    pub fn version(&self, to: NodeId) -> Option<u16> {
        self.inner.peers.link(to).map(|link| link.version)
    }

    /// The nodes that are connected, and in which version frames to each are written.
    #[must_use]
    pub(crate) fn versions(&self) -> Vec<(NodeId, u16)> {
        let peers = self.inner.peers.all();
        let linked = |peer: &Arc<peers::Peer>| {
            peer.state().link.as_ref().map(|link| (link.hello.node, link.version))
        };
        peers.iter().filter_map(linked).collect()
    }

    /// In which version frames to the client of `session` are to be written, while there is one.
    #[must_use]
    pub fn session_version(&self, session: u64) -> Option<u16> {
        self.inner.sessions.version(session)
    }

    /// Queues `frame` for `to`. It will be dropped if the connection ends before it was written.
    ///
    /// # Errors
    /// When there is no connection, no room, or the frame is too long for its lane.
    pub fn send(&self, to: NodeId, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        self.inner.peers.link(to).ok_or(SendError::NotConnected)?.send(lane, frame)
    }

    /// How many other nodes are connected.
    pub(crate) fn connected(&self) -> usize {
        self.inner.peers.all().iter().filter(|peer| peer.state().link.is_some()).count()
    }

    /// Sends `bytes` to `to` in one packet, which may get lost.
    ///
    /// # Errors
    /// When there is no connection, or it is too long.
    pub fn send_datagram(&self, to: NodeId, bytes: Bytes) -> Result<(), SendError> {
        let bytes_max = limits::DATAGRAM_BYTES_MAX;
        if bytes.len() > bytes_max {
            return Err(SendError::TooLong { bytes: bytes.len(), bytes_max });
        }
        self.inner.peers.link(to).ok_or(SendError::NotConnected)?.send_datagram(bytes)
    }

    /// Queues `frame` for the client of `session`.
    ///
    /// # Errors
    /// When the session is gone, has no room, or the frame is too long.
    pub fn reply(&self, session: u64, frame: Bytes) -> Result<(), ReplyError> {
        self.inner.sessions.reply(session, frame)
    }

    /// Ends a session; its client is told `why`.
    pub fn close_session(&self, session: u64, why: &str) {
        self.inner.sessions.close(session, why);
    }

    /// Ends all sessions; their clients are told `why`, and may come again.
    pub(crate) fn close_sessions(&self, why: &str) {
        self.inner.sessions.close_all(why);
    }

    /// What people call a node: its name, or its id if it was never met.
    pub(crate) fn called(&self, node: NodeId) -> String {
        let name = self.inner.peers.get(node).and_then(|peer| peer.state().name.clone());
        name.unwrap_or_else(|| node.to_string())
    }

    /// What `node` says of itself, and the round-trip time, while it is connected.
    #[must_use]
    pub fn peer(&self, node: NodeId) -> Option<(NodeHello, Duration)> {
        let link = self.inner.peers.link(node)?;
        Some((link.hello.clone(), link.connection.rtt()))
    }

    /// The clock of its node.
    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Ends the connection with `node` and takes no other.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn cut(&self, node: NodeId) {
        self.inner.cut.insert(node);
        if let Some(link) = self.inner.peers.link(node) {
            close(&link.connection, Code::Refused, "a test cuts the two");
        }
    }

    /// Is no longer cut from `node`, and calls it.
    #[cfg(feature = "testing")]
    pub(crate) fn heal(&self, node: NodeId) {
        if self.inner.cut.remove(&node).is_some()
            && let Some(peer) = self.inner.peers.get(node)
        {
            peer.changed.notify_one();
        }
    }

    /// Sends what was queued as far as it is taken soon, ends all connections, telling the other
    /// sides, and waits until they have been told.
    pub async fn close(&self) {
        let mut writers = self.inner.sessions.finish();
        for peer in self.inner.peers.all() {
            let link = peer.state().link.clone();
            writers.extend(link.iter().flat_map(|link| link.finish()));
        }
        let written = async {
            for writer in writers {
                // A writer that panicked has nothing more to write.
                drop(writer.await);
            }
        };
        // Whoever takes nothing must not keep this process from ending.
        drop(tokio::time::timeout(FAREWELL, written).await);
        self.inner.closing.cancel();
        self.inner.endpoint.close(Code::Bye.into(), b"the process ends");
        self.inner.endpoint.wait_idle().await;
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("own", &self.own()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Says something else of this node from now on.
    fn say(&self, change: impl FnOnce(&mut Hello)) {
        let mut own = self.own.write().expect("nothing panics while it holds this lock");
        let mut hello = Hello::clone(&own);
        change(&mut hello);
        *own = Arc::new(hello);
    }

    fn own(&self) -> Arc<Hello> {
        Arc::clone(&self.own.read().expect("nothing panics while it holds this lock"))
    }

    /// What this node says of itself to another, once its store is open.
    async fn introduction(&self) -> Arc<Hello> {
        let mut synced = self.synced.subscribe();
        // It lives as long as `self`.
        let synced = synced.wait_for(Option::is_some).await.ok().and_then(|synced| *synced);
        let mut hello = (*self.own()).clone();
        if let Who::Node(own) = &mut hello.who {
            own.synced = synced.unwrap_or_default();
        }
        Arc::new(hello)
    }

    fn own_node(&self) -> NodeId {
        match &self.own().who {
            Who::Node(own) => own.node,
            Who::Client { .. } => unreachable!("a transport belongs to a node"),
        }
    }

    /// Runs a task of the transport. If it panics whoever listens is told: a part of the transport is
    /// deaf or mute from then on.
    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Err(payload) = AssertUnwindSafe(task).catch_unwind().await {
                inner.tell(Inbound::Broken { what: panicked(payload).message }).await;
            }
        })
    }

    /// Tells what happened to a connection.
    async fn tell(&self, inbound: Inbound) {
        // An error means that nobody listens any more.
        drop(self.outlet.of(Lane::Consensus).send(inbound).await);
    }
}

/// How long queued frames are waited for when the transport is closed.
const FAREWELL: Duration = Duration::from_millis(500);
