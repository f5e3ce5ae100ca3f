//! Three nodes that find each other, share the work, and lose one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;
use umbel::Node;
use umbel::config::Config;
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Batch, Row, State, Template};
use umbel_protocol::time::{Span, Wall};
use umbel_protocol::wire::{Answer, Ask, Request, Status};

const PATIENCE: Duration = Duration::from_secs(60);

fn request(ask: Ask) -> Request {
    Request { deadline: Span::from_millis(30_000), ask }
}

async fn next(answers: &mut Receiver<Answer>) -> Answer {
    timeout(PATIENCE, answers.recv()).await.expect("an answer in time").expect("an answer")
}

fn now() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Wall::from_millis(u64::try_from(since.expect("after 1970").as_millis()).expect("fits"))
}

async fn status(node: &Node) -> Option<Status> {
    let mut answers = node.ask(request(Ask::Status)).await;
    match next(&mut answers).await {
        Answer::Status(status) => Some(*status),
        _ => None,
    }
}

/// Asks until `is_met` holds.
async fn until(node: &Node, what: &str, is_met: impl Fn(&Status) -> bool) {
    let waited = timeout(PATIENCE, async {
        loop {
            if let Some(status) = status(node).await
                && is_met(&status)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    if waited.await.is_err() {
        panic!("{what} within {PATIENCE:?}: {:#?}", status(node).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn share_work_and_survive_a_loss() {
    let _ = tracing_subscriber::fmt().with_env_filter("debug").with_test_writer().try_init();
    let dir = tempfile::tempdir().expect("a directory");
    // Ports that were free a moment ago.
    let ports: Vec<u16> = (0..3)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a port"))
        .map(|socket| socket.local_addr().expect("bound").port())
        .collect();
    let seeds: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let text = format!("[cluster]\nseeds = [{}]\npartitions = 16\n", seeds.join(", "));
    let config = Config::parse("cluster.toml", &text).expect("it is valid");
    let mut nodes = Vec::new();
    for (port, name) in ports.iter().zip(["a", "b", "c"]) {
        let node = Node::builder()
            .config(config.clone())
            .name(name)
            .listen(format!("127.0.0.1:{port}").parse().expect("an address"))
            .data(dir.path().join(name))
            .register("double", |n: u64| async move { Ok::<_, std::io::Error>(n * 2) })
            .start();
        nodes.push(node.await.expect("it starts"));
    }
    for node in &nodes {
        timeout(PATIENCE, node.joined()).await.expect("in time").expect("it joins");
    }
    for node in &nodes {
        until(node, "all are alive and own a share", |status| {
            status.members.len() == 3
                && status.members.iter().all(|m| m.liveness == Liveness::Alive && m.owned > 0)
                && status.partitions_owned == 16
        })
        .await;
    }
    let mut waiting = Vec::new();
    for partition in 0..16 {
        let rows = (0..50_u64)
            .map(|n| Row {
                id: TaskId::new(now(), PartitionId(partition), rand::random()),
                template: 0,
                args: n.to_string().into(),
            })
            .collect();
        let batch = Arc::new(Batch { templates: vec![Template::new("double")], rows });
        waiting.push(nodes[0].ask(request(Ask::Submit { batch, wait: true })).await);
    }
    for answers in &mut waiting {
        assert!(matches!(next(answers).await, Answer::Submitted { .. }));
    }
    for answers in &mut waiting {
        match next(answers).await {
            Answer::Finished(endings) => {
                assert!(endings.iter().all(|ending| ending.state == State::Succeeded));
                assert_eq!(endings.len(), 50);
            }
            other => panic!("{other:?}"),
        }
    }
    for node in nodes {
        node.stop().await;
    }
}
