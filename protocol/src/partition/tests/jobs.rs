//! Jobs: each tick once, what was said of a job holds, and what became of it is told.

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

#[test]
fn a_tick_fires_once_however_often_it_is_decided() {
    let mut owner = Owner::of(job());
    let decision = owner.decision(&[], &[1], Nodes::Any);
    assert_eq!(owner.fire(&[], &[1], Nodes::Any).len(), 1);
    let again = owner.order(Command::Fire(Box::new(decision.clone())));
    assert_eq!(again, [Change::JobDue { job: name() }]);
    // Also by one that believes that it has fired no further than the first did.
    let later = Fire { ticks: vec![tick(1), tick(2)], through: tick(2), ..decision };
    owner.wait(ms(5_000));
    assert_eq!(made(&owner.order(Command::Fire(Box::new(later)))), []);
    assert_eq!((owner.job().counts.fired, owner.job().fired_through), (1, tick(1)));
}

#[test]
fn nothing_fires_before_its_time_or_by_an_older_definition() {
    let mut owner = Owner::of(job());
    let decision = owner.decision(&[], &[1], Nodes::Any);
    let early = owner.order(Command::Fire(Box::new(decision.clone())));
    assert_eq!(made(&early), [], "partition time has not come so far");
    owner.wait(ms(1_000));
    let edited = Job { args: Bytes::from_static(b"[2]"), ..job() };
    let seen = owner.job().revision;
    assert_eq!(owner.say(define(edited, Source::Live, Revision(seen))), Ok(()));
    assert_eq!(made(&owner.order(Command::Fire(Box::new(decision)))), []);
    let task = owner.fire_one(1);
    assert_eq!(owner.record(task).args, Bytes::from_static(b"[2]"), "what it is now");
}

#[test]
fn ids_follow_from_the_tick_and_the_host() {
    let ids = |ticks: &[u64], nodes: &Nodes| Owner::of(job()).fire(&[], ticks, nodes.clone());
    let all = ids(&[1, 2], &each(&[A, B], &[]));
    assert_eq!(all.len(), 4);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(all, ids(&[1, 2], &each(&[A, B], &[])), "every copy makes the same");
    assert!(all.iter().all(|task| task.is_derived() && task.partition() == PARTITION));
    assert_eq!(all[0].made_at(), tick(1));
}

#[test]
fn missed_ticks_are_counted_remembered_and_told() {
    let mut owner = Owner::of(job());
    owner.fire(&[1, 2], &[3], Nodes::Any);
    assert_eq!((owner.job().counts.missed, owner.job().counts.fired), (2, 1));
    let verdicts: Vec<Verdict> = owner.job().history.iter().map(|tick| tick.verdict).collect();
    assert_eq!(verdicts, [Verdict::Missed, Verdict::Missed, Verdict::Fired]);
    assert_eq!(owner.events(), [AlertEvent::Missed], "once for both");
    assert!(owner.job().alerts[0].output.ends_with(": 2"));
    assert_eq!(owner.job().history.iter().next().unwrap().lateness(), ms(2_000));
}

#[test]
fn a_tick_that_meets_an_earlier_one_follows_the_rule() {
    let mut owner = Owner::of(with_overlap(Overlap::Allow));
    assert_eq!(owner.fire(&[], &[1, 2], Nodes::Any).len(), 2);

    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let first = owner.fire_one(1);
    assert_eq!(owner.fire(&[], &[2], Nodes::Any), []);
    assert_eq!((owner.last().verdict, owner.job().counts.skipped), (Verdict::Skipped, 1));
    owner.end(first, succeeded());
    assert_eq!(owner.fire(&[], &[3], Nodes::Any).len(), 1);

    let mut owner = Owner::of(with_overlap(Overlap::Replace));
    let (first, second) = (owner.fire_one(1), owner.fire_one(2));
    assert_eq!(owner.state(first), State::Cancelled);
    let token = owner.lease(second, executor(1));
    let third = owner.fire_one(3);
    assert_eq!(owner.state(second), State::Leased, "it is asked to stop");
    owner.report(executor(1), second, token, Outcome::Cancelled);
    assert_eq!((owner.state(second), owner.state(third)), (State::Cancelled, State::Ready));
    assert_eq!(owner.job().counts.cancelled, 2);
    assert_eq!(owner.events(), [], "that is no failure");
}

