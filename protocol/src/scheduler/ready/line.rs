//! Tasks of one class and one priority that wait: in turn between those on whose behalf they are, and
//! first come first served for each of them.
//!
//! Each has a number of its own that grows with each task of it that is served, by less the more it weighs, and
//! the least is next
//! (stride scheduling, Waldspurger and Weihl, 1995). Whoever joins begins at the number of the one that
//! was served last, so nobody can save up turns. Most tasks are on nobody's behalf: those stand in a plain
//! line, which is one among the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::id::TaskId;
use crate::limits::WEIGHT_MAX;
use crate::time::Wall;

/// By so much the number of one that weighs 1 grows with each task.
const STRIDE: u64 = WEIGHT_MAX as u64 * 1_000;

#[derive(Debug, Default)]
pub(super) struct Line {
    /// On nobody's behalf.
    plain: Waiters,
    /// By fairness key; none of them is empty.
    tenants: BTreeMap<Arc<str>, Waiters>,
    /// The latter by whose turn it is.
    turns: BTreeSet<(Turn, Arc<str>)>,
    /// That of the one that was served last.
    served: u64,
    /// Numbers those who join.
    joined: u64,
}

#[derive(Debug, Default)]
struct Waiters {
    turn: Turn,
    weight: u16,
    tasks: VecDeque<(Wall, TaskId)>,
}

/// Whose turn it is: that of the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    number: u64,
    /// Of several with one number it is that of the one that joined first.
    joined: u64,
}

impl Line {
    /// A task joins, which has waited since `came`: at the end, or, if it waits `again`, at the front.
    pub(super) fn push(&mut self, key: Option<(&str, u16)>, came: Wall, task: TaskId, again: bool) {
        let Some((key, weight)) = key else {
            if self.plain.tasks.is_empty() {
                self.plain.turn = self.joins();
            }
            return self.plain.push(came, task, again);
        };
        if let Some(tenant) = self.tenants.get_mut(key) {
            // What was said last of a tenant holds for all that is done on its behalf.
            tenant.weight = weight;
            return tenant.push(came, task, again);
        }
        let turn = self.joins();
        let mut tenant = Waiters { turn, weight, tasks: VecDeque::new() };
        tenant.push(came, task, again);
        let key: Arc<str> = key.into();
        self.turns.insert((turn, Arc::clone(&key)));
        self.tenants.insert(key, tenant);
    }

    fn joins(&mut self) -> Turn {
        self.joined += 1;
        Turn { number: self.served, joined: self.joined }
    }

    /// Since when the next one has waited.
    pub(super) fn front(&self) -> Option<Wall> {
        let next = match self.next() {
            Some(key) => self.tenants.get(key)?,
            None => &self.plain,
        };
        next.tasks.front().map(|(came, _)| *came)
    }

    /// Takes out the next one.
    pub(super) fn pop(&mut self) -> Option<TaskId> {
        let Some(key) = self.next().cloned() else {
            let (_, task) = self.plain.tasks.pop_front()?;
            self.served = self.plain.turn.number;
            self.plain.turn.number += STRIDE;
            return Some(task);
        };
        let tenant = self.tenants.get_mut(&key)?;
        self.turns.remove(&(tenant.turn, Arc::clone(&key)));
        let (_, task) = tenant.tasks.pop_front()?;
        self.served = tenant.turn.number;
        tenant.turn.number += STRIDE / u64::from(tenant.weight.max(1));
        if tenant.tasks.is_empty() {
            self.tenants.remove(&key);
        } else {
            self.turns.insert((tenant.turn, key));
        }
        Some(task)
    }

    /// On whose behalf the next one is; nothing if on nobody's.
    fn next(&self) -> Option<&Arc<str>> {
        let (turn, key) = self.turns.first()?;
        let is_plain = !self.plain.tasks.is_empty() && self.plain.turn < *turn;
        (!is_plain).then_some(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.tasks.is_empty() && self.tenants.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        let tenants = self.tenants.values().map(|tenant| tenant.tasks.len());
        self.plain.tasks.len() + tenants.sum::<usize>()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(TaskId) -> bool) {
        self.plain.tasks.retain(|(_, task)| keep(*task));
        let turns = &mut self.turns;
        self.tenants.retain(|key, tenant| {
            tenant.tasks.retain(|(_, task)| keep(*task));
            let is_left = !tenant.tasks.is_empty();
            if !is_left {
                turns.remove(&(tenant.turn, Arc::clone(key)));
            }
            is_left
        });
    }
}

impl Waiters {
    fn push(&mut self, came: Wall, task: TaskId, again: bool) {
        if again {
            self.tasks.push_front((came, task));
        } else {
            self.tasks.push_back((came, task));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PartitionId;

    const CAME: Wall = Wall::from_millis(1);

    fn task(n: u64) -> TaskId {
        TaskId::new(CAME, PartitionId(0), n)
    }

    fn served(line: &mut Line, count: usize) -> Vec<u64> {
        let number = |task: TaskId| (0..).find(|n| task == self::task(*n)).expect("a small one");
        (0..count).filter_map(|_| line.pop()).map(number).collect()
    }

    #[test]
    fn without_keys_it_is_first_come_first_served_but_for_who_waits_again() {
        let mut line = Line::default();
        for n in 1..4 {
            line.push(None, CAME, task(n), false);
        }
        line.push(None, CAME, task(4), true);
        assert_eq!((line.len(), served(&mut line, 9)), (4, vec![4, 1, 2, 3]));
        assert_eq!((line.len(), line.front(), line.is_empty()), (0, None, true));
    }

    #[test]
    fn a_long_line_of_one_does_not_keep_others_from_their_turns() {
        let mut line = Line::default();
        for n in 0..10 {
            line.push(Some(("a", 1)), CAME, task(n), false);
        }
        assert_eq!(served(&mut line, 3), [0, 1, 2]);
        for n in 10..13 {
            line.push(Some(("b", 1)), CAME, task(n), false);
        }
        for n in 20..22 {
            line.push(None, CAME, task(n), false);
        }
        // Nobody is served for the time that it was not there, and nobody waits for who was served before.
        assert_eq!(served(&mut line, 8), [10, 20, 3, 11, 21, 4, 12, 5]);
        line.push(Some(("b", 1)), CAME, task(13), false);
        assert_eq!(served(&mut line, 3), [13, 6, 7], "who comes back begins where the others are");
    }

    #[test]
    fn tenants_are_served_as_they_weigh() {
        let mut line = Line::default();
        for n in 0..40 {
            line.push(Some(("light", 1)), CAME, task(n), false);
            line.push(Some(("heavy", 3)), CAME, task(100 + n), false);
        }
        let served: Vec<TaskId> = (0..40).filter_map(|_| line.pop()).collect();
        assert_eq!(served.iter().filter(|task| **task >= self::task(100)).count(), 30);
    }

    #[test]
    fn whoever_does_not_wait_any_more_has_no_turn() {
        let mut line = Line::default();
        for (key, n) in [("a", 1), ("b", 2), ("a", 3)] {
            line.push(Some((key, 1)), CAME, task(n), false);
        }
        line.retain(|kept| kept != task(2));
        assert_eq!((line.len(), line.turns.len(), line.tenants.len()), (2, 1, 1));
        assert!(!line.is_empty());
        assert_eq!(served(&mut line, 9), [1, 3]);
        assert_eq!((line.turns.len(), line.tenants.len()), (0, 0));
    }
}
