//! Tasks of one class and one priority that wait: in turn between those on whose behalf they are, and first
//! come first served for each of them.
//!
//! Whose turn it is others decide with: [all that compete](super::tenants) share it, whatever line they stand in.
//! What is known here of the turn of each may be of the past, and is brought up to date when it comes to
//! the front: while anybody waits turns only grow. Most tasks are on nobody's behalf: those stand in a plain
//! line, which is one among the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arrivals::{Arrival, Arrivals};
use super::tenants::{Tenant, Tenants, Turn};
use crate::id::TaskId;
use crate::time::Wall;

#[derive(Debug, Default)]
pub(in crate::scheduler) struct Line {
    /// On nobody's behalf.
    plain: Arrivals,
    /// By fairness key; none of them is empty.
    tenants: BTreeMap<Arc<str>, Waiters>,
    /// The latter by whose turn it was when that was last looked at.
    turns: BTreeSet<(Turn, Arc<str>)>,
    /// The same by how long the first of each has waited.
    ages: BTreeSet<(Wall, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Waiters {
    turn: Turn,
    /// What was said last.
    weight: Option<u16>,
    tasks: Arrivals,
}

/// What was taken out of a line.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::scheduler) struct Taken {
    pub(in crate::scheduler) task: TaskId,
    pub(in crate::scheduler) tenant: Tenant,
    /// Whether nobody waits in this line on its behalf any more.
    pub(in crate::scheduler) has_left: bool,
    /// Whether others waited in this line.
    pub(super) is_contested: bool,
}

impl Line {
    /// A task joins, and stands where it came.
    pub(in crate::scheduler) fn push(
        &mut self,
        key: Option<(&str, Option<u16>)>,
        arrival: Arrival,
        shared: Option<&mut Tenants>,
    ) {
        let Some((key, weight)) = key else {
            if self.plain.is_empty()
                && let Some(shared) = shared
            {
                shared.joins(&Tenant::NOBODY, None);
            }
            return self.plain.push(arrival);
        };
        let (key, before) = match self.tenants.get_key_value(key) {
            Some((key, waiters)) => (Arc::clone(key), waiters.front()),
            None => (key.into(), None),
        };
        let waiters = self.tenants.entry(Arc::clone(&key)).or_default();
        waiters.tasks.push(arrival);
        waiters.weight = weight.or(waiters.weight);
        let after = waiters.front();
        if let Some(shared) = shared {
            let tenant = Tenant::of(&key);
            if before.is_some() {
                shared.weighs(&tenant, weight);
            } else {
                shared.joins(&tenant, weight);
                waiters.turn = shared.turn(&tenant);
                self.turns.insert((waiters.turn, Arc::clone(&key)));
            }
        }
        self.ages_anew(&key, before, after);
    }

    /// The first of one has waited since `after` now.
    fn ages_anew(&mut self, key: &Arc<str>, before: Option<Wall>, after: Option<Wall>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.ages.remove(&(before, Arc::clone(key)));
        }
        if let Some(after) = after {
            self.ages.insert((after, Arc::clone(key)));
        }
    }

    /// Since when the one has waited that has waited longest, whoever's turn it is.
    pub(in crate::scheduler) fn oldest(&self) -> Option<Wall> {
        let plain = self.plain.front().map(|first| first.came);
        let keyed = self.ages.first().map(|(came, _)| *came);
        [plain, keyed].into_iter().flatten().min()
    }

    /// Whose turn it is here, and the first of those.
    pub(in crate::scheduler) fn front(&mut self, shared: &Tenants) -> Option<(Turn, Arrival)> {
        let Some((turn, key)) = self.next(shared) else {
            let first = self.plain.front()?;
            return Some((shared.counts(shared.turn(&Tenant::NOBODY)), first));
        };
        Some((turn, self.tenants.get(&key)?.tasks.front()?))
    }

