//! Runs that their executors never had.

use super::*;
use crate::task::View;

fn release(owner: &mut Owner, runs: &[(TaskId, Token)]) -> Vec<Change> {
    owner.order(Command::Release { runs: runs.to_vec() })
}

#[test]
fn a_run_that_never_was_costs_nothing() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = owner.run(&tried(1), lessee);
    let place = owner.record(task).order;
    let changes = release(&mut owner, &[(task, token)]);
    assert_eq!(changes, [Change::Closed { task, token, lessee }, Change::Ready { task }]);
    let history = owner.history(task);
    assert_eq!((history.failures, history.crashes, history.starts), (0, 0, 1));
    assert_eq!(owner.ends(task), [RunEnd::NeverHad]);
    // It is on record for whoever looks into the matter; to all others it was no start.
    assert_eq!(View::of(task, owner.record(task)).runs, []);
    assert_eq!(owner.record(task).order, place);
}

#[test]
fn only_the_present_run_can_be_taken_back() {
    let mut owner = Owner::new();
    let (task, early) = owner.run(&plain(), executor(1));
    release(&mut owner, &[(task, early)]);
    let present = owner.lease(task, executor(2));
    let (ended, run) = owner.run(&plain(), executor(1));
    owner.report(executor(1), ended, run, succeeded());
    let waiting = owner.submit(&plain());
    let unknown = owner.id();
    let stale = [(task, early), (ended, run), (waiting, present), (unknown, present)];
    assert_unchanged(&mut owner, |owner| assert_eq!(release(owner, &stale), []));
    assert_eq!(release(&mut owner, &[(task, early), (task, present), (task, present)]).len(), 2);
}

#[test]
fn a_run_that_never_was_and_should_stop_has_stopped() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let (task, token) = owner.run(&plain(), lessee);
    owner.cancel(task);
    let changes = release(&mut owner, &[(task, token)]);
    assert_eq!(changes, [Change::Closed { task, token, lessee }, Change::Finished { task }]);
    assert_eq!(owner.state(task), State::Cancelled);
}
