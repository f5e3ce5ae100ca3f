//! Firing ticks: the one step in which a tick is decided about and its tasks come to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::Purpose;
use super::{JobRefusal, OpenTask};
use crate::id::{NodeId, TaskId};
use crate::job::{
    AlertEvent, JobName, JobState, Notice, Overlap, Target, TickEnd, TickRecord, TickRun, Verdict,
};
use crate::limits::{EXPIRES_ON_NODE, ID_AHEAD_MAX, JOB_OPEN_MAX, NOTICE_NODES_MAX};
use crate::partition::{Change, Partition};
use crate::sabotage::{self, Defect};
use crate::task::{Particulars, Phase, Template};
use crate::time::Wall;

/// What the owner of a job has found to be due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fire {
    /// The job.
    pub job: JobName,
    /// The definition that was looked at: about another one nothing was decided.
    pub revision: u64,
    /// How far the job had fired then: what is decided already is not decided again.
    pub after: Wall,
    /// Ticks to be fired, ascending.
    pub ticks: Vec<Wall>,
    /// Ticks that were missed, ascending.
    pub missed: Vec<Wall>,
    /// The last tick of all.
    pub through: Wall,
    /// What each runs: that of the job, with what it leaves to the declaration of its task.
    pub template: Template,
    /// Where.
    pub nodes: Nodes,
}

/// Somebody wants a job to run now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNow {
    /// The job.
    pub job: JobName,
    /// The definition that was looked at: by another one it does not run.
    pub revision: u64,
    /// When that was asked for, by the clock of who asks: asked twice with the same time it runs once.
    pub at: Wall,
    /// See [`Fire::template`].
    pub template: Template,
    /// Where.
    pub nodes: Nodes,
}

/// Which nodes run a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nodes {
    /// One that is selected, whichever has a slot.
    Any,
    /// Each of these.
    Each {
        /// Those that are there.
        present: Vec<NodeId>,
        /// Those that are down, and miss it.
        absent: Vec<NodeId>,
    },
}

impl Partition {
    /// Decides about the ticks of a job.
    pub(in crate::partition) fn fire(&mut self, fire: Fire, changes: &mut Vec<Change>) {
        let Fire { job, revision, after, ticks, missed, through, template, nodes } = fire;
        changes.push(Change::JobDue { job: job.clone() });
        let is_as_seen = self.jobs.states.get(&job).is_some_and(|state| {
            state.enabled && state.revision == revision && state.fired_through == after
        });
        let is_due = through <= self.now.max(self.shown) && through > after;
        if !(is_as_seen && is_due) {
            return self.tell_notices(&job, changes);
        }
        self.miss(&job, &missed);
        for tick in ticks.into_iter().skip(usize::from(sabotage::has(Defect::LoseTick))) {
            if self.may_have_fired(&job, tick) {
                self.miss(&job, &[tick]);
                continue;
            }
            let Ok(verdict) = self.fire_one(&job, tick, false, &template, &nodes, changes) else {
                // It is in time or late, as its rule says, when there is room again.
                self.tell_notices(&job, changes);
                changes.push(Change::JobFull { job });
                return;
            };
            let counted = self.jobs.take(&job, |state| {
                state.counts.fired += u64::from(verdict == Verdict::Fired);
                state.fired_through = tick;
            });
            if counted.is_none() {
                return;
            }
        }
        let through = if sabotage::has(Defect::FireAgain) { after } else { through };
        let now = self.now;
        self.jobs.take(&job, |state| {
            state.fired_through = through;
            if sabotage::has(Defect::DriftInterval) {
                state.since = now;
            }
        });
        self.tell_notices(&job, changes);
    }

    /// Whether a job of the same name may have fired `tick` before, whose id is forgotten since the job was
    /// defined.
    fn may_have_fired(&self, job: &JobName, tick: Wall) -> bool {
        let since = self.jobs.states.get(job).map(|state| state.since);
        tick <= self.dedup_floor && since.is_some_and(|since| tick <= since)
    }

    /// Has a job run now, whatever its schedule says.
    pub(in crate::partition) fn run_now(&mut self, run: &RunNow, changes: &mut Vec<Change>) {
        let RunNow { job, revision, at, template, nodes } = run;
        let seen = self.jobs.states.get(job).map(|state| state.revision);
        let result = if seen.is_none() {
            Err(JobRefusal::NotFound { job: job.clone() })
        } else if *at <= self.dedup_floor || *at > self.now.max(self.shown) + ID_AHEAD_MAX {
            // Whether it has run already is not known any more, or could not be for long.
            Err(JobRefusal::Untimely { job: job.clone() })
        } else if self.has_run(job, *at, nodes) {
            Ok(())
        } else if seen != Some(*revision) {
            Err(JobRefusal::Changed { job: job.clone() })
        } else {
            let fired = self.fire_one(job, *at, true, template, nodes, changes);
            fired.map(|_| ()).map_err(|Full| JobRefusal::Overloaded { job: job.clone() })
        };
        changes.push(Change::JobChanged { job: job.clone(), result });
        self.tell_notices(job, changes);
    }

