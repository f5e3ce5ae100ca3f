//! When finished tasks are forgotten.

use super::Scheduler;
use super::replica::Replica;
use crate::id::GroupId;
use crate::limits::Limits;
use crate::partition::{Command, Partition, Shelf, Shelves};
use crate::sabotage::{self, Defect};
use crate::time::{Span, Wall};

/// What part of a limit may be kept over it before anything is done: forgetting one by one would be
/// one command a task.
const SLACK: usize = 16;
/// The same for times: a partition with little work forgets now and then.
const SLACK_TIME: u64 = 60;
/// So much longer is kept what says itself for how long it is.
const TIMED_SLACK: Span = Span::from_millis(1_000);

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
        let limits = self.limits_now(id);
        let timed = timed_excess(partition, &limits, now)
            .map(|(tasks, until)| Command::ForgetTimed { tasks, until });
        // Ids are made by what clocks show.
        let made = if self.is_carried() { now.min(self.shown_time(id)) } else { now };
        let others = excess(partition, &limits, now, made)
            .map(|(finished, floor)| Command::Forget { finished, floor });
        if timed.is_none() && others.is_none() {
            return;
        }
        if let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) {
            owner.forgetting = true;
        }
        if let Some(line) = id.partition().and_then(|partition| self.line(partition)) {
            line.commands.extend(timed.into_iter().chain(others));
        }
    }
}

/// How many of the finished are too many, and up to where ids need not be recognised any more if they are
/// `made` now.
fn excess(
    partition: &Partition,
    limits: &Limits,
    now: Wall,
    made: Wall,
) -> Option<(Shelves<u32>, Wall)> {
    let shelves = Shelves::of(|shelf| excess_of(partition, shelf, limits, now));
    let finished = Shelves::of(|shelf| u32::try_from(shelves[shelf].0).unwrap_or(u32::MAX));
    let is_due = Shelf::ALL.into_iter().any(|shelf| shelves[shelf].1);

    let aged = made - limits.dedup_window;
    let crowded = partition.stub_floor(limits.stubs_max);
    // It may have been moved further than the window asks for: it never goes back.
    let floor = crowded.map_or(aged, |crowded| crowded.max(aged));
    if sabotage::has(Defect::FloorGoesBack) && is_due {
        return Some((finished, floor));
    }
    let floor = floor.max(partition.dedup_floor());
    let moves_floor = floor > partition.dedup_floor()
        && (crowded.is_some() || partition.has_stubs_before(aged - slack(limits.dedup_window)));

    (is_due || moves_floor).then_some((finished, floor))
}

/// How many of one shelf are too many, and whether that is enough to do something about it.
fn excess_of(partition: &Partition, shelf: Shelf, limits: &Limits, now: Wall) -> (usize, bool) {
    let (kept, room) = (partition.fill().finished[shelf], limits.kept[shelf]);
    let too_many = kept.tasks.saturating_sub(room.tasks);
    let too_large = if kept.bytes > room.bytes { kept.tasks / 4 + 1 } else { 0 };
    let too_old = partition.finished_before(shelf, now - limits.retention);
    let late = now - limits.retention - slack(limits.retention);
    let is_overdue = too_old > 0 && partition.finished_before(shelf, late) > 0;
    let excess = too_many.max(too_large).max(too_old);
    (excess, excess > room.tasks / SLACK || too_large > 0 || is_overdue)
}

/// How many of those that say themselves for how long they are kept are to go, if enough are. There may be as many
/// of them as of all others together.
fn timed_excess(partition: &Partition, limits: &Limits, now: Wall) -> Option<(u32, Wall)> {
    if sabotage::has(Defect::KeepTimed) {
        return None;
    }
    let (kept, room) = (partition.fill().timed, limits.kept.total());
    let too_many = kept.tasks.saturating_sub(room.tasks);
    let too_large = if kept.bytes > room.bytes { kept.tasks / 4 + 1 } else { 0 };
    let too_old = partition.outlived(now);
    let is_overdue = too_old > 0 && partition.outlived(now - TIMED_SLACK) > 0;
    let excess = too_many.max(too_large).max(too_old);
    let is_due = excess > room.tasks / SLACK || too_large > 0 || is_overdue;
    // By then others may be gone of those that were counted.
    let until = if excess > too_old { Wall::from_millis(u64::MAX) } else { now };
    is_due.then(|| (u32::try_from(excess).unwrap_or(u32::MAX), until))
}

/// So much longer than `span` may things be kept.
const fn slack(span: Span) -> Span {
    Span::from_micros(span.as_micros() / SLACK_TIME)
}
