//! `umbel cluster`: who belongs to it, and how they are.

mod drain;
mod forget;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use umbel_protocol::id::NodeId;
use umbel_protocol::membership::Liveness;
use umbel_protocol::wire::{Drain, Status};

use super::connect::ConnectArgs;
use super::table::table;
use super::time::count;
use super::{Done, out};

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show the nodes, the partitions and how much there is to do
    Status(StatusArgs),
    /// Have a node part with all that it has: it owns, keeps and runs nothing then
    Drain(drain::DrainArgs),
    /// Have a drained node serve again
    Undrain(drain::UndrainArgs),
    /// Have the cluster forget a node that is gone for good, or was drained
    Forget(forget::ForgetArgs),
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
    /// What is said of it, for jobs that select nodes.
    labels: BTreeMap<&'a str, &'a str>,
    state: &'static str,
    /// Whether it can do its part.
    condition: String,
    /// Whether it is drained.
    drain: &'static str,
    pid: u32,
    /// Whether it told what it owns; if not, the next two are not known.
    told: bool,
    partitions: u16,
    open: u64,
    running: u64,
    copies: u64,
    cluster: &'a str,
    cluster_partitions: u16,
    cluster_partitions_owned: u16,
    cluster_partitions_whole: u16,
    cluster_open: u64,
    cluster_running: u64,
}

pub(super) async fn run(command: ClusterCommand) -> anyhow::Result<Done> {
    match command {
        ClusterCommand::Status(args) => show(args).await,
        ClusterCommand::Drain(args) => drain::drain(args).await,
        ClusterCommand::Undrain(args) => drain::undrain(args).await,
        ClusterCommand::Forget(args) => forget::run(args).await,
    }
}

/// The member that is called `text`, or has that id: also if it is none any more.
fn member(status: &Status, text: &str) -> anyhow::Result<NodeId> {
    let named = status.meta.members.iter().find(|(_, member)| member.name == text);
    if let Some((node, _)) = named {
        return Ok(*node);
    }
    if let Some(node) = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten() {
        return Ok(NodeId(node));
    }
    let mut names: Vec<_> =
        status.meta.members.values().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    bail!("no node of the cluster is called {text:?}; there are {}", names.join(", "))
}

/// What people call a member.
fn name(status: &Status, node: NodeId) -> String {
    status.meta.members.get(&node).map_or_else(|| node.to_string(), |member| member.name.clone())
}

async fn show(StatusArgs { json, connect }: StatusArgs) -> anyhow::Result<Done> {
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

/// The word for how far a node has parted with what it has.
const fn drain_word(drain: Drain) -> &'static str {
    match drain {
        Drain::Serving => "serving",
        Drain::Draining => "draining",
        Drain::Drained => "drained",
    }
}

/// Whether it is heard of and, if there is more to say, what else is the matter with it.
fn state_for_people(line: &NodeLine<'_>) -> String {
    let mut words = vec![line.state];
    if line.state != "down" && line.condition != "serving" {
        words.push(&line.condition);
    }
    if line.drain != "serving" {
        words.push(line.drain);
    }
    words.join(", ")
}

fn node_lines(status: &Status) -> Vec<NodeLine<'_>> {
    let mut lines: Vec<_> = status
        .members
        .iter()
        .map(|member| {
            let share = status.share(member.node);
            let labels = status.meta.members.get(&member.node).map(|member| member.labels.iter());
            NodeLine {
                name: &member.name,
                id: member.node.to_string(),
                address: member.address.to_string(),
                labels: labels.into_iter().flatten().collect(),
                state: state(member.liveness),
                condition: member.condition.to_string(),
                drain: drain_word(status.drain(member.node)),
                pid: member.pid,
                told: share.has_told,
                partitions: share.owned,
                open: share.open,
                running: share.running,
                copies: share.copies,
                cluster: &status.meta.name,
                cluster_partitions: status.meta.partitions,
                cluster_partitions_owned: status.partitions_owned,
                cluster_partitions_whole: status.partitions_whole,
                cluster_open: status.open,
                cluster_running: status.running,
            }
        })
        .collect();
    lines.sort_by_key(|line| line.name);
    lines
}

fn for_people(status: &Status) -> Vec<String> {
    let meta = &status.meta;
    let seen_by = meta.members.get(&status.node).map_or("a node", |member| member.name.as_str());
    let copies = match usize::from(meta.replicas).min(meta.members.len()) {
        1 => "their one copy".to_owned(),
        copies => format!("all {copies} copies"),
    };
    let mut lines = vec![
        format!("cluster {} ({}), as {seen_by} sees it", meta.name, meta.cluster),
        format!(
            "{} of {} partitions have an owner, {} have {copies}",
            status.partitions_owned, meta.partitions, status.partitions_whole
        ),
        format!("{} open tasks, {} running", count(status.open), count(status.running)),
    ];
    lines.extend(untold(status));
    lines.push(String::new());
    let nodes = node_lines(status);
    // Most clusters have none, and a column of nothing is not seen.
    let has_labels = nodes.iter().any(|line| !line.labels.is_empty());
    let labels = if has_labels { "LABELS" } else { "" };
    let rows: Vec<_> = nodes
        .into_iter()
        .map(|line| {
            let told = |n: u64| if line.told { count(n) } else { "?".to_owned() };
            let pid = if line.pid == 0 { String::new() } else { line.pid.to_string() };
            let state = state_for_people(&line);
            let labels = line.labels.iter().map(|(key, value)| format!("{key}={value}"));
            let labels = labels.collect::<Vec<_>>().join(",");
            [
                line.name.to_owned(),
                line.address,
                state,
                told(line.partitions.into()),
                told(line.copies),
                told(line.open),
                count(line.running),
                pid,
                line.id,
                labels,
            ]
        })
        .collect();
    lines.extend(table(
        ["NODE", "ADDRESS", "STATE", "OWNS", "COPIES", "OPEN", "RUNNING", "PID", "ID", labels],
        &rows,
    ));
    lines
}

