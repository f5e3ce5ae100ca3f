//! The home of a limit: what each owner was given of it.
//!
//! Nothing of it is written down. A new home begins with what owners tell it that they hold, and gives out
//! nothing more until all that the one before may have given is void.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::VALID;
use crate::id::{NodeId, PartitionId};
use crate::meta::{Rule, Subject};
use crate::sabotage::{self, Defect};
use crate::task::Steady;
use crate::time::{Span, Tick, Wall};
use crate::wire::{AskPermits, Permits as Given};

/// What an owner was given is void by then for it as well, whatever its clock does: it counts from when it
/// asked, and the home from when it answered.
const VOID: Span = Span::from_millis(VALID.as_millis() + VALID.as_millis() / 4);
/// What an owner holds that is not heard of is counted for so long: by then others know of its runs.
const REMEMBERED: Span = Span::from_millis(10_000);
/// An owner that waits asks again after so long, if nothing happens.
const AGAIN: Span = Span::from_millis(100);
/// The same of one that waits for a slow rate.
const AGAIN_MAX: Span = Span::from_millis(500);
/// One that waits for a rate asks no sooner than that: a tenth of a second may begin at once, so nothing of
/// the rate is lost.
const AGAIN_MIN: Span = Span::from_millis(20);
/// So long a new home of a slow rate waits at most for starts that the one before may have given: of a rate of a
/// few a day one more may begin whenever its home moves.
const STARTS_AWAITED: Span = Span::from_millis(60_000);
/// An owner that has not asked for so long does not wait any more.
const WAITS: Span = Span::from_millis(700);

/// The partition, of so many, whose owner is the home of `subject`.
pub(in crate::scheduler) fn partition_of(subject: &Subject, partitions: u16) -> PartitionId {
    let place = xxh3_64(subject.to_string().as_bytes()) % u64::from(partitions.max(1));
    PartitionId(u16::try_from(place).unwrap_or(0))
}

/// All homes that are here.
#[derive(Debug, Default)]
pub(in crate::scheduler) struct Homes {
    by_subject: BTreeMap<Arc<Subject>, Home>,
    /// Numbers the answers of all of them, also of those that are no more: an owner that did not hear of that
    /// takes only what is newer than what it has.
    last: u64,
}

/// Where a home is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) partition: PartitionId,
    pub(super) term: u64,
    /// Since when this node leads it.
    pub(super) since: Tick,
    /// Whether there is no other node that could have given any.
    pub(super) is_alone: bool,
}

#[derive(Debug)]
struct Home {
    place: Place,
    rule: Rule,
    begun: Option<Steady>,
    askers: BTreeMap<NodeId, Asker>,
    /// Since when it is told of what is held.
    since: Tick,
}

#[derive(Clone, Debug, Default)]
struct Asker {
    holds: u32,
    wants: u32,
    /// How many it may have, and until when it may believe that.
    granted: u32,
    granted_until: Tick,
    /// The answer that said so.
    number: (u64, u64),
    /// Its last question.
    asked: u64,
    heard: Tick,
    /// Since when it has waited in vain.
    waits_since: Option<Tick>,
}

impl Asker {
    /// How many it has, or may begin to have before it can be told otherwise.
    fn counted(&self, now: Tick) -> u32 {
        if now < self.granted_until { self.granted.max(self.holds) } else { self.holds }
    }

    fn is_waiting(&self, now: Tick) -> bool {
        self.wants > 0 && now.since(self.heard) < WAITS
    }
}

impl Homes {
    pub(in crate::scheduler) fn forget(&mut self, partition: PartitionId) {
        self.by_subject.retain(|_, home| home.place.partition != partition);
    }

    /// Drops those of what is limited no more.
    pub(in crate::scheduler) fn keep_only(&mut self, limiting: &BTreeMap<Arc<Subject>, Rule>) {
        self.by_subject.retain(|subject, _| limiting.contains_key(subject));
    }

    /// An owner asks; who is to be told what.
    pub(super) fn asked(
        &mut self,
        place: Place,
        (subject, rule): (Arc<Subject>, Rule),
        from: NodeId,
        ask: &AskPermits,
        now: Tick,
    ) -> Vec<(NodeId, Given)> {
        let Self { by_subject, last } = self;
        let home = by_subject.entry(subject).or_insert_with(|| Home::new(place, now));
        if home.place.term != place.term || home.place.partition != place.partition {
            *home = Home::new(place, now);
        }
        home.take_rule(rule, now);
        home.asked(from, ask, last, now)
    }
}

impl Home {
    fn new(place: Place, now: Tick) -> Self {
        let (rule, begun, askers) = (Rule::default(), None, BTreeMap::new());
        Self { place, rule, begun, askers, since: now }
    }

