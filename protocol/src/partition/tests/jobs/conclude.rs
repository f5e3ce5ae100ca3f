//! What became of runs is remembered, and told by tasks.

use super::*;

#[test]
fn a_node_that_does_not_start_in_time_has_missed_it() {
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
    let born = owner.job().born;
    let alert = |number| {
        let args = Bytes::from_static(b"{}");
        let alert = AlertTask { job: name(), born, number, template: plain(), args };
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
    assert_eq!(owner.events(), [], "there is time yet");
    owner.wait(ms(501));
    owner.order(unreported(1));
    owner.order(unreported(1));
    assert_eq!(owner.events(), [AlertEvent::Unreported]);
    assert!(owner.last().unreported);
    owner.end(task, succeeded());
    assert_eq!(owner.events()[1..], [AlertEvent::Recovery], "late, and well");
    let task = owner.fire_one(2);
    owner.end(task, succeeded());
    owner.order(unreported(2));
    assert!(!owner.last().unreported, "it has ended well");
    assert_eq!(owner.events().len(), 2);
}

#[test]
fn who_was_told_that_a_tick_was_missed_or_not_reported_is_told_that_one_has_ended_well() {
    use AlertEvent::{Missed, Recovery, Unreported};
    let mut owner = Owner::of(Job { report_within: Some(ms(500)), ..job() });
    owner.fire(&[1], &[], Nodes::Any);
    let task = owner.fire_one(2);
    owner.end(task, succeeded());
    let task = owner.fire_one(3);
    owner.end(task, succeeded());
    assert_eq!(owner.events(), [Missed, Recovery], "once");
    let late = owner.fire_one(4);
    owner.wait(ms(501));
    owner.order(Command::NoteUnreported { job: name(), tick: tick(4) });
    owner.end(late, succeeded());
    assert_eq!(owner.events()[2..], [Unreported, Recovery]);
    // Where a node misses all of them, the others do not make it better.
    for number in 5..7 {
        let tasks = owner.fire(&[], &[number], each(&[A], &[B]));
        owner.end(tasks[0], succeeded());
    }
    assert_eq!(owner.events()[4..], [Missed, Missed]);
    let tasks = owner.fire(&[], &[7], each(&[A, B], &[]));
    owner.end(tasks[0], succeeded());
    assert_eq!(owner.events().len(), 6, "the other one goes on");
    owner.end(tasks[1], succeeded());
    assert_eq!(owner.events()[6..], [Recovery]);
    // Nobody hears of the end of what was not to be told.
    let mut quiet = job();
    quiet.alert.as_mut().unwrap().on_missed = false;
    let mut owner = Owner::of(quiet);
    owner.fire(&[1], &[], Nodes::Any);
    let task = owner.fire_one(2);
    owner.end(task, succeeded());
    assert_eq!(owner.events(), []);
}

#[test]
fn what_is_skipped_or_replaced_where_a_run_hangs_is_no_recovery() {
    use AlertEvent::Unreported;
    for overlap in [Overlap::Forbid, Overlap::Replace] {
        let mut owner = Owner::of(Job { report_within: Some(ms(500)), overlap, ..job() });
        for number in 1..4 {
            let tasks = owner.fire(&[], &[number], each(&[A, B], &[]));
            // The last one hangs: it is skipped from then on, or its run is cancelled.
            owner.end(tasks[0], succeeded());
            owner.wait(ms(501));
            owner.order(Command::NoteUnreported { job: name(), tick: tick(number) });
        }
        let told = owner.events();
        assert!(told.contains(&Unreported), "{overlap:?}");
        assert!(told.iter().all(|event| *event == Unreported), "{overlap:?}: {told:?}");
    }
}

#[test]
fn an_older_tick_does_not_end_what_a_later_one_has_begun() {
    use AlertEvent::{Missed, Recovery};
    let mut owner = Owner::of(job());
    let long = owner.fire_one(1);
    owner.fire(&[2], &[], Nodes::Any);
    owner.end(long, succeeded());
    assert_eq!(owner.events(), [Missed]);
    let next = owner.fire_one(3);
    owner.end(next, succeeded());
    assert_eq!(owner.events(), [Missed, Recovery]);
}

#[test]
fn whoever_is_told_instead_is_told_of_what_goes_on() {
    use AlertEvent::Failure;
    let mut owner = Owner::of(job());
    let fail = |owner: &mut Owner, number| {
        let task = owner.fire_one(number);
        owner.end(task, failed(FailureKind::Permanent));
    };
    fail(&mut owner, 1);
    fail(&mut owner, 2);
    assert_eq!(owner.events(), [Failure]);
    let mut other = owner.job().job.clone();
    other.alert.as_mut().unwrap().template.name = "other".to_owned();
    assert_eq!(owner.say(define(other, Source::Live, Any)), Ok(()));
    fail(&mut owner, 3);
    assert_eq!(owner.events(), [Failure, Failure]);
}

#[test]
fn a_queue_that_is_written_out_is_the_one_that_was_filled_in() {
    let alert = Alert { template: Template::new("tell"), ..job().alert.unwrap() };
    let made = alert.template.completed("default", &Options::default());
    let in_queue = |queue: &str| {
        let template = Template { queue: queue.to_owned(), ..alert.template.clone() };
        Alert { template, ..alert.clone() }.is_told_by(&made)
    };
    assert!(in_queue("") && in_queue("default") && !in_queue("other"));
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
        let template = owner.job().job.alert.as_ref().unwrap().template.clone();
        let born = owner.job().born;
        let alert = AlertTask { job: name(), born, number, template, args };
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
    // Where the wrong task was to tell, what waits for it goes, and the right one has room.
    let mut mended = job();
    mended.alert.as_mut().unwrap().template.name = "other".to_owned();
    assert_eq!(owner.say(define(mended, Source::Live, Any)), Ok(()));
    assert!(owner.job().alerts_open.is_empty() && owner.job().may_tell());
    assert_eq!(owner.state(tasks[1]), State::Cancelled);
    owner.partition.jobs.assert_counted();
    let last = tell(&mut owner);
    assert_eq!(owner.state(last[0]), State::Ready);
    // The same in another queue, as the first one may be served nowhere.
    let mut elsewhere = owner.job().job.clone();
    elsewhere.alert.as_mut().unwrap().template.queue = "other".to_owned();
    assert_eq!(owner.say(define(elsewhere, Source::Live, Any)), Ok(()));
    assert_eq!(owner.state(last[0]), State::Cancelled);
    let last = tell(&mut owner);
    assert_eq!(owner.state(last[0]), State::Ready);
    // What was meant for the wrong one takes nothing from the right one.
    owner.fire(&[31], &[], Nodes::Any);
    let (number, args) = (owner.job().alert_next, Bytes::from_static(b"{}"));
    let born = owner.job().born;
    let alert = AlertTask { job: name(), born, number, template: plain(), args };
    let changes = owner.order(Command::Alert(Box::new(alert)));
    assert_eq!(changes, [Change::JobNotice { job: name() }]);
    assert_eq!(owner.say(JobChange::Remove { source: Source::Live }), Ok(()));
    assert_eq!(owner.state(last[0]), State::Cancelled);
    owner.partition.jobs.assert_counted();
}

#[test]
fn a_tick_that_is_forgotten_has_reported_when_all_its_runs_have_ended() {
    let mut owner = Owner::of(Job { report_within: Some(ms(10_000)), ..job() });
    let first = owner.fire(&[], &[1], each(&[A, B], &[]));
    let is_kept = |owner: &Owner| owner.job().history.iter().any(|record| record.tick == tick(1));
    for next in 2..100 {
        let tasks = owner.fire(&[], &[next], each(&[A], &[]));
        owner.end(tasks[0], succeeded());
    }
    assert!(!is_kept(&owner));
    assert_eq!(owner.job().awaited.len(), 1);
    owner.end(first[1], succeeded());
    assert_eq!(owner.job().awaited.len(), 1, "the other one may hang");
    owner.end(first[0], succeeded());
    assert_eq!(owner.job().awaited.len(), 0);
}

#[test]
fn a_tick_on_each_node_has_reported_when_all_of_them_have() {
    let mut owner = Owner::of(Job { report_within: Some(ms(10_000)), ..job() });
    let tasks = owner.fire(&[], &[1], each(&[A, B], &[]));
    owner.end(tasks[0], succeeded());
    assert_eq!(owner.job().awaited.len(), 1, "the other one may hang");
    owner.end(tasks[1], succeeded());
    assert_eq!(owner.job().awaited.len(), 0);
}