    /// Takes out the next one. Those who have a key compete.
    pub(in crate::scheduler) fn pop(&mut self, shared: Option<&Tenants>) -> Option<Taken> {
        let is_contested = self.tenants.len() + usize::from(!self.plain.is_empty()) > 1;
        let Some((_, key)) = shared.and_then(|shared| self.next(shared)) else {
            let task = self.plain.pop()?.task;
            let has_left = self.plain.is_empty();
            return Some(Taken { task, tenant: Tenant::NOBODY, has_left, is_contested });
        };
        let waiters = self.tenants.get_mut(&key)?;
        let before = waiters.front();
        let task = waiters.tasks.pop()?.task;
        let (after, turn) = (waiters.front(), waiters.turn);
        let has_left = after.is_none();
        self.ages_anew(&key, before, after);
        if has_left {
            self.tenants.remove(&key);
            self.turns.remove(&(turn, Arc::clone(&key)));
        }
        Some(Taken { task, tenant: Tenant(Some(key)), has_left, is_contested })
    }

    /// The next one and its turn; nothing if it is on nobody's behalf.
    fn next(&mut self, shared: &Tenants) -> Option<(Turn, Arc<str>)> {
        loop {
            let (known, key) = self.turns.first()?;
            let (known, key) = (*known, Arc::clone(key));
            let turn = shared.turn(&Tenant::of(&key));
            if turn == known {
                let counts = shared.counts(turn);
                let is_plain =
                    !self.plain.is_empty() && shared.counts(shared.turn(&Tenant::NOBODY)) < counts;
                return (!is_plain).then_some((counts, key));
            }
            // It was served in another line.
            self.turns.pop_first();
            self.tenants.get_mut(&key)?.turn = turn;
            self.turns.insert((turn, key));
        }
    }

    /// All of it competes with others from now on.
    pub(super) fn join(&mut self, shared: &mut Tenants) {
        self.join_plain(shared);
        self.turns.clear();
        for (key, waiters) in &mut self.tenants {
            let tenant = Tenant::of(key);
            shared.joins(&tenant, waiters.weight);
            waiters.turn = shared.turn(&tenant);
            self.turns.insert((waiters.turn, Arc::clone(key)));
        }
    }

    /// Those on nobody's behalf do.
    pub(super) fn join_plain(&self, shared: &mut Tenants) {
        if !self.plain.is_empty() {
            shared.joins(&Tenant::NOBODY, None);
        }
    }

    /// All of it competes with them no more.
    pub(super) fn leave(&self, shared: &mut Tenants) {
        if !self.plain.is_empty() {
            shared.leaves(&Tenant::NOBODY);
        }
        for key in self.tenants.keys() {
            shared.leaves(&Tenant::of(key));
        }
    }

    pub(in crate::scheduler) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.tenants.is_empty()
    }

    /// Whether anybody waits who has a key.
    pub(super) fn has_keys(&self) -> bool {
        !self.tenants.is_empty()
    }

    pub(in crate::scheduler) fn len(&self) -> usize {
        let tenants = self.tenants.values().map(|tenant| tenant.tasks.len());
        self.plain.len() + tenants.sum::<usize>()
    }

    pub(in crate::scheduler) fn retain(
        &mut self,
        keep: impl Fn(TaskId) -> bool,
        mut shared: Option<&mut Tenants>,
    ) {
        let had_plain = !self.plain.is_empty();
        self.plain.retain(&keep);
        if had_plain
            && self.plain.is_empty()
            && let Some(shared) = &mut shared
        {
            shared.leaves(&Tenant::NOBODY);
        }
        let (turns, ages) = (&mut self.turns, &mut self.ages);
        ages.clear();
        self.tenants.retain(|key, waiters| {
            waiters.tasks.retain(&keep);
            let Some(front) = waiters.front() else {
                turns.remove(&(waiters.turn, Arc::clone(key)));
                if let Some(shared) = &mut shared {
                    shared.leaves(&Tenant::of(key));
                }
                return false;
            };
            ages.insert((front, Arc::clone(key)));
            true
        });
    }
}

