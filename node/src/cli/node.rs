//! `umbel node`: one node, until it is told to stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::net::lookup_host;
use tokio::sync::{mpsc, oneshot};
use tracing_subscriber::EnvFilter;
use umbel_protocol::job::Labels;

use super::interrupt::Interrupts;
use super::{Done, interrupt, out, service};
use crate::config::{Config, HostPort};
use crate::local::{self, Announced, Local};
use crate::work::SPAN_TARGET;
use crate::{Node, NodeBuilder};

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The cluster.toml of the cluster [default: a cluster of one node]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its name, unique in the cluster [default: the name of the host]
    #[arg(long)]
    name: Option<String>,
    /// Where to listen [default: what the file says]
    #[arg(long, value_name = "HOST:PORT", value_parser = listen_at)]
    listen: Option<(String, u16)>,
    /// Directory for its data [default: one of its name below what the file says]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A node of the cluster to join; may be given several times [default: the seeds in the file]
    #[arg(long, value_name = "HOST:PORT")]
    join: Vec<HostPort>,
    /// What is said of it, for jobs that select nodes; may be given several times
    /// [default: UMBEL_LABELS="KEY=VALUE,...", and what the file says]
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<Labels>,
    /// One of a cluster of this host, which `umbel dev` keeps in DIR; then all of it is to --join
    #[arg(long, value_name = "DIR", hide = true)]
    local: Option<PathBuf>,
    /// Stop when stdin ends: whoever started this node is gone
    #[arg(long, hide = true)]
    tethered: bool,
    /// Not to be found by commands on this host
    #[arg(long, hide = true)]
    unlisted: bool,
}

/// How a node comes to stop.
enum Told {
    /// It was told to.
    BySignal,
    /// Whoever started it is gone.
    ByNobody,
}

pub(super) async fn run(args: NodeArgs) -> anyhow::Result<Done> {
    log();
    // Before anything is started: a signal that comes meanwhile must not be lost.
    let mut interrupts = Interrupts::listen()?;
    let (tethered, unlisted) = (args.tethered, args.unlisted);
    let (reload, mut reloads) = mpsc::channel(1);
    let mut stopping = Box::pin(async {
        tokio::select! {
            biased;
            () = until_stopped(&mut interrupts, &reload) => Told::BySignal,
            () = untethered(), if tethered => Told::ByNobody,
        }
    });

    let (node, cluster) = tokio::select! {
        started = start(args) => started?,
        _ = &mut stopping => return Ok(Done::Well),
    };
    let (name, address) = (node.name(), node.address());
    tracing::info!(name, %address, "listening, and waiting to be a member of the cluster");
    let joined = tokio::select! {
        joined = async {
            node.joined().await?;
            node.met().await
        } => Ok(joined),
        told = &mut stopping => Err(told),
    };
    let ended = match joined {
        Err(told) => Ok(told),
        Ok(Err(why)) => Err(why),
        Ok(Ok(is_met)) => {
            let announced = if unlisted { None } else { announce(&node, cluster) };
            // Whoever started it may not listen: no reason to stop.
            let ready = out::line(format!(
                "node {name} is ready on {address} (pid {}){}",
                std::process::id(),
                if is_met { "" } else { ", but no other node has let it in yet" }
            ));
            if let Err(error) = ready {
                tracing::info!(%error, "nobody reads that this node is ready");
            }
            service::ready(&node);
            let ended = tokio::select! {
                told = &mut stopping => Ok(told),
                why = node.failed() => Err(why),
                never = service::watch(&node) => match never {},
                never = reload_when_told(&node, &mut reloads) => match never {},
            };
            drop(announced);
            ended
        }
    };
    service::stopping();
    drop(stopping);
    // Nobody waits for one whose owner is gone.
    if matches!(ended, Ok(Told::BySignal)) {
        tokio::select! {
            _ = node.leave() => {}
            () = stopped_again(&mut interrupts) => {
                tracing::info!("told to stop once more: what this node has is not waited for");
            }
            why = node.failed() => tracing::error!(%why, "it cannot hand over what it has"),
            never = service::watch(&node) => match never {},
        }
    }
    node.end().await;
    ended.map(|_| Done::Well).map_err(|why| anyhow!(why).context("the node had to stop"))
}

/// Returns when the node is to stop, and passes on what else it is told.
async fn until_stopped(interrupts: &mut Interrupts, reload: &mpsc::Sender<()>) {
    while interrupts.next().await == interrupt::Told::Reload {
        // Twice before it was read once is once.
        let _ = reload.try_send(());
    }
}

