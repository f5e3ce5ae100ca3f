//! What people do with tasks that do not run: try those again that have ended, or drop them, or withdraw those that
//! wait.

use std::sync::Arc;

use super::tally::kept_until;
use super::uniques::Uniques;
use super::{Change, Partition, Shelf};
use crate::id::TaskId;
use crate::limits::ID_AHEAD_MAX;
use crate::task::{Options, Particulars, Phase, Record, State, Template, UniqueScope};
use crate::time::Span;

/// Why nothing was done with a task. Nothing has changed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
pub enum SteerRefusal {
    /// There is no record of it.
    #[error(
        "no task {task} is known, or it was tried again or dropped already; `umbel task list` shows what there is"
    )]
    NotFound {
        /// The task.
        task: TaskId,
    },
    /// It has not ended.
    #[error("the task {task} has not ended; cancel it first")]
    NotEnded {
        /// The task.
        task: TaskId,
    },
    /// It ended well.
    #[error("the task {task} has succeeded; submit its work anew if it is to be done once more")]
    Succeeded {
        /// The task.
        task: TaskId,
    },
    /// It is of a job.
    #[error("the task {task} is of a job; run the job with `umbel job run`")]
    OfJob {
        /// The task.
        task: TaskId,
    },
    /// Another task has its unique key.
    #[error("the task {holder} has the unique key of that one; wait for it to end")]
    NotUnique {
        /// That one.
        holder: TaskId,
    },
    /// The partition is full.
    #[error("the partition of this task is full; wait for the nodes to catch up, then try again")]
    Overloaded,
    /// The id of the new task cannot be used: it is too old, of another partition, or its clock is ahead.
    #[error(
        "the id of the new task is of no use; make another now, in the partition of the old one"
    )]
    UnusableId,
    /// It has started, or has ended.
    #[error("the task {task} does not wait any more: it has started; cancel it if it is to stop")]
    NotWaiting {
        /// The task.
        task: TaskId,
    },
}

impl Partition {
    /// Begins a task anew under another `id`, that has ended and not well. What is left of the old one is
    /// how it ended.
    pub(super) fn retry(&mut self, task: TaskId, id: TaskId, changes: &mut Vec<Change>) {
        let result = self.begin_anew(task, id, changes);
        changes.push(Change::Steered { task, result });
    }

    /// Drops the record of a task that has ended.
    pub(super) fn delete(&mut self, task: TaskId, changes: &mut Vec<Change>) {
        let result = match self.records.state(task) {
            None => Err(SteerRefusal::NotFound { task }),
            Some(state) if !state.is_final() => Err(SteerRefusal::NotEnded { task }),
            Some(_) => {
                self.drop_finished(task);
                self.cut_stubs();
                Ok(())
            }
        };
        changes.push(Change::Steered { task, result });
    }

    /// Ends a task that waits; one that runs is left alone.
    pub(super) fn withdraw(&mut self, task: TaskId, changes: &mut Vec<Change>) {
        let result = match self.records.state(task) {
            None => Err(SteerRefusal::NotFound { task }),
            Some(State::Scheduled | State::Ready) => {
                self.cancel(task, changes);
                Ok(())
            }
            // It was said twice.
            Some(State::Cancelled) => Ok(()),
            Some(State::Leased | State::Succeeded | State::Dead | State::Expired) => {
                Err(SteerRefusal::NotWaiting { task })
            }
        };
        changes.push(Change::Steered { task, result });
    }

