//! Whose each slot is.

use std::collections::BTreeMap;

use super::Effect;
use crate::id::{Lessee, NodeId};
use crate::sabotage::{self, Defect};
use crate::time::{Span, Tick};
use crate::wire::ExecutorSays;

/// How long it is watched which slots another node does not use: those come back. It gives them back
/// itself, and sooner; so either the grant was lost or what gave them back, or a lease is on its way to a
/// disk that is too slow.
const IDLE_MAX: Span = Span::from_millis(2_000);
/// A wish that was not renewed for so long is void: whoever has it repeats it every 100 ms, and the
/// word that it has it no more may get lost.
const WISH_MAX: Span = Span::from_millis(1_000);
/// While both want slots, one in so many goes to another node: none may starve.
const SHARE_OF_OTHERS: u32 = 8;

/// The slots of an executor.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    home: NodeId,
    /// Slots that are nobody's and idle, by pool.
    spare: Vec<u32>,
    /// Slots that runs take beyond those that there are, by pool: it has become smaller.
    owed: Vec<u32>,
    /// Runs that may begin without a slot, by pool: their leases may be on their way, for slots that were granted before
    /// there were other numbers of them.
    lendable: Vec<u32>,
    owners: BTreeMap<NodeId, OwnerSlots>,
    /// Counts grants while both sides want slots.
    turn: u32,
    /// Which other node was given slots last, by pool: the next one is the first in turn.
    served: Vec<Option<NodeId>>,
    /// Whether nobody is given any more.
    is_closed: bool,
}

#[derive(Clone, Debug)]
struct OwnerSlots {
    /// Granted and not used, by pool.
    held: Vec<u32>,
    /// The fewest that were held since it is watched: so many were of no use.
    unused: Vec<u32>,
    /// Wanted beyond that, by pool.
    wanted: Vec<u32>,
    wanted_at: Tick,
    /// Since when it is watched what is not used.
    watched_at: Tick,
}

impl OwnerSlots {
    /// Takes out up to `count` that are held; how many that were.
    fn take(&mut self, pool: usize, count: u32) -> u32 {
        let (Some(held), Some(unused)) = (self.held.get_mut(pool), self.unused.get_mut(pool))
        else {
            return 0;
        };
        let taken = count.min(*held);
        *held -= taken;
        *unused = (*unused).min(*held);
        taken
    }
}

impl Slots {
    pub(super) fn new(home: NodeId, pools: &[u32]) -> Self {
        let served = vec![None; pools.len()];
        Self {
            home,
            spare: pools.to_vec(),
            owed: vec![0; pools.len()],
            lendable: vec![0; pools.len()],
            owners: BTreeMap::new(),
            turn: 0,
            served,
            is_closed: false,
        }
    }

    /// There are so many slots from now on, of which runs take some. Whoever was given any before is to be introduced
    /// anew. What there are too few of is owed: it is not given out again when runs end. What was granted may
    /// be lent, and what could be before if it `still_lends`.
    pub(super) fn resize(&mut self, pools: &[u32], used: &[u32], still_lends: bool) {
        let is_closed = self.is_closed;
        let mut lendable = std::mem::take(&mut self.lendable);
        if !still_lends {
            lendable.fill(0);
        }
        for (pool, lendable) in lendable.iter_mut().enumerate() {
            let held = self.owners.values().filter_map(|owner| owner.held.get(pool));
            *lendable = (*lendable).max(held.sum());
        }
        *self = Self { is_closed, ..Self::new(self.home, pools) };
        self.spare.resize(self.spare.len().max(used.len()), 0);
        lendable.resize(self.spare.len(), 0);
        self.lendable = lendable;
        self.owed.resize(self.spare.len(), 0);
        self.served.resize(self.spare.len(), None);
        for ((spare, owed), used) in self.spare.iter_mut().zip(&mut self.owed).zip(used) {
            *owed = used.saturating_sub(*spare);
            if sabotage::has(Defect::ForgetOwed) {
                *owed = 0;
            }
            *spare = spare.saturating_sub(*used);
        }
    }

    fn owner(&mut self, node: NodeId) -> &mut OwnerSlots {
        let pools = self.spare.len();
        self.owners.entry(node).or_insert_with(|| OwnerSlots {
            held: vec![0; pools],
            unused: vec![0; pools],
            wanted: vec![0; pools],
            wanted_at: Tick::START,
            watched_at: Tick::START,
        })
    }

