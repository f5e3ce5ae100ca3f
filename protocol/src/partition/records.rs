//! All records of a partition, wherever each is: whoever wants one asks here.
//!
//! A record that waits for its first start and will do so for a while is [cold](crate::cold): it is put away,
//! and [`ColdRecords`] knows where. It is [read](Look) when somebody wants to know what there is to it, and comes
//! back into memory when something becomes of it or when it is about to be due. None of that is a part of the
//! state: what a partition decides does not depend on what is cold.

mod cold;
mod index;
mod look;

use std::collections::BTreeMap;
use std::collections::btree_map::{self, VacantEntry};

use self::cold::ColdRecords;
pub(crate) use self::look::Found;
pub use self::look::Look;
use super::Partition;
use crate::cold::Cold;
use crate::id::TaskId;
use crate::task::{Phase, Record, State};
use crate::time::{Span, Wall};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Records {
    warm: BTreeMap<TaskId, Record>,
    /// Absent if nothing is ever put away.
    cold: Option<Box<ColdRecords>>,
}

/// Where the record of a task is or will be.
pub(super) enum Spot<'a> {
    /// There is none.
    Free(VacantEntry<'a, TaskId, Record>),
    Taken(Look<'a>),
}

impl Records {
    /// Puts away from now on what waits.
    pub(super) fn use_cold(&mut self, cold: Cold) {
        self.cold = Some(Box::new(ColdRecords::new(cold)));
    }

    pub(super) fn len(&self) -> usize {
        self.warm.len() + self.cold_len()
    }

    fn cold_len(&self) -> usize {
        self.cold.as_ref().map_or(0, |cold| cold.len())
    }

    pub(super) fn contains(&self, task: TaskId) -> bool {
        self.warm.contains_key(&task) || self.is_cold(task)
    }

    pub(super) fn is_cold(&self, task: TaskId) -> bool {
        self.cold.as_ref().is_some_and(|cold| cold.has(task))
    }

    /// The record of `task`, read if need be.
    pub(super) fn get(&self, task: TaskId) -> Option<Look<'_>> {
        let here = self.warm.get(&task).map(Look::here);
        here.or_else(|| self.cold.as_ref()?.read(task).map(Look::read))
    }

    /// The record of `task`, without a look at it if it is cold.
    pub(super) fn find(&self, task: TaskId) -> Option<Found<'_>> {
        let here = self.warm.get(&task).map(Found::here);
        here.or_else(|| self.cold.as_ref()?.find(task))
    }

    /// Where it is in its life, which is known without a look at its record.
    pub(super) fn state(&self, task: TaskId) -> Option<State> {
        let here = self.warm.get(&task).map(Record::state);
        here.or_else(|| self.is_cold(task).then_some(State::Scheduled))
    }

    /// Where the record of `task` is, or could be put.
    pub(super) fn spot(&mut self, task: TaskId) -> Spot<'_> {
        if let Some(record) = self.cold.as_ref().and_then(|cold| cold.read(task)) {
            return Spot::Taken(Look::read(record));
        }
        match self.warm.entry(task) {
            btree_map::Entry::Vacant(spot) => Spot::Free(spot),
            btree_map::Entry::Occupied(known) => Spot::Taken(Look::here(known.into_mut())),
        }
    }

    /// A record in memory, to be changed.
    pub(super) fn warm_mut(&mut self, task: TaskId) -> Option<&mut Record> {
        self.warm.get_mut(&task)
    }

    /// What there is to a cold record, to be changed and [put back](Self::put_back).
    pub(super) fn read_cold(&self, task: TaskId) -> Option<Record> {
        self.cold.as_ref()?.read(task)
    }

    /// What was [read](Self::read_cold) may have changed: then it is in memory from now on. If not it stays
    /// away: nobody waits for it but those who were told that it is scheduled.
    pub(super) fn put_back(&mut self, task: TaskId, record: Record) {
        if !rests(task, &record)
            && let Some(cold) = &mut self.cold
        {
            cold.drop_one(task, &record);
            self.warm.insert(task, record);
        }
    }

    /// Adds a record of which there is none yet, for whom it is `now`.
    pub(super) fn insert(&mut self, task: TaskId, record: Record, now: Wall) {
        if let Err(record) = self.put_away(task, record, now) {
            self.warm.insert(task, record);
        }
    }

    /// Adds a record of a state that is restored. Nobody knows whether this copy will lead, nor how many are due
    /// at once: whoever owns them brings them back as there is memory.
    pub(super) fn restore(&mut self, task: TaskId, record: Record) {
        let is_put_away = match &mut self.cold {
            Some(cold) if rests(task, &record) => cold.put(task, looked_at_again(&record), &record),
            Some(_) | None => false,
        };
        if !is_put_away {
            self.warm.insert(task, record);
        }
    }

    /// Puts a record of which there is none yet away, if it will wait for long.
    ///
    /// # Errors
    /// The record, if it is to be kept in memory.
    #[allow(clippy::result_large_err, reason = "it is the record that was given")]
    pub(super) fn put_away(
        &mut self,
        task: TaskId,
        record: Record,
        now: Wall,
    ) -> Result<(), Record> {
        match &mut self.cold {
            Some(cold) if waits_for(task, &record, now) > cold.after() => {
                if cold.put(task, looked_at_again(&record), &record) { Ok(()) } else { Err(record) }
            }
            Some(_) | None => Err(record),
        }
    }

    pub(super) fn remove(&mut self, task: TaskId) -> Option<Record> {
        if let Some(record) = self.warm.remove(&task) {
            return Some(record);
        }
        let cold = self.cold.as_mut()?;
        let record = cold.read(task)?;
        cold.drop_one(task, &record);
        Some(record)
    }

    /// All records by id, without a look at those that are cold.
    pub(super) fn found(&self) -> impl DoubleEndedIterator<Item = (TaskId, Found<'_>)> {
        let cold = self.cold.iter().flat_map(|cold| cold.found());
        look::Merged::new(self.warm.iter().map(|(task, record)| (*task, Found::here(record))), cold)
    }

    /// The same of those that come before `task`, or of all.
    pub(super) fn found_before(
        &self,
        task: Option<TaskId>,
    ) -> impl DoubleEndedIterator<Item = (TaskId, Found<'_>)> {
        let end = task.unwrap_or(TaskId::MAX);
        let warm = self.warm.range(..end).map(|(task, record)| (*task, Found::here(record)));
        let cold = self.cold.iter().flat_map(move |cold| cold.found_before(end));
        look::Merged::new(warm, cold)
    }

    /// All records by id. One that cannot be read is left out.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (TaskId, Look<'_>)> {
        self.found().filter_map(|(task, found)| Some((task, found.look()?)))
    }

    /// Those in memory, by id: all that have started or may start.
    pub(super) fn warm(&self) -> impl Iterator<Item = (TaskId, &Record)> {
        self.warm.iter().map(|(task, record)| (*task, record))
    }
}

