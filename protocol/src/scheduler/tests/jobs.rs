//! Jobs where their partition is owned: fired when it is time, late but once, and where they belong.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::lone_owner::{HOME, LoneOwner, PARTITION, START, join, lessee};
use crate::id::{Lessee, NodeId, TaskId, Token};
use crate::job::{
    Alert, InvalidJob, Job, JobName, JobState, Labels, Misfire, On, Schedule, Source, TickRecord,
    Verdict,
};
use crate::membership::Liveness;
use crate::meta::Join;
use crate::partition::{Command, JobChange, JobRefusal, Partition, Precondition};
use crate::scheduler::Event;
use crate::task::{Failure, FailureKind, Outcome, State, Template};
use crate::time::{Span, Wall};
use crate::wire::{Answer, Ask, ExecutorSays, OwnerSays, PeerMessage, RequestError};

const B: NodeId = NodeId(22);
const C: NodeId = NodeId(33);

fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

/// The `n`th name whose job lives in the partition that is owned here.
fn nth(n: usize) -> JobName {
    let names = (0..).map(|n| format!("job-{n}").parse::<JobName>().unwrap());
    names.filter(|name| name.partition(2) == PARTITION).nth(n).unwrap()
}

fn name() -> JobName {
    nth(0)
}

fn every(millis: u64) -> Job {
    Job::new(Schedule::Every(ms(millis)), Template::new("add"))
}

fn define(job: Job, source: Source) -> Ask {
    define_as(name(), job, source)
}

fn define_as(name: JobName, job: Job, source: Source) -> Ask {
    let change = JobChange::Define { job: Box::new(job), source, precondition: Precondition::Any };
    Ask::ChangeJob { job: name, change }
}

impl LoneOwner {
    /// An owner whose partition has this job.
    fn of(slots: u32, job: Job) -> Self {
        let mut owner = Self::new(slots);
        owner.define(job);
        owner
    }

    fn define(&mut self, job: Job) {
        let asked = self.ask(define(job, Source::Live));
        assert_eq!(self.answers(asked), [&Answer::Done]);
    }

    fn job(&self) -> &JobState {
        self.partition().job(&name()).expect("it is defined")
    }

    /// When the job has fired, after the start.
    fn fired(&self) -> Vec<u64> {
        let fired = self.job().history.iter().filter(|tick| tick.verdict == Verdict::Fired);
        fired.map(|tick| tick.tick.since(START).as_millis()).collect()
    }

    fn tasks(&self) -> Vec<TaskId> {
        self.partition().records().map(|(task, _)| task).filter(|task| task.is_derived()).collect()
    }

    /// The whole of it falls, and another takes over what its disk has after `span`.
    fn falls_for(self, span: Span) -> Self {
        let mut next = Self::later(self.partition(), self.now.wall + span);
        next.step(Event::Due);
        next.introduce(next.lessee(), 0);
        next
    }

    /// These are members now, and said to be so; all of them are there.
    fn joined_by(&mut self, labels: &[(NodeId, &str)]) {
        let mut meta = self.scheduler.meta().unwrap().clone();
        for (node, labels) in labels {
            let labels: Labels = labels.parse().unwrap();
            meta.admit(Join { name: format!("node-{}", node.0), ..join(*node) }, START);
            meta.label(*node, labels);
        }
        self.peer(B, PeerMessage::Meta(Box::new(meta)));
        for (node, _) in labels.iter().filter(|(node, _)| *node != HOME) {
            self.introduce(lessee(*node), 4);
        }
    }

    /// Executors elsewhere leave slots to this owner again: what is not used it gives back.
    fn granted_by(&mut self, nodes: &[NodeId]) {
        for node in nodes {
            self.executor(ExecutorSays::Grant { lessee: lessee(*node), slots: vec![4] });
        }
    }

