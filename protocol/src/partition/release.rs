//! Taking back runs that their executors never had.

use super::{Change, Partition};
use crate::id::{TaskId, Token};
use crate::task::{Phase, RunEnd, Transition};

impl Partition {
    pub(super) fn release(&mut self, runs: &[(TaskId, Token)], changes: &mut Vec<Change>) {
        for (task, token) in runs {
            self.take(*task, changes, |hand| {
                let Some(lease) = hand.lease().filter(|lease| lease.token == *token) else {
                    return;
                };
                hand.tell_closed(&lease);
                hand.close(&lease, RunEnd::NeverHad);
                if lease.cancelling {
                    hand.finish(Transition::Cancel, Phase::Cancelled);
                } else {
                    hand.requeue();
                }
            });
        }
    }
}
