//! What time it is, by the clocks of all who vote, and whether this node's own can be believed.

use std::collections::BTreeMap;

use super::replica::Replica;
use super::{Now, Scheduler};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::time::{Span, Tick, Wall};

/// What other nodes said their wall clocks show, and when. Kept against the monotonic clock: if
/// this node's own wall clock jumps, theirs must not seem to jump with it.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    pub(super) heard: BTreeMap<NodeId, (Wall, Tick)>,
    /// Clocks that were behind what they should have shown, and when that was first read.
    behind: BTreeMap<NodeId, (Wall, Tick)>,
    /// What this node's own clock showed last.
    own: Option<Now>,
    /// Whether the own clock is to be judged anew: it has jumped, or there is more to compare it with.
    is_doubted: bool,
    /// What the others agreed on when the own clock was last found to be wild.
    agreed: Option<Now>,
}

impl Clocks {
    /// A message of `node` left it when its clock showed that.
    ///
    /// One that is behind what was known may have been set; or its message is old, and was read late by
    /// a process that stood still. Of the latter many come at once, and what comes after them is as it
    /// was before: so it is believed when a later one agrees.
    pub(super) fn heard(&mut self, node: NodeId, clock: Wall, at: Tick) {
        let shown = |(clock, read_at): &(Wall, Tick)| *clock + at.since(*read_at);
        let is_late = self.heard.get(&node).is_some_and(|known| clock + LATE < shown(known));
        if is_late {
            let before =
                self.behind.get(&node).filter(|before| apart(shown(before), clock) <= LATE);
            match before {
                Some((_, first)) if at.since(*first) >= BELIEVED_AFTER => {}
                Some(_) => return,
                None => {
                    self.behind.insert(node, (clock, at));
                    return;
                }
            }
        }
        self.behind.remove(&node);
        self.is_doubted |= self.heard.insert(node, (clock, at)).is_none();
    }

    /// The own clock is to be compared with those of the others.
    pub(super) const fn doubt(&mut self) {
        self.is_doubted = true;
    }

    fn estimate(&self, node: NodeId, now: Now) -> Option<Wall> {
        self.heard.get(&node).map(|(clock, at)| *clock + now.tick.since(*at))
    }
}

impl Scheduler {
    /// Takes over what time it is. Where the clocks of a majority of the members agree with each other
    /// and not with this node's own, theirs is the time here, too: an owner whose clock somebody has
    /// set an hour back would else refuse what is submitted as made in the future, and try nothing
    /// again for an hour.
    pub(super) fn take_time(&mut self, now: Now) {
        let seemed = self.clocks.own.map(|own| own.wall + now.tick.since(own.tick));
        let jumped = seemed.is_some_and(|seemed| apart(seemed, now.wall) > JUMP_SEEN);
        self.clocks.own = Some(now);
        if jumped || self.clocks.is_doubted {
            self.clocks.is_doubted = false;
            self.clocks.agreed = self.agreed_without(now).map(|wall| Now { wall, ..now });
        }
        let agreed = self.clocks.agreed.map(|at| at.wall + now.tick.since(at.tick));
        self.now = Now { wall: agreed.unwrap_or(now.wall), ..now };
    }

    /// What the clocks of a majority of the members show that are close to each other, if this node's
    /// own is not.
    fn agreed_without(&self, now: Now) -> Option<Wall> {
        let members = self.meta.as_ref()?.members.len();
        let majority = members / 2 + 1;
        let others = self.members().filter(|node| *node != self.node());
        let mut clocks: Vec<Wall> =
            others.filter_map(|node| self.clocks.estimate(node, now)).collect();
        clocks.sort_unstable();
        let close = clocks.windows(majority).find_map(|clocks| match clocks {
            [first, .., last] if apart(*first, *last) <= CLOSE => Some((*first, *last)),
            _ => None,
        });
        let (first, last) = close?;
        let is_wild = now.wall + CLOSE < last || first + CLOSE < now.wall;
        is_wild.then_some(first)
    }

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

    /// Whether it can be told what time it is in `group`. Not by an owner that has heard of too few other
    /// clocks since it started, in a group that has had no entry for long: it led before so many voted,
    /// and can commit nothing before it hears of them.
    pub(super) fn can_tell_time(&self, group: GroupId) -> bool {
        let replica = self.replicas.get(&group).filter(|_| group != GroupId::META);
        replica.is_none_or(|replica| {
            self.partition_time(group) == self.now.wall || self.median(replica).is_some()
        })
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

    /// The median of the clocks of those who vote. While two configurations hold, of those of one that
    /// can be told: whoever has led since before the second came has heard a majority of the first only.
    fn median(&self, replica: &Replica) -> Option<Wall> {
        self.median_of(replica, |copy| replica.group.votes(copy)).or_else(|| {
            let copies = replica.group.copies();
            let of = |voters: &[ReplicaId]| self.median_of(replica, |copy| voters.contains(&copy));
            of(&copies.voters_outgoing).or_else(|| of(&copies.voters))
        })
    }

    /// The median of the voters' clocks, the earlier of two, if those of a majority are known; earlier
    /// still if so few are known that a minority of all could be later than that.
    fn median_of(&self, replica: &Replica, votes: impl Fn(ReplicaId) -> bool) -> Option<Wall> {
        let clock = |node: NodeId| match node {
            node if node == self.node() => Some(self.now.wall),
            node => self.clocks.estimate(node, self.now),
        };
        let mut voters: usize = 0;
        let mut clocks: Vec<Wall> = (replica.group.roster().iter())
            .filter(|(copy, _)| votes(*copy))
            .inspect(|_| voters += 1)
            .filter_map(|(_, node)| clock(node))
            .collect();
        clocks.sort_unstable();
        let minority = voters.saturating_sub(1) / 2;
        let last = clocks.len().checked_sub(1)?;
        let middle = (last / 2).min(last.saturating_sub(minority));
        clocks.get(middle).copied().filter(|_| clocks.len() > voters / 2)
    }

    /// What was `at` shows by now.
    fn run_on(&self, at: Now) -> Wall {
        at.wall + self.now.tick.since(at.tick)
    }
}

fn apart(one: Wall, other: Wall) -> Span {
    one.since(other).max(other.since(one))
}

/// Clocks that are closer to each other agree: less than what an id may be ahead of the time.
const CLOSE: Span = Span::from_millis(30_000);
/// A message that is so old was read late, or the clock of its node was set back.
const LATE: Span = Span::from_millis(2_000);
/// So long after a clock was first seen to be behind another message tells whether it is.
const BELIEVED_AFTER: Span = Span::from_millis(1_000);
/// A clock that goes so far in no time has been set.
const JUMP_SEEN: Span = Span::from_millis(1_000);
/// How far the owner's clock may be ahead of the time that has passed while no majority of the
/// voters' clocks is known.
const JUMP_MAX: Span = Span::from_millis(60_000);
