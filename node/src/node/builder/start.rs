//! Starting a node as it was set up: its directory, its certificates, its transport and its actors, and
//! looking for its cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dashmap::DashMap;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use umbel_protocol::id::{ClusterId, NodeId};
use umbel_protocol::limits::Limits;
use umbel_protocol::membership::Identity;
use umbel_protocol::meta::Join;
use umbel_protocol::scheduler::{Found, Settings};
use umbel_protocol::wire::hello::{NodeHello, SHARED_NAME, Versions};

use super::NodeBuilder;
use crate::actors::{Handles, Post, RELOADS_MAX, Repertoire, Setup};
use crate::clock::Clock;
use crate::config::{Config, HostPort};
use crate::data_dir::DataDir;
use crate::fitness::Watch;
use crate::former::{Former, draw_cluster_id, resolve};
use crate::local::private_directory;
use crate::node::definitions::add_configured;
use crate::node::profile::{OwnPools, profile};
use crate::node::reload::Reloader;
use crate::node::runtime::OwnRuntime;
use crate::node::{Node, StartError, connector};
use crate::router::route;
use crate::seeker::seek;
use crate::store::Sizes;
use crate::timezones;
use crate::tls::{Role, TlsFiles, ca, ensure_local, share_local};
use crate::transport::{self, Transport};
use crate::ways::Ways;
use crate::work::{Ledger, Registry, Runner};

/// Warnings about the file that are written to the log: it is there for other things, too.
const WARNINGS_MAX: usize = 20;

impl NodeBuilder {
    /// Starts it. It listens when this returns; whether it has a cluster yet is told by
    /// [`Node::joined`].
    ///
    /// # Errors
    /// When something that it needs is not there; nothing is left running.
    pub async fn start(self) -> Result<Node, StartError> {
        let Self {
            mut config,
            file,
            name,
            listen,
            data,
            join,
            local,
            labels,
            tasks,
            mut host,
            replace_after,
            stop_patience,
            clock,
        } = self;
        let as_read = config.clone();
        if let Some((seeds, data)) = local {
            config.make_local(seeds, data);
        }
        config.node.stop_patience = stop_patience.unwrap_or(config.node.stop_patience);
        let tasks_on = Handle::try_current().map_err(|_| StartError::Runtime)?;
        if tasks_on.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(StartError::Runtime);
        }
        if let Some(listen) = listen {
            config.listen_on(listen)?;
        }
        for (key, value) in &labels {
            config.node.labels.insert(key, value)?;
        }
        let handlers = tasks?;
        host.check(&handlers)?;
        let mut registry = handlers.clone();
        add_configured(&mut registry, &config)?;
        let withheld = host.withheld.clone();
        withheld.add(config.secret_variables());
        warn_of(&config, &registry);

        let name = name.unwrap_or_else(host_name);
        // It becomes the name of a directory and, for others to check, of a certificate.
        if ca::check_name(&name).is_err() {
            return Err(StartError::Name { name });
        }
        host.name(&name);
        let clock = clock.unwrap_or_else(Clock::start);
        host.clock(clock.clone());
        let apart = data.clone();
        let data = data.unwrap_or_else(|| config.node.data.join(&name));
        let cluster_name = config.cluster.name.clone();
        let data_dir = DataDir::open(&data, &name, Some(&cluster_name))?;
        let tls_dir = tls_dir(&config, apart.as_deref())?;
        let tls = node_certificate(&config, &tls_dir, &name)?;

        let known = data_dir.cluster().map(|cluster| cluster.id);
        let own = NodeHello {
            node: data_dir.node(),
            incarnation: data_dir.incarnation(),
            start: data_dir.start(),
            // Told once the store is open.
            synced: 0,
            name: name.clone(),
            listen: config.node.listen,
            cluster: known,
            cluster_name: cluster_name.clone(),
        };
        let runtime = OwnRuntime::start().map_err(StartError::Thread)?;
        let bind = config.node.listen;
        let (transport, inbox) = Transport::bind_with(
            transport::Config { bind, own, tls, runtime: runtime.handle() },
            clock.clone(),
        )?;
        let address = transport.local_addr().map_err(StartError::Thread)?;
        let advertised = advertise(&config, &name, address).await?;
        let mut own = transport.own();
        own.listen = advertised;
        transport.set_own(own);