    fn take_rule(&mut self, rule: Rule, now: Tick) {
        if self.rule.rate() != rule.rate() {
            // What was begun at another rate is made up for at that, which may take days.
            self.begun = None;
        }
        if self.rule.concurrency().is_none() && rule.concurrency().is_some() {
            // Owners that did not count before tell now what they hold.
            self.since = now;
        }
        self.rule = rule;
    }

    /// Whether all that a home before this one has given is void, and all owners have told what they hold.
    fn is_sure(&self, now: Tick) -> bool {
        self.place.is_alone || now.since(self.since.max(self.place.since)) >= VOID
    }

    /// Whether no start of the rate that a home before this one has given may still be used, as far as that is
    /// waited for.
    fn is_sure_of_starts(&self, now: Tick) -> bool {
        let Some(rate) = self.rule.rate() else {
            return true;
        };
        let wait = VOID.max(rate.time_of(1).min(STARTS_AWAITED));
        now.since(self.since.max(self.place.since)) >= wait
    }

    fn asked(
        &mut self,
        from: NodeId,
        ask: &AskPermits,
        last: &mut u64,
        now: Tick,
    ) -> Vec<(NodeId, Given)> {
        self.askers.retain(|_, asker| now.since(asker.heard) < REMEMBERED);
        let asker = self.askers.entry(from).or_default();
        asker.heard = now;
        asker.asked = ask.number;
        asker.wants = ask.wants;
        asker.holds = ask.holds;
        // One that has not seen the last answer may be about to use what that allows.
        let unseen = if ask.seen < asker.number { asker.granted } else { 0 };
        asker.granted = ask.holds.max(unseen);
        if ask.wants == 0 {
            asker.waits_since = None;
        } else if asker.waits_since.is_none() {
            asker.waits_since = Some(now);
        }
        self.take_back(from, now);
        let mut grown = self.share_runs(now);
        let starts = self.starts_for(from, now);
        grown.retain(|node| *node != from);
        let again = self.again(starts, now);
        let mut given = vec![(from, self.answer(&ask.subject, from, (starts, again), last, now))];
        for node in grown {
            given.push((node, self.answer(&ask.subject, node, (0, AGAIN), last, now)));
        }
        given
    }

    /// Where more run than may, as runs were found that had begun before they were limited or after a takeover, an
    /// owner is told to have fewer: those that run go on, and none begin in their place.
    fn take_back(&mut self, from: NodeId, now: Tick) {
        let Some(most) = self.rule.concurrency() else {
            return;
        };
        let wanted = |asker: &Asker| {
            if now < asker.granted_until { asker.granted } else { asker.holds }
        };
        let others = self.askers.iter().filter(|(node, _)| **node != from);
        let others: u32 = others.fold(0, |sum, (_, asker)| sum.saturating_add(wanted(asker)));
        if let Some(asker) = self.askers.get_mut(&from)
            && !sabotage::has(Defect::ForgetPermits)
        {
            asker.granted = asker.granted.min(most.saturating_sub(others));
        }
    }

    /// Gives what is free of a concurrency to those who wait, first to who has waited longest; who was given
    /// any.
    fn share_runs(&mut self, now: Tick) -> Vec<NodeId> {
        let Some(most) = self.rule.concurrency() else {
            return Vec::new();
        };
        if sabotage::has(Defect::ForgetPermits) {
            for asker in self.askers.values_mut() {
                asker.granted = most;
            }
            return Vec::new();
        }
        let counted: u32 =
            self.askers.values().fold(0, |sum, asker| sum.saturating_add(asker.counted(now)));
        let mut free = if self.is_sure(now) { most.saturating_sub(counted) } else { 0 };
        let mut waiting: Vec<(Tick, NodeId)> = (self.askers.iter())
            .filter(|(_, asker)| asker.is_waiting(now))
            .filter_map(|(node, asker)| Some((asker.waits_since?, *node)))
            .collect();
        waiting.sort_unstable();
        let mut grown = Vec::new();
        let mut left = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        for (_, node) in waiting {
            let Some(asker) = self.askers.get_mut(&node) else {
                continue;
            };
            let before = asker.counted(now);
            // What it may have beyond what it holds is for those that wait.
            let wants = asker.wants.saturating_sub(before.saturating_sub(asker.holds));
            let more = wants.min(free.div_ceil(left.max(1)));
            left = left.saturating_sub(1);
            if more > 0 {
                free -= more;
                asker.granted = before + more;
                asker.waits_since = None;
                grown.push(node);
            }
        }
        grown
    }

