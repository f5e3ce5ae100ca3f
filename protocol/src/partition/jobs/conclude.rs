//! What becomes of a job when a task of it ends, or does not report.

use super::OpenTask;
use crate::id::{NodeId, TaskId};
use crate::job::{AlertEvent, JobName, JobState, Notice, TickEnd, TickEnds, tail};
use crate::partition::{Change, Partition};
use crate::task::{Phase, Record};
use crate::time::Wall;

impl Partition {
    /// Notes what became of tasks of jobs by `changes` from the one at `from` on. What is to be tried
    /// again though its job does not want it any more ends, too.
    pub(in crate::partition) fn conclude_jobs(&mut self, from: usize, changes: &mut Vec<Change>) {
        let mut next = from;
        while let Some(change) = changes.get(next) {
            next += 1;
            match *change {
                Change::Finished { task } if task.is_derived() => {
                    if let Some(open) = self.jobs.close(task) {
                        self.conclude(task, open, changes);
                    } else if let Some(job) = self.jobs.end_telling(task) {
                        self.tell_notices(&job, changes);
                    }
                }
                Change::Leased { task, lessee, .. } if task.is_derived() => {
                    self.note_run(task, Some(lessee.node));
                }
                Change::Ready { task } | Change::Scheduled { task, .. } if task.is_derived() => {
                    if self.is_unwanted(task) {
                        self.cancel(task, changes);
                    } else {
                        self.note_run(task, None);
                    }
                }
                _ => {}
            }
        }
    }

    /// A run of a job is on `node` from now on, or waits.
    fn note_run(&mut self, task: TaskId, node: Option<NodeId>) {
        let now = self.now;
        let Some(open) = self.jobs.open.get(&task) else {
            return;
        };
        // What it weighs stays the same.
        let state = self.jobs.states.get_mut(&open.job).filter(|state| state.born == open.born);
        let tick = state.and_then(|state| state.history.tick_mut(open.tick, open.by_hand));
        if let Some(run) = tick.and_then(|tick| tick.run_mut(task)) {
            run.node = node.or(run.node);
            run.started_at = node.map(|_| now);
        }
    }

    fn conclude(&mut self, task: TaskId, open: OpenTask, changes: &mut Vec<Change>) {
        let OpenTask { job, born, tick, by_hand, target: _ } = open;
        if self.jobs.states.get(&job).is_none_or(|state| state.born != born) {
            return;
        }
        let now = self.now;
        let Some(record) = self.records.get(task) else {
            return;
        };
        let Some(end) = TickEnd::of(&record) else {
            return;
        };
        let last = record.history.as_ref().and_then(|history| history.runs.last());
        let (node, started_at) = (last.map(|run| run.lessee.node), last.map(|run| run.started_at));
        let output = output_of(&record);
        let open = self.jobs.open_of(&job).map(|(_, other)| other);
        let of_tick =
            open.filter(|other| (other.born, other.tick, other.by_hand) == (born, tick, by_hand));
        let goes_on = of_tick.count();
        self.jobs.take(&job, |state| {
            // Of a tick that is forgotten only what goes on is known.
            let open = u32::try_from(goes_on).unwrap_or(u32::MAX);
            let mut ends = TickEnds { open, ..TickEnds::default() };
            *ends.count_mut(Some(end)) += 1;
            if let Some(record) = state.history.tick_mut(tick, by_hand) {
                let open = record.ends.count_mut(None);
                *open = open.saturating_sub(1);
                *record.ends.count_mut(Some(end)) += 1;
                ends = record.ends;
                if let Some(run) = record.run_mut(task) {
                    run.node = node.or(run.node);
                    run.started_at = started_at;
                    run.finished_at = Some(now);
                    run.end = Some(end);
                    run.output.clone_from(&output);
                }
            }
            if ends.have_reported() && !by_hand {
                state.reported(tick);
            }
            let (at, task) = (now, Some(task));
            let notice = |event| {
                let (nodes, output) = (node.into_iter().collect(), output.clone());
                Notice { event, tick, at, task, nodes, output }
            };
            state.note_end(tick, end, ends, notice);
        });
        self.tell_notices(&job, changes);
    }

    /// Notes that a tick was fired and no run of it ended well in time.
    pub(in crate::partition) fn note_unreported(
        &mut self,
        job: &JobName,
        tick: Wall,
        changes: &mut Vec<Change>,
    ) {
        let now = self.now;
        self.jobs.take(job, |state| {
            // It may have been given more time meanwhile.
            let is_overdue = |(awaited, by): &(Wall, Wall)| *awaited == tick && *by <= now;
            if !state.awaited.iter().any(is_overdue) || !state.reported(tick) {
                return;
            }
            let mut task = None;
            if let Some(record) = state.history.tick_mut(tick, false) {
                record.unreported = true;
                let mut bad = record.runs.iter().filter(|run| run.end != Some(TickEnd::Succeeded));
                task = bad.find_map(|run| run.task);
            }
            state.tell_missing(tick, AlertEvent::Unreported, |event| Notice {
                event,
                tick,
                at: now,
                task,
                nodes: Vec::new(),
                output: String::new(),
            });
        });
        changes.push(Change::JobDue { job: job.clone() });
        self.tell_notices(job, changes);
    }

    /// Whoever owns the job is to send what it has to tell.
    pub(super) fn tell_notices(&self, job: &JobName, changes: &mut Vec<Change>) {
        if self.jobs.states.get(job).is_some_and(JobState::may_tell) {
            changes.push(Change::JobNotice { job: job.clone() });
        }
    }
}

/// The end of what a task that has ended says.
fn output_of(record: &Record) -> String {
    match record.phase() {
        Phase::Succeeded(result) => tail(result),
        Phase::Dead(failure) => {
            let printed = failure.detail().map(|detail| tail(detail)).unwrap_or_default();
            if printed.is_empty() { crate::job::end_of(&failure.message) } else { printed }
        }
        Phase::Expired => {
            let failure = record.history.as_ref().and_then(|history| history.failure.as_ref());
            failure.map(|failure| crate::job::end_of(&failure.message)).unwrap_or_default()
        }
        Phase::Cancelled | Phase::Scheduled { .. } | Phase::Ready | Phase::Leased(_) => {
            String::new()
        }
    }
}
