//! Stopping tasks that wait, run, or have ended.

use super::*;
use crate::id::TaskId;
use crate::partition::Command;
use crate::scheduler::Effect::Execute;
use crate::task::{Options, Outcome, RunEnd, RunView, State, View};
use crate::wire::{Answer, Ask, RequestError};

fn cancel(n: u64) -> Ask {
    Ask::Cancel { task: task(n) }
}

fn cancelling(task: TaskId) -> Command {
    Command::Cancel { task }
}

fn shown(request: u64, view: View) -> Effect {
    answer(request, Answer::View(Box::new(view)))
}

/// Task 1 while its first run goes on.
fn running() -> View {
    let run = RunView { node: id(0), started_at: START, finished_at: None, end: None, error: None };
    View { state: State::Leased, attempts: 1, node: Some(id(0)), runs: vec![run], ..view(1) }
}

/// Task 1 after its only run.
fn ran(state: State, end: RunEnd) -> View {
    let run = RunView {
        node: id(0),
        started_at: START,
        finished_at: Some(START),
        end: Some(end),
        error: None,
    };
    let finished_at = Some(START);
    View { state, attempts: 1, finished_at, node: Some(id(0)), runs: vec![run], ..view(1) }
}

#[test]
fn a_task_that_waits_is_cancelled_once_that_is_durable() {
    let mut node = Node::alone(0);
    node.ask_and_settle(1, submit(&[1]));
    let step = node.ask(2, cancel(1));
    assert_eq!(step.entries, [[cancelling(task(1))]]);
    assert_eq!(step.said, []);
    let cancelled = View { state: State::Cancelled, finished_at: Some(START), ..view(1) };
    assert_eq!(node.persisted().said, [shown(2, cancelled)]);
    assert_eq!(node.executor(granted(lessee(0), 1)).entries, Vec::<Vec<_>>::new());
}

#[test]
fn a_task_that_waits_for_its_time_is_cancelled_too() {
    let mut node = Node::alone(1);
    let later = Options { delay: ms(1_000), ..Default::default() };
    node.ask_and_settle(1, submit_with(later, 1));
    node.ask_and_settle(2, cancel(1));
    assert_eq!(node.record(task(1)).unwrap().state(), State::Cancelled);
    let step = node.pass(ms(2_000));
    assert_eq!((step.entries, step.said), (Vec::<Vec<_>>::new(), Vec::new()));
}

#[test]
fn a_task_that_runs_is_asked_to_stop_and_ends_with_its_run() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    let step = node.ask_and_settle(2, cancel(1));
    assert_eq!(step.said, [shown(2, running()), Execute(stop(1, token(1)))]);
    node.ask_and_settle(3, Ask::Wait { task: task(1) });
    node.executor(ended(lessee(0), 1, token(1), Outcome::Cancelled));
    assert_eq!(
        node.settle().said,
        [shown(3, ran(State::Cancelled, RunEnd::Cancelled)), Execute(closed(&[(1, token(1))]))]
    );
}

#[test]
fn a_failure_of_a_task_that_is_being_cancelled_is_not_retried() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    node.ask_and_settle(2, cancel(1));
    node.executor(ended(lessee(0), 1, token(1), Outcome::Failed(failure())));
    node.settle();
    assert_eq!(node.record(task(1)).unwrap().state(), State::Cancelled);
}

#[test]
fn a_success_that_comes_first_wins() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    node.ask_and_settle(2, cancel(1));
    node.executor(ended(lessee(0), 1, token(1), success()));
    node.settle();
    assert_eq!(node.record(task(1)).unwrap().state(), State::Succeeded);
    let succeeded =
        View { result: Some(b"42".as_slice().into()), ..ran(State::Succeeded, RunEnd::Succeeded) };
    // What has ended stays as it is.
    assert_eq!(node.ask_and_settle(3, cancel(1)).said, [shown(3, succeeded)]);
}

#[test]
fn a_task_that_nobody_knows_cannot_be_cancelled() {
    let mut node = Node::alone(1);
    let step = node.ask_and_settle(1, cancel(5));
    assert_eq!(step.said, [failed(1, RequestError::NotFound { task: task(5) })]);
}
