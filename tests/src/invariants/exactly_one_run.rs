//! When nothing fails a task runs once, and once more for each failure of its own.

use crate::ledger::StartLog;
use crate::world::World;

/// A run of the task `mark` starts.
///
/// # Errors
/// If nothing has failed and an earlier run has not.
pub fn on_start(world: &World, mark: u64) -> Result<(), String> {
    if world.is_troubled {
        return Ok(());
    }
    let starts = world.ledger.tasks.get(&mark).map_or(&[][..], |log| &log.starts);
    let all_failed = starts.iter().all(StartLog::has_passed_on);
    if all_failed { Ok(()) } else { Err(format!("#{mark} runs again though nothing fails")) }
}
