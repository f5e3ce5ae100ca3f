//! Copies that applied the same are the same, byte for byte; and in the end all copies are there.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::durable::Copies;
use umbel_protocol::id::GroupId;
use umbel_protocol::partition::{Fill, Partition};
use umbel_protocol::scheduler::CopyView;
use xxhash_rust::xxh3::xxh3_64;

use super::partitions;
use crate::host::Host;
use crate::world::World;

/// What the state of each group was at each index that was seen.
pub type Images = BTreeMap<(GroupId, u64), (usize, (u64, Fill))>;

/// Compares a copy of `host` with what was seen of its group before, and with what it would be if it
/// came from its own bytes: what is derived from records decides as well.
///
/// # Errors
/// If two differ.
pub fn check_copy(images: &mut Images, host: usize, copy: &CopyView<'_>) -> Result<(), String> {
    let Some(bytes) = copy.to_bytes() else {
        return Ok(());
    };
    let (group, applied) = (copy.group(), copy.applied());
    let image = (xxh3_64(&bytes), copy.partition().map(Partition::fill).unwrap_or_default());
    let (first, known) = *images.entry((group, applied)).or_insert((host, image));
    if known != image {
        return Err(format!(
            "{first} and {host} differ on {group} at {applied}: {known:?}, {image:?}"
        ));
    }
    if let Some(partition) = copy.partition() {
        let again = Partition::from_bytes(&bytes).map(|again| again.fill());
        if again != Ok(partition.fill()) {
            return Err(format!("{group} at {applied} is {image:?} and would be {again:?}"));
        }
    }
    Ok(())
}

/// A group that is not yet as it should be, if there is one.
#[must_use]
pub fn unsettled(world: &World) -> Option<String> {
    // The rest waits for what is decided there.
    let groups = [GroupId::META].into_iter().chain(partitions(world).map(GroupId::of));
    groups.filter_map(|group| unsettled_group(world, group)).next()
}

fn unsettled_group(world: &World, group: GroupId) -> Option<String> {
    let mut applied = BTreeSet::new();
    let mut owners = 0;
    let mut held = 0;
    let limit = match group.partition() {
        Some(_) => usize::from(world.plan.replicas),
        None => umbel_protocol::limits::META_VOTERS_MAX,
    };
    let wanted = limit.min(world.hosts.len());
    for (host, one) in world.hosts.iter().enumerate() {
        if one.is_dead {
            continue;
        }
        let Some(process) = &one.process else {
            return Some(format!("host {host} is down"));
        };
        let Some(copy) = process.scheduler.copy(group) else {
            continue;
        };
        held += 1;
        applied.insert(copy.applied());
        owners += usize::from(copy.is_settled());
        if copy.is_settled() {
            let copies = copy.copies();
            let (voters, learners) = (copies.voters.len(), copies.learners.len());
            if !world.has_its_copies(limit, &copy) {
                return Some(format!("{group} has {voters} voters and {learners} learners"));
            }
        }
    }
    if owners != 1 {
        return Some(format!("{group} has {owners} owners: {:?}", tell_all(world, group)));
    }
    if held != wanted && held != world.living() {
        let all = tell_all(world, group);
        return Some(format!("{group} has {held} copies instead of {wanted}: {all:?}"));
    }
    (applied.len() != 1)
        .then(|| format!("the copies of {group} differ: {:?}", tell_all(world, group)))
}

fn tell_all(world: &World, group: GroupId) -> Vec<String> {
    let tell = |(host, one): (usize, &Host)| {
        let copy = one.process.as_ref()?.scheduler.copy(group)?;
        let (id, at, term) = (copy.replica().0, copy.applied(), copy.term());
        let (role, is_asleep) = (copy.role(), copy.is_asleep());
        let Copies { voters, voters_outgoing: before, .. } = copy.copies();
        Some(format!(
            "host {host}: {id} at {at} in {term}, {role:?}, asleep: {is_asleep}, of {voters:?} and \
             {before:?}"
        ))
    };
    world.hosts.iter().enumerate().filter_map(tell).collect()
}
