//! A job in its partition: its definition, how far it has fired, and what became of that.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::definition::{Job, Schedule};
use super::due::{Due, due, next_tick, offset};
use super::history::{JobCounts, TickEnd, TickEnds, TickHistory};
use super::name::JobName;
use super::plan::Plan;
use crate::id::{NodeId, TaskId};
use crate::limits::{ALERTS_OPEN_MAX, NOTICES_MAX, REPORTS_AWAITED_MAX};
use crate::sabotage::{self, Defect};
use crate::time::{Span, Wall};

/// Everything about one job, the same on every copy of its partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// What it is.
    pub job: Job,
    /// Who defined it.
    pub source: Source,
    /// The place in the log of what was said of it last: what an owner decided about an earlier one has
    /// no effect, not even about one of the same name that was removed.
    pub revision: u64,
    /// The revision with which it began to be: one that was removed and defined anew is another one.
    pub born: u64,
    /// Whether it fires.
    pub enabled: bool,
    /// When its schedule was last changed, in partition time: intervals count from then.
    pub since: Wall,
    /// Ticks up to this one are decided about, for ever.
    pub fired_through: Wall,
    /// How often what has happened.
    pub counts: JobCounts,
    /// Its last ticks.
    pub history: TickHistory,
    /// What is to be told and is not on its way yet, oldest first.
    pub alerts: VecDeque<Notice>,
    /// Counts what was told.
    pub alert_next: u64,
    /// Tasks that tell of it and have not ended: at most [`ALERTS_OPEN_MAX`].
    pub alerts_open: BTreeSet<TaskId>,
    /// What was told last.
    pub last_alert: Option<SentAlert>,
    /// Whether it was told that a run has failed, and no tick has ended well since.
    pub is_failing: bool,
    /// The last tick of which it was told that it was missed or not reported, if neither that one nor a
    /// later one has ended well on all nodes since.
    pub missing: Option<Wall>,
    /// Ticks that were fired and are to report, by when, oldest first: at most
    /// [`REPORTS_AWAITED_MAX`].
    pub awaited: VecDeque<(Wall, Wall)>,
}

/// Who defined a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The file of the cluster, that of this number: it alone says what the job is.
    File {
        /// See [`JobsFile`](crate::meta::JobsFile).
        number: u64,
    },
    /// Somebody, while the cluster ran.
    Live,
}

/// Something that a job's alert is to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What has happened.
    pub event: AlertEvent,
    /// The tick that it concerns.
    pub tick: Wall,
    /// When it was noticed.
    pub at: Wall,
    /// The task, if there was one.
    pub task: Option<TaskId>,
    /// The node, if it is known, or those that missed the tick: at most [`NOTICE_NODES_MAX`](crate::limits::NOTICE_NODES_MAX).
    pub nodes: Vec<NodeId>,
    /// The end of what the run said.
    pub output: String,
}

/// Something that a task tells of, or has told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAlert {
    /// What has happened.
    pub event: AlertEvent,
    /// When it was noticed.
    pub at: Wall,
    /// The task.
    pub task: TaskId,
}

/// What an alert tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertEvent {
    /// A run failed for good.
    Failure,
    /// A tick was missed, on all nodes or on one.
    Missed,
    /// A run ended well again.
    Recovery,
    /// A tick was fired, and no run of it ended well in time.
    Unreported,
}

impl Notice {
    fn weight(&self) -> usize {
        NOTICE_WEIGHT + self.nodes.len() * 16 + self.output.len()
    }
}

impl AlertEvent {
    /// The word for it in what is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Missed => "missed",
            Self::Recovery => "recovery",
            Self::Unreported => "unreported",
        }
    }
}

impl JobState {
    /// A job that is defined at `now`, by the entry at `revision`, and fires what comes after
    /// `fired_through`.
    #[must_use]
    pub(crate) fn new(
        job: Job,
        source: Source,
        revision: u64,
        now: Wall,
        fired_through: Wall,
    ) -> Self {
        let enabled = job.enabled;
        Self {
            job,
            source,
            revision,
            born: revision,
            enabled,
            since: now,
            fired_through,
            counts: JobCounts::default(),
            history: TickHistory::default(),
            alerts: VecDeque::new(),
            alert_next: 0,
            alerts_open: BTreeSet::new(),
            last_alert: None,
            is_failing: false,
            missing: None,
            awaited: VecDeque::new(),
        }
    }

    /// Whether `other` has the same ticks: then what was decided about them holds.
    pub(crate) fn has_ticks_of(&self, other: &Job) -> bool {
        self.job.schedule == other.schedule
            && self.job.timezone == other.timezone
            && self.job.start == other.start
    }

    /// How many ticks it may still fire.
    #[must_use]
    pub fn left(&self) -> u64 {
        match self.job.max_runs {
            Some(most) => most.saturating_sub(self.counts.fired),
            None => u64::MAX,
        }
    }

    /// Its next tick, by its nominal time.
    #[must_use]
    pub fn next(&self, plan: &Plan) -> Option<Wall> {
        if !self.enabled || self.left() == 0 {
            return None;
        }
        next_tick(&self.job, plan, self.since, self.fired_through)
    }

    /// When its owner has to look at it next.
    #[must_use]
    pub fn next_look(&self, name: &JobName, plan: &Plan) -> Option<Wall> {
        self.next(plan).map(|next| next + offset(name, self.job.jitter))
    }

