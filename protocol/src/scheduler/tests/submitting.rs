//! Tasks on their way in: durable before they are acknowledged or start, in as few entries as may be.

use super::*;
use crate::id::{TaskId, Token};
use crate::partition::{Command, Refusal};
use crate::scheduler::Effect::Execute;
use crate::task::{Batch, InvalidBatch, Row, Template};
use crate::time::Wall;
use crate::wire::{Answer, Ask, RequestError};

const NOTHING: [Vec<Command>; 0] = [];

fn known(request: u64) -> Effect {
    answer(request, Answer::Submitted { refused: Vec::new(), known: 1 })
}

#[test]
fn nothing_is_acknowledged_and_nothing_starts_before_it_is_durable() {
    let mut node = Node::alone(1);
    let step = node.ask(1, submit(&[1]));
    assert_eq!(step.entries, [[accept(&[1], lessee(0), 1)]], "accepted and leased in one entry");
    assert_eq!(step.said, []);
    node.is_stuck = true;
    let step = node.pass(ms(10_000));
    assert_eq!((step.entries, step.said), (NOTHING.to_vec(), Vec::new()));
    let step = node.persisted();
    assert_eq!(step.said, [submitted(1), Execute(dispatch(lessee(0), &[(1, token(1))]))]);
    assert_eq!(step.entries, NOTHING);
    assert!(!node.is_writing());
}

#[test]
fn a_task_without_a_slot_is_taken_in_and_wishes_for_one() {
    let mut node = Node::alone(0);
    node.pass(ms(1_000));
    assert_eq!(node.ask(1, submit(&[1])).entries, [[accept(&[1], lessee(0), 0)]]);
    assert_eq!(node.persisted().said, [submitted(1), Execute(demand(lessee(0), 1))]);
    let step = node.executor(granted(lessee(0), 1));
    assert_eq!(step.entries, [[lease(lessee(0), &[1])]]);
    assert_eq!(step.said, []);
    assert_eq!(node.persisted().said, [Execute(dispatch(lessee(0), &[(1, token(2))]))]);
}

#[test]
fn as_many_tasks_of_a_batch_start_as_there_are_slots() {
    let mut node = Node::alone(2);
    assert_eq!(node.ask(1, submit(&[1, 2, 3])).entries, [[accept(&[1, 2, 3], lessee(0), 2)]]);
    let second = Token { position: 1, ..token(1) };
    let started = dispatch(lessee(0), &[(1, token(1)), (2, second)]);
    assert_eq!(node.persisted().said, [submitted(1), Execute(started)]);
    let step = node.executor(granted(lessee(0), 5));
    assert_eq!(step.entries, [[lease(lessee(0), &[3])]]);
}

#[test]
fn what_comes_while_the_disk_is_busy_shares_the_next_entry() {
    let mut node = Node::alone(3);
    node.ask(1, submit(&[1]));
    for n in 2..=4 {
        let step = node.ask(n, submit(&[n]));
        assert_eq!((step.entries, step.said), (NOTHING.to_vec(), Vec::new()));
    }
    let step = node.persisted();
    assert_eq!(step.said, [submitted(1), Execute(dispatch(lessee(0), &[(1, token(1))]))]);
    let accepts =
        [accept(&[2], lessee(0), 1), accept(&[3], lessee(0), 1), accept(&[4], lessee(0), 0)];
    assert_eq!(step.entries, [accepts]);
    let second = Token { position: 1, ..token(2) };
    let started = dispatch(lessee(0), &[(2, token(2)), (3, second)]);
    assert_eq!(node.persisted().said, [submitted(2), submitted(3), submitted(4), Execute(started)]);
}

