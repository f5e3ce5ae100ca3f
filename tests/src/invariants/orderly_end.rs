//! No run is lost with a process that ended in good order.

use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Record, Run, RunEnd};

use crate::world::World;

/// Looks at what is on record of the runs of `task`.
///
/// # Errors
/// If one was begun, and is taken to be lost, on a node that had handed over all that it had.
pub fn check(world: &World, task: TaskId, record: &Record) -> Result<(), String> {
    let history = record.history.as_ref();
    let mut runs = history.iter().flat_map(|history| &history.runs);
    runs.try_for_each(|run| check_run(world, task, run))
}

fn check_run(world: &World, task: TaskId, run: &Run) -> Result<(), String> {
    if !matches!(run.end, RunEnd::Lost | RunEnd::Unheard) {
        return Ok(());
    }
    let key = (run.lessee.node, run.lessee.incarnation);
    let Some(left_at) = world.ledger.left.get(&key).copied() else {
        return Ok(());
    };
    let starts = world.ledger.log_of(task).map_or(&[][..], |log| &log.starts);
    let Some(start) = starts.iter().find(|start| start.token == run.token) else {
        // Its dispatch was lost, or refused in vain.
        return Ok(());
    };
    if world.ledger.was_lost(run.lessee, start.at, left_at) {
        // It was before it left.
        return Ok(());
    }
    Err(format!("its run {} is lost with {:?}, which ended in good order", run.token, run.lessee))
}
