//! What callers ask of the cluster, and what they are answered.
//!
//! Any node takes any request. One that concerns a task is passed on to the owner of the task's
//! partition and its answer is passed back, so a caller never needs to know where a task lives.

mod error;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::error::RequestError;
pub use self::status::{Claim, Claims, Drain, MemberStatus, Share, Status, Welcome};

use crate::id::{NodeId, PartitionId, TaskGroupId, TaskId};
use crate::job::{JobLine, JobName, JobView};
use crate::journal::{News, Seen};
use crate::meta::{FileVerdict, Rule, RuleChange, Rules, Subject};
use crate::partition::{JobChange, Refusal};
use crate::task::{Batch, Failure, Filter, State, TaskGroupView, View};
use crate::time::{Span, Wall};
use crate::wire::since_3;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How long the caller will wait. When it has passed the answer is an error.
    pub deadline: Span,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked. All of it may be repeated without harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Stop a task. Answered with its [`View`] once the wish is durable.
    Cancel {
        /// The task.
        task: TaskId,
    },
    /// List tasks, newest first. Answered with [`Answer::Tasks`].
    List(Filter),
    /// Show a task. Answered with its [`View`], which has its arguments then.
    Show {
        /// The task.
        task: TaskId,
    },
    /// Tell about the cluster. Answered with [`Answer::Status`]; a node that asks another is told
    /// that one's part only, with [`Answer::Claims`].
    Status,
    /// Take tasks in, all of one partition. Answered with [`Answer::Submitted`] once they are
    /// durable, and if the caller waits, with [`Answer::Finished`] once all of them have ended.
    Submit {
        /// The tasks.
        batch: Arc<Batch>,
        /// Whether the caller waits for their ends.
        wait: bool,
    },
    /// Wait until a task has ended. Answered with its [`View`] then.
    Wait {
        /// The task.
        task: TaskId,
    },
    /// Tell where to submit. Answered with [`Answer::Welcome`].
    Welcome,
    /// Have a member part with all that it has, or have it serve again. Answered with
    /// [`Answer::Done`] once that is durable; [`Status`] tells how far it is.
    Drain {
        /// Which.
        node: NodeId,
        /// Whether it is to have nothing from now on.
        draining: bool,
    },
    /// Forget a member: one that is down for good, or that was drained. Answered with
    /// [`Answer::Done`] once that is durable.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// Define a job, remove it, have it fire or not. Answered with [`Answer::Done`] once that is
    /// durable.
    ChangeJob {
        /// Which.
        job: JobName,
        /// What is said of it.
        change: JobChange,
    },
    /// Run a job now, whatever its schedule says. Answered with [`Answer::Done`] once the task is
    /// durable.
    RunJob {
        /// Which.
        job: JobName,
        /// When this was asked for: asked again with the same time it does not run again.
        at: Wall,
    },
    /// Show a job. Answered with [`Answer::Job`].
    ShowJob {
        /// Which.
        job: JobName,
    },
    /// List jobs by name. Answered with [`Answer::Jobs`].
    ListJobs {
        /// Only those whose names begin so.
        prefix: String,
        /// Only those whose names come after this one.
        after: Option<JobName>,
        /// At most so many.
        limit: u32,
    },
    /// Take the jobs of a file for those of the cluster's file. Answered with [`Answer::File`].
    OfferFile {
        /// The hash of what they are.
        hash: u64,
        /// Whether somebody has asked for it, so that it may be a former one.
        deliberate: bool,
    },
    /// Read the node's own file again. Only whoever is connected to the node can ask that of it.
    /// Answered with [`Answer::Reloaded`].
    Reload,
    /// Say something of a queue, or of tasks by name, for the whole cluster. Answered with [`Answer::Done`]
    /// once that is durable; all nodes heed it within about a second. Since version 3.
    ChangeRule {
        /// What it is about.
        subject: Subject,
        /// What.
        change: RuleChange,
    },
    /// This is what a version of the cluster's file says of queues and tasks. Answered with [`Answer::Done`]
    /// once that is durable, or if there is a later version. Since version 3.
    FileRules {
        /// Which version.
        number: u64,
        /// What it says.
        rules: BTreeMap<Subject, Rule>,
    },
    /// List all queues in which there are tasks, or of which rules say something. Answered with
    /// [`Answer::Queues`]. Since version 3.
    Queues,
    /// Count the tasks of a group. Answered with [`Answer::TaskGroup`]. Since version 3.
    TaskGroup {
        /// Which.
        group: TaskGroupId,
    },
    /// Begin a task anew that has ended, and not well: a new task does the same work, at once, and the old one
    /// is dropped. Answered with [`Answer::Done`] once that is durable. Since version 3.
    Retry {
        /// The task that has ended.
        task: TaskId,
        /// What the new one is called: of the same partition, made before the first try.
        id: TaskId,
    },
    /// Drop the record of a task that has ended. Answered with [`Answer::Done`] once that is durable. Since
    /// version 3.
    Delete {
        /// The task.
        task: TaskId,
    },
    /// Tell what a task says of itself, as soon as there is more than is known; answered with
    /// [`Answer::News`], and with its [`View`] if it has ended and there is no more. Since version 3.
    Watch {
        /// The task.
        task: TaskId,
        /// What is known.
        seen: Option<Seen>,
    },
    /// Stop a task unless it runs. Answered with [`Answer::Done`] once that is durable. Since version 3.
    Withdraw {
        /// The task.
        task: TaskId,
    },
}

