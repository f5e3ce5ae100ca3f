//! The table of other nodes, and the rule which connection between two of them stays.
//!
//! At most one connection per pair is in use. If both ends called at the same time, the one that
//! the lower node id called stays, on both sides without asking. If the same end called again, it
//! has lost the other connection, and the newer one stays. A later start of a node replaces all of
//! an earlier one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use tracing::debug;
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::MEMBERS_MAX;
use umbel_protocol::wire::hello::{Hello, Known, NodeHello, Proof, Refusal, Who, judge};

use super::close::{Code, close, words};
use super::link::Link;
use super::{Inbound, Inner};

/// All other nodes that were named or met.
#[derive(Default)]
pub(super) struct Peers {
    by_node: DashMap<NodeId, Arc<Peer>>,
}

/// Another node.
pub(super) struct Peer {
    pub(super) node: NodeId,
    state: Mutex<State>,
    /// Held while a change of the connection is made known, so that changes are told in order.
    telling: Arc<AsyncMutex<()>>,
    /// For the dialer: there is something to do.
    pub(super) changed: Notify,
}

#[derive(Default)]
pub(super) struct State {
    /// The latest start that was met or heard of.
    pub(super) known: Option<Known>,
    /// Where to call it.
    pub(super) addr: Option<SocketAddr>,
    /// A dialer runs.
    pub(super) dialing: bool,
    pub(super) link: Option<Arc<Link>>,
    /// What it called itself last.
    pub(super) name: Option<String>,
}

impl Peers {
    pub(super) fn get(&self, node: NodeId) -> Option<Arc<Peer>> {
        self.by_node.get(&node).map(|peer| Arc::clone(&peer))
    }

    /// The connection to use for `node`.
    pub(super) fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        self.by_node.get(&node)?.state().link.clone()
    }

    /// The connection to whoever listens at `addr`.
    pub(super) fn link_to(&self, addr: SocketAddr) -> Option<Arc<Link>> {
        self.by_node.iter().find_map(|peer| {
            peer.state().link.clone().filter(|link| {
                link.hello.listen == addr && link.connection.close_reason().is_none()
            })
        })
    }

    /// The entry of `node`, made if there is room.
    pub(super) fn entry(&self, node: NodeId) -> Option<Arc<Peer>> {
        if let Some(peer) = self.get(node) {
            return Some(peer);
        }
        if self.by_node.len() >= PEERS_MAX {
            // Nodes that came, went and are no peers: what is known of one of them is given up.
            let idle = self.by_node.iter().find(|peer| peer.state().is_idle()).map(|p| p.node)?;
            self.by_node.remove(&idle);
        }
        Some(Arc::clone(&self.by_node.entry(node).or_insert_with(|| Arc::new(Peer::new(node)))))
    }

    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.by_node.iter().map(|peer| Arc::clone(&peer)).collect()
    }
}

impl State {
    const fn is_idle(&self) -> bool {
        self.link.is_none() && self.addr.is_none()
    }
}

