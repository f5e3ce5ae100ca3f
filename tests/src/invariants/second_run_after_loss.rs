//! A task runs again only if the node that ran it was lost or cut off, or its policy says so.

use umbel_protocol::id::Token;
use umbel_protocol::task::Outcome;

use crate::world::World;

/// A run of the task `mark` starts.
///
/// # Errors
/// If an earlier one neither failed nor was lost, or has a later token.
pub fn on_start(world: &World, mark: u64, token: Token) -> Result<(), String> {
    let Some(log) = world.ledger.tasks.get(&mark) else {
        return Err(format!("#{mark} runs and was never submitted"));
    };
    for start in &log.starts {
        let failed = matches!(&start.end, Some((_, Outcome::Failed(_) | Outcome::Cancelled)));
        let lost = world.ledger.was_lost(start.lessee, start.at, world.now);
        if !failed && !lost {
            return Err(format!(
                "#{mark} runs again as {token} though {} by {:?} was not lost",
                start.token, start.lessee
            ));
        }
        if start.token == token {
            return Err(format!("#{mark}: the token {token} runs twice"));
        }
    }
    Ok(())
}
