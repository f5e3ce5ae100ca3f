//! What follows from entries that were applied: dispatches, answers, indexes.
//!
//! **An entry that cannot be read is passed over**, and an error is told. Owners only propose what
//! all members can read, so what one copy cannot read no copy can: passing it over is the same step
//! everywhere, and all copies stay equal. It can only come from a bug of ours or of another member,
//! which must not bring down whoever receives it, now and at every start from then on. It cannot come
//! from a disk: the store checks sums, and gives up a copy whose log was damaged, before anything of
//! it gets here. Nobody waits for such an entry either, as its owner would have read what it wrote.

use std::mem;

use super::replica::{InFlight, Machine, Replica};
use super::slots::SlotCount;
use super::timers::Due;
use super::{Effect, Scheduler};
use crate::durable::LogEntry;
use crate::id::{GroupId, Lessee, PartitionId, TaskId, Token};
use crate::job::Target;
use crate::membership::Liveness;
use crate::partition::{Change, Partition, Proposal};
use crate::sabotage::{self, Defect};
use crate::task::{Phase, State, View};
use crate::time::Wall;
use crate::wire::{Answer, Dispatch};

impl Scheduler {
    /// Applies committed entries of a group.
    pub(super) fn apply(&mut self, id: GroupId, committed: &[LogEntry]) {
        let mut changes = Vec::new();
        for entry in committed {
            let Some(replica) = self.replicas.get_mut(&id) else {
                return;
            };
            match &mut replica.machine {
                Some(Machine::Meta(meta)) => {
                    let result = match meta.apply(entry) {
                        Ok(result) => result,
                        Err(why) => {
                            self.pass_over(id, entry.index, why.to_string());
                            continue;
                        }
                    };
                    let meta = meta.clone();
                    let owner = (replica.owner.as_mut())
                        .filter(|owner| owner.is_settled && owner.term == entry.term);
                    let asked = owner.and_then(|owner| owner.applied(entry.index)?.facts);
                    self.learn_meta(meta);
                    if let Some(origin) = asked {
                        let done = match result {
                            Err(why) => Answer::Failed(why.into()),
                            Ok(None) => Answer::Done,
                            Ok(Some(verdict)) => Answer::File(verdict),
                        };
                        self.answer(origin, done);
                    }
                }
                Some(Machine::Partition(partition)) => {
                    // What was proposed in another term is no longer waited for here, even if its
                    // place is.
                    let owner = (replica.owner.as_mut())
                        .filter(|owner| owner.is_settled && owner.term == entry.term);
                    let mut in_flight =
                        owner.and_then(|owner| owner.applied(entry.index)).unwrap_or_default();
                    let mut proposal = if in_flight.index == entry.index {
                        mem::take(&mut in_flight.proposal)
                    } else {
                        match Proposal::from_bytes(&entry.data) {
                            Ok(proposal) => proposal,
                            Err(why) => {
                                self.pass_over(id, entry.index, why.to_string());
                                continue;
                            }
                        }
                    };
                    if sabotage::has(Defect::LocalTime) {
                        proposal.at = self.now.wall;
                    }
                    partition.apply(entry.index, entry.term, proposal, &mut changes);
                    self.after_entry(id, entry.term, in_flight, &mut changes);
                }
                None => unreachable!("entries follow a state"),
            }
        }
    }

    /// An entry has no effect, as it makes no sense.
    pub(super) fn pass_over(&mut self, group: GroupId, index: u64, why: String) {
        self.outbox.effects.push(Effect::PassedOver { group, index, why });
    }

