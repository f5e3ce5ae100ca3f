//! A fleet with one crontab, in one process: the five nodes of `cron_fleet/cluster.toml`, each with its
//! role, and what their jobs ran where within some seconds.
//!
//! That file is the example; how to start its nodes one by one, as on five hosts, stands at its top.
#![allow(clippy::print_stdout, reason = "it shows what came of it")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use umbel::config::Config;
use umbel::protocol::id::NodeId;
use umbel::protocol::job::{JobView, TickEnd, Verdict};
use umbel::{Client, Node};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cron_fleet/cluster.toml");

/// The nodes, each with its role.
const FLEET: [(&str, &str); 5] =
    [("web-1", "web"), ("web-2", "web"), ("db-1", "db"), ("db-2", "db"), ("batch-1", "batch")];

/// For so long they are left to themselves.
const WATCHED: Duration = Duration::from_secs(15);

/// One of the nodes. It is told where its file is, so that `umbel config reload` finds it.
async fn start(name: &str, role: &str, port: u16) -> Result<Node, Box<dyn Error>> {
    let node = Node::builder()
        .config(Config::load(Path::new(FILE))?)
        .file(FILE)
        .name(name)
        .listen(([127, 0, 0, 1], port).into())
        .label("role", role)
        .start()
        .await?;
    Ok(node)
}

/// The last tick of a job that was fired and of which all runs have ended: on which node, and how.
fn last(view: &JobView, names: &BTreeMap<NodeId, &str>) -> String {
    let ended = view
        .history
        .iter()
        .rev()
        .find(|tick| tick.ends.open == 0 && tick.verdict == Verdict::Fired);
    let runs = ended.into_iter().flat_map(|tick| &tick.runs).map(|run| {
        let node = run.node.and_then(|node| names.get(&node).copied()).unwrap_or("any node");
        format!("{} on {node}", run.end.map_or("open", TickEnd::as_str))
    });
    runs.collect::<Vec<_>>().join(", ")
}

async fn show(client: &Client, names: &BTreeMap<NodeId, &str>) -> Result<(), Box<dyn Error>> {
    println!(
        "{:9} {:>5} {:>9} {:>6} {:>7}  last",
        "job", "fired", "succeeded", "failed", "skipped"
    );
    for line in client.jobs("").await?.jobs {
        let (name, counts) = (line.name.as_str(), line.counts);
        let last = last(&client.job(&line.name).await?, names);
        println!(
            "{name:9} {:>5} {:>9} {:>6} {:>7}  {last}",
            counts.fired, counts.succeeded, counts.failed, counts.skipped
        );
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut nodes = Vec::new();
    for ((name, role), port) in FLEET.into_iter().zip(7_411..) {
        nodes.push(start(name, role, port).await?);
    }
    for node in &nodes {
        node.joined().await?;
    }
    println!("five nodes are one cluster; they run their jobs for {WATCHED:?}");
    tokio::time::sleep(WATCHED).await;
    let names = nodes.iter().map(|node| (node.id(), node.name())).collect();
    show(&nodes[0].client(), &names).await?;
    for node in nodes {
        node.stop().await;
    }
    Ok(())
}
