//! What time it is, by the clocks of all who vote, and whether this node's own can be believed.
//!
//! **The rule.** There are two answers, which are the same unless a wall clock has stepped not long ago:
//!
//! - *Time* ([`Scheduler::partition_time`]) is for what waits: delays, pauses between attempts, rates, deadlines,
//!   intervals. It goes on as time passes. If a clock steps by more than a second, time goes on from before
//!   and is [`Carried`] towards what the clock shows, a tenth faster or slower. It takes over what the clock
//!   shows at once where a majority of the other members agree with that, as they know better; at the start
//!   of a node, which remembers nothing; and where the clock steps ahead by more than a day: that was wrong
//!   before, as one that began in 1970.
//! - *What clocks show* ([`Scheduler::shown_time`]) is for what people name by a time of day: ticks of cron
//!   jobs, tasks that start at a time, and when ids say that they were made. It steps with the clock, as
//!   whoever sets a clock wants.
//!
//! Both follow the others where a majority of the members agree and this node's own clock is wild, and
//! neither goes further than the median of the voters' clocks.
//!
//! What is in the log of a partition never goes back. After a start that is all that is remembered: where it
//! is ahead of all clocks, as they were set back before, time goes on from there.

mod carried;

use std::collections::BTreeMap;

use self::carried::Carried;
use super::replica::Replica;
use super::{Now, Scheduler};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::partition::Partition;
use crate::sabotage::{self, Defect};
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
    /// What clocks showed last: the own one, or those of the others if that is wild.
    shown: Option<Now>,
    /// How time goes on since that has stepped, until it is the same again.
    carried: Option<Carried>,
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
    /// set an hour back would else refuse what is submitted as made in the future.
    pub(super) fn take_time(&mut self, now: Now) {
        let seemed = self.clocks.own.map(|own| own.run_on(now.tick));
        let jumped = seemed.is_some_and(|seemed| apart(seemed, now.wall) > JUMP_SEEN);
        self.clocks.own = Some(now);
        if jumped || self.clocks.is_doubted {
            self.clocks.is_doubted = false;
            self.judge_own(now);
        }
        let wall = self.clocks.agreed.map_or(now.wall, |agreed| agreed.run_on(now.tick));
        let shown = Now { wall, ..now };
        self.clocks.shown = Some(shown);
        let carried = self.clocks.carried.and_then(|carried| carried.at(shown));
        self.clocks.carried = self.clocks.carried.filter(|_| carried.is_some());
        self.now = Now { wall: carried.unwrap_or(wall), ..now };
    }

    /// Finds out whether the own clock, which shows `now`, is to be believed, and whether time goes on from
    /// what it was before or is what clocks show.
    fn judge_own(&mut self, now: Now) {
        let agreed = self.agreed_by_others(now);
        let is_wild = |(first, last)| now.wall + CLOSE < last || first + CLOSE < now.wall;
        let theirs = agreed.filter(|agreed| is_wild(*agreed)).map(|(first, _)| first);
        self.clocks.agreed = theirs.map(|wall| Now { wall, ..now });
        let wall = theirs.unwrap_or(now.wall);
        let Some(before) = self.clocks.shown.map(|shown| shown.run_on(now.tick)) else {
            return;
        };
        // What time it is if clocks have gone on as before.
        let seemed = Now { wall: before, ..now };
        let time = self.clocks.carried.and_then(|carried| carried.at(seemed)).unwrap_or(before);
        let is_told = agreed.is_some_and(|(first, _)| apart(wall, first) <= apart(time, first));
        let was_wrong = wall.since(time) > STEP_AHEAD_MAX;
        if is_told || was_wrong || self.settings.follows_wall || sabotage::has(Defect::FollowSteps)
        {
            self.clocks.carried = None;
        } else if apart(before, wall) > JUMP_SEEN {
            self.clocks.carried = Some(Carried::from(Now { wall: time, ..now }));
        }
    }

    /// The time in the log of a group that is owned here from now on is ahead of all clocks: they were set
    /// back while it was carried on, and nobody here remembers that. It goes on from there.
    pub(super) fn go_on_from(&mut self, floor: Wall) {
        let now = self.now;
        let is_behind = |wall: Wall| wall + JUMP_SEEN < floor;
        let mut others = self.members().filter_map(|node| self.clocks.estimate(node, now));
        let are_behind = is_behind(now.wall) && others.all(is_behind);
        drop(others);
        if are_behind && self.agreed_by_others(now).is_none() && !self.settings.follows_wall {
            let from = Now { wall: floor, ..now };
            self.clocks.carried = Some(Carried::from(from));
            self.now = from;
        }
    }

    /// The first and the last of what the clocks of a majority of the members show that are close to each
    /// other, without this node's own.
    fn agreed_by_others(&self, now: Now) -> Option<(Wall, Wall)> {
        let members = self.meta.as_ref()?.members.len();
        let majority = members / 2 + 1;
        let others = self.members().filter(|node| *node != self.node());
        let mut clocks: Vec<Wall> =
            others.filter_map(|node| self.clocks.estimate(node, now)).collect();
        clocks.sort_unstable();
        clocks.windows(majority).find_map(|clocks| match clocks {
            [first, .., last] if apart(*first, *last) <= CLOSE => Some((*first, *last)),
            _ => None,
        })
    }

    /// Whether time is not what clocks show.
    pub(super) const fn is_carried(&self) -> bool {
        self.clocks.carried.is_some()
    }

    /// The later of what time it is and what clocks show: whatever may be due by either.
    pub(super) fn latest(&self) -> Now {
        let shown = self.clocks.shown.map_or(Wall::EPOCH, |shown| shown.wall);
        Now { wall: self.now.wall.max(shown), ..self.now }
    }

    /// What clocks show, in `group`, as [`partition_time`](Self::partition_time) is the time there. Members that
    /// cannot say so in their logs yet go by the time alone.
    pub(super) fn shown_time(&self, group: GroupId) -> Wall {
        let is_said = self.meta.as_ref().is_some_and(|meta| meta.spoken >= SHOWN_SINCE);
        let shown = self.clocks.shown.filter(|_| is_said).unwrap_or(self.now);
        self.time_by(shown.wall, group)
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
        self.time_by(self.now.wall, group)
    }

    /// What time it is in `group` if it is `own` by the clock of this node.
    fn time_by(&self, own: Wall, group: GroupId) -> Wall {
        let Some(replica) = self.replicas.get(&group) else {
            return own;
        };
        let passed = replica
            .owner
            .as_ref()
            .and_then(|owner| owner.sure_of)
            .map(|at| at.run_on(self.now.tick));
        let latest = match self.median(replica, own) {
            Some(median) => Some(median).max(passed),
            None => passed.map(|passed| passed + JUMP_MAX),
        };
        latest.map_or(own, |latest| own.min(latest))
    }

    /// What time it is in a partition that is owned here, and what clocks show there.
    pub(super) fn times_of(&self, partition: &Partition) -> (Wall, Wall) {
        let group = GroupId::of(partition.id());
        let now = partition.now().max(self.partition_time(group));
        let shown = if self.is_carried() { self.shown_time(group) } else { now };
        (now, shown)
    }

    /// Whether it can be told what time it is in `group`. Not by an owner that has heard of too few other
    /// clocks since it started, in a group that has had no entry for long: it led before so many voted,
    /// and can commit nothing before it hears of them.
    pub(super) fn can_tell_time(&self, group: GroupId) -> bool {
        let replica = self.replicas.get(&group).filter(|_| group != GroupId::META);
        replica.is_none_or(|replica| {
            self.partition_time(group) == self.now.wall
                || self.median(replica, self.now.wall).is_some()
        })
    }

    /// Notes the time in a group that is owned here, if it can be told.
    pub(super) fn note_time(&mut self, group: GroupId) {
        let now = self.now;
        let Some(replica) = self.replicas.get(&group).filter(|replica| replica.is_settled()) else {
            return;
        };
        let Some(median) = self.median(replica, now.wall) else {
            return;
        };
        let wall = now.wall.min(median);
        let before = replica.owner.as_ref().and_then(|owner| owner.sure_of);
        if before.is_none_or(|before| before.run_on(now.tick) < wall)
            && let Some(owner) = self.replicas.get_mut(&group).and_then(Replica::settled)
        {
            owner.sure_of = Some(Now { tick: now.tick, wall });
        }
    }

    /// The median of the clocks of those who vote. While two configurations hold, of those of one that
    /// can be told: whoever has led since before the second came has heard a majority of the first only.
    fn median(&self, replica: &Replica, own: Wall) -> Option<Wall> {
        self.median_of(replica, own, |copy| replica.group.votes(copy)).or_else(|| {
            let copies = replica.group.copies();
            let of =
                |voters: &[ReplicaId]| self.median_of(replica, own, |copy| voters.contains(&copy));
            of(&copies.voters_outgoing).or_else(|| of(&copies.voters))
        })
    }

    /// The median of the voters' clocks, the earlier of two, if those of a majority are known; earlier
    /// still if so few are known that a minority of all could be later than that.
    fn median_of(
        &self,
        replica: &Replica,
        own: Wall,
        votes: impl Fn(ReplicaId) -> bool,
    ) -> Option<Wall> {
        let clock = |node: NodeId| match node {
            node if node == self.node() => Some(own),
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
}

impl Now {
    /// What a clock that showed this shows at `tick`.
    fn run_on(self, tick: Tick) -> Wall {
        self.wall + tick.since(self.tick)
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
/// The first version in which a log can say what clocks show.
const SHOWN_SINCE: u16 = 3;
/// A clock that steps further ahead was wrong before: caught up with at a tenth, all that is to happen at some
/// time would come late for weeks. Back there is no such limit: else all that waits would stand still.
const STEP_AHEAD_MAX: Span = Span::from_millis(24 * 3_600_000);
/// How far the owner's clock may be ahead of the time that has passed while no majority of the
/// voters' clocks is known.
const JUMP_MAX: Span = Span::from_millis(60_000);
