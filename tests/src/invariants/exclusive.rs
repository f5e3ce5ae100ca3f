//! Of all tasks of a limit key that are to run alone one runs at a time, wherever they run, and whoever is cut
//! off from whom. Others of their key are kept apart from them in the log, but are given up as soon as their
//! node is not heard of.
//!
//! What stands still runs nothing: a process that was stopped cannot end its runs itself, and they are over
//! as soon as it goes on.

use umbel_protocol::id::{TaskId, Token};

use crate::world::World;

/// A run of `task` starts.
///
/// # Errors
/// If another task of its key runs, and both were to run alone.
pub fn on_start(world: &World, task: TaskId, token: Token) -> Result<(), String> {
    let key_of = |task| world.ledger.log_of(task).and_then(|log| log.limit_key.as_ref());
    let Some((key, is_alone)) = key_of(task) else {
        return Ok(());
    };
    for host in world.hosts.iter().filter(|host| host.paused_until <= world.now) {
        let runs = host.process.iter().flat_map(|process| process.runs());
        for (other, run) in runs.filter(|run| *run != (task, token)) {
            if let Some((its_key, other_is_alone)) = key_of(other)
                && its_key == key
                && *is_alone
                && *other_is_alone
            {
                return Err(format!("{token} of {task} starts while {run} of {other} runs"));
            }
        }
    }
    Ok(())
}