impl Waiters {
    /// Since when the first one has waited.
    fn front(&self) -> Option<Wall> {
        self.tasks.front().map(|first| first.came)
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

    /// A line whose tenants compete with nobody else.
    #[derive(Default)]
    struct Alone {
        line: Line,
        shared: Tenants,
    }

    impl Alone {
        fn push(&mut self, key: Option<(&str, u16)>, n: u64) {
            let key = key.map(|(key, weight)| (key, Some(weight)));
            self.line.push(key, Arrival::at(CAME, task(n)), Some(&mut self.shared));
        }

        fn served(&mut self, count: usize) -> Vec<u64> {
            let number =
                |task: TaskId| (0..).find(|n| task == self::task(*n)).expect("a small one");
            let mut served = Vec::new();
            while served.len() < count
                && let Some(taken) = self.line.pop(Some(&self.shared))
            {
                if taken.is_contested {
                    self.shared.served(&taken.tenant);
                } else {
                    self.shared.served_alone(&taken.tenant);
                }
                if taken.has_left {
                    self.shared.leaves(&taken.tenant);
                }
                served.push(number(taken.task));
            }
            served
        }
    }

    #[test]
    fn without_keys_it_is_first_come_first_served() {
        let mut line = Line::default();
        for n in 1..4 {
            line.push(None, Arrival::at(CAME, task(n)), None);
        }
        let before = Wall::from_millis(0);
        line.push(None, Arrival::at(before, task(4)), None);
        assert_eq!((line.len(), line.oldest()), (4, Some(before)));
        let served: Vec<TaskId> =
            std::iter::from_fn(|| line.pop(None).map(|taken| taken.task)).collect();
        assert_eq!(served, [4, 1, 2, 3].map(task));
        assert_eq!((line.len(), line.oldest(), line.is_empty()), (0, None, true));
    }

    #[test]
    fn a_long_line_of_one_does_not_keep_others_from_their_turns() {
        let mut alone = Alone::default();
        for n in 0..10 {
            alone.push(Some(("a", 1)), n);
        }
        assert_eq!(alone.served(3), [0, 1, 2]);
        for n in 10..13 {
            alone.push(Some(("b", 1)), n);
        }
        for n in 20..22 {
            alone.push(None, n);
        }
        // Nobody is served for the time that it was not there, and nobody waits for who was served before.
        assert_eq!(alone.served(8), [10, 20, 3, 11, 21, 4, 12, 5]);
        alone.push(Some(("b", 1)), 13);
        assert_eq!(alone.served(3), [6, 13, 7], "who comes back begins where the others are");
    }

    #[test]
    fn tenants_are_served_as_they_weigh() {
        let mut alone = Alone::default();
        for n in 0..40 {
            alone.push(Some(("light", 1)), n);
            alone.push(Some(("heavy", 3)), 100 + n);
        }
        assert_eq!(alone.served(40).into_iter().filter(|n| *n >= 100).count(), 30);
    }

    #[test]
    fn whoever_does_not_wait_any_more_has_no_turn() {
        let mut alone = Alone::default();
        for (key, n) in [("a", 1), ("b", 2), ("a", 3)] {
            alone.push(Some((key, 1)), n);
        }
        alone.line.retain(|kept| kept != task(2), Some(&mut alone.shared));
        let sizes = |line: &Line| (line.len(), line.turns.len(), line.ages.len());
        assert_eq!((sizes(&alone.line), alone.line.tenants.len()), ((2, 1, 1), 1));
        assert!(!alone.line.is_empty());
        assert_eq!(alone.served(9), [1, 3]);
        assert_eq!((sizes(&alone.line), alone.line.tenants.len()), ((0, 0, 0), 0));
        assert!(!alone.shared.has_keys());
    }
}
