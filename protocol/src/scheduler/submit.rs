//! Taking submissions in, here at their owner.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::asks::Origin;
use super::slots::SlotCount;
use super::{Scheduler, memory};
use crate::id::{GroupId, PartitionId};
use crate::limits::{
    SUBMISSION_BYTES_IN_FLIGHT_MAX, SUBMISSION_TASKS_IN_FLIGHT_MAX, SUBMISSIONS_IN_FLIGHT_MAX,
};
use crate::partition::{Command, Grant, Refusal};
use crate::sabotage::{self, Defect};
use crate::task::Batch;
use crate::wire::{Answer, RequestError};

/// A submission on its way into the log.
pub(super) struct Submission {
    pub(super) origin: Origin,
    pub(super) batch: Arc<Batch>,
    pub(super) bytes: usize,
    /// What its records will take, about.
    pub(super) weight: usize,
    pub(super) wait: bool,
    /// Slots that its first rows are leased to as they are taken in.
    pub(super) slots: Vec<SlotCount>,
}

impl Submission {
    /// What is asked of the partition.
    pub(super) fn accept(&self) -> Command {
        let grant = |(lessee, _, rows): &SlotCount| Grant { lessee: *lessee, rows: *rows };
        Command::Accept {
            batch: Arc::clone(&self.batch),
            grants: self.slots.iter().map(grant).collect(),
        }
    }
}

/// How much is on its way.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    pub(super) submissions: usize,
    pub(super) tasks: usize,
    /// What their records will take, about.
    pub(super) weight: usize,
    /// What other nodes have passed on weighs so much. Requests of this node's clients are counted
    /// where they are kept.
    bytes: usize,
}

impl Scheduler {
    /// Puts a submission in line, if this node owns its partition.
    pub(super) fn submit(&mut self, origin: Origin, batch: Arc<Batch>, wait: bool) {
        // Requests of this node's own callers were checked when they came.
        if let Origin::Peer(..) = origin
            && let Err(error) = batch.check().and_then(|()| batch.check_places(self.partitions()))
        {
            return self.answer(origin, Answer::Failed(error.into()));
        }
        let Some(partition) = batch.rows.first().map(|row| row.id.partition()) else {
            return self.answer(origin, Answer::Submitted { refused: Vec::new(), known: 0 });
        };
        let may_take = self.may_take(partition, batch.rows.len());
        if let Err(error) = may_take.and_then(|()| self.has_memory_for(partition, &batch)) {
            return self.answer(origin, Answer::Failed(error));
        }
        let (bytes, weight) = (batch.weight(), memory::weight(&batch));
        let passed_on = bytes_passed_on(origin, bytes);
        if passed_on > 0
            && let Err(error) = self.has_room_for(passed_on)
        {
            return self.answer(origin, Answer::Failed(error));
        }
        self.on_the_way.submissions += 1;
        self.on_the_way.tasks += batch.rows.len();
        self.on_the_way.bytes += passed_on;
        self.on_the_way.weight += weight;
        let submission = Submission { origin, batch, bytes, weight, wait, slots: Vec::new() };
        if let Some(line) = self.line(partition) {
            line.submissions.push(submission);
        }
        if sabotage::has(Defect::AnswerUncommitted) {
            self.answer(origin, Answer::Submitted { refused: Vec::new(), known: 0 });
        }
    }

    fn may_take(&self, partition: PartitionId, tasks: usize) -> Result<(), RequestError> {
        let group = GroupId::of(partition);
        let owner = self.owner_of(partition);
        let Some(replica) = self.replicas.get(&group).filter(|replica| replica.is_settled()) else {
            return Err(RequestError::NotOwner { partition, owner });
        };
        let Some(needed) = self.meta.as_ref().map(|meta| usize::from(meta.voters_min)) else {
            return Err(RequestError::Forming { missing: "what the cluster is".to_owned() });
        };
        let voters = replica.group.copies().voters.len();
        if voters < needed {
            let missing = format!("{partition} has {voters} of {needed} voting copies");
            return Err(RequestError::Forming { missing });
        }
        let full = |what: &str| Err(RequestError::Overloaded { what: what.to_owned() });
        if self.on_the_way.submissions >= SUBMISSIONS_IN_FLIGHT_MAX {
            return full("submissions on their way to disk");
        }
        if self.on_the_way.tasks + tasks > SUBMISSION_TASKS_IN_FLIGHT_MAX {
            return full("tasks on their way to disk");
        }
        Ok(())
    }

    /// Whether `bytes` more of submissions may be kept here.
    pub(super) fn has_room_for(&self, bytes: usize) -> Result<(), RequestError> {
        if self.asks.bytes() + self.on_the_way.bytes + bytes > SUBMISSION_BYTES_IN_FLIGHT_MAX {
            let what = "bytes of submissions".to_owned();
            return Err(RequestError::Overloaded { what });
        }
        Ok(())
    }

    /// A submission is durable.
    pub(super) fn submitted(
        &mut self,
        submission: Submission,
        refused: Vec<(u32, Refusal)>,
        known: u32,
    ) {
        self.leave_line(&submission);
        let Submission { origin, batch, wait, .. } = submission;
        let waits_for = wait.then(|| {
            let refused: BTreeSet<u32> = refused.iter().map(|(place, _)| *place).collect();
            let rows = (0..).zip(&batch.rows);
            rows.filter(|(place, _)| !refused.contains(place)).map(|(_, row)| row.id).collect()
        });
        self.answer(origin, Answer::Submitted { refused, known });
        if let Some(tasks) = waits_for {
            // What was taken in only now cannot have ended.
            self.wait_for_all(origin, tasks, known == 0);
        }
    }

    pub(super) fn leave_line(&mut self, submission: &Submission) {
        self.on_the_way.submissions -= 1;
        self.on_the_way.tasks -= submission.batch.rows.len();
        self.on_the_way.weight -= submission.weight;
        self.on_the_way.bytes -= bytes_passed_on(submission.origin, submission.bytes);
    }
}

/// What of a submission's `bytes` only its way into the log keeps here.
const fn bytes_passed_on(origin: Origin, bytes: usize) -> usize {
    match origin {
        Origin::Here(_) => 0,
        Origin::Peer(..) => bytes,
    }
}
