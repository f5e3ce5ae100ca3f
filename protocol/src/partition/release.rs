//! Taking back runs that their executors never had.

use super::report::lost;
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
                } else if hand.is_at_most_once() {
                    hand.die(lost(NEVER_RAN));
                } else {
                    hand.requeue();
                }
            });
        }
    }
}

/// What is said of a task that is leased once in its life, if the lease came to nothing.
const NEVER_RAN: &str = "the node that was to run it never had it, so it has not run, and it is never given \
                         out twice; submit it again";
