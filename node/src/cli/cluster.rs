//! `umbel cluster`: who belongs to it, and how they are.

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use umbel_protocol::membership::Liveness;
use umbel_protocol::wire::Status;

use super::connect::ConnectArgs;
use super::table::table;
use super::time::count;
use super::{Done, out};

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show the nodes and the partitions, as one node sees them
    Status(StatusArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print one line of JSON for each node
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A node in JSON.
#[derive(Debug, Serialize)]
struct NodeLine<'a> {
    name: &'a str,
    id: String,
    address: String,
    state: &'static str,
    pid: u32,
    partitions: u16,
    cluster: &'a str,
    cluster_partitions: u16,
    cluster_partitions_owned: u16,
}

pub(super) async fn run(command: ClusterCommand) -> anyhow::Result<Done> {
    let ClusterCommand::Status(StatusArgs { json, connect }) = command;
    let client = connect.client().await?;
    let status = client.status().await.context("cannot ask for the status")?;
    let mut results = out::Results::new();
    if json {
        for line in node_lines(&status) {
            results.json(&line)?;
        }
    } else {
        for line in for_people(&status) {
            results.line(line)?;
        }
    }
    results.flush()?;
    Ok(Done::Well)
}

/// The word for whether a node is heard of.
const fn state(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Alive => "alive",
        Liveness::Suspect => "suspect",
        Liveness::Down => "down",
    }
}

fn node_lines(status: &Status) -> Vec<NodeLine<'_>> {
    let mut lines: Vec<_> = status
        .members
        .iter()
        .map(|member| NodeLine {
            name: &member.name,
            id: member.node.to_string(),
            address: member.address.to_string(),
            state: state(member.liveness),
            pid: member.pid,
            partitions: member.owned,
            cluster: &status.meta.name,
            cluster_partitions: status.meta.partitions,
            cluster_partitions_owned: status.partitions_owned,
        })
        .collect();
    lines.sort_by_key(|line| line.name);
    lines
}

fn for_people(status: &Status) -> Vec<String> {
    let meta = &status.meta;
    let seen_by = meta.members.get(&status.node).map_or("a node", |member| member.name.as_str());
    let mut lines = vec![
        format!("cluster {} ({}), as {seen_by} sees it", meta.name, meta.cluster),
        format!(
            "{} of {} partitions have an owner, up to {} copies of each",
            status.partitions_owned, meta.partitions, meta.replicas
        ),
        format!(
            "{} open tasks in the partitions of {seen_by}, {} running",
            count(status.open),
            count(status.running)
        ),
        String::new(),
    ];
    let rows: Vec<_> = node_lines(status)
        .into_iter()
        .map(|line| {
            let pid = if line.pid == 0 { String::new() } else { line.pid.to_string() };
            [
                line.name.to_owned(),
                line.address,
                line.state.to_owned(),
                line.partitions.to_string(),
                pid,
                line.id,
            ]
        })
        .collect();
    lines.extend(table(["NODE", "ADDRESS", "STATE", "OWNS", "PID", "ID"], &rows));
    lines
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::{ClusterId, NodeId};
    use umbel_protocol::meta::Meta;
    use umbel_protocol::wire::MemberStatus;

    use super::*;

    #[test]
    fn members_are_shown_by_name() {
        let member = |node: u128, name: &str, liveness| MemberStatus {
            node: NodeId(node),
            name: name.to_owned(),
            address: ([127, 0, 0, 1], 7400).into(),
            liveness,
            owned: 5,
            pid: 42,
        };
        let status = Status {
            node: NodeId(1),
            meta: Meta::new(ClusterId(9), "farm".into(), 16, 3, 2),
            members: vec![member(2, "b", Liveness::Down), member(1, "a", Liveness::Alive)],
            partitions_owned: 12,
            open: 1_000,
            running: 2,
        };
        let shown = for_people(&status);
        assert_eq!(shown[1], "12 of 16 partitions have an owner, up to 3 copies of each");
        assert_eq!(shown[4], "NODE  ADDRESS         STATE  OWNS  PID  ID");
        assert_eq!(shown[6], format!("b     127.0.0.1:7400  down   5     42   {}", NodeId(2)));
        assert_eq!(
            serde_json::to_string(&node_lines(&status)[0]).unwrap(),
            "{\"name\":\"a\",\"id\":\"00000000000000000000000000000001\",\
             \"address\":\"127.0.0.1:7400\",\"state\":\"alive\",\"pid\":42,\"partitions\":5,\
             \"cluster\":\"farm\",\"cluster_partitions\":16,\"cluster_partitions_owned\":12}"
        );
    }
}
