//! Matching tasks that wait with slots that are free.
//!
//! A task is leased only to a slot that this owner holds. The executor of its own node leaves it
//! all slots that nobody else wants; when these are taken it asks others, two at a time, and gives
//! back what it does not use. The property that matters: no slot is idle while a reachable owner
//! has work that it may run.

use std::collections::{BTreeMap, BinaryHeap};
use std::mem;

use rand::RngExt;

use super::Scheduler;
use super::ready::Head;
use super::replica::Replica;
use super::submit::Submission;
use super::timers::Due;
use crate::id::{GroupId, Lessee, NodeId, TaskId};
use crate::partition::Command;
use crate::task::{Phase, Record, State, Template};
use crate::time::{Span, Tick, Wall};
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
/// Slots of others that were not used for so long are given back.
const KEEP: Span = Span::from_millis(500);

/// Pools of an executor: declarations name them by one byte.
const POOLS_MAX: usize = 256;
/// Timers that fire in one round at most: what they ask for must fit into an entry.
const TIMERS_PER_ROUND: usize = 16_384;

/// A pool of an executor's slots.
type Choice = (Lessee, usize);

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
    fn open(&self) -> impl Iterator<Item = Lessee> {
        let open = self.held.iter().filter(|(_, held)| held.free.iter().any(|free| *free > 0));
        open.map(|(lessee, _)| *lessee)
    }

    pub(super) fn idle(&self) -> Vec<(Lessee, Vec<u32>)> {
        self.held.iter().map(|(lessee, held)| (*lessee, held.free.clone())).collect()
    }

    fn free(&self, lessee: Lessee, pool: usize) -> u32 {
        self.held.get(&lessee).and_then(|held| held.free.get(pool)).copied().unwrap_or(0)
    }

    fn take(&mut self, lessee: Lessee, pool: usize, count: u32, now: Tick) {
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

impl Scheduler {
    /// Leases what waits to slots that are held, and grants slots to submissions in line.
    pub(super) fn assign(&mut self) {
        self.fire_timers();
        if !self.ready.is_empty() {
            self.assign_ready();
        }
        // Slots that are free now are of no use to those who wait: newcomers may take them.
        self.grant_submissions();
        if !self.ready.is_empty() && self.now.tick.since(self.slots.asked_at) >= ASK_AGAIN {
            self.ask_for_slots();
        }
    }

    /// Gives every slot that is held to whoever has waited longest of those of the highest priority
    /// that may run there: slots of this node first.
    fn assign_ready(&mut self) {
        let mut executors: Vec<Lessee> = self.slots.open().collect();
        let home = self.node();
        executors.sort_unstable_by_key(|lessee| (lessee.node != home, *lessee));
        for lessee in executors {
            if lessee.node != home && !self.is_alive(lessee.node) {
                continue;
            }
            let Some(profile) = self.lessees.profile_of(lessee) else {
                continue;
            };
            let mut lines: BTreeMap<usize, BinaryHeap<Head>> = BTreeMap::new();
            for head in self.ready.heads() {
                let class = self.ready.classes().get(head.class);
                let pool = class.and_then(|class| profile.pool(&class.queue, &class.name));
                if let Some(pool) = pool.filter(|pool| self.slots.free(lessee, *pool) > 0) {
                    lines.entry(pool).or_default().push(head);
                }
            }
            for (pool, heads) in lines {
                self.assign_pool(lessee, pool, heads);
            }
        }
    }

    fn assign_pool(&mut self, lessee: Lessee, pool: usize, mut heads: BinaryHeap<Head>) {
        while self.slots.free(lessee, pool) > 0 {
            let Some(head) = heads.pop() else {
                return;
            };
            let Some(task) = self.next_of(head.class) else {
                continue;
            };
            heads.extend(self.ready.head(head.class));
            let now = self.now.tick;
            self.slots.take(lessee, pool, 1, now);
            if let Some(line) = self.line(task.partition()) {
                line.leases.entry(lessee).or_default().push(task);
                take_slots(&mut line.slots, lessee, pool, 1);
            }
        }
    }

    /// Classes in which anybody waits, the most urgent first.
    fn classes_by_priority(&self) -> Vec<usize> {
        let heads: BinaryHeap<Head> = self.ready.heads().collect();
        heads.into_sorted_vec().into_iter().rev().map(|head| head.class).collect()
    }

    /// The next task of a class that may really be leased: the line is not cleaned when a task is
    /// cancelled or leased otherwise.
    fn next_of(&mut self, class: usize) -> Option<TaskId> {
        while let Some(task) = self.ready.pop(class) {
            let record = self.owned(task.partition()).and_then(|p| p.record(task));
            // One that is scheduled got here because its time had come. If partition time says
            // otherwise the lease has no effect, and it goes back to the timers.
            let waits = record.is_some_and(|record| match record.state() {
                State::Ready | State::Scheduled => true,
                State::Leased
                | State::Succeeded
                | State::Dead
                | State::Cancelled
                | State::Expired => false,
            });
            if waits {
                return Some(task);
            }
        }
        None
    }

    /// Executors that may run a class: this node's own first.
    fn executors_for(&self, class: usize) -> Vec<(Lessee, usize)> {
        let Some(class) = self.ready.classes().get(class) else {
            return Vec::new();
        };
        let home = self.node();
        let mut found: Vec<(Lessee, usize)> = (self.lessees.present())
            .filter(|(lessee, _)| lessee.node == home || self.is_alive(lessee.node))
            .filter_map(|(lessee, profile)| {
                profile.pool(&class.queue, &class.name).map(|pool| (lessee, pool))
            })
            .collect();
        found.sort_unstable_by_key(|(lessee, _)| (lessee.node != home, *lessee));
        found
    }

    /// Submissions of one kind that find slots free are leased in the entry that accepts them.
    fn grant_submissions(&mut self) {
        let groups: Vec<GroupId> = self.staged.iter().copied().collect();
        for id in groups {
            let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) else {
                continue;
            };
            let mut submissions = mem::take(&mut owner.line.submissions);
            for submission in &mut submissions {
                self.grant_slots(submission);
            }
            if let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) {
                owner.line.submissions = submissions;
            }
        }
    }

    fn grant_slots(&mut self, submission: &mut Submission) {
        let [template] = submission.batch.templates.as_slice() else {
            return;
        };
        if !submission.slots.is_empty() || !template.options.delay.is_zero() {
            return;
        }
        let now = self.now.tick;
        let mut rows = u32::try_from(submission.batch.rows.len()).unwrap_or(u32::MAX);
        for (lessee, pool) in self.executors_of(template) {
            let count = self.slots.free(lessee, pool).min(rows);
            if count > 0 {
                self.slots.take(lessee, pool, count, now);
                submission.slots.push((lessee, pool, count));
                rows -= count;
            }
        }
    }

    fn executors_of(&mut self, template: &Template) -> Vec<(Lessee, usize)> {
        let class = self.ready.class(template);
        self.executors_for(class)
    }

    /// Asks others for slots, as many as there is work for.
    fn ask_for_slots(&mut self) {
        self.slots.asked_at = self.now.tick;
        let home = self.node();
        // Several classes may use the same slots, and a wish replaces the one before.
        let mut wishes: BTreeMap<Choice, usize> = BTreeMap::new();
        for class in self.classes_by_priority() {
            let waiting = self.ready.waiting(class);
            let mut others = self.executors_for(class);
            if let Some(own) = others.first().copied().filter(|(l, _)| l.node == home) {
                *wishes.entry(own).or_default() += waiting;
            }
            others
                .retain(|(lessee, _)| lessee.node != home && !self.loads.is_draining(lessee.node));
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
        let mut lessees: Vec<Lessee> = Vec::new();
        for ((lessee, pool), waiting) in wishes {
            self.want(lessee, pool, waiting);
            lessees.push(lessee);
        }
        lessees.dedup();
        for lessee in lessees {
            if let Some(held) = self.slots.held.get(&lessee) {
                let wanted = held.wanted.clone();
                self.tell(lessee.node, OwnerSays::Demand { lessee, wanted });
            }
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

    fn want(&mut self, lessee: Lessee, pool: usize, waiting: usize) {
        let wanted = u32::try_from(waiting.min(ASK_SLOTS_MAX)).unwrap_or(u32::MAX);
        let held = self.slots.held.entry(lessee).or_default();
        if held.wanted.len() <= pool {
            held.wanted.resize(pool + 1, 0);
        }
        if let Some(known) = held.wanted.get_mut(pool) {
            *known = wanted;
        }
    }

    /// Gives back slots of others that are not used, and takes back wishes that are void.
    pub(super) fn tend_slots(&mut self) {
        let now = self.now.tick;
        let home = self.node();
        let idle = self.ready.is_empty();
        let lessees: Vec<Lessee> = self.slots.held.keys().copied().collect();
        for lessee in lessees {
            let Some(held) = self.slots.held.get_mut(&lessee) else {
                continue;
            };
            if idle && held.wanted.iter().any(|wanted| *wanted > 0) {
                held.wanted.fill(0);
                let wanted = held.wanted.clone();
                self.tell(lessee.node, OwnerSays::Demand { lessee, wanted });
            }
            let used_at = self.slots.held.get(&lessee).map_or(now, |held| held.used_at);
            if lessee.node != home
                && now.since(used_at) > KEEP
                && let Some(slots) = self.slots.give_back(lessee, None)
            {
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

    /// Tasks whose time has come join the line, or are given up. Partition time decides: it may lag
    /// behind this node's clock, and what is proposed too early has no effect.
    fn fire_timers(&mut self) {
        let wall = self.now.wall;
        // The rest is due in the next round, when the disk is free again.
        for _ in 0..TIMERS_PER_ROUND {
            let Some((task, what)) = self.timers.pop(wall) else {
                break;
            };
            let Some(partition) = self.owned(task.partition()) else {
                continue;
            };
            let now = partition.now().max(self.partition_time(GroupId::of(task.partition())));
            let Some(record) = partition.record(task) else {
                continue;
            };
            let due = match (what, record.state()) {
                (Due::Start, State::Scheduled) => due_at(record),
                (Due::Expire, State::Scheduled | State::Ready) => {
                    record.template.options.expires_at
                }
                (Due::Start | Due::Expire, _) => None,
            };
            match (due, what) {
                (Some(due), _) if due > now => {
                    self.timers.insert(wall + due.since(now), task, what);
                }
                (Some(_), Due::Start) => self.index_ready(task),
                (Some(_), Due::Expire) => {
                    if let Some(line) = self.line(task.partition()) {
                        line.commands.push(Command::Expire { tasks: vec![task] });
                    }
                }
                (None, _) => {}
            }
        }
    }
}

/// So many slots of one pool of an executor.
pub(super) type SlotCount = (Lessee, usize, u32);

/// Adds slots to those that are taken.
pub(super) fn take_slots(taken: &mut Vec<SlotCount>, lessee: Lessee, pool: usize, count: u32) {
    match taken.last_mut() {
        Some((last, last_pool, taken)) if *last == lessee && *last_pool == pool => *taken += count,
        _ => taken.push((lessee, pool, count)),
    }
}

/// When a scheduled task may start.
const fn due_at(record: &Record) -> Option<Wall> {
    match record.phase() {
        Phase::Scheduled { not_before } => Some(*not_before),
        Phase::Ready
        | Phase::Leased(_)
        | Phase::Succeeded(_)
        | Phase::Dead(_)
        | Phase::Cancelled
        | Phase::Expired => None,
    }
}