/// The copy has everything in memory.
impl Clone for Records {
    fn clone(&self) -> Self {
        let warm = self.iter().map(|(task, record)| (task, record.into_owned())).collect();
        Self { warm, cold: None }
    }
}

/// Whether nothing has happened to a task but that it was taken in, to wait. Tasks of jobs are looked at
/// too often.
fn rests(task: TaskId, record: &Record) -> bool {
    matches!(record.phase(), Phase::Scheduled { .. })
        && record.history.is_none()
        && !task.is_derived()
}

/// For how long nobody looks at a record, if that can be told.
fn waits_for(task: TaskId, record: &Record, now: Wall) -> Span {
    if rests(task, record) { looked_at_again(record).since(now) } else { Span::ZERO }
}

/// When the owner of a task that waits looks at it: it may start, or is given up.
fn looked_at_again(record: &Record) -> Wall {
    let given_up_at = record.given_up_at();
    record.waits_since().min(given_up_at.unwrap_or(Wall::from_millis(u64::MAX)))
}

impl Partition {
    /// The same, which puts away from now on what waits for longer than `cold` says, and at once all that it
    /// has that waits for its first start.
    #[must_use]
    pub fn with_cold(mut self, cold: &Cold) -> Self {
        let mut records = Records::default();
        records.use_cold(cold.clone());
        for (task, record) in self.records.iter() {
            records.restore(task, record.into_owned());
        }
        self.records = records;
        self
    }

    /// How many records are put away.
    #[must_use]
    pub fn cold(&self) -> usize {
        self.records.cold_len()
    }

    /// Whether the record of `task` is put away.
    #[must_use]
    pub fn is_cold(&self, task: TaskId) -> bool {
        self.records.is_cold(task)
    }

    /// No record that is put away is looked at again before, if there is one.
    #[must_use]
    pub fn next_cold(&self) -> Option<Wall> {
        self.records.cold.as_ref()?.first_due()
    }

    /// Brings records back that are looked at again by `time`, so many at most; which.
    pub fn warm(&mut self, time: Wall, most: usize) -> Vec<TaskId> {
        self.records.warm_up(time, most)
    }

    /// What it takes in memory, about: less than what it [weighs](super::Fill::weight) by what is put away.
    #[must_use]
    pub fn memory(&self) -> usize {
        let saved = self.records.cold.as_ref().map_or(0, |cold| cold.saved());
        self.fill().weight().saturating_sub(saved)
    }
}

impl Records {
    fn warm_up(&mut self, time: Wall, most: usize) -> Vec<TaskId> {
        let Some(cold) = &mut self.cold else {
            return Vec::new();
        };
        let warmed = cold.take_due(time, most);
        let tasks = warmed.iter().map(|(task, _)| *task).collect();
        self.warm.extend(warmed);
        tasks
    }
}
