//! What is too much is refused with an error that says so, and room comes back.

use super::*;
use crate::id::TaskId;
use crate::limits::{
    BATCH_TASKS_MAX, FORWARDS_MAX, SUBMISSION_TASKS_IN_FLIGHT_MAX, SUBMISSIONS_IN_FLIGHT_MAX,
};
use crate::task::{Batch, Row};
use crate::wire::{Answer, Ask, RequestError};

#[track_caller]
fn assert_overloaded(step: &Step, by: &str) {
    let [Effect::Answer { answer: Answer::Failed(RequestError::Overloaded { what }), .. }] =
        &step.said[..]
    else {
        panic!("not refused: {step:?}");
    };
    assert!(what.contains(by), "{what}");
}

#[test]
fn submissions_on_their_way_to_disk_are_limited() {
    let mut node = Node::alone(0);
    let limit = SUBMISSIONS_IN_FLIGHT_MAX as u64;
    for request in 1..=limit {
        assert_eq!(node.ask(request, submit(&[1])).said, []);
    }
    assert_overloaded(&node.ask(limit + 1, submit(&[2])), "submissions");
    assert_overloaded(&node.ask(limit + 2, submit(&[101])), "submissions");
    // Reading costs no disk.
    assert_ne!(node.ask(limit + 3, Ask::Show { task: task(9) }).said, []);
    assert_eq!(node.persisted().said, [submitted(1)]);
    assert_eq!(node.ask(limit + 4, submit(&[2])).said, []);
    assert_overloaded(&node.ask(limit + 5, submit(&[3])), "submissions");
    node.settle();
    assert_eq!(node.ask(limit + 6, submit(&[3])).said, []);
}

#[test]
fn tasks_on_their_way_to_disk_are_limited() {
    let mut node = Node::alone(0);
    let full = |from: u64| {
        let row = |n: u64| Row::new(TaskId::new(START, partition(1), from + n), 0, args(1));
        let rows = (0..BATCH_TASKS_MAX as u64).map(row).collect();
        Ask::Submit { batch: Batch { templates: vec![template()], rows }.into(), wait: false }
    };
    let batches = SUBMISSION_TASKS_IN_FLIGHT_MAX / BATCH_TASKS_MAX;
    for request in 1..=batches as u64 {
        assert_eq!(node.ask(request, full(request << 20)).said, []);
    }
    let request = batches as u64 + 1;
    assert_overloaded(&node.ask(request, submit(&[1])), "tasks");
    node.persisted();
    assert_eq!(node.ask(request + 1, submit(&[1])).said, []);
}

#[test]
fn open_requests_are_limited() {
    let mut node = Node::blank(0);
    let limit = FORWARDS_MAX as u64;
    for request in 1..=limit {
        assert_eq!(node.ask(request, Ask::Show { task: task(1) }).said, []);
    }
    assert_overloaded(&node.ask(limit + 1, Ask::Show { task: task(1) }), "requests");
    node.step(Event::CallerGone { session: SESSION });
    assert_eq!(node.ask(limit + 2, Ask::Show { task: task(1) }).said, []);
}
