//! At rest nothing is held, no slot is missing, nobody waits, and all know the same cluster.

use umbel_protocol::wire::hello::Versions;

use crate::world::World;

/// What is left over, if anything.
#[must_use]
pub fn left(world: &World) -> Option<String> {
    let mut version = None;
    for (host, one) in world.hosts.iter().enumerate().filter(|(_, one)| !one.is_dead) {
        let Some(process) = &one.process else {
            continue;
        };
        if let Some(run) = process.executor.runs().next() {
            return Some(format!("host {host} holds a run that has ended: {run:?}"));
        }
        let free = process.executor.free();
        if free != one.profile.pools {
            return Some(format!("host {host} has {free:?} free of {:?}", one.profile.pools));
        }
        let condition = process.scheduler.condition();
        if !condition.is_serving() {
            return Some(format!("host {host} takes itself to be {condition:?}"));
        }
        let waiting = process.scheduler.waiting();
        if waiting != (0, 0, 0) {
            return Some(format!("host {host} keeps requests, waits, submissions: {waiting:?}"));
        }
        let meta = process.scheduler.meta()?;
        let is_member = meta.members.contains_key(&one.node);
        if !is_member || *version.get_or_insert(meta.version) != meta.version {
            return Some(format!("host {host} knows version {} of the cluster", meta.version));
        }
        if meta.spoken != Versions::OWN.max {
            let spoken = meta.spoken;
            return Some(format!("all were upgraded, and host {host} still speaks {spoken}"));
        }
    }
    None
}
