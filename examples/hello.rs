//! The shortest program that runs a task: a node in this process, and its client.
#![allow(clippy::print_stdout, reason = "it shows what came of it")]

use umbel::{Node, TaskError};

#[umbel::task]
async fn add(a: u64, b: u64) -> Result<u64, TaskError> {
    a.checked_add(b).ok_or_else(|| TaskError::permanent("the sum is too large"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder().name("hello").listen(([127, 0, 0, 1], 0).into()).start().await?;
    node.joined().await?;
    let client = node.client();

    // On disk, run, its result on disk, and back: one round trip.
    let sum = add::run(&client, 1, 2).await?;
    println!("1 + 2 = {sum}");

    // Or submit now and ask later, from any program and at any node, by the id.
    let handle = add::submit(&client, 20, 22).attempts(5).priority(9).await?;
    println!("task {} returned {}", handle.id(), handle.result().await?);

    node.stop().await;
    Ok(())
}