    /// Draws the owner's conclusions from one entry.
    fn after_entry(
        &mut self,
        id: GroupId,
        term: u64,
        mut in_flight: InFlight,
        changes: &mut Vec<Change>,
    ) {
        let owner = self.replicas.get_mut(&id).and_then(Replica::settled);
        if owner.is_none_or(|owner| owner.term != term) {
            changes.clear();
            return;
        }
        let slots = in_flight.take_slots();
        let InFlight { submissions, cancels, asked, .. } = in_flight;
        self.take_back_slots(slots, changes);
        let mut submissions = submissions.into_iter();
        let mut asked = asked.into_iter();
        for change in changes.drain(..) {
            match change {
                Change::Accepted { ordinal: _, refused, known, unused: _ } => {
                    if let Some(submission) = submissions.next() {
                        self.submitted(submission, refused, known);
                    }
                }
                Change::Ready { task } => self.index_ready(task),
                Change::Scheduled { task, not_before } => self.index_scheduled(task, not_before),
                Change::KeyFreed { key } => self.free_key(&key),
                Change::Leased { task, token, lessee } => {
                    self.settle_throttled(task, true);
                    self.flow.begun(
                        self.replicas.get(&id).and_then(Replica::partition),
                        task,
                        self.now.tick,
                    );
                    self.leased(task, token, lessee);
                }
                Change::NotLeased { task, lessee: _ } => {
                    // Another entry may have leased it, so that it runs.
                    let partition = self.owned(task.partition());
                    if partition.and_then(|it| it.state(task)) != Some(State::Leased) {
                        self.permits.release(task);
                    }
                    self.settle_throttled(task, false);
                    self.not_leased(task);
                }
                Change::Closed { task, token, lessee } => {
                    self.permits.release(task);
                    self.closed(task, token, lessee);
                }
                Change::ClosedAlready { task, token, lessee } => self.closed(task, token, lessee),
                Change::Lost { task, token, lessee } => {
                    self.permits.release(task);
                    self.guards.closed(task, token);
                    self.lessees.closed(lessee, task, token);
                }
                Change::Stop { task, token, lessee } => {
                    self.outbox.stop(lessee.node, task, token);
                }
                Change::Finished { task } => {
                    self.settle_throttled(task, false);
                    self.permits.release(task);
                    self.flow.ended(
                        self.replicas.get(&id).and_then(Replica::partition),
                        task,
                        self.now.tick,
                    );
                    self.tell_waiters(task);
                    self.end_watches(task);
                }
                Change::Steered { task: _, result } => {
                    if let Some((origin, _)) = asked.next() {
                        let done = |()| Answer::Done;
                        let answer = result.map_or_else(|why| Answer::Failed(why.into()), done);
                        self.answer(origin, answer);
                    }
                }
                Change::JobChanged { job: _, result } => {
                    if let Some((origin, _)) = asked.next() {
                        let done = |()| Answer::Done;
                        let answer = result.map_or_else(|why| Answer::Failed(why.into()), done);
                        self.answer(origin, answer);
                    }
                }
                Change::JobDue { job } => self.index_job(&job),
                Change::JobFull { job } => self.job_is_full(&job),
                Change::JobNotice { job } => self.index_notice(job),
            }
        }
        for (origin, task) in cancels {
            self.show(origin, task);
        }
    }

    pub(super) fn index_ready(&mut self, task: TaskId) {
        let replica = self.replicas.get(&GroupId::of(task.partition()));
        let partition = replica.and_then(|r| r.partition());
        if let Some(partition) = partition
            && let Some(record) = partition.record(task)
        {
            let target = partition.target(task, &record);
            if let Some(at) = record.given_up_at() {
                self.timers.insert(at, task, Due::Expire);
            }
            if record.particulars.is_none() || !self.throttle(task) {
                self.join_line(task, &target);
            }
        }
    }

    fn join_line(&mut self, task: TaskId, target: &Target) {
        let replica = self.replicas.get(&GroupId::of(task.partition()));
        if let Some(record) = replica.and_then(|r| r.partition()).and_then(|p| p.record(task)) {
            self.ready.push(&record, target, task);
        }
    }

    pub(super) fn index_scheduled(&mut self, task: TaskId, not_before: Wall) {
        let Some(partition) = self.owned(task.partition()) else {
            return;
        };
        if partition.is_cold(task) {
            // It is brought back in time.
            return;
        }
        let given_up_at = partition.record(task).and_then(|record| record.given_up_at());
        self.timers.insert(not_before, task, Due::Start);
        if let Some(at) = given_up_at {
            self.timers.insert(at, task, Due::Expire);
        }
    }

    fn leased(&mut self, task: TaskId, token: Token, lessee: Lessee) {
        let partition = task.partition();
        if self.may_start(lessee) && !self.is_losing(partition, lessee) {
            self.lessees.leased(lessee, task, token, self.now.tick);
            self.hold_permit(task);
            self.tell_of_start(task);
            return self.dispatch(task, token, lessee);
        }
        // It went while the lease was on its way into the log, and may be back; but if its loss is on its
        // way, too, that ends whatever is leased to it until then. Nobody but this owner could have told
        // it of the run, and nobody has. Nor may anybody do so while it is taken back, so it is not among
        // those that are dispatched again.
        self.release(partition, &[(task, token)]);
        // The executor still counts its slot as one of this owner's.
        let record = self.owned(partition).and_then(|partition| partition.record(task));
        if let Some(pool) = record.and_then(|record| self.lessees.pool(lessee, &record.template)) {
            self.hold_again(lessee, pool, 1);
        }
    }

    /// Whether the loss of an executor is on its way into the log of `partition`: it ends all that is
    /// leased there before it, whatever is known of the executor by then.
    pub(super) fn is_losing(&self, partition: PartitionId, lessee: Lessee) -> bool {
        let replica = self.replicas.get(&GroupId::of(partition));
        let owner = replica.and_then(|replica| replica.owner.as_ref());
        owner.is_some_and(|owner| owner.losing.contains(&lessee))
    }

