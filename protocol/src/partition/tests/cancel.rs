//! Stopping a task by request: at once while it waits, else when its run ends.

use super::*;
use crate::task::View;

#[test]
fn a_task_that_waits_is_cancelled_at_once() {
    let mut owner = Owner::new();
    let ready = owner.submit(&plain());
    let scheduled = owner.submit(&delayed(ms(5_000)));
    for task in [ready, scheduled] {
        assert_eq!(owner.cancel(task), [Change::Finished { task }]);
        assert_eq!(owner.state(task), State::Cancelled);
        assert!(owner.history(task).cancelled);
        assert_eq!(owner.history(task).starts, 0);
    }
}

#[test]
fn a_task_that_runs_is_asked_to_stop() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = owner.run(&plain(), lessee);
    let stop = [Change::Stop { task, token, lessee }];
    assert_eq!(owner.cancel(task), stop);
    let Phase::Leased(lease) = owner.record(task).phase() else { panic!() };
    assert!(lease.cancelling);
    assert_eq!(lease.token, token);
    // The first request may have been lost on its way.
    assert_unchanged(&mut owner, |owner| assert_eq!(owner.cancel(task), stop));
}

#[test]
fn however_a_run_ends_that_should_stop_its_task_is_cancelled() {
    for outcome in [Outcome::Cancelled, failed(FailureKind::Error), failed(FailureKind::Permanent)]
    {
        let mut owner = Owner::new();
        let lessee = executor(1);
        let (task, token) = owner.run(&plain(), lessee);
        owner.cancel(task);
        let failures = u16::from(outcome != Outcome::Cancelled);
        let changes = owner.report(lessee, task, token, outcome);
        assert_eq!(changes, [Change::Finished { task }, Change::Closed { task, token, lessee }]);
        assert_eq!(owner.state(task), State::Cancelled);
        assert_eq!(owner.history(task).failures, failures);
        assert_eq!(View::of(task, owner.record(task)).attempts, 1, "the one that was stopped");
    }
}

#[test]
fn a_success_that_comes_before_the_stop_wins() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&plain(), executor(1));
    owner.cancel(task);
    owner.report(executor(1), task, token, succeeded());
    assert_eq!(owner.state(task), State::Succeeded);
    assert!(owner.history(task).cancelled);
}

#[test]
fn a_success_of_an_earlier_run_wins_over_the_stop_of_the_present_one() {
    let mut owner = Owner::new();
    let (task, early) = owner.run(&plain(), executor(1));
    owner.order(Command::Lose { lessee: executor(1), loss: Loss::Unheard, hold: CRASH_HOLD });
    owner.lease(task, executor(2));
    owner.cancel(task);
    owner.report(executor(1), task, early, succeeded());
    assert_eq!(owner.state(task), State::Succeeded);
}

#[test]
fn what_has_ended_cannot_be_cancelled() {
    let mut owner = Owner::new();
    let succeeded = owner.finished();
    let (dead, token) = owner.run(&plain(), executor(1));
    owner.report(executor(1), dead, token, failed(FailureKind::Permanent));
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    let expired = owner.submit(&expiring(START));
    owner.order(Command::Expire { tasks: vec![expired] });
    let unknown = owner.id();
    assert_unchanged(&mut owner, |owner| {
        for task in [succeeded, dead, cancelled, expired, unknown] {
            assert_eq!(owner.cancel(task), []);
        }
    });
}