impl Peer {
    fn new(node: NodeId) -> Self {
        Self { node, state: Mutex::default(), telling: Arc::default(), changed: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// A connection that was accepted into the table and not made known yet.
pub(super) struct Joined {
    peer: Arc<Peer>,
    link: Arc<Link>,
    replaced: Option<Arc<Link>>,
    telling: OwnedMutexGuard<()>,
}

/// Judges whoever is at the other end of `connection`, and takes it into the table.
pub(super) async fn join(
    inner: &Inner,
    connection: quinn::Connection,
    hello: Hello,
    proof: Proof<'_>,
    dialed: bool,
) -> Result<Joined, Refusal> {
    let own = inner.own();
    // Before the table is touched: most refusals need nothing of it.
    judge(&own, None, &hello, proof)?;
    let (Who::Node(own_node), Who::Node(other)) = (&own.who, &hello.who) else {
        unreachable!("clients have sessions, not entries in the table of nodes");
    };
    #[cfg(any(test, feature = "testing"))]
    if inner.cut.contains(&other.node) {
        return Err(Refusal::TooMany { limit: 0 });
    }
    let too_many = Refusal::TooMany { limit: u32::try_from(PEERS_MAX).unwrap_or(u32::MAX) };
    let peer = inner.peers.entry(other.node).ok_or(too_many)?;
    let telling = Arc::clone(&peer.telling).lock_owned().await;
    let dialer = if dialed { own_node.node } else { other.node };
    let lives = lives_beside(&peer, other).await;
    let mut state = peer.state();
    let known = state.known.map(|known| Known { lives, ..known });
    // By what this node says now: once that changes, the table is gone through for what does not fit.
    let version = judge(&inner.own(), known, &hello, proof)?;
    let known = Known {
        incarnation: other.incarnation,
        start: Some(other.start),
        synced: other.synced.max(state.known.map_or(0, |known| known.synced)),
        lives: false,
    };
    if let Some(present) = &state.link
        && stays(present, other, dialer)
    {
        return Err(Refusal::Duplicate);
    }
    let link = Arc::new(Link::new(connection, other.clone(), version, dialer));
    state.known = Some(known);
    state.name = Some(other.name.clone());
    let replaced = state.link.replace(Arc::clone(&link));
    drop(state);
    if let Some(replaced) = &replaced {
        close(&replaced.connection, Code::Duplicate, "another connection took its place");
    }
    Ok(Joined { peer, link, replaced, telling })
}

/// Whether another process with the identity of `newcomer` is connected and answers. One that was
/// killed leaves a connection behind that only seems to be alive.
async fn lives_beside(peer: &Peer, newcomer: &NodeHello) -> bool {
    let present = peer.state().link.clone();
    match present.filter(|present| present.hello.start != newcomer.start) {
        Some(present) => present.answers().await,
        None => false,
    }
}

/// Whether the `present` connection stays and the new one, called by `dialer`, is turned away.
fn stays(present: &Link, other: &NodeHello, dialer: NodeId) -> bool {
    let same_process = present.hello.start == other.start;
    let lives = present.connection.close_reason().is_none();
    // Later than that nobody is still in the middle of a simultaneous call: whoever calls has lost
    // the present connection and this side only does not know it yet.
    let young = present.since.elapsed() < SIMULTANEOUS;
    same_process && lives && young && present.dialer < dialer
}

impl Joined {
    /// What both ends speak.
    pub(super) fn version(&self) -> u16 {
        self.link.version
    }

    /// Makes the connection known and starts its traffic.
    pub(super) async fn tell(self, inner: &Arc<Inner>) {
        let Self { peer, link, replaced, telling, .. } = self;
        let hello = &link.hello;
        debug!(node = %hello.node, name = hello.name, dialer = ?link.dialer, "connected");
        let restarted = replaced.as_ref().is_some_and(|old| old.hello.start != hello.start);
        if restarted {
            let why = "it was started again".to_owned();
            inner.tell(Inbound::Disconnected { node: hello.node, why }).await;
        }
        // Also if the same process had a connection before: what was on its way on that may be lost, or
        // come late.
        let hello = Box::new(hello.clone());
        inner.tell(Inbound::Connected { node: hello.node, version: link.version, hello }).await;
        link.start(inner);
        inner.spawn(watch(peer, link, Arc::clone(inner)));
        drop(telling);
    }
}

/// Takes a connection that has ended out of the table, unless another has taken its place.
async fn watch(peer: Arc<Peer>, link: Arc<Link>, inner: Arc<Inner>) {
    let error = link.connection.closed().await;
    let telling = peer.telling.lock().await;
    let current = {
        let mut state = peer.state();
        state.link.take_if(|present| Arc::ptr_eq(present, &link)).is_some()
    };
    if current {
        let why = words(&error);
        debug!(node = %peer.node, why, "disconnected");
        inner.tell(Inbound::Disconnected { node: peer.node, why }).await;
    }
    drop(telling);
    peer.changed.notify_one();
}

/// Nodes in the table: all members, and those that left or never got in, several times over.
const PEERS_MAX: usize = 4 * MEMBERS_MAX;
/// Two calls further apart than this are not simultaneous.
const SIMULTANEOUS: Duration = super::settings::CALL_AGAIN;
