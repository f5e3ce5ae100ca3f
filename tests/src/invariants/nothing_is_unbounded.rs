//! Logs, memory and what a node keeps for others stay within their limits, all the while.

use std::collections::BTreeMap;

use umbel_protocol::id::GroupId;
use umbel_protocol::limits::{FORWARDS_MAX, SUBMISSIONS_IN_FLIGHT_MAX, WAITERS_MAX};

use super::partitions;
use crate::plan::SECOND;
use crate::world::World;

/// A log may be too long for as long as it takes to save the state: that of another group may be in
/// the way, and disks are slow at times. It counts from when the last one was saved: where each sync
/// takes seconds, as much comes meanwhile as a log may have, and is too long again as soon as it is
/// there, behind a state that is as new as any could be.
const SAVED_WITHIN: u64 = 4 * SECOND;
/// What came while a process stood still, or its scheduler was being built anew, is looked at when that
/// is over, and waits from then on.
const AFTER_TROUBLE: u64 = 14 * SECOND;
/// Requests are kept for no longer than their callers wait, and a driver's turn.
const ASK_SLACK: u64 = SECOND;

/// Since when the log of a group on a host has been too long, behind a state saved at which index.
pub type Overlong = BTreeMap<(usize, GroupId, u64), u64>;

/// The log of a copy that is too long.
struct LongLog {
    group: GroupId,
    /// The index at which the state before it was saved.
    saved_at: u64,
    bytes: usize,
    most: usize,
}

/// Measures every host.
///
/// # Errors
/// What has grown too far.
pub fn check(world: &mut World) -> Result<(), String> {
    let known = std::mem::take(&mut world.watch.overlong);
    for host in 0..world.hosts.len() {
        for LongLog { group, saved_at, bytes, most } in long_logs(world, host) {
            let log = (host, group, saved_at);
            let since = known.get(&log).copied().unwrap_or(world.now);
            if world.now - since > SAVED_WITHIN {
                return Err(format!(
                    "host {host} keeps {bytes} bytes of log of {group}, not {most}"
                ));
            }
            world.watch.overlong.insert(log, since);
        }
        memory(world, host)?;
        requests(world, host)?;
    }
    Ok(())
}

/// Groups of which more stands on a disk behind the last saved state than should.
fn long_logs(world: &World, host: usize) -> Vec<LongLog> {
    let (limits, one) = (&world.plan.limits, &world.hosts[host]);
    let Some(process) = one.process.as_ref().filter(|_| one.late_until <= world.now) else {
        return Vec::new();
    };
    let copies = partitions(world).filter_map(|id| process.scheduler.copy(GroupId::of(id)));
    let measured = copies.map(|copy| {
        let state = copy.partition().map_or(0, |partition| partition.fill().weight());
        let bytes = one.disk.log_bytes(copy.group(), copy.replica(), copy.applied());
        let most = limits.log_bytes_min.max(state * limits.log_per_state);
        LongLog { group: copy.group(), saved_at: one.disk.saved_at(copy.group()), bytes, most }
    });
    measured.filter(|log| log.bytes > log.most).collect()
}

/// Nothing is taken in beyond the memory of its owner; what is there may grow, and copies of what
/// others own take as much as there.
fn memory(world: &World, host: usize) -> Result<(), String> {
    let limit = world.plan.limits.node_bytes_max;
    let Some(process) = &world.hosts[host].process else {
        return Ok(());
    };
    let (memory, most) = (process.scheduler.memory(), limit * 2 * world.hosts.len() + 64 * 1024);
    if memory > most {
        return Err(format!("host {host} has {memory} bytes of records where {limit} are allowed"));
    }
    Ok(())
}

/// What is kept for callers.
fn requests(world: &World, host: usize) -> Result<(), String> {
    let one = &world.hosts[host];
    let Some(process) = &one.process else {
        return Ok(());
    };
    let (asks, waits, submissions) = process.scheduler.waiting();
    if asks > FORWARDS_MAX || waits > WAITERS_MAX || submissions > SUBMISSIONS_IN_FLIGHT_MAX {
        return Err(format!("host {host} keeps {asks} requests, {waits} waits, {submissions}"));
    }
    let troubled_at = world.watch.troubles.get(&host).copied().unwrap_or(0);
    if troubled_at.max(one.late_until) + AFTER_TROUBLE > world.now {
        return Ok(());
    }
    let open = world.clients.asked_of(host, world.now.saturating_sub(ASK_SLACK));
    if asks > open + world.operator.asked() {
        return Err(format!("host {host} keeps {asks} requests of {open} callers"));
    }
    Ok(())
}
