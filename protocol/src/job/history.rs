//! What is remembered of a job's ticks.
//!
//! A tick is remembered with the runs that it led to: one, or with [`On::Each`](super::On::Each) one
//! for each node, those that missed it among them. The last ticks are kept, as far as there is room,
//! and counts of all.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, TaskId};
use crate::limits::{TICK_RUNS_KEPT_CROWDED, TICK_RUNS_KEPT_MAX, TICKS_KEPT_MAX};
use crate::task::{Record, State};
use crate::time::{Span, Wall};

/// Ticks of a job, the last ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickHistory(VecDeque<TickRecord>);

/// One tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickRecord {
    /// Its nominal time.
    pub tick: Wall,
    /// When it was decided about, in partition time. By how much that is later than the tick is how
    /// late it was.
    pub decided_at: Wall,
    /// Whether somebody asked for it: then `tick` is when.
    pub by_hand: bool,
    /// What was decided.
    pub verdict: Verdict,
    /// Its runs, as far as they are remembered.
    pub runs: Vec<TickRun>,
    /// How its runs ended, the forgotten ones included.
    pub ends: TickEnds,
    /// Whether it did not report in time.
    pub unreported: bool,
}

/// What was decided about a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It was fired.
    Fired,
    /// It was noticed too late, and its job's misfire rule does not fire it.
    Missed,
    /// An earlier one still ran, and its job's overlap rule forbids another.
    Skipped,
}

/// One run of a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickRun {
    /// The task that is the run; none if its node missed it.
    pub task: Option<TaskId>,
    /// Who was to run it, or has run it last.
    pub node: Option<NodeId>,
    /// When it started last.
    pub started_at: Option<Wall>,
    /// When it ended.
    pub finished_at: Option<Wall>,
    /// How it ended; none while it has not.
    pub end: Option<TickEnd>,
    /// The end of what it printed, returned or said.
    pub output: String,
}

/// How a run of a tick ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TickEnd {
    /// It was stopped by request, or replaced by a later one.
    Cancelled,
    /// It failed for good.
    Failed,
    /// Its node was down when it was to start, or did not start it in time.
    Missed,
    /// On that node an earlier run had not ended.
    Skipped,
    /// It ended well.
    Succeeded,
}

/// How many runs of a tick ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickEnds {
    /// Not yet.
    pub open: u32,
    /// See [`TickEnd::Succeeded`].
    pub succeeded: u32,
    /// See [`TickEnd::Failed`].
    pub failed: u32,
    /// See [`TickEnd::Cancelled`].
    pub cancelled: u32,
    /// See [`TickEnd::Missed`].
    pub missed: u32,
    /// See [`TickEnd::Skipped`].
    pub skipped: u32,
}

/// Counts over all ticks of a job since it was first defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// Ticks that were fired, those by hand not among them.
    pub fired: u64,
    /// Runs that ended well.
    pub succeeded: u64,
    /// Runs that failed for good.
    pub failed: u64,
    /// Runs that were stopped.
    pub cancelled: u64,
    /// Ticks that were missed, and nodes that missed one; of long downtimes at least so many.
    pub missed: u64,
    /// Ticks that were skipped because an earlier one still ran, on all or on some node.
    pub skipped: u64,
    /// Runs that have failed since the last one that ended well.
    pub failures_in_row: u64,
}

impl TickEnd {
    /// How the task of `record` ended, if it has. One that was started, and given up before it was
    /// started again, has failed.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        match record.state() {
            State::Expired if record.has_started() => Some(Self::Failed),
            state => Self::of_state(state),
        }
    }

    /// How a task ended of which nothing else is known.
    pub(crate) const fn of_state(state: State) -> Option<Self> {
        match state {
            State::Scheduled | State::Ready | State::Leased => None,
            State::Succeeded => Some(Self::Succeeded),
            State::Dead => Some(Self::Failed),
            State::Cancelled => Some(Self::Cancelled),
            State::Expired => Some(Self::Missed),
        }
    }

    /// The word for it in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Succeeded => "succeeded",
        }
    }
}

impl TickEnds {
    /// Whether no run goes on, none failed, and one ended well at least.
    pub(crate) const fn are_good(&self) -> bool {
        self.open == 0 && self.failed == 0 && self.succeeded > 0
    }

