//! What has finished is never leased again: not after its record was collected, and not because of a
//! node that was away meanwhile.
//!
//! The log tells which came first: a lease is named after its place there, and at some place behind
//! its end every task was seen to have ended. A lease that stands before it may be sent late, by an
//! owner that stood still and does not know yet that it is none; its executor refuses that.

use umbel_protocol::id::{TaskId, Token};

use crate::world::World;

/// A lease is sent to its executor for the first time.
///
/// # Errors
/// If its task had ended before it was leased.
pub fn on_dispatch(world: &World, task: TaskId, token: Token) -> Result<(), String> {
    let Some(log) = world.ledger.log_of(task).filter(|log| log.ids.len() == 1) else {
        return Ok(());
    };
    match log.final_at {
        Some(index) if index < token.index => {
            let ending = &log.ending;
            Err(format!("{task} is leased as {token}, and had ended as {ending:?} by {index}"))
        }
        _ => Ok(()),
    }
}
