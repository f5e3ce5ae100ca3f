//! Whole nodes, from within: what happens when a part of one breaks, blocks or floods another.

mod cut;
mod ends;
mod falls;
mod flow;
mod given;
mod hanging;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use actix::{Actor, Addr, Context};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Batch, Row, State, Template};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Request};

use super::supervisor::Break;
use super::{Members, NodeError, Post, executor, gossip, scheduler};
use crate::clock::wall;
use crate::config::Config;
use crate::{Node, NodeBuilder, Registry};

const PATIENCE: Duration = Duration::from_secs(30);

fn builder(dir: &Path) -> NodeBuilder {
    let node = Node::builder().name("a").data(dir.join("a"));
    // Some of its tasks never end.
    let node = node.listen(([127, 0, 0, 1], 0).into()).stop_patience(Duration::from_millis(500));
    node.register("wait", |(): ()| std::future::pending::<Result<(), std::io::Error>>())
}

async fn started(node: NodeBuilder) -> Node {
    let node = node.start().await.expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    node
}

async fn lone(dir: &Path) -> Node {
    started(builder(dir)).await
}

/// Three nodes that know each other.
async fn three(dir: &Path) -> [Node; 3] {
    three_with(dir, |_, node| node).await
}

/// Three nodes that know each other, each set up by its name.
async fn three_with(dir: &Path, set_up: impl Fn(&str, NodeBuilder) -> NodeBuilder) -> [Node; 3] {
    static NEXT: AtomicU16 = AtomicU16::new(7_400);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 + high, middle, low);
    let addresses: [SocketAddr; 3] =
        std::array::from_fn(|_| (host, NEXT.fetch_add(1, Ordering::Relaxed)).into());
    let seeds = addresses.map(|address| format!("\"{address}\"")).join(", ");
    let text = format!("cluster.seeds = [{seeds}]\ncluster.partitions = 8\nnode.data = {dir:?}\n");
    let config = Config::parse("cluster.toml", &text).expect("it is valid");
    let mut nodes = Vec::new();
    for (name, address) in ["a", "b", "c"].into_iter().zip(addresses) {
        let node = set_up(name, Node::builder().config(config.clone()).name(name));
        let node = node.stop_patience(Duration::from_secs(1));
        nodes.push(node.listen(address).start().await.expect("it starts"));
    }
    for node in &nodes {
        timeout(PATIENCE, node.joined()).await.expect("in time").expect("it joins");
        all_alive(node).await;
    }
    nodes.try_into().map_err(|_| "three").expect("they are three")
}

/// Waits until the scheduler of `node` takes all three for alive.
async fn all_alive(node: &Node) {
    until("all are alive", async || match ask(node, Ask::Status).await {
        Answer::Status(status) => {
            status.members.len() == 3
                && status.members.iter().all(|member| member.liveness == Liveness::Alive)
        }
        _ => false,
    })
    .await;
}

async fn ask(node: &Node, ask: Ask) -> Answer {
    next(&mut node.ask(Request { deadline: Span::from_millis(20_000), ask }).await).await
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let met = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, met).await.is_ok(), "{what} within {PATIENCE:?}");
}

async fn falls_with(node: &Node) -> Arc<NodeError> {
    timeout(PATIENCE, node.failed()).await.expect("the node stops in time")
}

/// Holds up threads until it is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<(usize, bool)>, Condvar)>);

/// Opens a gate when the test ends, however it does.
struct Opener(Gate);

impl Gate {
    pub(crate) fn pass(&self) {
        let (state, opened) = &*self.0;
        let mut state = state.lock().expect("nobody panics here");
        state.0 += 1;
        drop(opened.wait_while(state, |(_, open)| !*open));
    }

    /// How many have come to it.
    fn reached(&self) -> usize {
        self.0.0.lock().expect("nobody panics here").0
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let (state, opened) = &*self.0.0;
        state.lock().expect("nobody panics here").1 = true;
        opened.notify_all();
    }
}

fn task(name: &str, n: u64) -> Arc<Batch> {
    let id = TaskId::new(wall(), PartitionId(3), n);
    let args = "null".into();
    let template = Template::new(name);
    Arc::new(Batch { templates: vec![template], rows: vec![Row::new(id, 0, args)] })
}

async fn next(answers: &mut Receiver<Answer>) -> Answer {
    timeout(PATIENCE, answers.recv()).await.expect("in time").expect("an answer")
}

async fn submit(node: &Node, batch: &Arc<Batch>, wait: bool) -> Receiver<Answer> {
    let ask = Ask::Submit { batch: Arc::clone(batch), wait };
    let mut answers = node.ask(Request { deadline: Span::from_millis(20_000), ask }).await;
    let answer = next(&mut answers).await;
    assert!(
        matches!(&answer, Answer::Submitted { refused, .. } if refused.is_empty()),
        "{answer:?}"
    );
    answers
}

/// Whether a no-op task runs to its end.
async fn works(node: &Node) -> bool {
    let mut waiting = submit(node, &task(Registry::NOOP, rand::random()), true).await;
    matches!(next(&mut waiting).await, Answer::Finished(_))
}

async fn state_of(node: &Node, task: TaskId) -> State {
    match ask(node, Ask::Show { task }).await {
        Answer::View(view) => view.state,
        other => panic!("not shown: {other:?}"),
    }
}

/// Waits until another actor stands where `fallen` stood.
async fn successor<A: Actor<Context = Context<A>>>(post: &Post<A>, fallen: &Addr<A>) -> Addr<A> {
    let found = timeout(PATIENCE, async {
        loop {
            match post.addr() {
                Some(addr) if addr != *fallen => return addr,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    found.await.expect("a successor in time")
}
