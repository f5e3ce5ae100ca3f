//! Real endpoints on loopback: waiting for events, never for time to pass.

mod clients;
mod pairs;
mod refusals;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use umbel_protocol::id::ClusterId;

use super::*;
use crate::tls::{Role, ensure_local};

/// Far more than anything here takes, also on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// One authority and what it issued.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        ensure_local(dir.path()).unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn node(&self) -> TlsFiles {
        TlsFiles::load(self.path(), Role::Node, None).unwrap()
    }

    fn client(&self) -> TlsFiles {
        TlsFiles::load(self.path(), Role::Client, None).unwrap()
    }
}

/// A transport under test.
struct Node {
    transport: Transport,
    inbox: Inbox,
}

fn hello(id: u128) -> NodeHello {
    NodeHello {
        node: NodeId(id),
        incarnation: Incarnation(1),
        start: rand::random(),
        synced: 0,
        name: format!("node-{id}"),
        listen: "127.0.0.1:0".parse().unwrap(),
        cluster: Some(ClusterId(1)),
        cluster_name: "test".into(),
    }
}

fn start(tls: TlsFiles, own: NodeHello) -> Node {
    start_on(&Handle::current(), tls, own)
}

fn start_on(runtime: &Handle, tls: TlsFiles, own: NodeHello) -> Node {
    let (bind, runtime) = (own.listen, runtime.clone());
    let (transport, inbox) = Transport::bind(Config { bind, own, tls, runtime }).unwrap();
    transport.set_synced(0);
    Node { transport, inbox }
}

impl Node {
    fn id(&self) -> NodeId {
        self.transport.own().node
    }

    fn addr(&self) -> SocketAddr {
        self.transport.own().listen
    }

    /// The next event that `pick` wants; others are dropped.
    async fn until<T>(&mut self, mut pick: impl FnMut(Inbound) -> Option<T>) -> T {
        patiently(async {
            loop {
                let inbound = self.inbox.recv().await.expect("the transport is open");
                if let Some(picked) = pick(inbound) {
                    return picked;
                }
            }
        })
        .await
    }

    async fn connected(&mut self) -> NodeId {
        self.until(|inbound| match inbound {
            Inbound::Connected { node, .. } => Some(node),
            _ => None,
        })
        .await
    }

    async fn frame(&mut self) -> (NodeId, Lane, Bytes) {
        self.until(|inbound| match inbound {
            Inbound::Frame { from, lane, frame, .. } => Some((from, lane, frame)),
            _ => None,
        })
        .await
    }
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this happens soon")
}

/// Waits until something is so that nobody tells.
async fn becomes(mut condition: impl FnMut() -> bool) {
    patiently(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Two connected nodes.
async fn pair(authority: &Authority) -> (Node, Node) {
    let mut a = start(authority.node(), hello(1));
    let mut b = start(authority.node(), hello(2));
    a.transport.set_peer(b.id(), b.addr());
    assert_eq!(a.connected().await, b.id());
    assert_eq!(b.connected().await, a.id());
    (a, b)
}
