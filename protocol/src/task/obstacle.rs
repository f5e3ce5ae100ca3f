//! What keeps a task from starting that may.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::meta::Subject;

/// What keeps a task from starting that may, as its owner sees it. Since version 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Obstacle {
    /// No node knows a task of its name.
    NobodyKnowsIt,
    /// No node that knows its name serves its queue.
    NobodyServesItsQueue,
    /// No node that could run it is one of those that it selects, or, if one is named, of those that a rule does.
    NobodySelected(Option<Subject>),
    /// What it is, or its queue, is paused.
    Paused(Subject),
    /// As many run, or have begun, as this may.
    Limited(Subject),
    /// As many of its limit key run, or have begun, as may.
    KeyLimited,
    /// No node that could run it has any of the resource that it takes, or of the slots of its queue.
    NoResource,
    /// It was put away, and its owner has no memory to bring it back.
    Memory,
    /// All nodes that could run it are being drained, or are about to leave.
    Leaving,
    /// All slots of the nodes that can run it are taken, or others go first.
    Slots,
    /// The owner of its partition has just taken it over, or cannot write.
    Owner,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyKnowsIt => f.write_str("no node that is there knows a task of this name"),
            Self::NobodyServesItsQueue => {
                f.write_str("no node that knows the task serves its queue")
            }
            Self::NobodySelected(None) => {
                f.write_str("no node that could run it is one of those that it selects")
            }
            Self::NobodySelected(Some(subject)) => write!(
                f,
                "no node that could run it is one of those that the rule for {subject} selects"
            ),
            Self::Paused(subject) => write!(f, "{subject} is paused"),
            Self::Limited(subject) => write!(f, "as many of {subject} run or have begun as may"),
            Self::KeyLimited => f.write_str("as many of its limit key run or have begun as may"),
            Self::NoResource => f.write_str("no node that could run it has any slot for it"),
            Self::Memory => f.write_str("the owner of its partition has no memory for more tasks"),
            Self::Leaving => {
                f.write_str("all nodes that could run it are being drained, or are about to leave")
            }
            Self::Slots => f.write_str("all slots are taken, or others go first"),
            Self::Owner => f.write_str("the owner of its partition is not ready"),
        }
    }
}
