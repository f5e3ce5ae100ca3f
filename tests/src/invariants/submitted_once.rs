//! Submitting twice is submitting once, and what is refused is refused for its reason.

use umbel_protocol::id::{GroupId, TaskId};
use umbel_protocol::partition::Refusal;

use super::is_forgotten;
use crate::world::World;

/// A run of the task `mark` starts.
///
/// # Errors
/// If its id belongs to another task.
pub fn on_start(world: &World, mark: u64) -> Result<(), String> {
    let log = world.ledger.tasks.get(&mark);
    if log.is_some_and(|log| log.impostor) {
        return Err(format!("#{mark} runs under the id of another task"));
    }
    Ok(())
}

/// A client is told that `task` was not taken in.
///
/// # Errors
/// If that is not so.
pub fn on_refused(
    world: &World,
    task: TaskId,
    refusal: Refusal,
    impostor: bool,
    early: bool,
) -> Result<(), String> {
    let right = match refusal {
        Refusal::Conflict => impostor,
        // Or most clocks were far behind.
        Refusal::TooEarly => early || world.slack.wild_since.is_some(),
        Refusal::TooOld => was_forgotten(world, task),
        Refusal::Overloaded | Refusal::WrongPartition => false,
    };
    if right { Ok(()) } else { Err(format!("{task} is refused: {refusal}")) }
}

/// Whether a copy has known `task` and has it no more.
#[must_use]
pub fn was_forgotten(world: &World, task: TaskId) -> bool {
    let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
    let copies = processes.filter_map(|p| p.scheduler.copy(GroupId::of(task.partition())));
    let forgotten = copies
        .filter_map(|copy| copy.partition())
        .any(|partition| partition.record(task).is_none() && is_forgotten(partition, task));
    // All who could tell have crashed since.
    let nobody = world.hosts.iter().all(|host| host.process.is_none());
    forgotten || nobody
}