    /// Whether an executor would start a run that it is given now, as far as is known.
    fn may_start(&self, lessee: Lessee) -> bool {
        self.is_present(lessee)
            && self.liveness(lessee.node) != Liveness::Down
            && !self.runs_nothing(lessee.node)
    }

    /// Sends a run to its executor, for the first time or once more.
    pub(super) fn dispatch(&mut self, task: TaskId, token: Token, lessee: Lessee) {
        let id = GroupId::of(task.partition());
        let Some(replica) = self.replicas.get(&id) else {
            return;
        };
        let term = replica.group.term();
        let Some(record) = replica.partition().and_then(|partition| partition.record(task)) else {
            return;
        };
        let Phase::Leased(lease) = record.phase() else {
            return;
        };
        if lease.token != token {
            return;
        }
        let failures = record.history.as_ref().map_or(0, |history| history.failures);
        let by = record.ends_by(self.partition_time(id), self.shown_time(id));
        let time_left = record.deadline().map(|deadline| deadline.since(by));
        let dispatch = Dispatch {
            task,
            token,
            attempt: failures.saturating_add(1),
            template: 0,
            args: record.args.clone(),
            term,
            time_left,
            metadata: record.metadata().filter(|_| !sabotage::has(Defect::LoseSaid)).cloned(),
        };
        let template = std::sync::Arc::clone(&record.template);
        self.guards.leased(lessee, (task, token), &template.options, self.now.tick);
        self.outbox.dispatch(lessee, &template, dispatch);
    }

    /// Slots that an entry was to take, and did not: a task was cancelled meanwhile, say, or a row
    /// was known already.
    fn take_back_slots(&mut self, mut slots: Vec<SlotCount>, changes: &[Change]) {
        let is_spare = |change: &Change| match change {
            Change::NotLeased { .. } => true,
            Change::Accepted { unused, .. } => !unused.is_empty(),
            Change::Ready { .. }
            | Change::KeyFreed { .. }
            | Change::Scheduled { .. }
            | Change::Leased { .. }
            | Change::Closed { .. }
            | Change::ClosedAlready { .. }
            | Change::Lost { .. }
            | Change::Stop { .. }
            | Change::Finished { .. }
            | Change::Steered { .. }
            | Change::JobChanged { .. }
            | Change::JobDue { .. }
            | Change::JobFull { .. }
            | Change::JobNotice { .. } => false,
        };
        if !changes.iter().any(is_spare) {
            return;
        }
        for change in changes {
            let Change::Leased { task, token: _, lessee } = change else {
                continue;
            };
            let record = self.owned(task.partition()).and_then(|p| p.record(*task));
            let pool = record.and_then(|record| self.lessees.pool(*lessee, &record.template));
            let taken = slots.iter_mut().find(|(holder, of, count)| {
                holder == lessee && pool.is_none_or(|pool| pool == *of) && *count > 0
            });
            if let Some((_, _, count)) = taken {
                *count -= 1;
            }
        }
        for (lessee, pool, count) in slots {
            self.hold_again(lessee, pool, count);
        }
    }

    /// A task that was to be leased is not: its time has not come, or has passed.
    fn not_leased(&mut self, task: TaskId) {
        let Some(partition) = self.owned(task.partition()) else {
            return;
        };
        let (_, shown) = self.times_of(partition);
        let Some(record) = partition.record(task) else {
            return;
        };
        let is_late = record.is_overdue(record.ends_by(partition.now(), shown));
        match record.state() {
            State::Ready if !is_late => self.index_ready(task),
            State::Scheduled if !is_late => {
                self.timers.insert_again(self.now.tick, task, Due::Start);
            }
            State::Scheduled | State::Ready => {
                self.timers.insert_again(self.now.tick, task, Due::Expire);
            }
            State::Leased | State::Succeeded | State::Dead | State::Cancelled | State::Expired => {}
        }
    }

    fn closed(&mut self, task: TaskId, token: Token, lessee: Lessee) {
        self.guards.closed(task, token);
        self.lessees.closed(lessee, task, token);
        self.outbox.closed(lessee.node, task, token);
    }

    /// What is to be looked after once all committed entries are applied.
    pub(super) fn after_apply(&mut self, id: GroupId, copies_changed: bool) {
        if copies_changed {
            if let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) {
                owner.best = None;
            }
            // The next step of a move need not wait for the next upkeep.
            self.move_copies(id);
        }
        if id == GroupId::META {
            self.answer_joins();
        }
        self.retain(id);
        self.serve_confirmed(id);
    }

    /// The answer for a task that is on record here.
    pub(super) fn view_of(partition: &Partition, task: TaskId) -> Option<Answer> {
        let record = partition.record(task)?;
        Some(Answer::View(Box::new(View::of(task, &record))))
    }
}
