//! Two nodes that are cut from each other only work together all the same: nothing between an owner
//! and an executor waits until the cut heals.

use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Lease, Phase};

use super::{owner, partitions};
use crate::plan::SECOND;
use crate::world::World;

/// A connection is dead for some seconds before both sides know, then a second passes, then messages
/// take seconds on each of two connections, and what got lost is repeated after a few.
const WITHIN: u64 = 20 * SECOND;

/// While two hosts are cut from each other and all else is well.
///
/// # Errors
/// A run that was not sent to its executor, or whose end is not on record, for too long.
pub fn check(world: &World) -> Result<(), String> {
    let Some(apart) = world.apart.filter(|_| world.plan.faults.is_bridged_only()) else {
        return Ok(());
    };
    for id in partitions(world) {
        let Some((owner, partition)) = owner(world, id) else {
            continue;
        };
        for (task, record) in partition.records() {
            let Phase::Leased(lease) = record.phase() else {
                continue;
            };
            let Some(executor) = world.host_of(lease.lessee.node) else {
                continue;
            };
            let pair = [owner, executor];
            let is_between = pair == apart.hosts || pair == [apart.hosts[1], apart.hosts[0]];
            let Some((what, at)) = waits_for(world, task, lease).filter(|_| is_between) else {
                continue;
            };
            let waited = world.now - at.max(apart.since);
            if waited > WITHIN {
                return Err(format!("{what} of {task} {} waits for {waited} us", lease.token));
            }
        }
    }
    Ok(())
}

/// What of a leased run is to be told next, and since when; nothing while it runs.
fn waits_for(world: &World, task: TaskId, lease: &Lease) -> Option<(&'static str, u64)> {
    let log = world.ledger.log_of(task)?;
    match log.starts.iter().find(|start| start.token == lease.token) {
        None => {
            let leased_at = world.ledger.leased.get(&(task, lease.token))?;
            Some(("the dispatch", *leased_at))
        }
        Some(start) => start.end.as_ref().map(|(at, _)| ("the outcome", *at)),
    }
}
