//! When finished tasks are forgotten.

use super::Scheduler;
use super::replica::Replica;
use crate::id::GroupId;
use crate::limits::{DEDUP_WINDOW, FINISHED_BYTES_MAX, FINISHED_KEPT_MAX, RETENTION, STUBS_MAX};
use crate::partition::{Command, Partition};
use crate::time::{Span, Wall};

/// So much over a limit before anything is done: forgetting one by one would be one command a task.
const SLACK: usize = 256;
/// So long over a limit, for the same reason: a partition with little work forgets once a minute.
const SLACK_TIME: Span = Span::from_millis(60_000);

impl Scheduler {
    /// Asks a partition that keeps too much, or for too long, to forget.
    pub(super) fn retain(&mut self, id: GroupId) {
        let Some(replica) = self.replicas.get(&id) else {
            return;
        };
        // The next one is not worked out while one is on its way: it would be the same.
        let Some(owner) = replica.owner.as_ref().filter(|owner| owner.is_settled) else {
            return;
        };
        if owner.forgetting {
            return;
        }
        let Some(partition) = replica.partition() else {
            return;
        };
        // The partition's own time stands still while nothing happens in it.
        let now = partition.now().max(self.partition_time(id));
        let Some((finished, floor)) = excess(partition, now) else {
            return;
        };
        if let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) {
            owner.forgetting = true;
        }
        if let Some(line) = id.partition().and_then(|partition| self.line(partition)) {
            line.commands.push(Command::Forget { finished, floor });
        }
    }
}

/// How many of the finished are too many, and up to where ids need not be recognised any more.
fn excess(partition: &Partition, now: Wall) -> Option<(u32, Wall)> {
    let fill = partition.fill();
    let too_many = fill.finished.saturating_sub(FINISHED_KEPT_MAX);
    let too_large =
        if fill.finished_bytes > FINISHED_BYTES_MAX { fill.finished / 4 + 1 } else { 0 };
    let too_old = partition.finished_before(now - RETENTION);
    let finished = too_many.max(too_large).max(too_old);
    let is_overdue = too_old > 0 && partition.finished_before(now - RETENTION - SLACK_TIME) > 0;

    let aged = now - DEDUP_WINDOW;
    let crowded = partition.stub_floor(STUBS_MAX);
    // It may have been moved further than the window asks for: it never goes back.
    let floor = crowded.map_or(aged, |crowded| crowded.max(aged)).max(partition.dedup_floor());
    let moves_floor = floor > partition.dedup_floor()
        && (crowded.is_some() || partition.has_stubs_before(aged - SLACK_TIME));

    let due = finished > SLACK || too_large > 0 || is_overdue || moves_floor;
    due.then(|| (u32::try_from(finished).unwrap_or(u32::MAX), floor))
}
