//! Records that are put away come back before their time, and what becomes of a node that cannot read them.
//!
//! Only the owner of a partition brings them back, by the clock of its node: it has to know when each may start, so
//! it sets its timers then. Other copies read one that is leased when they apply that. Nothing that is decided
//! depends on what is back.
//!
//! However many are due at once, no more come back than there is memory for: the others start later, as what
//! fills the memory ends. Only a few do in any case, so that nothing waits for ever because of what others have
//! in memory: what is given up leaves it at once.

use super::replica::{Machine, Replica};
use super::{Effect, Scheduler};
use crate::id::{GroupId, TaskId};
use crate::limits::WARMED_MAX;
use crate::sabotage::{self, Defect};
use crate::time::Wall;

/// After so many it is seen whether there is memory for more.
const WARMED_AT_ONCE: usize = 64;
/// So many whose time has come are brought back in a tick if there is not.
const WARMED_ANYHOW: usize = 8;

impl Scheduler {
    /// Brings records back whose time comes, those of the partition with the earliest first.
    pub(super) fn warm_records(&mut self) {
        let Some(cold) = self.settings.cold.as_ref().filter(|_| !sabotage::has(Defect::StayCold))
        else {
            return;
        };
        let until = self.latest().wall + cold.ahead();
        let mut due: Vec<(Wall, GroupId)> = (self.replicas.iter())
            .filter(|(_, replica)| replica.is_settled())
            .filter_map(|(id, replica)| Some((replica.partition()?.next_cold()?, *id)))
            .filter(|(at, _)| *at <= until)
            .collect();
        due.sort_unstable();
        if !self.has_memory_for_more() {
            let now = self.latest().wall;
            let mut left = WARMED_ANYHOW;
            for (_, id) in due.into_iter().take_while(|(at, _)| *at <= now) {
                left -= self.warm_partition(id, now, left);
            }
            return;
        }
        let mut left = WARMED_MAX;
        for (_, id) in due {
            loop {
                let some = left.min(WARMED_AT_ONCE);
                if some == 0 || !self.has_memory_for_more() {
                    return;
                }
                let warmed = self.warm_partition(id, until, some);
                left -= warmed;
                if warmed < some {
                    break;
                }
            }
        }
    }

    /// Brings so many at most back of a partition that is owned here; how many there were.
    fn warm_partition(&mut self, id: GroupId, until: Wall, most: usize) -> usize {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return 0;
        };
        let Some(Machine::Partition(partition)) = &mut replica.machine else {
            return 0;
        };
        let warmed = partition.warm(until, most);
        self.weigh(id);
        for task in &warmed {
            self.index_warmed(*task);
        }
        warmed.len()
    }

    fn index_warmed(&mut self, task: TaskId) {
        let record = self.owned(task.partition()).and_then(|partition| partition.record(task));
        let not_before = record.and_then(|record| record.not_before());
        if let Some(not_before) = not_before {
            self.index_scheduled(task, not_before);
        }
    }

    /// Bytes that records take which are put away, and how many those are.
    #[must_use]
    pub fn put_away(&self) -> (u64, usize) {
        let bytes = self.settings.cold.as_ref().map_or(0, |cold| cold.store().bytes());
        let records = self.replicas.values().filter_map(Replica::partition);
        (bytes, records.map(|partition| partition.cold()).sum())
    }

    /// If anything that was put away is damaged, nothing may come of a step in which it was looked at, nor of
    /// any that follows: takes back all `effects` from `first` on.
    pub(super) fn end_if_damaged(&mut self, first: usize, effects: &mut Vec<Effect>) {
        let damage = self.settings.cold.as_ref().and_then(|cold| cold.damage());
        if let Some(damage) = damage.filter(|_| !self.is_over) {
            effects.truncate(first);
            effects.push(Effect::Damaged(damage.clone()));
            self.is_over = true;
        }
    }
}
