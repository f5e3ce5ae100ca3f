//! Permits: how many tasks of a queue, or of a name, may run or begin in the whole cluster, shared out over the
//! owners of their partitions.
//!
//! One node knows them all, the *home* of the limit: the owner of a partition that follows from what is
//! limited ([`home`]). An owner with tasks that wait asks it now and then, and leases as many as it was given
//! without asking anybody: the way of a task knows nothing of it. Two kinds are given:
//!
//! - of a **rate**, a number of starts that must be used soon, else they are lost;
//! - of a **concurrency**, how many runs the owner may have at a time. It holds for a while and is renewed.
//!
//! An owner that is cut off from the home soon begins nothing more of what is limited. What of its tasks runs
//! goes on, so while nodes are lost or cut off more may run than is allowed, as those that take their place
//! count only what they know. What must never overlap is *exclusive* by its key, which does not rest on this.

pub(super) mod home;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::Scheduler;
use crate::id::{GroupId, NodeId, PartitionId, TaskId};
use crate::job::Target;
use crate::meta::{Rule, Subject};
use crate::time::{Span, Tick};
use crate::wire::{AskPermits, PeerMessage, Permits as Given};

/// How long an owner may have as many runs as it was told, counted from when it asked.
pub(super) const VALID: Span = Span::from_millis(2_000);
/// How long starts of a rate may be used, if one takes no longer: of a slow rate none is to be lost because all
/// slots are taken for a moment.
const STARTS_VALID: Span = Span::from_millis(300);
/// Of a slow rate no longer than that, else one that was kept and the next one would begin together.
const STARTS_KEPT: Span = Span::from_millis(5_000);
/// An owner that holds or wants any asks again so soon, if nothing happens: well before they are void.
const RENEW: Span = Span::from_millis(500);
/// It asks no more often than that for one limit.
const ASK_PAUSE: Span = Span::from_millis(10);
/// So often it is looked at the most what is missing: that takes a look at all that waits.
const LOOK_PAUSE: Span = Span::from_millis(5);
/// One that was not answered asks again.
const ASK_AGAIN: Span = Span::from_millis(100);
/// So many of the last questions may still be answered: those of well over a second.
const ASKS_KEPT: usize = 16;
/// So long runs of a partition count that another owns now: a takeover takes less, and what it finds is told at
/// once.
const LEFT: Span = Span::from_millis(4_000);

/// What this owner was given of each limit, and what it has begun.
#[derive(Debug, Default)]
pub(super) struct Permits {
    by_subject: BTreeMap<Arc<Subject>, Permit>,
    /// When it was last looked at what is missing.
    looked_at: Option<Tick>,
    /// When to look again if nothing happens.
    look_at: Tick,
}

#[derive(Debug, Default)]
struct Permit {
    rule: Rule,
    /// Tasks that run, or are about to be leased.
    holders: BTreeSet<TaskId>,
    /// Until when those of partitions count that are owned by others now, who may not have said so yet.
    left: BTreeMap<TaskId, Tick>,
    starts: u32,
    starts_until: Tick,
    allowed: u32,
    allowed_until: Tick,
    /// The last times that it was asked for, by number.
    asks: VecDeque<(u64, Tick)>,
    /// When to ask again.
    ask_at: Tick,
    /// Whether others wait for what is not used here.
    is_contended: bool,
    /// How many were held when it was last asked.
    told: u32,
    /// How many waited then.
    wanted: u32,
    /// The last answer, by the term of who gave it and its number.
    seen: (u64, u64),
}

impl Permit {
    fn room(&self, now: Tick) -> u32 {
        let starts = match self.rule.rate() {
            Some(_) if now < self.starts_until => self.starts,
            Some(_) => 0,
            None => u32::MAX,
        };
        let runs = match self.rule.concurrency() {
            Some(_) if now < self.allowed_until => self.allowed.saturating_sub(self.held()),
            Some(_) => 0,
            None => u32::MAX,
        };
        starts.min(runs)
    }

    fn asked_at(&self) -> Option<Tick> {
        self.asks.back().map(|(_, at)| *at)
    }

    fn held(&self) -> u32 {
        u32::try_from(self.holders.len() + self.left.len()).unwrap_or(u32::MAX)
    }

    /// Whether the home is to be asked now, if so many wait.
    fn is_to_ask(&self, waiting: u32, now: Tick) -> bool {
        let Some(asked_at) = self.asked_at() else {
            return waiting > 0 || self.held() > 0;
        };
        let since = now.since(asked_at);
        if since < ASK_PAUSE {
            return false;
        }
        let is_short = self.is_short(waiting, now) && (now >= self.ask_at || self.wanted == 0);
        let is_missed = self.is_contended && self.held() < self.told;
        // Of a partition that was taken over more may run than this owner was given.
        let is_over = self.held() > self.told.max(self.allowed);
        // Also once nothing is held any more: the home is told of that.
        let is_stale = since >= RENEW && (waiting > 0 || self.held() > 0 || self.told > 0);
        is_short || is_missed || is_over || is_stale || self.is_to_give_back(waiting, now)
    }

