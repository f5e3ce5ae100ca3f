//! Whose turn it is of those on whose behalf tasks wait that compete: in one queue, for slots of one pool, at
//! one priority, whatever their names and targets.
//!
//! Each has a number that grows with each task of it that is served, by less the more it weighs, and the least
//! is next (stride scheduling, Waldspurger and Weihl, 1995). How far all of them are together is known, too:
//! whoever joins begins there, so nobody can save up turns, and whoever leaves and joins again has its own
//! number if that is greater, so nobody gets ahead by that either. One whose tasks nobody could run, be it for
//! hours, is owed two turns at the most. All tasks on nobody's behalf are one tenant among the others, that
//! weighs 1.
//!
//! A tenant is forgotten once nobody waits on its behalf and all others are where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::limits::WEIGHT_MAX;

/// By so much the number of one that weighs 1 grows with each task.
const STRIDE: u64 = WEIGHT_MAX as u64 * 1_000;
/// So many are remembered of which nobody waits; beyond it those are forgotten that have the least to wait for.
const IDLE_MAX: usize = 4_096;

/// On whose behalf a task is: that of a fairness key, or nobody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scheduler) struct Tenant(pub(super) Option<Arc<str>>);

impl Tenant {
    pub(super) const NOBODY: Self = Self(None);

    pub(super) fn of(key: &Arc<str>) -> Self {
        Self(Some(Arc::clone(key)))
    }
}

/// Whose turn it is: that of the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scheduler) struct Turn {
    number: u64,
    /// Of several with one number it is that of the one that joined, or was served, first.
    order: u64,
}

/// Those who compete.
#[derive(Debug, Default)]
pub(in crate::scheduler) struct Tenants {
    /// Tells levels apart.
    level: u64,
    shares: BTreeMap<Tenant, Share>,
    /// Those for which nobody waits, by their numbers.
    idle: BTreeSet<(u64, Tenant)>,
    /// How many of those for which anybody waits have a key.
    keyed: usize,
    /// What all of those weigh together for which anybody waits.
    weight: u64,
    /// How far all of them are together.
    now: u64,
    /// What is too little to show in that yet.
    rest: u64,
    /// Numbers those who join and are served.
    order: u64,
}

#[derive(Debug)]
struct Share {
    turn: Turn,
    weight: u16,
    /// In how many lines tasks wait on its behalf.
    lines: usize,
}

impl Tenants {
    /// Tasks of one wait in one line more.
    pub(in crate::scheduler) fn joins(&mut self, tenant: &Tenant, weight: Option<u16>) {
        if let Some(share) = self.shares.get_mut(tenant).filter(|share| share.lines > 0) {
            share.lines += 1;
        } else {
            self.order += 1;
            let new = || Share { turn: Turn::default(), weight: 1, lines: 0 };
            let share = self.shares.entry(tenant.clone()).or_insert_with(new);
            self.idle.remove(&(share.turn.number, tenant.clone()));
            let number = share.turn.number.max(self.now);
            share.turn = Turn { number, order: self.order };
            share.lines = 1;
            self.weight += u64::from(share.weight);
            self.keyed += usize::from(tenant.0.is_some());
        }
        self.weighs(tenant, weight);
    }

    /// Something new may be said of what one weighs: what was said last holds for all that is done on its
    /// behalf.
    pub(super) fn weighs(&mut self, tenant: &Tenant, weight: Option<u16>) {
        if let Some(weight) = weight
            && let Some(share) = self.shares.get_mut(tenant)
        {
            let weight = weight.clamp(1, WEIGHT_MAX);
            self.weight = self.weight - u64::from(share.weight) + u64::from(weight);
            share.weight = weight;
        }
    }

