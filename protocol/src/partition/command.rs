//! What can be asked of a partition, and what can come of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AlertTask, Fire, JobChange, JobRefusal, RunNow, Shelves, SteerRefusal};
use crate::id::{Lessee, TaskId, Token};
use crate::job::JobName;
use crate::limits::{
    DEDUP_WINDOW, DELAY_MAX, ID_AHEAD_MAX, PARTITION_BYTES_MAX, PARTITION_TASKS_MAX,
    UNIQUES_KEPT_MAX,
};
use crate::task::{Batch, Outcome};
use crate::time::{Span, Wall};
use crate::wire::hello::Versions;

/// One thing that an owner asks of its partition. New variants go to the end: logs outlive
/// versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Take these tasks in; grant the first ones at once.
    Accept {
        /// The tasks.
        batch: Arc<Batch>,
        /// Slots that wait for them already.
        grants: Vec<Grant>,
    },
    /// Give these waiting tasks to an executor.
    Lease {
        /// Who runs them.
        lessee: Lessee,
        /// Which tasks.
        tasks: Vec<TaskId>,
    },
    /// Close runs, as their executor tells.
    Report {
        /// Who ran them.
        lessee: Lessee,
        /// What became of them.
        reports: Vec<Report>,
    },
    /// Close runs that their executor never had.
    Release {
        /// Which runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// Close all runs of an executor that is gone; if it is only not heard of, but for those that
    /// [wait longer](crate::task::Options::lost_after).
    Lose {
        /// Who.
        lessee: Lessee,
        /// How this is known.
        loss: Loss,
        /// How long a task is held whose crashes are used up by a doubtful one.
        hold: Span,
    },
    /// An executor that was taken to be gone was only out of reach: its lost runs were no crashes.
    Pardon {
        /// Who.
        lessee: Lessee,
    },
    /// Stop a task.
    Cancel {
        /// Which.
        task: TaskId,
    },
    /// Give up those of these tasks whose time to start has passed.
    Expire {
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// Drop the records of tasks that ended long ago.
    Forget {
        /// How many of those of each kind that ended first.
        finished: Shelves<u32>,
        /// Stubs of ids made at or before it go, too.
        floor: Wall,
    },
    /// Define a job, remove it, have it fire or not. This and what follows came with version 2 of the
    /// protocol.
    ChangeJob {
        /// Which.
        job: JobName,
        /// What is said of it.
        change: JobChange,
    },
    /// Decide about ticks of a job that are due.
    Fire(Box<Fire>),
    /// Run a job now, whatever its schedule says.
    RunNow(Box<RunNow>),
    /// Tell what has happened to a job.
    Alert(Box<AlertTask>),
    /// Note that a tick of a job has not ended well in time, if that is so.
    NoteUnreported {
        /// The job.
        job: JobName,
        /// The tick.
        tick: Wall,
    },
    /// Close these runs of an executor that has not been heard of for as long as they wait. Since version 3.
    GiveUp {
        /// Who has them.
        lessee: Lessee,
        /// Which.
        runs: Vec<(TaskId, Token)>,
        /// How long a task is held whose crashes are used up by a doubtful one.
        hold: Span,
    },
    /// Begin a task anew that has ended and not well. Since version 3.
    Retry {
        /// Which.
        task: TaskId,
        /// What the new one is called.
        id: TaskId,
    },
    /// Drop the record of a task that has ended. Since version 3.
    Delete {
        /// Which.
        task: TaskId,
    },
    /// Drop the records of tasks that say themselves for how long they are kept. Since version 3.
    ForgetTimed {
        /// How many of those of which that is over first.
        tasks: u32,
        /// None of which it is over later than that.
        until: Wall,
    },
    /// Stop a task unless it runs. Since version 3.
    Withdraw {
        /// Which.
        task: TaskId,
    },
}

impl Command {
    /// The version of the protocol that knows all that it asks for. Of what others ask: whoever took that
    /// in knew that all members understand it. What executors tell is put into older words.
    pub(crate) fn needs_version(&self) -> u16 {
        match self {
            Self::Accept { batch, .. } => batch.needs_version(),
            Self::ChangeJob { change, .. } => change.needs_version(),
            Self::GiveUp { .. }
            | Self::Retry { .. }
            | Self::Delete { .. }
            | Self::ForgetTimed { .. }
            | Self::Withdraw { .. } => 3,
            Self::Lease { .. }
            | Self::Report { .. }
            | Self::Release { .. }
            | Self::Lose { .. }
            | Self::Pardon { .. }
            | Self::Cancel { .. }
            | Self::Expire { .. }
            | Self::Forget { .. }
            | Self::Fire(_)
            | Self::RunNow(_)
            | Self::Alert(_)
            | Self::NoteUnreported { .. } => Versions::OWN.min,
        }
    }
}

/// Slots of one executor for the first rows of a batch that have none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who runs them.
    pub lessee: Lessee,
    /// How many rows.
    pub rows: u32,
}

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// The run.
    pub token: Token,
    /// How it ended.
    pub outcome: Outcome,
}

