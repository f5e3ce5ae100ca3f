//! The state machine of one partition: every task that lives in it.
//!
//! Log entries hold [`Command`]s; [`Partition::apply`] carries them out, the same way on every
//! replica, one file per verb: [`accept`], [`lease`], [`report`], [`release`], [`lose`],
//! [`cancel`], [`expire`], [`forget`]; all of them change a record by taking it in [`hand`]. What came of them is told as [`Change`]s, which only the
//! owner listens to.
//!
//! **Partition time** is the only clock here: it comes with each entry and never goes back.

mod accept;
mod apply;
mod cancel;
mod command;
mod expire;
mod forget;
mod hand;
mod lease;
mod lose;
mod release;
mod report;
mod snapshot;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::command::{Change, Command, Grant, Loss, Proposal, Refusal, Report};
pub use self::snapshot::CorruptSnapshot;
use self::tally::Tally;
use crate::id::{PartitionId, TaskId};
use crate::task::{Record, State, Template};
use crate::time::Wall;

/// All tasks of a partition.
#[derive(Clone, Debug)]
pub struct Partition {
    id: PartitionId,
    /// Partition time: that of the last entry.
    now: Wall,
    /// Ids made at or before it that are not known here are too old to be new.
    dedup_floor: Wall,
    /// Place in the line of the task that was accepted last.
    order_next: u64,
    records: BTreeMap<TaskId, Record>,
    /// What is left of forgotten tasks: how they ended.
    stubs: BTreeMap<TaskId, State>,

    tally: Tally,
    /// Derived from the records and rebuilt with them.
    templates: BTreeSet<Arc<Template>>,
}

/// How full a partition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Tasks that have not ended.
    pub open: usize,
    /// Finished tasks whose results are kept.
    pub finished: usize,
    /// Bytes of those.
    pub finished_bytes: usize,
    /// Forgotten tasks that are still recognised.
    pub stubs: usize,
    /// Bytes of all records.
    pub bytes: usize,
}

impl Partition {
    /// The empty partition `id`.
    #[must_use]
    pub fn new(id: PartitionId) -> Self {
        Self {
            id,
            now: Wall::EPOCH,
            dedup_floor: Wall::EPOCH,
            order_next: 0,
            records: BTreeMap::new(),
            stubs: BTreeMap::new(),
            tally: Tally::default(),
            templates: BTreeSet::new(),
        }
    }

    /// Which partition this is.
    #[must_use]
    pub const fn id(&self) -> PartitionId {
        self.id
    }

    /// Partition time.
    #[must_use]
    pub const fn now(&self) -> Wall {
        self.now
    }

    /// Ids made at or before it that are not known here are refused as too old.
    #[must_use]
    pub const fn dedup_floor(&self) -> Wall {
        self.dedup_floor
    }

    /// The record of `task`, unless it is unknown or forgotten.
    #[must_use]
    pub fn record(&self, task: TaskId) -> Option<&Record> {
        self.records.get(&task)
    }

    /// How a forgotten task ended.
    #[must_use]
    pub fn stub(&self, task: TaskId) -> Option<State> {
        self.stubs.get(&task).copied()
    }

    /// All records, by id.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (TaskId, &Record)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.tally.fill(self.stubs.len())
    }
}
