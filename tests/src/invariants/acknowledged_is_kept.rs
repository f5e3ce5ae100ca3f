//! What was acknowledged is on record, whatever broke.

use super::{is_forgotten, owned};
use crate::world::World;

/// Every task that a client was told is durable is known to its owner.
///
/// # Errors
/// The first one that is not.
pub fn at_end(world: &World) -> Result<(), String> {
    for (mark, log) in &world.ledger.tasks {
        let Some(task) = log.acknowledged else {
            continue;
        };
        let partition = owned(world, task.partition())
            .ok_or_else(|| format!("nobody owns {}", task.partition()))?;
        if partition.record(task).is_none() && !is_forgotten(partition, task) {
            return Err(format!("#{mark} {task} was acknowledged and is gone"));
        }
    }
    Ok(())
}
