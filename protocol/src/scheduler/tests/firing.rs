//! What an owner makes of jobs: when it looks at them, and what it puts into the log.

use super::lone_owner::{LoneOwner, START, template};
use crate::job::{Alert, Job, JobName, Schedule, Source};
use crate::limits::Limits;
use crate::partition::{Command, JobChange, JobRefusal, Partition, Precondition};
use crate::time::{Span, Wall};
use crate::wire::{Answer, Ask, RequestError};

/// A name that leads to the partition that the owner has.
fn name() -> JobName {
    let names = (0..).map(|n| format!("job-{n}").parse::<JobName>().unwrap());
    names.into_iter().find(|name| name.partition(2).0 == 0).unwrap()
}

const fn millis(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn every(span: Span) -> Job {
    Job::new(Schedule::Every(span), template("add"))
}

fn change(change: JobChange) -> Ask {
    Ask::ChangeJob { job: name(), change }
}

fn define(job: Job) -> Ask {
    change(JobChange::Define {
        job: Box::new(job),
        source: Source::Live,
        precondition: Precondition::Any,
    })
}

fn remove() -> Ask {
    change(JobChange::Remove { source: Source::Live })
}

/// Ticks that were fired so far, in the order of the log.
fn fired(owner: &LoneOwner) -> Vec<Wall> {
    let fired = owner.commands.iter().filter_map(|command| match command {
        Command::Fire(fire) => Some(fire.ticks.clone()),
        _ => None,
    });
    fired.flatten().collect()
}

#[test]
fn a_job_fires_when_it_is_due_and_not_before() {
    let mut owner = LoneOwner::new(8);
    let asked = owner.ask(define(every(millis(2_000))));
    assert_eq!(owner.answers(asked), [&Answer::Done]);
    let since = owner.partition().job(&name()).unwrap().since;
    owner.pass(millis(1_900));
    assert_eq!(fired(&owner), []);
    owner.pass(millis(4_200));
    assert_eq!(fired(&owner), [1, 2, 3].map(|n| since + millis(n * 2_000)));
}

#[test]
fn a_job_that_is_removed_and_defined_in_one_entry_has_the_ticks_of_the_new_one() {
    let mut owner = LoneOwner::new(8);
    owner.ask(define(every(millis(3_000))));
    owner.disk_is_stuck = true;
    // An entry is on its way; both of these wait for the next one.
    owner.ask(change(JobChange::Enable { enabled: true }));
    let removed = owner.ask(remove());
    let defined = owner.ask(define(every(millis(5_000))));
    owner.disk_is_stuck = false;
    owner.settle();
    assert_eq!(owner.answers(removed), [&Answer::Done]);
    assert_eq!(owner.answers(defined), [&Answer::Done]);
    let since = owner.partition().job(&name()).unwrap().since;
    owner.pass(millis(5_500));
    assert_eq!(fired(&owner), [since + millis(5_000)]);
}

#[test]
fn a_job_that_is_not_there_is_not_run() {
    let mut owner = LoneOwner::new(8);
    let asked = owner.ask(Ask::RunJob { job: name(), at: START });
    owner.settle();
    let none = RequestError::Job(JobRefusal::NotFound { job: name() });
    assert_eq!(owner.answers(asked), [&Answer::Failed(none)]);
}

#[test]
fn a_node_without_memory_fires_when_it_has_some_again() {
    let limits = Limits { node_bytes_max: 4_096, ..Limits::default() };
    let partition = Partition::new(super::lone_owner::PARTITION);
    let mut owner = LoneOwner::limited(&partition, limits);
    owner.introduce(owner.lessee(), 0);
    let mut job = every(millis(1_000));
    job.misfire_grace = millis(60_000);
    owner.ask(define(job));
    // Nobody runs what is fired, so it stays.
    owner.pass(millis(30_000));
    let memory = owner.scheduler.memory();
    assert!(memory < 2 * 4_096 && fired(&owner).len() < 20, "{memory}");
    let asked = owner.ask(define(Job { alert: Some(alert()), ..every(millis(1_000)) }));
    assert!(
        matches!(owner.answers(asked)[..], [Answer::Failed(RequestError::Overloaded { .. })]),
        "nor are there larger jobs"
    );
    let before = fired(&owner).len();
    let tasks: Vec<_> = owner.partition().job_tasks().map(|(.., task)| task).collect();
    for task in tasks {
        owner.ask(Ask::Cancel { task });
    }
    owner.pass(millis(5_000));
    assert!(fired(&owner).len() > before, "what was due meanwhile was in time");
}

fn alert() -> Alert {
    Alert { template: template("add"), on_failure: true, on_recovery: true, on_missed: true }
}