    /// Whether a run that was asked for at `at` has come to be.
    fn has_run(&mut self, job: &JobName, at: Wall, nodes: &Nodes) -> bool {
        let is_told = |state: &mut JobState| state.history.tick_mut(at, true).is_some();
        self.jobs.take(job, is_told).unwrap_or(false)
            || nodes
                .places()
                .any(|place| self.is_known(self.job_task(job, at, Purpose::ByHand(place))))
    }

    /// These ticks were missed; that is told once.
    fn miss(&mut self, job: &JobName, ticks: &[Wall]) {
        let Some(last) = ticks.last() else {
            return;
        };
        let Self { now, shown, .. } = *self;
        self.jobs.take(job, |state| {
            let now = state.job.schedule.by(now, shown);
            state.counts.missed += ticks.len() as u64;
            state.fired_through = *last;
            for tick in ticks {
                state.history.push(TickRecord::new(*tick, now, Verdict::Missed));
            }
            let output = format!("ticks that nobody fired in time: {}", ticks.len());
            state.tell_missing(*last, AlertEvent::Missed, |event| Notice {
                event,
                tick: *last,
                at: now,
                task: None,
                nodes: Vec::new(),
                output,
            });
        });
    }

    fn fire_one(
        &mut self,
        job: &JobName,
        tick: Wall,
        by_hand: bool,
        template: &Template,
        nodes: &Nodes,
        changes: &mut Vec<Change>,
    ) -> Result<Verdict, Full> {
        let Some(state) = self.jobs.states.get(job) else {
            return Ok(Verdict::Missed);
        };
        let (overlap, expires, born) = (state.job.overlap, state.job.expires, state.born);
        let decided_at = state.job.schedule.by(self.now, self.shown);
        let select = Target::Labels(state.job.select.clone());
        let select = if state.job.select.is_empty() { Target::Anywhere } else { select };
        let args = state.job.args.clone();
        let metadata = state.job.metadata.clone();
        let said = Particulars { metadata, ..Particulars::NONE };
        let said = Some(&said).filter(|said| said.metadata.is_some());
        // All of a tick or nothing.
        let tasks = nodes.places().count();
        if !self.jobs.has_room_for(tasks, &select) || !self.has_room_for(tasks, &args, said) {
            return Err(Full);
        }
        let mut open = self.open_by_place(job, overlap, nodes);
        // One job whose tasks do not end must not take the room of all others.
        let is_piled_up = self.jobs.open_of(job).count() + tasks > JOB_OPEN_MAX;
        let mut record = TickRecord::new(tick, decided_at, Verdict::Fired);
        record.by_hand = by_hand;
        // Nearly all ticks have one run, and many are remembered.
        record.runs.reserve_exact(tasks + nodes.absent().len());
        for place in nodes.places() {
            let open = open.remove(&place).unwrap_or_default();
            let is_beside = !open.is_empty() && !sabotage::has(Defect::IgnoreOverlap);
            if is_piled_up || (overlap == Overlap::Forbid && is_beside) {
                record.add(None, place, Some(TickEnd::Skipped));
                continue;
            }
            if overlap == Overlap::Replace {
                open.iter().for_each(|task| self.cancel(*task, changes));
            }
            let purpose = if by_hand { Purpose::ByHand(place) } else { Purpose::Tick(place) };
            let task = self.job_task(job, tick, purpose);
            let target = place.map_or_else(|| select.clone(), Target::Node);
            let mut template = template.clone();
            let expires = expires.or_else(|| place.map(|_| EXPIRES_ON_NODE));
            template.options.expires_at = expires.map(|span| self.now + span);
            if self.create(task, &template, &args, said, changes) {
                let job = job.clone();
                self.jobs.open(task, OpenTask { job, born, tick, by_hand, target });
                record.add(Some(task), place, None);
            } else {
                // By a job of the same name, before it was removed and defined anew: now it is this one's.
                if let Some(open) = self.jobs.close(task) {
                    self.jobs.open(task, OpenTask { born, ..open });
                }
                record.add(Some(task), place, self.end_of_known(task));
            }
        }
        for node in nodes.absent() {
            record.add(None, Some(*node), Some(TickEnd::Missed));
        }
        Ok(self.remember(job, record))
    }

