//! Requests of which every member answers its part: one message to each, and what comes back in
//! time.

use std::collections::{BTreeMap, BTreeSet};

use super::Scheduler;
use super::asks::Origin;
use crate::id::NodeId;
use crate::time::{Span, Tick};
use crate::wire::{Answer, Ask, PeerMessage, RequestError};

/// Requests to which members still contribute a part of a `T`.
pub(super) struct Gatherings<T> {
    open: BTreeMap<u64, Gathering<T>>,
    /// How long one waits for a member before it goes without it.
    wait_max: Span,
}

struct Gathering<T> {
    missing: BTreeSet<NodeId>,
    since: Tick,
    so_far: T,
}

/// What is gathered, part by part.
pub(super) trait Gather {
    /// The answer that all parts make.
    fn complete(self) -> Answer;
}

impl<T: Gather> Gatherings<T> {
    pub(super) const fn new(wait_max: Span) -> Self {
        Self { open: BTreeMap::new(), wait_max }
    }

    /// What the parts of request `id` are added to, if that of `from` is missing. It is not any
    /// more.
    pub(super) fn told(&mut self, from: NodeId, id: u64) -> Option<&mut T> {
        let gathering = self.open.get_mut(&id)?;
        gathering.missing.remove(&from).then_some(&mut gathering.so_far)
    }

    /// Whether parts of request `id` are waited for.
    pub(super) fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// Gives up request `id`, if the part of `from` is missing; whether it did.
    pub(super) fn give_up(&mut self, from: NodeId, id: u64) -> bool {
        let is_missing = |gathering: &Gathering<T>| gathering.missing.contains(&from);
        self.open.get(&id).is_some_and(is_missing) && self.open.remove(&id).is_some()
    }

    /// The answer to request `id`, if no part is missing.
    pub(super) fn if_complete(&mut self, id: u64) -> Option<Answer> {
        self.open.get(&id).filter(|gathering| gathering.missing.is_empty())?;
        self.as_it_is(id)
    }

    /// The answer to request `id`, of the parts that are there.
    pub(super) fn as_it_is(&mut self, id: u64) -> Option<Answer> {
        self.open.remove(&id).map(|gathering| gathering.so_far.complete())
    }

    /// The answers to all that have waited long enough: for too long, or for members none of which
    /// is among those that are `alive`.
    fn overdue(&mut self, now: Tick, alive: &BTreeSet<NodeId>) -> Vec<(u64, Answer)> {
        let is_over = |gathering: &Gathering<T>| {
            now.since(gathering.since) > self.wait_max || gathering.missing.is_disjoint(alive)
        };
        let over = self.open.iter().filter(|(_, gathering)| is_over(gathering));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        over.into_iter().filter_map(|id| Some((id, self.as_it_is(id)?))).collect()
    }
}

impl Scheduler {
    /// Begins to gather, for request `id`, what the members that are alive answer to `ask`, in
    /// addition to what is here.
    pub(super) fn gather<T: Gather>(
        &mut self,
        id: u64,
        ask: &Ask,
        here: T,
        gatherings: impl Fn(&mut Self) -> &mut Gatherings<T>,
    ) {
        // It may have waited for this node to know who there is; now it waits for those.
        self.asks.parked.remove(&id);
        if gatherings(self).open.len() >= GATHERINGS_MAX {
            let what = format!("{GATHERINGS_MAX} listings at a time");
            return self.fail(Origin::Here(id), RequestError::Overloaded { what });
        }
        let missing: BTreeSet<NodeId> =
            (self.members()).filter(|node| *node != self.node() && self.is_alive(*node)).collect();
        let deadline = gatherings(self).wait_max;
        for node in &missing {
            self.outbox.send(*node, PeerMessage::Ask { id, deadline, ask: ask.clone() });
        }
        let since = self.now.tick;
        gatherings(self).open.insert(id, Gathering { missing, since, so_far: here });
        if let Some(answer) = gatherings(self).if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }

    /// Ends what waits for members that do not answer.
    pub(super) fn tend_gatherings(&mut self) {
        if self.listings.open.is_empty()
            && self.job_listings.open.is_empty()
            && self.surveys.open.is_empty()
            && self.queue_listings.open.is_empty()
            && self.task_group_counts.open.is_empty()
        {
            return;
        }
        // Whoever has gone wants no answer.
        let asks = &self.asks;
        self.listings.open.retain(|id, _| asks.is_open(*id));
        self.job_listings.open.retain(|id, _| asks.is_open(*id));
        self.surveys.open.retain(|id, _| asks.is_open(*id));
        self.queue_listings.open.retain(|id, _| asks.is_open(*id));
        self.task_group_counts.open.retain(|id, _| asks.is_open(*id));
        let now = self.now.tick;
        let alive = self.members().filter(|node| self.is_alive(*node)).collect();
        let mut over = self.listings.overdue(now, &alive);
        over.append(&mut self.job_listings.overdue(now, &alive));
        over.append(&mut self.surveys.overdue(now, &alive));
        over.append(&mut self.queue_listings.overdue(now, &alive));
        over.append(&mut self.task_group_counts.overdue(now, &alive));
        for (id, answer) in over {
            self.answer(Origin::Here(id), answer);
        }
    }
}

/// So many requests of one kind are gathered for at a time: each may be as large as a frame.
const GATHERINGS_MAX: usize = 256;
