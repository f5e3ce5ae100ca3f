//! Whose turn it is of queues with weights: each gets a share of the slots that it is as large as its weight,
//! while others wait, too.
//!
//! Stride scheduling (Waldspurger and Weihl, 1995): each queue has a number that grows by less with each task
//! served the more it weighs, and the least is next. One that comes back begins at the number of the one that
//! was served last, so nobody saves up turns.

use std::collections::BTreeMap;

use crate::limits::WEIGHT_MAX;

/// By so much the number of a queue of weight one grows with each task.
const STRIDE: u64 = WEIGHT_MAX as u64 * 1_000;
/// So many queues are remembered; beyond it those are forgotten that were served least lately.
const QUEUES_MAX: usize = 4_096;

/// The turns for each pool of slots: queues that use different ones do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct Turns(BTreeMap<usize, PoolTurns>);

impl Turns {
    /// The turn of `queue` for slots of `pool`; the least of several is next.
    pub(super) fn of(&self, pool: usize, queue: &str) -> u64 {
        self.0.get(&pool).map_or(0, |turns| turns.of(queue))
    }

    /// A task of `queue` is served with a slot of `pool`.
    pub(super) fn served(&mut self, pool: usize, queue: &str, weight: u16) {
        self.0.entry(pool).or_default().served(queue, weight);
    }
}

#[derive(Debug, Default)]
struct PoolTurns {
    numbers: BTreeMap<String, u64>,
    /// That of the one that was served last.
    served: u64,
}

impl PoolTurns {
    /// The turn of `queue`; the least of several is next.
    fn of(&self, queue: &str) -> u64 {
        self.numbers.get(queue).map_or(self.served, |number| (*number).max(self.served))
    }

    /// A task of `queue` is served.
    fn served(&mut self, queue: &str, weight: u16) {
        let number = self.of(queue);
        self.served = number;
        let next = number.saturating_add(STRIDE / u64::from(weight.max(1)));
        match self.numbers.get_mut(queue) {
            Some(number) => *number = next,
            None => {
                if self.numbers.len() >= QUEUES_MAX {
                    self.numbers.retain(|_, number| *number > self.served);
                    if self.numbers.len() >= QUEUES_MAX {
                        // More wait at once than are told apart: all begin where the others are.
                        self.numbers.clear();
                    }
                }
                self.numbers.insert(queue.to_owned(), next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each queue is served in so many turns.
    fn serve(turns: &mut PoolTurns, queues: &[(&str, u16)], count: usize) -> Vec<usize> {
        let mut served = vec![0; queues.len()];
        for _ in 0..count {
            let next = (0..queues.len()).min_by_key(|at| turns.of(queues[*at].0)).unwrap();
            turns.served(queues[next].0, queues[next].1);
            served[next] += 1;
        }
        served
    }

    #[test]
    fn each_queue_has_a_share_as_large_as_its_weight() {
        let mut turns = PoolTurns::default();
        let queues = [("a", 1), ("b", 3), ("c", 6)];
        assert_eq!(serve(&mut turns, &queues, 100), [10, 30, 60]);
    }

    #[test]
    fn nobody_saves_up_turns() {
        let mut turns = PoolTurns::default();
        serve(&mut turns, &[("a", 1)], 50);
        let both = serve(&mut turns, &[("a", 1), ("b", 1)], 10);
        assert_eq!(both, [5, 5]);
    }
}