    fn begin_anew(
        &mut self,
        task: TaskId,
        id: TaskId,
        changes: &mut Vec<Change>,
    ) -> Result<(), SteerRefusal> {
        if self.records.contains(id) || self.stubs.ended(id).is_some() {
            // It was said twice.
            return Ok(());
        }
        let old = self.records.get(task).ok_or(SteerRefusal::NotFound { task })?;
        match old.state() {
            State::Dead | State::Cancelled | State::Expired => {}
            State::Succeeded => return Err(SteerRefusal::Succeeded { task }),
            State::Scheduled | State::Ready | State::Leased => {
                return Err(SteerRefusal::NotEnded { task });
            }
        }
        if task.is_derived() {
            return Err(SteerRefusal::OfJob { task });
        }
        let is_usable = id.partition() == self.id
            && !id.is_derived()
            && self.stubs.turned_away(id).is_none()
            && id.made_at() > self.dedup_floor
            && id.made_at() <= self.now.max(self.shown) + ID_AHEAD_MAX;
        if !is_usable {
            return Err(SteerRefusal::UnusableId);
        }
        if self.tally.is_full(&self.limits) {
            return Err(SteerRefusal::Overloaded);
        }
        let key = Uniques::key(&old.template.name, old.particulars.as_deref());
        let holder = key.and_then(|key| self.uniques.holder(&key, self.now));
        if let Some(holder) = holder.filter(|holder| *holder != task) {
            return Err(SteerRefusal::NotUnique { holder });
        }
        let is_kept = matches!(old.template.options.unique_scope(), UniqueScope::For(_));
        let key = Uniques::key(&old.template.name, old.particulars.as_deref());
        if is_kept && key.is_some_and(|key| self.uniques.has_no_room_for(&key)) {
            return Err(SteerRefusal::Overloaded);
        }
        let record = self.anew(task);
        self.drop_finished(task);
        self.cut_stubs();
        if let Some(record) = record {
            self.tally.add(id, &record);
            self.uniques.takes(id, &record);
            self.records.insert(id, record, self.now);
            changes.push(Change::Ready { task: id });
        }
        Ok(())
    }

    /// The record of the same work, to be done at once, whenever it was to be done.
    fn anew(&mut self, task: TaskId) -> Option<Record> {
        let old = self.records.get(task)?;
        let mut template = Arc::clone(&old.template);
        let Options { delay, expires_at, .. } = template.options;
        if !delay.is_zero() || expires_at.is_some() {
            let options =
                Options { delay: Span::ZERO, expires_at: None, ..template.options.clone() };
            template = Arc::new(Template { options, ..Template::clone(&template) });
        }
        let said = old.particulars.as_deref().unwrap_or(&Particulars::NONE);
        let particulars = Particulars { not_before: None, retry_of: Some(task), ..said.clone() };
        let args = old.args.clone();
        let template = self.share(template);
        self.order_next += 1;
        let record = Record::new(template, args, self.now, self.order_next, Phase::Ready);
        Some(record.with_particulars(particulars.boxed()))
    }

    /// One record more has `template`: that which others have, if it is the same.
    fn share(&mut self, template: Arc<Template>) -> Arc<Template> {
        if let Some((known, _)) = self.templates.get_key_value(&template) {
            let known = Arc::clone(known);
            if let Some(users) = self.templates.get_mut(&known) {
                *users += 1;
            }
            return known;
        }
        self.tally.bytes += template.weight_kept();
        self.templates.insert(Arc::clone(&template), 1);
        template
    }

    /// Turns the record of a task that has ended into a stub.
    fn drop_finished(&mut self, task: TaskId) {
        let records = &self.records;
        let ended_at = |task: &TaskId| {
            let record = records.get(*task);
            let history = record.as_ref().and_then(|record| record.history.as_ref());
            history.map_or(0, |history| history.finish_order)
        };
        let order = ended_at(&task);
        if let Some(until) = records.get(task).and_then(|record| kept_until(&record)) {
            self.tally.timed.remove(&(until, task));
            return self.leave_stub(task);
        }
        let Some(shelf) = records.state(task).and_then(Shelf::of) else {
            return;
        };
        let tasks = &mut self.tally.finished[shelf].tasks;
        if let Ok(place) = tasks.binary_search_by_key(&order, ended_at) {
            tasks.remove(place);
        }
        self.leave_stub(task);
    }
}