/// What callers are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What a node owns. Only nodes see this.
    Claims(Box<Claims>),
    /// The request failed.
    Failed(RequestError),
    /// All tasks of a submission have ended.
    Finished(Vec<Ending>),
    /// About the cluster.
    Status(Box<Status>),
    /// A submission is durable, except these rows.
    Submitted {
        /// Rows that were not taken in, by position.
        refused: Vec<(u32, Refusal)>,
        /// How many were known already.
        known: u32,
    },
    /// Some tasks. Results, and the texts and details of errors, are left out beyond what fits,
    /// which is said of each; a task asked for by itself has them.
    Tasks {
        /// The tasks.
        tasks: Vec<View>,
        /// Partitions whose tasks are not among them, or not for sure: they have no owner, it did
        /// not answer, or it lacks a majority.
        partitions_missing: u16,
        /// Tasks before this one were not looked at: too many of them are put away. The next listing goes on
        /// from here. Since version 3.
        #[serde(with = "since_3")]
        cut_before: Option<TaskId>,
        /// The partitions of which these are the tasks. Only nodes see this. Since version 3.
        #[serde(with = "since_3")]
        told: Vec<Told>,
    },
    /// One task.
    View(Box<View>),
    /// Where to submit.
    Welcome(Box<Welcome>),
    /// The task has not ended; an owner waits for that and will say so. Only nodes see this.
    Waiting,
    /// What was asked for is so now.
    Done,
    /// One job.
    Job(Box<JobView>),
    /// Some jobs.
    Jobs {
        /// The jobs, by name: all that there are up to the last of them.
        jobs: Vec<JobLine>,
        /// Whether others come after those.
        has_more: bool,
        /// As of [`Answer::Tasks`].
        partitions_missing: u16,
        /// As of [`Answer::Tasks`].
        #[serde(with = "since_3")]
        told: Vec<Told>,
    },
    /// Whether a file is the cluster's.
    File(FileVerdict),
    /// The node's file was read again.
    Reloaded(Reloaded),
    /// All queues, by name. Since version 3.
    Queues {
        /// The queues.
        queues: Vec<QueueLine>,
        /// The rules that hold.
        rules: Box<Rules>,
        /// As of [`Answer::Tasks`].
        partitions_missing: u16,
        /// As of [`Answer::Tasks`].
        told: Vec<Told>,
    },
    /// A task says more of itself. Since version 3.
    News(Box<News>),
    /// How far the tasks of a group are in the partitions that a node owns. Only nodes see this. Since version 3.
    TaskGroupParts(Vec<TaskGroupPart>),
    /// How far the tasks of a group are. Since version 3.
    TaskGroup {
        /// That.
        view: TaskGroupView,
        /// As of [`Answer::Tasks`].
        partitions_missing: u16,
    },
}