    /// Tasks of one wait in one line less.
    pub(in crate::scheduler) fn leaves(&mut self, tenant: &Tenant) {
        let Some(share) = self.shares.get_mut(tenant).filter(|share| share.lines > 0) else {
            return;
        };
        share.lines -= 1;
        if share.lines > 0 {
            return;
        }
        self.weight -= u64::from(share.weight);
        self.keyed -= usize::from(tenant.0.is_some());
        if share.turn.number <= self.now {
            self.shares.remove(tenant);
            return;
        }
        self.idle.insert((share.turn.number, tenant.clone()));
        if self.idle.len() > IDLE_MAX
            && let Some((_, least)) = self.idle.pop_first()
        {
            self.shares.remove(&least);
        }
    }

    /// A task of one is served while others wait that might have been.
    pub(in crate::scheduler) fn served(&mut self, tenant: &Tenant) {
        let (least, weight) = (self.least(), self.weight);
        let Some(share) = self.shares.get_mut(tenant) else {
            return;
        };
        if u64::from(share.weight) == weight {
            // Those others are tasks of its own.
            return self.served_alone(tenant);
        }
        let number = share.turn.number.max(least);
        self.order += 1;
        let next = number + STRIDE / u64::from(share.weight);
        share.turn = Turn { number: next, order: self.order };
        // Many whose tasks nobody can run must not hold back where others begin.
        self.rest += STRIDE;
        self.now += self.rest / self.weight.max(1);
        self.rest %= self.weight.max(1);
        self.now = self.now.max(number.saturating_sub(STRIDE));
        while self.idle.first().is_some_and(|(number, _)| *number <= self.now)
            && let Some((_, tenant)) = self.idle.pop_first()
        {
            self.shares.remove(&tenant);
        }
    }

    /// A task of one is served with a slot that nobody else waits for: that is no turn of the others', but who
    /// comes next comes before it.
    pub(super) fn served_alone(&mut self, tenant: &Tenant) {
        let now = self.now;
        if let Some(share) = self.shares.get_mut(tenant) {
            share.turn = Turn { number: share.turn.number.max(now), order: u64::MAX };
        }
    }

    /// What is known of the turn of one: it only grows while anybody waits on its behalf.
    pub(super) fn turn(&self, tenant: &Tenant) -> Turn {
        self.shares.get(tenant).map_or_else(Turn::default, |share| share.turn)
    }

    /// What a turn counts that is known: no less than a turn behind where all are together.
    pub(super) fn counts(&self, turn: Turn) -> Turn {
        Turn { number: turn.number.max(self.least()), ..turn }
    }

    fn least(&self) -> u64 {
        self.now.saturating_sub(STRIDE)
    }

    pub(super) const fn level(&self) -> u64 {
        self.level
    }

    /// Whether anybody waits who has a key.
    pub(super) const fn has_keys(&self) -> bool {
        self.keyed > 0
    }

    /// How many are kept in mind.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shares.len()
    }
}

/// Where anybody waits who has a key: whose turn it is there.
#[derive(Debug, Default)]
pub(super) struct Levels {
    by_queue: BTreeMap<String, BTreeMap<(Option<usize>, u8), Tenants>>,
    /// Numbers them.
    made: u64,
}

impl Levels {
    /// Without keys there are none, and nothing has to be looked up.
    pub(super) fn is_empty(&self) -> bool {
        self.by_queue.is_empty()
    }

    /// Those of a queue who compete for slots of a pool at a priority.
    pub(super) fn get(&self, queue: &str, pool: Option<usize>, priority: u8) -> Option<&Tenants> {
        self.by_queue.get(queue)?.get(&(pool, priority))
    }

    pub(super) fn get_mut(
        &mut self,
        queue: &str,
        pool: Option<usize>,
        priority: u8,
    ) -> Option<&mut Tenants> {
        self.by_queue.get_mut(queue)?.get_mut(&(pool, priority))
    }

    pub(super) fn insert(&mut self, queue: &str, pool: Option<usize>, priority: u8, all: Tenants) {
        self.made += 1;
        let levels = self.by_queue.entry(queue.to_owned()).or_default();
        levels.insert((pool, priority), Tenants { level: self.made, ..all });
    }

