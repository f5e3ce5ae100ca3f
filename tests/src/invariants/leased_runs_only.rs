//! No run without a lease that a majority has on disk, and none that the record does not know.

use umbel_protocol::id::{GroupId, ReplicaId, TaskId, Token};
use umbel_protocol::limits::RUNS_KEPT_MAX;
use umbel_protocol::task::RunEnd;

use super::owned;
use crate::host::Host;
use crate::world::World;

/// A run starts.
///
/// # Errors
/// If its lease is not durable in a majority of the copies.
pub fn on_start(world: &World, task: TaskId, token: Token) -> Result<(), String> {
    let group = GroupId::of(task.partition());
    let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
    let copies = processes.filter_map(|p| p.scheduler.copy(group));
    let Some(newest) = copies.max_by_key(|copy| copy.applied()) else {
        // All who could tell have crashed since.
        return Ok(());
    };
    if newest.applied() < token.index {
        return Ok(());
    }
    let copies = newest.copies();
    let holds = |replica: &&ReplicaId| {
        world.hosts.iter().any(|host| host.disk.holds(group, **replica, token.index, token.term))
    };
    // While two configurations hold, the one that is being left decided all that was committed before
    // they did, and still decides with the other: its majority is the one that there must be.
    let voters = if copies.is_joint() { &copies.voters_outgoing } else { &copies.voters };
    let have = voters.iter().filter(holds).count();
    if have * 2 <= voters.len() {
        let tell = |host: &Host| host.disk.tell(group);
        let disks: Vec<String> = world.hosts.iter().map(tell).collect();
        return Err(format!(
            "{task} {token} runs, and {have} of {} voters have its lease on disk: {disks:?}",
            voters.len()
        ));
    }
    Ok(())
}

/// Every run that started is on record, and not as one that never was.
///
/// # Errors
/// The first that is not.
pub fn at_end(world: &World) -> Result<(), String> {
    for (mark, log) in &world.ledger.tasks {
        for start in &log.starts {
            let record = owned(world, start.task.partition()).and_then(|p| p.record(start.task));
            let Some(record) = record else {
                return Err(format!("#{mark} {} ran and is not on record", start.task));
            };
            let runs = record.history.as_ref().map(|history| history.runs.as_slice());
            let runs = runs.unwrap_or_default();
            match runs.iter().find(|run| run.token == start.token) {
                Some(run) if run.end == RunEnd::NeverHad => {
                    return Err(format!("#{mark}: {} ran and was denied", start.token));
                }
                Some(run) if run.lessee != start.lessee => {
                    return Err(format!("#{mark}: {} ran elsewhere", start.token));
                }
                None if runs.len() < RUNS_KEPT_MAX => {
                    return Err(format!("#{mark}: {} ran and is not on record", start.token));
                }
                Some(_) | None => {}
            }
        }
    }
    Ok(())
}