#[test]
fn entries_of_several_partitions_share_a_write() {
    let mut node = Node::alone(3);
    node.ask(1, submit(&[1]));
    node.ask(2, submit(&[2]));
    node.ask(3, submit(&[101]));
    let entries = node.persisted().entries;
    assert_eq!(entries, [[accept(&[2], lessee(0), 1)], [accept(&[101], lessee(0), 1)]]);
    let step = node.persisted();
    assert_eq!(answers(&step), [submitted(2), submitted(3)]);
    assert_eq!(started(&step), [(task(2), token(2)), (task(101), token(1))]);
}

#[test]
fn submitting_twice_is_submitting_once() {
    let mut node = Node::alone(2);
    node.ask_and_settle(1, submit(&[1]));
    assert_eq!(node.ask_and_settle(2, submit(&[1])).said, [known(2)]);
    // The slot that it was to have is free for another.
    assert_eq!(node.ask(3, submit(&[2])).entries, [[accept(&[2], lessee(0), 1)]]);
    node.settle();
    node.executor(ended(lessee(0), 1, token(1), success()));
    node.settle();
    assert_eq!(node.ask_and_settle(4, submit(&[1])).said, [known(4)], "finished stays finished");
}

#[test]
fn two_submissions_of_the_same_task_in_one_entry_are_one() {
    let mut node = Node::alone(9);
    node.ask(1, submit(&[1]));
    node.ask(2, submit(&[2]));
    node.ask(3, submit(&[2]));
    node.persisted();
    let said = node.persisted().said;
    assert_eq!(said, [submitted(2), known(3), Execute(dispatch(lessee(0), &[(2, token(2))]))]);
}

#[test]
fn the_same_id_for_another_task_is_a_conflict() {
    let mut node = Node::alone(9);
    node.ask_and_settle(1, submit(&[1]));
    let other_name = batch_of(Template { name: "zip".to_owned(), ..template() }, &[1, 2]);
    let step = node.ask_and_settle(2, Ask::Submit { batch: other_name, wait: false });
    let started = dispatch_of(
        lessee(0),
        Template { name: "zip".to_owned(), ..template() },
        vec![run(2, token(2))],
    );
    assert_eq!(step.said, [refused(2, &[(0, Refusal::Conflict)]), Execute(started)]);
    let other_args = Batch::one(task(1), template(), args(2));
    let step = node.ask_and_settle(3, Ask::Submit { batch: other_args.into(), wait: false });
    assert_eq!(step.said, [refused(3, &[(0, Refusal::Conflict)])]);
}

#[test]
fn rows_that_do_not_belong_here_or_now_are_refused_by_themselves() {
    let mut node = Node::alone(9);
    let early = TaskId::new(Wall::from_millis(1 << 47), partition(1), 3);
    let mut batch = Batch::clone(&batch(&[1, 101]));
    batch.rows.push(Row { id: early, ..batch.rows[0].clone() });
    let step = node.ask_and_settle(1, Ask::Submit { batch: batch.into(), wait: false });
    let refusals = [(1, Refusal::WrongPartition), (2, Refusal::TooEarly)];
    let started = dispatch(lessee(0), &[(1, token(1))]);
    assert_eq!(step.said, [refused(1, &refusals), Execute(started)]);
}

#[test]
fn what_breaks_a_limit_is_refused_at_once() {
    let mut node = Node::alone(9);
    let batch = batch_of(Template { name: "no good".to_owned(), ..template() }, &[1]);
    let step = node.ask(1, Ask::Submit { batch, wait: false });
    let invalid = InvalidBatch::Name { what: "task name".to_owned(), name: "no good".to_owned() };
    assert_eq!(step.said, [failed(1, RequestError::Invalid(invalid))]);
    assert_eq!(step.entries, NOTHING);
}

#[test]
fn a_submission_of_nothing_is_done() {
    let mut node = Node::alone(1);
    let step = node.ask(1, submit(&[]));
    assert_eq!((step.entries, step.said), (NOTHING.to_vec(), vec![submitted(1)]));
    assert_eq!(node.ask(2, submit_and_wait(&[])).said, [submitted(2)]);
}