    /// Notes what was decided about a tick, and what that amounts to: where no run has begun it was
    /// skipped or, if there was nobody who could have begun one, missed.
    fn remember(&mut self, job: &JobName, mut record: TickRecord) -> Verdict {
        let now = self.now;
        let ends = record.ends;
        record.verdict = match (ends.begun(), ends.skipped) {
            (1.., _) => Verdict::Fired,
            (0, 1..) => Verdict::Skipped,
            (0, 0) => Verdict::Missed,
        };
        let verdict = record.verdict;
        self.jobs.take(job, |state| {
            if ends.skipped > 0 {
                state.counts.skipped += 1;
            }
            let is_missed = verdict == Verdict::Missed;
            state.counts.missed += u64::from(ends.missed).max(u64::from(is_missed));
            if ends.missed > 0 || is_missed {
                let absent = record.runs.iter().filter(|run| run.task.is_none());
                let absent = absent.filter(|run| run.end == Some(TickEnd::Missed));
                let output = match (ends.missed, absent.clone().count()) {
                    (0, _) => "no node is selected".to_owned(),
                    (_, 0) => "it did not run before its job was defined anew".to_owned(),
                    (_, nodes) => format!("nodes that were down: {nodes}"),
                };
                let absent = absent.filter_map(|run| run.node).take(NOTICE_NODES_MAX).collect();
                let (tick, at) = (record.tick, now);
                state.tell_missing(tick, AlertEvent::Missed, |event| Notice {
                    event,
                    tick,
                    at,
                    task: None,
                    nodes: absent,
                    output,
                });
            }
            if let (Some(within), 1.., false) = (state.job.report_within, ends.open, record.by_hand)
            {
                state.await_report(record.tick, now + within);
            }
            state.history.push(record);
        });
        verdict
    }

    /// How a task ended that is or was here, if it has. One that was cancelled with the job that was to
    /// run it, and never ran, was missed, as long as so much is known of it.
    fn end_of_known(&self, task: TaskId) -> Option<TickEnd> {
        let Some(record) = self.records.get(task) else {
            return TickEnd::of_state(self.stubs.ended(task)?);
        };
        match TickEnd::of(&record) {
            Some(TickEnd::Cancelled) if !record.has_started() => Some(TickEnd::Missed),
            end => end,
        }
    }

    /// Tasks of a job that have not ended, by where a tick would meet them. Nobody asks where ticks may
    /// run beside each other.
    fn open_by_place(
        &self,
        job: &JobName,
        overlap: Overlap,
        nodes: &Nodes,
    ) -> BTreeMap<Option<NodeId>, Vec<TaskId>> {
        let mut open: BTreeMap<_, Vec<TaskId>> = BTreeMap::new();
        if overlap == Overlap::Allow {
            return open;
        }
        for (task, known) in self.jobs.open_of(job) {
            let place = match (nodes, &known.target) {
                (Nodes::Each { .. }, Target::Node(node)) => Some(*node),
                // One anywhere meets all of them.
                (Nodes::Any, _) => None,
                // It was fired when the job ran on one node; it meets the tick where it runs.
                (Nodes::Each { .. }, Target::Anywhere | Target::Labels(_)) => {
                    match self.records.get(task).as_ref().map(|record| record.phase()) {
                        Some(Phase::Leased(lease)) => Some(lease.lessee.node),
                        _ => continue,
                    }
                }
            };
            open.entry(place).or_default().push(task);
        }
        open
    }
}

/// There is no room for another tick's tasks.
struct Full;

impl Nodes {
    /// The runs of a tick: each on its node, or one anywhere.
    fn places(&self) -> impl Iterator<Item = Option<NodeId>> {
        let (any, each): (bool, &[NodeId]) = match self {
            Self::Any => (true, &[]),
            Self::Each { present, absent: _ } => (false, present),
        };
        any.then_some(None).into_iter().chain(each.iter().copied().map(Some))
    }

    fn absent(&self) -> &[NodeId] {
        match self {
            Self::Any => &[],
            Self::Each { present: _, absent } => absent,
        }
    }
}

impl TickRecord {
    fn add(&mut self, task: Option<TaskId>, node: Option<NodeId>, end: Option<TickEnd>) {
        *self.ends.count_mut(end) += 1;
        self.runs.push(TickRun {
            task,
            node,
            started_at: None,
            finished_at: None,
            end,
            output: String::new(),
        });
    }
}