#[test]
fn each_host_has_its_own_run_and_its_own_overlap() {
    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let tasks = owner.fire(&[], &[1], each(&[A, B], &[C]));
    let targets: Vec<_> = tasks.iter().map(|task| owner.partition.target(*task)).collect();
    assert_eq!(targets, [Some(&Target::Node(A)), Some(&Target::Node(B))]);
    assert_eq!((owner.last().ends.open, owner.last().ends.missed), (2, 1));
    assert_eq!(owner.last().runs[2].node, Some(C));
    assert_eq!(owner.events(), [AlertEvent::Missed]);
    owner.end(tasks[0], succeeded());
    assert_eq!(owner.partition.target(tasks[0]), None, "it has ended");
    let next = owner.fire(&[], &[2], each(&[A, B, C], &[]));
    assert_eq!(next.len(), 2, "on B the first still waits");
    assert_eq!((owner.last().verdict, owner.last().ends.skipped), (Verdict::Fired, 1));
}

#[test]
fn a_host_that_does_not_start_in_time_has_missed_it() {
    let mut owner = Owner::of(job());
    let tasks = owner.fire(&[], &[1], each(&[A], &[]));
    let expires_at = owner.record(tasks[0]).template.options.expires_at.unwrap();
    assert_eq!(expires_at, tick(1) + ms(600_000));
    owner.clock = expires_at;
    owner.order(Command::Expire { tasks });
    assert_eq!((owner.last().ends.missed, owner.last().runs[0].end), (1, Some(TickEnd::Missed)));
    let said = Job { expires: Some(ms(5_000)), ..job() };
    let mut owner = Owner::of(said);
    let task = owner.fire_one(1);
    let expires_at = owner.record(task).template.options.expires_at;
    assert_eq!(expires_at, Some(tick(1) + ms(5_000)));
}

#[test]
fn what_became_of_a_run_is_remembered() {
    let mut owner = Owner::of(job());
    let task = owner.fire_one(1);
    let printed = br#"{"exit_code":0,"stderr":"","stdout":"7 files\n"}"#;
    owner.end(task, Outcome::Succeeded(Bytes::from_static(printed)));
    let run = &owner.last().runs[0];
    assert_eq!((run.task, run.node), (Some(task), Some(executor(1).node)));
    assert_eq!((run.end, run.duration()), (Some(TickEnd::Succeeded), Some(ms(250))));
    assert_eq!(run.output, "7 files");
    assert_eq!((owner.last().ends.open, owner.last().ends.succeeded), (0, 1));
    // The record may go, the job still knows.
    let finished = Shelves { succeeded: 1, ..Shelves::default() };
    owner.order(Command::Forget { finished, floor: Wall::EPOCH });
    assert!(owner.partition.record(task).is_none());
    assert_eq!(owner.job().counts.succeeded, 1);
}

#[test]
fn the_first_failure_and_the_recovery_are_told() {
    let mut owner = Owner::of(job());
    for (number, is_good) in (1..).zip([true, false, false, true, true]) {
        let task = owner.fire_one(number);
        let outcome = if is_good { succeeded() } else { failed(FailureKind::Error) };
        owner.end(task, outcome);
        let in_row = [0, 1, 2, 0, 0][usize::try_from(number).unwrap() - 1];
        assert_eq!(owner.job().counts.failures_in_row, in_row);
    }
    assert_eq!(owner.events(), [AlertEvent::Failure, AlertEvent::Recovery]);
    assert_eq!(owner.job().alerts[0].tick, tick(2));
    assert!(!owner.job().alerts[0].output.is_empty(), "what it said");
}

