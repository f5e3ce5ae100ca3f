//! No run without a lease that a majority has on disk, and none that the record does not know.

use umbel_protocol::id::{GroupId, ReplicaId, TaskId, Token};
use umbel_protocol::limits::RUNS_KEPT_MAX;
use umbel_protocol::task::{Phase, RunEnd};

use super::owned;
use crate::host::Host;
use crate::world::World;

/// A dispatch leaves `host` for the first time.
///
/// # Errors
/// If its lease is not applied there, not durable in a majority of the copies, or was made after a
/// client was told that the task would be stopped.
pub fn on_dispatch(world: &World, host: usize, task: TaskId, token: Token) -> Result<(), String> {
    let group = GroupId::of(task.partition());
    let process = world.hosts[host].process.as_ref();
    let Some(copy) = process.and_then(|process| process.scheduler.copy(group)) else {
        return Err(format!("host {host} sends {task} {token} and has no copy of its group"));
    };
    if copy.applied() < token.index {
        let applied = copy.applied();
        return Err(format!("{task} {token} is sent before its lease is applied: {applied}"));
    }
    let (have, voters) = durable(world, host, group, token.index, token.term);
    if !is_in_all_majorities(have, voters) {
        let tell = |host: &Host| host.disk.tell(group);
        let disks: Vec<String> = world.hosts.iter().map(tell).collect();
        return Err(format!(
            "{task} {token} runs, and {have} of {voters} voters have its lease on disk: {disks:?}"
        ));
    }
    let record = copy.partition().and_then(|partition| partition.record(task));
    let stopped = world.ledger.log_of(task).is_some_and(|log| log.stopped);
    match record.as_ref().map(|record| record.phase()) {
        Some(Phase::Leased(lease))
            if lease.token == token
                && stopped
                && !lease.cancelling
                && !is_deposed(world, group, copy.term()) =>
        {
            Err(format!("{task} {token} was leased after its cancellation was acknowledged"))
        }
        // What came of it may be applied in the same step.
        _ => Ok(()),
    }
}

/// Whether another copy is of a later term: an owner that does not know that yet, as it stood still, sends
/// what it had leased before its successor was asked to stop it.
fn is_deposed(world: &World, group: GroupId, term: u64) -> bool {
    let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
    let mut copies = processes.filter_map(|process| process.scheduler.copy(group));
    copies.any(|copy| copy.term() > term)
}

/// Whether of any majority of `voters` one is among those that `have` an entry. Where they are two,
/// one is enough: it had decided by itself before the other began to vote.
#[must_use]
pub const fn is_in_all_majorities(have: usize, voters: usize) -> bool {
    have > 0 && have * 2 >= voters
}

/// How many voters have the entry at `index` of `term` on disk, and how many there are, as `host`
/// knows them.
///
/// While two configurations hold, the one that is being left decided all that was committed before
/// they did, and still decides with the other: its majority is the one that there must be.
pub fn durable(
    world: &World,
    host: usize,
    group: GroupId,
    index: u64,
    term: u64,
) -> (usize, usize) {
    let process = world.hosts[host].process.as_ref();
    let Some(copy) = process.and_then(|process| process.scheduler.copy(group)) else {
        return (0, 0);
    };
    let copies = copy.copies();
    let holds = |replica: &&ReplicaId| {
        let disks = world.hosts.iter().map(|host| &host.disk).chain(&world.lost_disks);
        disks.into_iter().any(|disk| disk.holds(group, **replica, index, term))
    };
    let voters = if copies.is_joint() { &copies.voters_outgoing } else { &copies.voters };
    (voters.iter().filter(holds).count(), voters.len())
}

/// A run starts.
///
/// # Errors
/// If nobody has sent it.
pub fn on_start(world: &World, task: TaskId, token: Token) -> Result<(), String> {
    if world.ledger.leased.contains_key(&(task, token)) {
        return Ok(());
    }
    Err(format!("{task} {token} runs and nobody has sent it"))
}

/// Every run that started is on record, and not as one that never was.
///
/// # Errors
/// The first that is not.
pub fn at_end(world: &World) -> Result<(), String> {
    for (mark, log) in &world.ledger.tasks {
        for start in &log.starts {
            let Some(partition) = owned(world, start.task.partition()) else {
                continue;
            };
            let Some(record) = partition.record(start.task) else {
                if super::is_forgotten(partition, start.task) {
                    continue;
                }
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