    /// Idle slots of each pool, whosever they are.
    pub(super) fn unused(&self) -> Vec<u32> {
        let mut unused = self.spare.clone();
        for owner in self.owners.values() {
            for (sum, held) in unused.iter_mut().zip(&owner.held) {
                *sum += held;
            }
        }
        unused
    }

    /// From now on nobody is given any.
    pub(super) const fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether anybody holds any.
    pub(super) fn any_granted(&self) -> bool {
        self.owners.values().any(|owner| owner.held.iter().any(|held| *held > 0))
    }

    /// Asks for all that anybody holds.
    pub(super) fn recall(&self, me: Lessee, effects: &mut Vec<Effect>) {
        for (to, owner) in &self.owners {
            if owner.held.iter().any(|held| *held > 0) {
                let says = ExecutorSays::Recall { lessee: me, wanted: owner.held.clone() };
                effects.push(Effect::Send { to: *to, says });
            }
        }
    }

    /// A run of `from` takes one of its slots, or a spare one.
    pub(super) fn take(&mut self, from: NodeId, pool: usize) -> bool {
        if self.owner(from).take(pool, 1) > 0 {
            return true;
        }
        if let Some(spare) = self.spare.get_mut(pool).filter(|spare| **spare > 0) {
            *spare -= 1;
            return true;
        }
        false
    }

    /// What is left of a run of a former executor takes a slot; one that is owed, if there is none.
    pub(super) fn occupy(&mut self, pool: usize) {
        match self.spare.get_mut(pool).filter(|spare| **spare > 0) {
            Some(spare) => *spare -= 1,
            None => self.owe(pool),
        }
    }

    /// A run begins without a slot, if one of that pool may: of more it would not be for what was granted before.
    pub(super) fn lend(&mut self, pool: usize) -> bool {
        let Some(lendable) = self.lendable.get_mut(pool).filter(|lendable| **lendable > 0) else {
            return false;
        };
        *lendable -= 1;
        self.owe(pool);
        true
    }

    /// The next slot that is free is not given out again.
    fn owe(&mut self, pool: usize) {
        if let Some(owed) = self.owed.get_mut(pool) {
            *owed += 1;
        }
    }

    /// A run is over.
    pub(super) fn free(&mut self, pool: usize) {
        if let Some(owed) = self.owed.get_mut(pool).filter(|owed| **owed > 0) {
            *owed -= 1;
        } else if let Some(spare) = self.spare.get_mut(pool) {
            *spare += 1;
        }
    }

    pub(super) fn demand(&mut self, now: Tick, from: NodeId, wanted: &[u32]) {
        let owner = self.owner(from);
        owner.wanted_at = now;
        for (mine, wanted) in owner.wanted.iter_mut().zip(wanted) {
            *mine = *wanted;
        }
    }

    pub(super) fn returned(&mut self, from: NodeId, slots: &[u32]) {
        let owner = self.owners.get_mut(&from);
        let Some(owner) = owner else {
            return;
        };
        for (pool, (back, spare)) in slots.iter().zip(&mut self.spare).enumerate() {
            *spare += owner.take(pool, *back);
        }
    }

    /// What `node` held is spare again; what it wants it must say again.
    pub(super) fn forget(&mut self, node: NodeId) {
        if let Some(owner) = self.owners.remove(&node) {
            for (spare, held) in self.spare.iter_mut().zip(owner.held) {
                *spare += held;
            }
        }
    }

    /// The owner on the same node is there: it gets what nobody else wants.
    pub(super) fn keep_for_home(&mut self) {
        self.owner(self.home);
    }

    /// Takes back what other nodes have held too long without use, and forgets old wishes.
    pub(super) fn reclaim(&mut self, now: Tick) {
        for owner in self.owners.values_mut() {
            if now.since(owner.wanted_at) > WISH_MAX {
                owner.wanted.fill(0);
            }
        }
        let home = self.home;
        for (_, owner) in self.owners.iter_mut().filter(|(node, _)| **node != home) {
            if now.since(owner.watched_at) < IDLE_MAX {
                continue;
            }
            owner.watched_at = now;
            for (pool, spare) in self.spare.iter_mut().enumerate() {
                let unused = owner.unused.get(pool).copied().unwrap_or(0);
                *spare += owner.take(pool, unused);
            }
            owner.unused.clone_from(&owner.held);
        }
        let is_in_use = |count: &u32| *count > 0;
        self.owners.retain(|node, owner| {
            *node == home || owner.held.iter().chain(&owner.wanted).any(is_in_use)
        });
    }

