//! A task runs again only if the node that ran it was lost or cut off, or its policy says so.

use umbel_protocol::id::{Lessee, TaskId, Token};
use umbel_protocol::task::Outcome;

use crate::world::World;

/// A run of the task `mark` starts. A dispatch may be late: of two runs the one with the lesser
/// token was leased first, whichever starts first, and must have been given up.
///
/// # Errors
/// If the earlier one of two neither failed nor was lost, or a token runs twice.
pub fn on_start(
    world: &World,
    mark: u64,
    task: TaskId,
    token: Token,
    lessee: Lessee,
) -> Result<(), String> {
    let Some(log) = world.ledger.tasks.get(&mark) else {
        return Err(format!("#{mark} runs and was never submitted"));
    };
    for start in &log.starts {
        if start.token == token {
            return Err(format!("#{mark}: the token {token} runs twice"));
        }
        let failed = matches!(&start.end, Some((_, Outcome::Failed(_) | Outcome::Cancelled)));
        let is_late = token < start.token && task == start.task;
        let (first, by) = if is_late { (token, lessee) } else { (start.token, start.lessee) };
        let leased_at = world.ledger.leased.get(&(start.task, first)).copied().unwrap_or(start.at);
        let until = if is_late { start.at } else { world.now };
        let lost = world.ledger.was_lost(by, leased_at, until);
        if !lost && (is_late || !failed) {
            return Err(format!(
                "#{mark} runs as {token} and as {} though {first} by {by:?} was not lost",
                start.token
            ));
        }
    }
    Ok(())
}
