//! Reports of runs that are not the present one: only a success of a task that has not ended counts.

use super::*;

/// A task whose first run was taken to be lost; the run comes after all.
fn cut_off(owner: &mut Owner, lessee: Lessee) -> (TaskId, Token) {
    let (task, token) = owner.run(&plain(), lessee);
    owner.order(Command::Lose { lessee, loss: Loss::Unheard, hold: CRASH_HOLD });
    assert_eq!(owner.state(task), State::Ready);
    (task, token)
}

/// Only that the end is on record already is told.
#[track_caller]
fn assert_ignored(owner: &mut Owner, from: Lessee, task: TaskId, token: Token, outcome: &Outcome) {
    assert_unchanged(owner, |owner| {
        let changes = owner.report(from, task, token, outcome.clone());
        assert_eq!(changes, [Change::ClosedAlready { task, token, lessee: from }], "{outcome:?}");
    });
}

fn all_outcomes() -> [Outcome; 4] {
    [succeeded(), failed(FailureKind::Error), failed(FailureKind::Permanent), Outcome::Cancelled]
}

#[test]
fn finished_stays_finished_whatever_is_told() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let ends: [fn(&mut Owner, TaskId, Token); 3] = [
        |owner, task, token| {
            owner.report(executor(1), task, token, Outcome::Succeeded(Bytes::from_static(b"1")));
        },
        |owner, task, token| {
            owner.report(executor(1), task, token, failed(FailureKind::Permanent));
        },
        |owner, task, token| {
            owner.cancel(task);
            owner.report(executor(1), task, token, Outcome::Cancelled);
        },
    ];
    for (end, state) in ends.iter().zip([State::Succeeded, State::Dead, State::Cancelled]) {
        let (task, token) = owner.run(&plain(), lessee);
        end(&mut owner, task, token);
        assert_eq!(owner.state(task), state);
        for outcome in all_outcomes() {
            assert_ignored(&mut owner, lessee, task, token, &outcome);
        }
    }
}

#[test]
fn an_earlier_run_cannot_change_what_a_later_one_made_final() {
    let mut owner = Owner::new();
    let (task, early) = cut_off(&mut owner, executor(1));
    let late = owner.lease(task, executor(2));
    owner.report(executor(2), task, late, failed(FailureKind::Permanent));
    for outcome in all_outcomes() {
        assert_ignored(&mut owner, executor(1), task, early, &outcome);
    }
}

#[test]
fn a_stale_token_closes_nothing() {
    let mut owner = Owner::new();
    let (task, stale) = cut_off(&mut owner, executor(1));
    let present = owner.lease(task, executor(1));
    assert!(present > stale);
    for outcome in &all_outcomes()[1..] {
        assert_ignored(&mut owner, executor(1), task, stale, outcome);
    }
    assert_eq!(owner.state(task), State::Leased);
    let changes = owner.report(executor(1), task, present, succeeded());
    assert_eq!(changes[0], Change::Finished { task });
}

#[test]
fn a_run_that_never_was_cannot_succeed() {
    let mut owner = Owner::new();
    let waiting = owner.submit(&plain());
    let (running, present) = owner.run(&plain(), executor(1));
    let invented = Token { index: present.index + 1, ..present };
    for outcome in all_outcomes() {
        assert_ignored(&mut owner, executor(1), waiting, present, &outcome);
        assert_ignored(&mut owner, executor(1), running, invented, &outcome);
        assert_ignored(&mut owner, executor(2), running, present, &outcome);
    }
}

#[test]
fn a_late_success_ends_a_task_that_waits() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = cut_off(&mut owner, lessee);
    owner.wait(ms(9_000));
    let changes = owner.report(lessee, task, token, succeeded());
    let closed = Change::ClosedAlready { task, token, lessee };
    assert_eq!(changes, [Change::Finished { task }, closed]);
    assert_eq!(owner.ends(task), [RunEnd::Succeeded]);
    assert_eq!(owner.history(task).runs[0].finished_at, START + ms(9_000));
    // It waits in an index; nobody may start it from there.
    let changes = owner.order(Command::Lease { lessee, tasks: vec![task] });
    assert_eq!(changes, [Change::NotLeased { task, lessee }]);
}

#[test]
fn a_late_success_stops_the_run_that_took_over() {
    let mut owner = Owner::new();
    let (first, second) = (executor(1), executor(2));
    let (task, early) = cut_off(&mut owner, first);
    let late = owner.lease(task, second);
    let changes = owner.report(first, task, early, succeeded());
    assert_eq!(
        changes,
        [
            Change::Stop { task, token: late, lessee: second },
            // Whatever becomes of that run or its executor, nobody need look after it any more.
            Change::Closed { task, token: late, lessee: second },
            Change::Finished { task },
            Change::ClosedAlready { task, token: early, lessee: first },
        ]
    );
    assert_eq!(owner.ends(task), [RunEnd::Succeeded, RunEnd::Cancelled]);
    assert_eq!(owner.history(task).starts, 2);
    for outcome in all_outcomes() {
        assert_ignored(&mut owner, second, task, late, &outcome);
    }
}

#[test]
fn a_late_success_ends_a_task_that_waits_for_its_retry() {
    let mut owner = Owner::new();
    let (task, early) = cut_off(&mut owner, executor(1));
    let late = owner.lease(task, executor(2));
    owner.report(executor(2), task, late, failed(FailureKind::Error));
    assert_eq!(owner.state(task), State::Scheduled);
    owner.report(executor(1), task, early, succeeded());
    assert_eq!(owner.state(task), State::Succeeded);
    assert_eq!(owner.ends(task), [RunEnd::Succeeded, RunEnd::Failed(FailureKind::Error)]);
}

#[test]
fn a_success_of_a_run_that_the_record_forgot_counts() {
    let mut owner = Owner::new();
    let (task, early) = cut_off(&mut owner, executor(1));
    for _ in 0..RUNS_KEPT_MAX {
        let token = owner.lease(task, executor(2));
        owner.report(executor(2), task, token, Outcome::Cancelled);
    }
    assert!(owner.history(task).runs.iter().all(|run| run.token != early));
    owner.report(executor(1), task, early, succeeded());
    assert_eq!(owner.state(task), State::Succeeded);
}

#[test]
fn who_reports_a_task_that_is_not_there_may_forget_it() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&plain(), executor(1));
    owner.report(executor(1), task, token, succeeded());
    owner.order(Command::Forget { finished: each(1), floor: Wall::EPOCH });
    let unknown = owner.id();
    for outcome in all_outcomes() {
        assert_ignored(&mut owner, executor(1), task, token, &outcome);
        assert_ignored(&mut owner, executor(1), unknown, token, &outcome);
    }
}
