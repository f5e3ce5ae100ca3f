//! Giving up tasks that did not start in time.

use super::{Change, Partition};
use crate::id::TaskId;
use crate::task::{Phase, State, Transition};

impl Partition {
    pub(super) fn expire(&mut self, tasks: &[TaskId], changes: &mut Vec<Change>) {
        for task in tasks {
            self.take(*task, changes, |hand| {
                let waits = matches!(hand.record.state(), State::Scheduled | State::Ready);
                if waits && hand.record.is_overdue(hand.now) {
                    hand.finish(Transition::Expire, Phase::Expired);
                }
            });
        }
    }
}
