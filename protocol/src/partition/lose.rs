//! Runs whose executor is gone, or was taken to be.

use xxhash_rust::xxh3::xxh3_64;

use super::hand::Hand;
use super::lease::poison;
use super::report::lost;
use super::{Change, Loss, Partition};
use crate::id::{Lessee, TaskId, Token};
use crate::limits::CRASH_SPREAD;
use crate::sabotage::{self, Defect};
use crate::task::{History, Lease, Phase, Record, RunEnd, State, Transition};
use crate::time::Span;

impl Partition {
    /// Closes all runs of `lessee` and counts each as a crash of its task.
    ///
    /// After a second crash a task comes back after a pause of its own: of those that were lost together
    /// again and again all but one are innocent, and apart from that one they end well.
    ///
    /// A task that has used up its crashes dies if all of them are beyond doubt. If some of its
    /// nodes only fell silent it is held for a while first: they may come back and be pardoned.
    pub(super) fn lose(
        &mut self,
        lessee: Lessee,
        loss: Loss,
        hold: Span,
        changes: &mut Vec<Change>,
    ) {
        let holds = |record: &Record| {
            let waits = loss == Loss::Unheard && record.template.options.lost_after().is_some();
            matches!(record.phase(), Phase::Leased(lease) if lease.lessee == lessee)
                && (!waits || sabotage::has(Defect::LoseExclusive))
        };
        for task in self.tasks_where(holds) {
            self.take(task, changes, |hand| {
                if let Some(lease) = hand.lease() {
                    lose_one(hand, &lease, loss, hold);
                }
            });
        }
        if loss == Loss::Restarted {
            self.explain(lessee, changes);
        }
    }

    /// Closes runs that were waited for long enough.
    pub(super) fn give_up(
        &mut self,
        lessee: Lessee,
        runs: &[(TaskId, Token)],
        hold: Span,
        changes: &mut Vec<Change>,
    ) {
        for (task, token) in runs {
            self.take(*task, changes, |hand| match hand.lease() {
                Some(lease) if lease.token == *token && lease.lessee == lessee => {
                    lose_one(hand, &lease, Loss::Unheard, hold);
                }
                Some(_) | None => {}
            });
        }
    }

    /// Takes back what [`Loss::Unheard`] counted: `lessee` was only out of reach.
    pub(super) fn pardon(&mut self, lessee: Lessee, changes: &mut Vec<Change>) {
        for task in self.tasks_where(|record| unheard_runs(record, lessee) > 0) {
            self.take(task, changes, |hand| {
                let runs = unheard_runs(hand.record, lessee);
                rename_ends(hand.record, lessee, RunEnd::CutOff);
                let crashes_max = hand.record.template.options.crashes_max();
                let history = hand.record.history_mut();
                let held = history.crashes >= crashes_max;
                history.crashes = history.crashes.saturating_sub(runs);
                let is_free = held && history.crashes < crashes_max;
                if is_free && hand.record.state() == State::Scheduled {
                    hand.make_ready();
                    hand.tell_ready();
                }
            });
        }
    }

    /// `lessee` did crash: a task that was held for doubts about it alone is decided.
    fn explain(&mut self, lessee: Lessee, changes: &mut Vec<Change>) {
        for task in self.tasks_where(|record| unheard_runs(record, lessee) > 0) {
            self.take(task, changes, |hand| {
                rename_ends(hand.record, lessee, RunEnd::Lost);
                let crashes_max = hand.record.template.options.crashes_max();
                let used_up = proved_crashes(hand.record.history_mut()) >= crashes_max;
                if used_up && hand.record.state() == State::Scheduled {
                    hand.die(poison(crashes_max));
                }
            });
        }
    }

    /// Those that were leased at least once, so that their records are in memory.
    fn tasks_where(&self, is_meant: impl Fn(&Record) -> bool) -> Vec<TaskId> {
        self.records.warm().filter(|(_, record)| is_meant(record)).map(|(id, _)| id).collect()
    }
}

fn lose_one(hand: &mut Hand<'_>, lease: &Lease, loss: Loss, hold: Span) {
    hand.tell_lost(lease);
    let end = match loss {
        Loss::Restarted => RunEnd::Lost,
        Loss::Unheard => RunEnd::Unheard,
    };
    hand.close(lease, end);
    let crashes_max = hand.record.template.options.crashes_max();
    let history = hand.record.history_mut();
    history.crashes = history.crashes.saturating_add(1);
    let left = crashes_max.saturating_sub(history.crashes);
    let is_proved = proved_crashes(history) >= crashes_max;
    match (lease.cancelling, left, is_proved) {
        (true, _, _) => hand.finish(Transition::Cancel, Phase::Cancelled),
        (false, _, _) if hand.is_at_most_once() => hand.die(lost(LOST_ON_THE_WAY)),
        (false, 0, true) => hand.die(poison(crashes_max)),
        (false, 0, false) => hand.retry(hold),
        (false, 1, _) => hand.retry(apart(hand.task)),
        (false, _, _) => hand.requeue(),
    }
}

/// What is said of a task that is never started twice, if its node is gone.
const LOST_ON_THE_WAY: &str = "the node that ran it was lost, and how far it came is not known; it is never \
                               started twice: look whether it may be submitted again";

/// The pause before the last run that a task is given. It follows from the task's id: replicas agree.
fn apart(task: TaskId) -> Span {
    let part = xxh3_64(&task.bits().to_le_bytes()) % CRASH_SPREAD.as_micros().max(1);
    Span::from_micros(part)
}

/// Crashes without those that may turn out to have been none.
#[allow(clippy::cast_possible_truncation, reason = "a record keeps few runs")]
fn proved_crashes(history: &History) -> u16 {
    let in_doubt = history.runs.iter().filter(|run| run.end == RunEnd::Unheard).count() as u16;
    history.crashes.saturating_sub(in_doubt)
}

#[allow(clippy::cast_possible_truncation, reason = "a record keeps few runs")]
fn unheard_runs(record: &Record, lessee: Lessee) -> u16 {
    record.history.as_ref().map_or(0, |history| {
        history.runs.iter().filter(|run| run.lessee == lessee && run.end == RunEnd::Unheard).count()
            as u16
    })
}

fn rename_ends(record: &mut Record, lessee: Lessee, end: RunEnd) {
    for run in &mut record.history_mut().runs {
        if run.lessee == lessee && run.end == RunEnd::Unheard {
            run.end = end;
        }
    }
}
