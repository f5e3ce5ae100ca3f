//! Answers to callers: nothing is kept of those who have theirs, and nobody waits in vain.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::task::{Batch, Row, Template};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Request};

use super::scheduler::{Callers, Panic, Waiters};
use crate::clock::wall;
use crate::{Call, Client, Node, Registry};

const PATIENCE: Duration = Duration::from_secs(30);

async fn lone(dir: &Path, gate: &Arc<Notify>) -> Node {
    let gate = Arc::clone(gate);
    let gated = move |n: u64| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok::<_, std::io::Error>(n)
        }
    };
    let node = Node::builder().name("a").data(dir.join("a")).register("gated", gated);
    let node = node.stop_patience(Duration::from_millis(500));
    let node = node.listen(([127, 0, 0, 1], 0).into()).start().await.expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    node
}

fn noop(n: u64, args: &'static str) -> Arc<Batch> {
    let id = TaskId::new(wall(), PartitionId(3), n);
    let template = Template::new(Registry::NOOP);
    let args = args.into();
    Arc::new(Batch { templates: vec![template], rows: vec![Row::new(id, 0, args)] })
}

async fn ask(node: &Node, ask: Ask) -> Answer {
    let mut answers = node.ask(Request { deadline: Span::from_millis(20_000), ask }).await;
    timeout(PATIENCE, answers.recv()).await.expect("in time").expect("an answer")
}

async fn callers(node: &Node) -> usize {
    node.scheduler().expect("there is one").send(Callers).await.expect("it answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_callers_who_have_their_last_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path(), &Arc::default()).await;
    let first = noop(0, "null");
    for batch in (1..200).map(|n| noop(n, "null")).chain([Arc::clone(&first)]) {
        let answer = ask(&node, Ask::Submit { batch, wait: false }).await;
        assert!(matches!(answer, Answer::Submitted { .. }), "{answer:?}");
    }
    assert_eq!(callers(&node).await, 0);

    // Of a submission that waits nothing is left to wait for if all of it is refused.
    let mut rows = first.rows.clone();
    rows[0].args = "1".into();
    let other = Arc::new(Batch { rows, ..(*first).clone() });
    let answer = ask(&node, Ask::Submit { batch: other, wait: true }).await;
    assert!(
        matches!(&answer, Answer::Submitted { refused, .. } if refused.len() == 1),
        "another task under the same id: {answer:?}"
    );
    assert_eq!(callers(&node).await, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_fallen_scheduler_ask_its_successor_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let gate = Arc::new(Notify::new());
    let node = lone(dir.path(), &gate).await;
    let client = Client::connect([node.address().to_string()], node.tls_dir()).await;
    let client = client.expect("it is let in");
    let task = client.submit(Call::<u64>::named("gated", &7)).await.expect("it is taken");
    let waiting = tokio::spawn(async move { task.result().await });
    timeout(PATIENCE, async {
        while waiters(&node).await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it asks");

    let fallen = node.scheduler().expect("there is one");
    assert!(fallen.send(Panic).await.is_err(), "it falls");
    gate.notify_one();
    let began = Instant::now();
    let result = timeout(PATIENCE, waiting).await.expect("in time").expect("it does not panic");
    assert_eq!(result.expect("it succeeds"), 7);
    // A client that is told nothing asks again after 30 s.
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    node.stop().await;
}

/// How many wait for the end of a task, wherever they asked.
async fn waiters(node: &Node) -> usize {
    node.scheduler().expect("there is one").send(Waiters).await.unwrap_or(0)
}