    fn is_short(&self, waiting: u32, now: Tick) -> bool {
        waiting > 0 && self.room(now) == 0
    }

    /// Whether it may have more than anybody here can use.
    fn is_to_give_back(&self, waiting: u32, now: Tick) -> bool {
        let has_more = self.allowed > self.held() && now < self.allowed_until;
        waiting == 0 && self.rule.concurrency().is_some() && has_more && self.is_contended
    }

    /// Asks for as many as wait. What is not used by now is given back by that: the home may give it to
    /// others.
    fn ask(&mut self, subject: &Subject, wants: u32, now: Tick) -> AskPermits {
        let holds = self.held();
        let number = self.asks.back().map_or(1, |(last, _)| last + 1);
        self.asks.push_back((number, now));
        if self.asks.len() > ASKS_KEPT {
            self.asks.pop_front();
        }
        self.ask_at = now + ASK_AGAIN;
        (self.told, self.wanted) = (holds, wants);
        self.allowed = self.allowed.min(holds);
        AskPermits { subject: subject.clone(), number, holds, wants, seen: self.seen }
    }

    /// When it is to be asked for if nothing happens and so many wait.
    fn next(&self, waiting: u32, now: Tick) -> Tick {
        let Some(asked_at) = self.asked_at() else {
            return Tick::NEVER;
        };
        let is_missed = self.is_contended && self.held() < self.told;
        if is_missed || self.is_to_give_back(waiting, now) {
            return asked_at + ASK_PAUSE;
        }
        if waiting == 0 && self.held() == 0 && self.told == 0 {
            return Tick::NEVER;
        }
        let renewal = asked_at + RENEW;
        match self.is_short(waiting, now) {
            true if self.wanted == 0 => asked_at + ASK_PAUSE,
            true => self.ask_at.max(asked_at + ASK_PAUSE).min(renewal),
            false => renewal,
        }
    }
}

impl Permits {
    pub(super) fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }

    /// How many may begin of what `subject` limits.
    pub(super) fn room(&self, subject: &Subject, now: Tick) -> u32 {
        self.by_subject.get(subject).map_or(0, |permit| permit.room(now))
    }

    /// One is about to be leased.
    pub(super) fn take(&mut self, subject: &Subject, task: TaskId) {
        if let Some(permit) = self.by_subject.get_mut(subject) {
            permit.starts = permit.starts.saturating_sub(1);
            permit.left.remove(&task);
            permit.holders.insert(task);
        }
    }

    /// A task does not run any more, or was not leased.
    pub(super) fn release(&mut self, task: TaskId) {
        for permit in self.by_subject.values_mut() {
            permit.holders.remove(&task);
        }
    }

    /// A task runs of a partition that is owned here from now on.
    fn hold(&mut self, subject: &Subject, task: TaskId) {
        if let Some(permit) = self.by_subject.get_mut(subject) {
            permit.left.remove(&task);
            permit.holders.insert(task);
        }
    }

    /// The partition is owned by another from now on.
    pub(super) fn forget(&mut self, partition: PartitionId, now: Tick) {
        for permit in self.by_subject.values_mut() {
            let gone = permit.holders.extract_if(.., |task| task.partition() == partition);
            permit.left.extend(gone.map(|task| (task, now + LEFT)));
        }
    }

    /// When something is to be asked for, if nothing happens.
    pub(super) fn next(&self) -> Tick {
        if self.is_empty() { Tick::NEVER } else { self.look_at }
    }
}

impl Scheduler {
    /// Takes over what is limited now. What runs is known from the leases, and what is about to, if it was
    /// limited before, from its permit.
    pub(super) fn count_permits(&mut self) {
        let mut before = std::mem::take(&mut self.permits.by_subject);
        for (subject, rule) in self.ready.gates().limiting() {
            let mut permit = before.remove(subject).unwrap_or_default();
            permit.rule.clone_from(rule);
            permit.allowed = permit.allowed.min(rule.concurrency().unwrap_or(u32::MAX));
            permit.ask_at = self.now.tick;
            self.permits.by_subject.insert(Arc::clone(subject), permit);
        }
        self.homes.keep_only(self.ready.gates().limiting());
        for task in self.lessees.leased_tasks() {
            self.hold_permit(task);
        }
        (self.permits.looked_at, self.permits.look_at) = (None, self.now.tick);
    }

    /// A task runs: of a partition that was taken over, or by a lease that is on record now, which was on its
    /// way there when its limit was heard of.
    pub(super) fn hold_permit(&mut self, task: TaskId) {
        if self.permits.is_empty() {
            return;
        }
        let Some(record) = self.owned(task.partition()).and_then(|p| p.record(task)) else {
            return;
        };
        let template = Arc::clone(&record.template);
        drop(record);
        let class = self.ready.class(&template, &Target::Anywhere);
        let class = self.ready.classes().get(class);
        for subject in class.and_then(|class| class.gate.as_ref()).iter().flat_map(|g| &g.limits) {
            self.permits.hold(subject, task);
        }
    }

