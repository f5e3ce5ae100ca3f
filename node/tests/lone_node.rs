//! One node without any configuration: it takes work, runs it and remembers what came of it.

mod cluster;

use std::sync::Arc;

use tokio::time::timeout;
use umbel::Node;
use umbel::config::Config;
use umbel::node::StartError;
use umbel_protocol::task::State;
use umbel_protocol::wire::{Answer, Ask, RequestError};

use self::cluster::{PATIENCE, batch, next, request, submit_and_wait};

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

#[tokio::test(flavor = "multi_thread")]
async fn is_known_by_the_labels_of_its_file_and_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "[node]\nlabels = { role = \"web\", zone = \"a\" }";
    let builder = || {
        Node::builder()
            .config(Config::parse("cluster.toml", text).expect("it is valid"))
            .name("a")
            .listen("127.0.0.1:0".parse().expect("an address"))
            .data(dir.path().join("a"))
    };
    let refused = builder().label("role", "d b").start().await.map(drop);
    assert!(matches!(refused, Err(StartError::Label(_))), "{refused:?}");
    let node = builder().label("role", "db").label("rack", "7").start().await.expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    let mut answers = node.ask(request(Ask::Status)).await;
    match next(&mut answers).await {
        Answer::Status(status) => {
            let labels: Vec<_> =
                status.meta.members.values().map(|member| member.labels.to_string()).collect();
            assert_eq!(labels, ["rack=7,role=db,zone=a"]);
        }
        other => panic!("not told: {other:?}"),
    }
    node.stop().await;
}
