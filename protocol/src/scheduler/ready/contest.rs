//! Who is next of those that compete for free slots of one pool of an executor.
//!
//! First those of one queue and priority are chosen together, as [`ready`](super) says: by whoever of them has
//! waited longest. Then, if any of them has a key, whose [turn](super::tenants) it is decides which of their
//! classes is served. What was found out when they were put in order may be of the past by the time they
//! come to the front: it only gets worse by that, so it is enough to look again then.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::tenants::Turn;
use super::{Head, Ready};
use crate::time::Wall;

/// See the [module](self).
#[derive(Debug, Default)]
pub(in crate::scheduler) struct Contest {
    heads: BinaryHeap<Head>,
    /// Those who take turns, by the number of their level.
    turns: BTreeMap<u64, BinaryHeap<Reverse<Front>>>,
}

/// Whose turn it is in a class; the least of several is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Front {
    pub(super) turn: Turn,
    pub(super) came: Wall,
    pub(super) class: usize,
}

impl Contest {
    /// Those of a class compete, whose queue has this turn.
    pub(in crate::scheduler) fn enter(&mut self, ready: &mut Ready, class: usize, turn: u64) {
        self.heads.extend(ready.heads_of(class).map(|head| head.at(turn)));
        if !ready.levels.is_empty() {
            let priorities: Vec<u8> = ready.heads_of(class).map(|head| head.priority).collect();
            for priority in priorities {
                self.takes_turns(ready, class, priority);
            }
        }
    }

    /// Takes out the most urgent.
    pub(in crate::scheduler) fn pop(&mut self) -> Option<Head> {
        self.heads.pop()
    }

    /// Puts it back.
    pub(in crate::scheduler) fn push(&mut self, head: Head) {
        self.heads.push(head);
    }

    /// The class that is served when `head` is the most urgent; it is taken out if it takes turns, and whether
    /// others wait for the same slots that do, too. Nothing if none is left.
    pub(in crate::scheduler) fn next(
        &mut self,
        ready: &mut Ready,
        head: Head,
    ) -> Option<(usize, bool)> {
        let Some(level) = ready.level_of(head) else {
            return Some((head.class(), false));
        };
        let turns = self.turns.get_mut(&level)?;
        while let Some(Reverse(known)) = turns.pop() {
            match ready.front(known.class, head.priority) {
                Some((_, front)) if front > known => turns.push(Reverse(front)),
                Some(_) => return Some((known.class, !turns.is_empty())),
                None => {}
            }
        }
        None
    }

    /// Puts a class back that was taken out, if it takes turns and anybody is left.
    pub(in crate::scheduler) fn takes_turns(
        &mut self,
        ready: &mut Ready,
        class: usize,
        priority: u8,
    ) {
        if let Some((level, front)) = ready.front(class, priority) {
            self.turns.entry(level).or_default().push(Reverse(front));
        }
    }
}
