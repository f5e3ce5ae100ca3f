//! What became of all tasks, as a client would count it: lost, duplicated, unexpected, recovered.

use super::{Ledger, TaskLog};

/// Tasks by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Clients were told that they were taken in.
    pub acknowledged: usize,
    /// Of those, never begun nor stopped: there must be none.
    pub lost: usize,
    /// Begun more often than their own failures explain: somebody was lost, or cut off.
    pub duplicated: usize,
    /// Begun and never submitted, or refused: there must be none.
    pub unexpected: usize,
    /// Begun though no client was told, or not at its first try, that they were taken in.
    pub recovered: usize,
}

impl Tally {
    /// Counts all tasks of a ledger.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Self {
        let count = |is_so: &dyn Fn(&TaskLog) -> bool| {
            ledger.tasks.values().filter(|log| is_so(log)).count()
        };
        Self {
            acknowledged: count(&|log| log.acknowledged.is_some()),
            lost: count(&is_lost),
            duplicated: count(&|log| runs_again(log) > 0),
            unexpected: count(&|log| {
                !log.starts.is_empty() && (log.impostor || log.first_try.is_none())
            }),
            recovered: count(&|log| {
                !log.starts.is_empty() && (log.acknowledged.is_none() || log.repeated)
            }),
        }
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.unexpected += other.unexpected;
        self.recovered += other.recovered;
    }
}

/// Whether it was taken in and nothing has become of it. One that nobody had a slot for in time has
/// expired, and one may be lost three times before it begins, which other invariants look after.
fn is_lost(log: &TaskLog) -> bool {
    let is_over = !log.starts.is_empty() || log.cancel_asked || log.expires || log.ending.is_some();
    log.acknowledged.is_some() && !is_over
}

/// Runs that were followed by another though they had not failed.
fn runs_again(log: &TaskLog) -> usize {
    let last = log.starts.iter().map(|start| start.token).max();
    let in_vain = log.starts.iter().filter(|start| {
        let failed = start.has_passed_on();
        Some(start.token) != last && !failed
    });
    in_vain.count()
}
