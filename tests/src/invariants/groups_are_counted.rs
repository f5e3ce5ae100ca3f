//! Whoever counts a group is told of all its tasks that were taken in some time before and have not ended, and of no
//! more than there are.
//!
//! An owner that is cut off may not know yet that it is none any more: what was taken in by another one just before
//! the count may be missing.

use std::collections::BTreeSet;

use umbel_protocol::id::{GroupId, TaskGroupId, TaskId};
use umbel_protocol::task::TaskGroupView;

use crate::ledger::TaskLog;
use crate::plan::SECOND;
use crate::world::World;

/// So long after it was taken in a task is in every count: longer than an owner goes on that is cut off, also one
/// whose process stood still.
const KNOWN_WITHIN: u64 = 5 * SECOND;

/// Somebody who asked at `asked_at` is told how far a group is, by the owners of all partitions.
///
/// # Errors
/// What is missing, or too much.
pub fn told(
    world: &World,
    group: TaskGroupId,
    asked_at: u64,
    view: &TaskGroupView,
) -> Result<(), String> {
    let of_group = || world.ledger.tasks.values().filter(|log| log.group == Some(group));
    let ids: BTreeSet<TaskId> = of_group().flat_map(|log| log.ids.iter().copied()).collect();
    if view.known() > ids.len() as u64 {
        return Err(format!("{group} has {} tasks of {}", view.known(), ids.len()));
    }
    let is_known = |log: &&TaskLog| {
        log.acknowledged_at.is_some_and(|at| at + KNOWN_WITHIN < asked_at) && is_open(world, log)
    };
    let open = of_group().filter(is_known).count() as u64;
    if view.open() < open {
        return Err(format!("{group} has {} open tasks, of at least {open}", view.open()));
    }
    Ok(())
}

/// Whether a task that was taken in has certainly not ended yet.
fn is_open(world: &World, log: &TaskLog) -> bool {
    let may_have_ended = log.expires
        || log.cancel_asked
        || log.may_be_dropped
        || log.crashes > 0
        || log.starts.iter().any(|start| start.end.is_some());
    let Some(task) = log.acknowledged.filter(|_| !may_have_ended && log.ids.len() == 1) else {
        return false;
    };
    let copies = world.hosts.iter().filter_map(|host| host.process.as_ref());
    let partitions = copies
        .filter_map(|process| process.scheduler.copy(GroupId::of(task.partition()))?.partition());
    // A copy that is behind does not have it yet.
    !partitions.filter_map(|partition| partition.state(task)).any(|state| state.is_final())
}
