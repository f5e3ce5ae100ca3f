//! What time it is, by the clocks of all who vote.

use std::collections::BTreeMap;

use super::{Now, Scheduler};
use crate::id::{GroupId, NodeId};
use crate::time::{Span, Tick, Wall};

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
    ///
    /// A voter that was not heard of has no say, and neither has one that only learns. While a
    /// majority is not known time goes no further than it has surely passed since this node became
    /// the owner, and so far it goes in any case: then even a clock that stands, of the only other
    /// voter that is there, stops nobody.
    pub(super) fn partition_time(&self, group: GroupId) -> Wall {
        let own = self.now.wall;
        let Some(replica) = self.replicas.get(&group) else {
            return own;
        };
        let clock = |node: NodeId| {
            if node == self.node() { Some(own) } else { self.clocks.estimate(node, self.now) }
        };
        let mut voters = 0;
        let mut clocks: Vec<Wall> = (replica.group.roster().iter())
            .filter(|(copy, _)| replica.group.votes(*copy))
            .inspect(|_| voters += 1)
            .filter_map(|(_, node)| clock(node))
            .collect();
        clocks.sort_unstable();
        let median = clocks.get(clocks.len().saturating_sub(1) / 2).copied();
        let passed = replica.owner.as_ref().and_then(|owner| owner.settled_at).map(|at| {
            let Now { tick, wall } = at;
            wall + self.now.tick.since(tick)
        });
        let latest = match (median, passed) {
            (Some(median), passed) if clocks.len() > voters / 2 => Some(median).max(passed),
            (_, Some(passed)) => Some(passed + JUMP_MAX),
            (_, None) => None,
        };
        latest.map_or(own, |latest| own.min(latest))
    }
}

/// How far the owner's clock may be ahead of the time that has passed while no majority of the
/// voters' clocks is known.
const JUMP_MAX: Span = Span::from_millis(60_000);
