//! A service with a whole node inside: it takes orders, leaves the slow part to tasks, and looks at
//! the node's actors for its health page.
//!
//! This one is a cluster of its own. Given a `cluster.toml` with `NodeBuilder::config`, every
//! instance of the service is a node of the same cluster and runs tasks of the others.
#![allow(clippy::print_stdout, reason = "it shows what came of it")]

use std::error::Error;
use std::time::Duration;

use tokio::sync::mpsc;
use umbel::actors::{Ask, Health, Held, Members};
use umbel::protocol::time::Span;
use umbel::protocol::wire::{self, Answer, Request, Status};
use umbel::{Call, Node};

/// What an order's confirmation takes: somebody else's mail server, say.
async fn confirm(order: u64) -> Result<String, std::io::Error> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(format!("order {order} is confirmed"))
}

/// The service. It owns the node and hands out nothing of it.
struct Shop {
    node: Node,
}

impl Shop {
    async fn open() -> Result<Self, Box<dyn Error>> {
        let node = Node::builder()
            .name("shop")
            .listen(([127, 0, 0, 1], 0).into())
            .register("shop/confirm", confirm)
            .start()
            .await?;
        node.joined().await?;
        Ok(Self { node })
    }

    /// What a request of a customer does: all orders are safe when this returns, none is waited for.
    async fn order(&self, orders: impl IntoIterator<Item = u64>) -> Result<(), Box<dyn Error>> {
        let calls = orders.into_iter().map(|order| Call::<String>::named("shop/confirm", &order));
        for taken in self.node.client().submit_batch(calls).await {
            taken?;
        }
        Ok(())
    }

    /// What the health page shows. Each line asks another actor.
    async fn health(&self) -> Result<String, Box<dyn Error>> {
        let status = self.status().await?;
        // After a restart an actor has a new address: ask the node each time.
        let executor = self.node.executor().ok_or("the executor is being restarted")?;
        let running = executor.send(Held).await?;
        let gossip = self.node.gossip().ok_or("gossip is being restarted")?;
        let others = gossip.send(Members).await?;
        // The supervisor is never restarted, and says of the others how often they were.
        let parts = self.node.supervisor().send(Health).await?;
        let restarts: u32 = parts.iter().map(|part| part.restarts).sum();
        let up = parts.iter().filter(|part| part.running_for.is_some()).count();
        Ok(format!(
            "{} open tasks, {running} held here, {} partitions have an owner, {} other nodes, \
             {up} of {} actors run, {restarts} restarts",
            status.open,
            status.partitions_owned,
            others.len(),
            parts.len(),
        ))
    }

    /// The same request that `umbel cluster status` makes, as a message to the actor.
    async fn status(&self) -> Result<Status, Box<dyn Error>> {
        let scheduler = self.node.scheduler().ok_or("the scheduler is being restarted")?;
        let (answers, mut answered) = mpsc::channel(2);
        let request = Request { deadline: Span::from_millis(5_000), ask: wire::Ask::Status };
        scheduler.send(Ask { request, answers }).await?;
        match answered.recv().await {
            Some(Answer::Status(status)) => Ok(*status),
            Some(Answer::Failed(why)) => Err(why.into()),
            other => Err(format!("no answer to the question: {other:?}").into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Shop::open().await?;
    shop.order(1..=100).await?;
    println!("{}", shop.health().await?);

    let confirmation = Call::<String>::named("shop/confirm", &101);
    println!("{}", shop.node.client().run(confirmation).await?);

    println!("{}", shop.health().await?);
    shop.node.stop().await;
    Ok(())
}