#[test]
fn notices_become_tasks_in_their_order_and_once() {
    let mut owner = Owner::of(job());
    owner.fire(&[1], &[], Nodes::Any);
    owner.fire(&[2], &[], Nodes::Any);
    let alert = |number| {
        let args = Bytes::from_static(b"{}");
        let alert = AlertTask { job: name(), number, template: plain(), args };
        Command::Alert(Box::new(alert))
    };
    assert_eq!(made(&owner.order(alert(1))), [], "not the next one");
    let first = owner.order(alert(0));
    assert_eq!(made(&first).len(), 1);
    assert!(first.contains(&Change::JobNotice { job: name() }), "there is another");
    assert_eq!(made(&owner.order(alert(0))), [], "it was told");
    assert_eq!(made(&owner.order(alert(1))).len(), 1);
    assert_eq!(owner.events(), []);
    // An alert is no run of the job: how it ends is not told.
    let task = made(&first)[0];
    let token = owner.lease(task, executor(1));
    owner.report(executor(1), task, token, failed(FailureKind::Permanent));
    assert_eq!((owner.events(), owner.job().counts.failed), (vec![], 0));
}

#[test]
fn a_tick_that_does_not_report_is_told_once() {
    let mut owner = Owner::of(Job { report_within: Some(ms(500)), ..job() });
    let unreported = |number| Command::NoteUnreported { job: name(), tick: tick(number) };
    let task = owner.fire_one(1);
    owner.order(unreported(1));
    owner.order(unreported(1));
    assert_eq!(owner.events(), [AlertEvent::Unreported]);
    assert!(owner.last().unreported);
    owner.end(task, succeeded());
    let task = owner.fire_one(2);
    owner.end(task, succeeded());
    owner.order(unreported(2));
    assert!(!owner.last().unreported, "it has ended well");
    assert_eq!(owner.events().len(), 1);
}

#[test]
fn a_run_by_hand_is_one_run_however_often_it_is_asked_for() {
    let mut owner = Owner::of(with_overlap(Overlap::Replace));
    let at = owner.clock;
    let (result, tasks) = owner.run_now(at, Nodes::Any);
    assert_eq!((result, tasks.len()), (Ok(()), 1));
    owner.wait(ms(10));
    assert_eq!(owner.run_now(at, Nodes::Any), (Ok(()), vec![]));
    assert_eq!(owner.state(tasks[0]), State::Ready, "nor is it replaced by itself");
    assert!(owner.last().by_hand);
    assert_eq!(owner.job().counts.fired, 0, "it is none of its ticks");
    // Nor is it when all that would show it was forgotten, but for the floor.
    owner.end(tasks[0], succeeded());
    let finished = Shelves { succeeded: 1, ..Shelves::default() };
    owner.order(Command::Forget { finished, floor: at });
    (1..30).for_each(|number| drop(owner.fire(&[], &[number], Nodes::Any)));
    let untimely = JobRefusal::Untimely { job: name() };
    assert_eq!(owner.run_now(at, Nodes::Any), (Err(untimely.clone()), vec![]));
    let ahead = owner.clock + ID_AHEAD_MAX + ms(1);
    assert_eq!(owner.run_now(ahead, Nodes::Any), (Err(untimely), vec![]));
}

#[test]
fn ticks_wait_while_there_is_no_room() {
    let mut owner = Owner::of(job());
    owner.partition.limits.tasks = 3;
    let tasks = owner.fire(&[], &[1, 2, 3, 4], Nodes::Any);
    assert_eq!((tasks.len(), owner.job().fired_through), (3, tick(3)));
    let more = owner.decision(&[], &[4], Nodes::Any);
    let changes = owner.order(Command::Fire(Box::new(more)));
    assert_eq!(changes.last(), Some(&Change::JobFull { job: name() }));
    owner.end(tasks[0], succeeded());
    // Of a tick on many nodes there are all runs or none.
    assert_eq!(owner.fire(&[], &[4], each(&[A, B], &[])), []);
    assert_eq!(owner.fire(&[], &[4], Nodes::Any).len(), 1);
    assert_eq!(owner.job().counts.fired, 4);
}

