//! Which nodes may run a task.

use serde::{Deserialize, Serialize};

use super::labels::Labels;
use crate::id::NodeId;

/// Which nodes may run a task, of those that know its name and serve its queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// Any.
    #[default]
    Anywhere,
    /// Those that have all of these labels.
    Labels(Labels),
    /// This one.
    Node(NodeId),
}

impl Target {
    /// What memory it is counted as.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Anywhere | Self::Node(_) => 0,
            Self::Labels(labels) => labels.weight(),
        }
    }

    /// Whether `node` may run it, which has these `labels`.
    #[must_use]
    pub fn includes(&self, node: NodeId, labels: &Labels) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Labels(selection) => labels.match_all(selection),
            Self::Node(target) => node == *target,
        }
    }
}
