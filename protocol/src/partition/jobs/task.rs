//! The tasks of jobs: their ids follow from what they are for, so that they cannot be made twice.

use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::id::{NodeId, TaskId};
use crate::job::JobName;
use crate::partition::{Change, Partition};
use crate::sabotage::{self, Defect};
use crate::task::{Particulars, Phase, RECORD_WEIGHT, Record, Template};
use crate::time::Wall;

/// What a task of a job is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// A tick, or on that node.
    Tick(Option<NodeId>),
    /// A run that somebody asked for, or on that node.
    ByHand(Option<NodeId>),
    /// The alert of this number.
    Alert(u64),
}

impl Partition {
    /// The id of the task of `job` for `purpose` at `tick`.
    pub(super) fn job_task(&self, job: &JobName, tick: Wall, purpose: Purpose) -> TaskId {
        let (kind, number) = match purpose {
            Purpose::Tick(node) => (0, node.map_or(0, |node| node.0)),
            Purpose::ByHand(node) => (1, node.map_or(0, |node| node.0)),
            Purpose::Alert(number) => (2, u128::from(number)),
        };
        let mut key = Vec::with_capacity(job.as_str().len() + 26);
        key.extend_from_slice(job.as_str().as_bytes());
        // No name has a zero in it, so no two keys are the same.
        key.extend_from_slice(&[0, kind]);
        key.extend_from_slice(&tick.as_millis().to_le_bytes());
        key.extend_from_slice(&number.to_le_bytes());
        if sabotage::has(Defect::FireAgain) {
            key.extend_from_slice(&self.order_next.to_le_bytes());
        }
        TaskId::derived(tick, self.id, xxh3_64(&key))
    }

    /// Whether there is room for so many tasks with `args`, of each of which `said` is said.
    pub(super) fn has_room_for(
        &self,
        tasks: usize,
        args: &Bytes,
        said: Option<&Particulars>,
    ) -> bool {
        let said = said.map_or(0, Particulars::weight);
        let bytes = tasks * (RECORD_WEIGHT + args.len() + said);
        self.tally.open + tasks <= self.limits.tasks
            && self.tally.bytes + bytes <= self.limits.bytes
    }

    /// Whether a task of this id is or was here, as far as that is remembered.
    pub(super) fn is_known(&self, id: TaskId) -> bool {
        self.records.contains(id) || self.stubs.ended(id).is_some()
    }

    /// Creates a task, unless it was created before; whether it was not.
    pub(super) fn create(
        &mut self,
        id: TaskId,
        template: &Template,
        args: &Bytes,
        said: Option<&Particulars>,
        changes: &mut Vec<Change>,
    ) -> bool {
        if self.is_known(id) {
            return false;
        }
        let shared = match self.templates.get_key_value(template) {
            Some((shared, _)) => Arc::clone(shared),
            None => {
                self.tally.bytes += template.weight_kept();
                Arc::new(template.clone())
            }
        };
        *self.templates.entry(Arc::clone(&shared)).or_insert(0) += 1;
        self.order_next += 1;
        let record = Record::new(shared, args.clone(), self.now, self.order_next, Phase::Ready)
            .with_particulars(said.cloned().map(Box::new));
        self.tally.add(id, &record);
        self.records.insert(id, record, self.now);
        changes.push(Change::Ready { task: id });
        true
    }
}