    /// How many of a rate `from` may begin now: its share of what may begin at all.
    fn starts_for(&mut self, from: NodeId, now: Tick) -> u32 {
        let Some(rate) = self.rule.rate() else {
            return 0;
        };
        if !self.is_sure_of_starts(now) {
            return 0;
        }
        let waiting = self.askers.values().filter(|asker| asker.is_waiting(now)).count();
        let has_concurrency = self.rule.concurrency().is_some();
        let wants = self.askers.get(&from).map_or(0, |asker| {
            // Who may not run more begins nothing, and would only keep it from others.
            let free = asker.granted.saturating_sub(asker.holds);
            if has_concurrency { free } else { asker.wants }
        });
        let wall = wall_of(now);
        let room = rate.room(self.begun, wall);
        let share = room.div_ceil(u32::try_from(waiting.max(1)).unwrap_or(u32::MAX));
        let starts = wants.min(share);
        if !sabotage::has(Defect::ForgetPermits) {
            for _ in 0..starts {
                self.begun = Some(rate.begin(self.begun, wall));
            }
        }
        if let Some(asker) = self.askers.get_mut(&from).filter(|_| starts > 0)
            && self.rule.concurrency().is_none()
        {
            asker.waits_since = None;
        }
        starts
    }

    /// When an owner is to ask again that was given so many starts.
    fn again(&self, starts: u32, now: Tick) -> Span {
        match self.rule.rate() {
            Some(rate) if self.is_sure_of_starts(now) => {
                let next = rate.next(self.begun).since(wall_of(now));
                let used = if starts == 0 { next } else { next.max(rate.time_of(starts.min(100))) };
                used.max(AGAIN_MIN).min(AGAIN_MAX)
            }
            Some(_) | None => AGAIN,
        }
    }

    fn answer(
        &mut self,
        subject: &Subject,
        to: NodeId,
        (starts, again): (u32, Span),
        last: &mut u64,
        now: Tick,
    ) -> Given {
        *last += 1;
        let number = (self.place.term, *last);
        let is_contended = self.askers.iter().any(|(node, asker)| {
            *node != to && asker.waits_since.is_some() && asker.is_waiting(now)
        });
        let asker = self.askers.entry(to).or_default();
        asker.granted_until = now + VOID;
        asker.number = number;
        let (runs, asked) = (asker.granted, asker.asked);
        Given { subject: subject.clone(), number, asked, starts, runs, is_contended, again }
    }
}

