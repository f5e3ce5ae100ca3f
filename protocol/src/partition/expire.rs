//! Giving up tasks that did not start in time.

use super::{Change, Partition};
use crate::id::TaskId;
use crate::task::{Phase, State, Transition};

impl Partition {
    pub(super) fn expire(&mut self, tasks: &[TaskId], changes: &mut Vec<Change>) {
        for task in tasks {
            let overdue = self.records.get(task).is_some_and(|record| {
                let expires_at = record.template.options.expires_at;
                matches!(record.state(), State::Scheduled | State::Ready)
                    && expires_at.is_some_and(|expires_at| expires_at <= self.now)
            });
            if overdue {
                self.finish(*task, Transition::Expire, Phase::Expired, changes);
            }
        }
    }
}