/// A partition of which its owner tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which.
    pub partition: PartitionId,
    /// The term in which whoever tells owns it: of two that tell of it the later one counts.
    pub term: u64,
}

/// How far the tasks of a group are that live in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGroupPart {
    /// Which.
    pub told: Told,
    /// That.
    pub view: TaskGroupView,
}

/// How it stands with a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLine {
    /// Its name.
    pub name: String,
    /// Tasks that wait for a slot, a limit or a rule.
    pub ready: u64,
    /// Tasks that wait for their time: a delay, or the pause before a retry.
    pub scheduled: u64,
    /// Tasks that run.
    pub running: u64,
    /// Dead tasks that are kept.
    pub dead: u64,
    /// For how long the one has waited that has waited longest, of those that are ready.
    pub oldest: Option<Span>,
    /// Runs that have begun within the last ten seconds.
    pub begun: u64,
    /// Tasks that have ended within the last ten seconds, however they did.
    pub ended: u64,
}

/// What there is to tell of a node's file that was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What has changed, what has not although the file says so, and what the file is warned of.
    pub notes: Vec<String>,
    /// Whether its jobs are those of the cluster's file, which has the number zero if there are no jobs
    /// at all; nothing while the cluster does not answer.
    pub jobs: Option<FileVerdict>,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The task.
    pub task: TaskId,
    /// Its final state.
    pub state: State,
    /// What it returned, JSON; absent also when it is no longer kept, or when the results of all
    /// tasks of the answer are too much for one: then ask for the task itself.
    pub result: Option<Bytes>,
    /// Why it is dead, or was dropped. Its detail and its text, too, are left out where the answer would be
    /// too much.
    pub error: Option<Failure>,
}

impl Ask {
    /// Whether it changes anything.
    #[must_use]
    pub const fn acts(&self) -> bool {
        match self {
            Self::Cancel { .. } | Self::Submit { .. } => true,
            Self::Drain { .. } | Self::Forget { .. } | Self::OfferFile { .. } => true,
            Self::ChangeJob { .. } | Self::RunJob { .. } | Self::Reload => true,
            Self::ChangeRule { .. } | Self::FileRules { .. } => true,
            Self::Retry { .. } | Self::Delete { .. } | Self::Withdraw { .. } => true,
            Self::Queues | Self::TaskGroup { .. } => false,
            Self::ListJobs { .. } | Self::ShowJob { .. } => false,
            Self::List(_) | Self::Show { .. } | Self::Status => false,
            Self::Wait { .. } | Self::Watch { .. } | Self::Welcome => false,
        }
    }

    /// The partition of a cluster with so many that it concerns, if it concerns one.
    #[must_use]
    pub fn partition(&self, partitions: u16) -> Option<PartitionId> {
        match self {
            Self::Cancel { task } | Self::Show { task } | Self::Wait { task } => {
                Some(task.partition())
            }
            Self::Retry { task, .. } | Self::Delete { task } | Self::Watch { task, .. } => {
                Some(task.partition())
            }
            Self::Withdraw { task } => Some(task.partition()),
            Self::Submit { batch, .. } => batch.rows.first().map(|row| row.id.partition()),
            Self::ChangeJob { job, .. } | Self::RunJob { job, .. } | Self::ShowJob { job } => {
                Some(job.partition(partitions))
            }
            Self::List(_) | Self::ListJobs { .. } | Self::Status | Self::Welcome => None,
            Self::Drain { .. } | Self::Forget { .. } | Self::OfferFile { .. } => None,
            Self::ChangeRule { .. } | Self::FileRules { .. } => None,
            Self::Reload | Self::Queues | Self::TaskGroup { .. } => None,
        }
    }

