//! Asking other executors for slots, when those of this node are taken.
//!
//! A wish says how many tasks wait for slots of a pool. It replaces the one before, is renewed while
//! there is work, and is taken back when there is none.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use super::Scheduler;
use super::slots::Choice;
use crate::id::Lessee;
use crate::sabotage::{self, Defect};
use crate::time::Span;
use crate::wire::OwnerSays;

/// Slots asked of one other executor at a time.
const ASK_SLOTS_MAX: usize = 256;
/// How many other executors are asked at a time, at the least. Each is the better of two random
/// ones: that is nearly as good as the best, without all owners running to the same (Mitzenmacher,
/// 2001).
const ASK_EXECUTORS: usize = 2;
/// As many as this are asked while those before have not so many slots free as there are tasks that
/// wait. A wish lives for ten rounds, so eighty executors can serve one owner.
const ASK_EXECUTORS_MAX: usize = 8;
/// How often the wish for slots of others is renewed.
const ASK_AGAIN: Span = Span::from_millis(100);

impl Scheduler {
    /// Says again what is wished for, while tasks wait.
    pub(super) fn renew_wishes(&mut self) {
        if sabotage::has(Defect::NoWishes) {
            return;
        }
        if !self.ready.is_empty() && self.slots.may_ask(self.now.tick, ASK_AGAIN) {
            self.ask_for_slots();
        }
    }

    /// Takes back wishes that are void: nothing waits any more.
    pub(super) fn end_wishes(&mut self) {
        if !self.ready.is_empty() {
            return;
        }
        for lessee in self.slots.wish_only_for(&BTreeSet::new()) {
            let wanted = self.slots.wished(lessee);
            self.tell(lessee.node, OwnerSays::Demand { lessee, wanted });
        }
    }

    /// Asks others for slots, as many as there is work for.
    fn ask_for_slots(&mut self) {
        let home = self.node();
        // Several classes may use the same slots, and a wish replaces the one before.
        let mut wishes: BTreeMap<Choice, usize> = BTreeMap::new();
        let mut useful: BTreeSet<Choice> = BTreeSet::new();
        for class in self.classes_by_priority() {
            let room = self.ready.classes().get(class).map_or(0, |class| self.gate_room(class));
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let waiting = self.ready.waiting(class).min(room);
            let mut others = self.executors_for(class);
            useful.extend(&others);
            if let Some(own) = others.first().copied().filter(|(l, _)| l.node == home) {
                *wishes.entry(own).or_default() += waiting;
            }
            others.retain(|(lessee, _)| lessee.node != home);
            let mut found = 0;
            for asked in 0..ASK_EXECUTORS_MAX {
                if others.is_empty() || (asked >= ASK_EXECUTORS && found >= waiting) {
                    break;
                }
                let other = self.pick(&mut others, &wishes);
                // Of those that have not told it is not known that they are not enough.
                let is_known = self.loads.free(other.0, other.1).is_some();
                let free = if is_known { self.told_free(other, &wishes) } else { waiting };
                found = found.saturating_add(free);
                *wishes.entry(other).or_default() += waiting;
            }
        }
        // Nothing waits any more that could use some that were wished for. As long as one believes that
        // its owner needs them, it gives them to nobody else.
        let mut lessees: BTreeSet<Lessee> = self.slots.wish_only_for(&useful);
        for ((lessee, pool), waiting) in wishes {
            let wanted = u32::try_from(waiting.min(ASK_SLOTS_MAX)).unwrap_or(u32::MAX);
            self.slots.wish((lessee, pool), wanted);
            lessees.insert(lessee);
        }
        for lessee in lessees {
            let wanted = self.slots.wished(lessee);
            self.tell(lessee.node, OwnerSays::Demand { lessee, wanted });
        }
    }

    /// Takes the better of two random ones out of `others`.
    fn pick(&mut self, others: &mut Vec<Choice>, wishes: &BTreeMap<Choice, usize>) -> Choice {
        let one = self.rng.random_range(0..others.len());
        let two = self.rng.random_range(0..others.len());
        let free = |at: usize| others.get(at).map(|choice| self.told_free(*choice, wishes));
        let better = if free(two) > free(one) { two } else { one };
        others.swap_remove(better)
    }

    /// Slots that an executor has free beyond what it is asked for already, as far as gossip tells.
    /// One that has not told is worth a try, so it comes before those that have none.
    fn told_free(&self, choice: Choice, wishes: &BTreeMap<Choice, usize>) -> usize {
        let (lessee, pool) = choice;
        let wished = wishes.get(&choice).copied().unwrap_or(0);
        match self.loads.free(lessee, pool) {
            Some(free) => usize::try_from(free).unwrap_or(usize::MAX).saturating_sub(wished),
            None => 1,
        }
    }
}
