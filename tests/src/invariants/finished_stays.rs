//! What has finished stays as it finished.

use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Phase, State};

use super::partitions;
use crate::work::Script;
use crate::world::World;

/// Somebody is told how a task ended.
pub fn told(world: &mut World, task: TaskId, state: State, result: Option<Vec<u8>>) {
    let Some(mark) = world.ledger.mark_of(task) else {
        return;
    };
    let log = world.ledger.tasks.entry(mark).or_default();
    if log.ids.len() > 1 {
        return;
    }
    match &log.ending {
        None => {
            log.ending = Some((state, result));
            world.progress_at = world.now;
        }
        Some(ending) if *ending == (state, result.clone()) => {}
        Some(ending) => {
            let what = format!(
                "finished_stays: #{mark} {task} ended as {ending:?}, then as {state:?} {result:?}"
            );
            world.violate(what);
        }
    }
}

/// No copy of a partition takes back what one that had applied no more had as finished.
///
/// # Errors
/// The first task that has ended in two ways.
pub fn check(world: &mut World) -> Result<(), String> {
    let mut endings = Vec::new();
    let groups: Vec<_> = partitions(world).map(umbel_protocol::id::GroupId::of).collect();
    let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
    for copy in processes.flat_map(|p| groups.iter().filter_map(|g| p.scheduler.copy(*g))) {
        for (task, record) in copy.partition().into_iter().flat_map(|p| p.records()) {
            let result = match record.phase() {
                Phase::Succeeded(result) => Some(result.to_vec()),
                _ => None,
            };
            if let Some(script) = Script::of(&record.args) {
                endings.push((script.mark, task, copy.applied(), record.state(), result));
            }
        }
    }
    for (mark, task, index, state, result) in endings {
        let log = world.ledger.tasks.entry(mark).or_default();
        if log.ids.len() > 1 {
            continue;
        }
        if state.is_final() {
            log.final_at = Some(log.final_at.map_or(index, |at| at.min(index)));
            told(world, task, state, result);
        } else if log.final_at.is_some_and(|at| at <= index) {
            return Err(format!("{task} had ended as {:?} and is {state:?} again", log.ending));
        }
    }
    world.violation.take().map_or(Ok(()), Err)
}
