//! Dropping what ended long ago.

use std::sync::Arc;

use super::{Partition, Refusal, Shelf, Shelves};
use crate::id::TaskId;
use crate::sabotage::{self, Defect};
use crate::task::Template;
use crate::time::Wall;

impl Partition {
    /// Moves the floor up to `floor`: stubs of ids made at or before it go, from then on such an id
    /// is too old to be new. Turns the records of so many of the `finished` tasks that ended first
    /// into stubs, unless the floor has passed their ids already.
    pub(super) fn forget(&mut self, finished: Shelves<u32>, floor: Wall) {
        self.raise_floor(floor);
        for shelf in Shelf::ALL {
            for _ in 0..finished[shelf] {
                if !self.forget_first(shelf) {
                    break;
                }
            }
        }
        self.cut_stubs();
        if sabotage::has(Defect::ForgetUnfinished) {
            self.forget_unfinished();
        }
    }

    /// Turns the records of so many of the tasks that say for how long they are kept into stubs: of those of
    /// which that is over first, and by `until`.
    pub(super) fn forget_timed(&mut self, tasks: u32, until: Wall) {
        for _ in 0..tasks {
            let is_over = self.tally.timed.first().is_some_and(|(first, _)| *first <= until);
            if !is_over || !self.forget_first_timed() {
                break;
            }
        }
        self.cut_stubs();
    }

    fn forget_first_timed(&mut self) -> bool {
        let Some((_, task)) = self.tally.timed.pop_first() else {
            return false;
        };
        self.leave_stub(task);
        true
    }

    /// What a slip in the choice of what to forget would do.
    fn forget_unfinished(&mut self) {
        let first = self.records.found().find(|(_, found)| !found.state().is_final());
        let Some(task) = first.map(|(task, _)| task) else {
            return;
        };
        if let Some(record) = self.records.remove(task) {
            self.tally.subtract(task, &record);
            self.give_back(&record.template);
        }
    }

    /// Before an entry is carried out: forgets what ended first, if an owner has let too much pile
    /// up. What the last entry ended was told by now. What takes most room gives way.
    pub(super) fn cut_finished(&mut self) {
        let most = self.limits.finished_bytes;
        if self.tally.finished_bytes() <= most {
            return;
        }
        while self.tally.finished_bytes() > most {
            let is_less = match self.tally.largest() {
                Some(shelf) => self.forget_first(shelf),
                None => self.forget_first_timed(),
            };
            if !is_less {
                break;
            }
        }
        self.cut_stubs();
    }

    /// Forgets the task of `shelf` that ended first; whether there is one.
    fn forget_first(&mut self, shelf: Shelf) -> bool {
        let Some(task) = self.tally.finished[shelf].tasks.pop_front() else {
            return false;
        };
        self.leave_stub(task);
        true
    }

    /// Turns the record of a task that has ended, and is on no shelf any more, into a stub.
    pub(super) fn leave_stub(&mut self, task: TaskId) {
        if let Some(record) = self.records.remove(task) {
            self.tally.subtract(task, &record);
            self.give_back(&record.template);
            if task.made_at() > self.dedup_floor && !sabotage::has(Defect::SkipStub) {
                self.stubs.end(task, record.state());
            }
        }
    }

    /// Remembers why `task` was not taken in, so that it is not taken in later either.
    pub(super) fn turn_away(&mut self, task: TaskId, refusal: Refusal) {
        let is_final = matches!(refusal, Refusal::Exists { .. } | Refusal::NotUnique { .. });
        if is_final && !sabotage::has(Defect::ForgetTurnedAway) {
            self.stubs.turn_away(task, refusal);
            self.cut_stubs();
        }
    }

    /// Moves the floor up if there are too many stubs.
    pub(super) fn cut_stubs(&mut self) {
        if let Some(floor) = self.stub_floor(self.limits.stubs) {
            self.raise_floor(floor);
        }
    }

    fn raise_floor(&mut self, floor: Wall) {
        if floor > self.dedup_floor || sabotage::has(Defect::FloorGoesBack) {
            self.dedup_floor = floor;
            self.stubs.cut(floor);
        }
    }

    /// A record less shares `template`.
    fn give_back(&mut self, template: &Arc<Template>) {
        let Some(users) = self.templates.get_mut(template) else {
            return;
        };
        *users -= 1;
        if *users == 0 {
            self.templates.remove(template);
            self.tally.bytes -= template.weight_kept();
        }
    }

    /// How many tasks of `shelf` ended before `time`.
    #[must_use]
    pub fn finished_before(&self, shelf: Shelf, time: Wall) -> usize {
        let ended_before = |task: &TaskId| {
            self.records.get(*task).is_some_and(|record| {
                record.history.as_ref().and_then(|history| history.finished_at) < Some(time)
            })
        };
        self.tally.finished[shelf].tasks.iter().take_while(|task| ended_before(task)).count()
    }

    /// How many tasks say themselves for how long they are kept, and not for as long as until `time`.
    #[must_use]
    pub fn outlived(&self, time: Wall) -> usize {
        self.tally.timed.iter().take_while(|(until, _)| *until <= time).count()
    }

    /// Where the floor must be for no more than `stubs` stubs to be left, if there are more.
    #[must_use]
    pub fn stub_floor(&self, stubs: usize) -> Option<Wall> {
        let excess = self.stubs.len().checked_sub(stubs)?;
        // A quarter more than needed, so that it is not needed again at once.
        let excess = (excess > 0).then_some(excess + stubs / 4)?;
        self.stubs.made_at(excess)
    }

    /// Whether a floor at `floor` would drop any stub.
    #[must_use]
    pub fn has_stubs_before(&self, floor: Wall) -> bool {
        self.stubs.has_before(floor)
    }
}