    /// What is due at `now`.
    #[must_use]
    pub fn due(&self, name: &JobName, plan: &Plan, now: Wall) -> Option<Due> {
        if !self.enabled {
            return None;
        }
        let offset = offset(name, self.job.jitter);
        due(&self.job, plan, self.since, self.fired_through, self.left(), offset, now)
    }

    /// Whether it fires nothing any more at `now`, as it is defined: its last ticks may still be due
    /// for a while after its end.
    #[must_use]
    pub fn is_over(&self, now: Wall) -> bool {
        let once = matches!(self.job.schedule, Schedule::At(at) if at <= self.fired_through);
        let Job { end, jitter, .. } = &self.job;
        once || self.left() == 0 || end.is_some_and(|end| end + *jitter + self.job.grace() <= now)
    }

    /// Notes how a run of it ended, and what is to be told of that. A tick is judged with `ends`, all of
    /// its runs, of which one on another node may have failed, or go on.
    pub(crate) fn note_end(
        &mut self,
        tick: Wall,
        end: TickEnd,
        ends: TickEnds,
        notice: impl Fn(AlertEvent) -> Notice,
    ) {
        self.counts.add(end);
        match end {
            // Nobody is told of the end of what nobody was told of.
            TickEnd::Failed if !self.is_failing => {
                self.is_failing = self.tell(AlertEvent::Failure, &notice);
            }
            TickEnd::Missed => self.tell_missing(tick, AlertEvent::Missed, &notice),
            TickEnd::Cancelled | TickEnd::Failed | TickEnd::Skipped | TickEnd::Succeeded => {}
        }
        let is_failing = self.is_failing && !ends.are_good();
        let missing = self.missing.filter(|missing| *missing > tick || !ends.are_whole());
        if (is_failing, missing) != (self.is_failing, self.missing) {
            (self.is_failing, self.missing) = (is_failing, missing);
            self.tell(AlertEvent::Recovery, &notice);
        }
    }

    /// Has it told that of `tick` there was no run, or no word, in time.
    pub(crate) fn tell_missing(
        &mut self,
        tick: Wall,
        event: AlertEvent,
        notice: impl FnOnce(AlertEvent) -> Notice,
    ) {
        if self.tell(event, notice) {
            self.missing = self.missing.max(Some(tick));
        }
    }

    /// From now on somebody else is to be told, who has heard of nothing so far.
    pub(crate) const fn tell_anew(&mut self) {
        (self.is_failing, self.missing) = (false, None);
    }

    /// Whether there is something to tell, and somebody may be told now.
    #[must_use]
    pub fn may_tell(&self) -> bool {
        !self.alerts.is_empty() && self.alerts_open.len() < ALERTS_OPEN_MAX
    }

    /// Has `event` told, if the job says so; whether it does.
    pub(crate) fn tell(
        &mut self,
        event: AlertEvent,
        notice: impl FnOnce(AlertEvent) -> Notice,
    ) -> bool {
        let is_wanted = self.job.alert.as_ref().is_some_and(|alert| match event {
            AlertEvent::Failure => alert.on_failure,
            AlertEvent::Recovery => alert.on_recovery,
            AlertEvent::Missed | AlertEvent::Unreported => alert.on_missed,
        });
        if is_wanted && !sabotage::has(Defect::LoseNotice) {
            self.alerts.push_back(notice(event));
            if self.alerts.len() > NOTICES_MAX {
                // What is newer says more; what is on its way about the oldest has no effect any more.
                self.alerts.pop_front();
                self.alert_next += 1;
            }
        }
        is_wanted
    }

    /// A run of `tick` is to have ended well by `by`.
    pub(crate) fn await_report(&mut self, tick: Wall, by: Wall) {
        self.awaited.push_back((tick, by));
        if self.awaited.len() > REPORTS_AWAITED_MAX {
            self.awaited.pop_front();
        }
    }

    /// Ticks are to report within another time than before, or not at all.
    pub(crate) fn report_within(&mut self, before: Option<Span>, within: Option<Span>) {
        match (before, within) {
            (_, None) => self.awaited.clear(),
            (Some(before), Some(within)) => {
                for (_, by) in &mut self.awaited {
                    *by = *by - before + within;
                }
            }
            (None, Some(_)) => {}
        }
    }

    /// `tick` is not to report any more; whether it was.
    pub(crate) fn reported(&mut self, tick: Wall) -> bool {
        let before = self.awaited.len();
        self.awaited.retain(|(awaited, _)| *awaited != tick);
        self.awaited.len() < before
    }

    /// What its memory is counted as.
    #[must_use]
    pub fn weight(&self) -> usize {
        let notices: usize = self.alerts.iter().map(Notice::weight).sum();
        let awaited = self.awaited.len() * 16;
        let open = self.alerts_open.len() * ALERT_OPEN_WEIGHT;
        STATE_WEIGHT + self.job.weight() + self.history.weight() + notices + awaited + open
    }
}

/// A notice without its nodes and its output.
const NOTICE_WEIGHT: usize = 128;
/// A task that tells of a job, here and where its job is noted.
const ALERT_OPEN_WEIGHT: usize = 128;
/// Counts and places, and the place among the others.
const STATE_WEIGHT: usize = 256;
