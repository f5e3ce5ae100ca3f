//! Why the last attempt failed: for how long it is kept, what it weighs, and how it is shown.

use super::*;
use crate::limits::{DETAIL_BYTES_MAX, ERROR_BYTES_MAX, PARTITION_FAILURES_BYTES_MAX};
use crate::task::View;

fn failed_with(message: &str, detail: usize) -> Failure {
    Failure::new(FailureKind::Error, message).with_detail(Bytes::from(vec![b'1'; detail]))
}

fn fail(owner: &mut Owner, task: TaskId, failure: &Failure) {
    owner.wait(ms(600_000));
    let token = owner.lease(task, executor(1));
    owner.report(executor(1), task, token, Outcome::Failed(failure.clone()));
}

fn shown(owner: &Owner, task: TaskId) -> Option<Failure> {
    View::of(task, owner.record(task)).error
}

#[test]
fn it_is_shown_while_the_task_waits_and_while_it_runs_again() {
    let mut owner = Owner::new();
    let task = owner.submit(&tried(9));
    assert_eq!(shown(&owner, task), None);
    let (first, second) = (failed_with("first", 10), failed_with("second", 20));
    fail(&mut owner, task, &first);
    assert_eq!(owner.state(task), State::Scheduled);
    assert_eq!(shown(&owner, task), Some(first.clone()));
    owner.wait(ms(600_000));
    owner.lease(task, executor(2));
    assert_eq!(shown(&owner, task), Some(first.clone()), "it runs again");
    // A lost run says nothing, so what the one before it said is still the last that is known.
    owner.order(Command::Lose { lessee: executor(2), loss: Loss::Restarted, hold: CRASH_HOLD });
    assert_eq!(owner.state(task), State::Ready);
    assert_eq!(shown(&owner, task), Some(first));
    fail(&mut owner, task, &second);
    assert_eq!(shown(&owner, task), Some(second));
}

#[test]
fn a_success_leaves_no_error() {
    let mut owner = Owner::new();
    let task = owner.submit(&tried(2));
    fail(&mut owner, task, &failed_with("first", 50_000));
    assert!(owner.partition.fill().bytes > 50_000);
    owner.wait(ms(600_000));
    let token = owner.lease(task, executor(1));
    owner.report(executor(1), task, token, succeeded());
    assert_eq!(shown(&owner, task), None);
    assert!(owner.partition.fill().bytes < 1_000, "nobody asks any more");
}

#[test]
fn a_task_that_ends_otherwise_keeps_it() {
    let mut owner = Owner::new();
    let failure = failed_with("first", 10);
    let cancelled = owner.submit(&tried(2));
    fail(&mut owner, cancelled, &failure);
    owner.cancel(cancelled);
    assert_eq!(owner.state(cancelled), State::Cancelled);
    assert_eq!(shown(&owner, cancelled), Some(failure.clone()));
    let expires_at = owner.clock + ms(600_001);
    let expiring = owner.submit(&expiring(expires_at));
    fail(&mut owner, expiring, &failure);
    owner.wait(ms(2_000));
    owner.order(Command::Expire { tasks: vec![expiring] });
    assert_eq!(owner.state(expiring), State::Expired);
    assert_eq!(shown(&owner, expiring), Some(failure));
}

#[test]
fn only_the_last_is_kept_and_all_of_it_weighs() {
    let mut owner = Owner::new();
    let task = owner.submit(&tried(3));
    for detail in [50_000, 70_000] {
        fail(&mut owner, task, &failed_with("no", detail));
        let fill = owner.partition.fill();
        assert!((detail..detail + 1_000).contains(&fill.bytes), "{fill:?}");
        assert_eq!(fill.finished, Shelves::default());
    }
    fail(&mut owner, task, &failed_with("no", 60_000));
    assert_eq!(owner.state(task), State::Dead);
    let fill = owner.partition.fill();
    assert!(fill.finished.dead.bytes >= 60_000 && fill.bytes < 61_000, "{fill:?}");
    assert_eq!(owner.history(task).failure, None, "its phase has it");
}

#[test]
fn when_too_many_fail_details_give_way_first_and_then_the_rest() {
    let mut owner = Owner::new();
    let message = "e".repeat(ERROR_BYTES_MAX);
    let longest = failed_with(&message, DETAIL_BYTES_MAX);
    let tasks: Vec<TaskId> = (0..300).map(|_| owner.submit(&tried(9))).collect();
    for task in &tasks {
        fail(&mut owner, *task, &longest);
        assert!(owner.partition.tally.failures_bytes <= PARTITION_FAILURES_BYTES_MAX);
    }
    let views: Vec<Failure> = tasks.iter().map(|task| shown(&owner, *task).unwrap()).collect();
    let whole = views.iter().take_while(|shown| **shown == longest).count();
    assert_eq!(whole, PARTITION_FAILURES_BYTES_MAX / 2 / longest.weight_kept());
    let short = views[whole..].iter().take_while(|shown| shown.message == message).count();
    assert!((100..200).contains(&short), "{short}");
    let cut = views[whole].detail().map(|detail| String::from_utf8_lossy(detail).into_owned());
    let said = r#"{"left_out":"262144 bytes, too many tasks fail at present"}"#;
    assert_eq!(cut.as_deref(), Some(said));
    for shown in &views[whole + short..] {
        assert_eq!((shown.kind, shown.detail()), (FailureKind::Error, None));
        assert!(shown.message.contains("too many tasks fail"), "{}", shown.message);
    }
    // One that fails again had room for its message.
    fail(&mut owner, tasks[0], &longest);
    assert_eq!(shown(&owner, tasks[0]).unwrap(), views[whole]);
    // What ends makes room.
    for task in &tasks {
        owner.cancel(*task);
    }
    assert_eq!(owner.partition.tally.failures_bytes, 0);
    let task = owner.submit(&tried(9));
    fail(&mut owner, task, &longest);
    assert_eq!(shown(&owner, task), Some(longest));
}
