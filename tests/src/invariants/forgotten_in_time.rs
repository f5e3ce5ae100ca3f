//! What has ended is kept for no longer than was said, of it or of all, by an owner that gets anything done.

use std::collections::BTreeMap;

use umbel_protocol::id::{GroupId, TaskId};
use umbel_protocol::partition::Partition;
use umbel_protocol::time::Span;

use super::partitions;
use crate::plan::SECOND;
use crate::world::World;

/// So much longer something may be kept, and a thirtieth of its time: what is old goes together.
const SLACK: Span = Span::from_millis(5_000);
/// An owner that has written nothing for so long cannot, or has nothing to do and sleeps.
const WRITES_WITHIN: u64 = 10 * SECOND;
/// For so long an owner may keep what is too old, though it writes.
const KEPT_WITHIN: u64 = 20 * SECOND;

/// Which owners keep what is too old: in which term and which task, since when, and what they had applied some time
/// later.
pub type Late = BTreeMap<(usize, GroupId), ((u64, TaskId), u64, Option<u64>)>;

/// Looks at all owners.
///
/// # Errors
/// The first that keeps something for too long.
pub fn check(world: &mut World) -> Result<(), String> {
    let known = std::mem::take(&mut world.watch.late);
    let groups: Vec<GroupId> = partitions(world).map(GroupId::of).collect();
    for group in groups {
        for (host, one) in world.hosts.iter().enumerate() {
            let copy = one.process.as_ref().and_then(|process| process.scheduler.copy(group));
            let Some(copy) = copy.filter(|copy| copy.is_settled()) else { continue };
            let Some(partition) = copy.partition() else { continue };
            let (place, term) = ((host, group), copy.term());
            let before = known.get(&place).copied().filter(|((at, task), ..)| {
                // As long as it is there it is too old: what was said of it does not change.
                *at == term && partition.state(*task).is_some()
            });
            let task = before.map(|((_, task), ..)| task).or_else(|| too_old(world, partition));
            let Some(task) = task else { continue };
            let (_, since, mut applied) = before.unwrap_or(((term, task), world.now, None));
            if world.now - since > WRITES_WITHIN && applied.is_none() {
                applied = Some(copy.applied());
            }
            let has_written = applied.is_some_and(|before| copy.applied() > before);
            if world.now - since > KEPT_WITHIN && has_written {
                return Err(format!("host {host} keeps {task} of {group}, which is too old"));
            }
            world.watch.late.insert(place, ((term, task), since, applied));
        }
    }
    Ok(())
}

/// A task that should have been forgotten, by the time of the last entry.
fn too_old(world: &World, partition: &Partition) -> Option<TaskId> {
    let is_too_old = |options: &umbel_protocol::task::Options, ended_at| {
        let kept = options.retention.unwrap_or(world.plan.limits.retention);
        partition.now() > ended_at + kept + SLACK + Span::from_micros(kept.as_micros() / 30)
    };
    let mut records = partition.warm_records();
    let found = records.find(|(_, record)| {
        let ended_at = record.history.as_ref().and_then(|history| history.finished_at);
        ended_at.is_some_and(|at| is_too_old(&record.template.options, at))
    });
    found.map(|(task, _)| task)
}
