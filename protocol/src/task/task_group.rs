//! That a task belongs to others.

use serde::{Deserialize, Serialize};

use crate::id::TaskGroupId;

/// The group that a task belongs to. Since version 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGroup {
    /// Which.
    pub id: TaskGroupId,
    /// How many tasks it has, if whoever submits it knows; 0 if not, or if more may come.
    pub size: u32,
}

/// How far the tasks of a group are. Since version 3.
///
/// What has ended is counted for as long as it is [kept](crate::limits::RETENTION).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGroupView {
    /// How many tasks it has, as far as that was said when they were submitted; 0 if not.
    pub size: u32,
    /// Tasks that wait for their time.
    pub scheduled: u64,
    /// Tasks that wait for a slot, a limit or a rule.
    pub ready: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that have succeeded, and are kept.
    pub succeeded: u64,
    /// Tasks that failed for good, and are kept.
    pub dead: u64,
    /// Tasks that were cancelled or have expired, and are kept.
    pub stopped: u64,
    /// Of those that have not ended one that is likely to be among the last.
    pub awaited: Option<crate::id::TaskId>,
}

impl TaskGroupView {
    /// Tasks that have not ended.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.scheduled.saturating_add(self.ready).saturating_add(self.running)
    }

    /// Tasks that are known.
    #[must_use]
    pub const fn known(&self) -> u64 {
        let ended = self.succeeded.saturating_add(self.dead).saturating_add(self.stopped);
        self.open().saturating_add(ended)
    }

    /// The same with what another owner knows of the group.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            size: self.size.max(other.size),
            scheduled: self.scheduled.saturating_add(other.scheduled),
            ready: self.ready.saturating_add(other.ready),
            running: self.running.saturating_add(other.running),
            succeeded: self.succeeded.saturating_add(other.succeeded),
            dead: self.dead.saturating_add(other.dead),
            stopped: self.stopped.saturating_add(other.stopped),
            awaited: self.awaited.max(other.awaited),
        }
    }
}
