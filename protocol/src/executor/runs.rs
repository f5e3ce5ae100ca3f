//! Runs from their dispatch to the confirmation of their end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::guard::Guard;
use super::{BEAT, Effect, Executor, Start};
use crate::id::{Lessee, NodeId, PartitionId, TaskId, Token};
use crate::limits::{CROSSING_MAX, GATHERED_BYTES_MAX};
use crate::sabotage::{self, Defect};
use crate::task::{Outcome, Template};
use crate::time::Tick;
use crate::wire::{Dispatch, ExecutorSays};

/// Refusals that are remembered. A dispatch is repeated for seconds, not for so many refusals.
const REFUSED_MAX: usize = 65_536;

/// Repeats of an end to one node before others are asked who decides it.
pub(super) const REPEATS_MAX: u32 = 3;

/// A run that is held.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Whom to tell.
    pub(super) owner: NodeId,
    /// Who dispatched it, and may do so once more as long as it does not know better.
    pub(super) dispatcher: NodeId,
    pub(super) pool: usize,
    /// What it goes on by, if it must not overlap with others.
    pub(super) guard: Option<Box<Guard>>,
    /// How often its end was repeated in vain.
    pub(super) repeats: u32,
    /// How it ended, once it has, and when that was last told.
    pub(super) end: Option<(Outcome, Tick)>,
}

impl Executor {
    pub(super) fn dispatched(
        &mut self,
        now: Tick,
        from: NodeId,
        templates: Vec<Template>,
        dispatches: Vec<Dispatch>,
        effects: &mut Vec<Effect>,
    ) {
        let pools: Vec<Option<usize>> = templates
            .iter()
            .map(|template| self.profile.pool(&template.queue, &template.name))
            .collect();
        let templates: Vec<Arc<Template>> = templates.into_iter().map(Arc::new).collect();
        let (mut never, mut guarded) = (Vec::new(), Vec::new());
        for dispatch in dispatches {
            let Dispatch { task, token, attempt, template, args, term, time_left, metadata } =
                dispatch;
            let key = (task, token);
            let fence = self.fences.get(&task.partition()).copied().unwrap_or(0);
            let entry = match self.runs.entry(key) {
                Entry::Vacant(entry) => entry,
                Entry::Occupied(mut run) => {
                    // Whoever repeats it has not heard of it, and decides on it under this term. The
                    // one that was told instead may know of nobody who does.
                    let run = run.get_mut();
                    if term >= fence && run.owner != from {
                        run.owner = from;
                        run.repeats = 0;
                    }
                    continue;
                }
            };
            let place = usize::from(template);
            let (Some(template), Some(Some(pool))) = (templates.get(place), pools.get(place))
            else {
                never.push(key);
                continue;
            };
            let has_slot =
                self.slots.take(from, *pool) || (now < self.lends_until && self.slots.lend(*pool));
            // Whoever was told what is held here takes back all other runs of older terms: such a
            // run must not start any more, not even if its new owner repeats the dispatch.
            let is_stale =
                (term < fence || token.term < fence) && !sabotage::has(Defect::IgnoreFence);
            let is_over = self.retirement.is_under_way();
            if !has_slot || is_over || is_stale || self.refused_set.contains(&key) {
                if has_slot && !sabotage::has(Defect::LeakSlot) {
                    self.slots.free(*pool);
                }
                never.push(key);
                continue;
            }
            let template = Arc::clone(template);
            let lasts = template.options.lost_after().filter(|_| template.options.is_exclusive());
            let start = Start { task, token, attempt, template, args, time_left, metadata };
            let guard = lasts.map(|lasts| Box::new(Guard::new(lasts, start.clone(), now)));
            let run =
                Run { owner: from, dispatcher: from, pool: *pool, guard, repeats: 0, end: None };
            if entry.insert(run).guard.is_some() {
                guarded.push(key);
                continue;
            }
            let start = Effect::Start(start);
            if sabotage::has(Defect::DoubleStart) {
                effects.push(start.clone());
            }
            effects.push(start);
        }
        if !guarded.is_empty() {
            self.watch_guards();
            self.ask_to_go_on(now, BTreeMap::from([(from, guarded)]), effects);
        }
        if !never.is_empty() {
            self.refuse(&never);
            self.retirement.refuses(now);
            let says = ExecutorSays::NeverHad { lessee: self.me, runs: never };
            effects.push(Effect::Send { to: from, says });
            self.slots.allocate(self.me, effects);
        }
    }

    /// Slots that runs take, and what is left of them, by pool; of so many pools at the least.
    pub(super) fn slots_used(&self, pools: usize) -> Vec<u32> {
        let mut used = vec![0; pools];
        let running = self.runs.values().filter(|run| run.end.is_none()).map(|run| run.pool);
        for pool in running.chain(self.left_over()) {
            if used.len() <= pool {
                used.resize(pool + 1, 0);
            }
            if let Some(used) = used.get_mut(pool) {
                *used += 1;
            }
        }
        used
    }

    pub(super) fn finished(
        &mut self,
        now: Tick,
        ends: Vec<(TaskId, Token, Outcome)>,
        effects: &mut Vec<Effect>,
    ) {
        let mut by_owner: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        for (task, token, outcome) in ends {
            let Some(run) = self.runs.get_mut(&(task, token)) else {
                continue;
            };
            if run.end.is_some() {
                continue;
            }
            if !self.lingering.contains_key(&(task, token)) {
                self.slots.free(run.pool);
            }
            run.end = Some((outcome.clone(), now));
            run.guard = None;
            let owner = run.owner;
            self.tell_last(task, token, effects);
            by_owner.entry(owner).or_default().push((task, token, outcome));
        }
        // Slots first: the owner then reports the ends and leases anew in one entry.
        self.slots.allocate(self.me, effects);
        for (to, outcomes) in by_owner {
            tell_outcomes(self.me, to, outcomes, effects);
        }
    }