/// Says whose partitions and tasks are not counted.
fn untold(status: &Status) -> Option<String> {
    let silent: Vec<_> =
        node_lines(status).iter().filter(|line| !line.told).map(|line| line.name).collect();
    let silent = (!silent.is_empty()).then(|| silent.join(", "));
    silent.map(|silent| format!("not counted, for they do not answer: what is owned by {silent}"))
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::ClusterId;
    use umbel_protocol::job::Labels;
    use umbel_protocol::membership::Condition;
    use umbel_protocol::meta::{Member, Meta};
    use umbel_protocol::time::Wall;
    use umbel_protocol::wire::{MemberStatus, Share};

    use super::*;

    #[test]
    fn members_are_shown_by_name() {
        let member = |node: u128, name: &str, liveness, condition| MemberStatus {
            node: NodeId(node),
            name: name.to_owned(),
            address: ([127, 0, 0, 1], 7400).into(),
            liveness,
            pid: 42,
            condition,
        };
        let mut meta = Meta::new(ClusterId(9), "farm".into(), 16, 3, 2);
        for (node, name) in [(1, "a"), (2, "b")] {
            let address = ([127, 0, 0, 1], 7400).into();
            let joined_at = Wall::EPOCH;
            let name = name.to_owned();
            let draining = node == 2;
            let labels = Labels::NONE;
            let member = Member { name, address, joined_at, joined_in: 1, draining, labels };
            meta.members.insert(NodeId(node), member);
        }
        let share = |has_told, owned, open, running| {
            let copies = u64::from(owned) + 1;
            Share { has_told, owned, open, running, copies }
        };
        let status = Status {
            node: NodeId(1),
            meta,
            members: vec![
                member(2, "b", Liveness::Down, Condition::Serving),
                member(1, "a", Liveness::Alive, Condition::DiskSlow),
            ],
            shares: [(NodeId(1), share(true, 12, 1_000, 2)), (NodeId(2), share(false, 0, 0, 1))]
                .into(),
            partitions_owned: 12,
            partitions_whole: 0,
            open: 1_000,
            running: 3,
        };
        let shown = for_people(&status);
        assert_eq!(
            shown[1..4],
            [
                "12 of 16 partitions have an owner, 0 have all 2 copies",
                "1,000 open tasks, 3 running",
                "not counted, for they do not answer: what is owned by b",
            ]
        );
        assert_eq!(
            shown[5],
            "NODE  ADDRESS         STATE             OWNS  COPIES  OPEN   RUNNING  PID  ID"
        );
        let id = NodeId(1);
        let slow = format!(
            "a     127.0.0.1:7400  alive, disk slow  12    13      1,000  2        42   {id}"
        );
        assert_eq!(shown[6], slow);
        let id = NodeId(2);
        let down = format!(
            "b     127.0.0.1:7400  down, draining    ?     ?       ?      1        42   {id}"
        );
        assert_eq!(shown[7], down);
        let mut labelled = status.clone();
        labelled.meta.members.get_mut(&id).unwrap().labels = "role=db,zone=a".parse().unwrap();
        let shown = for_people(&labelled);
        assert!(shown[5].ends_with("  LABELS"), "{shown:?}");
        assert!(shown[7].ends_with(&format!("{id}  role=db,zone=a")), "{shown:?}");
        let json = serde_json::to_string(&node_lines(&labelled)[1]).unwrap();
        assert!(json.contains("\"labels\":{\"role\":\"db\",\"zone\":\"a\"},"), "{json}");
        assert_eq!(
            serde_json::to_string(&node_lines(&status)[0]).unwrap(),
            "{\"name\":\"a\",\"id\":\"00000000000000000000000000000001\",\
             \"address\":\"127.0.0.1:7400\",\"labels\":{},\"state\":\"alive\",\
             \"condition\":\"disk slow\",\"drain\":\"serving\",\"pid\":42,\"told\":true,\
             \"partitions\":12,\"open\":1000,\"running\":2,\"copies\":13,\"cluster\":\"farm\",\
             \"cluster_partitions\":16,\"cluster_partitions_owned\":12,\
             \"cluster_partitions_whole\":0,\"cluster_open\":1000,\"cluster_running\":3}"
        );
    }
}
