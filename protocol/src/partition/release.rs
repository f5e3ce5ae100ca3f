//! Taking back runs that their executors never had.

use super::finish::close;
use super::{Change, Partition};
use crate::id::{TaskId, Token};
use crate::task::{Phase, RunEnd, Transition};

impl Partition {
    pub(super) fn release(&mut self, runs: &[(TaskId, Token)], changes: &mut Vec<Change>) {
        for (task, token) in runs {
            let lease = self.records.get(task).and_then(|record| match record.phase() {
                Phase::Leased(lease) if lease.token == *token => Some(**lease),
                _ => None,
            });
            let Some(lease) = lease else {
                continue;
            };
            let now = self.now;
            changes.push(Change::Closed { task: *task, token: *token, lessee: lease.lessee });
            self.amend(*task, |record| close(record, &lease, now, RunEnd::NeverHad));
            if lease.cancelling {
                self.finish(*task, Transition::Cancel, Phase::Cancelled, changes);
            } else {
                self.requeue(*task, changes);
            }
        }
    }
}