    /// Forgets those where nobody waits who has a key.
    pub(super) fn sweep(&mut self) {
        self.by_queue.retain(|_, levels| {
            levels.retain(|_, tenants| tenants.has_keys());
            !levels.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(key: &str) -> Tenant {
        Tenant::of(&key.into())
    }

    /// Serves whoever is next among those who wait for ever, so many times; how often each was.
    fn serve(tenants: &mut Tenants, all: &[&str], count: usize) -> Vec<usize> {
        let all: Vec<Tenant> = all.iter().map(|key| tenant(key)).collect();
        let mut served = vec![0; all.len()];
        for _ in 0..count {
            let next = (0..all.len()).min_by_key(|at| tenants.counts(tenants.turn(&all[*at])));
            let next = next.expect("there are some");
            tenants.served(&all[next]);
            served[next] += 1;
        }
        served
    }

    fn of(all: &[(&str, u16)]) -> Tenants {
        let mut tenants = Tenants::default();
        for (key, weight) in all {
            tenants.joins(&tenant(key), Some(*weight));
        }
        tenants
    }

    #[test]
    fn each_is_served_as_it_weighs() {
        let mut tenants = of(&[("a", 1), ("b", 3), ("c", 6)]);
        assert_eq!(serve(&mut tenants, &["a", "b", "c"], 100), [10, 30, 60]);
    }

    #[test]
    fn who_could_not_run_is_owed_two_turns_at_the_most() {
        let mut tenants = of(&[("a", 3), ("b", 1), ("stuck", 1), ("other", 5)]);
        assert_eq!(serve(&mut tenants, &["a", "b"], 4_000), [3_000, 1_000]);
        let served = serve(&mut tenants, &["a", "b", "stuck"], 500);
        assert!((297..=303).contains(&served[0]) && served[2] <= 102, "{served:?}");
    }

    #[test]
    fn who_comes_back_again_and_again_is_not_ahead_of_who_waits() {
        let mut tenants = of(&[("waits", 1)]);
        let often = tenant("often");
        let mut served = 0;
        for _ in 0..100 {
            tenants.joins(&often, None);
            let next = [tenant("waits"), often.clone()];
            let next = next.iter().min_by_key(|who| tenants.counts(tenants.turn(who)));
            let next = next.expect("there are two").clone();
            tenants.served(&next);
            served += usize::from(next == often);
            tenants.leaves(&often);
        }
        assert_eq!(served, 50);
    }

    #[test]
    fn newcomers_without_end_do_not_keep_one_from_its_turn() {
        let mut tenants = of(&[("old", 1)]);
        let (mut served, mut new) = (0, 0);
        let mut waiting = vec![tenant("old")];
        for _ in 0..1_000 {
            while waiting.len() < 10 {
                new += 1;
                waiting.push(tenant(&new.to_string()));
                tenants.joins(&waiting[waiting.len() - 1], None);
            }
            let next = (0..10).min_by_key(|at| tenants.counts(tenants.turn(&waiting[*at])));
            let next = next.expect("there are ten");
            tenants.served(&waiting[next]);
            if next == 0 {
                served += 1;
            } else {
                tenants.leaves(&waiting.remove(next));
            }
        }
        assert!((90..=110).contains(&served), "{served}");
        assert!(tenants.len() < 30, "{} are kept in mind", tenants.len());
    }

    #[test]
    fn of_those_for_which_nobody_waits_so_many_are_remembered() {
        let mut tenants = of(&[("waits", 1)]);
        for n in 0..2 * IDLE_MAX {
            tenants.joins(&tenant(&n.to_string()), None);
        }
        for n in 0..2 * IDLE_MAX {
            tenants.served(&tenant(&n.to_string()));
            tenants.leaves(&tenant(&n.to_string()));
        }
        assert!(tenants.len() <= IDLE_MAX + 1);
        assert_eq!((tenants.weight, tenants.keyed), (1, 1));
    }
}
