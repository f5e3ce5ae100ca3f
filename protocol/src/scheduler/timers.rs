//! Tasks that wait for their time: an index over records, rebuilt at each takeover.
//!
//! What is due is known by the wall clock. One that this node's clock has fired and that partition time
//! holds back is looked at again by the monotonic clock, when it should be due and after some seconds at the
//! latest: the wall clock may have been an hour ahead and be set right, and partition time may catch up. What
//! waits for a time of day goes by what [clocks show](super::clocks), and all else by the time: it is looked at
//! when either says so.

use std::collections::BTreeSet;

use super::{Now, Scheduler};
use crate::id::{GroupId, PartitionId, TaskId};
use crate::partition::Command;
use crate::task::State;
use crate::time::{Span, Tick, Wall};

/// So few are not worth a sweep.
const SLACK: usize = 1_024;
/// So much later it is looked again at what is due by a time that cannot be told yet.
const UNTOLD: Span = Span::from_millis(500);
/// Partition time that is behind this node's clock may catch up at once: it is looked again so soon.
const BEHIND: Span = Span::from_millis(5_000);
/// Timers that fire in one round at most: what they ask for must fit into an entry.
const TIMERS_PER_ROUND: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Wall, TaskId, Due)>,
    /// What is looked at again, and when.
    again: BTreeSet<(Tick, TaskId, Due)>,
    /// How many were left when those of tasks that do not wait any more were last swept out.
    swept: usize,
}

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// It has not started in time.
    Expire,
    /// It may start.
    Start,
}

impl Timers {
    pub(super) fn insert(&mut self, at: Wall, task: TaskId, what: Due) {
        self.due.insert((at, task, what));
    }

    /// This node's clock says that it is due, and does not decide: it is looked at again at `at`.
    pub(super) fn insert_again(&mut self, at: Tick, task: TaskId, what: Due) {
        self.again.insert((at, task, what));
    }

    pub(super) fn len(&self) -> usize {
        self.due.len() + self.again.len()
    }

    /// When the next is due, by the clocks that show `now`.
    pub(super) fn next(&self, now: Now) -> Tick {
        let by_wall = self.due.first().map(|(at, ..)| now.tick + at.since(now.wall));
        let again = self.again.first().map(|(at, ..)| *at);
        by_wall.into_iter().chain(again).min().unwrap_or(Tick::NEVER)
    }

    /// The next task whose time has come by `now`.
    pub(super) fn pop(&mut self, now: Now) -> Option<(TaskId, Due)> {
        let by_wall = self.due.first().filter(|(at, ..)| *at <= now.wall).copied();
        if let Some(next) = by_wall {
            self.due.remove(&next);
            return Some((next.1, next.2));
        }
        let again = self.again.first().filter(|(at, ..)| *at <= now.tick).copied()?;
        self.again.remove(&again);
        Some((again.1, again.2))
    }

    /// Drops those for which nobody waits, if they may be more than half of all.
    pub(super) fn sweep(&mut self, waits: impl Fn(TaskId, Due) -> bool) {
        if self.len() > self.swept * 2 + SLACK {
            self.due.retain(|(_, task, what)| waits(*task, *what));
            self.again.retain(|(_, task, what)| waits(*task, *what));
            self.swept = self.len();
        }
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.due.retain(|(_, task, _)| task.partition() != partition);
        self.again.retain(|(_, task, _)| task.partition() != partition);
    }
}

impl Scheduler {
    /// Tasks whose time has come join the line, or are given up. Partition time decides: it may lag
    /// behind this node's clock, and what is proposed too early has no effect.
    pub(super) fn fire_timers(&mut self) {
        let tick = self.now.tick;
        // The rest is due in the next round, when the disk is free again.
        for _ in 0..TIMERS_PER_ROUND {
            let Some((task, what)) = self.timers.pop(self.latest()) else {
                break;
            };
            if !self.can_tell_time(GroupId::of(task.partition())) {
                self.timers.insert_again(tick + UNTOLD, task, what);
                continue;
            }
            let Some(partition) = self.owned(task.partition()) else {
                continue;
            };
            let (now, shown) = self.times_of(partition);
            let Some(record) = partition.record(task) else {
                continue;
            };
            let (due, by) = match (what, record.state()) {
                (Due::Start, State::Scheduled) => {
                    (record.not_before(), record.starts_by(now, shown))
                }
                (Due::Expire, State::Scheduled | State::Ready) => {
                    (record.given_up_at(), record.ends_by(now, shown))
                }
                (Due::Start | Due::Expire, _) => (None, now),
            };
            match (due, what) {
                (Some(due), _) if due > by => {
                    let left = due.since(by);
                    // Time that is carried on may go a tenth faster. As much may wait for it as is due within
                    // an hour: nobody looks at all of that every few seconds.
                    let carried = Span::from_micros(left.as_micros() / 10 * 9);
                    let most = if self.is_carried() && by == now { carried } else { BEHIND };
                    let left = left.min(BEHIND.max(most));
                    self.timers.insert_again(tick + left, task, what);
                }
                (Some(_), Due::Start) => self.index_ready(task),
                (Some(_), Due::Expire) => {
                    // Partition time may be behind by the time that it is carried out.
                    self.timers.insert_again(tick + BEHIND, task, what);
                    if let Some(line) = self.line(task.partition()) {
                        line.commands.push(Command::Expire { tasks: vec![task] });
                    }
                }
                (None, _) => {}
            }
        }
    }
}
