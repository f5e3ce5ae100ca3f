//! What is said of a job holds, and what it was before has no say any more.

use super::*;

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
    assert_eq!(owner.partition.job_target(tasks[1]), Some(&Target::Anywhere));
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
fn what_may_have_fired_before_and_is_forgotten_since_is_missed() {
    let mut owner = Owner::new();
    let at = owner.clock + ms(1_000);
    owner.wait(ms(2_000));
    let once = Job { schedule: Schedule::At(at), ..job() };
    assert_eq!(owner.say(define(once, Source::Live, Absent)), Ok(()));
    // Not yet when it was defined: what is to fire it was held up.
    let floor = owner.clock;
    owner.order(Command::Forget { finished: Shelves::default(), floor });
    let fire = Fire { ticks: vec![at], through: at, ..owner.decision(&[], &[1], Nodes::Any) };
    assert_eq!(made(&owner.order(Command::Fire(Box::new(fire)))), []);
    assert_eq!((owner.last().verdict, owner.events()), (Verdict::Missed, vec![AlertEvent::Missed]));
    assert_eq!(owner.job().fired_through, at);
}

#[test]
fn what_had_no_room_to_be_told_is_told_though_its_job_is_changed() {
    let mut owner = Owner::of(job());
    owner.fire(&[1], &[], Nodes::Any);
    let has_notice = |changes: &[Change]| changes.contains(&Change::JobNotice { job: name() });
    let enable = JobChange::Enable { enabled: false };
    assert!(has_notice(&owner.order(Command::ChangeJob { job: name(), change: enable })));
    // An owner that is behind has decided about a job that fires nothing any more.
    let fire = Command::Fire(Box::new(owner.decision(&[], &[2], Nodes::Any)));
    assert!(has_notice(&owner.order(fire)));
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
fn a_tick_that_was_cancelled_with_its_job_is_missed_by_the_one_that_is_defined_anew() {
    let mut owner = Owner::new();
    let at = owner.clock + ms(1_000);
    let once = || Job { schedule: Schedule::At(at), ..job() };
    assert_eq!(owner.say(define(once(), Source::Live, Absent)), Ok(()));
    owner.fire_one(1);
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), Ok(()));
    assert_eq!(owner.say(define(once(), Source::Live, Absent)), Ok(()));
    assert_eq!(owner.fire(&[], &[1], Nodes::Any), []);
    assert_eq!((owner.last().verdict, owner.events()), (Verdict::Missed, vec![AlertEvent::Missed]));
    let told = &owner.job().alerts.front().unwrap().output;
    assert_eq!(told, "it did not run before its job was defined anew");
}