#[test]
fn the_file_wins_for_its_own_names_and_a_later_one_over_an_earlier_one() {
    let file = |number| Source::File { number };
    let other = || Job { args: Bytes::from_static(b"7"), ..job() };
    let refused = |refusal: fn(JobName) -> JobRefusal| Err(refusal(name()));
    let mut owner = Owner::of(job());
    assert_eq!(
        owner.say(define(other(), Source::Live, Absent)),
        refused(|job| JobRefusal::Exists { job })
    );
    assert_eq!(owner.say(define(job(), file(2), Any)), Ok(()), "it takes the name over");
    let of_file = || refused(|job| JobRefusal::OfFile { job });
    assert_eq!(owner.say(define(other(), Source::Live, Revision(1))), of_file());
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), of_file());
    assert_eq!(
        owner.say(define(other(), file(1), Any)),
        refused(|job| JobRefusal::OldFile { job })
    );
    assert_eq!(owner.say(JobChange::Enable { enabled: false }), Ok(()), "that anybody may");
    assert_eq!(owner.say(define(other(), file(3), Any)), Ok(()));
    assert!(!owner.job().enabled, "the file says nothing new about that");
    assert_eq!(owner.say(JobChange::Remove { source: file(4) }), Ok(()));
    let missing = || refused(|job| JobRefusal::NotFound { job });
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), missing());
    assert_eq!(owner.say(JobChange::Enable { enabled: true }), missing());
    assert_eq!(owner.say(define(job(), Source::Live, Revision(1))), missing());
}

#[test]
fn only_another_schedule_begins_anew() {
    let mut owner = Owner::of(job());
    owner.fire_one(1);
    owner.wait(ms(2_500));
    let edited = Job { args: Bytes::from_static(b"7"), ..job() };
    assert_eq!(owner.say(define(edited, Source::Live, Any)), Ok(()));
    assert_eq!(owner.job().fired_through, tick(1), "what is due stays due");
    let slower = Job { schedule: Schedule::Every(ms(60_000)), ..job() };
    assert_eq!(owner.say(define(slower, Source::Live, Any)), Ok(()));
    assert_eq!((owner.job().since, owner.job().fired_through), (owner.clock, owner.clock));
    assert_eq!(owner.job().counts.fired, 1, "what has been is remembered");
    // What passes while it is disabled is not missed.
    assert_eq!(owner.say(JobChange::Enable { enabled: false }), Ok(()));
    owner.wait(ms(600_000));
    assert_eq!(owner.say(JobChange::Enable { enabled: true }), Ok(()));
    assert_eq!(owner.job().fired_through, owner.clock);
}

#[test]
fn an_edit_is_of_the_job_that_was_seen() {
    let mut owner = Owner::of(job());
    let seen = owner.job().revision;
    let edited = |args| Job { args: Bytes::from_static(args), ..job() };
    assert_eq!(owner.say(define(edited(b"1"), Source::Live, Revision(seen))), Ok(()));
    let changed = || Err(JobRefusal::Changed { job: name() });
    assert_eq!(owner.say(define(edited(b"2"), Source::Live, Revision(seen))), changed());
    assert_eq!(owner.job().job, edited(b"1"));
    // Of the first edit the answer may have been lost: said again it is still done.
    assert_eq!(owner.say(define(edited(b"1"), Source::Live, Revision(seen))), Ok(()));
    let seen = owner.job().revision;
    assert_eq!(owner.say(JobChange::Enable { enabled: false }), Ok(()));
    assert_eq!(owner.say(define(edited(b"3"), Source::Live, Revision(seen))), changed());
    // A run by hand is of what was seen, too.
    let (nodes, at) = (Nodes::Any, owner.clock);
    let run = RunNow { job: name(), revision: seen, at, template: tried(1), nodes };
    assert_eq!(answer(&owner.order(Command::RunNow(Box::new(run)))), changed());
}