/// How it is known that an executor is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// A later start of it was heard of: its runs ended with the old process.
    Restarted,
    /// It was not heard of any more; it may have crashed or be out of reach.
    Unheard,
}

/// In milliseconds.
const DAY: u64 = 24 * 3_600 * 1_000;

/// Why a task was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The id belongs to a task with another specification.
    #[error("this id was used for another task; make a new id for every task")]
    Conflict,
    /// The partition is full.
    #[error(
        "the partition of this task is full ({PARTITION_TASKS_MAX} open tasks or \
         {PARTITION_BYTES_MAX} bytes); wait for the nodes to catch up or add some, then try again"
    )]
    Overloaded,
    /// The id is older than the partition remembers: the task may have run already.
    #[error(
        "this id is older than the {} minutes (less under load) for which ids are remembered; \
         if the task surely never ran, submit it under a new id",
        DEDUP_WINDOW.as_millis() / 60_000
    )]
    TooOld,
    /// The clock inside the id is ahead of the partition's.
    #[error(
        "the clock that made this id is more than {} s ahead of the cluster's; set it right",
        ID_AHEAD_MAX.as_millis() / 1_000
    )]
    TooEarly,
    /// The id carries another partition.
    #[error("this id belongs to another partition")]
    WrongPartition,
    /// It is to start later than a task may wait. Since version 3.
    #[error("it is to start more than {} days from now; submit it later", DELAY_MAX.as_millis() / DAY)]
    TooFar,
    /// A task with its unique key is there, and is what its caller gets. Since version 3.
    #[error("a task with this unique key is there already: {task}")]
    Exists {
        /// That one.
        task: TaskId,
    },
    /// A task with its unique key is there, and stays. Since version 3.
    #[error(
        "a task with this unique key is there already, and is not replaced: {task}; submit this one \
         under a new id when that has ended"
    )]
    NotUnique {
        /// That one.
        task: TaskId,
    },
    /// Its unique key is to be kept for a time, and so many are already. Since version 3.
    #[error(
        "the partition of this task keeps {UNIQUES_KEPT_MAX} unique keys for a time already; try again \
         later, with keys that are kept for less time, or until their tasks have ended"
    )]
    TooManyKeys,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The `n`th [`Command::Accept`] of the entry was carried out.
    Accepted {
        /// Which, from zero.
        ordinal: usize,
        /// Rows that were not taken in.
        refused: Vec<(u32, Refusal)>,
        /// How many rows were known already.
        known: u32,
        /// Granted slots that found no row.
        unused: Vec<Lessee>,
    },
    /// A task waits for a slot.
    Ready {
        /// The task.
        task: TaskId,
    },
    /// A run of a limit key is over: others of it may start.
    KeyFreed {
        /// Which.
        key: Arc<str>,
    },
    /// A task waits for its time.
    Scheduled {
        /// The task.
        task: TaskId,
        /// When it may start.
        not_before: Wall,
    },
    /// A run was given to an executor.
    Leased {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// Who runs it.
        lessee: Lessee,
    },
    /// A slot that was meant for this task is free again.
    NotLeased {
        /// The task.
        task: TaskId,
        /// Whose slot.
        lessee: Lessee,
    },
    /// The end of a run is on record now; its executor may forget it.
    Closed {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// Who ran it.
        lessee: Lessee,
    },
    /// The same of a run that its task was not leased for any more, so that nothing ended with it: another run of
    /// the task may go on.
    ClosedAlready {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// Who ran it.
        lessee: Lessee,
    },
    /// A run was given up with its executor. If that is there after all it is not to forget the run:
    /// how it ended is still of interest.
    Lost {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// Who ran it.
        lessee: Lessee,
    },
    /// A run should stop: it was cancelled, or its task has ended otherwise.
    Stop {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// Who runs it.
        lessee: Lessee,
    },
    /// A task has ended.
    Finished {
        /// The task.
        task: TaskId,
    },
    /// The next [`Command::Retry`], [`Command::Delete`] or [`Command::Withdraw`] of the entry was carried out, or refused.
    Steered {
        /// The task that was named.
        task: TaskId,
        /// Whether it was.
        result: Result<(), SteerRefusal>,
    },
    /// The next [`Command::ChangeJob`] or [`Command::RunNow`] of the entry was carried out, or refused.
    JobChanged {
        /// The job.
        job: JobName,
        /// Whether it was.
        result: Result<(), JobRefusal>,
    },
    /// When a job is to be looked at next may have changed.
    JobDue {
        /// The job.
        job: JobName,
    },
    /// There is no room for tasks of a job just now.
    JobFull {
        /// The job.
        job: JobName,
    },
    /// A job has something to tell.
    JobNotice {
        /// The job.
        job: JobName,
    },
}