        let ledger = Ledger::open(data.join("runs"))?;
        let (ledger, swept) = tokio::task::spawn_blocking(move || {
            let swept = ledger.sweep();
            (ledger, swept)
        })
        .await
        .map_err(|why| StartError::Thread(why.into()))?;
        let swept = swept?;
        if swept > 0 {
            tracing::warn!(swept, "processes that the last start left behind were ended");
        }

        let (reloads, reload_requests) = mpsc::channel(RELOADS_MAX);
        let mut own_pools = OwnPools::default();
        let handles = Handles {
            ways: Ways::new(data_dir.node(), clock.clone(), transport.clone()),
            transport,
            threads: tasks_on.metrics().num_workers().max(1),
            runtime: runtime.handle(),
            tasks: tasks_on,
            scheduler: Post::default(),
            executor: Post::default(),
            gossip: Post::default(),
            met: Arc::new(DashMap::new()),
            cluster: watch::Sender::new(known),
            member: watch::Sender::new(false),
            stopping: CancellationToken::new(),
            left: watch::Sender::new(false),
            fatal: watch::Sender::new(None),
            repertoire: watch::Sender::new(Repertoire {
                profile: profile(&config.on(&config.node.labels), &registry, &mut own_pools),
                registry: Arc::new(registry),
            }),
            reloads,
        };
        // Runs submit their children to the node that runs them.
        host.connect(connector(&handles));
        let own_seed = advertised.to_string();
        let join_as = Join {
            node: data_dir.node(),
            name: name.clone(),
            address: advertised,
            cluster_name,
            labels: config.node.labels.clone(),
        };
        let setup = Setup {
            settings: Settings {
                node: data_dir.node(),
                incarnation: data_dir.incarnation(),
                join: join_as,
                seed: data_dir.start(),
                replace_after,
                limits: Limits { node_bytes_max: config.node.memory, ..Limits::default() },
                versions: Versions::OWN,
                has_seeds: seeds_of(&config, &join).iter().any(|seed| seed.to_string() != own_seed),
                scheduler: 0,
                zones: timezones::zones(),
                follows_wall: clock.is_moved(),
                // Each scheduler has its own.
                cold: None,
            },
            identity: Identity::new(
                data_dir.node(),
                data_dir.incarnation(),
                data_dir.start(),
                advertised,
            ),
            store: data_dir.store_path(),
            sizes: Sizes::of(config.node.disk_log),
            disk_reserve: config.node.disk_reserve,
            runner: Runner::of(host, ledger),
            clock: clock.clone(),
            stop_patience: std::time::Duration::from_micros(config.node.stop_patience.as_micros()),
            handles: handles.clone(),
        };
        route(inbox, &handles);
        let stored_in = setup.store.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let me = data_dir.node();
        let node = Node::start(setup, name, tls_dir, address, data_dir, runtime)?;
        let (data, reserve) = (stored_in, config.node.disk_reserve);
        let watch = Watch { clock: clock.clone(), data, reserve, handles: handles.clone() };
        handles.spawn(watch.run());
        let reloader = Reloader {
            file,
            config: as_read,
            handlers,
            own_pools,
            labels: config.node.labels.clone(),
            handles: handles.clone(),
            client: node.client(),
            withheld,
            requests: reload_requests,
        };
        handles.spawn(reloader.run());
        form(&config, me, join, known, clock, handles);
        Ok(node)
    }
}

/// Tells what in the file may not do what was meant, now that it is known what this program can run.
fn warn_of(config: &Config, registry: &Registry) {
    let Some(warnings) = &config.warnings else { return };
    let mut lines = warnings.lines(|task| registry.get(task).is_some());
    for line in lines.by_ref().take(WARNINGS_MAX) {
        warn!("{line}");
    }
    let rest = lines.count();
    if rest > 0 {
        warn!("{rest} more warnings: see `umbel config check {}`", warnings.file());
    }
}

