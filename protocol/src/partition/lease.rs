//! Giving tasks to executors.

use super::apply::Tokens;
use super::{Change, Partition};
use crate::id::{Lessee, TaskId};
use crate::limits::CRASHES_MAX;
use crate::task::{Failure, FailureKind, Lease, Phase, Record, State, Transition};
use crate::time::Wall;

impl Partition {
    pub(super) fn lease(
        &mut self,
        lessee: Lessee,
        tasks: &[TaskId],
        tokens: &mut Tokens,
        changes: &mut Vec<Change>,
    ) {
        for task in tasks {
            let token = tokens.take();
            let granted = self.take(*task, changes, |hand| {
                if !is_due(hand.record, hand.now) {
                    return false;
                }
                if hand.record.crashes() >= CRASHES_MAX {
                    hand.finish(Transition::Die, Phase::Dead(Box::new(poison())));
                    return false;
                }
                if hand.record.state() == State::Scheduled {
                    hand.make_ready();
                }
                hand.grant(Lease { lessee, token, since: hand.now, cancelling: false });
                true
            });
            if granted != Some(true) {
                changes.push(Change::NotLeased { task: *task, lessee });
            }
        }
    }
}

/// Whether a task may be given out now.
fn is_due(record: &Record, now: Wall) -> bool {
    let waits = match record.phase() {
        Phase::Scheduled { not_before } => *not_before <= now,
        Phase::Ready => true,
        Phase::Leased(_)
        | Phase::Succeeded(_)
        | Phase::Dead(_)
        | Phase::Cancelled
        | Phase::Expired => false,
    };
    waits && !record.is_overdue(now)
}

/// What is said of a task that took too many nodes with it.
pub(super) fn poison() -> Failure {
    Failure::new(
        FailureKind::Crashed,
        format!(
            "{CRASHES_MAX} nodes were lost while they ran it; submit it again if it is harmless"
        ),
    )
}
