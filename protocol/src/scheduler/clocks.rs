//! What time it is, by the clocks of all who vote.

use std::collections::BTreeMap;

use super::{Now, Scheduler};
use crate::id::{GroupId, NodeId};
use crate::time::{Tick, Wall};

/// What other nodes said their wall clocks show, and when. Kept against the monotonic clock: if
/// this node's own wall clock jumps, theirs must not seem to jump with it.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    heard: BTreeMap<NodeId, (Wall, Tick)>,
}

impl Clocks {
    pub(super) fn heard(&mut self, node: NodeId, clock: Wall, at: Tick) {
        self.heard.insert(node, (clock, at));
    }

    fn estimate(&self, node: NodeId, now: Now) -> Option<Wall> {
        self.heard.get(&node).map(|(clock, at)| *clock + now.tick.since(*at))
    }
}

impl Scheduler {
    /// The time to propose in `group`: the owner's clock, but no later than the median of the
    /// voters'. One clock that runs ahead must not fire what is due in a year; one that runs behind
    /// only delays.
    pub(super) fn partition_time(&self, group: GroupId) -> Wall {
        let own = self.now.wall;
        let Some(replica) = self.replicas.get(&group) else {
            return own;
        };
        let mut clocks: Vec<Wall> = (replica.group.roster().iter())
            .map(|(_, node)| {
                if node == self.node() {
                    own
                } else {
                    self.clocks.estimate(node, self.now).unwrap_or(own)
                }
            })
            .collect();
        clocks.sort_unstable();
        let median = clocks.get(clocks.len().saturating_sub(1) / 2).copied().unwrap_or(own);
        own.min(median)
    }
}
