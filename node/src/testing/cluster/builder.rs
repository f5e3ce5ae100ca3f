//! Setting a test's cluster up.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use tokio::sync::watch;

use super::member::{Member, Plan, SetUp};
use super::{Cluster, ClusterError, ready};
use crate::client::Client;
use crate::clock;
use crate::config::{Config, HostPort};
use crate::node::NodeBuilder;

/// As many nodes as one process can bear for a test: each has some threads of its own.
pub(super) const NODES_MAX: usize = 16;
/// Of a cluster whose configuration does not say: fewer groups than in production are formed sooner.
const PARTITIONS: u16 = 8;

/// Sets a [`Cluster`] up; made by [`Cluster::builder`]. Without any setting it is one node, with all
/// tasks that `#[umbel::task]` declares in this program.
///
/// ```standalone_crate
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use umbel::testing::Cluster;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sum = Arc::new(AtomicU64::new(0));
/// let shared = Arc::clone(&sum);
/// let cluster = Cluster::builder()
///     .each(move |_, node| {
///         let sum = Arc::clone(&shared);
///         node.register("add", move |n: u64| {
///             let before = sum.fetch_add(n, Ordering::SeqCst);
///             async move { Ok::<_, String>(before + n) }
///         })
///     })
///     .start()
///     .await?;
/// # cluster.stop().await;
/// # Ok(()) }
/// ```
#[must_use = "nothing is started before `start`"]
pub struct ClusterBuilder {
    nodes: usize,
    config: Option<Config>,
    set_up: SetUp,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self { nodes: 1, config: None, set_up: Box::new(|_, node| node) }
    }
}

impl ClusterBuilder {
    /// How many nodes, 1 to 16; one unless said. Tasks have three copies where there are so many.
    pub const fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// What a `cluster.toml` says of tasks, queues, jobs and slots: that of production, say. What it says
    /// of addresses, seeds, data and certificates does not count here. There are 8 partitions unless one
    /// is given.
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// What each node is given besides: states, middleware, tasks. As in production a node needs the states
    /// of all tasks that this program declares, and does not start without. It is told its place, and is called
    /// again whenever a node is restarted. Given twice, the second is called after the first.
    pub fn each(
        mut self,
        set_up: impl Fn(usize, NodeBuilder) -> NodeBuilder + Send + Sync + 'static,
    ) -> Self {
        let before = self.set_up;
        self.set_up = Box::new(move |place, node| set_up(place, before(place, node)));
        self
    }

    /// Starts all nodes, and waits until they share the work: all copies of all partitions are where they
    /// belong. Needs a runtime of several threads, as nodes do: `#[tokio::test(flavor = "multi_thread")]`.
    ///
    /// # Errors
    /// When a node cannot be started, or they do not find together within a minute. Nothing is left
    /// running.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let Self { nodes, config, set_up } = self;
        if !(1..=NODES_MAX).contains(&nodes) {
            return Err(ClusterError::Nodes { nodes });
        }
        let dir = tempfile::tempdir().map_err(|source| ClusterError::Room { place: 0, source })?;
        // Addresses that the system has given and nobody else is given meanwhile.
        let mut members = Vec::new();
        for place in 0..nodes {
            let held = UdpSocket::bind(("127.0.0.1", 0));
            let member = held.and_then(Member::at);
            members.push(member.map_err(|source| ClusterError::Room { place, source })?);
        }
        let mut config = config.unwrap_or_else(|| {
            let mut config = Config::default();
            config.cluster.partitions = PARTITIONS;
            config
        });
        let address = |member: &Member| member.address.to_string();
        let seeds = members.iter().map(|member| {
            address(member).parse::<HostPort>().expect("an address is written as one")
        });
        let seeds = seeds.collect();
        config.make_local(seeds, dir.path().to_owned());
        let (ahead, goes_by) = watch::channel(Duration::ZERO);
        let plan = Plan { config, set_up, ahead: goes_by.clone() };
        for (place, member) in members.iter_mut().enumerate() {
            member.start(place, &plan).await?;
        }
        let running = || members.iter().filter_map(|member| member.node.as_ref());
        ready::all_joined(running().enumerate()).await?;
        ready::work_is_shared(running()).await?;
        let client = client(&members, goes_by).await?;
        Ok(Cluster { members, plan, client, ahead, cuts: BTreeSet::new(), dir })
    }
}

/// A client of all nodes, which goes by their clock.
async fn client(
    members: &[Member],
    ahead: watch::Receiver<Duration>,
) -> Result<Client, ClusterError> {
    let mut client = Client::builder().clock(clock::Clock::start().ahead_by(ahead));
    for member in members {
        client = client.address(member.address.to_string());
        if let Some(node) = &member.node {
            client = client.tls(node.tls_dir());
        }
    }
    Ok(client.connect().await?)
}

impl std::fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterBuilder")
            .field("nodes", &self.nodes)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