    /// Gives every spare slot to somebody.
    pub(super) fn allocate(&mut self, me: Lessee, effects: &mut Vec<Effect>) {
        if self.is_closed {
            return;
        }
        let mut grants: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
        let mut recall = vec![0; self.spare.len()];
        for pool in 0..self.spare.len() {
            self.allocate_pool(pool, &mut grants, &mut recall);
        }
        for (to, slots) in grants {
            effects.push(Effect::Send { to, says: ExecutorSays::Grant { lessee: me, slots } });
        }
        if recall.iter().any(|wanted| *wanted > 0) {
            let says = ExecutorSays::Recall { lessee: me, wanted: recall };
            effects.push(Effect::Send { to: self.home, says });
        }
    }

    fn allocate_pool(
        &mut self,
        pool: usize,
        grants: &mut BTreeMap<NodeId, Vec<u32>>,
        recall: &mut [u32],
    ) {
        let pools = self.spare.len();
        let home = self.home;
        let wanted_by = |owner: &OwnerSlots| owner.wanted.get(pool).copied().unwrap_or(0);
        let others: u32 = (self.owners.iter())
            .filter(|(node, _)| **node != home)
            .map(|(_, owner)| wanted_by(owner))
            .fold(0, u32::saturating_add);
        let home_wants = self.owners.get(&home).map_or(0, wanted_by);
        let Some(spare) = self.spare.get_mut(pool) else {
            return;
        };
        // How many of the spare ones go to others.
        let mut give = (*spare).min(others);
        if home_wants > 0 && give > 0 {
            self.turn += *spare;
            give = (self.turn / SHARE_OF_OTHERS).min(give);
            self.turn %= SHARE_OF_OTHERS;
        }
        let given = give;
        let keep = *spare - give;
        // Without its own scheduler there is nobody to keep them for.
        let home_is_here = self.owners.contains_key(&home);
        *spare = if home_is_here { 0 } else { keep };
        let mut grant = |to: NodeId, owner: &mut OwnerSlots, count: u32| {
            if count == 0 {
                return;
            }
            if let Some(held) = owner.held.get_mut(pool) {
                *held += count;
            }
            if let Some(slots) = grants.entry(to).or_insert_with(|| vec![0; pools]).get_mut(pool) {
                *slots += count;
            }
        };
        if let Some(owner) = self.owners.get_mut(&home) {
            grant(home, owner, keep);
        }
        // In turn, an even share each, and then what is left: while slots become free one by one
        // the first of them would get them all, and tasks of the others would never run.
        let wants = |(node, owner): (&NodeId, &OwnerSlots)| {
            (*node != home && wanted_by(owner) > 0).then_some(*node)
        };
        let mut claimants: Vec<NodeId> =
            if give > 0 { self.owners.iter().filter_map(wants).collect() } else { Vec::new() };
        let last = self.served.get(pool).copied().flatten();
        let turn = claimants.partition_point(|node| Some(*node) <= last);
        claimants.rotate_left(turn);
        for is_even in [true, false] {
            for (left, node) in (1..=claimants.len()).rev().zip(&claimants) {
                let Some(owner) = self.owners.get_mut(node) else {
                    continue;
                };
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                let share = if is_even { give.div_ceil(left) } else { give };
                let share = share.min(wanted_by(owner));
                give -= share;
                if let Some(wanted) = owner.wanted.get_mut(pool) {
                    *wanted -= share;
                }
                if share > 0
                    && let Some(served) = self.served.get_mut(pool)
                {
                    *served = Some(*node);
                }
                grant(*node, owner, share);
            }
        }
        if let Some(home) = self.owners.get(&home) {
            let idle_here = home.held.get(pool).copied().unwrap_or(0);
            let still_wanted = (others - given).min(idle_here);
            if home_wants == 0
                && let Some(recall) = recall.get_mut(pool)
            {
                *recall = still_wanted;
            }
        }
    }
}
