//! Tasks that are never started twice: leased once in their lives, whatever becomes of that.

use super::*;

fn once() -> Template {
    with(Options { at_most_once: Some(true), ..Options::default() })
}

#[track_caller]
fn assert_dead(owner: &Owner, task: TaskId, kind: FailureKind) {
    let Phase::Dead(failure) = owner.record(task).phase() else {
        panic!("it is {:?}", owner.state(task));
    };
    assert_eq!(failure.kind, kind);
}

#[test]
fn a_failure_is_the_end_whatever_it_says() {
    let mut owner = Owner::new();
    let outcomes = [
        (failed(FailureKind::Error), FailureKind::Error),
        (failed(FailureKind::Panicked), FailureKind::Panicked),
        (
            Outcome::Deferred { failure: failure(FailureKind::Error), pause: ms(5) },
            FailureKind::Error,
        ),
        (Outcome::Snoozed { pause: ms(5) }, FailureKind::Lost),
        // Its node was told to stop.
        (Outcome::Cancelled, FailureKind::Lost),
    ];
    for (outcome, kind) in outcomes {
        let (task, token) = owner.run(&once(), executor(1));
        owner.report(executor(1), task, token, outcome);
        assert_dead(&owner, task, kind);
    }
}

#[test]
fn a_run_that_is_lost_is_the_end_however_that_is_known() {
    let mut owner = Owner::new();
    for loss in [Loss::Restarted, Loss::Unheard] {
        let (task, token) = owner.run(&once(), executor(1));
        owner.order(Command::Lose { lessee: executor(1), loss, hold: CRASH_HOLD });
        assert_dead(&owner, task, FailureKind::Lost);
        // It may have come to its end after all; what is decided is decided.
        owner.order(Command::Pardon { lessee: executor(1) });
        owner.report(executor(1), task, token, succeeded());
        assert_dead(&owner, task, FailureKind::Lost);
    }
}

#[test]
fn a_lease_that_came_to_nothing_is_the_end_and_says_that_it_never_ran() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&once(), executor(1));
    owner.order(Command::Release { runs: vec![(task, token)] });
    assert_dead(&owner, task, FailureKind::Lost);
    let Phase::Dead(failure) = owner.record(task).phase() else { unreachable!() };
    assert!(failure.message.contains("has not run"), "{failure:?}");
}

#[test]
fn before_its_lease_it_waits_like_any_other_and_it_may_succeed() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&once(), executor(1));
    owner.report(executor(1), task, token, succeeded());
    assert_eq!(owner.state(task), State::Succeeded);
    let task = owner.submit(&once());
    owner.cancel(task);
    assert_eq!(owner.state(task), State::Cancelled);
    let (task, token) = owner.run(&once(), executor(1));
    owner.cancel(task);
    owner.report(executor(1), task, token, Outcome::Cancelled);
    assert_eq!(owner.state(task), State::Cancelled, "asked for, it is no loss");
}
