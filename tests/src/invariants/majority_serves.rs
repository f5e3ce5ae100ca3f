//! Where a majority of a group's copies is on hosts that are well, the group has an owner, and nothing
//! stays leased to processes that are gone, whatever happens to the other hosts meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::{GroupId, ReplicaId, TaskId, Token};
use umbel_protocol::task::Phase;

use super::{owner, partitions};
use crate::plan::SECOND;
use crate::world::World;

/// For how long a majority may be well without an owner.
const OWNED_WITHIN: u64 = 6 * SECOND;
/// For how long an owner that is well may leave a run to a process that is gone: suspicion comes first.
const RELEASED_WITHIN: u64 = 8 * SECOND;
/// Where messages get lost, or a way may be slower than an election for some seconds.
const ON_BAD_WAYS: u64 = 9 * SECOND;

/// What is not yet as it has to be, and since when.
#[derive(Debug, Default)]
pub struct Pending {
    unowned: BTreeMap<GroupId, u64>,
    left: BTreeMap<(TaskId, Token), u64>,
}

/// Looks at all partitions.
///
/// # Errors
/// What has been without an owner for too long, or is still left to somebody who is gone.
pub fn check(world: &mut World) -> Result<(), String> {
    let known = std::mem::take(&mut world.watch.pending);
    let well: BTreeSet<usize> =
        (0..world.hosts.len()).filter(|host| is_well(world, *host)).collect();
    let mut pending = Pending::default();
    let grace = if has_bad_ways(world) { ON_BAD_WAYS } else { 0 };
    for partition in partitions(world) {
        let group = GroupId::of(partition);
        if !has_majority(world, group, &well) {
            continue;
        }
        let Some((host, owned)) = owner(world, partition) else {
            let since = known.unowned.get(&group).copied().unwrap_or(world.now);
            let age = world.now - since;
            if age > OWNED_WITHIN + grace {
                return Err(format!("{group} has had no owner for {age} us, though most are well"));
            }
            pending.unowned.insert(group, since);
            continue;
        };
        if !well.contains(&host) {
            continue;
        }
        for (task, record) in owned.records() {
            let Phase::Leased(lease) = record.phase() else {
                continue;
            };
            let start = (lease.lessee.node, lease.lessee.incarnation);
            if !world.ledger.ended.contains_key(&start) && !world.ledger.left.contains_key(&start) {
                continue;
            }
            let run = (task, lease.token);
            let since = known.left.get(&run).copied().unwrap_or(world.now);
            let age = world.now - since;
            if age > RELEASED_WITHIN + grace {
                return Err(format!(
                    "{task} is left to {:?}, gone for {age} us, by host {host}, which is well",
                    lease.lessee
                ));
            }
            pending.left.insert(run, since);
        }
    }
    world.watch.pending = pending;
    Ok(())
}

/// Whether messages get lost, or ways are slow at times.
pub(super) fn has_bad_ways(world: &World) -> bool {
    let noise = world.network.noise;
    let loses = noise.datagrams_lost > 0 || noise.consensus_lost > 0;
    world.plan.faults.lags || noise.has_tails || loses
}

/// Whether a host runs and can do all that it is asked for, and nothing stands between it and others.
pub(super) fn is_well(world: &World, host: usize) -> bool {
    let one = &world.hosts[host];
    let until = [one.late_until, one.starved_until, one.slow_until, one.full_until];
    let troubled_at = world.watch.troubles.get(&host).copied().unwrap_or(0);
    one.process.is_some()
        && until.into_iter().all(|until| until < world.now)
        && troubled_at + SECOND < world.now
}

/// Whether a majority of those that vote, by any copy's account, is on hosts of which each is well.
pub(super) fn has_majority(world: &World, group: GroupId, well: &BTreeSet<usize>) -> bool {
    let here = |host: usize| world.hosts[host].process.as_ref()?.scheduler.copy(group);
    let ready: BTreeSet<ReplicaId> =
        well.iter().filter_map(|host| Some(here(*host)?.replica())).collect();
    let all = (0..world.hosts.len()).filter_map(here).map(|copy| copy.copies());
    let both = all.flat_map(|copies| [copies.voters, copies.voters_outgoing]);
    // A copy that has not been filled yet knows of none.
    let mut known = both.filter(|voters| !voters.is_empty()).peekable();
    known.peek().is_some()
        && known.all(|voters| {
            let there = voters.iter().filter(|voter| ready.contains(*voter)).count();
            2 * there > voters.len()
        })
}
