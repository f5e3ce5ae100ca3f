//! One node of a test's cluster, or the place of one that is gone.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{ClusterError, PATIENCE};
use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::DataDirError;
use crate::node::{Node, NodeBuilder, StartError};

/// How often it is tried to take over a directory that a node is just leaving.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a node hands over what it has when it is stopped: some tests have runs that never end.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What is done to each node before it starts.
pub(super) type SetUp = Box<dyn Fn(usize, NodeBuilder) -> NodeBuilder + Send + Sync>;

/// How nodes are started, the first time and again.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) set_up: SetUp,
    pub(super) ahead: watch::Receiver<Duration>,
}

/// One node, or its place.
pub(super) struct Member {
    pub(super) address: SocketAddr,
    pub(super) node: Option<Node>,
    /// Keeps the address for it while it does not run. Nobody answers there, as on a host that is down.
    held: Option<UdpSocket>,
}

impl Member {
    /// One that is to listen where `held` does.
    pub(super) fn at(held: UdpSocket) -> std::io::Result<Self> {
        Ok(Self { address: held.local_addr()?, node: None, held: Some(held) })
    }

    /// Starts it, with the data that it had before.
    pub(super) async fn start(&mut self, place: usize, plan: &Plan) -> Result<(), ClusterError> {
        self.held = None;
        let give_up = Instant::now() + PATIENCE;
        loop {
            let clock = Clock::start().ahead_by(plan.ahead.clone());
            let node = Node::builder()
                .config(plan.config.clone())
                .name(format!("node-{place}"))
                .listen(self.address)
                .stop_patience(STOP_PATIENCE)
                .clock(clock);
            match (plan.set_up)(place, node).start().await {
                Ok(node) => {
                    self.node = Some(node);
                    return Ok(());
                }
                // The one that was there before is not quite gone.
                Err(StartError::DataDir(DataDirError::InUse { .. }))
                    if Instant::now() < give_up =>
                {
                    sleep(LOOK_EVERY).await;
                }
                Err(source) => return Err(ClusterError::Start { place, source }),
            }
        }
    }

    /// Ends it without a word to anybody; nothing happens if it does not run.
    pub(super) async fn crash(&mut self) {
        if let Some(node) = self.node.take() {
            node.crash().await;
        }
        self.hold();
    }

    /// Stops it in order; nothing happens if it does not run.
    pub(super) async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
        self.hold();
    }

    fn hold(&mut self) {
        // If somebody else has it already its next start says so.
        self.held = self.held.take().or_else(|| UdpSocket::bind(self.address).ok());
    }
}
