//! `umbel dev`: a local cluster until Ctrl-C.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::time::interval;

use super::fleet::{FILE, Fleet, Home, Listed, ports_from};
use super::interrupt::Interrupts;
use super::{Done, out};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// How many nodes [default: as many as DIR has; 3 if it is new]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: Option<u16>,
    /// A cluster.toml with tasks and queues; seeds, data and certificates in it are not used
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
}

pub(super) async fn run(args: DevArgs) -> anyhow::Result<Done> {
    let mut interrupts = Interrupts::listen()?;
    let home = match &args.data {
        Some(dir) => Home::lasting(dir)?,
        None => Home::temporary("dev")?,
    };
    let nodes = nodes(args.nodes, &home)?;
    let base = base(args.config, &home)?;
    let ports = ports_from(args.base_port, nodes)?;
    let mut fleet = Fleet::start(&home, &ports, &base, Listed::Yes)?;
    let ended = tokio::select! {
        ended = watch(&mut fleet, &home) => ended,
        () = interrupts.any() => Ok(Done::Well),
    };
    out::note("stopping");
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
fn base(config: Option<PathBuf>, home: &Home) -> anyhow::Result<String> {
    let last = home.path().join(FILE);
    let Some(file) = config.or_else(|| last.exists().then_some(last)) else {
        return Ok(String::new());
    };
    // Its problems are shown in its own words and places.
    Config::load(&file)?;
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Tells when the cluster is ready, and what happens to its nodes.
async fn watch(fleet: &mut Fleet, home: &Home) -> anyhow::Result<Done> {
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
            let member = &fleet.members[place];
            out::note(format!(
                "{}\nThe others go on. To start it again:\n  umbel node -c {dir}/{FILE} \
                 --name {} --listen {}",
                fleet.obituary(&place),
                member.name,
                member.address
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
