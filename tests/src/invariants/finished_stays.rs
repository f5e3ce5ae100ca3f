//! What has finished stays as it finished.

use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Phase, State};

use super::{owned, partitions};
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
            let what = format!("#{mark} {task} ended as {ending:?}, then as {state:?} {result:?}");
            world.violate(what);
        }
    }
}

/// What owners have on record now is what they had before.
///
/// # Errors
/// The first task that has ended in two ways.
pub fn check(world: &mut World) -> Result<(), String> {
    let mut endings = Vec::new();
    for id in partitions(world) {
        for (task, record) in owned(world, id).into_iter().flat_map(|p| p.records()) {
            let result = match record.phase() {
                Phase::Succeeded(result) => Some(result.to_vec()),
                _ => None,
            };
            if Script::of(&record.args).is_some() {
                endings.push((task, record.state(), result));
            }
        }
    }
    for (task, state, result) in endings {
        let mark = world.ledger.mark_of(task);
        if state.is_final() {
            told(world, task, state, result);
        } else if let Some(ending) = mark.and_then(|mark| world.ledger.tasks[&mark].ending.as_ref())
            && world.ledger.tasks[&mark.unwrap_or(0)].ids.len() == 1
        {
            return Err(format!("{task} had ended as {ending:?} and is {state:?} again"));
        }
    }
    world.violation.take().map_or(Ok(()), Err)
}
