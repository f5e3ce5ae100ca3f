//! The state machine of one partition: every task that lives in it.
//!
//! Log entries hold [`Command`]s; [`Partition::apply`] carries them out, the same way on every
//! replica, one file per verb: [`accept`], [`lease`], [`report`], [`release`], [`lose`],
//! [`cancel`], [`expire`], [`forget`], [`steer`], and those of [`jobs`]; all of them change a record by taking it
//! in [`hand`]. What came of them is told as [`Change`]s, which only the owner listens to.
//!
//! **It never outgrows a snapshot.** What is taken in has limits, and what becomes of it is bounded
//! from them: finished records and stubs are dropped, in [`forget`], and runs are forgotten, in
//! [`hand`], before they could fill it. All of that follows from the log alone.
//!
//! **Partition time** is the only clock here: it comes with each entry and never goes back.

mod accept;
mod apply;
mod cancel;
mod census;
mod command;
mod expire;
mod forget;
mod hand;
mod jobs;
mod lease;
mod limited;
mod lose;
mod proposal;
mod release;
mod report;
mod shelf;
mod snapshot;
mod steer;
mod stubs;
mod tally;
#[cfg(test)]
mod tests;
mod uniques;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

pub use self::census::Counts;
pub use self::command::{Change, Command, Grant, Loss, Refusal, Report};
use self::jobs::Jobs;
pub use self::jobs::{AlertTask, Fire, JobChange, JobRefusal, Nodes, Precondition, RunNow};
pub use self::limited::KeyRoom;
use self::limited::Limited;
pub use self::proposal::Proposal;
pub use self::shelf::{Room, Shelf, Shelves};
pub use self::snapshot::CorruptSnapshot;
pub use self::steer::SteerRefusal;
use self::stubs::Stubs;
use self::tally::Tally;
use self::uniques::Uniques;
use crate::id::{PartitionId, TaskId};
use crate::limits::PartitionLimits;
use crate::task::{Record, STUB_WEIGHT, State, Template};
use crate::time::Wall;
use crate::wire::hello::Versions;

/// All tasks of a partition.
#[derive(Clone, Debug)]
pub struct Partition {
    id: PartitionId,
    limits: PartitionLimits,
    /// The newest version of the protocol that an entry was written in: all members understand it, and
    /// the state is written in it.
    version: u16,
    /// Partition time: that of the last entry.
    now: Wall,
    /// Ids made at or before it that are not known here are too old to be new.
    dedup_floor: Wall,
    /// Place in the line of the task that was accepted last.
    order_next: u64,
    records: BTreeMap<TaskId, Record>,
    stubs: Stubs,
    jobs: Jobs,
    uniques: Uniques,
    limited: Limited,

    tally: Tally,
    /// How many records share each. Derived from them and rebuilt with them.
    templates: BTreeMap<Arc<Template>, usize>,
}

/// How full a partition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Tasks that have not ended.
    pub open: usize,
    /// Finished tasks whose results are kept.
    pub finished: Shelves<Room>,
    /// Forgotten tasks that are still recognised, and twice as many as were turned away.
    pub stubs: usize,
    /// Bytes of all records, and of what they share.
    pub bytes: usize,
    /// Bytes of all jobs.
    pub job_bytes: usize,
    /// Bytes of unique keys that outlive their tasks, and of what is remembered of limit keys.
    pub key_bytes: usize,
}

impl Fill {
    /// What all of it takes in memory, about.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.bytes + self.job_bytes + self.key_bytes + self.stubs * STUB_WEIGHT
    }
}

impl Partition {
    /// The empty partition `id`.
    #[must_use]
    pub fn new(id: PartitionId) -> Self {
        Self {
            id,
            limits: PartitionLimits::REAL,
            version: Versions::OWN.min,
            now: Wall::EPOCH,
            dedup_floor: Wall::EPOCH,
            order_next: 0,
            records: BTreeMap::new(),
            stubs: Stubs::default(),
            jobs: Jobs::default(),
            uniques: Uniques::default(),
            limited: Limited::default(),
            tally: Tally::default(),
            templates: BTreeMap::new(),
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
        self.stubs.ended(task)
    }

    /// Why a task was never taken in, if that is decided for good: because of its unique key.
    #[must_use]
    pub fn turned_away(&self, task: TaskId) -> Option<Refusal> {
        self.stubs.turned_away(task)
    }

    /// All records, by id.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (TaskId, &Record)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// The records of tasks whose ids come before `task`; all without one.
    pub fn records_before(
        &self,
        task: Option<TaskId>,
    ) -> impl DoubleEndedIterator<Item = (TaskId, &Record)> {
        let range = (Bound::Unbounded, task.map_or(Bound::Unbounded, Bound::Excluded));
        self.records.range(range).map(|(id, record)| (*id, record))
    }

    /// Queues, names of tasks, and how many of them there are in each state.
    pub fn counts(&self) -> impl Iterator<Item = (&str, &str, Counts)> {
        self.tally.census.iter()
    }

    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let fill = self.tally.fill(self.stubs.len(), self.jobs.bytes());
        Fill { key_bytes: self.uniques.bytes() + self.limited.bytes(), ..fill }
    }
}