    /// Asks the homes of limits for what is missing, and renews what is held.
    pub(super) fn ask_for_permits(&mut self) {
        let now = self.now.tick;
        if self.permits.is_empty() {
            return;
        }
        let soonest = self.permits.looked_at.map_or(now, |at| at + LOOK_PAUSE);
        if now < soonest {
            // What has changed meanwhile is looked at then, and what would be due before as well.
            self.permits.look_at = soonest;
            return;
        }
        self.permits.looked_at = Some(now);
        self.permits.look_at = Tick::NEVER;
        let waiting = self.waiting_for_permits();
        let mut due = Vec::new();
        for (subject, permit) in &mut self.permits.by_subject {
            permit.left.retain(|_, until| *until > now);
            let wants = waiting.get(subject).copied().unwrap_or(0);
            if permit.is_to_ask(wants, now) {
                due.push(permit.ask(subject, wants, now));
            }
            self.permits.look_at = self.permits.look_at.min(permit.next(wants, now));
        }
        for ask in due {
            let home = self.home_of(&ask.subject).and_then(|partition| self.owner_of(partition));
            match home {
                Some(home) if home == self.node() => self.permits_asked(home, ask),
                Some(home) => self.outbox.send(home, PeerMessage::AskPermits(ask)),
                None => {}
            }
        }
    }

    /// How many wait for permits of each kind that nothing else keeps from starting.
    fn waiting_for_permits(&self) -> BTreeMap<Arc<Subject>, u32> {
        let mut waiting: BTreeMap<Arc<Subject>, u32> = BTreeMap::new();
        for place in self.ready.waited_for() {
            let class = self.ready.classes().get(place);
            let gate = class.and_then(|class| class.gate.as_ref());
            let Some(gate) = gate.filter(|gate| gate.paused.is_none() && !gate.limits.is_empty())
            else {
                continue;
            };
            // What nobody can run would only keep permits from others.
            if self.executors_for(place).is_empty() {
                continue;
            }
            let count = u32::try_from(self.ready.waiting(place)).unwrap_or(u32::MAX);
            for subject in &gate.limits {
                let waiting = waiting.entry(Arc::clone(subject)).or_default();
                *waiting = waiting.saturating_add(count);
            }
        }
        waiting
    }

    /// The partition whose owner knows all permits of a limit.
    pub(super) fn home_of(&self, subject: &Subject) -> Option<PartitionId> {
        let partitions = self.meta.as_ref()?.partitions;
        Some(home::partition_of(subject, partitions))
    }

    /// The home of a limit gives permits.
    pub(super) fn permitted(&mut self, given: &Given) {
        let now = self.now.tick;
        let Some(permit) = self.permits.by_subject.get_mut(&given.subject) else {
            return;
        };
        // What was said twice holds once, and what is said late not at all.
        let asked = permit.asks.iter().find(|(number, _)| *number == given.asked);
        let Some((_, asked_at)) = asked.copied().filter(|_| given.number > permit.seen) else {
            return;
        };
        permit.seen = given.number;
        if given.starts > 0
            && let Some(rate) = permit.rule.rate()
        {
            // It asks when it has none left, so what it had until now came to nothing.
            permit.starts = given.starts;
            permit.starts_until = now + STARTS_VALID.max(rate.time_of(1).min(STARTS_KEPT));
        }
        permit.allowed = given.runs;
        permit.allowed_until = asked_at + VALID;
        permit.is_contended = given.is_contended;
        permit.ask_at = now + given.again;
        self.permits.look_at = self.permits.look_at.min(permit.ask_at);
    }

    /// Whether this node owns the home of `subject`, and since when it leads it and in which term.
    fn leads_home(&self, subject: &Subject) -> Option<(PartitionId, Tick, u64)> {
        let partition = self.home_of(subject)?;
        let replica = self.replicas.get(&GroupId::of(partition))?;
        if !replica.is_settled() || self.is_cut_off(replica) {
            return None;
        }
        let owner = replica.owner.as_ref()?;
        Some((partition, owner.since, owner.term))
    }

    /// An owner asks for permits of a limit whose home is here.
    pub(super) fn permits_asked(&mut self, from: NodeId, ask: AskPermits) {
        let Some((partition, since, term)) = self.leads_home(&ask.subject) else {
            return;
        };
        let rule = match self.ready.gates().limiting().get_key_value(&ask.subject) {
            Some((subject, rule)) => (Arc::clone(subject), rule.clone()),
            // This node has not heard of the rule yet, or the other one not that it is no more.
            None => return,
        };
        let is_alone = self.meta.as_ref().is_some_and(|meta| meta.members.len() == 1);
        let place = home::Place { partition, term, since, is_alone };
        let given = self.homes.asked(place, rule, from, &ask, self.now.tick);
        for (to, given) in given {
            if to == self.node() {
                self.permitted(&given);
            } else {
                self.outbox.send(to, PeerMessage::Permits(given));
            }
        }
    }
}