#[test]
fn what_runs_for_a_removed_job_goes_on_and_what_waits_is_cancelled() {
    let mut owner = Owner::of(Job { template: tried(3), ..job() });
    let tasks: Vec<TaskId> = (1..=4).map(|number| owner.fire_one(number)).collect();
    let tokens: Vec<_> = tasks[1..].iter().map(|task| owner.lease(*task, executor(1))).collect();
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), Ok(()));
    assert_eq!(owner.state(tasks[0]), State::Cancelled);
    assert_eq!(owner.partition.target(tasks[1]), Some(&Target::Anywhere));
    owner.report(executor(1), tasks[1], tokens[0], succeeded());
    assert_eq!(owner.state(tasks[1]), State::Succeeded);
    // It is not tried again, whether it failed or was taken back.
    owner.report(executor(1), tasks[2], tokens[1], failed(FailureKind::Error));
    owner.order(Command::Release { runs: vec![(tasks[3], tokens[2])] });
    assert_eq!(
        (owner.state(tasks[2]), owner.state(tasks[3])),
        (State::Cancelled, State::Cancelled)
    );
    assert_eq!(owner.partition.job_tasks().count(), 0);
    // One of the same name has ids of its own: its ticks come later.
    assert_eq!(owner.say(define(job(), Source::Live, Absent)), Ok(()));
    assert_ne!(owner.fire(&[], &[20], Nodes::Any), [tasks[3]]);
}

#[test]
fn what_waits_for_a_task_that_the_job_runs_no_more_is_cancelled() {
    let mut owner = Owner::of(job());
    let (waiting, running) = (owner.fire_one(1), owner.fire_one(2));
    let token = owner.lease(running, executor(1));
    let edited = Job { args: Bytes::from_static(b"7"), ..job() };
    assert_eq!(owner.say(define(edited, Source::Live, Any)), Ok(()));
    assert_eq!(owner.state(waiting), State::Ready, "that is for ticks to come");
    let mut other = job();
    other.template.name = "other".to_owned();
    assert_eq!(owner.say(define(other, Source::Live, Any)), Ok(()));
    assert_eq!(owner.state(waiting), State::Cancelled);
    assert_eq!(owner.job().counts.cancelled, 1, "the job knows");
    owner.report(executor(1), running, token, succeeded());
    assert_eq!(owner.state(running), State::Succeeded);
}

#[test]
fn a_tick_that_ran_before_its_job_was_defined_anew_is_not_told_as_missed() {
    let mut owner = Owner::new();
    let at = owner.clock + ms(1_000);
    let once = || Job { schedule: Schedule::At(at), ..job() };
    assert_eq!(owner.say(define(once(), Source::Live, Absent)), Ok(()));
    let task = owner.fire_one(1);
    owner.end(task, succeeded());
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), Ok(()));
    assert_eq!(owner.say(define(once(), Source::Live, Absent)), Ok(()));
    assert_eq!(owner.fire(&[], &[1], Nodes::Any), [], "it does not run again");
    let TickRecord { verdict, runs, .. } = owner.last();
    assert_eq!(*verdict, Verdict::Fired);
    assert_eq!((runs[0].task, runs[0].end), (Some(task), Some(TickEnd::Succeeded)));
    assert_eq!(owner.events(), []);
}

#[test]
fn a_snapshot_has_all_of_it() {
    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let tasks = owner.fire(&[1], &[2], each(&[A, B], &[C]));
    owner.end(tasks[0], failed(FailureKind::Permanent));
    let bytes = owner.partition.to_bytes();
    let read = Partition::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.job(&name()), Some(owner.job()));
    assert_eq!(read.fill(), owner.partition.fill());
    read.jobs.assert_counted();
    assert_eq!(read.target(tasks[1]), Some(&Target::Node(B)));
}

