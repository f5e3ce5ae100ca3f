//! Records that are put away, and what is needed to find each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::{Due, Entry, Index};
use super::look::Found;
use crate::cold::{Cold, Damaged};
use crate::id::TaskId;
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::partition::snapshot::RecordImage;
use crate::sabotage::{self, Defect};
use crate::task::{GROUP_WEIGHT, RECORD_WEIGHT, Record, Template, UNIQUE_WEIGHT};
use crate::time::{Span, Wall};
use crate::wire::hello::Versions;
use crate::wire::{decode_from, encode_for};

/// The records of a partition that are put away.
#[derive(Debug)]
pub(super) struct ColdRecords {
    cold: Cold,
    index: Index,
    templates: Templates,
    /// What they weigh more than they take in memory.
    saved: usize,
}

/// Templates of records that are put away: each says which by its number.
#[derive(Debug, Default)]
struct Templates {
    numbers: BTreeMap<Arc<Template>, u32>,
    /// Each with how many use it.
    known: BTreeMap<u32, (Arc<Template>, usize)>,
    last: u32,
}

impl ColdRecords {
    pub(super) fn new(cold: Cold) -> Self {
        Self { cold, index: Index::default(), templates: Templates::default(), saved: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.index.len()
    }

    /// What waits for longer is put away.
    pub(super) const fn after(&self) -> Span {
        self.cold.after()
    }

    pub(super) const fn saved(&self) -> usize {
        self.saved
    }

    pub(super) fn first_due(&self) -> Option<Wall> {
        self.index.first_due()
    }

    pub(super) fn has(&self, task: TaskId) -> bool {
        self.index.len() > 0 && self.index.get(task).is_some()
    }

    pub(super) fn template(&self, entry: &Entry) -> Option<&Arc<Template>> {
        self.templates.known.get(&entry.template).map(|(template, _)| template)
    }

    pub(super) fn found(&self) -> impl DoubleEndedIterator<Item = (TaskId, Found<'_>)> {
        self.index.iter().map(|entry| (entry.id, Found::cold(self, *entry)))
    }

    /// The same of those that come before `task`.
    pub(super) fn found_before(
        &self,
        task: TaskId,
    ) -> impl DoubleEndedIterator<Item = (TaskId, Found<'_>)> {
        self.index.iter_before(task).map(|entry| (entry.id, Found::cold(self, *entry)))
    }

    pub(super) fn find(&self, task: TaskId) -> Option<Found<'_>> {
        Some(Found::cold(self, self.index.get(task)?))
    }

    pub(super) fn read(&self, task: TaskId) -> Option<Record> {
        if self.index.len() == 0 {
            return None;
        }
        self.read_entry(&self.index.get(task)?)
    }

    /// What was put away, unless it is damaged: that is noted, and whoever asked must not rely on anything
    /// from then on.
    pub(super) fn read_entry(&self, entry: &Entry) -> Option<Record> {
        self.try_to_read(entry).inspect_err(|why| self.cold.note_damage(why)).ok()
    }

    fn try_to_read(&self, entry: &Entry) -> Result<Record, Damaged> {
        let bytes = self.cold.store().get(entry.place)?;
        let image: RecordImage = decode_from(WRITTEN_IN, &bytes, SNAPSHOT_BYTES_MAX)
            .map_err(|why| Damaged(why.to_string()))?;
        let template = self.template(entry).filter(|_| image.id == entry.id);
        let template = template.ok_or_else(|| Damaged(format!("it is not task {}", entry.id)))?;
        let mut record = image.into_record(Arc::clone(template));
        if sabotage::has(Defect::WarmBare) {
            record.particulars = None;
        }
        Ok(record)
    }

    /// Puts a record away that is looked at again at `due`; whether there was room.
    pub(super) fn put(&mut self, task: TaskId, due: Wall, record: &Record) -> bool {
        let image = RecordImage::of(task, 0, record);
        let Ok(place) = self.cold.store().put(&encode_for(WRITTEN_IN, &image)) else {
            return false;
        };
        let template = self.templates.number(&record.template);
        self.index.insert(Entry { id: task, place, due: Due::at(due), template });
        self.saved += saved_by(record);
        true
    }

    /// A record is not away any more.
    pub(super) fn drop_one(&mut self, task: TaskId, record: &Record) {
        if let Some(entry) = self.index.remove(task) {
            self.cold.store().free(entry.place);
            self.templates.give_back(entry.template);
            self.saved = self.saved.saturating_sub(saved_by(record));
        }
    }

    /// Takes out those that are looked at again by `time`, so many at most.
    pub(super) fn take_due(&mut self, time: Wall, most: usize) -> Vec<(TaskId, Record)> {
        let mut warmed = Vec::new();
        for entry in self.index.due_by(time, most) {
            // One that is damaged stays: it is not to seem as if it had never been.
            if let Some(record) = self.read_entry(&entry) {
                self.drop_one(entry.id, &record);
                warmed.push((entry.id, record));
            }
        }
        warmed
    }
}

/// The room is others'.
impl Drop for ColdRecords {
    fn drop(&mut self) {
        for entry in self.index.iter() {
            self.cold.store().free(entry.place);
        }
    }
}

impl Templates {
    /// The number of `template`, for one more record.
    fn number(&mut self, template: &Arc<Template>) -> u32 {
        // Those that come together mostly share one.
        let is_last =
            self.known.get(&self.last).is_some_and(|(last, _)| Arc::ptr_eq(last, template));
        if !is_last {
            self.last = match self.numbers.get(template) {
                Some(number) => *number,
                None => self.free_number(),
            };
        }
        let number = self.last;
        let known = self.known.entry(number).or_insert_with(|| {
            self.numbers.insert(Arc::clone(template), number);
            (Arc::clone(template), 0)
        });
        known.1 += 1;
        number
    }

    /// One that no template has. There are fewer templates than there are records.
    fn free_number(&self) -> u32 {
        let next = self.known.last_key_value().map_or(0, |(last, _)| last.wrapping_add(1));
        if !self.known.contains_key(&next) {
            return next;
        }
        (0..=u32::MAX).find(|number| !self.known.contains_key(number)).unwrap_or(0)
    }

    /// A record less has that template.
    fn give_back(&mut self, number: u32) {
        if let Some((template, users)) = self.known.get_mut(&number) {
            *users -= 1;
            if *users == 0 {
                self.numbers.remove(template);
                self.known.remove(&number);
            }
        }
    }
}

/// How much less a record takes in memory when it is put away, whatever has happened to it since. What an
/// index over it takes it still does.
fn saved_by(record: &Record) -> usize {
    let said = record.particulars.as_ref().map_or(0, |said| said.weight());
    let key = record.particulars.as_ref().and_then(|said| said.unique_key.as_ref());
    let key = key.map_or(0, |key| key.len() + UNIQUE_WEIGHT);
    let is_grouped = record.particulars.as_ref().is_some_and(|said| said.group.is_some());
    let group = if is_grouped { GROUP_WEIGHT } else { 0 };
    (RECORD_WEIGHT + record.args.len() + said).saturating_sub(COLD_WEIGHT + key + group)
}

/// What is written lives no longer than this program.
const WRITTEN_IN: u16 = Versions::OWN.max;

/// What it takes to find a record that is put away.
const COLD_WEIGHT: usize = 40;
