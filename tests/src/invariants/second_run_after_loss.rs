//! A task runs again only if the node that ran it was lost or cut off, or its policy says so.

use umbel_protocol::id::{Lessee, TaskId, Token};
use umbel_protocol::task::Outcome;

use crate::plan::SECOND;
use crate::world::World;

/// Members that nobody has told of for so long after a node's start are taken to be down there.
const UNHEARD: u64 = 10 * SECOND;

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
        let lost = world.ledger.was_lost(by, leased_at, until) || unheard(world, by);
        if !lost && (is_late || !failed) {
            return Err(format!(
                "#{mark} runs as {token} and as {} though {first} by {by:?} was not lost",
                start.token
            ));
        }
    }
    Ok(())
}

/// Whether some node has not heard of the lessee's since it started.
fn unheard(world: &World, lessee: Lessee) -> bool {
    let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
    processes
        .filter(|process| world.now - process.started_at > UNHEARD)
        .any(|process| process.membership.liveness(lessee.node).is_none())
}
