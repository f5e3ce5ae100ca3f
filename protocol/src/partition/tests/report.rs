//! What becomes of a task when its executor tells how the run ended.

use super::*;
use crate::limits::{DELAY_MAX, RUN_ERROR_BYTES_MAX};
use crate::task::{Run, View};

#[test]
fn a_success_ends_the_task_with_its_result() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = owner.run(&plain(), lessee);
    owner.wait(ms(20));
    let changes = owner.report(lessee, task, token, succeeded());
    assert_eq!(changes, [Change::Finished { task }, Change::Closed { task, token, lessee }]);
    let Phase::Succeeded(result) = owner.record(task).phase() else { panic!() };
    assert_eq!(Outcome::Succeeded(result.clone()), succeeded());
    let finished_at = START + ms(20);
    let end = RunEnd::Succeeded;
    let history = History {
        starts: 1,
        runs: vec![Run { lessee, token, started_at: START, finished_at, end, error: None }],
        finished_at: Some(finished_at),
        finish_order: 1,
        ..History::default()
    };
    assert_eq!(*owner.history(task), history);
    let fill = owner.partition.fill();
    assert_eq!((fill.open, fill.finished[Shelf::Succeeded].tasks), (0, 1));
}

#[test]
fn a_failure_that_may_pass_is_tried_again() {
    use FailureKind::{Crashed, Error, Panicked, TimedOut};
    for kind in [Crashed, Error, Panicked, TimedOut] {
        let mut owner = Owner::new();
        let lessee = executor(1);
        let (task, token) = owner.run(&plain(), lessee);
        let changes = owner.report(lessee, task, token, failed(kind));
        let not_before = owner.not_before(task);
        let scheduled = Change::Scheduled { task, not_before };
        assert_eq!(changes, [scheduled, Change::Closed { task, token, lessee }]);
        assert_eq!(owner.ends(task), [RunEnd::Failed(kind)]);
        assert_eq!((owner.history(task).failures, owner.history(task).crashes), (1, 0));
    }
}

#[test]
fn a_failure_that_cannot_pass_is_final() {
    use FailureKind::{BadArguments, Permanent, TooLarge};
    for kind in [BadArguments, Permanent, TooLarge] {
        let mut owner = Owner::new();
        let lessee = executor(1);
        let (task, token) = owner.run(&tried(1_000), lessee);
        let changes = owner.report(lessee, task, token, failed(kind));
        assert_eq!(changes, [Change::Finished { task }, Change::Closed { task, token, lessee }]);
        assert_eq!(*owner.record(task).phase(), Phase::Dead(Box::new(failure(kind))));
    }
}

#[test]
fn the_last_attempt_leaves_its_failure() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&tried(3));
    for kind in [FailureKind::Error, FailureKind::Panicked, FailureKind::TimedOut] {
        assert!(!owner.state(task).is_final());
        owner.wait(ms(600_000));
        let token = owner.lease(task, lessee);
        owner.report(lessee, task, token, failed(kind));
    }
    let last = failure(FailureKind::TimedOut);
    assert_eq!(*owner.record(task).phase(), Phase::Dead(Box::new(last)));
    assert_eq!(owner.history(task).failures, 3);
    assert_eq!(owner.history(task).starts, 3);
}

#[test]
fn a_run_that_stopped_by_itself_is_no_failure() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&tried(1));
    for _ in 0..5 {
        let token = owner.lease(task, lessee);
        let changes = owner.report(lessee, task, token, Outcome::Cancelled);
        assert_eq!(changes, [Change::Ready { task }, Change::Closed { task, token, lessee }]);
    }
    assert_eq!((owner.history(task).failures, owner.history(task).crashes), (0, 0));
    assert_eq!(owner.ends(task), [RunEnd::Cancelled; 5]);
}

#[test]
fn a_task_that_waits_again_stands_where_it_stood() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (first, token) = owner.run(&plain(), lessee);
    let second = owner.submit(&plain());
    let place = owner.record(first).order;
    assert!(place < owner.record(second).order);
    owner.report(lessee, first, token, Outcome::Cancelled);
    assert_eq!(owner.record(first).order, place);
    let token = owner.lease(first, lessee);
    owner.report(lessee, first, token, failed(FailureKind::Error));
    owner.wait(ms(1_000));
    owner.crash(first, lessee, Loss::Unheard);
    assert_eq!(owner.record(first).order, place);
}

#[test]
fn one_report_may_close_many_runs() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let runs: Vec<_> = (0..3).map(|_| owner.run(&plain(), lessee)).collect();
    let outcomes = [succeeded(), failed(FailureKind::Permanent), Outcome::Cancelled];
    let reports = runs.iter().zip(outcomes);
    let reports =
        reports.map(|((task, token), outcome)| Report { task: *task, token: *token, outcome });
    let changes = owner.order(Command::Report { lessee, reports: reports.collect() });
    let closed = |at: usize| Change::Closed { task: runs[at].0, token: runs[at].1, lessee };
    assert_eq!(
        changes,
        [
            Change::Finished { task: runs[0].0 },
            closed(0),
            Change::Finished { task: runs[1].0 },
            closed(1),
            Change::Ready { task: runs[2].0 },
            closed(2),
        ]
    );
    let orders = [0, 1].map(|at: usize| owner.history(runs[at].0).finish_order);
    assert_eq!(orders, [1, 2]);
}

