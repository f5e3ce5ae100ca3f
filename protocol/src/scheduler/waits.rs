//! Waiting for tasks to end.

use std::collections::{BTreeMap, BTreeSet};

use super::Scheduler;
use super::asks::Origin;
use super::list::Room;
use crate::id::TaskId;
use crate::limits::{BATCH_BYTES_MAX, WAITERS_MAX};
use crate::partition::Partition;
use crate::task::{FailureKind, Phase, State};
use crate::time::{Span, Tick};
use crate::wire::{Answer, Ending, RequestError};

/// A wait that another node has not repeated for so long is void: while its caller waits, it does so
/// every few seconds.
const FORGOTTEN_AFTER: Span = Span::from_millis(60_000);
/// So many entries for waits that are over may be left before they are looked for.
const STALE_MAX: usize = 1_024;

/// Who waits for tasks to end.
#[derive(Default)]
pub(super) struct Waits {
    open: BTreeMap<u64, Wait>,
    /// The wait of each request: one that is repeated replaces the one before.
    by_origin: BTreeMap<Origin, u64>,
    /// Tasks and the waits for them, some of which may be over.
    by_task: BTreeSet<(TaskId, u64)>,
    last: u64,
    /// Tasks that open waits miss.
    waiting: usize,
}

struct Wait {
    origin: Origin,
    since: Tick,
    missing: usize,
    endings: Vec<Ending>,
    /// Whether one task is shown, or the ends of many are told.
    shows: bool,
}

impl Waits {
    /// Takes out a wait that is over. Tasks may name it until they end, or too many do.
    fn remove(&mut self, id: u64) -> Option<Wait> {
        let wait = self.open.remove(&id)?;
        self.by_origin.remove(&wait.origin);
        self.waiting -= wait.missing;
        if self.by_task.len() > 2 * self.waiting + STALE_MAX {
            self.by_task.retain(|(_, id)| self.open.contains_key(id));
        }
        Some(wait)
    }

    /// Takes out one of the waits for a task.
    fn pop(&mut self, task: TaskId) -> Option<u64> {
        let (_, id) = *self.by_task.range((task, 0)..=(task, u64::MAX)).next()?;
        self.by_task.remove(&(task, id));
        Some(id)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }
}

impl Scheduler {
    pub(super) fn wait_for(&mut self, origin: Origin, task: TaskId) {
        let state = self.owned(task.partition()).and_then(|p| p.state(task));
        if state.is_none_or(State::is_final) {
            return self.show(origin, task);
        }
        self.add_wait(origin, vec![task], true, false);
        self.answer(origin, Answer::Waiting);
    }

    /// Answers once all of `tasks` have ended. None of them has if `are_new`.
    pub(super) fn wait_for_all(&mut self, origin: Origin, tasks: Vec<TaskId>, are_new: bool) {
        self.add_wait(origin, tasks, false, are_new);
    }

    fn add_wait(&mut self, origin: Origin, tasks: Vec<TaskId>, shows: bool, are_new: bool) {
        if self.waits.waiting + tasks.len() > WAITERS_MAX {
            let what = "callers that wait for tasks to end".to_owned();
            return self.answer(origin, Answer::Failed(RequestError::Overloaded { what }));
        }
        let (mut endings, mut forgotten) = (Vec::new(), None);
        let mut open = tasks;
        if !are_new {
            open.retain(|task| {
                let partition = self.owned(task.partition());
                let Some(ending) = partition.and_then(|p| ending(p, *task)) else {
                    // It ended so long ago that nothing of it is left: nobody will tell of it.
                    let is_open = partition.is_some_and(|p| p.state(*task).is_some());
                    if !is_open {
                        forgotten = Some(*task);
                    }
                    return is_open;
                };
                endings.push(ending);
                false
            });
        }
        if open.is_empty() {
            let answer = match forgotten {
                Some(task) if endings.is_empty() => Answer::Failed(RequestError::NotFound { task }),
                _ => finished(endings),
            };
            return self.answer(origin, answer);
        }
        if let Some(earlier) = self.waits.by_origin.get(&origin).copied() {
            self.waits.remove(earlier);
        }
        self.waits.last += 1;
        let id = self.waits.last;
        // A batch may name a task twice; it ends once.
        let named = open.into_iter().filter(|task| self.waits.by_task.insert((*task, id)));
        let missing = named.count();
        self.waits.waiting += missing;
        endings.reserve(missing);
        let since = self.now.tick;
        self.waits.by_origin.insert(origin, id);
        self.waits.open.insert(id, Wait { origin, since, missing, endings, shows });
    }

