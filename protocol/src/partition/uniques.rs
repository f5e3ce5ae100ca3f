//! Unique keys: which task holds each.
//!
//! Most of it is an index over records: a key is held by a task as long as the task's scope says, and is
//! released by the very change of the task that ends it, so no lock can be left behind. Only keys that are
//! kept for a time outlive their tasks; they are a part of the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::TaskId;
use crate::limits::UNIQUES_KEPT_MAX;
use crate::sabotage::{self, Defect};
use crate::task::{Particulars, Record, State, UniqueScope};
use crate::time::Wall;

/// A key, with the name of the tasks that it is one of.
pub(super) type Key = Arc<str>;

/// Which task holds each key.
#[derive(Clone, Debug, Default)]
pub(super) struct Uniques {
    /// By tasks that have not ended.
    held: BTreeMap<Key, TaskId>,
    /// Until then, whatever becomes of the task.
    kept: BTreeMap<Key, (TaskId, Wall)>,
    /// The latter by their times.
    kept_until: BTreeSet<(Wall, Key)>,
    /// What the latter take.
    bytes: usize,
}

/// A key that is kept for a time, as it is written.
pub(super) type KeptImage = (String, TaskId, Wall);

impl Uniques {
    /// The key of a task called `name`, if it has one.
    pub(super) fn key(name: &str, particulars: Option<&Particulars>) -> Option<Key> {
        let particulars = particulars?;
        let key = particulars.unique_key.as_ref()?;
        // No name has a zero in it, and no number begins with a dash, so no two of them are the same.
        Some(match &particulars.limit_key {
            Some(limit) => format!("{name}\0{}:{limit}{key}", limit.len()).into(),
            None => format!("{name}\0-{key}").into(),
        })
    }

    fn key_of(record: &Record) -> Option<Key> {
        Self::key(&record.template.name, record.particulars.as_deref())
    }

    /// The task that holds `key` at `now`.
    pub(super) fn holder(&self, key: &str, now: Wall) -> Option<TaskId> {
        let kept = || self.kept.get(key).filter(|(_, until)| *until > now).map(|(task, _)| *task);
        self.held.get(key).copied().or_else(kept)
    }

    /// A task was taken in.
    pub(super) fn takes(&mut self, task: TaskId, record: &Record) {
        let Some(key) = Self::key_of(record) else {
            return;
        };
        if let UniqueScope::For(span) = record.template.options.unique_scope() {
            self.keep(Arc::clone(&key), task, record.accepted_at + span);
        }
        if holds(record) {
            self.held.insert(key, task);
        }
    }

    /// A task is no more what it was: its key is free if it does not hold it any longer.
    pub(super) fn look_again(&mut self, task: TaskId, record: &Record) {
        if record.particulars.is_none() || holds(record) {
            return;
        }
        if let Some(key) = Self::key_of(record)
            && self.held.get(&key) == Some(&task)
        {
            self.held.remove(&key);
        }
    }

    /// A task of a state that is read.
    pub(super) fn restore(&mut self, task: TaskId, record: &Record) {
        if holds(record)
            && let Some(key) = Self::key_of(record)
        {
            self.held.insert(key, task);
        }
    }

    fn keep(&mut self, key: Key, task: TaskId, until: Wall) {
        self.bytes += KEPT_WEIGHT + key.len();
        self.kept_until.insert((until, Arc::clone(&key)));
        if let Some((_, before)) = self.kept.insert(Arc::clone(&key), (task, until)) {
            self.bytes -= KEPT_WEIGHT + key.len();
            // It may be the same time: then there is one entry for both.
            if before != until {
                self.kept_until.remove(&(before, key));
            }
        }
    }

    /// The task that a key is kept for does not have it any more: another takes its place.
    pub(super) fn yields(&mut self, key: &str) {
        if let Some((key, (_, until))) = self.kept.remove_entry(key) {
            self.bytes -= KEPT_WEIGHT + key.len();
            self.kept_until.remove(&(until, key));
        }
    }

    /// Drops what was kept until `now`.
    pub(super) fn pass(&mut self, now: Wall) {
        while let Some((until, _)) = self.kept_until.first()
            && *until <= now
            && let Some((_, key)) = self.kept_until.pop_first()
        {
            self.bytes -= KEPT_WEIGHT + key.len();
            self.kept.remove(&key);
        }
    }

    /// Whether no more keys can be kept for a time, and `key` is none of those that are.
    pub(super) fn has_no_room_for(&self, key: &str) -> bool {
        self.kept.len() >= UNIQUES_KEPT_MAX && !self.kept.contains_key(key)
    }

    /// What the memory of those is counted as.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn to_image(&self) -> Vec<KeptImage> {
        let kept = self.kept.iter();
        kept.map(|(key, (task, until))| (key.to_string(), *task, *until)).collect()
    }

    pub(super) fn from_image(image: Vec<KeptImage>) -> Self {
        let mut uniques = Self::default();
        for (key, task, until) in image {
            uniques.keep(key.into(), task, until);
        }
        uniques
    }

    /// Keeps a key of nobody's.
    #[cfg(test)]
    pub(super) fn fill_in_test(&mut self, key: &str, until: Wall) {
        let task = TaskId::new(until, crate::id::PartitionId(0), 0);
        self.keep(key.into(), task, until);
    }

    /// Keys by tasks that have not ended, to be compared with the records.
    #[cfg(test)]
    pub(super) fn held(&self) -> impl Iterator<Item = (&str, TaskId)> {
        self.held.iter().map(|(key, task)| (&**key, *task))
    }
}

/// Whether a task keeps others with its key out.
fn holds(record: &Record) -> bool {
    if record.state().is_final() {
        return false;
    }
    match record.template.options.unique_scope() {
        UniqueScope::For(_) | UniqueScope::UntilFinished
            if sabotage::has(Defect::FreeKey) && record.state() == State::Leased =>
        {
            false
        }
        UniqueScope::UntilStarted => record.state() != State::Leased && !record.waits_again(),
        UniqueScope::UntilFinished | UniqueScope::For(_) => true,
    }
}

/// What a key that is kept is counted as, without its text. Part of the log's meaning, as
/// [`limits`](crate::limits) explains.
const KEPT_WEIGHT: usize = 128;
