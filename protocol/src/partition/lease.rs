//! Giving tasks to executors.

use super::apply::Tokens;
use super::{Change, Partition};
use crate::id::{Lessee, TaskId};
use crate::task::{Failure, FailureKind, Lease, Phase, Record, State};
use crate::time::Wall;

impl Partition {
    pub(super) fn lease(
        &mut self,
        lessee: Lessee,
        tasks: &[TaskId],
        tokens: &mut Tokens,
        changes: &mut Vec<Change>,
    ) {
        let shown = self.shown;
        for task in tasks {
            let token = tokens.take();
            let record = self.records.get(*task);
            if record.is_some_and(|record| !self.limited.has_room(&record, self.now)) {
                changes.push(Change::NotLeased { task: *task, lessee });
                continue;
            }
            let granted = self.take(*task, changes, |hand| {
                if !is_due(hand.record, hand.now, shown) {
                    return false;
                }
                let crashes_max = hand.record.template.options.crashes_max();
                if hand.record.crashes() >= crashes_max {
                    hand.die(poison(crashes_max));
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

/// Whether a task may be given out when it is `now` and clocks show `shown`.
fn is_due(record: &Record, now: Wall, shown: Wall) -> bool {
    let waits = match record.phase() {
        Phase::Scheduled { not_before } => *not_before <= record.starts_by(now, shown),
        Phase::Ready => true,
        Phase::Leased(_)
        | Phase::Succeeded(_)
        | Phase::Dead(_)
        | Phase::Cancelled
        | Phase::Expired => false,
    };
    waits && !record.is_overdue(record.ends_by(now, shown))
}

/// What is said of a task that took too many nodes with it.
pub(super) fn poison(crashes_max: u16) -> Failure {
    let message = format!(
        "{crashes_max} nodes were lost while they ran it; submit it again if it is harmless"
    );
    Failure::new(FailureKind::Crashed, message)
}
