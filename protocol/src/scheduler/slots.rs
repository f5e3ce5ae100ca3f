//! Slots that this owner holds: it may lease to them, and to no others.
//!
//! The executor of its own node leaves it all slots that nobody else wants; others grant theirs when
//! they are asked ([`wishes`](super::wishes)), and get back what is not used.

use std::collections::BTreeMap;

use super::Scheduler;
use crate::id::{Lessee, NodeId};
use crate::time::{Span, Tick};
use crate::wire::OwnerSays;

/// Slots of others that were not used for so long are given back.
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
    free: Vec<u32>,
    wanted: Vec<u32>,
    used_at: Tick,
}

impl Slots {
    pub(super) fn add(&mut self, lessee: Lessee, pool: usize, count: u32) {
        let held = self.held.entry(lessee).or_default();
        if held.free.len() <= pool {
            held.free.resize(pool + 1, 0);
        }
        if let Some(free) = held.free.get_mut(pool) {
            *free = free.saturating_add(count);
        }
    }

    pub(super) fn granted(&mut self, lessee: Lessee, slots: &[u32], now: Tick) {
        for (pool, count) in slots.iter().enumerate().take(POOLS_MAX) {
            self.add(lessee, pool, *count);
            let held = self.held.entry(lessee).or_default();
            if let Some(wanted) = held.wanted.get_mut(pool) {
                *wanted = wanted.saturating_sub(*count);
            }
            held.used_at = now;
        }
    }

    /// Executors of which any slot is free.
    pub(super) fn open(&self) -> impl Iterator<Item = Lessee> {
        let open = self.held.iter().filter(|(_, held)| held.free.iter().any(|free| *free > 0));
        open.map(|(lessee, _)| *lessee)
    }

    pub(super) fn idle(&self) -> Vec<(Lessee, Vec<u32>)> {
        self.held.iter().map(|(lessee, held)| (*lessee, held.free.clone())).collect()
    }

    pub(super) fn free(&self, lessee: Lessee, pool: usize) -> u32 {
        self.held.get(&lessee).and_then(|held| held.free.get(pool)).copied().unwrap_or(0)
    }

    pub(super) fn take(&mut self, lessee: Lessee, pool: usize, count: u32, now: Tick) {
        if let Some(held) = self.held.get_mut(&lessee) {
            held.used_at = now;
            if let Some(free) = held.free.get_mut(pool) {
                *free -= count;
            }
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
        let held = self.held.entry(lessee).or_default();
        if held.wanted.len() <= pool {
            held.wanted.resize(pool + 1, 0);
        }
        if let Some(wanted) = held.wanted.get_mut(pool) {
            *wanted = count;
        }
    }

    /// What is wished for of an executor, by pool.
    pub(super) fn wished(&self, lessee: Lessee) -> Vec<u32> {
        self.held.get(&lessee).map(|held| held.wanted.clone()).unwrap_or_default()
    }

    /// Takes back all wishes; the executors that were asked, and what is left of each wish.
    pub(super) fn wish_for_none(&mut self) -> Vec<(Lessee, Vec<u32>)> {
        let mut withdrawn = Vec::new();
        for (lessee, held) in &mut self.held {
            if held.wanted.iter().any(|wanted| *wanted > 0) {
                held.wanted.fill(0);
                withdrawn.push((*lessee, held.wanted.clone()));
            }
        }
        withdrawn
    }

    /// Executors other than those of `home` that granted slots and saw none used for `pause`.
    fn unused(&self, home: NodeId, now: Tick, pause: Span) -> Vec<Lessee> {
        let unused = self
            .held
            .iter()
            .filter(|(lessee, held)| lessee.node != home && now.since(held.used_at) > pause);
        unused.map(|(lessee, _)| *lessee).collect()
    }

    /// Takes out up to `wanted` free slots.
    fn give_back(&mut self, lessee: Lessee, wanted: Option<&[u32]>) -> Option<Vec<u32>> {
        let held = self.held.get_mut(&lessee)?;
        let mut back = vec![0; held.free.len()];
        for (pool, (free, back)) in held.free.iter_mut().zip(&mut back).enumerate() {
            let limit = wanted.map_or(u32::MAX, |w| w.get(pool).copied().unwrap_or(0));
            *back = (*free).min(limit);
            *free -= *back;
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
        for lessee in self.slots.unused(self.node(), self.now.tick, KEEP) {
            if let Some(slots) = self.slots.give_back(lessee, None) {
                self.tell(lessee.node, OwnerSays::Return { lessee, slots });
            }
        }
    }

    /// An executor wants unused slots back.
    pub(super) fn recalled(&mut self, lessee: Lessee, wanted: &[u32]) {
        if let Some(slots) = self.slots.give_back(lessee, Some(wanted)) {
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
