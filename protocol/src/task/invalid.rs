//! Why no node would take a submission, whatever its state.

use serde::{Deserialize, Serialize};

use crate::id::{PartitionId, TaskId};
use crate::limits::{ARGS_BYTES_MAX, BATCH_BYTES_MAX, BATCH_TASKS_MAX, NAME_BYTES_MAX};

/// A submission that no node would take, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidBatch {
    /// The arguments of a task are longer than [`ARGS_BYTES_MAX`].
    #[error(
        "the arguments of task {row} take {bytes} bytes, {ARGS_BYTES_MAX} are allowed; \
         put large data where both sides can reach it and pass a reference"
    )]
    ArgsTooLarge {
        /// The task.
        row: TaskId,
        /// Length of its arguments.
        bytes: usize,
    },
    /// A name is empty, too long or holds other characters than letters, digits and `_-.:/`.
    #[error("{what} {name:?} is not usable: use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . : /")]
    Name {
        /// Which name.
        what: String,
        /// Its beginning.
        name: String,
    },
    /// A row refers to a template that is not there.
    #[error("task {row} refers to a template that the batch does not hold")]
    NoTemplate {
        /// The task.
        row: TaskId,
    },
    /// An option is out of its range.
    #[error("{what} must be {range}")]
    Option {
        /// Which option.
        what: String,
        /// What it may be.
        range: String,
    },
    /// All tasks together, with what they have in common, are longer than [`BATCH_BYTES_MAX`].
    #[error("the batch takes {bytes} bytes, {BATCH_BYTES_MAX} are allowed; submit it in parts")]
    TooManyBytes {
        /// How long they are.
        bytes: usize,
    },
    /// More tasks than [`BATCH_TASKS_MAX`].
    #[error("the batch holds {tasks} tasks, {BATCH_TASKS_MAX} are allowed; submit it in parts")]
    TooManyTasks {
        /// How many it holds.
        tasks: usize,
    },
    /// The id belongs to a partition that the cluster does not have.
    #[error(
        "no task can be called that here: the id belongs to {partition}, and this cluster has \
         {partitions} partitions; is it of another cluster?"
    )]
    Partition {
        /// The partition of the id.
        partition: PartitionId,
        /// How many there are.
        partitions: u16,
    },
    /// The id is one that the cluster makes for a job's tick. Since version 2.
    #[error(
        "the id {row} is of the kind that jobs give their tasks; make one of version 7, or leave it out"
    )]
    Derived {
        /// The task.
        row: TaskId,
    },
    /// Two options contradict each other. Since version 3.
    #[error("{what}: {why}")]
    Conflicting {
        /// Which.
        what: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The id of a task with a key is of another partition than the key. Since version 3.
    #[error(
        "the id {row} does not go with the key of its task, which lives in {partition}; leave the id out, \
         or make it for the key"
    )]
    Misplaced {
        /// The task.
        row: TaskId,
        /// Where tasks with that key live.
        partition: PartitionId,
    },
}

impl InvalidBatch {
    /// An option that is not what it must be.
    pub(super) fn option(what: &str, range: impl Into<String>) -> Self {
        Self::Option { what: what.to_owned(), range: range.into() }
    }

    /// Two options that contradict each other.
    pub(super) fn conflicting(what: &str, why: &str) -> Self {
        Self::Conflicting { what: what.to_owned(), why: why.to_owned() }
    }
}
