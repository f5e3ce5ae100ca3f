//! A few real nodes in one process, on loopback.

#![allow(dead_code, reason = "each test program uses its share")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use umbel::Node;
use umbel::config::Config;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Batch, Row, Template};
use umbel_protocol::time::{Span, Wall};
use umbel_protocol::wire::{Answer, Ask, Ending, Request, Status};

/// Far longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: u16 = 16;
/// How many runs of `inside` there are in this process, and the most that there were at once.
static INSIDE: AtomicU32 = AtomicU32::new(0);
pub(crate) static MOST_INSIDE: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Cluster {
    nodes: Vec<Option<Node>>,
    config: Config,
    addresses: Vec<SocketAddr>,
    dir: TempDir,
}

impl Cluster {
    /// Starts `count` nodes and waits until they share the partitions.
    pub(crate) async fn start(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let addresses: Vec<SocketAddr> = (0..count).map(|_| address()).collect();
        let seeds: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let text = format!(
            "[cluster]\nseeds = [{}]\npartitions = {PARTITIONS}\n[node]\ndata = {:?}\n",
            seeds.join(", "),
            dir.path()
        );
        let config = Config::parse("cluster.toml", &text).expect("it is valid");
        let nodes = (0..count).map(|_| None).collect();
        let mut cluster = Self { nodes, config, addresses, dir };
        for place in 0..count {
            cluster.restart(place).await;
        }
        for place in 0..count {
            let joined = timeout(PATIENCE, cluster.node(place).joined()).await;
            joined.expect("in time").expect("it joins");
        }
        for place in 0..count {
            until(cluster.node(place), "all are alive and share the partitions", |status| {
                // Ids are drawn: of three nodes one may rank first nowhere, two hardly ever do.
                let owners = status.shares.values().filter(|share| share.owned > 0).count();
                status.members.len() == count
                    && status.partitions_owned == PARTITIONS
                    && status.members.iter().all(|member| member.liveness == Liveness::Alive)
                    && owners >= count.min(2)
            })
            .await;
        }
        cluster
    }

    pub(crate) fn node(&self, place: usize) -> &Node {
        self.nodes[place].as_ref().expect("it runs")
    }

    pub(crate) fn data(&self, place: usize) -> PathBuf {
        self.dir.path().join(name(place))
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) async fn stop(&mut self, place: usize) {
        self.nodes[place].take().expect("it runs").stop().await;
    }

    pub(crate) async fn restart(&mut self, place: usize) {
        let node = Node::builder()
            .config(self.config.clone())
            .name(name(place))
            .listen(self.addresses[place])
            .label("host", name(place))
            .register("double", |n: u64| async move { Ok::<_, std::io::Error>(n * 2) })
            .register("inside", |(): ()| async move {
                let inside = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
                MOST_INSIDE.fetch_max(inside, Ordering::SeqCst);
                // Whoever comes in meanwhile is seen.
                tokio::task::yield_now().await;
                INSIDE.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>(1)
            })
            .register("grow", |n: u64| async move {
                Ok::<_, std::io::Error>("x".repeat(900_000 + usize::try_from(n).unwrap_or(0)))
            });
        self.nodes[place] = Some(node.start().await.expect("it starts"));
    }

    pub(crate) async fn end(self) {
        for node in self.nodes.into_iter().flatten() {
            node.stop().await;
        }
    }

    /// Stops all nodes, then does `then` while the data is still there.
    pub(crate) async fn end_but_keep<F: Future<Output = ()>>(self, then: impl FnOnce() -> F) {
        let Self { nodes, dir, .. } = self;
        for node in nodes.into_iter().flatten() {
            node.stop().await;
        }
        then().await;
        drop(dir);
    }
}

/// An address that nobody else uses: each process has a loopback address of its own, and nodes find
/// each other at theirs again after a restart.
fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(7_400);
    // Linux has no process beyond 2^22.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 + high, middle, low);
    (host, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

fn name(place: usize) -> &'static str {
    ["a", "b", "c", "d", "e"][place]
}

pub(crate) fn request(ask: Ask) -> Request {
    request_within(ask, 30_000)
}

pub(crate) fn request_within(ask: Ask, millis: u64) -> Request {
    Request { deadline: Span::from_millis(millis), ask }
}

pub(crate) async fn next(answers: &mut Receiver<Answer>) -> Answer {
    timeout(PATIENCE, answers.recv()).await.expect("an answer in time").expect("an answer")
}

pub(crate) fn now() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Wall::from_millis(u64::try_from(since.expect("after 1970").as_millis()).expect("it fits"))
}

/// `count` tasks called `name` with the arguments 0, 1, 2 and so on.
pub(crate) fn batch(name: &str, count: u64, partition: u16) -> Arc<Batch> {
    let row = |n: u64| {
        Row::new(
            TaskId::new(now(), PartitionId(partition), rand::random()),
            0,
            n.to_string().into(),
        )
    };
    Arc::new(Batch { templates: vec![Template::new(name)], rows: (0..count).map(row).collect() })
}

pub(crate) async fn submit(node: &Node, batch: Arc<Batch>) -> Receiver<Answer> {
    let mut answers = node.ask(request(Ask::Submit { batch, wait: true })).await;
    match next(&mut answers).await {
        Answer::Submitted { refused, .. } => assert!(refused.is_empty(), "{refused:?}"),
        other => panic!("not taken: {other:?}"),
    }
    answers
}

pub(crate) async fn submit_and_wait(node: &Node, batch: Arc<Batch>) -> Vec<Ending> {
    match next(&mut submit(node, batch).await).await {
        Answer::Finished(endings) => endings,
        other => panic!("not finished: {other:?}"),
    }
}

/// Asks for the status until `is_met` holds.
pub(crate) async fn until(node: &Node, what: &str, is_met: impl Fn(&Status) -> bool) {
    let mut last = None;
    let waited = timeout(PATIENCE, async {
        loop {
            let answer = next(&mut node.ask(request(Ask::Status)).await).await;
            if let Answer::Status(status) = &answer
                && is_met(status)
            {
                return;
            }
            last = Some(answer);
            tokio::task::yield_now().await;
        }
    });
    let in_time = waited.await.is_ok();
    assert!(in_time, "{what} within {PATIENCE:?}: {last:#?}");
}
