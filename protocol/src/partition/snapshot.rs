//! A partition as bytes: equal states have equal bytes.
//!
//! A state is written in the version of its newest entry, so that all members can read it, and says which
//! that is; those of version 2 only show by how they begin whether they have jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::jobs::{Jobs, JobsImage};
use super::limited::{BegunImage, Limited};
use super::stubs::Stubs;
use super::uniques::{KeptImage, Uniques};
use super::{Partition, Refusal};
use crate::cold::Cold;
use crate::id::{PartitionId, TaskId};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::sabotage::{self, Defect};
use crate::task::{History, Particulars, Phase, Record, State, Template};
use crate::time::Wall;
use crate::wire::{DecodeError, decode_from, encode_for, grown};

/// What is written. Templates are written once, in the order in which records first use them.
struct Image {
    id: PartitionId,
    now: Wall,
    dedup_floor: Wall,
    order_next: u64,
    finish_next: u64,
    templates: Vec<Template>,
    records: Vec<RecordImage>,
    stubs: Vec<(TaskId, State)>,
    uniques: Vec<KeptImage>,
    turned_away: Vec<(TaskId, Refusal)>,
    begun: Vec<BegunImage>,
}

grown!(Image { id, now, dedup_floor, order_next, finish_next, templates, records, stubs }
    since 3 { uniques = Vec::new(), turned_away = Vec::new(), begun = Vec::new() });

pub(super) struct RecordImage {
    pub(super) id: TaskId,
    template: u32,
    args: Bytes,
    accepted_at: Wall,
    order: u64,
    phase: Phase,
    history: Option<Box<History>>,
    particulars: Option<Box<Particulars>>,
}

grown!(RecordImage { id, template, args, accepted_at, order, phase, history }
    since 3 { particulars = None });

impl RecordImage {
    /// A record, with the place of its template.
    pub(super) fn of(id: TaskId, template: u32, record: &Record) -> Self {
        Self {
            id,
            template,
            args: record.args.clone(),
            accepted_at: record.accepted_at,
            order: record.order,
            phase: record.phase().clone(),
            history: record.history.clone(),
            particulars: record.particulars.clone(),
        }
    }

    /// The record, which has that template.
    pub(super) fn into_record(self, template: Arc<Template>) -> Record {
        let Self { id: _, template: _, args, accepted_at, order, phase, history, particulars } =
            self;
        let mut record =
            Record::new(template, args, accepted_at, order, phase).with_particulars(particulars);
        record.history = history;
        record
    }
}

impl Partition {
    /// The whole state as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut places: BTreeMap<Arc<Template>, u32> = BTreeMap::new();
        let mut templates = Vec::new();
        let mut records = Vec::with_capacity(self.records.len());
        for (id, record) in self.records.iter() {
            let place = *places.entry(Arc::clone(&record.template)).or_insert_with(|| {
                templates.push((*record.template).clone());
                u32::try_from(templates.len() - 1).expect("far fewer templates than records")
            });
            records.push(RecordImage::of(id, place, &record));
        }
        let image = Image {
            id: self.id,
            now: self.now,
            dedup_floor: self.dedup_floor,
            order_next: self.order_next,
            finish_next: self.tally.finish_next,
            templates,
            records,
            stubs: self.stubs.all_ended().collect(),
            uniques: self.uniques.to_image(),
            turned_away: self.stubs.all_turned_away().collect(),
            begun: self.limited.to_image(),
        };
        let jobs = (!self.jobs.is_empty() && !sabotage::has(Defect::ForgetJobs))
            .then(|| self.jobs.to_image());
        let version = self.version;
        let (mut bytes, mut rest) = match (version < MARKED_SINCE, jobs) {
            (true, None) => (Vec::new(), encode_for(version, &image)),
            (true, Some(jobs)) => (vec![WITH_JOBS], encode_for(version, &(image, jobs))),
            (false, jobs) => {
                let [low, high] = version.to_le_bytes();
                (vec![MARK, MARK, low, high], encode_for(version, &(image, jobs)))
            }
        };
        bytes.append(&mut rest);
        bytes
    }

    /// The state that `bytes` hold.
    ///
    /// # Errors
    /// When they are not the bytes of a partition.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CorruptSnapshot> {
        Self::from_bytes_with(bytes, None)
    }

    /// As [`from_bytes`](Self::from_bytes). All that waits for its first start is put away, so that a state of
    /// which millions are due takes no more memory than any other; what comes later is as `cold` says.
    ///
    /// # Errors
    /// When they are not the bytes of a partition.
    pub fn from_bytes_with(bytes: &[u8], cold: Option<&Cold>) -> Result<Self, CorruptSnapshot> {
        let before = MARKED_SINCE - 1;
        let (version, (image, jobs)): (u16, (Image, Option<JobsImage>)) = match bytes {
            [MARK, MARK, low, high, bytes @ ..] => {
                let version = u16::from_le_bytes([*low, *high]);
                (version, decode_from(version, bytes, SNAPSHOT_BYTES_MAX)?)
            }
            [WITH_JOBS, bytes @ ..] => {
                let (image, jobs) = decode_from(before, bytes, SNAPSHOT_BYTES_MAX)?;
                (before, (image, Some(jobs)))
            }
            bytes => (before, (decode_from(before, bytes, SNAPSHOT_BYTES_MAX)?, None)),
        };
        let templates: Vec<Arc<Template>> = image.templates.into_iter().map(Arc::new).collect();
        let mut partition = Self::new(image.id);
        partition.version = version;
        partition.jobs = jobs.map(Jobs::from_image).unwrap_or_default();
        partition.now = image.now;
        partition.dedup_floor = image.dedup_floor;
        partition.order_next = image.order_next;
        partition.tally.finish_next = image.finish_next;
        partition.uniques = Uniques::from_image(image.uniques);
        partition.limited = Limited::from_image(image.begun);
        partition.stubs = Stubs::from_image(image.stubs, image.turned_away);
        if let Some(cold) = cold {
            partition.records.use_cold(cold.clone());
        }
        let mut finished = BTreeMap::new();
        for image in image.records {
            let id = image.id;
            let template = templates
                .get(image.template as usize)
                .ok_or(CorruptSnapshot::NoTemplate { task: id })?;
            let record = image.into_record(Arc::clone(template));
            partition.tally.add(id, &record);
            match partition.templates.get_mut(template) {
                Some(users) => *users += 1,
                None => {
                    partition.tally.bytes += template.weight_kept();
                    partition.templates.insert(Arc::clone(template), 1);
                }
            }
            if record.state().is_final() {
                let order = record.history.as_ref().map_or(0, |history| history.finish_order);
                finished.insert(order, id);
            }
            partition.uniques.restore(id, &record);
            partition.limited.restore(&record);
            partition.records.restore(id, record);
        }
        for task in finished.into_values() {
            if let Some(record) = partition.records.get(task) {
                partition.tally.ended(task, &record);
            }
        }
        Ok(partition)
    }
}

/// No number begins so. Twice, it stands before a state that says its version.
const MARK: u8 = 0xff;
/// Once, it stands before a state of version 2 with jobs; one without begins with a number.
const WITH_JOBS: u8 = MARK;
/// The first version whose states say it.
const MARKED_SINCE: u16 = 3;

/// Bytes that are not those of a partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorruptSnapshot {
    /// They cannot be read.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A record refers to a template that is not there.
    #[error("task {task} refers to a template that the snapshot does not hold")]
    NoTemplate {
        /// The task.
        task: TaskId,
    },
}
