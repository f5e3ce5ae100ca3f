//! Matching tasks that wait with slots that are free.
//!
//! A task is leased only to a slot that this owner holds ([`slots`](super::slots)): one of its own
//! node first, else one that another executor has granted ([`wishes`](super::wishes)). The property
//! that matters: no slot is idle while a reachable owner has work that it may run.

use std::collections::{BTreeMap, BinaryHeap};
use std::mem;

use super::Scheduler;
use super::ready::{Contest, Head};
use super::replica::{Machine, Replica};
use super::slots::{Choice, take_slots};
use super::submit::Submission;
use crate::id::{GroupId, Lessee, TaskId};
use crate::job::Target;
use crate::partition::Change;
use crate::task::{Row, State};

impl Scheduler {
    /// Leases what waits to slots that are held, and grants slots to submissions in line.
    pub(super) fn assign(&mut self) {
        self.fire_timers();
        self.fire_jobs();
        self.free_due();
        self.ask_for_permits();
        if !self.ready.is_empty() {
            self.assign_ready();
        }
        // Slots that are free now are of no use to those who wait: newcomers may take them.
        self.grant_submissions();
        self.renew_wishes();
    }

    /// Gives every slot that is held to whoever is [first](super::ready) of those that may run there: slots of
    /// this node first.
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
            if self.runs_nothing(lessee.node) {
                continue;
            }
            let is_serving = self.condition_of(lessee.node).is_serving();
            let mut open: Vec<(usize, usize)> = Vec::new();
            for at in self.ready.waited_for().filter(|class| self.is_open(*class)) {
                let class = self.ready.classes().get(at);
                let class = class.filter(|class| self.may_run(lessee.node, class));
                let pool = class.and_then(|class| profile.pool(&class.queue, &class.name));
                let is_fit =
                    || is_serving || self.executors_for(at).iter().any(|(fit, _)| *fit == lessee);
                if let Some(pool) = pool.filter(|pool| self.slots.free(lessee, *pool) > 0)
                    && is_fit()
                {
                    open.push((at, pool));
                }
            }
            let mut contests: BTreeMap<usize, Contest> = BTreeMap::new();
            // Before anybody's turn is looked at.
            for (class, pool) in &open {
                self.ready.competes(*class, *pool, lessee.node == home);
            }
            for (class, pool) in open {
                let turn = self.queue_turn(class, pool);
                contests.entry(pool).or_default().enter(&mut self.ready, class, turn);
            }
            for (pool, contest) in contests {
                self.assign_pool(lessee, pool, contest);
            }
        }
    }

    fn assign_pool(&mut self, lessee: Lessee, pool: usize, mut contest: Contest) {
        while self.slots.free(lessee, pool) > 0 {
            let Some((class, task)) = self.next_of(pool, &mut contest) else {
                return;
            };
            self.pass_gate(class, pool, task);
            self.slots.take(lessee, pool, 1);
            if let Some(line) = self.line(task.partition()) {
                line.leases.entry(lessee).or_default().push(task);
                take_slots(&mut line.slots, lessee, pool, 1);
            }
        }
    }

    /// The next task that may really be leased, and its class.
    fn next_of(&mut self, pool: usize, contest: &mut Contest) -> Option<(usize, TaskId)> {
        loop {
            let head = contest.pop()?;
            let Some(now) = self.ready.head(head.class(), head.priority()) else {
                continue;
            };
            let now = now.at(self.queue_turn(head.class(), pool));
            if now < head {
                // Another class of its queue was served meanwhile, or another took its turn.
                contest.push(now);
                continue;
            }
            if !self.is_open(head.class()) {
                continue;
            }
            let Some((class, others_take_turns)) = contest.next(&mut self.ready, head) else {
                continue;
            };
            let is_open = class == head.class() || self.is_open(class);
            let taken = is_open.then(|| self.ready.pop(class, head.priority())).flatten();
            let mut found = None;
            if let Some(taken) = taken {
                let may_start = self.may_start_now(taken.task);
                self.ready.settle(&taken, may_start, others_take_turns);
                contest.takes_turns(&mut self.ready, class, head.priority());
                found = may_start.then_some((class, taken.task));
            }
            if let Some(left) = self.ready.head(head.class(), head.priority()) {
                contest.push(left.at(self.queue_turn(head.class(), pool)));
            }
            if found.is_some() {
                return found;
            }
        }
    }

    /// What an owner that does not wait for its lease to be committed would do.
    pub(super) fn dispatch_proposed(&mut self, id: GroupId) {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        let newest = replica.owner.as_ref().and_then(|owner| owner.in_flight.back());
        let (Some(Machine::Partition(partition)), Some(newest)) = (&mut replica.machine, newest)
        else {
            return;
        };
        let (committed, mut changes) = (partition.clone(), Vec::new());
        let proposal = newest.proposal.clone();
        partition.apply(newest.index, proposal.term, proposal, &mut changes);
        for change in changes {
            if let Change::Leased { task, token, lessee } = change {
                self.dispatch(task, token, lessee);
            }
        }
        if let Some(replica) = self.replicas.get_mut(&id) {
            replica.machine = Some(Machine::Partition(committed));
        }
    }

    /// Classes in which anybody waits who may start, the most urgent first.
    pub(super) fn classes_by_priority(&self) -> Vec<usize> {
        let open = self.ready.waited_for().filter(|class| self.is_open(*class));
        let heads: BinaryHeap<Head> =
            open.filter_map(|class| self.ready.most_urgent(class)).collect();
        heads.into_sorted_vec().into_iter().rev().map(|head| head.class()).collect()
    }

    /// Whether a task that was first in line may really be leased: the line is not cleaned when a task is
    /// cancelled or leased otherwise.
    fn may_start_now(&mut self, task: TaskId) -> bool {
        let record = self.owned(task.partition()).and_then(|p| p.record(task));
        // One that is scheduled got here because its time had come. If partition time says
        // otherwise the lease has no effect, and it goes back to the timers.
        let waits = record.as_ref().is_some_and(|record| match record.state() {
            State::Ready | State::Scheduled => true,
            State::Leased | State::Succeeded | State::Dead | State::Cancelled | State::Expired => {
                false
            }
        });
        let may_have_key = record.is_some_and(|record| record.particulars.is_some());
        waits && (!may_have_key || self.may_be_leased(task))
    }

    /// Executors that may run a class: this node's own first. Those of nodes that cannot do their part
    /// are among them only if there are no others, and those of nodes that leave or are drained never.
    pub(super) fn executors_for(&self, class: usize) -> Vec<Choice> {
        let Some(class) = self.ready.classes().get(class) else {
            return Vec::new();
        };
        let home = self.node();
        let mut found: Vec<Choice> = (self.lessees.present())
            .filter(|(lessee, _)| self.may_run(lessee.node, class))
            .filter(|(lessee, _)| lessee.node == home || self.is_alive(lessee.node))
            .filter_map(|(lessee, profile)| {
                profile.pool(&class.queue, &class.name).map(|pool| (lessee, pool))
            })
            .collect();
        found.retain(|(lessee, _)| !self.runs_nothing(lessee.node));
        let is_serving = |(lessee, _): &Choice| self.condition_of(lessee.node).is_serving();
        if found.iter().any(is_serving) {
            found.retain(is_serving);
        }
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
        // What waits for the same limit is before it, and may have room by the time that the entry is applied.
        let must_wait = |row: &Row| {
            row.particulars.as_ref().is_some_and(|said| {
                let key = said.limit_key.as_deref();
                said.target != Target::Anywhere || key.is_some_and(|key| self.throttled.waits(key))
            })
        };
        if submission.batch.rows.iter().any(must_wait) {
            return;
        }
        let class = self.ready.class(template, &Target::Anywhere);
        let gate = self.ready.classes().get(class).and_then(|class| class.gate.as_ref());
        if gate.is_some_and(|gate| !gate.is_open()) {
            return;
        }
        let mut rows = u32::try_from(submission.batch.rows.len()).unwrap_or(u32::MAX);
        for (lessee, pool) in self.executors_for(class) {
            let count = self.slots.free(lessee, pool).min(rows);
            if count > 0 {
                self.slots.take(lessee, pool, count);
                submission.slots.push((lessee, pool, count));
                rows -= count;
            }
        }
    }
}
