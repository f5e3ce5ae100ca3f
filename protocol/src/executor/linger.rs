//! Runs whose code goes on after their end.
//!
//! A thread cannot be stopped. If its run was given up, because its time was over or it was cancelled, its
//! owner is told so at once; but the slot stays taken until the thread has ended. So code that hangs
//! takes no more threads than there are slots, however often its task is tried again.
//!
//! ```text
//! running --lingers--> running --finished--> over, slot taken --quiet--> over, slot free
//! ```

use super::{Effect, Executor};
use crate::id::{TaskId, Token};

impl Executor {
    /// The code of `run` goes on whatever becomes of it.
    pub(super) fn lingers(&mut self, run: (TaskId, Token), queue: &str, name: &str) {
        if self.lingering.contains_key(&run) {
            return;
        }
        let held = self.runs.get(&run);
        let Some(pool) = held.map(|run| run.pool).or_else(|| self.profile.pool(queue, name)) else {
            return;
        };
        // The slot of a run that has not ended is taken already.
        if held.is_none_or(|run| run.end.is_some()) {
            self.slots.occupy(pool);
        }
        self.lingering.insert(run, pool);
    }

    /// Nothing of `run` goes on any more.
    pub(super) fn quiet(&mut self, run: (TaskId, Token), effects: &mut Vec<Effect>) {
        let Some(pool) = self.lingering.remove(&run) else {
            return;
        };
        // One that has not ended gives its slot back when it does.
        if self.runs.get(&run).is_none_or(|run| run.end.is_some()) {
            self.slots.free(pool);
            self.slots.allocate(self.me, effects);
        }
    }

    /// The pools whose slots are taken by what is left of runs that are over.
    pub(super) fn left_over(&self) -> impl Iterator<Item = usize> {
        let is_over = |key| self.runs.get(key).is_none_or(|run| run.end.is_some());
        self.lingering.iter().filter(move |(key, _)| is_over(key)).map(|(_, pool)| *pool)
    }
}
