//! A node that cannot do its part, as its disk is slow or it gets no processor, owns nothing for long where
//! others can.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::membership::Condition;

use super::majority_serves::{has_bad_ways, has_majority, is_well};
use crate::plan::SECOND;
use crate::world::World;

/// So long after a node was found unfit it owns nothing any more that others can own.
const PARTED_WITHIN: u64 = 6 * SECOND;
/// The same where ways are bad.
const PARTED_ON_BAD_WAYS: u64 = 20 * SECOND;

/// Since when hosts have been unfit, and since when others have been fit.
#[derive(Debug, Default)]
pub struct Fitness {
    unfit: BTreeMap<usize, u64>,
    fit: BTreeMap<usize, u64>,
}

/// Looks at what unfit hosts own.
///
/// # Errors
/// Who owns what it should have parted with.
pub fn check(world: &mut World) -> Result<(), String> {
    let known = std::mem::take(&mut world.watch.fitness);
    let mut fitness = Fitness::default();
    for (host, one) in world.hosts.iter().enumerate() {
        let Some(process) = &one.process else {
            continue;
        };
        let condition = process.scheduler.condition();
        let is_unfit = matches!(condition, Condition::DiskSlow | Condition::Starved);
        if is_unfit {
            let since = known.unfit.get(&host).copied().unwrap_or(world.now);
            fitness.unfit.insert(host, since);
        } else if process.is_serving() && condition.is_serving() && is_well(world, host) {
            let since = known.fit.get(&host).copied().unwrap_or(world.now);
            fitness.fit.insert(host, since);
        }
    }
    let within = if has_bad_ways(world) { PARTED_ON_BAD_WAYS } else { PARTED_WITHIN };
    let is_due = |since: &u64| world.now - since > within;
    let fit: BTreeSet<usize> =
        fitness.fit.iter().filter(|(_, since)| is_due(since)).map(|(host, _)| *host).collect();
    for (host, _) in fitness.unfit.iter().filter(|(_, since)| is_due(since)) {
        let copies = world.hosts[*host].process.iter().flat_map(|p| p.scheduler.copies());
        let mut owned = copies.filter(|copy| copy.is_settled()).map(|copy| copy.group());
        if let Some(group) = owned.find(|group| has_majority(world, *group, &fit)) {
            return Err(format!("host {host} is unfit and still owns {group}, as others could"));
        }
    }
    world.watch.fitness = fitness;
    Ok(())
}
