//! A cluster of real nodes inside of a test.

mod builder;
mod error;
mod faults;
mod member;
mod ready;

use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

pub use self::builder::ClusterBuilder;
pub use self::error::ClusterError;
use self::member::{Member, Plan};
use super::clock::Clock;
use crate::client::Client;
use crate::node::Node;

/// How long nodes may take for what takes them a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Some nodes in this process, that know each other and nobody else: on loopback, with real disks and
/// real connections. All they keep is in a directory that goes with this.
///
/// Nodes are named by their place, from zero. They can be lost and come back, be cut from each other, and
/// have a [clock](Self::clock) of their own.
///
/// ```standalone_crate
/// use umbel::testing::Cluster;
///
/// # #[umbel::task]
/// # async fn add(a: u64, b: u64) -> Result<u64, String> { Ok(a + b) }
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = Cluster::builder().nodes(3).start().await?;
/// let client = cluster.client();
/// cluster.crash(0).await;
/// assert_eq!(add::run(&client, 1, 2).await?, 3);
/// cluster.restart(0).await?;
/// cluster.stop().await;
/// # Ok(()) }
/// ```
///
/// # Panics
/// Methods that are given a place panic if there is none, or if what they are about does not run.
#[must_use = "the nodes are gone when this is dropped"]
pub struct Cluster {
    members: Vec<Member>,
    plan: Plan,
    client: Client,
    ahead: watch::Sender<Duration>,
    /// Pairs of places that are cut, the lower one first.
    cuts: BTreeSet<(usize, usize)>,
    /// There until all nodes are gone.
    dir: TempDir,
}

impl Cluster {
    /// Sets one up.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A client of all nodes, which finds another one when it loses that at hand.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The node at `place`.
    #[must_use]
    #[track_caller]
    pub fn node(&self, place: usize) -> &Node {
        self.check_runs(place);
        self.members[place].node.as_ref().expect("it runs")
    }

    /// How many there are, running or not.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the node at `place` runs.
    #[must_use]
    #[track_caller]
    pub fn runs(&self, place: usize) -> bool {
        self.member(place).node.is_some()
    }

    /// The clock of all nodes.
    #[must_use]
    pub const fn clock(&self) -> Clock<'_> {
        Clock::new(self)
    }

    /// Stops all nodes in order: runs come to their ends first, as far as they do so within two seconds.
    pub async fn stop(self) {
        let Self { members, dir, client, .. } = self;
        drop(client);
        let nodes = members.into_iter().filter_map(|member| member.node);
        futures_util::future::join_all(nodes.map(Node::stop)).await;
        drop(dir);
    }

    pub(super) const fn ahead(&self) -> &watch::Sender<Duration> {
        &self.ahead
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Node> {
        self.members.iter().filter_map(|member| member.node.as_ref())
    }

    #[track_caller]
    fn member(&self, place: usize) -> &Member {
        self.check_place(place);
        &self.members[place]
    }

    #[track_caller]
    fn check_place(&self, place: usize) {
        let count = self.members.len();
        assert!(place < count, "there is no node {place}: there are {count}, from 0");
    }

    #[track_caller]
    fn check_runs(&self, place: usize) {
        assert!(self.runs(place), "node {place} does not run: restart it");
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.running().map(Node::name).collect();
        f.debug_struct("Cluster")
            .field("running", &names)
            .field("cuts", &self.cuts)
            .field("ahead", &*self.ahead.borrow())
            .finish_non_exhaustive()
    }
}
