//! Why a request was not carried out, and what to do.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, PartitionId, TaskId};
use crate::job::InvalidJob;
use crate::meta::{FactsRefusal, InvalidRule, PartingRefusal};
use crate::partition::{JobRefusal, SteerRefusal};
use crate::task::InvalidBatch;

/// A request that failed. Nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RequestError {
    /// The submission breaks a limit; repeating it cannot help.
    #[error(transparent)]
    Invalid(#[from] InvalidBatch),
    /// The cluster is being formed, or this node is joining it; try again.
    #[error("the cluster is still being formed: {missing}; try again in a moment")]
    Forming {
        /// What it waits for.
        missing: String,
    },
    /// No majority of the partition's copies answers; try again when nodes are back.
    #[error(
        "no majority of the copies of partition {partition} can be reached; see `umbel cluster status` for nodes that are down, then try again"
    )]
    NoQuorum {
        /// The partition.
        partition: PartitionId,
    },
    /// There is no such task, or its record is no longer kept.
    #[error(
        "no task {task} is known; what became of one is kept for an hour, or for as long as it says, and for \
         less if there is too much of that"
    )]
    NotFound {
        /// The task.
        task: TaskId,
    },
    /// The node asked does not own the partition (any more). Only nodes see this: they ask on.
    #[error("this node does not own partition {partition}")]
    NotOwner {
        /// The partition.
        partition: PartitionId,
        /// Who does, as far as it knows.
        owner: Option<NodeId>,
    },
    /// Too much is under way on the node; try again later.
    #[error("the node has too much under way ({what}); try again later or at another node")]
    Overloaded {
        /// What there is too much of.
        what: String,
    },
    /// The task did not end in time; it goes on.
    #[error(
        "the task has not ended in the time given; it goes on, ask again with `umbel task wait`"
    )]
    TimedOut,
    /// The answer was lost: whether the tasks were taken in is not known. Submit again with the
    /// same ids to find out.
    #[error("whether it was taken in is not known; submit it again under the same id to find out")]
    Unknown,
    /// No member knows the task name.
    #[error("no node of the cluster knows the task {name:?}; {}", suggest(.known, DECLARE_TASK))]
    UnknownTask {
        /// The name.
        name: String,
        /// Names that are alike.
        known: Vec<String>,
    },
    /// No member serves the queue.
    #[error("no node of the cluster serves the queue {name:?}; {}", suggest(.known, DECLARE_QUEUE))]
    UnknownQueue {
        /// The queue.
        name: String,
        /// Names that are alike.
        known: Vec<String>,
    },
    /// The answer is longer than a frame. The request was carried out; asking for less helps.
    #[error(
        "the answer takes {bytes} bytes, more than fits into one; ask for fewer tasks at a time, \
         for example with `--limit`"
    )]
    TooLong {
        /// What it would take.
        bytes: u64,
    },
    /// The member is neither drained nor forgotten. Nothing has changed.
    #[error(transparent)]
    Parting(#[from] PartingRefusal),
    /// The node asked does not lead the group of the cluster's facts (any more). Only nodes see this:
    /// they ask on.
    #[error("this node does not lead the group of the cluster's facts")]
    NotLeader {
        /// Who does, as far as it knows.
        leader: Option<NodeId>,
    },
    /// No majority of those that keep the cluster's facts answers; try again when nodes are back.
    #[error(
        "no majority of the nodes that keep the cluster's facts can be reached; see `umbel cluster status` for nodes that are down, then try again"
    )]
    NoFacts,
    /// A member still speaks an older version of the protocol and would not understand it. Nothing has
    /// changed.
    #[error(
        "a node of the cluster is older and would not understand this; upgrade all nodes first"
    )]
    NotUpgraded,
    /// Nothing was changed about the job.
    #[error(transparent)]
    Job(#[from] JobRefusal),
    /// There can be no such job.
    #[error(transparent)]
    InvalidJob(#[from] InvalidJob),
    /// The node's file cannot be used, and what was read before holds; or it was taken over but for
    /// some of its jobs, which the cluster refuses.
    #[error("{why}")]
    Reload {
        /// Which of the two, and what is wrong.
        why: String,
    },
    /// What is said of a queue, or of tasks, cannot be meant. Nothing has changed. Since version 3.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// Nothing was done with a task that was to be tried again or dropped. Since version 3.
    #[error(transparent)]
    Steer(#[from] SteerRefusal),
    /// Whoever was asked does nothing of the kind: what stands in for a node in tests. Since version 3.
    #[error("{why}")]
    NotSupported {
        /// Why not, and who does.
        why: String,
    },
}

impl From<FactsRefusal> for RequestError {
    fn from(why: FactsRefusal) -> Self {
        match why {
            FactsRefusal::Parting(why) => Self::Parting(why),
            FactsRefusal::Rule(why) => Self::Rule(why),
        }
    }
}

fn suggest(known: &[String], otherwise: &str) -> String {
    if known.is_empty() {
        return otherwise.to_owned();
    }
    format!("did you mean {}?", known.join(" or "))
}

const DECLARE_TASK: &str = "declare it under [tasks] in cluster.toml, or register a handler for it";
const DECLARE_QUEUE: &str = "let a node serve it: by `queues` under [node] in cluster.toml, which serves all if that is left out";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_declared_where_it_belongs() {
        let name = || "a".to_owned();
        let known = Vec::new;
        let task = RequestError::UnknownTask { name: name(), known: known() }.to_string();
        assert!(task.contains("[tasks]") && !task.contains("[node]"), "{task}");
        let queue = RequestError::UnknownQueue { name: name(), known: known() }.to_string();
        assert!(queue.contains("[node]") && !queue.contains("[tasks]"), "{queue}");
        let known = vec!["b".to_owned(), "c".to_owned()];
        let task = RequestError::UnknownTask { name: name(), known }.to_string();
        assert!(task.ends_with("; did you mean b or c?"), "{task}");
    }
}
