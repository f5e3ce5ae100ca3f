//! Of a queue of which people have said how many may run no more do, in the whole cluster; of one that is paused
//! none begins.
//!
//! How many run is looked at where nobody is lost or cut off, and so is when a pause is heeded everywhere: an owner
//! that hears of nothing heeds nothing. But one that has heard of a pause leases nothing, whatever happens.

use umbel_protocol::id::{GroupId, TaskId};
use umbel_protocol::meta::Subject;
use umbel_protocol::time::Span;

use crate::host::{Process, true_wall};
use crate::plan::{SECOND, Work};
use crate::rules::MOST;
use crate::work::QUEUES;
use crate::world::World;

/// A queue is of this pool of slots: the first of [`QUEUES`], and the other.
const LIMITED: usize = 1;
const PAUSED: usize = 0;
/// So long after it was said all owners have heard of it, and what had begun before is over.
const HEEDED: u64 = 6 * SECOND;
/// What an owner was about to lease when it heard of a pause is leased by then.
const ABOUT_TO: Span = Span::from_millis(1_000);

/// A run of `task` that takes a slot of `pool` starts.
///
/// # Errors
/// If as many of its queue run as may, or if it is paused.
pub fn on_start(world: &World, pool: usize, task: TaskId) -> Result<(), String> {
    if world.plan.work != Work::Ruled {
        return Ok(());
    }
    if pool == PAUSED && is_leased_in_a_pause(world, task) {
        return Err(format!("{task} was leased by an owner that knew of a pause"));
    }
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

/// Notes which hosts know of the pause.
pub fn look(world: &mut World) {
    if world.plan.work != Work::Ruled {
        return;
    }
    for (host, one) in world.hosts.iter().enumerate() {
        let knows = one.process.as_ref().is_some_and(knows);
        let since = world.rules.heard.get(&host).filter(|(life, _)| *life == one.life);
        match (knows, since) {
            (true, None) => drop(world.rules.heard.insert(host, (one.life, world.now))),
            (true, Some(_)) => {}
            (false, _) => drop(world.rules.heard.remove(&host)),
        }
    }
}

fn knows(process: &Process) -> bool {
    let queue = Subject::Queue(QUEUES[1].to_owned());
    process.scheduler.meta().is_some_and(|meta| meta.rules.of(&queue).is_paused())
}

fn is_leased_in_a_pause(world: &World, task: TaskId) -> bool {
    let is_so = |host: usize| {
        // One that knows that it is over may lease again, before it is seen that it does.
        let process = world.hosts[host].process.as_ref().filter(|process| knows(process))?;
        let (life, heard) = *world.rules.heard.get(&host)?;
        let copy = process.scheduler.copy(GroupId::of(task.partition()))?;
        let lease = *copy.partition()?.record(task)?.lease()?;
        let is_its = copy.is_settled() && lease.token.term == copy.term();
        let knew = life == world.hosts[host].life && lease.since > true_wall(heard) + ABOUT_TO;
        Some(is_its && knew)
    };
    (0..world.hosts.len()).any(|host| is_so(host) == Some(true))
}
