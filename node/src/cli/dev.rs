//! `umbel dev`: a local cluster until Ctrl-C.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::interval;
use umbel_protocol::job::Labels;

use super::fleet::{FILE, Fleet, Home, Listed, Told, ports_from};
use super::interrupt::Interrupts;
use super::{Done, failure, out};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// How many nodes [default: as many as DIR has; 3 if it is new]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: Option<u16>,
    /// A cluster.toml with jobs, tasks and queues; seeds, addresses, data and certificates in it are
    /// not used [default: as it was the last time]
    ///
    /// `umbel config reload` has the nodes read it again.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory to keep everything in; started on it again, the cluster is the same [default: a
    /// temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// UDP port of the first node; the others follow
    #[arg(long, value_name = "PORT", default_value_t = 7400,
        value_parser = clap::value_parser!(u16).range(1..))]
    base_port: u16,
    /// Labels of one node, for jobs that select nodes, as in node-1:role=db; may be given several times
    #[arg(long = "label", value_name = "NODE:KEY=VALUE", value_parser = label)]
    labels: Vec<(String, Labels)>,
}

pub(super) async fn run(args: DevArgs) -> anyhow::Result<Done> {
    let mut interrupts = Interrupts::listen()?;
    let home = match &args.data {
        Some(dir) => Home::lasting(dir)?,
        None => Home::temporary("dev")?,
    };
    let nodes = nodes(args.nodes, &home)?;
    let file = args.config.map(std::path::absolute).transpose()?;
    let file = file.as_deref();
    let base = base(file, &home)?;
    let ports = ports_from(args.base_port, nodes)?;
    let told = Told { base: &base, file, labels: &args.labels, listed: Listed::Yes };
    let mut fleet = Fleet::start(&home, &ports, &told)?;
    let ended = tokio::select! {
        ended = watch(&mut fleet, &home, file) => ended,
        () = interrupts.any() => Ok(Done::Well),
    };
    out::note("stopping");
    keep(&fleet, &home, file);
    fleet.stop().await;
    ended
}

/// How many nodes to start. With fewer than before, partitions might lack a majority of their copies.
fn nodes(asked: Option<u16>, home: &Home) -> anyhow::Result<u16> {
    let present = home.nodes();
    let nodes = asked.unwrap_or(if present == 0 { NODES_DEFAULT } else { present });
    if nodes < present {
        bail!(
            "{} holds a cluster of {present} nodes: start it with --nodes {present} or more, or a \
             smaller one in another directory",
            home.path().display()
        );
    }
    Ok(nodes)
}

const NODES_DEFAULT: u16 = 3;

/// The configuration to begin with: the given one, or that of the last time.
fn base(file: Option<&Path>, home: &Home) -> anyhow::Result<String> {
    let last = home.path().join(FILE);
    let Some(file) = file.or_else(|| last.exists().then_some(&last)) else {
        return Ok(String::new());
    };
    read(file)
}

fn read(file: &Path) -> anyhow::Result<String> {
    // Its problems are shown in its own words and places.
    Config::load(file)?;
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Keeps what the given file says by now for the next start without one, and for a node that is started
/// by hand. Of one that cannot be used the nodes have taken nothing either.
fn keep(fleet: &Fleet, home: &Home, file: Option<&Path>) {
    if let Some(text) = file.and_then(|file| read(file).ok())
        && let Err(error) = fleet.keep(home, &text)
    {
        out::note(failure::told(&error));
    }
}

/// Reads labels of one node.
fn label(text: &str) -> Result<(String, Labels), String> {
    let (node, labels) = text.split_once(':').ok_or("the node is missing: write node-1:role=db")?;
    Ok((node.to_owned(), super::node::label(labels)?))
}

/// Tells when the cluster is ready, and what happens to its nodes.
async fn watch(fleet: &mut Fleet, home: &Home, file: Option<&Path>) -> anyhow::Result<Done> {
    let dir = home.path().display();
    out::note(format!("starting {} nodes in {dir}", fleet.members.len()));
    let status = fleet.ready().await?;
    for member in &fleet.members {
        out::note(format!("  {}  {}  pid {}", member.name, member.address, member.pid));
    }
    out::line(format!(
        "cluster {} is ready: {} nodes from {} on, {} partitions",
        status.meta.name,
        fleet.members.len(),
        fleet.members[0].address,
        status.meta.partitions
    ))?;
    out::note(
        "In another terminal: umbel cluster status; umbel submit umbel.noop --wait; umbel bench\n\
         Ctrl-C stops all nodes.",
    );
    let mut again = interval(Duration::from_millis(200));
    loop {
        again.tick().await;
        for place in fleet.newly_ended() {
            keep(fleet, home, file);
            let member = &fleet.members[place];
            out::note(format!(
                "{}\nThe others go on. To start it again:\n  {}",
                fleet.obituary(&place),
                member.command_line()
            ));
        }
        if !fleet.is_alive() {
            // Of a temporary directory the logs go with it; what they said last was shown.
            bail!(
                "all nodes have ended{}",
                if home.stays() { format!("; their logs are in {dir}") } else { String::new() }
            );
        }
    }
}