    /// Whether all that were begun ended well.
    pub(crate) const fn have_reported(&self) -> bool {
        self.are_good() && self.cancelled == 0
    }

    /// Whether they did, and one was begun on each node.
    pub(crate) const fn are_whole(&self) -> bool {
        self.have_reported() && self.missed == 0 && self.skipped == 0
    }

    /// Runs that came to be tasks, and were not missed by those.
    pub(crate) const fn begun(&self) -> u32 {
        self.open + self.succeeded + self.failed + self.cancelled
    }

    pub(crate) const fn count_mut(&mut self, end: Option<TickEnd>) -> &mut u32 {
        match end {
            None => &mut self.open,
            Some(TickEnd::Cancelled) => &mut self.cancelled,
            Some(TickEnd::Failed) => &mut self.failed,
            Some(TickEnd::Missed) => &mut self.missed,
            Some(TickEnd::Skipped) => &mut self.skipped,
            Some(TickEnd::Succeeded) => &mut self.succeeded,
        }
    }
}

impl JobCounts {
    pub(crate) const fn add(&mut self, end: TickEnd) {
        match end {
            TickEnd::Cancelled => self.cancelled += 1,
            TickEnd::Failed => {
                self.failed += 1;
                self.failures_in_row += 1;
            }
            TickEnd::Missed => self.missed += 1,
            TickEnd::Skipped => self.skipped += 1,
            TickEnd::Succeeded => {
                self.succeeded += 1;
                self.failures_in_row = 0;
            }
        }
    }
}

impl TickRun {
    /// How long it ran, if it has ended.
    #[must_use]
    pub fn duration(&self) -> Option<Span> {
        Some(self.finished_at?.since(self.started_at?))
    }

    const fn weight(&self) -> usize {
        TICK_RUN_WEIGHT + self.output.len()
    }
}

impl TickRecord {
    pub(crate) const fn new(tick: Wall, decided_at: Wall, verdict: Verdict) -> Self {
        Self {
            tick,
            decided_at,
            by_hand: false,
            verdict,
            runs: Vec::new(),
            ends: TickEnds {
                open: 0,
                succeeded: 0,
                failed: 0,
                cancelled: 0,
                missed: 0,
                skipped: 0,
            },
            unreported: false,
        }
    }

    /// By how much it was decided about later than it should have been: `delay` after its nominal time,
    /// unless it was asked for, which is the [offset](super::due::offset) of its job.
    #[must_use]
    pub fn lateness(&self, delay: Span) -> Span {
        let delay = if self.by_hand { Span::ZERO } else { delay };
        self.decided_at.since(self.tick + delay)
    }

    /// Forgets runs that ended well: how many there were is still counted.
    fn keep_bad_runs(&mut self) {
        self.runs.retain(|run| run.end != Some(TickEnd::Succeeded));
        self.runs.shrink_to_fit();
    }

    /// Forgets all runs but `most` of them, at first those that ended well.
    fn keep_some_runs(&mut self, most: usize) {
        let ended_well = |run: &TickRun| run.end == Some(TickEnd::Succeeded);
        let others = self.runs.iter().filter(|run| !ended_well(run)).count();
        let mut left = most.saturating_sub(others);
        self.runs.retain(|run| {
            let stays = !ended_well(run) || left > 0;
            left -= usize::from(stays && ended_well(run));
            stays
        });
        self.runs.truncate(most);
        self.runs.shrink_to_fit();
    }

    pub(crate) fn run_mut(&mut self, task: TaskId) -> Option<&mut TickRun> {
        self.runs.iter_mut().find(|run| run.task == Some(task))
    }

    fn weight(&self) -> usize {
        TICK_WEIGHT + self.runs.iter().map(TickRun::weight).sum::<usize>()
    }
}

impl TickHistory {
    /// The ticks that are remembered, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &TickRecord> {
        self.0.iter()
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&TickRecord> {
        self.0.back()
    }

    pub(crate) fn push(&mut self, record: TickRecord) {
        self.0.push_back(record);
        while self.0.len() > TICKS_KEPT_MAX {
            self.0.pop_front();
        }
        self.keep_runs(TICK_RUNS_KEPT_MAX);
    }

