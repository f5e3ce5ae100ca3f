//! Each actor is made to panic, and a successor takes over what it did.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::task::{Batch, Row, State, Template};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Request};

use super::{Members, Post, executor, gossip, scheduler};
use crate::clock::wall;
use crate::{Node, Registry};

const PATIENCE: Duration = Duration::from_secs(30);

async fn lone(dir: &std::path::Path) -> Node {
    let node = Node::builder().name("a").data(dir.join("a"));
    let node = node.listen(([127, 0, 0, 1], 0).into());
    let node = node.register("wait", |(): ()| std::future::pending::<Result<(), std::io::Error>>());
    let node = node.start().await.expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    node
}

fn task(name: &str, n: u64) -> Arc<Batch> {
    let id = TaskId::new(wall(), PartitionId(3), n);
    let args = "null".into();
    let template = Template::new(name);
    Arc::new(Batch { templates: vec![template], rows: vec![Row { id, template: 0, args }] })
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

async fn state_of(node: &Node, task: TaskId) -> State {
    let ask = Ask::Show { task };
    let mut answers = node.ask(Request { deadline: Span::from_millis(20_000), ask }).await;
    match next(&mut answers).await {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_fallen_scheduler_is_built_anew_from_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let (before, held) = (task(Registry::NOOP, 1), task("wait", 2));
    let mut waiting = submit(&node, &before, true).await;
    assert!(matches!(next(&mut waiting).await, Answer::Finished(_)));
    drop(submit(&node, &held, false).await);

    let fallen = node.scheduler().expect("there is one");
    assert!(fallen.send(scheduler::Panic).await.is_err(), "it falls");
    successor(&node.scheduler_post(), &fallen).await;

    assert_eq!(state_of(&node, before.rows[0].id).await, State::Succeeded);
    assert_eq!(state_of(&node, held.rows[0].id).await, State::Leased);
    let mut waiting = submit(&node, &task(Registry::NOOP, 3), true).await;
    assert!(matches!(next(&mut waiting).await, Answer::Finished(_)), "it goes on");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallen_executor_gives_its_runs_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let held = task("wait", 1);
    drop(submit(&node, &held, false).await);
    let fallen = node.executor().expect("there is one");
    let running = timeout(PATIENCE, async {
        while fallen.send(super::Held).await.expect("it answers") == 0 {
            tokio::task::yield_now().await;
        }
    });
    running.await.expect("it runs in time");

    assert!(fallen.send(executor::Panic).await.is_err(), "it falls");
    let present = successor(&node.handles().executor, &fallen).await;
    let running_again = timeout(PATIENCE, async {
        while present.send(super::Held).await.expect("it answers") == 0 {
            tokio::task::yield_now().await;
        }
    });
    running_again.await.expect("the task runs again");
    let mut waiting = submit(&node, &task(Registry::NOOP, 2), true).await;
    assert!(matches!(next(&mut waiting).await, Answer::Finished(_)), "it goes on");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallen_gossip_is_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let fallen = node.gossip().expect("there is one");
    assert!(fallen.send(gossip::Panic).await.is_err(), "it falls");
    let present = successor(&node.handles().gossip, &fallen).await;
    assert_eq!(present.send(Members).await.expect("it answers"), []);
    let mut waiting = submit(&node, &task(Registry::NOOP, 1), true).await;
    assert!(matches!(next(&mut waiting).await, Answer::Finished(_)), "work goes on");
    node.stop().await;
}
