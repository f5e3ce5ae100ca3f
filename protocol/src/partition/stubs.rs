//! What is left of tasks that have no record: how those ended that were forgotten, and why others were
//! never taken in.
//!
//! A submission may come again, from whoever passed it on or did not hear the answer, and must be told the
//! same: a task that ended does not run a second time, and one that was turned away because of its unique
//! key does not start after all, behind the back of a caller who knows it refused, once the key is free.

use std::collections::BTreeMap;

use super::Refusal;
use crate::id::{PartitionId, TaskId};
use crate::task::State;
use crate::time::{Span, Wall};

/// What is left of tasks, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stubs {
    ended: BTreeMap<TaskId, State>,
    turned_away: BTreeMap<TaskId, Refusal>,
}

/// What a refusal is counted as: it names another task besides its own.
const TURNED_AWAY: usize = 2;

impl Stubs {
    pub(super) fn from_image(
        ended: Vec<(TaskId, State)>,
        turned_away: Vec<(TaskId, Refusal)>,
    ) -> Self {
        Self { ended: ended.into_iter().collect(), turned_away: turned_away.into_iter().collect() }
    }

    /// How a forgotten task ended.
    pub(super) fn ended(&self, task: TaskId) -> Option<State> {
        look_up(&self.ended, task)
    }

    /// Why a task was never taken in.
    pub(super) fn turned_away(&self, task: TaskId) -> Option<Refusal> {
        look_up(&self.turned_away, task)
    }

    pub(super) fn end(&mut self, task: TaskId, state: State) {
        self.ended.insert(task, state);
    }

    pub(super) fn turn_away(&mut self, task: TaskId, refusal: Refusal) {
        self.turned_away.insert(task, refusal);
    }

    /// How many stubs that is; a refusal counts as two.
    pub(super) fn len(&self) -> usize {
        self.ended.len() + TURNED_AWAY * self.turned_away.len()
    }

    /// Drops those of ids made at or before `floor`.
    pub(super) fn cut(&mut self, floor: Wall) {
        let first_kept = TaskId::new(floor + Span::from_millis(1), PartitionId(0), 0);
        self.ended = self.ended.split_off(&first_kept);
        self.turned_away = self.turned_away.split_off(&first_kept);
    }

    /// When the id of the last of the first `count` was made, if there are so many.
    pub(super) fn made_at(&self, count: usize) -> Option<Wall> {
        let mut ended = self.ended.keys().peekable();
        let mut turned_away = self.turned_away.keys().peekable();
        let mut passed = 0;
        loop {
            let (task, size) = match (ended.peek(), turned_away.peek()) {
                (Some(one), Some(other)) if one > other => (turned_away.next()?, TURNED_AWAY),
                (None, _) => (turned_away.next()?, TURNED_AWAY),
                (Some(_), _) => (ended.next()?, 1),
            };
            passed += size;
            if passed >= count {
                return Some(task.made_at());
            }
        }
    }

    /// Whether any is of an id made at or before `floor`.
    pub(super) fn has_before(&self, floor: Wall) -> bool {
        let first = [self.ended.keys().next(), self.turned_away.keys().next()];
        first.into_iter().flatten().any(|task| task.made_at() <= floor)
    }

    pub(super) fn all_ended(&self) -> impl Iterator<Item = (TaskId, State)> {
        self.ended.iter().map(|(task, state)| (*task, *state))
    }

    pub(super) fn all_turned_away(&self) -> impl Iterator<Item = (TaskId, Refusal)> {
        self.turned_away.iter().map(|(task, refusal)| (*task, *refusal))
    }
}

/// Ids grow with time, so that of a new task is nearly always behind all that are left.
fn look_up<T: Copy>(left: &BTreeMap<TaskId, T>, task: TaskId) -> Option<T> {
    let may_be_left = left.last_key_value().is_some_and(|(last, _)| *last >= task);
    may_be_left.then(|| left.get(&task).copied()).flatten()
}