    /// There is little room: only the last tick is kept, and few of its runs.
    pub(crate) fn crowd(&mut self) {
        let excess = self.0.len().saturating_sub(1);
        self.0.drain(..excess);
        self.0.shrink_to_fit();
        if let Some(last) = self.0.back_mut() {
            last.keep_some_runs(TICK_RUNS_KEPT_CROWDED);
        }
    }

    /// Forgets runs of the oldest ticks that make more than `most`, at first those that ended well; those
    /// of the last one stay.
    fn keep_runs(&mut self, most: usize) {
        let mut left = most;
        for record in self.0.iter_mut().rev() {
            let is_last = left == most;
            if record.runs.len() > left && !is_last {
                record.keep_bad_runs();
            }
            if record.runs.len() > left && !is_last {
                record.runs = Vec::new();
            }
            left = left.saturating_sub(record.runs.len());
        }
    }

    pub(crate) fn tick_mut(&mut self, tick: Wall, by_hand: bool) -> Option<&mut TickRecord> {
        let is_it = |record: &&mut TickRecord| record.tick == tick && record.by_hand == by_hand;
        self.0.iter_mut().rev().find(is_it)
    }

    pub(crate) fn weight(&self) -> usize {
        self.0.iter().map(TickRecord::weight).sum()
    }
}

/// A tick without its runs.
const TICK_WEIGHT: usize = 112;
/// A run of a tick without its output.
const TICK_RUN_WEIGHT: usize = 112;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tick: u64, runs: usize) -> TickRecord {
        let run = TickRun {
            task: None,
            node: None,
            started_at: Some(Wall::from_millis(3)),
            finished_at: Some(Wall::from_millis(10)),
            end: Some(TickEnd::Succeeded),
            output: "ab".to_owned(),
        };
        let mut record =
            TickRecord::new(Wall::from_millis(tick), Wall::from_millis(tick + 7), Verdict::Fired);
        record.runs = vec![run; runs];
        record
    }

    #[test]
    fn the_last_ticks_are_kept() {
        let mut history = TickHistory::default();
        (0..50).for_each(|tick| history.push(record(tick, 1)));
        assert_eq!(history.iter().count(), TICKS_KEPT_MAX);
        assert_eq!(history.last().map(|last| last.tick), Some(Wall::from_millis(49)));
        let late = |delay| history.last().unwrap().lateness(Span::from_millis(delay)).as_millis();
        assert_eq!((late(0), late(5), late(9)), (7, 2, 0));
        assert_eq!(history.last().unwrap().runs[0].duration(), Some(Span::from_millis(7)));
    }

    #[test]
    fn of_many_runs_those_of_the_last_ticks_are_kept() {
        let mut history = TickHistory::default();
        (0..3).for_each(|tick| history.push(record(tick, TICK_RUNS_KEPT_MAX - 1)));
        let runs: Vec<usize> = history.iter().map(|record| record.runs.len()).collect();
        assert_eq!(runs, [0, 0, TICK_RUNS_KEPT_MAX - 1]);
        let weight = history.weight();
        history.crowd();
        assert!(history.weight() < weight / 2);
        assert_eq!(history.iter().count(), 1);
    }

    #[test]
    fn of_many_runs_those_that_did_not_end_well_are_kept_longer() {
        let mut history = TickHistory::default();
        for tick in 0..3 {
            let mut record = record(tick, TICK_RUNS_KEPT_MAX - 20);
            record.runs[7].end = Some(TickEnd::Failed);
            record.runs.last_mut().unwrap().end = None;
            history.push(record);
        }
        let runs: Vec<usize> = history.iter().map(|record| record.runs.len()).collect();
        assert_eq!(runs, [2, 2, TICK_RUNS_KEPT_MAX - 20]);
        history.crowd();
        let kept: Vec<_> = history.last().unwrap().runs.iter().map(|run| run.end).collect();
        assert_eq!(kept.len(), TICK_RUNS_KEPT_CROWDED);
        assert!(kept.contains(&Some(TickEnd::Failed)) && kept.contains(&None), "{kept:?}");
    }
}
