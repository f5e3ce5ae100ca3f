//! Jobs: each tick once, what was said of a job holds, and what became of it is told.

mod conclude;
mod define;
mod fire;

use super::super::Precondition::{self, Absent, Any, Revision};
use super::super::{AlertTask, Fire, JobChange, JobRefusal, Nodes, RunNow};
use super::*;
use crate::job::{
    Alert, AlertEvent, Job, JobName, JobState, Overlap, Schedule, Source, Target, TickEnd,
    TickRecord, Verdict,
};
use crate::limits::ID_AHEAD_MAX;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

fn name() -> JobName {
    "backup".parse().unwrap()
}

/// Every second, tried once, and all of it told.
fn job() -> Job {
    let mut job = Job::new(Schedule::Every(ms(1_000)), tried(1));
    let template = plain();
    let (on_failure, on_recovery, on_missed) = (true, true, true);
    job.alert = Some(Alert { template, on_failure, on_recovery, on_missed });
    job
}

fn with_overlap(overlap: Overlap) -> Job {
    Job { overlap, ..job() }
}

fn define(job: Job, source: Source, precondition: Precondition) -> JobChange {
    JobChange::Define { job: Box::new(job), source, precondition }
}

fn tick(number: u64) -> Wall {
    START + ms(1_000 * number)
}

impl Owner {
    /// An owner whose partition has the job.
    fn of(job: Job) -> Self {
        let mut owner = Self::new();
        assert_eq!(owner.say(define(job, Source::Live, Absent)), Ok(()));
        owner
    }

    fn say(&mut self, change: JobChange) -> Result<(), JobRefusal> {
        answer(&self.order(Command::ChangeJob { job: name(), change }))
    }

    fn job(&self) -> &JobState {
        self.partition.job(&name()).expect("the job is there")
    }

    fn last(&self) -> &TickRecord {
        self.job().history.last().expect("a tick was decided about")
    }

    /// What an owner decides when `ticks` are due after `missed`.
    fn decision(&self, missed: &[u64], ticks: &[u64], nodes: Nodes) -> Fire {
        let walls = |numbers: &[u64]| numbers.iter().copied().map(tick).collect::<Vec<_>>();
        Fire {
            job: name(),
            revision: self.job().revision,
            after: self.job().fired_through,
            ticks: walls(ticks),
            missed: walls(missed),
            through: walls(&[missed, ticks].concat()).last().copied().unwrap(),
            template: self.job().job.template.clone(),
            nodes,
        }
    }

    /// Decides so when it is time; the tasks that come of it.
    fn fire(&mut self, missed: &[u64], ticks: &[u64], nodes: Nodes) -> Vec<TaskId> {
        let fire = self.decision(missed, ticks, nodes);
        self.clock = self.clock.max(fire.through);
        made(&self.order(Command::Fire(Box::new(fire))))
    }

    fn fire_one(&mut self, number: u64) -> TaskId {
        self.fire(&[], &[number], Nodes::Any)[0]
    }

    fn run_now(&mut self, at: Wall, nodes: Nodes) -> (Result<(), JobRefusal>, Vec<TaskId>) {
        let revision = self.partition.job(&name()).map_or(0, |state| state.revision);
        let run = RunNow { job: name(), revision, at, template: tried(1), nodes };
        let changes = self.order(Command::RunNow(Box::new(run)));
        (answer(&changes), made(&changes))
    }

    /// Has a task end on `lessee` as `outcome` says.
    fn end(&mut self, task: TaskId, outcome: Outcome) -> Vec<Change> {
        let token = self.lease(task, executor(1));
        self.wait(ms(250));
        self.report(executor(1), task, token, outcome)
    }

    fn events(&self) -> Vec<AlertEvent> {
        self.job().alerts.iter().map(|notice| notice.event).collect()
    }
}

fn answer(changes: &[Change]) -> Result<(), JobRefusal> {
    let answers = changes.iter().filter_map(|change| match change {
        Change::JobChanged { result, .. } => Some(result.clone()),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(answers.len(), 1, "one answer to one thing said");
    answers.into_iter().next().unwrap()
}

fn made(changes: &[Change]) -> Vec<TaskId> {
    let made = changes.iter().filter_map(|change| match change {
        Change::Ready { task } => Some(*task),
        _ => None,
    });
    made.collect()
}

fn each(present: &[NodeId], absent: &[NodeId]) -> Nodes {
    Nodes::Each { present: present.to_vec(), absent: absent.to_vec() }
}
