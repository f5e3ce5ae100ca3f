//! A node that cannot do its part, as its disk is slow or it gets no processor, owns and leads nothing for
//! long where others can.

use std::collections::BTreeMap;

use umbel_protocol::group::Role;
use umbel_protocol::id::GroupId;
use umbel_protocol::membership::Condition;

use super::majority_serves::{circles, has_bad_ways, has_majority, hear_each_other, is_well};
use crate::plan::SECOND;
use crate::world::World;

/// For how long an unfit node may lead what others have been able to own for as long. It hands over some
/// dozens of groups in each tick, of which it has fewer while it gets no processor.
const PARTED_WITHIN: u64 = 4 * SECOND;
/// The same where messages get lost, or are late for up to eight seconds.
const PARTED_ON_BAD_WAYS: u64 = 20 * SECOND;

/// Since when hosts have been fit, and since when unfit ones have led what others could.
#[derive(Debug, Default)]
pub struct Fitness {
    fit: BTreeMap<usize, u64>,
    kept: BTreeMap<(usize, GroupId), u64>,
}

/// Looks at what unfit hosts lead.
///
/// # Errors
/// Who leads what it should have parted with.
pub fn check(world: &mut World) -> Result<(), String> {
    let known = std::mem::take(&mut world.watch.fitness);
    let mut fitness = Fitness::default();
    for (host, one) in world.hosts.iter().enumerate() {
        let is_serving = one.process.as_ref().is_some_and(|process| process.is_serving());
        if is_serving && is_well(world, host) {
            let since = known.fit.get(&host).copied().unwrap_or(world.now);
            fitness.fit.insert(host, since);
        }
    }
    let within = if has_bad_ways(world) { PARTED_ON_BAD_WAYS } else { PARTED_WITHIN };
    let is_fit = |host: usize| fitness.fit.get(&host).is_some_and(|at| world.now - at > within);
    for (host, one) in world.hosts.iter().enumerate() {
        let scheduler = one.process.as_ref().map(|process| &process.scheduler);
        let unfit = scheduler.filter(|scheduler| {
            let condition = scheduler.condition();
            !condition.is_serving() && condition != Condition::Leaving
        });
        let others = circles(world, |other| is_fit(other) && hear_each_other(world, host, other));
        let copies = unfit.into_iter().flat_map(|scheduler| scheduler.copies());
        // One that it leads and cannot come to own is kept from others as well.
        for copy in copies.filter(|copy| copy.role() == Role::Leader) {
            let group = copy.group();
            if !others.iter().any(|hosts| has_majority(world, group, hosts)) {
                continue;
            }
            let since = known.kept.get(&(host, group)).copied().unwrap_or(world.now);
            if world.now - since > within {
                return Err(format!(
                    "host {host} is unfit and still leads {group}, as others could"
                ));
            }
            fitness.kept.insert((host, group), since);
        }
    }
    world.watch.fitness = fitness;
    Ok(())
}
