//! What an owner makes of jobs: when it looks at them, and what it puts into the log.

use super::lone_owner::{LoneOwner, START, join, lessee, profile, template};
use crate::id::{Lessee, NodeId};
use crate::job::{Alert, Job, JobName, Misfire, Schedule, Source};
use crate::limits::Limits;
use crate::membership::Liveness;
use crate::partition::{Command, JobChange, JobRefusal, Partition, Precondition};
use crate::scheduler::Event;
use crate::task::{Record, Template};
use crate::time::{Span, Wall};
use crate::wire::{Answer, Ask, ExecutorSays, PeerMessage, RequestError};

const FAR: NodeId = NodeId(22);

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

#[test]
fn a_herd_is_looked_at_in_parts_and_none_of_it_is_left() {
    const HERD: usize = 1_500;
    let mut owner = LoneOwner::new(0);
    let names = (0..).map(|n| format!("job-{n}").parse::<JobName>().unwrap());
    let names = names.filter(|name| name.partition(2).0 == 0).take(HERD);
    let at = START + millis(60_000);
    for name in names {
        let job = Box::new(Job::new(Schedule::At(at), template("add")));
        let (source, precondition) = (Source::Live, Precondition::Any);
        let change = JobChange::Define { job, source, precondition };
        owner.ask(Ask::ChangeJob { job: name, change });
    }
    owner.pass((at - millis(1)).since(owner.now.wall));
    assert_eq!(fired(&owner), []);
    owner.disk_is_stuck = true;
    owner.advance(millis(1));
    owner.step(Event::Due);
    let first = fired(&owner).len();
    assert!((1..=1_024).contains(&first), "{first} at once: who else waits, waits for them");
    owner.disk_is_stuck = false;
    owner.settle();
    owner.pass(millis(2_000));
    assert_eq!(fired(&owner).len(), HERD);
    assert!(owner.partition().jobs().all(|(_, state)| state.counts.fired == 1));
}

/// By a file, which comes before those who can do what it says.
fn define_by_file(job: Job) -> Ask {
    let (source, precondition) = (Source::File { number: 1 }, Precondition::Any);
    change(JobChange::Define { job: Box::new(job), source, precondition })
}

/// A member that is there and has said nothing yet.
fn joined_by(owner: &mut LoneOwner, node: NodeId) {
    let mut meta = owner.scheduler.meta().unwrap().clone();
    meta.admit(join(node), START);
    owner.peer(node, PeerMessage::Meta(Box::new(meta)));
    let (Lessee { incarnation, .. }, liveness) = (lessee(node), Liveness::Alive);
    owner.step(Event::Liveness { node, incarnation, liveness });
}

fn tasks(owner: &LoneOwner) -> Vec<&Record> {
    owner.partition().records().map(|(_, record)| record.in_memory()).collect()
}

#[test]
fn a_new_owner_runs_and_tells_nothing_before_it_has_heard_how() {
    let hour = millis(3_600_000);
    let mut job = Job::new(Schedule::Every(hour), Template::new("far"));
    job.misfire = Misfire::Skip;
    job.alert = Some(Alert { template: Template::new("far"), ..alert() });
    let mut owner = LoneOwner::new(4);
    owner.ask(define_by_file(job));
    let later = owner.now.wall + hour + hour + millis(1_800_000);
    let mut next = LoneOwner::later(owner.partition(), later);
    joined_by(&mut next, FAR);
    next.introduce(next.lessee(), 4);

    let run = next.ask(Ask::RunJob { job: name(), at: next.now.wall });
    next.pass(millis(2_000));
    let state = next.partition().job(&name()).unwrap();
    assert_eq!(state.counts.missed, 2, "there is something to tell");
    assert_eq!((tasks(&next), next.answers(run)), (vec![], vec![]));
    let mut profile = profile(0);
    "far".clone_into(&mut profile.tasks[0].name);
    "mail".clone_into(&mut profile.tasks[0].queue);
    "mail".clone_into(&mut profile.queues[0].name);
    next.executor(ExecutorSays::Introduce { lessee: lessee(FAR), profile });
    next.pass(millis(1_000));
    assert_eq!(next.answers(run), [&Answer::Done]);
    let queues: Vec<&str> =
        tasks(&next).into_iter().map(|record| record.template.queue.as_str()).collect();
    assert_eq!(queues, ["mail", "mail"], "the run, and what tells of the ticks that were missed");
}

#[test]
fn a_job_whose_alert_nobody_declares_yet_fires_all_the_same() {
    let mut job = Job::new(Schedule::Every(millis(20_000)), Template::new("far"));
    job.alert = Some(Alert { template: Template::new("far"), ..alert() });
    let mut owner = LoneOwner::new(4);
    owner.ask(define_by_file(job));
    // What was missed meanwhile is to be told.
    let mut next = LoneOwner::later(owner.partition(), owner.now.wall + millis(310_000));
    joined_by(&mut next, FAR);
    next.introduce(next.lessee(), 4);
    next.pass(millis(100_000));
    let state = next.partition().job(&name()).unwrap();
    assert!(!state.alerts.is_empty());
    let through = next.now.wall.since(state.fired_through);
    assert!(
        through <= millis(31_000),
        "decided up to {through:?} ago, and it may be ten seconds late"
    );
}

#[test]
fn a_task_is_known_where_its_queue_is_served() {
    let mut owner = LoneOwner::new(4);
    let mut profile = profile(0);
    "far".clone_into(&mut profile.tasks[0].name);
    "mail".clone_into(&mut profile.queues[0].name);
    joined_by(&mut owner, FAR);
    owner.executor(ExecutorSays::Introduce { lessee: lessee(FAR), profile });
    for (task, queue, is_known) in
        [("far", "mail", true), ("add", "default", true), ("far", "default", false)]
    {
        let template = Template { queue: queue.to_owned(), ..Template::new(task) };
        owner.ask(define_by_file(Job::new(Schedule::Every(millis(3_600_000)), template)));
        let asked = owner.ask(Ask::ShowJob { job: name() });
        let answers = owner.answers(asked);
        let [Answer::Job(view)] = answers[..] else { panic!("{answers:?}") };
        assert_eq!(view.declared.task, is_known, "{task} in {queue}");
    }
}

#[test]
fn what_nobody_declares_is_run_by_hand_in_a_moment_all_the_same() {
    let mut before = LoneOwner::new(4);
    let job = Job::new(Schedule::Every(millis(3_600_000)), Template::new("far"));
    before.ask(define_by_file(job));
    let mut owner = LoneOwner::over(before.partition());
    joined_by(&mut owner, FAR);
    owner.introduce(owner.lessee(), 4);
    let run = owner.ask(Ask::RunJob { job: name(), at: owner.now.wall });
    owner.pass(millis(2_500));
    assert_eq!(owner.answers(run), Vec::<&Answer>::new());
    owner.pass(millis(1_000));
    assert_eq!((owner.answers(run), tasks(&owner).len()), (vec![&Answer::Done], 1));
}

fn alert() -> Alert {
    Alert { template: template("add"), on_failure: true, on_recovery: true, on_missed: true }
}
