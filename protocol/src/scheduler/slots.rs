//! Slots that this owner holds: it may lease to them, and to no others.
//!
//! The executor of its own node leaves it all slots that nobody else wants; others grant theirs when
//! they are asked ([`wishes`](super::wishes)), and get back what is not used.

use std::collections::{BTreeMap, BTreeSet};

use super::Scheduler;
use crate::id::{Lessee, NodeId};
use crate::time::{Span, Tick};
use crate::wire::OwnerSays;

/// How long it is watched how many slots of others are not used: those are given back then. So one
/// that is of no use is kept for once to twice as long.
const KEEP: Span = Span::from_millis(500);
/// Pools of an executor: declarations name them by one byte.
const POOLS_MAX: usize = 256;

/// A pool of an executor's slots.
pub(super) type Choice = (Lessee, usize);

/// So many slots of one pool of an executor.
pub(super) type SlotCount = (Lessee, usize, u32);

/// Slots that this owner holds and has not leased to.
#[derive(Debug, Default)]
pub(super) struct Slots {
    held: BTreeMap<Lessee, Held>,
    asked_at: Tick,
}

#[derive(Debug, Default)]
struct Held {
    pools: BTreeMap<usize, Pool>,
    /// Since when it is watched what is not used.
    watched_at: Tick,
}

#[derive(Clone, Debug, Default)]
struct Pool {
    free: u32,
    wanted: u32,
    /// The fewest that were free since it is watched: so many were of no use.
    unused: u32,
}

impl Held {
    fn pool(&mut self, pool: usize) -> &mut Pool {
        self.pools.entry(pool).or_default()
    }

    /// What there is of each pool, up to the last of which there was any.
    fn by_pool(&self, count: impl Fn(&Pool) -> u32) -> Vec<u32> {
        let pools = self.pools.last_key_value().map_or(0, |(last, _)| last + 1);
        (0..pools).map(|pool| self.pools.get(&pool).map_or(0, &count)).collect()
    }
}

impl Pool {
    /// Takes out up to `count` free slots; how many that were.
    fn take(&mut self, count: u32) -> u32 {
        let taken = self.free.min(count);
        self.free -= taken;
        self.unused = self.unused.min(self.free);
        taken
    }
}

impl Slots {
    pub(super) fn add(&mut self, lessee: Lessee, pool: usize, count: u32) {
        let pool = self.held.entry(lessee).or_default().pool(pool);
        pool.free = pool.free.saturating_add(count);
    }

    pub(super) fn granted(&mut self, lessee: Lessee, slots: &[u32]) {
        let held = self.held.entry(lessee).or_default();
        for (pool, count) in slots.iter().enumerate().take(POOLS_MAX) {
            let pool = held.pool(pool);
            pool.free = pool.free.saturating_add(*count);
            pool.wanted = pool.wanted.saturating_sub(*count);
        }
    }

    /// Executors of which any slot is free.
    pub(super) fn open(&self) -> impl Iterator<Item = Lessee> {
        let open =
            self.held.iter().filter(|(_, held)| held.pools.values().any(|pool| pool.free > 0));
        open.map(|(lessee, _)| *lessee)
    }

    pub(super) fn idle(&self) -> Vec<(Lessee, Vec<u32>)> {
        let free = |held: &Held| held.by_pool(|pool| pool.free);
        self.held.iter().map(|(lessee, held)| (*lessee, free(held))).collect()
    }

    pub(super) fn free(&self, lessee: Lessee, pool: usize) -> u32 {
        self.held.get(&lessee).and_then(|held| held.pools.get(&pool)).map_or(0, |pool| pool.free)
    }

    pub(super) fn take(&mut self, lessee: Lessee, pool: usize, count: u32) {
        if let Some(held) = self.held.get_mut(&lessee) {
            held.pool(pool).take(count);
        }
    }

