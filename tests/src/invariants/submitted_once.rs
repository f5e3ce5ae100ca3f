//! Submitting twice is submitting once, and what is refused is refused for its reason.

use umbel_protocol::id::{GroupId, TaskId};
use umbel_protocol::partition::Refusal;

use super::is_forgotten;
use crate::host::Host;
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
        Refusal::TooEarly => early || may_be_behind(world),
        Refusal::TooOld => was_forgotten(world, task),
        Refusal::Exists { .. } | Refusal::NotUnique { .. } => true,
        Refusal::Overloaded | Refusal::TooFar | Refusal::TooManyKeys | Refusal::WrongPartition => {
            false
        }
    };
    if right { Ok(()) } else { Err(format!("{task} is refused: {refusal}")) }
}

/// Whether an owner may take it to be earlier than it is: half of the clocks that can be heard are
/// behind, and nobody can tell which half.
fn may_be_behind(world: &World) -> bool {
    let running = || world.hosts.iter().filter(|host| host.process.is_some());
    let behind = |host: &&Host| host.step < 0 || host.known_wild_until > world.now;
    2 * running().filter(behind).count() >= running().count()
}

/// Whether a copy has known `task` and has it no more. One that has crashed since may be the only one
/// that could tell.
#[must_use]
pub fn was_forgotten(world: &World, task: TaskId) -> bool {
    let schedulers = world.hosts.iter().flat_map(|host| {
        let running = host.process.as_ref().map(|process| &process.scheduler);
        running.into_iter().chain(&host.last_known)
    });
    let copies = schedulers.filter_map(|scheduler| scheduler.copy(GroupId::of(task.partition())));
    copies
        .filter_map(|copy| copy.partition())
        .any(|partition| partition.record(task).is_none() && is_forgotten(partition, task))
}
