//! Of a queue of which people have said how many may run no more do, in the whole cluster; of one that is paused
//! none begins. Both are looked at where nobody is lost or cut off: an owner that hears of nothing heeds nothing.

use crate::plan::SECOND;
use crate::rules::MOST;
use crate::world::World;

/// A queue is of this pool of slots: the first of [`QUEUES`](crate::work::QUEUES), and the other.
const LIMITED: usize = 1;
const PAUSED: usize = 0;
/// So long after it was said all owners have heard of it, and what had begun before is over.
const HEEDED: u64 = 6 * SECOND;

/// A run that takes a slot of `pool` starts.
///
/// # Errors
/// If as many of its queue run as may, or if it is paused.
pub fn on_start(world: &World, pool: usize) -> Result<(), String> {
    if !world.plan.faults.troubles.is_empty() {
        return Ok(());
    }
    let holds = |since: Option<u64>| since.is_some_and(|since| world.now > since + HEEDED);
    if pool == PAUSED && holds(world.rules.paused_since) {
        return Err("a run of a queue that is paused starts".to_owned());
    }
    if pool == LIMITED && holds(world.rules.limited_since) {
        let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
        let running: u32 = processes.map(|process| process.running(LIMITED)).sum();
        if running >= MOST {
            return Err(format!("a run of a limited queue starts beside {running} others"));
        }
    }
    Ok(())
}
