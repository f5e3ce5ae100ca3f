//! Giving tasks to executors.

use super::apply::Tokens;
use super::{Change, Partition};
use crate::id::{Lessee, TaskId, Token};
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
            let now = self.now;
            let record = self.records.get_mut(task).filter(|record| is_due(record, now));
            let Some(record) = record else {
                changes.push(Change::NotLeased { task: *task, lessee });
                continue;
            };
            if record.history.as_ref().is_some_and(|history| history.crashes >= CRASHES_MAX) {
                let failure = Box::new(poison());
                self.finish(*task, Transition::Die, Phase::Dead(failure), changes);
                changes.push(Change::NotLeased { task: *task, lessee });
                continue;
            }
            if record.state() == State::Scheduled {
                record.take(Transition::Due, Phase::Ready).expect("it is scheduled");
            }
            grant(*task, record, now, lessee, token, changes);
            self.bytes += size_of::<Lease>();
        }
    }
}

/// Leases the ready task `record`.
pub(super) fn grant(
    task: TaskId,
    record: &mut Record,
    now: Wall,
    lessee: Lessee,
    token: Token,
    changes: &mut Vec<Change>,
) {
    let lease = Lease { lessee, token, since: now, cancelling: false };
    record
        .take(Transition::Grant, Phase::Leased(Box::new(lease)))
        .expect("only ready tasks get here");
    changes.push(Change::Leased { task, token, lessee });
}

/// Whether a task may be given out now.
pub(super) fn is_due(record: &Record, now: Wall) -> bool {
    let in_time = record.template.options.expires_at.is_none_or(|expires_at| now < expires_at);
    let waits = match record.phase() {
        Phase::Scheduled { not_before } => *not_before <= now,
        Phase::Ready => true,
        Phase::Leased(_)
        | Phase::Succeeded(_)
        | Phase::Dead(_)
        | Phase::Cancelled
        | Phase::Expired => false,
    };
    in_time && waits
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