    /// An executor begins anew: nothing of it is held.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.held.retain(|lessee, _| lessee.node != node);
    }

    /// Whether others were last asked at least `pause` ago; if so they are asked now.
    pub(super) fn may_ask(&mut self, now: Tick, pause: Span) -> bool {
        let may = now.since(self.asked_at) >= pause;
        if may {
            self.asked_at = now;
        }
        may
    }

    /// So many slots are wished for, whatever was before.
    pub(super) fn wish(&mut self, (lessee, pool): Choice, count: u32) {
        self.held.entry(lessee).or_default().pool(pool).wanted = count;
    }

    /// What is wished for of an executor, by pool.
    pub(super) fn wished(&self, lessee: Lessee) -> Vec<u32> {
        self.held.get(&lessee).map(|held| held.by_pool(|pool| pool.wanted)).unwrap_or_default()
    }

    /// Takes back all wishes but those for `useful` slots; the executors that had been asked.
    pub(super) fn wish_only_for(&mut self, useful: &BTreeSet<Choice>) -> BTreeSet<Lessee> {
        let mut withdrawn = BTreeSet::new();
        for (lessee, held) in &mut self.held {
            for (at, pool) in &mut held.pools {
                if pool.wanted > 0 && !useful.contains(&(*lessee, *at)) {
                    pool.wanted = 0;
                    withdrawn.insert(*lessee);
                }
            }
        }
        withdrawn
    }

    /// Takes out what other executors than that of `home` granted and was not used for `pause`.
    fn give_back_unused(
        &mut self,
        home: NodeId,
        now: Tick,
        pause: Span,
    ) -> Vec<(Lessee, Vec<u32>)> {
        let mut back = Vec::new();
        for (lessee, held) in self.held.iter_mut().filter(|(lessee, _)| lessee.node != home) {
            if now.since(held.watched_at) < pause {
                continue;
            }
            held.watched_at = now;
            let unused = held.by_pool(|pool| pool.unused);
            for pool in held.pools.values_mut() {
                pool.take(pool.unused);
                pool.unused = pool.free;
            }
            if unused.iter().any(|count| *count > 0) {
                back.push((*lessee, unused));
            }
        }
        back
    }

    /// Takes out up to `wanted` free slots.
    fn give_back(&mut self, lessee: Lessee, wanted: &[u32]) -> Option<Vec<u32>> {
        let held = self.held.get_mut(&lessee)?;
        let mut back = vec![0; wanted.len()];
        for (pool, (back, wanted)) in back.iter_mut().zip(wanted).enumerate() {
            *back = held.pools.get_mut(&pool).map_or(0, |pool| pool.take(*wanted));
        }
        back.iter().any(|count| *count > 0).then_some(back)
    }
}

/// Adds slots to those that are taken.
pub(super) fn take_slots(taken: &mut Vec<SlotCount>, lessee: Lessee, pool: usize, count: u32) {
    match taken.last_mut() {
        Some((last, last_pool, taken)) if *last == lessee && *last_pool == pool => *taken += count,
        _ => taken.push((lessee, pool, count)),
    }
}

impl Scheduler {
    /// Gives back slots of others that are not used.
    pub(super) fn return_slots(&mut self) {
        for (lessee, slots) in self.slots.give_back_unused(self.node(), self.now.tick, KEEP) {
            self.tell(lessee.node, OwnerSays::Return { lessee, slots });
        }
    }

    /// An executor wants unused slots back.
    pub(super) fn recalled(&mut self, lessee: Lessee, wanted: &[u32]) {
        if let Some(slots) = self.slots.give_back(lessee, wanted) {
            self.tell(lessee.node, OwnerSays::Return { lessee, slots });
        }
    }

    /// Slots that were to be leased to are free again, unless their executor began anew meanwhile
    /// and counts them as its own.
    pub(super) fn hold_again(&mut self, lessee: Lessee, pool: usize, count: u32) {
        if count > 0 && self.is_present(lessee) {
            self.slots.add(lessee, pool, count);
        }
    }
}
