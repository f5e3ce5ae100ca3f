//! The whole pipeline in one process without a network: how many no-op tasks a second go through a
//! lone node, submitted in batches, durable, executed, their results durable; and how long one task
//! takes when nothing else happens.
//!
//! `pipeline [TASKS] [BATCH] [BATCHES IN FLIGHT]`

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use umbel::{Node, Registry};
use umbel_protocol::id::{PartitionId, TaskId};
use umbel_protocol::task::{Batch, Row, Template};
use umbel_protocol::time::{Span, Wall};
use umbel_protocol::wire::{Answer, Ask, Request};

fn batch(count: usize, partition: u16) -> Arc<Batch> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or_default());
    let rows = (0..count)
        .map(|_| {
            let id = TaskId::new(now, PartitionId(partition), rand::random());
            Row::new(id, 0, vec![b'1'; 100].into())
        })
        .collect();
    Arc::new(Batch { templates: vec![Template::new(Registry::NOOP)], rows })
}

async fn run(node: &Node, batch: Arc<Batch>) {
    let tasks = batch.rows.len();
    let ask = Ask::Submit { batch, wait: true };
    let mut answers = node.ask(Request { deadline: Span::from_millis(60_000), ask }).await;
    loop {
        match answers.recv().await {
            Some(Answer::Submitted { .. }) => {}
            Some(Answer::Finished(endings)) => return assert_eq!(endings.len(), tasks),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let tasks = numbers.next().unwrap_or(500_000);
    let size = numbers.next().unwrap_or(500);
    let window = numbers.next().unwrap_or(8);
    let dir = tempfile::tempdir().expect("a directory");
    let node = Node::builder().name("a").data(dir.path().join("a"));
    let node = node.listen(([127, 0, 0, 1], 0).into()).start().await.expect("it starts");
    node.joined().await.expect("it forms a cluster");
    run(&node, batch(1, 0)).await;

    let node = Arc::new(node);
    let started = Instant::now();
    let batches = tasks / size;
    let mut workers = Vec::new();
    for worker in 0..window {
        let node = Arc::clone(&node);
        workers.push(tokio::spawn(async move {
            for n in (worker..batches).step_by(window) {
                run(&node, batch(size, u16::try_from(n % 256).unwrap_or_default())).await;
            }
        }));
    }
    for worker in workers {
        worker.await.expect("it ends");
    }
    let took = started.elapsed();
    println!("{:.0} tasks/s ({batches} batches of {size})", tasks as f64 / took.as_secs_f64());

    let mut times: Vec<Duration> = Vec::new();
    for n in 0..2_000_u16 {
        let batch = batch(1, n % 256);
        let at = Instant::now();
        run(&node, batch).await;
        times.push(at.elapsed());
    }
    times.sort_unstable();
    println!("round trip p50 {:?} p99 {:?}", times[1_000], times[1_980]);
}
