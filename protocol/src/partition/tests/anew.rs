//! Jobs that are removed and defined anew, and what is left of those before them.

use super::*;
use crate::job::{Alert, AlertEvent, Job, JobName, Schedule, Source};
use crate::limits::PartitionLimits;
use crate::partition::{AlertTask, Fire, JobChange, Nodes, Precondition};

fn name() -> JobName {
    "backup".parse().unwrap()
}

fn every(seconds: u64) -> Job {
    Job::new(Schedule::Every(ms(seconds * 1_000)), plain())
}

fn define(job: Job) -> Command {
    let change = JobChange::Define {
        job: Box::new(job),
        source: Source::Live,
        precondition: Precondition::Any,
    };
    Command::ChangeJob { job: name(), change }
}

fn remove() -> Command {
    Command::ChangeJob { job: name(), change: JobChange::Remove { source: Source::Live } }
}

impl Owner {
    /// Finds that a tick is due, as the job is now.
    fn fires(&self, tick: Wall, missed: Vec<Wall>) -> Command {
        let state = self.partition.job(&name()).unwrap();
        Command::Fire(Box::new(Fire {
            job: name(),
            revision: state.revision,
            after: state.fired_through,
            ticks: vec![tick],
            missed,
            through: tick,
            template: plain(),
            nodes: Nodes::Any,
        }))
    }
}

#[test]
fn a_job_that_is_defined_anew_is_another_one() {
    let mut owner = Owner::new();
    owner.order(define(every(5)));
    let before = owner.partition.job(&name()).unwrap().revision;
    owner.write(vec![remove(), define(every(7))]);
    let after = owner.partition.job(&name()).unwrap();
    assert_eq!(after.job, every(7));
    assert!(after.revision > before, "whoever has worked out its ticks must do so again");
    // Nor is what was decided about the former one.
    let tick = START + ms(5_000);
    owner.wait(ms(5_000));
    let late = owner.fires(tick, Vec::new());
    owner.write(vec![remove(), define(every(5)), late]);
    assert_eq!(owner.partition.job_tasks().count(), 0);
}

#[test]
fn what_is_to_be_told_waits_for_room_and_goes_with_the_alert() {
    let mut owner = Owner::new();
    let mut job = every(5);
    job.alert = Some(Alert {
        template: with(Options { priority: Some(7), ..Options::default() }),
        on_failure: true,
        on_recovery: false,
        on_missed: true,
    });
    owner.order(define(job));
    owner.partition.limits = PartitionLimits { tasks: 1, ..PartitionLimits::REAL };
    owner.wait(ms(10_000));
    let (missed, tick) = (START + ms(5_000), START + ms(10_000));
    let changes = owner.order(owner.fires(tick, vec![missed]));
    assert!(changes.contains(&Change::JobNotice { job: name() }));
    let state = owner.partition.job(&name()).unwrap();
    let events: Vec<_> = state.alerts.iter().map(|notice| notice.event).collect();
    assert_eq!(events, [AlertEvent::Missed]);
    let tell = Command::Alert(Box::new(AlertTask {
        job: name(),
        born: state.born,
        number: 0,
        template: plain(),
        args: Bytes::from_static(b"{}"),
    }));
    let full = vec![Change::JobFull { job: name() }];
    assert_eq!(owner.order(tell), full, "the run of the tick takes all the room");
    assert_eq!(owner.partition.job(&name()).unwrap().alerts.len(), 1);
    // Nobody is to be told any more.
    owner.order(define(every(5)));
    assert!(owner.partition.job(&name()).unwrap().alerts.is_empty());
}
