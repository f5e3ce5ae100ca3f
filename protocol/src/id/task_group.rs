//! The id of tasks that belong together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{PartitionId, TaskId};
use crate::time::Wall;

/// Names tasks that belong together: whoever knows it can ask how many of them are how far. It looks like the id of
/// a task, and is none: its tasks live in many partitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskGroupId(TaskId);

impl TaskGroupId {
    /// One made at `at`; of `random` the low 62 bits are used.
    #[must_use]
    pub const fn new(at: Wall, random: u64) -> Self {
        Self(TaskId::new(at, PartitionId(0), random))
    }
}

impl fmt::Display for TaskGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for TaskGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for TaskGroupId {
    type Err = InvalidTaskGroupId;
    fn from_str(text: &str) -> Result<Self, InvalidTaskGroupId> {
        text.parse().map(Self).map_err(|_| InvalidTaskGroupId)
    }
}

/// The text is not the id of a group of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the id of a group of tasks: expected a UUID of version 7 as `umbel submit --group new` prints it"
)]
pub struct InvalidTaskGroupId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        let id = TaskGroupId::new(Wall::from_millis(1_700_000_000_123), 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("a group".parse::<TaskGroupId>(), Err(InvalidTaskGroupId));
    }
}