    /// Who was given runs of the job since this was last asked.
    fn dispatched(&mut self) -> Vec<(NodeId, TaskId)> {
        let told = self.told().into_iter().filter_map(|(node, says)| match says {
            OwnerSays::Dispatch { runs, .. } => Some((node, runs)),
            _ => None,
        });
        let runs = told.flat_map(|(node, runs)| runs.into_iter().map(move |run| (node, run.task)));
        // Nobody confirms them, so they are repeated.
        runs.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn ended(&mut self, lessee: Lessee, task: TaskId, outcome: Outcome) {
        let token: Token = self.token(task);
        self.executor(ExecutorSays::Outcomes { lessee, outcomes: vec![(task, token, outcome)] });
    }
}

#[test]
fn it_fires_when_it_is_time() {
    let mut owner = LoneOwner::of(4, every(10_000));
    owner.pass(ms(9_990));
    assert_eq!(owner.fired(), []);
    owner.pass(ms(25_000));
    assert_eq!(owner.fired(), [10_000, 20_000, 30_000]);
    let late = owner.job().history.iter().map(|tick| tick.lateness(Span::ZERO).as_millis()).max();
    assert!(late <= Some(20), "{late:?} ms");
    assert_eq!(owner.dispatched().len(), 3, "there are slots for them");
    assert_eq!(owner.job().counts.fired, 3);
    let fires = owner.commands.iter().filter(|command| matches!(command, Command::Fire(_)));
    assert_eq!(fires.count(), 3, "nothing is decided twice");
}

#[test]
fn jobs_that_are_not_due_cost_nothing() {
    let mut owner = LoneOwner::new(4);
    for n in 0..50 {
        owner.ask(define_as(nth(n), every(3_600_000), Source::Live));
    }
    let entries = owner.entries;
    owner.pass(ms(600_000));
    assert_eq!(owner.entries, entries);
}

#[test]
fn a_successor_fires_what_is_due_late_but_once() {
    let misfires = [Misfire::Skip, Misfire::Once, Misfire::All { most: 3 }];
    for (misfire, late) in misfires.into_iter().zip([vec![], vec![], vec![50, 60, 70]]) {
        let mut job = every(10_000);
        (job.misfire, job.misfire_grace) = (misfire, ms(25_000));
        let mut owner = LoneOwner::of(4, job);
        owner.pass(ms(10_500));
        let next = owner.falls_for(ms(90_000));
        // It is 100.5 s now: what was due at 80 and later is in time.
        let expected = [vec![10], late, vec![80, 90, 100]].concat();
        let expected: Vec<u64> = expected.into_iter().map(|second: u64| second * 1_000).collect();
        assert_eq!(next.fired(), expected, "{misfire:?}");
        let counts = next.job().counts;
        assert_eq!(counts.fired + counts.missed, 10, "{misfire:?}: each is decided about");
    }
}

#[test]
fn a_clock_that_goes_back_fires_nothing_again() {
    let mut owner = LoneOwner::of(4, every(10_000));
    owner.pass(ms(30_500));
    owner.now.wall = owner.now.wall - ms(25_000);
    owner.step(Event::Due);
    // It goes on nine tenths as fast.
    owner.pass(ms(10_000));
    assert_eq!(owner.fired(), [10_000, 20_000, 30_000]);
    owner.pass(ms(1_000));
    assert_eq!(owner.fired(), [10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn a_clock_that_goes_ahead_follows_the_misfire_rule() {
    let mut job = every(10_000);
    job.schedule = Schedule::Cron("*/10 * * * * *".to_owned());
    (job.misfire, job.misfire_grace) = (Misfire::Once, ms(5_000));
    let mut owner = LoneOwner::of(4, job);
    owner.pass(ms(10_500));
    owner.now.wall = owner.now.wall + ms(3_600_000 - 3_000);
    owner.pass(ms(200));
    let (counts, fired) = (owner.job().counts, owner.fired());
    assert_eq!(fired.len(), 1, "the tick of 3,610 s has not come: {fired:?}");
    assert_eq!(counts.fired, 2, "the last of those that were jumped over");
    owner.pass(ms(10_000));
    assert_eq!(owner.job().counts.fired, 3, "and then in time again");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut owner = LoneOwner::new(4);
    let refused = |owner: &mut LoneOwner, job: Job| {
        let asked = owner.ask(define(job, Source::Live));
        match owner.answers(asked)[..] {
            [Answer::Failed(error)] => error.clone(),
            ref other => panic!("{other:?}"),
        }
    };
    let cron = Job { schedule: Schedule::Cron("0 0 30 2 *".to_owned()), ..every(1_000) };
    assert!(matches!(refused(&mut owner, cron), RequestError::InvalidJob(InvalidJob::Cron(_))));
    let zone = Job { timezone: "Europe/Berln".to_owned(), ..every(1_000) };
    let RequestError::InvalidJob(InvalidJob::Zone(zone)) = refused(&mut owner, zone) else {
        panic!("there is no such zone");
    };
    assert_eq!(zone.alike.first().map(String::as_str), Some("Europe/Berlin"));
    let task = Job { template: Template::new("ad"), ..every(1_000) };
    let known = vec!["add".to_owned()];
    let unknown = |known| RequestError::UnknownTask { name: "ad".to_owned(), known };
    assert_eq!(refused(&mut owner, task.clone()), unknown(known.clone()));
    let (on_failure, on_recovery, on_missed) = (true, true, true);
    let alert = Alert { template: Template::new("ad"), on_failure, on_recovery, on_missed };
    let alert = Job { alert: Some(alert), ..every(1_000) };
    assert_eq!(refused(&mut owner, alert), unknown(known));
    // A file comes before those who can do what it says.
    let asked = owner.ask(define(task, Source::File { number: 1 }));
    assert_eq!(owner.answers(asked), [&Answer::Done]);
    // Those that declare how it is treated may only be late.
    owner.pass(ms(9_000));
    assert_eq!(owner.tasks(), []);
    owner.pass(ms(3_000));
    let state = owner.tasks().first().and_then(|task| owner.record(*task)).map(|r| r.state());
    assert_eq!(state, Some(State::Ready), "it waits for somebody who can");
}

#[test]
fn it_is_changed_and_shown() {
    let mut owner = LoneOwner::of(4, every(10_000));
    owner.pass(ms(10_500));
    let shown = owner.ask(Ask::ShowJob { job: name() });
    let [Answer::Job(view)] = owner.answers(shown)[..] else { panic!("it is there") };
    assert_eq!((view.next, view.history.iter().count()), (Some(START + ms(20_000)), 1));
    let disable = JobChange::Enable { enabled: false };
    owner.ask(Ask::ChangeJob { job: name(), change: disable });
    owner.pass(ms(60_000));
    assert_eq!(owner.job().counts.fired, 1);
    let shown = owner.ask(Ask::ShowJob { job: name() });
    assert!(matches!(owner.answers(shown)[..], [Answer::Job(view)] if view.next.is_none()));
    let remove = JobChange::Remove { source: Source::Live };
    let removed = owner.ask(Ask::ChangeJob { job: name(), change: remove });
    assert_eq!(owner.answers(removed), [&Answer::Done]);
    let shown = owner.ask(Ask::ShowJob { job: name() });
    let missing = Answer::Failed(JobRefusal::NotFound { job: name() }.into());
    assert_eq!(owner.answers(shown), [&missing]);
    let run = owner.ask(Ask::RunJob { job: name(), at: owner.now.wall });
    assert_eq!(owner.answers(run), [&missing]);
}

#[test]
fn a_run_by_hand_takes_place_at_once_and_once() {
    let mut owner = LoneOwner::of(4, every(3_600_000));
    let at = owner.now.wall;
    for _ in 0..2 {
        let run = owner.ask(Ask::RunJob { job: name(), at });
        assert_eq!(owner.answers(run), [&Answer::Done]);
    }
    assert_eq!(owner.dispatched().len(), 1);
    assert!(owner.job().history.last().unwrap().by_hand);
}

#[test]
fn lists_go_by_name_and_on_from_where_they_ended() {
    let mut owner = LoneOwner::new(4);
    for n in 0..7 {
        owner.ask(define_as(nth(n), every(3_600_000), Source::Live));
    }
    let mut all: Vec<JobName> = (0..7).map(nth).collect();
    all.sort();
    let list = |owner: &mut LoneOwner, prefix: &str, after: Option<JobName>, limit| {
        let asked = owner.ask(Ask::ListJobs { prefix: prefix.to_owned(), after, limit });
        match owner.answers(asked)[..] {
            // Nobody owns the other partition.
            [Answer::Jobs { jobs, has_more, partitions_missing: 1, .. }] => {
                assert_eq!(*has_more, jobs.len() == 3 && limit == 3, "{jobs:?}");
                jobs.iter().map(|line| line.name.clone()).collect::<Vec<_>>()
            }
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(&mut owner, "", None, 100), all);
    assert_eq!(list(&mut owner, "job", None, 3), all[..3]);
    assert_eq!(list(&mut owner, "job", Some(all[2].clone()), 100), all[3..]);
    assert_eq!(list(&mut owner, "other", None, 100), []);
}

#[test]
fn a_selected_node_runs_it() {
    let mut job = every(10_000);
    job.select = "role=db".parse().unwrap();
    let mut owner = LoneOwner::of(4, job);
    owner.joined_by(&[(B, "role=db"), (C, "role=web")]);
    owner.told();
    owner.pass(ms(10_500));
    owner.granted_by(&[C, B]);
    let dispatched: Vec<NodeId> = owner.dispatched().into_iter().map(|(node, _)| node).collect();
    assert_eq!(dispatched, [B], "though there are slots at home");
    // Where nobody is, it waits, and one who comes to be so gets it.
    owner.joined_by(&[(B, "role=web")]);
    owner.pass(ms(10_000));
    owner.granted_by(&[B, C]);
    let dispatched: BTreeSet<TaskId> =
        owner.dispatched().into_iter().map(|(_, task)| task).collect();
    assert_eq!(dispatched.len(), 1, "the first, once more");
    owner.joined_by(&[(C, "role=db")]);
    let dispatched: BTreeSet<NodeId> =
        owner.dispatched().into_iter().map(|(node, _)| node).collect();
    assert!(dispatched.contains(&C), "{dispatched:?}");
}

#[test]
fn each_selected_node_runs_it_and_those_that_are_down_miss_it() {
    let mut job = every(10_000);
    job.on = On::Each;
    let mut owner = LoneOwner::of(4, job);
    owner.joined_by(&[(B, "role=db"), (C, "role=web")]);
    owner.told();
    owner.pass(ms(10_500));
    owner.granted_by(&[B, C]);
    let mut dispatched: Vec<NodeId> =
        owner.dispatched().into_iter().map(|(node, _)| node).collect();
    dispatched.sort_unstable();
    let mut all = vec![HOME, B, C];
    all.sort_unstable();
    assert_eq!(dispatched, all);
    let down = Liveness::Down;
    owner.step(Event::Liveness { node: C, incarnation: lessee(C).incarnation, liveness: down });
    owner.pass(ms(10_000));
    let last = owner.job().history.last().unwrap();
    assert_eq!((last.ends.open, last.ends.missed), (2, 1));
    assert!(last.runs.iter().any(|run| run.node == Some(C) && run.task.is_none()));
}

#[test]
fn a_node_that_joins_runs_the_next_tick_and_none_before() {
    let mut job = every(10_000);
    job.on = On::Each;
    let mut owner = LoneOwner::of(4, job);
    owner.joined_by(&[(B, "role=db")]);
    owner.pass(ms(10_500));
    owner.joined_by(&[(C, "role=web")]);
    owner.granted_by(&[C]);
    assert!(owner.dispatched().iter().all(|(node, _)| *node != C), "it was not there in time");
    owner.pass(ms(10_000));
    let nodes = |tick: &TickRecord| tick.runs.iter().filter_map(|run| run.node).collect();
    let ticks: Vec<BTreeSet<NodeId>> = owner.job().history.iter().map(nodes).collect();
    assert_eq!(ticks, [BTreeSet::from([HOME, B]), BTreeSet::from([HOME, B, C])]);
    owner.granted_by(&[C]);
    let runs = owner.dispatched().into_iter().filter(|(node, _)| *node == C).count();
    assert_eq!(runs, 1, "that of the second tick");
}

#[test]
fn what_happens_is_told_by_a_task() {
    let mut job = every(10_000);
    job.template.options.attempts_max = Some(1);
    let template = Template::new("zip");
    job.alert = Some(Alert { template, on_failure: true, on_recovery: true, on_missed: true });
    job.report_within = Some(ms(3_000));
    let mut owner = LoneOwner::of(4, job);
    owner.pass(ms(10_500));
    let told = |owner: &mut LoneOwner| {
        let dispatched = owner.dispatched();
        let args = dispatched.iter().map(|(_, task)| {
            let record = owner.record(*task).unwrap();
            (record.template.name.clone(), String::from_utf8(record.args.to_vec()).unwrap())
        });
        args.filter(|(name, _)| name == "zip").map(|(_, args)| args).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut owner), [""; 0]);
    // It is still running when it should have reported.
    owner.pass(ms(3_000));
    let unreported = told(&mut owner);
    assert_eq!(unreported.len(), 1, "{unreported:?}");
    assert!(unreported[0].contains(r#""event":"unreported""#), "{unreported:?}");
    let task = owner.tasks()[0];
    let failure = Failure::new(FailureKind::Error, "disk \"a\" is full");
    owner.ended(owner.lessee(), task, Outcome::Failed(failure));
    let failure = told(&mut owner);
    assert_eq!(failure.len(), 1, "{failure:?}");
    for part in [
        format!(r#""job":"{}","event":"failure","tick":"2027-01-15T08:00:10.000Z""#, name()),
        format!(r#""task":"{task}""#),
        r#""failures_in_row":1,"output":"disk \"a\" is full"}"#.to_owned(),
    ] {
        assert!(failure[0].contains(&part), "{part} is not in {failure:?}");
    }
}

#[test]
fn many_jobs_at_one_moment_spread_over_their_jitter() {
    let mut owner = LoneOwner::new(0);
    let midnight = Wall::from_millis(START.as_millis() / 86_400_000 * 86_400_000 + 86_400_000);
    let jobs: Vec<JobName> = (0..60).map(nth).collect();
    for name in &jobs {
        let job = Job {
            schedule: Schedule::Cron("@daily".to_owned()),
            jitter: ms(60_000),
            ..every(1_000)
        };
        owner.ask(define_as(name.clone(), job, Source::Live));
    }
    owner.pass((midnight + ms(61_000)).since(owner.now.wall));
    let fired = |name| owner.partition().job(name).unwrap().history.last().unwrap().clone();
    let late: Vec<u64> =
        jobs.iter().map(|name| fired(name).lateness(Span::ZERO).as_millis()).collect();
    assert!(late.iter().all(|late| *late <= 60_100), "{late:?}");
    for quarter in 0..4 {
        let within = late.iter().filter(|late| **late / 15_001 == quarter).count();
        assert!(within >= 5, "{within} in quarter {quarter}: {late:?}");
    }
    assert!(jobs.iter().all(|name| fired(name).tick == midnight), "by their nominal time");
}

#[test]
fn a_job_of_a_zone_that_is_unknown_here_does_not_stop_others() {
    // Written by an owner that has a newer database.
    let mut partition = Partition::new(PARTITION);
    for (index, (n, zone)) in (5..).zip([(0, "Mars/Olympus"), (1, "UTC")]) {
        let job = Job { timezone: zone.to_owned(), ..every(10_000) };
        let source = Source::Live;
        let change =
            JobChange::Define { job: Box::new(job), source, precondition: Precondition::Any };
        let commands = vec![Command::ChangeJob { job: nth(n), change }];
        let proposal = crate::partition::Proposal::new(1, START, commands);
        partition.apply(index, 1, proposal, &mut Vec::new());
    }
    let mut owner = LoneOwner::over(&partition);
    owner.introduce(owner.lessee(), 4);
    owner.pass(ms(10_500));
    let fired = |n| owner.partition().job(&nth(n)).unwrap().counts.fired;
    assert_eq!((fired(0), fired(1)), (0, 1));
}

#[test]
fn large_arguments_are_refused() {
    let mut owner = LoneOwner::new(4);
    let job = Job { args: Bytes::from(vec![b'1'; 65 * 1024]), ..every(1_000) };
    let asked = owner.ask(define(job, Source::Live));
    let too_large = InvalidJob::Args { bytes: 65 * 1024 };
    assert_eq!(owner.answers(asked), [&Answer::Failed(too_large.into())]);
}