#[test]
fn a_record_remembers_its_last_runs_and_counts_all() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&plain());
    let total = RUNS_KEPT_MAX + 5;
    let mut tokens = Vec::new();
    for _ in 0..total {
        let token = owner.lease(task, lessee);
        tokens.push(token);
        owner.report(lessee, task, token, Outcome::Cancelled);
    }
    let history = owner.history(task);
    assert_eq!(history.starts as usize, total);
    let kept: Vec<Token> = history.runs.iter().map(|run| run.token).collect();
    assert_eq!(kept, tokens[5..]);
}

#[test]
fn a_run_may_say_when_to_try_again() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = owner.run(&tried(2), lessee);
    let deferred = |pause| Outcome::Deferred { failure: failure(FailureKind::Error), pause };
    let changes = owner.report(lessee, task, token, deferred(ms(7_000)));
    let not_before = START + ms(7_000);
    let closed = Change::Closed { task, token, lessee };
    assert_eq!(changes, [Change::Scheduled { task, not_before }, closed]);
    assert_eq!(owner.history(task).failures, 1, "it is a failure like any other");
    owner.clock = not_before;
    let token = owner.lease(task, lessee);
    owner.report(lessee, task, token, deferred(ms(7_000)));
    assert_eq!(owner.state(task), State::Dead, "and there is no attempt beyond the last");
    let (task, token) = owner.run(&tried(2), lessee);
    owner.report(lessee, task, token, deferred(DELAY_MAX.times(2)));
    assert_eq!(owner.not_before(task), owner.clock + DELAY_MAX, "not for ever");
}

#[test]
fn a_run_may_say_that_there_is_nothing_to_be_done() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = owner.run(&tried(5), lessee);
    let reason = Failure::new(FailureKind::Dropped, "the account is gone");
    owner.report(lessee, task, token, Outcome::Dropped(reason.clone()));
    assert_eq!(owner.state(task), State::Cancelled, "it is not among the dead");
    assert_eq!(owner.ends(task), [RunEnd::Dropped]);
    let view = View::of(task, owner.record(task));
    assert_eq!((view.error, view.attempts), (Some(reason), 1));
}

#[test]
fn a_run_may_say_that_it_is_not_time_yet() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&tried(1));
    for n in 1..40 {
        let token = owner.lease(task, lessee);
        owner.report(lessee, task, token, Outcome::Snoozed { pause: ms(n) });
        assert_eq!(owner.not_before(task), owner.clock + ms(n));
        owner.clock = owner.not_before(task);
    }
    let history = owner.history(task);
    assert_eq!((history.failures, history.starts), (0, 39), "none of these was an attempt");
    let token = owner.lease(task, lessee);
    owner.cancel(task);
    owner.report(lessee, task, token, Outcome::Snoozed { pause: ms(1) });
    assert_eq!(owner.state(task), State::Cancelled, "nothing goes on that is to stop");
}

#[test]
fn runs_that_were_too_early_do_not_push_failures_out_of_the_record() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&tried(3));
    for n in 0..RUNS_KEPT_MAX + 9 {
        let token = owner.lease(task, lessee);
        let outcome = match n {
            1 => Outcome::Failed(failure(FailureKind::Error)),
            _ => Outcome::Snoozed { pause: ms(1) },
        };
        owner.report(lessee, task, token, outcome);
        owner.clock = owner.not_before(task);
    }
    let ends = owner.ends(task);
    let snoozed = vec![RunEnd::Snoozed; RUNS_KEPT_MAX - 1];
    assert_eq!(ends, [vec![RunEnd::Failed(FailureKind::Error)], snoozed].concat());
}

#[test]
fn what_each_run_said_is_kept_in_short() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&tried(3));
    let long = "\u{fc}".repeat(RUN_ERROR_BYTES_MAX);
    for message in ["first", long.as_str(), "third"] {
        owner.wait(ms(60_000));
        let token = owner.lease(task, lessee);
        owner.wait(ms(250));
        let failure = Failure::new(FailureKind::Error, message);
        owner.report(lessee, task, token, Outcome::Failed(failure));
    }
    assert_eq!(owner.state(task), State::Dead);
    let view = View::of(task, owner.record(task));
    let told: Vec<_> = view.runs.iter().map(|run| run.error.clone().unwrap()).collect();
    assert_eq!(told, ["first", &long[..RUN_ERROR_BYTES_MAX], "third"]);
    for run in &view.runs {
        let took = run.finished_at.unwrap().since(run.started_at);
        assert_eq!((run.node, took), (lessee.node, ms(250)));
    }
}
