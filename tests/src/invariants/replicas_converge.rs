//! Copies that applied the same are the same, byte for byte; and in the end all copies are there.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::GroupId;
use xxhash_rust::xxh3::xxh3_64;

use super::partitions;
use crate::world::World;

/// What the state of each group was at each index that was seen.
pub type Images = BTreeMap<(GroupId, u64), (usize, u64)>;

/// Compares all copies with what was seen before.
///
/// # Errors
/// The first two that differ.
pub fn check(world: &mut World) -> Result<(), String> {
    for (host, one) in world.hosts.iter().enumerate() {
        let Some(process) = &one.process else {
            continue;
        };
        for copy in process.scheduler.copies() {
            let Some(bytes) = copy.to_bytes() else {
                continue;
            };
            let hash = xxh3_64(&bytes);
            let key = (copy.group(), copy.applied());
            let (first, known) = *world.images.entry(key).or_insert((host, hash));
            if known != hash {
                return Err(format!(
                    "{} and {} differ on {} at {}",
                    first,
                    host,
                    copy.group(),
                    copy.applied()
                ));
            }
        }
    }
    Ok(())
}

/// A group that is not yet as it should be, if there is one.
#[must_use]
pub fn unsettled(world: &World) -> Option<String> {
    let groups = partitions(world).map(GroupId::of).chain([GroupId::META]);
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
            if !world.has_its_copies(wanted, voters, learners) || copies.is_joint() {
                return Some(format!("{group} has {voters} voters and {learners} learners"));
            }
        }
    }
    if owners != 1 {
        return Some(format!("{group} has {owners} owners"));
    }
    if held != wanted && held != world.living() {
        return Some(format!("{group} has {held} copies instead of {wanted}"));
    }
    (applied.len() != 1).then(|| format!("the copies of {group} stand at {applied:?}"))
}
