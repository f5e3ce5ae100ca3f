//! Ends of runs, and what becomes of their tasks.

use super::*;
use crate::id::Token;
use crate::limits::{BACKOFF_FIRST_DEFAULT, GATHERED_BYTES_MAX};
use crate::partition::Command;
use crate::scheduler::Effect::Execute;
use crate::task::{Failure, FailureKind, Options, Outcome, State, Template};
use crate::wire::{Answer, Ask, Dispatch, Ending};

fn finished(request: u64, ending: Ending) -> Effect {
    answer(request, Answer::Finished(vec![ending]))
}

fn dead(n: u64, error: Failure) -> Ending {
    Ending { task: task(n), state: State::Dead, result: None, error: Some(error) }
}

#[test]
fn an_end_is_told_to_nobody_before_it_is_durable() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit_and_wait(&[1]));
    let step = node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(step.entries, [[report(lessee(0), 1, token(1), success())]]);
    assert_eq!(step.said, []);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
    let result = Some(b"42".as_slice().into());
    let ending = Ending { task: task(1), state: State::Succeeded, result, error: None };
    let said = node.persisted().said;
    assert_eq!(said, [finished(1, ending), Execute(closed(&[(1, token(1))]))]);
}

#[test]
fn an_end_that_is_on_record_is_only_confirmed() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    let end = ended(lessee(0), 1, token(1), success());
    node.executor(end.clone());
    node.settle();
    let step = node.executor(end);
    assert_eq!(step.entries, Vec::<Vec<_>>::new());
    assert_eq!(step.said, [Execute(closed(&[(1, token(1))]))]);
    // And so is the end of a task that nobody remembers.
    let step = node.executor(ended(lessee(0), 2, token(1), success()));
    assert_eq!(step.said, [Execute(closed(&[(2, token(1))]))]);
}

#[test]
fn a_failed_task_is_tried_again_after_a_pause() {
    let mut node = Node::alone(2);
    node.ask_and_settle(1, submit_and_wait(&[1]));
    node.executor(ended(lessee(0), 1, token(1), Outcome::Failed(failure())));
    assert_eq!(node.settle().said, [Execute(closed(&[(1, token(1))]))]);
    assert_eq!(node.pass(ms(499)).said, []);
    let step = node.pass(BACKOFF_FIRST_DEFAULT);
    assert_eq!(step.entries, [[lease(lessee(0), &[1])]]);
    let again = Dispatch { attempt: 2, ..run(1, token(3)) };
    assert_eq!(step.said[..1], [Execute(dispatch_of(lessee(0), template(), vec![again]))]);
}

#[test]
fn a_task_is_dead_when_its_attempts_are_used_up() {
    let mut node = Node::alone(2);
    let options = Options { attempts_max: Some(2), ..Options::default() };
    let batch = batch_of(Template { options, ..template() }, &[1]);
    node.ask_and_settle(1, Ask::Submit { batch, wait: true });
    node.executor(ended(lessee(0), 1, token(1), Outcome::Failed(failure())));
    node.settle();
    node.pass(BACKOFF_FIRST_DEFAULT);
    node.executor(ended(lessee(0), 1, token(3), Outcome::Failed(failure())));
    let said = node.settle().said;
    assert_eq!(said, [finished(1, dead(1, failure())), Execute(closed(&[(1, token(3))]))]);
}

#[test]
fn a_failure_for_good_ends_a_task_at_once() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit_and_wait(&[1]));
    let failure = Failure::new(FailureKind::Permanent, "never");
    node.executor(ended(lessee(0), 1, token(1), Outcome::Failed(failure.clone())));
    let said = node.settle().said;
    assert_eq!(said, [finished(1, dead(1, failure)), Execute(closed(&[(1, token(1))]))]);
}

#[test]
fn a_run_that_was_stopped_though_nobody_asked_for_it_is_repeated() {
    let mut node = Node::alone(2);
    node.ask_and_settle(1, submit(&[1]));
    node.executor(ended(lessee(0), 1, token(1), Outcome::Cancelled));
    let step = node.settle();
    assert_eq!(step.entries, [[lease(lessee(0), &[1])]]);
    assert_eq!(
        step.said,
        [Execute(closed(&[(1, token(1))])), Execute(dispatch(lessee(0), &[(1, token(3))]))]
    );
}

#[test]
fn a_task_that_did_not_start_in_time_expires() {
    let mut node = Node::alone(0);
    let options = Options { expires_at: Some(START + ms(1_000)), ..Options::default() };
    let batch = batch_of(Template { options, ..template() }, &[1]);
    node.ask_and_settle(1, Ask::Submit { batch, wait: true });
    let before = node.pass(ms(999));
    assert_eq!(before.entries, Vec::<Vec<_>>::new());
    let step = node.pass(ms(1));
    assert_eq!(step.entries, [[Command::Expire { tasks: vec![task(1)] }]]);
    let ending = Ending { task: task(1), state: State::Expired, result: None, error: None };
    assert_eq!(answers(&step), [finished(1, ending)]);
    // A slot that comes too late finds nothing to do.
    assert_eq!(node.executor(granted(lessee(0), 1)).entries, Vec::<Vec<_>>::new());
}

#[test]
fn the_ends_of_a_batch_are_told_when_all_are_there() {
    let mut node = Node::alone(2);
    let step = node.ask_and_settle(1, submit_and_wait(&[1, 2]));
    assert_eq!(step.said[..1], [submitted(1)]);
    let second = Token { position: 1, ..token(1) };
    node.executor(ended(lessee(0), 2, second, success()));
    assert_eq!(node.settle().said, [Execute(closed(&[(2, second)]))]);
    let failure = Failure::new(FailureKind::Permanent, "never");
    node.executor(ended(lessee(0), 1, token(1), Outcome::Failed(failure.clone())));
    let result = Some(b"42".as_slice().into());
    let succeeded = Ending { task: task(2), state: State::Succeeded, result, error: None };
    let endings = vec![succeeded, dead(1, failure)];
    assert_eq!(
        node.settle().said,
        [answer(1, Answer::Finished(endings)), Execute(closed(&[(1, token(1))]))]
    );
}

#[test]
fn large_results_have_entries_of_their_own() {
    let mut node = Node::alone(3);
    node.ask_and_settle(1, submit(&[1, 2, 3]));
    node.ask(2, submit(&[101]));
    let large = Outcome::Succeeded(vec![b'1'; GATHERED_BYTES_MAX].into());
    let token = |position| Token { position, ..token(1) };
    for (n, position) in [(1, 0), (2, 1), (3, 2)] {
        node.executor(ended(lessee(0), n, token(position), large.clone()));
    }
    let entries = node.persisted().entries;
    let expected = [(1, 0), (2, 1), (3, 2)]
        .map(|(n, position)| [report(lessee(0), n, token(position), large.clone())]);
    assert_eq!(entries, expected);
    let said = node.persisted().said;
    let runs = [(1, token(0)), (2, token(1)), (3, token(2))];
    assert_eq!(said, [Execute(closed(&runs))]);
}
