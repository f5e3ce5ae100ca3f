//! The state machine of one partition: every task that lives in it.
//!
//! Log entries hold [`Command`]s; [`Partition::apply`] carries them out, the same way on every
//! replica, one file per verb: [`accept`], [`lease`], [`report`], [`release`], [`lose`],
//! [`cancel`], [`expire`], [`forget`], [`steer`], and those of [`jobs`]; all of them change a record by taking
//! it in [`hand`], and [`records`] knows where it is. What came of them is told as [`Change`]s, which only the
//! owner listens to.
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
mod records;
mod release;
mod report;
mod shelf;
mod snapshot;
mod steer;
mod stubs;
mod tally;
mod task_groups;
#[cfg(test)]
mod tests;
mod uniques;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::census::Counts;
pub use self::command::{Change, Command, Grant, Loss, Refusal, Report};
use self::jobs::Jobs;
pub use self::jobs::{AlertTask, Fire, JobChange, JobRefusal, Nodes, Precondition, RunNow};
pub use self::limited::KeyRoom;
use self::limited::Limited;
pub use self::proposal::Proposal;
pub(crate) use self::records::Found;
pub use self::records::Look;
use self::records::Records;
pub use self::shelf::{Room, Shelf, Shelves};
pub use self::snapshot::CorruptSnapshot;
pub use self::steer::SteerRefusal;
use self::stubs::Stubs;
use self::tally::Tally;
pub use self::task_groups::TaskGroupCounts;
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
    /// What wall clocks show, as the entry says that is carried out.
    shown: Wall,
    /// Ids made at or before it that are not known here are too old to be new.
    dedup_floor: Wall,
    /// Place in the line of the task that was accepted last.
    order_next: u64,
    records: Records,
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
    /// Finished tasks whose results are kept, for as long as all are.
    pub finished: Shelves<Room>,
    /// Those that are kept for as [long as they say](crate::task::Options::retention).
    pub timed: Room,
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
            shown: Wall::EPOCH,
            dedup_floor: Wall::EPOCH,
            order_next: 0,
            records: Records::default(),
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
    pub fn record(&self, task: TaskId) -> Option<Look<'_>> {
        self.records.get(task)
    }

    /// Where `task` is in its life, unless it is unknown or forgotten. Unlike a look at its
    /// [record](Self::record) it never has to read it.
    #[must_use]
    pub fn state(&self, task: TaskId) -> Option<State> {
        self.records.state(task)
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

    /// All records, by id. Those that are [put away](crate::cold) are read one by one.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (TaskId, Look<'_>)> {
        self.records.iter()
    }

    /// The records in memory, by id. All others belong to tasks that were never leased, and wait for a time: one that
    /// is still to come, or that came while the partition was away.
    pub fn warm_records(&self) -> impl Iterator<Item = (TaskId, &Record)> {
        self.records.warm()
    }

    /// As [`records`](Self::records), of tasks whose ids come before `task`, or of all, without a look at those
    /// that are put away.
    pub(crate) fn found_before(
        &self,
        task: Option<TaskId>,
    ) -> impl DoubleEndedIterator<Item = (TaskId, Found<'_>)> {
        self.records.found_before(task)
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
