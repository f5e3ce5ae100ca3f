//! Stopping a task by request.

use super::{Change, Partition};
use crate::id::TaskId;
use crate::task::{Phase, State, Transition};

impl Partition {
    /// Ends a task that waits. One that runs is asked to stop: it ends as cancelled when its run
    /// does, unless it succeeds first. What has ended stays as it is.
    pub(super) fn cancel(&mut self, task: TaskId, changes: &mut Vec<Change>) {
        self.take(task, changes, |hand| match hand.record.state() {
            State::Leased => {
                hand.record.flag_cancel();
                if let Some(lease) = hand.lease() {
                    hand.tell_stop(&lease);
                }
            }
            State::Scheduled | State::Ready => {
                hand.record.flag_cancel();
                hand.finish(Transition::Cancel, Phase::Cancelled);
            }
            State::Succeeded | State::Dead | State::Cancelled | State::Expired => {}
        });
    }
}
