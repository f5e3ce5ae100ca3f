//! The clock of a test's cluster, which goes as all clocks do and is put forward by the test.
//!
//! What it shows is what people call the time: when tasks are due, are tried again, expire, and when
//! jobs fire. What it does not change is what nodes measure among themselves, as for how long one was
//! silent: else an hour would be one without any sign of life, and each would take the others for dead.

use std::time::{Duration, SystemTime};

use umbel_protocol::scheduler::Event;
use umbel_protocol::wire::Envelope;

use super::cluster::Cluster;
use crate::actors::Happened;
use crate::node::Node;

/// The clock that all nodes of a [`Cluster`] and its [client](Cluster::client) go by. It goes on by
/// itself, and [`advance`](Self::advance) puts it forward.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    cluster: &'a Cluster,
}

impl<'a> Clock<'a> {
    pub(super) const fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// What it shows.
    #[must_use]
    pub fn now(self) -> SystemTime {
        SystemTime::now() + self.advanced()
    }

    /// How far it is ahead of the system's clock.
    #[must_use]
    pub fn advanced(self) -> Duration {
        *self.cluster.ahead().borrow()
    }

    /// [Advances](Self::advance) to `at`: the next tick of a job, say. Does nothing if that has passed.
    pub async fn advance_to(self, at: SystemTime) {
        if let Ok(by) = at.duration_since(self.now()) {
            self.advance(by).await;
        }
    }

    /// Puts it forward. When this returns all nodes know: what is due by now is about to start, without
    /// further waiting. As on hosts whose clocks are put forward, nothing happens at the times between:
    /// of a job's ticks that were passed over its `misfire` decides, and who wants to see each advances
    /// from one to the next.
    ///
    /// Runs that go on have so much less of their time limits left. What a handler measures itself, with
    /// `tokio::time::sleep` say, is not changed. What is kept for so long is not kept any more: a result
    /// for an hour, say. All in all it goes no further than a century.
    pub async fn advance(self, by: Duration) {
        let by = by.min(CENTURY.saturating_sub(self.advanced()));
        let nodes: Vec<&Node> = self.cluster.running().collect();
        // Nobody believes a clock, be it its own, against those of most others. So each hears first what
        // those of the others show.
        for node in &nodes {
            let others = nodes.iter().filter(|other| other.id() != node.id());
            let heard = others.map(|other| {
                let transport = &other.handles().transport;
                let clock = transport.clock().wall() + span(by);
                let envelope = Envelope { clock, synced: transport.synced(), messages: Vec::new() };
                Event::Peer { from: other.id(), envelope }
            });
            tell(node, heard.collect()).await;
        }
        self.cluster.ahead().send_modify(|ahead| *ahead += by);
        for node in &nodes {
            tell(node, vec![Event::Due]).await;
        }
    }
}

/// So far a clock can be put forward: all that is reckoned with times goes well beyond.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Has the scheduler of `node` take `events`.
async fn tell(node: &Node, events: Vec<Event>) {
    let handles = node.handles();
    let told = handles.scheduler.send(Happened(events));
    // One that falls meanwhile reads its clock when it is built anew; a node that stops needs none.
    let _ = handles.stopping.run_until_cancelled(told).await;
}

fn span(duration: Duration) -> umbel_protocol::time::Span {
    crate::work::span(duration)
}
