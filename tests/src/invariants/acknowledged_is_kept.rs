//! What was acknowledged is on record, whatever broke.

use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::limits::CRASHES_MAX;
use umbel_protocol::task::Outcome;

use super::{is_forgotten, owned};
use crate::ledger::TaskLog;
use crate::world::World;

/// Whether anything was seen that can have ended it, whatever is on record.
fn may_have_ended(world: &World, task: TaskId, log: &TaskLog) -> bool {
    let ran = log.starts.iter().filter(|start| start.task == task).any(|start| {
        start.end.as_ref().is_some_and(|(_, outcome)| match outcome {
            Outcome::Succeeded(_)
            | Outcome::Dropped(_)
            | Outcome::Failed(_)
            | Outcome::Deferred { .. } => true,
            // To an owner of an older version that is a failure.
            Outcome::Snoozed { .. } => world.plan.older > 0,
            Outcome::Cancelled => false,
        })
    });
    let first = Token { term: 0, index: 0, position: 0 };
    let leases = world.ledger.leased.range((task, first)..).take_while(|((of, _), _)| *of == task);
    let crashes = usize::from(CRASHES_MAX);
    // A lease that is lost with its owner before it was sent counts as well. Between the last two losses
    // lie seconds, so a copy was seen that has counted all but the last.
    let is_poison =
        leases.take(crashes).count() == crashes || usize::from(log.crashes) + 1 >= crashes;
    ran || log.cancel_asked || log.expires || is_poison
}

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
        if partition.record(task).is_some() {
            continue;
        }
        if !is_forgotten(partition, task) {
            return Err(format!("#{mark} {task} was acknowledged and is gone"));
        }
        if !may_have_ended(world, task, log) {
            return Err(format!(
                "#{mark} {task} was acknowledged and forgotten before it had ended"
            ));
        }
    }
    Ok(())
}