    /// The version of the protocol that knows all that it asks for: of whoever speaks an earlier one it cannot be
    /// asked.
    #[must_use]
    pub fn needs_version(&self) -> u16 {
        match self {
            Self::Submit { batch, .. } => batch.needs_version(),
            Self::ChangeJob { change, .. } => change.needs_version(),
            Self::List(wanted) if !wanted.is_of_2() => 3,
            Self::ChangeRule { .. } | Self::FileRules { .. } | Self::Queues => 3,
            Self::Retry { .. } | Self::Delete { .. } | Self::Withdraw { .. } => 3,
            Self::TaskGroup { .. } | Self::Watch { .. } => 3,
            Self::Cancel { .. } | Self::List(_) | Self::Show { .. } | Self::Wait { .. } => 0,
            Self::RunJob { .. } | Self::ShowJob { .. } | Self::ListJobs { .. } => 0,
            Self::Drain { .. } | Self::Forget { .. } | Self::OfferFile { .. } => 0,
            Self::Status | Self::Welcome | Self::Reload => 0,
        }
    }

    /// Whether it is to remove a job.
    #[must_use]
    pub const fn removes_job(&self) -> bool {
        matches!(self, Self::ChangeJob { change: JobChange::Remove { .. }, .. })
    }

    /// Whether it concerns jobs.
    #[must_use]
    pub const fn is_of_jobs(&self) -> bool {
        matches!(
            self,
            Self::ChangeJob { .. }
                | Self::RunJob { .. }
                | Self::ShowJob { .. }
                | Self::ListJobs { .. }
                | Self::OfferFile { .. }
        )
    }

    /// Whether it concerns the cluster's facts: whoever leads their group decides it.
    #[must_use]
    pub const fn is_of_facts(&self) -> bool {
        match self {
            Self::Drain { .. } | Self::Forget { .. } | Self::OfferFile { .. } => true,
            Self::ChangeRule { .. } | Self::FileRules { .. } => true,
            Self::Cancel { .. } | Self::Submit { .. } | Self::Wait { .. } | Self::Show { .. } => {
                false
            }
            Self::Retry { .. } | Self::Delete { .. } | Self::Withdraw { .. } => false,
            Self::Watch { .. } => false,
            Self::ChangeJob { .. } | Self::RunJob { .. } | Self::ShowJob { .. } => false,
            Self::List(_) | Self::ListJobs { .. } => false,
            Self::Queues | Self::TaskGroup { .. } => false,
            Self::Status | Self::Welcome | Self::Reload => false,
        }
    }
}

/// What a client sends on its stream: one frame a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFrame {
    /// The client's number for the request, unique on its connection.
    pub id: u64,
    /// The request.
    pub request: Request,
}

/// What a client is sent: one frame an answer. Only [`Answer::Submitted`] of a submission that waits
/// is followed by another with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFrame {
    /// As asked.
    pub id: u64,
    /// The answer.
    pub answer: Answer,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{State, States};

    #[test]
    fn what_members_of_an_older_version_would_do_in_part_is_not_asked_of_them() {
        let list = |states| Ask::List(Filter { states, ..Filter::default() });
        let named = Ask::List(Filter { name: Some("add".to_owned()), ..Filter::default() });
        let task = TaskId::MAX;
        assert_eq!(
            [list(States::ALL), list(State::Dead.into())].map(|ask| ask.needs_version()),
            [0; 2]
        );
        let newer = [list(States::OPEN), named, Ask::Withdraw { task }, Ask::Queues];
        assert_eq!(newer.map(|ask| ask.needs_version()), [3; 4]);
        assert_eq!(Ask::Cancel { task }.needs_version(), 0);
    }
}
