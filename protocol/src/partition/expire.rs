//! Giving up tasks that did not start in time.

use super::{Change, Partition};
use crate::id::TaskId;
use crate::task::{Failure, FailureKind, Phase, State, Transition};

impl Partition {
    pub(super) fn expire(&mut self, tasks: &[TaskId], changes: &mut Vec<Change>) {
        let shown = self.shown;
        for task in tasks {
            self.take(*task, changes, |hand| {
                let waits = matches!(hand.record.state(), State::Scheduled | State::Ready);
                if !waits || !hand.record.is_overdue(hand.record.ends_by(hand.now, shown)) {
                    return;
                }
                let (expires_at, deadline) = (hand.record.expires_at(), hand.record.deadline());
                match deadline.filter(|deadline| expires_at.is_none_or(|at| *deadline < at)) {
                    Some(_) => hand.die(Failure::new(FailureKind::Deadline, NOT_IN_TIME)),
                    None => hand.finish(Transition::Expire, Phase::Expired),
                }
            });
        }
    }
}

const NOT_IN_TIME: &str = "its deadline came while it waited for a slot, or for its next attempt";
