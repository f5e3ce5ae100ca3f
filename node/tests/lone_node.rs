//! One node without any configuration: it takes work, runs it and remembers what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use umbel::Node;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::task::{Batch, Row, State, Template};
use umbel_protocol::time::{Span, Wall};
use umbel_protocol::wire::{Answer, Ask, Ending, Request, RequestError};

const PATIENCE: Duration = Duration::from_secs(30);

fn request(ask: Ask) -> Request {
    Request { deadline: Span::from_millis(20_000), ask }
}

async fn next(answers: &mut Receiver<Answer>) -> Answer {
    timeout(PATIENCE, answers.recv()).await.expect("an answer in time").expect("an answer")
}

fn now() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Wall::from_millis(u64::try_from(since.expect("after 1970").as_millis()).expect("fits"))
}

fn batch(name: &str, count: u64, partition: u16) -> Arc<Batch> {
    let rows = (0..count)
        .map(|n| Row {
            id: TaskId::new(now(), PartitionId(partition), rand::random()),
            template: 0,
            args: n.to_string().into(),
        })
        .collect();
    Arc::new(Batch { templates: vec![Template::new(name)], rows })
}

async fn submit_and_wait(node: &Node, batch: Arc<Batch>) -> Vec<Ending> {
    let mut answers = node.ask(request(Ask::Submit { batch, wait: true })).await;
    match next(&mut answers).await {
        Answer::Submitted { refused, .. } => assert!(refused.is_empty(), "{refused:?}"),
        other => panic!("not taken: {other:?}"),
    }
    match next(&mut answers).await {
        Answer::Finished(endings) => endings,
        other => panic!("not finished: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_runs_and_remembers() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = || {
        Node::builder()
            .name("a")
            .listen("127.0.0.1:0".parse().expect("an address"))
            .data(dir.path().join("a"))
            .register("double", |n: u64| async move { Ok::<_, std::io::Error>(n * 2) })
            .start()
    };
    let node = start().await.expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");

    let work = batch("double", 200, 7);
    let endings = submit_and_wait(&node, Arc::clone(&work)).await;
    assert_eq!(endings.len(), 200);
    for ending in &endings {
        let row = work.rows.iter().find(|row| row.id == ending.task).expect("one of ours");
        let n: u64 = serde_json::from_slice(&row.args).expect("a number");
        assert_eq!(ending.state, State::Succeeded);
        assert_eq!(ending.result.as_deref(), Some((n * 2).to_string().as_bytes()));
    }

    let mut answers =
        node.ask(request(Ask::Submit { batch: batch("dubble", 1, 3), wait: false })).await;
    let error = next(&mut answers).await;
    assert!(
        matches!(&error, Answer::Failed(RequestError::UnknownTask { known, .. }) if known == &["double"]),
        "{error:?}"
    );
    node.stop().await;

    let node = start().await.expect("it starts again");
    let task = endings.first().expect("some").task;
    let mut answers = node.ask(request(Ask::Show { task })).await;
    match next(&mut answers).await {
        Answer::View(view) => {
            assert_eq!(view.state, State::Succeeded);
            assert_eq!(view.runs.len(), 1);
        }
        other => panic!("not shown: {other:?}"),
    }
    node.stop().await;
}
