//! Who dies for good is missed soon: others own what it owned and end what it ran.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::{GroupId, PartitionId, TaskId};
use umbel_protocol::task::Phase;

use super::{owned, partitions};
use crate::plan::SECOND;
use crate::world::World;

/// So long after a death every group has an owner that lives.
const OWNED_WITHIN: u64 = 10 * SECOND;
/// So long after it no run is left to the dead.
const RELEASED_WITHIN: u64 = 15 * SECOND;
/// At most this many of the times are kept: their median is all that they are for.
const TIMES_MAX: usize = 4_096;

/// What the dead left, and how long it took others to have it.
#[derive(Clone, Debug, Default)]
pub struct Takeover {
    /// Groups that the dead owned and nobody else does yet.
    groups: BTreeSet<GroupId>,
    /// Tasks that the dead ran and nobody else does yet.
    runs: BTreeSet<TaskId>,
    /// Partitions without an owner, and since when they have been seen so.
    unowned: BTreeMap<PartitionId, u64>,
    /// How long each group was without an owner, in microseconds.
    pub owned_after: Vec<u64>,
    /// How long it took each run to begin elsewhere.
    pub run_after: Vec<u64>,
}

/// A host is about to die for good: notes what it has.
pub fn on_death(world: &mut World, host: usize) {
    let Some(process) = &world.hosts[host].process else {
        return;
    };
    let settled = process.scheduler.copies().filter(|copy| copy.is_settled());
    let groups: Vec<GroupId> = settled.map(|copy| copy.group()).collect();
    let runs: Vec<TaskId> = process.running_tasks().collect();
    world.watch.takeover.groups.extend(groups);
    world.watch.takeover.runs.extend(runs);
}

/// A group has a settled owner.
pub fn on_owner(world: &mut World, group: GroupId) {
    let Some(at) = world.loss.at else {
        return;
    };
    let takeover = &mut world.watch.takeover;
    if takeover.groups.remove(&group) && takeover.owned_after.len() < TIMES_MAX {
        takeover.owned_after.push(world.now - at);
    }
}

/// A run of `task` starts.
pub fn on_start(world: &mut World, task: TaskId) {
    let Some(at) = world.loss.at else {
        return;
    };
    let takeover = &mut world.watch.takeover;
    if takeover.runs.remove(&task) && takeover.run_after.len() < TIMES_MAX {
        takeover.run_after.push(world.now - at);
    }
}

/// What the dead still have after so long, if anything.
///
/// # Errors
/// What nobody has taken over.
pub fn check(world: &mut World) -> Result<(), String> {
    let Some(age) = world.loss.at.map(|at| world.now - at) else {
        return Ok(());
    };
    for partition in partitions(world).collect::<Vec<_>>() {
        let Some(owned) = owned(world, partition) else {
            // A handover in good order has a moment without an owner, too.
            let now = world.now;
            let since = *world.watch.takeover.unowned.entry(partition).or_insert(now);
            if now - since >= OWNED_WITHIN {
                return Err(format!("{partition} has had no owner for {} us", now - since));
            }
            continue;
        };
        let left = owned.records().find(|(_, record)| match record.phase() {
            Phase::Leased(lease) => {
                world.host_of(lease.lessee.node).is_none_or(|host| world.hosts[host].is_dead)
            }
            _ => false,
        });
        if let Some((task, _)) = left.filter(|_| age >= RELEASED_WITHIN) {
            return Err(format!("{task} is left to a node that died {age} us ago"));
        }
        world.watch.takeover.unowned.remove(&partition);
    }
    Ok(())
}