/// Returns when a node that leaves is told to stop once more. To read its file again would be of no use.
async fn stopped_again(interrupts: &mut Interrupts) {
    while interrupts.next().await != interrupt::Told::Stop {}
}

/// Has the file read again whenever that is told. What comes of it is in the log.
async fn reload_when_told(node: &Node, reloads: &mut mpsc::Receiver<()>) -> Infallible {
    while reloads.recv().await.is_some() {
        drop(node.reload().await);
    }
    std::future::pending().await
}

/// The node, and what its cluster is called.
async fn start(args: NodeArgs) -> anyhow::Result<(Node, String)> {
    let NodeArgs { config: file, name, listen, data, join, local, labels, .. } = args;
    let config = match &file {
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    let cluster = config.cluster.name.clone();
    let mut builder = Node::builder().config(config);
    if let Some(file) = file {
        builder = builder.file(file);
    }
    if let Some(name) = name {
        builder = builder.name(name);
    }
    if let Some(listen) = listen {
        let at = look_up(&listen).await;
        let at = at.with_context(|| format!("cannot listen on {}:{}", listen.0, listen.1))?;
        builder = builder.listen(at);
    }
    if let Some(data) = data {
        builder = builder.data(data);
    }
    builder = match local {
        Some(dir) => builder.local(join, dir),
        None => join.into_iter().fold(builder, NodeBuilder::join),
    };
    // What is typed counts for more than what is around, so it comes last.
    let around = std::env::var("UMBEL_LABELS").unwrap_or_default();
    let around = around.parse::<Labels>().context("UMBEL_LABELS is not a list of labels")?;
    for (key, value) in std::iter::once(&around).chain(&labels).flat_map(Labels::iter) {
        builder = builder.label(key, value);
    }
    let node = builder.start().await.context("cannot start the node")?;
    Ok((node, cluster))
}

/// Reads a label, or several with commas between them.
pub(super) fn label(text: &str) -> Result<Labels, String> {
    let labels = text.parse::<Labels>().map_err(|error| error.to_string())?;
    if labels.is_empty() { Err("there is no label: write role=db".to_owned()) } else { Ok(labels) }
}

/// Reads where to listen. Unlike where others are reached, that may be any free port.
fn listen_at(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing: HOST:PORT")?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err("the host is missing: write localhost:PORT, or 0.0.0.0:PORT for all".to_owned());
    }
    let port = port.parse().map_err(|_| format!("{port:?} is not a port: use 0 to 65535"))?;
    Ok((host.to_owned(), port))
}

async fn look_up((host, port): &(String, u16)) -> io::Result<SocketAddr> {
    let mut found = lookup_host((host.as_str(), *port)).await?;
    found.next().ok_or_else(|| io::Error::other("the name stands for no address"))
}

/// Makes a node findable on its host. It works without.
fn announce(node: &Node, cluster: String) -> Option<Announced> {
    if !node.address().ip().is_loopback() {
        return None;
    }
    let local = Local {
        node: node.name().to_owned(),
        cluster,
        cluster_id: node.cluster()?.to_string(),
        address: node.address(),
        tls: std::path::absolute(node.tls_dir()).ok()?,
        pid: std::process::id(),
    };
    local::announce(&local)
        .inspect_err(|error| tracing::warn!(%error, "commands on this host will not find this node by themselves"))
        .ok()
}

/// Returns when stdin has ended.
async fn untethered() {
    let (ended, has_ended) = oneshot::channel::<()>();
    // Of its own, and not waited for: nothing else can end a read of a pipe.
    thread::spawn(move || {
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        drop(ended);
    });
    drop(has_ended.await);
}

/// Writes the log to stderr.
fn log() {
    let filter = std::env::var("UMBEL_LOG").or_else(|_| std::env::var("RUST_LOG"));
    // Runs of programs and web services log nothing themselves, and a span costs as much as a short run.
    let filter = filter.unwrap_or_else(|_| format!("info,{SPAN_TARGET}=warn"));
    let filter = EnvFilter::builder().parse_lossy(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(out::is_watched())
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        assert_eq!(label("role=db").map(|labels| labels.to_string()), Ok("role=db".to_owned()));
        for bad in ["", ",", "role", "role=", "a b=c"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn where_to_listen_is_read() {
        let of = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(listen_at("localhost:7400"), of("localhost", 7400));
        assert_eq!(listen_at("[::1]:0"), of("::1", 0));
        for bad in ["7400", ":7400", "a:b", "a:70000"] {
            assert!(listen_at(bad).is_err(), "{bad}");
        }
    }
}