#[test]
fn histories_are_kept_short_where_there_are_many_jobs() {
    let mut owner = Owner::of(job());
    let nodes: Vec<NodeId> = (1..=1_000).map(NodeId).collect();
    for number in 1..30 {
        owner.fire(&[], &[number], each(&[], &nodes));
    }
    let runs =
        |owner: &Owner| owner.job().history.iter().map(|tick| tick.runs.len()).sum::<usize>();
    assert_eq!((owner.job().history.iter().count(), runs(&owner)), (20, 1_000));
    assert_eq!(owner.job().counts.missed, 29_000, "all are counted");
}

#[test]
fn a_job_has_recovered_when_the_last_run_of_a_tick_has_ended_and_none_failed() {
    let mut owner = Owner::of(job());
    let first = owner.fire(&[], &[1], each(&[A, B, C], &[]));
    owner.end(first[0], failed(FailureKind::Permanent));
    assert_eq!(owner.events(), [AlertEvent::Failure]);
    owner.end(first[1], succeeded());
    // One that nobody could start is always the last one.
    owner.wait(ms(600_001));
    owner.order(Command::Expire { tasks: vec![first[2]] });
    assert_eq!(owner.events(), [AlertEvent::Failure, AlertEvent::Missed], "one has failed");
    let second = owner.fire(&[], &[601], each(&[A, B, C], &[]));
    owner.end(second[0], succeeded());
    owner.end(second[1], succeeded());
    assert_eq!(owner.events().len(), 2, "the third may yet fail");
    owner.wait(ms(600_001));
    owner.order(Command::Expire { tasks: vec![second[2]] });
    assert_eq!(owner.events()[2..], [AlertEvent::Missed, AlertEvent::Recovery]);
}

#[test]
fn who_was_down_is_named_where_that_is_told() {
    let mut owner = Owner::of(job());
    owner.fire(&[], &[1], each(&[A], &[B, C]));
    let notice = owner.job().alerts.front().unwrap();
    assert_eq!((&notice.nodes[..], notice.event), (&[B, C][..], AlertEvent::Missed));
}

#[test]
fn a_run_is_shown_where_it_is_from_its_start_on() {
    let mut owner = Owner::of(Job { template: tried(3), ..job() });
    let task = owner.fire_one(1);
    assert_eq!((owner.last().runs[0].node, owner.last().runs[0].started_at), (None, None));
    let token = owner.lease(task, executor(1));
    let node = executor(1).node;
    assert_eq!(owner.last().runs[0].node, Some(node));
    assert_eq!(owner.last().runs[0].started_at, Some(owner.partition.now()));
    owner.report(executor(1), task, token, failed(FailureKind::Error));
    assert_eq!(owner.last().runs[0].started_at, None, "it waits");
    owner.partition.jobs.assert_counted();
}

#[test]
fn what_tells_of_a_job_and_does_not_end_is_no_more_than_a_few_tasks() {
    let mut owner = Owner::of(job());
    let tell = |owner: &mut Owner| {
        let (number, args) = (owner.job().alert_next, Bytes::from_static(b"{}"));
        let alert = AlertTask { job: name(), number, template: plain(), args };
        made(&owner.order(Command::Alert(Box::new(alert))))
    };
    let mut tasks = Vec::new();
    for number in 1..=30 {
        owner.fire(&[number], &[], Nodes::Any);
        tasks.extend(tell(&mut owner));
    }
    assert_eq!((tasks.len(), owner.job().alerts.len()), (16, 8));
    assert!(!owner.job().may_tell());
    owner.partition.jobs.assert_counted();
    let token = owner.lease(tasks[0], executor(1));
    let changes = owner.report(executor(1), tasks[0], token, succeeded());
    assert!(changes.contains(&Change::JobNotice { job: name() }), "there is room again");
    assert_eq!(tell(&mut owner).len(), 1);
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), Ok(()));
    owner.partition.jobs.assert_counted();
}

