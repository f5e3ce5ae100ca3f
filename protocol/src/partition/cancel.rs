//! Stopping a task by request.

use super::{Change, Partition};
use crate::id::TaskId;
use crate::task::{Phase, Transition};

impl Partition {
    /// Ends a task that waits. One that runs is asked to stop: it ends as cancelled when its run
    /// does, unless it succeeds first. What has ended stays as it is.
    pub(super) fn cancel(&mut self, task: TaskId, changes: &mut Vec<Change>) {
        let Some(record) = self.records.get(&task) else {
            return;
        };
        match record.phase() {
            Phase::Leased(lease) => {
                let (token, lessee) = (lease.token, lease.lessee);
                self.amend(task, |record| record.flag_cancel());
                changes.push(Change::Stop { task, token, lessee });
            }
            Phase::Scheduled { .. } | Phase::Ready => {
                self.amend(task, |record| record.flag_cancel());
                self.finish(task, Transition::Cancel, Phase::Cancelled, changes);
            }
            Phase::Succeeded(_) | Phase::Dead(_) | Phase::Cancelled | Phase::Expired => {}
        }
    }
}