    /// A task has ended.
    pub(super) fn tell_waiters(&mut self, task: TaskId) {
        while let Some(id) = self.waits.pop(task) {
            let ending = self.owned(task.partition()).and_then(|p| ending(p, task));
            let Some(wait) = self.waits.open.get_mut(&id) else {
                continue;
            };
            self.waits.waiting -= 1;
            wait.missing -= 1;
            wait.endings.extend(ending);
            if wait.missing > 0 {
                continue;
            }
            if let Some(Wait { origin, endings, shows, .. }) = self.waits.remove(id) {
                if shows {
                    self.show(origin, task);
                } else {
                    self.answer(origin, finished(endings));
                }
            }
        }
    }

    /// Ends waits whose callers are gone, or do not wait any longer.
    pub(super) fn tend_waits(&mut self) {
        let now = self.now.tick;
        let is_over = |wait: &Wait| match wait.origin {
            Origin::Here(id) => !self.asks.is_open(id),
            Origin::Peer(..) => now.since(wait.since) > FORGOTTEN_AFTER,
        };
        let over = self.waits.open.iter().filter(|(_, wait)| is_over(wait));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.waits.remove(id);
        }
    }

    /// The partition changes hands: whoever waits here must wait elsewhere.
    pub(super) fn give_up_waits(&mut self, partition: crate::id::PartitionId) {
        let is_here = |(task, _): &(TaskId, u64)| task.partition() == partition;
        let ids: BTreeSet<u64> =
            self.waits.by_task.iter().filter(|entry| is_here(entry)).map(|(_, id)| *id).collect();
        self.waits.by_task.retain(|entry| !is_here(entry));
        for id in ids {
            if let Some(Wait { origin, .. }) = self.waits.remove(id) {
                let error = RequestError::NotOwner { partition, owner: None };
                self.answer(origin, Answer::Failed(error));
            }
        }
    }
}

/// The ends of many tasks, in one frame: results beyond what fits are left out and must be asked for.
fn finished(mut endings: Vec<Ending>) -> Answer {
    let mut room = Room::new(BATCH_BYTES_MAX);
    for ending in &mut endings {
        room.fit(&mut ending.result, ending.error.as_mut());
    }
    Answer::Finished(endings)
}

/// How a task ended, if it has.
fn ending(partition: &Partition, task: TaskId) -> Option<Ending> {
    let bare = |state: State| Ending { task, state, result: None, error: None };
    if partition.state(task).is_some_and(|state| !state.is_final()) {
        return None;
    }
    let Some(record) = partition.record(task) else {
        return partition.stub(task).map(bare);
    };
    match record.phase() {
        Phase::Scheduled { .. } | Phase::Ready | Phase::Leased(_) => None,
        Phase::Succeeded(result) => {
            Some(Ending { result: Some(result.clone()), ..bare(State::Succeeded) })
        }
        Phase::Dead(failure) => {
            Some(Ending { error: Some((**failure).clone()), ..bare(State::Dead) })
        }
        // What was dropped says why; why an attempt had failed before it was stopped is of no interest.
        Phase::Cancelled => {
            let failure = record.history.as_ref().and_then(|history| history.failure.as_ref());
            let reason = failure.filter(|failure| failure.kind == FailureKind::Dropped);
            let error = reason.map(|reason| (**reason).clone());
            Some(Ending { error, ..bare(State::Cancelled) })
        }
        Phase::Expired => Some(bare(State::Expired)),
    }
}
