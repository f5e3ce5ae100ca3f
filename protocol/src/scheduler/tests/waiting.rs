//! Waits last as long as somebody waits, and no longer.

use super::*;
use crate::partition::Refusal;
use crate::scheduler::asks::Origin;
use crate::task::Batch;
use crate::wire::{Answer, Ask, PeerMessage, RequestError};

fn wait(n: u64) -> Ask {
    Ask::Wait { task: task(n) }
}

/// A node on which a task runs, and a second one waits.
fn running() -> Node {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1, 2]));
    node
}

/// Node 1 waits for a task, under the number 5.
fn wait_from_afar(node: &mut Node, ask: Ask) {
    node.peer(id(1), vec![PeerMessage::Ask { id: 5, deadline: DEADLINE, ask }]);
    node.settle();
}

/// How many messages node 1 is sent.
fn told(step: &Step) -> usize {
    let told = step.said.iter().filter_map(|effect| match effect {
        Effect::Send { to, messages, .. } if *to == id(1) => Some(messages.len()),
        _ => None,
    });
    told.sum()
}

#[test]
fn a_wait_that_another_node_repeats_is_one_wait() {
    let mut node = running();
    for _ in 0..3 {
        wait_from_afar(&mut node, wait(1));
        assert_eq!(node.scheduler.awaited(), 1);
    }
    node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(told(&node.settle()), 1);
    assert_eq!(node.scheduler.awaited(), 0);
}

#[test]
fn a_submission_that_another_node_repeats_waits_once() {
    let mut node = Node::alone(1);
    for _ in 0..3 {
        wait_from_afar(&mut node, submit_and_wait(&[1]));
        assert_eq!(node.scheduler.awaited(), 1);
    }
    node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(told(&node.settle()), 1);
}

#[test]
fn a_wait_of_another_node_lasts_while_it_is_repeated() {
    let mut node = running();
    for _ in 0..20 {
        wait_from_afar(&mut node, wait(1));
        node.pass(ms(10_000));
    }
    assert_eq!(node.scheduler.awaited(), 1);
    node.pass(ms(60_000));
    assert_eq!(node.scheduler.awaited(), 0, "whoever asked is gone");
}

#[test]
fn a_wait_ends_with_its_request() {
    let mut node = running();
    node.ask_within(ms(1_000), 2, wait(1));
    node.ask_within(ms(9_000), 3, wait(2));
    assert_eq!(node.scheduler.awaited(), 2);
    node.pass(ms(3_000));
    assert_eq!(node.scheduler.awaited(), 1, "the deadline of the first has passed");
    node.step(Event::CallerGone { session: SESSION });
    node.pass(ms(2_000));
    assert_eq!(node.scheduler.awaited(), 0);
}

#[test]
fn waits_that_are_over_make_room_for_others() {
    let mut node = running();
    for request in 0..5_000 {
        node.ask(2 + request, wait(1 + request % 2));
        if request % 100 == 99 {
            node.step(Event::CallerGone { session: SESSION });
            node.pass(ms(1_100));
            assert_eq!(node.scheduler.awaited(), 0);
        }
    }
    node.ask(9_999, wait(1));
    node.executor(ended(lessee(0), 1, token(1), success()));
    let step = node.settle();
    assert_eq!(answers(&step).len(), 1, "{step:?}");
}

#[test]
fn nobody_waits_for_what_was_refused() {
    let mut node = Node::alone(2);
    node.ask_and_settle(1, submit(&[1]));
    let mut rows = Batch::clone(&batch(&[1, 2]));
    rows.rows[0].args = args(9);
    let step = node.ask_and_settle(2, Ask::Submit { batch: rows.into(), wait: true });
    assert_eq!(answers(&step), [refused(2, &[(0, Refusal::Conflict)])]);
    assert_eq!(node.scheduler.awaited(), 1);
    node.executor(ended(lessee(0), 2, token(2), success()));
    let told = answers(&node.settle());
    assert!(
        matches!(
            &told[..],
            [Effect::Answer { answer: Answer::Finished(ends), .. }]
                if ends.iter().map(|ending| ending.task).eq([task(2)])
        ),
        "{told:?}"
    );
}

#[test]
fn nobody_waits_for_what_is_no_longer_remembered() {
    let mut node = running();
    let (here, gone) = (Origin::Peer(id(1), 5), task(9));
    // What was known when it was submitted again may be forgotten by the same entry.
    node.scheduler.wait_for_all(here, vec![gone, task(1)], false);
    assert_eq!(node.scheduler.awaited(), 1);
    node.executor(ended(lessee(0), 1, token(1), success()));
    assert_eq!(told(&node.settle()), 1);
    node.scheduler.wait_for_all(here, vec![gone], false);
    assert_eq!(node.scheduler.awaited(), 0);
    let answer = Answer::Failed(RequestError::NotFound { task: gone });
    let answer = PeerMessage::Answer { id: 5, answer };
    let is_told = |effect: &Effect| matches!(effect, Effect::Send { to, messages, .. } if *to == id(1) && messages.contains(&answer));
    assert!(node.step(Event::Due).said.iter().any(is_told));
}
