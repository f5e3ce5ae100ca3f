//! What time it is, by the clocks of all who vote.

use std::collections::BTreeMap;

use super::replica::Replica;
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
    /// majority is not known time goes little further than it has surely passed since one was; and
    /// so far it goes in any case, so that a clock that stands, of the only other voter that is
    /// there, stops nobody.
    pub(super) fn partition_time(&self, group: GroupId) -> Wall {
        let own = self.now.wall;
        let Some(replica) = self.replicas.get(&group) else {
            return own;
        };
        let passed =
            replica.owner.as_ref().and_then(|owner| owner.sure_of).map(|at| self.run_on(at));
        let latest = match self.median(replica) {
            Some(median) => Some(median).max(passed),
            None => passed.map(|passed| passed + JUMP_MAX),
        };
        latest.map_or(own, |latest| own.min(latest))
    }

    /// Notes the time in a group that is owned here, if it can be told.
    pub(super) fn note_time(&mut self, group: GroupId) {
        let now = self.now;
        let Some(replica) = self.replicas.get(&group).filter(|replica| replica.is_settled()) else {
            return;
        };
        let Some(median) = self.median(replica) else {
            return;
        };
        let wall = now.wall.min(median);
        let before = replica.owner.as_ref().and_then(|owner| owner.sure_of);
        if before.is_none_or(|before| self.run_on(before) < wall)
            && let Some(owner) = self.replicas.get_mut(&group).and_then(Replica::settled)
        {
            owner.sure_of = Some(Now { tick: now.tick, wall });
        }
    }

    /// The median of the voters' clocks, the earlier of two, if those of a majority are known.
    fn median(&self, replica: &Replica) -> Option<Wall> {
        let clock = |node: NodeId| match node {
            node if node == self.node() => Some(self.now.wall),
            node => self.clocks.estimate(node, self.now),
        };
        let mut voters = 0;
        let mut clocks: Vec<Wall> = (replica.group.roster().iter())
            .filter(|(copy, _)| replica.group.votes(*copy))
            .inspect(|_| voters += 1)
            .filter_map(|(_, node)| clock(node))
            .collect();
        clocks.sort_unstable();
        let middle = clocks.len().saturating_sub(1) / 2;
        clocks.get(middle).copied().filter(|_| clocks.len() > voters / 2)
    }

    /// What was `at` shows by now.
    fn run_on(&self, at: Now) -> Wall {
        at.wall + self.now.tick.since(at.tick)
    }
}

/// How far the owner's clock may be ahead of the time that has passed while no majority of the
/// voters' clocks is known.
const JUMP_MAX: Span = Span::from_millis(60_000);