#[test]
fn another_job_of_the_name_has_nothing_to_do_with_the_runs_of_the_one_before() {
    let mut owner = Owner::of(job());
    let task = owner.fire_one(1);
    let token = owner.lease(task, executor(1));
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), Ok(()));
    assert_eq!(owner.say(define(job(), Source::Live, Absent)), Ok(()));
    owner.report(executor(1), task, token, failed(FailureKind::Permanent));
    assert_eq!((owner.job().counts.failed, owner.events()), (0, vec![]));
    assert_eq!(owner.partition.job_tasks().count(), 0);
}

#[test]
fn another_time_to_report_counts_for_what_is_awaited() {
    let within = |report_within| Job { report_within, ..job() };
    let mut owner = Owner::of(within(Some(ms(10_000))));
    owner.fire_one(1);
    let by = owner.clock + ms(10_000);
    assert_eq!(owner.job().awaited, [(tick(1), by)]);
    assert_eq!(owner.say(define(within(Some(ms(30_000))), Source::Live, Any)), Ok(()));
    assert_eq!(owner.job().awaited, [(tick(1), by + ms(20_000))]);
    assert_eq!(owner.say(define(within(None), Source::Live, Any)), Ok(()));
    assert!(owner.job().awaited.is_empty());
}

#[test]
fn a_time_that_has_just_passed_is_fired_unless_it_may_have_been() {
    let once = |at: Wall| Job { schedule: Schedule::At(at), ..job() };
    let mut owner = Owner::of(job());
    owner.wait(ms(20_000));
    let at = owner.clock - ms(5_000);
    assert_eq!(owner.say(define(once(at), Source::Live, Any)), Ok(()));
    assert_eq!(owner.job().fired_through, at - ms(1), "also of a job that was another before");
    // What has fired up to then fires nothing before it.
    let mut owner = Owner::of(job());
    owner.fire_one(20);
    assert_eq!(owner.say(define(once(tick(18)), Source::Live, Any)), Ok(()));
    assert_eq!(owner.job().fired_through, tick(20));
    // Whether this one did is not known any more.
    let mut owner = Owner::new();
    owner.wait(ms(20_000));
    let floor = owner.clock - ms(1_000);
    owner.order(Command::Forget { finished: Shelves::default(), floor });
    assert_eq!(owner.say(define(once(at), Source::Live, Absent)), Ok(()));
    assert_eq!(owner.job().fired_through, owner.clock);
}

#[test]
fn the_last_ticks_before_an_end_are_due_though_the_job_is_said_again_after_it() {
    let end = tick(10);
    let ending = |args| Job { end: Some(end), args: Bytes::from_static(args), ..job() };
    let mut owner = Owner::of(ending(b"1"));
    owner.wait(ms(12_000));
    assert_eq!(owner.say(define(ending(b"2"), Source::Live, Any)), Ok(()));
    assert!(owner.job().fired_through < tick(9));
    owner.wait(ms(60_000));
    assert_eq!(owner.say(define(ending(b"3"), Source::Live, Any)), Ok(()));
    assert_eq!(owner.job().fired_through, owner.clock);
}

#[test]
fn a_tick_on_each_node_meets_a_run_that_began_when_it_was_on_one() {
    let mut owner = Owner::of(with_overlap(Overlap::Forbid));
    let task = owner.fire_one(1);
    owner.lease(task, executor(1));
    let (here, there) = (executor(1).node, NodeId(77));
    let tasks = owner.fire(&[], &[2], each(&[here, there], &[]));
    assert_eq!(tasks.len(), 1);
    let skipped = owner.last().runs.iter().find(|run| run.end == Some(TickEnd::Skipped));
    assert_eq!(skipped.and_then(|run| run.node), Some(here));
}
