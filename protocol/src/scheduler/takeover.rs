//! A group gets a new owner here, or loses it.

use std::collections::BTreeSet;
use std::mem;

use super::replica::{Line, Machine, Owner, Replica};
use super::{Now, Scheduler};
use crate::id::{GroupId, Lessee, PartitionId, TaskId, Token};
use crate::sabotage::{self, Defect};
use crate::task::{Phase, RunEnd};
use crate::time::Span;
use crate::wire::{Answer, OwnerSays, RequestError};

/// An executor that has not answered so long after it was asked is asked again.
const ASK_AGAIN: Span = Span::from_millis(1_000);

impl Scheduler {
    /// This node owns the group from now on: an entry of its own term is applied, so it knows all
    /// that any owner before it decided. The indexes are built from the records, and everyone who
    /// runs a task of the partition is asked what it holds.
    pub(super) fn take_over(&mut self, id: GroupId) {
        let now = self.now.tick;
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        let Some(owner) = &mut replica.owner else {
            return;
        };
        owner.is_settled = true;
        let Some(Machine::Partition(partition)) = &replica.machine else {
            return self.learn_own_meta();
        };
        let partition_id = partition.id();
        let floor = partition.now();
        owner.sure_of = Some(Now { tick: now, wall: floor });
        let (mut ready, mut running) = (Vec::new(), Vec::new());
        let mut scheduled = Vec::new();
        let mut holders = BTreeSet::new();
        for (task, record) in partition.warm_records() {
            match record.phase() {
                Phase::Scheduled { not_before } => scheduled.push((*not_before, task)),
                Phase::Ready => ready.push((record.waits_since(), record.order, task)),
                Phase::Leased(_) if sabotage::has(Defect::ForgetLeases) => {}
                Phase::Leased(lease) => {
                    self.lessees.leased(lease.lessee, task, lease.token, now);
                    let options = &record.template.options;
                    self.guards.leased(lease.lessee, (task, lease.token), options, now);
                    owner.asked.insert(lease.lessee, crate::time::Tick::START);
                    running.push(task);
                    holders.insert(lease.lessee.node);
                }
                Phase::Succeeded(_) | Phase::Dead(_) | Phase::Cancelled | Phase::Expired => {}
            }
            let runs = record.history.as_ref().map(|history| history.runs.as_slice());
            for run in runs.unwrap_or_default().iter().filter(|run| run.end == RunEnd::Unheard) {
                self.lessees.unheard(run.lessee, partition_id);
            }
        }
        for node in holders {
            self.know_by_name(node);
        }
        for task in running {
            self.hold_permit(task);
        }
        for (not_before, task) in scheduled {
            self.index_scheduled(task, not_before);
        }
        ready.sort_unstable();
        for (.., task) in ready {
            self.index_ready(task);
        }
        self.index_jobs(partition_id);
        self.go_on_from(floor);
        self.ask_executors(id);
    }

    /// Asks executors that have not told yet what they hold of a partition.
    pub(super) fn ask_executors(&mut self, id: GroupId) {
        let now = self.now.tick;
        let Some(partition) = id.partition() else {
            return;
        };
        let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) else {
            return;
        };
        let term = owner.term;
        // One that is gone never answers; once its leases are closed nobody waits for it.
        let lessees = &self.lessees;
        owner.asked.retain(|lessee, _| lessees.has_leases(*lessee));
        let mut due = Vec::new();
        for (lessee, asked_at) in &mut owner.asked {
            let is_gone = lessees.is_replaced(*lessee);
            let is_due = *asked_at == crate::time::Tick::START || now.since(*asked_at) > ASK_AGAIN;
            if is_due && !is_gone {
                *asked_at = now;
                due.push(*lessee);
            }
        }
        for lessee in due {
            self.tell(lessee.node, OwnerSays::Ask { lessee, partition, term });
        }
    }

    /// An executor has told what it holds: whatever else was leased to it never got there.
    pub(super) fn holds(
        &mut self,
        lessee: Lessee,
        partition: PartitionId,
        term: u64,
        held: &[(TaskId, Token)],
    ) {
        let Some(owner) = self.owner_mut(partition) else {
            return;
        };
        if owner.term != term || owner.asked.remove(&lessee).is_none() {
            return;
        }
        let held: BTreeSet<&(TaskId, Token)> = held.iter().collect();
        let mut lost = self.lessees.runs_in(lessee, partition);
        lost.retain(|run| !held.contains(run) && run.1.term < term);
        self.release(partition, &lost);
    }

    /// The group is no longer owned here: all that only an owner knows is given up.
    pub(super) fn give_up(&mut self, replica: &mut Replica) {
        let Some(Owner { line, in_flight, reads, .. }) = replica.owner.take() else {
            return;
        };
        let id = replica.group.id();
        let Some(partition) = id.partition() else {
            let waiting = line.meta.into_iter().filter_map(|(origin, _)| origin);
            let proposed = in_flight.into_iter().filter_map(|entry| entry.facts);
            for origin in waiting.chain(proposed) {
                let error = RequestError::NotLeader { leader: None };
                self.answer(origin, Answer::Failed(error));
            }
            return;
        };
        let Line { submissions, cancels, asked, slots, .. } = line;
        let mut origins: Vec<_> = cancels.iter().map(|(origin, _)| *origin).collect();
        origins.extend(asked.iter().map(|(origin, _)| *origin));
        let mut free = slots;
        let mut all = submissions;
        for mut entry in in_flight {
            all.append(&mut entry.submissions);
            free.append(&mut entry.slots);
            origins.extend(entry.cancels.iter().map(|(origin, _)| *origin));
            origins.extend(entry.asked.iter().map(|(origin, _)| *origin));
        }
        for mut submission in all {
            self.leave_line(&submission);
            free.append(&mut submission.slots);
            origins.push(submission.origin);
        }
        for (lessee, pool, count) in free {
            self.hold_again(lessee, pool, count);
        }
        let confirmed = self.confirmed.remove(&id).unwrap_or_default();
        let waiting = reads
            .into_values()
            .chain(confirmed.into_iter().map(|(_, reads)| (self.now.tick, reads)));
        origins.extend(waiting.flat_map(|(_, reads)| reads).filter_map(|read| read.origin()));
        self.ready.forget(partition);
        self.throttled.forget(partition);
        self.permits.forget(partition, self.now.tick);
        self.homes.forget(partition);
        self.timers.forget(partition);
        self.plans.forget(partition);
        self.lessees.forget(partition);
        self.guards.forget(partition);
        for origin in mem::take(&mut origins) {
            let error = RequestError::NotOwner { partition, owner: None };
            self.answer(origin, Answer::Failed(error));
        }
        self.give_up_waits(partition);
        self.give_up_watches(partition);
    }
}