/// Looks for a cluster, unless this node has one.
fn form(
    config: &Config,
    me: NodeId,
    join: Vec<HostPort>,
    known: Option<ClusterId>,
    clock: Clock,
    handles: Handles,
) {
    let may_found = join.is_empty();
    let seeds = seeds_of(config, &join).to_vec();
    let found = Found {
        cluster: draw_cluster_id(),
        partitions: config.cluster.partitions,
        replicas: config.cluster.replicas,
        founders: 1,
    };
    let spawner = handles.clone();
    if known.is_none() {
        let former = Former { me, seeds, may_found, found, clock, handles };
        spawner.spawn(former.run());
        return;
    }
    // A member finds the others by what it knows of them; a seed is one more way if all have moved.
    spawner.spawn(seek(seeds, handles));
}

/// The nodes to ask first.
fn seeds_of<'a>(config: &'a Config, join: &'a [HostPort]) -> &'a [HostPort] {
    if join.is_empty() { &config.cluster.seeds } else { join }
}

/// Where the certificates are: a cluster of one host makes its own. Nodes that keep their data in
/// one place share them there; one whose data lies `apart` has a copy of its own.
fn tls_dir(config: &Config, apart: Option<&Path>) -> Result<PathBuf, StartError> {
    if let Some(dir) = &config.tls.dir {
        return Ok(dir.clone());
    }
    let Some(apart) = apart else {
        let dir = config.node.data.join("tls");
        ensure_local(&dir)?;
        return Ok(dir);
    };
    let dir = apart.join("tls");
    match private_directory() {
        Ok(common) => share_local(&dir, &common.join("tls"))?,
        Err(why) => {
            warn!(%why, "this node has certificates that no other node of this host shares");
            ensure_local(&dir)?;
        }
    }
    Ok(dir)
}

/// The node's own certificate, or the one that all nodes of this host share.
fn node_certificate(config: &Config, dir: &Path, name: &str) -> Result<TlsFiles, StartError> {
    let exists = |name: &str| dir.join(format!("{name}.pem")).exists();
    let is_shared = config.tls.dir.is_none() || (!exists(name) && exists(SHARED_NAME));
    let own = if is_shared { SHARED_NAME } else { name };
    Ok(TlsFiles::load(dir, Role::Node, Some(own))?)
}

/// The address that others use.
async fn advertise(
    config: &Config,
    name: &str,
    bound: SocketAddr,
) -> Result<SocketAddr, StartError> {
    let address = config.node.advertised(name, bound).map_err(StartError::Advertise)?;
    resolve(&address).await.map_err(|why| StartError::AdvertiseUnknown { address, why })
}

/// The name of this host, as far as a node may be called that.
fn host_name() -> String {
    node_name(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
}

fn node_name(host: &str) -> String {
    let name = host.trim().to_ascii_lowercase();
    if ca::check_name(&name).is_ok() { name } else { "node".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::State;

    #[test]
    fn a_node_is_called_as_its_host_if_that_will_do() {
        assert_eq!(node_name("Web-1.example.net\n"), "web-1.example.net");
        assert_eq!(node_name("(none)"), "node");
        assert_eq!(node_name(""), "node");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_lacks_what_a_task_takes_does_not_start() {
        let bill = |prices: State<Vec<u64>>, n: usize| async move {
            prices.get(n).copied().ok_or("no such thing")
        };
        let started = Node::builder().register("bill", bill).start().await.map(drop);
        let Err(StartError::NotGiven(why)) = started else { panic!("{started:?}") };
        assert_eq!(
            why.to_string(),
            "task \"bill\" takes State<alloc::vec::Vec<u64>>, which this node was not given: \
             call `.state(...)` on its builder"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn names_that_lead_elsewhere_are_refused() {
        let long = "a".repeat(64);
        for name in ["", "../x", "a/b", "a\u{1b}[31mb", "ca", "A", long.as_str()] {
            let started = Node::builder().name(name).start().await.map(drop);
            assert!(matches!(started, Err(StartError::Name { .. })), "{name:?}");
        }
    }
}
