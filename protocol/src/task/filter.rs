//! Which tasks are meant.

use serde::{Deserialize, Serialize};

use super::{States, View};
use crate::id::{TaskGroupId, TaskId};
use crate::job::Labels;
use crate::wire::since_3;

/// Which tasks are meant: those that match all of it, the newest. The default means the newest 100.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only those in one of these states. Members of version 2 know one of them, or all.
    pub states: States,
    /// Only those of this queue.
    pub queue: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Only those that have all of these labels. Since version 3.
    #[serde(with = "since_3")]
    pub labels: Labels,
    /// Only those that are called so. Since version 3.
    #[serde(with = "since_3")]
    pub name: Option<String>,
    /// Only those whose ids come before this one: with that of the last of a listing the next begins. Since
    /// version 3.
    #[serde(with = "since_3")]
    pub before: Option<TaskId>,
    /// Only those of this group. Since version 3.
    #[serde(with = "since_3")]
    pub group: Option<TaskGroupId>,
}

impl Filter {
    /// Whether members of version 2 know of all that is asked for.
    #[must_use]
    pub fn is_of_2(&self) -> bool {
        let Self { states, queue: _, limit: _, labels, name, before, group } = self;
        states.is_of_2()
            && labels.is_empty()
            && name.is_none()
            && before.is_none()
            && group.is_none()
    }

    /// Whether a task is meant. A node of an older version does not know all that it is asked for: whoever has
    /// its answer looks at it with this.
    #[must_use]
    pub fn includes(&self, view: &View) -> bool {
        let Self { states, queue, limit: _, labels, name, before, group } = self;
        states.contains(view.state)
            && queue.as_ref().is_none_or(|queue| view.queue == *queue)
            && name.as_ref().is_none_or(|name| view.task == *name)
            && before.is_none_or(|before| view.id < before)
            && group.is_none_or(|group| view.group == Some(group))
            && view.has_labels(labels)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            states: States::ALL,
            queue: None,
            limit: 100,
            labels: Labels::NONE,
            name: None,
            before: None,
            group: None,
        }
    }
}
