//! What is to be started at most once is leased once in its life, whatever becomes of that lease.

use umbel_protocol::executor::Start;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Record, State};

use crate::world::World;

/// A run of the task `mark` starts.
///
/// # Errors
/// If it was started before.
pub fn on_start(world: &World, mark: u64, start: &Start) -> Result<(), String> {
    if !start.template.options.is_at_most_once() {
        return Ok(());
    }
    match world.ledger.tasks.get(&mark).and_then(|log| log.starts.first()) {
        Some(first) => Err(format!("#{mark} starts as {} after {}", start.token, first.token)),
        None => Ok(()),
    }
}

/// A copy has a record of it.
///
/// # Errors
/// If it was leased twice.
pub fn check(task: TaskId, record: &Record) -> Result<(), String> {
    if !record.template.options.is_at_most_once() {
        return Ok(());
    }
    let closed = record.history.as_ref().map_or(0, |history| history.starts);
    match closed + u32::from(record.state() == State::Leased) {
        0 | 1 => Ok(()),
        leases => Err(format!("{task} was leased {leases} times")),
    }
}
