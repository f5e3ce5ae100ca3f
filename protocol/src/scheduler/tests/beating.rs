//! What an owner makes of the runs that an executor says it holds.

use super::lone_owner::{LoneOwner, batch, lessee, task, template};
use crate::id::{NodeId, TaskId, Token};
use crate::task::{Outcome, State};
use crate::time::Span;
use crate::wire::{Ask, ExecutorSays, OwnerSays};

const FAR: NodeId = NodeId(9 << 96);

/// An owner whose task 1 runs on another node.
fn running_far_away() -> (LoneOwner, Token) {
    let mut owner = LoneOwner::new(0);
    owner.introduce(lessee(FAR), 1);
    owner.submit(batch(template("add"), [task(1)]));
    let token = owner.token(task(1));
    owner.told();
    (owner, token)
}

fn beat(owner: &mut LoneOwner, runs: &[(TaskId, Token)]) -> Vec<(NodeId, OwnerSays)> {
    owner.executor(ExecutorSays::Beat { lessee: lessee(FAR), runs: runs.to_vec() });
    owner.told()
}

fn stop(task: TaskId, token: Token) -> Vec<(NodeId, OwnerSays)> {
    vec![(FAR, OwnerSays::Stop { runs: vec![(task, token)] })]
}

#[test]
fn a_cancelled_run_is_asked_to_stop_until_it_ends() {
    let (mut owner, token) = running_far_away();
    assert_eq!(beat(&mut owner, &[(task(1), token)]), [], "nobody wants it to stop");
    owner.ask(Ask::Cancel { task: task(1) });
    assert_eq!(owner.told(), stop(task(1), token));
    for _ in 0..3 {
        owner.advance(Span::from_millis(1_000));
        assert_eq!(beat(&mut owner, &[(task(1), token)]), stop(task(1), token));
    }
}

#[test]
fn a_run_of_a_task_that_has_ended_is_asked_to_stop() {
    let (mut owner, token) = running_far_away();
    let other = Token { position: token.position + 1, ..token };
    let outcomes = vec![(task(1), token, Outcome::Succeeded("5".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee: lessee(FAR), outcomes });
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Succeeded);
    owner.told();
    assert_eq!(beat(&mut owner, &[(task(1), other)]), stop(task(1), other));
    // One that is not known at all was forgotten.
    assert_eq!(beat(&mut owner, &[(task(2), token)]), stop(task(2), token));
}

#[test]
fn a_run_that_was_granted_under_a_later_term_is_let_be() {
    let (mut owner, token) = running_far_away();
    let later = Token { term: owner.term() + 1, ..token };
    assert_eq!(beat(&mut owner, &[(task(2), later)]), []);
}
#[test]
fn an_end_that_only_a_later_owner_can_know_is_not_confirmed() {
    let (mut owner, token) = running_far_away();
    let later = Token { term: owner.term() + 1, ..token };
    let end = |token| vec![(task(2), token, Outcome::Succeeded("5".into()))];
    let (known, unknown) = (end(token), end(later));
    owner.executor(ExecutorSays::Outcomes { lessee: lessee(FAR), outcomes: unknown });
    assert_eq!(owner.told(), [], "its successor granted the run, and must hear of its end");
    owner.executor(ExecutorSays::Outcomes { lessee: lessee(FAR), outcomes: known });
    assert_eq!(owner.told(), [(FAR, OwnerSays::Closed { runs: vec![(task(2), token)] })]);
}

#[test]
fn a_run_that_is_closed_in_the_same_step_is_not_dispatched_again() {
    let (mut owner, token) = running_far_away();
    // The executor was silent for long, so its runs are due to be dispatched once more.
    owner.advance(Span::from_millis(10_000));
    owner.disk_is_stuck = true;
    let outcomes = vec![(task(1), token, Outcome::Succeeded("5".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee: lessee(FAR), outcomes });
    owner.told();
    owner.due_and_persisted();
    let told = owner.told();
    let closed = OwnerSays::Closed { runs: vec![(task(1), token)] };
    assert!(told.contains(&(FAR, closed)), "{told:?}");
    let dispatched = told.iter().any(|(_, says)| matches!(says, OwnerSays::Dispatch { .. }));
    assert!(!dispatched, "it would run a second time: {told:?}");
}
