//! Runs whose executor is gone, or was taken to be.

use super::finish::close;
use super::lease::poison;
use super::{Change, Loss, Partition};
use crate::id::{Lessee, TaskId};
use crate::limits::CRASHES_MAX;
use crate::task::{Lease, Phase, Record, RunEnd, State, Transition};
use crate::time::Span;

impl Partition {
    /// Closes all runs of `lessee` and counts each as a crash of its task.
    ///
    /// A task that has used up its crashes dies if the last loss is beyond doubt. If its node only
    /// fell silent it is held for a while first: the node may come back and be pardoned.
    pub(super) fn lose(
        &mut self,
        lessee: Lessee,
        loss: Loss,
        hold: Span,
        changes: &mut Vec<Change>,
    ) {
        for task in self.tasks_where(|record| lease_of(record, lessee).is_some()) {
            let Some(lease) = self.records.get(&task).and_then(|r| lease_of(r, lessee)) else {
                continue;
            };
            self.lose_one(task, &lease, loss, hold, changes);
        }
        if loss == Loss::Restarted {
            self.explain(lessee, changes);
        }
    }

    /// Takes back what [`Loss::Unheard`] counted: `lessee` was only out of reach.
    pub(super) fn pardon(&mut self, lessee: Lessee, changes: &mut Vec<Change>) {
        for task in self.tasks_where(|record| unheard_runs(record, lessee) > 0) {
            let held = self.amend(task, |record| {
                let runs = unheard_runs(record, lessee);
                rename_ends(record, lessee, RunEnd::CutOff);
                let history = record.history_mut();
                let held = history.crashes >= CRASHES_MAX;
                history.crashes = history.crashes.saturating_sub(runs);
                held && history.crashes < CRASHES_MAX && record.state() == State::Scheduled
            });
            if held == Some(true) {
                self.amend(task, |record| {
                    record.take(Transition::Due, Phase::Ready).expect("it is scheduled");
                });
                changes.push(Change::Ready { task });
            }
        }
    }

    fn lose_one(
        &mut self,
        task: TaskId,
        lease: &Lease,
        loss: Loss,
        hold: Span,
        changes: &mut Vec<Change>,
    ) {
        let now = self.now;
        changes.push(Change::Closed { task, token: lease.token, lessee: lease.lessee });
        let end = match loss {
            Loss::Restarted => RunEnd::Lost,
            Loss::Unheard => RunEnd::Unheard,
        };
        let crashes = self.amend(task, |record| {
            close(record, lease, now, end);
            let history = record.history_mut();
            history.crashes = history.crashes.saturating_add(1);
            history.crashes
        });
        let used_up = crashes.is_some_and(|crashes| crashes >= CRASHES_MAX);
        match (lease.cancelling, used_up, loss) {
            (true, _, _) => self.finish(task, Transition::Cancel, Phase::Cancelled, changes),
            (false, false, _) => self.requeue(task, changes),
            (false, true, Loss::Restarted) => {
                self.finish(task, Transition::Die, Phase::Dead(Box::new(poison())), changes);
            }
            (false, true, Loss::Unheard) => {
                let not_before = now + hold;
                self.amend(task, |record| {
                    record
                        .take(Transition::Retry, Phase::Scheduled { not_before })
                        .expect("its run has just been closed");
                });
                changes.push(Change::Scheduled { task, not_before });
            }
        }
    }

    /// `lessee` did crash: what was held in doubt about it is decided.
    fn explain(&mut self, lessee: Lessee, changes: &mut Vec<Change>) {
        for task in self.tasks_where(|record| unheard_runs(record, lessee) > 0) {
            let dead = self.amend(task, |record| {
                rename_ends(record, lessee, RunEnd::Lost);
                let used_up = record.history_mut().crashes >= CRASHES_MAX;
                used_up && record.state() == State::Scheduled
            });
            if dead == Some(true) {
                self.finish(task, Transition::Die, Phase::Dead(Box::new(poison())), changes);
            }
        }
    }

    fn tasks_where(&self, is_meant: impl Fn(&Record) -> bool) -> Vec<TaskId> {
        self.records.iter().filter(|(_, record)| is_meant(record)).map(|(id, _)| *id).collect()
    }
}

fn lease_of(record: &Record, lessee: Lessee) -> Option<Lease> {
    match record.phase() {
        Phase::Leased(lease) if lease.lessee == lessee => Some(**lease),
        _ => None,
    }
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
