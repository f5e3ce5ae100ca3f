//! What the tasks of jobs are called, worked out anew: whoever knows a job, a tick and a host knows the
//! id of the task, so there cannot be two.

use std::collections::BTreeSet;

use umbel_protocol::id::{NodeId, PartitionId, TaskId};
use umbel_protocol::job::JobName;
use umbel_protocol::time::Wall;
use xxhash_rust::xxh3::xxh3_64;

/// No job of a world tells more often of what has happened to it.
const ALERTS_MAX: u64 = 1_024;

/// What a task is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purpose {
    /// Of which job.
    pub job: JobName,
    /// What of it.
    pub what: What,
}

/// What of a job a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A tick, or on that host.
    Tick(Option<NodeId>),
    /// A run that somebody asked for, or on that host.
    ByHand(Option<NodeId>),
    /// The alert of that number.
    Alert(u64),
}

impl Purpose {
    /// The id of its task at `tick` in `partition`.
    #[must_use]
    pub fn task(&self, tick: Wall, partition: PartitionId) -> TaskId {
        let (kind, number) = match self.what {
            What::Tick(host) => (0, host.map_or(0, |host| host.0)),
            What::ByHand(host) => (1, host.map_or(0, |host| host.0)),
            What::Alert(number) => (2, u128::from(number)),
        };
        let mut key = self.job.as_str().as_bytes().to_vec();
        key.extend([0, kind]);
        key.extend(tick.as_millis().to_le_bytes());
        key.extend(number.to_le_bytes());
        TaskId::derived(tick, partition, xxh3_64(&key))
    }
}

/// What `task` is for, if it is of one of these jobs.
pub(super) fn find<'a>(
    task: TaskId,
    jobs: impl Iterator<Item = &'a JobName>,
    nodes: &BTreeSet<NodeId>,
) -> Option<Purpose> {
    let tick = task.made_at();
    let places = || [None].into_iter().chain(nodes.iter().copied().map(Some));
    let runs = || places().flat_map(|place| [What::Tick(place), What::ByHand(place)]);
    let all = || runs().chain((0..ALERTS_MAX).map(What::Alert));
    let purposes = jobs.flat_map(|job| all().map(|what| Purpose { job: job.clone(), what }));
    purposes.into_iter().find(|purpose| purpose.task(tick, task.partition()) == task)
}