    /// A new owner of `partition` takes over: it decides from now on, and is told all.
    pub(super) fn asked(
        &mut self,
        now: Tick,
        from: NodeId,
        partition: PartitionId,
        term: u64,
        effects: &mut Vec<Effect>,
    ) {
        let fence = self.fences.entry(partition).or_default();
        if term < *fence {
            return;
        }
        *fence = term;
        let lessee = self.me;
        let mut runs = Vec::new();
        let mut outcomes = Vec::new();
        for ((task, token), run) in &mut self.runs {
            if task.partition() != partition {
                continue;
            }
            run.owner = from;
            runs.push((*task, *token));
            if let Some((outcome, told_at)) = &mut run.end {
                *told_at = now;
                outcomes.push((*task, *token, outcome.clone()));
            }
        }
        if sabotage::has(Defect::LostHolds) {
            runs.clear();
        }
        let says = ExecutorSays::Holds { lessee, partition, term, runs };
        effects.push(Effect::Send { to: from, says });
        tell_outcomes(lessee, from, outcomes, effects);
    }

    pub(super) fn closed(&mut self, now: Tick, from: NodeId, runs: &[(TaskId, Token)]) {
        let crosses = self.crossed_at.get(&from).is_some_and(|at| now.since(*at) < CROSSING_MAX);
        for key in runs {
            let Entry::Occupied(run) = self.runs.entry(*key) else {
                continue;
            };
            if run.get().end.is_none() {
                continue;
            }
            // What its dispatcher says comes in order, as long as it has one connection: no dispatch
            // follows. But an earlier one of it may still be under way on the connection before, or
            // through a third node; or another node decided this one, and the dispatcher may not
            // know yet. It must not start it once more.
            if run.remove().dispatcher != from || crosses {
                self.refuse(&[*key]);
            }
        }
    }

    /// Ends of runs of `partition` are decided on another node than `from`, it says.
    pub(super) fn moved(&mut self, from: NodeId, partition: PartitionId, owner: NodeId) {
        if sabotage::has(Defect::DropRedirected) {
            self.runs.retain(|(task, _), run| task.partition() != partition || run.end.is_none());
        }
        for ((task, _), run) in &mut self.runs {
            // Told at the next beat: two nodes that point at each other must not keep us busy.
            if task.partition() == partition && run.owner == from && run.end.is_some() {
                run.owner = owner;
            }
        }
    }

    pub(super) fn stop(&mut self, now: Tick, runs: &[(TaskId, Token)], effects: &mut Vec<Effect>) {
        self.drop_waiting(now, |key| runs.contains(key), effects);
        for (task, token) in runs {
            if self.runs.get(&(*task, *token)).is_some_and(|run| run.end.is_none()) {
                effects.push(Effect::Stop { task: *task, token: *token });
            }
        }
    }

    /// Lists held runs to their owners and repeats outcomes that nobody has confirmed.
    pub(super) fn beat(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let lessee = self.me;
        let mut held: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        let mut unconfirmed: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        for ((task, token), run) in &mut self.runs {
            held.entry(run.owner).or_default().push((*task, *token));
            if let Some((outcome, told_at)) = &mut run.end
                && now.since(*told_at) >= BEAT
            {
                *told_at = now;
                run.repeats += 1;
                if run.repeats.is_multiple_of(REPEATS_MAX) {
                    // Whoever was told may be gone for good: this node's own scheduler knows who
                    // owns the partition now.
                    run.owner = lessee.node;
                }
                unconfirmed.entry(run.owner).or_default().push((*task, *token, outcome.clone()));
            }
        }
        for (to, runs) in held {
            effects.push(Effect::Send { to, says: ExecutorSays::Beat { lessee, runs } });
        }
        for (to, outcomes) in unconfirmed {
            tell_outcomes(lessee, to, outcomes, effects);
        }
        self.ask_to_go_on(now, self.guarded(), effects);
    }

    fn refuse(&mut self, runs: &[(TaskId, Token)]) {
        for key in runs {
            if !sabotage::has(Defect::ForgetRefusals) && self.refused_set.insert(*key) {
                self.refused.push_back(*key);
            }
        }
        while self.refused.len() > REFUSED_MAX {
            if let Some(oldest) = self.refused.pop_front() {
                self.refused_set.remove(&oldest);
            }
        }
    }
}

/// Tells an owner how runs ended, in messages that fit into frames.
fn tell_outcomes(
    lessee: Lessee,
    to: NodeId,
    outcomes: Vec<(TaskId, Token, Outcome)>,
    effects: &mut Vec<Effect>,
) {
    let mut gathered = Vec::new();
    let mut bytes = 0;
    let mut tell = |outcomes: Vec<_>| {
        if !outcomes.is_empty() {
            effects.push(Effect::Send { to, says: ExecutorSays::Outcomes { lessee, outcomes } });
        }
    };
    for outcome in outcomes {
        bytes += outcome.2.weight();
        gathered.push(outcome);
        if bytes >= GATHERED_BYTES_MAX {
            tell(std::mem::take(&mut gathered));
            bytes = 0;
        }
    }
    tell(gathered);
}
