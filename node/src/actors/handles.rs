//! The ways from any part of a node to any other.

use std::any::Any;
use std::mem;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Context, Handler, Message};
use dashmap::DashMap;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};
use umbel_protocol::id::{ClusterId, NodeId};
use umbel_protocol::membership;

use super::executor::{Admitted, Repertoire};
use super::reload::Reload;
use super::{Executor, Gossip, Gossiped, NodeError, Post, Scheduler};
use crate::transport::Transport;
use crate::ways::Ways;
use crate::work::{chain, panicked};

/// What everybody in a node needs to reach everybody else. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) transport: Transport,
    /// What owners and executors say goes through these.
    pub(crate) ways: Ways,
    /// The node's own threads: they run no code of tasks.
    pub(crate) runtime: Handle,
    /// Where tasks run: on the threads of whoever started the node.
    pub(crate) tasks: Handle,
    /// How many those are.
    pub(crate) threads: usize,
    pub(crate) scheduler: Post<Scheduler>,
    pub(crate) executor: Post<Executor>,
    pub(crate) gossip: Post<Gossip>,
    /// What executors that are built from now on can run.
    pub(crate) repertoire: watch::Sender<Repertoire>,
    /// Whoever reads the node's file again.
    pub(crate) reloads: mpsc::Sender<Reload>,
    /// Where members were said to be: a gossip that starts anew asks them.
    pub(crate) met: Arc<DashMap<NodeId, SocketAddr>>,
    /// The cluster of this node, once it knows one.
    pub(crate) cluster: watch::Sender<Option<ClusterId>>,
    /// Whether it is a member of that, as far as it knows.
    pub(crate) member: watch::Sender<bool>,
    /// Whether it was told to leave, and has handed over all that it had.
    pub(crate) left: watch::Sender<bool>,
    /// Ends the tasks that belong to the node and to no actor.
    pub(crate) stopping: CancellationToken,
    /// Why the node must stop, if it must.
    pub(crate) fatal: watch::Sender<Option<Arc<NodeError>>>,
}

impl Handles {
    /// This node is a member of its cluster.
    pub(crate) fn admitted(&self) {
        self.member.send_if_modified(|member| !mem::replace(member, true));
        self.tell(&self.executor, Admitted);
    }

    /// This node has heard of its cluster.
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

    /// A node is no member any more: nobody calls it or looks for it.
    pub(crate) fn forget(&self, node: NodeId) {
        self.met.remove(&node);
        self.transport.forget_peer(node);
        self.tell(&self.gossip, Gossiped(membership::Event::Forget { node }));
    }

    pub(super) fn announce(&self, node: NodeId, address: SocketAddr) {
        let to = membership::Peer { node, address };
        // Lost ones do no harm: gossip spreads by any other way.
        drop(self.gossip.try_send(Gossiped(membership::Event::Announce { to })));
    }

    /// Runs `task` for as long as the node does. If it panics the node ends: nobody else would do
    /// what it did.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handles = self.clone();
        self.runtime.spawn(async move {
            let task = AssertUnwindSafe(task).catch_unwind();
            if let Some(Err(payload)) = handles.stopping.run_until_cancelled(task).await {
                handles.panicked(payload);
            }
        });
    }

    /// Has `message` delivered without waiting for it.
    pub(crate) fn tell<A, M>(&self, post: &Post<A>, message: M)
    where
        A: Actor<Context = Context<A>> + Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send + MessageResponse<A, M>,
    {
        if let Err((_, message)) = post.try_send(message) {
            let post = post.clone();
            self.spawn(async move { post.deliver(message).await });
        }
    }

    /// The node must stop for a panic with `payload`.
    pub(crate) fn panicked(&self, payload: Box<dyn Any + Send>) {
        self.fail(NodeError::Panicked { what: panicked(payload).message });
    }

    /// The node must stop. The first reason counts.
    pub(crate) fn fail(&self, why: NodeError) {
        self.fatal.send_if_modified(|known| {
            if known.is_some() {
                debug!(why = chain(&why), "a further reason to stop");
                return false;
            }
            error!(why = chain(&why), "this node stops");
            *known = Some(Arc::new(why));
            true
        });
    }
}