/// A rate is kept to by a clock that never steps.
fn wall_of(now: Tick) -> Wall {
    Wall::from_millis(1 + now.as_micros() / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Rate;

    const BEGINS: Tick = Tick::from_micros(100_000_000);

    fn at(millis: u64) -> Tick {
        BEGINS + Span::from_millis(millis)
    }

    fn subject() -> Arc<Subject> {
        Arc::new(Subject::Queue("mail".to_owned()))
    }

    /// A home whose leader leads it for long, and which is long past its first question.
    struct Told {
        homes: Homes,
        rule: Rule,
        place: Place,
        /// Of each owner: its questions so far and the last answer.
        owners: [(u64, (u64, u64)); 3],
    }

    impl Told {
        fn of(rule: Rule) -> Self {
            let (partition, is_alone) = (PartitionId(1), false);
            let place = Place { partition, term: 3, since: Tick::START, is_alone };
            let owners = [(0, (0, 0)); 3];
            let mut told = Self { homes: Homes::default(), rule, place, owners };
            told.ask_at(Tick::from_micros(1), 0, 0, 0);
            told
        }

        fn ask_at(&mut self, now: Tick, of: usize, holds: u32, wants: u32) -> Vec<(NodeId, Given)> {
            let (number, seen) = &mut self.owners[of];
            *number += 1;
            let subject = Subject::clone(&subject());
            let ask = AskPermits { subject, number: *number, holds, wants, seen: *seen };
            let rule = (self::subject(), self.rule.clone());
            self.homes.asked(self.place, rule, NodeId(of as u128), &ask, now)
        }

        /// An owner asks, and everybody hears what the home says; how many runs it and others may have.
        fn ask(&mut self, millis: u64, of: usize, holds: u32, wants: u32) -> Vec<(usize, u32)> {
            let given = self.ask_at(at(millis), of, holds, wants);
            let told = given.into_iter().map(|(to, given)| {
                let to = usize::try_from(to.0).expect("one of three");
                self.owners[to].1 = given.number;
                (to, given.runs)
            });
            told.collect()
        }
    }

    fn at_once(most: u32) -> Rule {
        Rule { concurrency: Some(Some(most)), ..Rule::default() }
    }

    #[test]
    fn runs_are_given_once_and_to_who_has_waited_longest() {
        let mut home = Told::of(at_once(3));
        assert_eq!(home.ask(0, 0, 0, 9), [(0, 3)]);
        assert_eq!(home.ask(1, 1, 0, 9), [(1, 0)], "all are given");
        assert_eq!(home.ask(2, 2, 0, 9), [(2, 0)]);
        // Two of the first have ended, and it wants more: others have waited longer.
        assert_eq!(home.ask(20, 0, 1, 9), [(0, 1), (1, 1), (2, 1)]);
        assert_eq!(home.ask(40, 1, 0, 0), [(1, 0), (0, 2)]);
    }

    #[test]
    fn who_has_not_heard_that_it_may_have_more_may_be_about_to() {
        let mut home = Told::of(at_once(2));
        // The answer is lost.
        home.ask_at(at(0), 0, 0, 2);
        home.ask_at(at(100), 0, 0, 2);
        assert_eq!(home.ask(110, 1, 0, 1), [(1, 0)]);
        // It is as if it had been told; only later than it would believe that is it void.
        assert_eq!(home.ask(2_400, 1, 0, 1), [(1, 0)]);
        assert_eq!(home.ask(2_700, 1, 0, 1), [(1, 1)]);
    }

    #[test]
    fn what_an_owner_holds_that_is_silent_counts_for_a_while() {
        let mut home = Told::of(at_once(2));
        home.ask(0, 0, 0, 2);
        home.ask(10, 0, 2, 0);
        assert_eq!(home.ask(9_000, 1, 0, 1), [(1, 0)]);
        assert_eq!(home.ask(10_100, 1, 0, 1), [(1, 1)]);
    }

    #[test]
    fn where_too_many_run_none_begin_until_they_are_fewer() {
        let mut home = Told::of(at_once(2));
        assert_eq!(home.ask(0, 0, 3, 9), [(0, 2)]);
        assert_eq!(home.ask(100, 0, 3, 9), [(0, 2)]);
        assert_eq!(home.ask(110, 1, 2, 9), [(1, 0)], "those of all owners count");
        assert_eq!(home.ask(200, 0, 2, 9), [(0, 2)]);
        assert_eq!(home.ask(300, 0, 1, 9), [(0, 1)]);
        assert_eq!(home.ask(310, 1, 1, 9), [(1, 1)]);
        assert_eq!(home.ask(400, 0, 0, 0), [(0, 0), (1, 2)]);
    }

    #[test]
    fn a_new_home_gives_nothing_before_it_knows_what_is_held() {
        let mut home = Told::of(at_once(4));
        home.place = Place { term: 4, since: at(0), ..home.place };
        assert_eq!(home.ask(100, 0, 1, 9), [(0, 1)]);
        assert_eq!(home.ask(200, 1, 2, 9), [(1, 2)], "what is held is confirmed");
        assert_eq!(home.ask(2_700, 0, 1, 9), [(0, 2)]);
        assert_eq!(home.ask(2_710, 1, 2, 9), [(1, 2)]);
        // A limit that is new as well.
        home.rule = Rule::default();
        home.ask(3_000, 0, 0, 0);
        home.rule = at_once(100);
        assert_eq!(home.ask(3_100, 0, 0, 50), [(0, 0)]);
        assert_eq!(home.ask(5_700, 0, 0, 50), [(0, 50)]);
    }

    #[test]
    fn who_may_run_no_more_takes_no_starts_from_others() {
        let rate = Some(Some(Rate { count: 10, per: Span::from_millis(1_000) }));
        let mut home = Told::of(Rule { rate, ..at_once(1) });
        let of_rate = |given: Vec<(NodeId, Given)>| given[0].1.starts;
        assert_eq!(of_rate(home.ask_at(at(0), 0, 0, 5)), 1);
        assert_eq!(of_rate(home.ask_at(at(1_000), 1, 0, 5)), 0, "the only run is given");
    }

    #[test]
    fn another_rate_holds_at_once() {
        let rate = |text: &str| Some(text.parse().ok());
        let mut home = Told::of(Rule { rate: rate("1/h"), ..Rule::default() });
        assert_eq!(home.ask_at(at(0), 0, 0, 5)[0].1.starts, 1);
        assert_eq!(home.ask_at(at(10_000), 0, 0, 5)[0].1.starts, 0);
        home.rule.rate = rate("100/s");
        assert_eq!(home.ask_at(at(20_000), 0, 0, 5)[0].1.starts, 5);
    }

    #[test]
    fn three_owners_share_a_rate_exactly() {
        for (count, least) in [(1_000, 19_700), (50, 985), (7, 138)] {
            let rate = Rate { count, per: Span::from_millis(1_000) };
            let mut home = Told::of(Rule { rate: Some(Some(rate)), ..Rule::default() });
            let (mut next, mut begun) = ([0; 3], 0);
            for now in 0..20_000 {
                for (of, next) in next.iter_mut().enumerate().filter(|(_, next)| **next == now) {
                    let given = home.ask_at(at(now), of, 0, 5_000).remove(0).1;
                    begun += given.starts;
                    *next = now + given.again.as_millis();
                }
            }
            let most = 20 * count + count / 10 + 1;
            assert!((least..=most).contains(&begun), "{begun} of {} in 20 s", 20 * count);
        }
    }
}
