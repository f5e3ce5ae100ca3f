//! When finished tasks are forgotten.

use super::Scheduler;
use super::replica::Replica;
use crate::id::GroupId;
use crate::limits::Limits;
use crate::partition::{Command, Partition};
use crate::time::Wall;

/// What part of a limit may be kept over it before anything is done: forgetting one by one would be
/// one command a task.
const SLACK: usize = 16;

impl Scheduler {
    /// Asks a partition that keeps too much, or for too long, to forget.
    pub(super) fn retain(&mut self, id: GroupId) {
        let Some(replica) = self.replicas.get(&id).filter(|replica| replica.is_settled()) else {
            return;
        };
        let Some((finished, floor)) =
            replica.partition().and_then(|partition| excess(partition, &self.settings.limits))
        else {
            return;
        };
        let in_line = |command: &Command| matches!(command, Command::Forget { .. });
        let asked = self
            .replicas
            .get_mut(&id)
            .and_then(Replica::settled)
            .is_some_and(|owner| owner.forgetting || owner.line.commands.iter().any(in_line));
        if asked {
            return;
        }
        if let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) {
            owner.forgetting = true;
        }
        if let Some(line) = id.partition().and_then(|partition| self.line(partition)) {
            line.commands.push(Command::Forget { finished, floor });
        }
    }
}

/// How many of the finished are too many, and up to where ids need not be recognised any more.
fn excess(partition: &Partition, limits: &Limits) -> Option<(u32, Wall)> {
    let fill = partition.fill();
    let now = partition.now();
    let too_many = fill.finished.saturating_sub(limits.finished_kept_max);
    let too_large =
        if fill.finished_bytes > limits.finished_bytes_max { fill.finished / 4 + 1 } else { 0 };
    let too_old = partition.finished_before(now - limits.retention);
    let finished = too_many.max(too_large).max(too_old);
    let aged = now - limits.dedup_window;
    let floor = partition.stub_floor(limits.stubs_max).map_or(aged, |crowded| crowded.max(aged));
    let moves_floor = partition.has_stubs_before(floor);
    let due = finished > limits.finished_kept_max / SLACK
        || too_large > 0
        || (too_old > 0)
        || moves_floor;
    due.then(|| (u32::try_from(finished).unwrap_or(u32::MAX), floor))
}
