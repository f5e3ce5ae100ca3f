//! A node that starts anew goes on from what it had on disk, and asks about what it cannot know.

use super::*;
use crate::id::{GroupId, Incarnation, Lessee, Token};
use crate::limits::{CRASH_HOLD, CRASH_SPREAD, CRASHES_MAX};
use crate::membership::Liveness;
use crate::partition::{Command, Loss};
use crate::task::{Options, State};
use crate::wire::{Answer, ExecutorSays, OwnerSays};

/// The term of the owner after the first restart.
const TERM_AFTER: u64 = TERM + 1;
/// The executor of node 0 after its first restart.
const AGAIN: Lessee = Lessee { incarnation: Incarnation(2), ..lessee(0) };

fn restarted(mut node: Node) -> (Node, Step) {
    let step = node.restart(0, 2);
    (node, step)
}

fn question() -> Effect {
    let says = OwnerSays::Ask { lessee: lessee(1), partition: partition(1), term: TERM_AFTER };
    execute_at(id(1), says)
}

fn holds(term: u64, runs: &[(u64, Token)]) -> ExecutorSays {
    let runs = runs.iter().map(|(n, token)| (task(*n), *token)).collect();
    ExecutorSays::Holds { lessee: lessee(1), partition: partition(1), term, runs }
}

/// A node that starts anew while the executor of node 1 runs task 1 for it.
fn restarted_while_another_runs() -> Node {
    let mut node = Node::alone(0);
    node.far(1, 1);
    node.ask_and_settle(1, submit(&[1]));
    let (node, step) = restarted(node);
    assert!(step.said.contains(&question()), "{step:?}");
    node
}

fn count(step: &Step, effect: &Effect) -> usize {
    step.said.iter().filter(|said| *said == effect).count()
}

#[test]
fn tasks_wait_again_in_their_order() {
    let mut node = Node::alone(0);
    let urgent = Options { priority: Some(9), ..Options::default() };
    node.ask_and_settle(1, submit(&[3, 1]));
    node.ask_and_settle(2, submit(&[2]));
    node.ask_and_settle(3, submit_with(urgent, 4));
    let (mut node, _) = restarted(node);
    node.introduce(AGAIN, 0);
    for n in [4, 3, 1, 2] {
        assert_eq!(node.executor(granted(AGAIN, 1)).entries, [[lease(AGAIN, &[n])]]);
        node.settle();
    }
}

#[test]
fn delayed_tasks_wait_for_their_time_again() {
    let mut node = Node::alone(0);
    let later = Options { delay: ms(1_000), ..Options::default() };
    node.ask_and_settle(1, submit_with(later, 1));
    node.pass(ms(400));
    let (mut node, _) = restarted(node);
    node.introduce(AGAIN, 1);
    assert_eq!(node.pass(ms(599)).entries, Vec::<Vec<_>>::new());
    assert_eq!(node.pass(ms(1)).entries, [[lease(AGAIN, &[1])]]);
}

#[test]
fn what_was_not_durable_never_was() {
    let mut node = Node::alone(1);
    node.ask(1, submit(&[1]));
    let (node, _) = restarted(node);
    assert_eq!(node.record(task(1)), None);
}

#[test]
fn finished_stays_finished() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    node.executor(ended(lessee(0), 1, token(1), success()));
    node.settle();
    let (mut node, _) = restarted(node);
    node.introduce(AGAIN, 1);
    let known = Answer::Submitted { refused: Vec::new(), known: 1 };
    assert_eq!(node.ask_and_settle(2, submit(&[1])).said, [answer(2, known)]);
}

#[test]
fn what_ran_in_the_earlier_process_is_lost() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    let (mut node, _) = restarted(node);
    let lost = Command::Lose { lessee: lessee(0), loss: Loss::Restarted, hold: CRASH_HOLD };
    assert_eq!(node.pass(ms(100)).entries, [[lost]], "whether its successor is there or not");
    node.introduce(AGAIN, 1);
    assert_eq!(node.settle().entries, Vec::<Vec<_>>::new());
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
    assert_eq!(node.record(task(1)).unwrap().history.as_ref().unwrap().crashes, 1);
}

#[test]
fn a_task_that_takes_its_node_with_it_is_given_up() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    for crash in 1..=u64::from(CRASHES_MAX) {
        assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
        node.restart(0, crash + 1);
        let lessee = Lessee { incarnation: Incarnation(crash + 1), ..lessee(0) };
        node.introduce(lessee, 1);
        node.pass(ms(100));
        if crash + 1 == u64::from(CRASHES_MAX) {
            // It comes back for the last time after a pause.
            node.pass(CRASH_SPREAD);
        }
    }
    assert_eq!(node.record(task(1)).unwrap().state(), State::Dead);
}

#[test]
fn executors_elsewhere_are_asked_until_they_answer() {
    let mut node = restarted_while_another_runs();
    node.far(1, 0);
    node.pass(ms(100));
    assert_eq!(count(&node.pass(ms(1_000)), &question()), 0);
    assert_eq!(count(&node.pass(ms(100)), &question()), 1);
    assert_eq!(count(&node.pass(ms(3_300)), &question()), 3);
    let step = node.far_executor(holds(TERM_AFTER, &[(1, token(1))]));
    assert_eq!(step.entries, Vec::<Vec<_>>::new(), "all is well");
    assert_eq!(count(&node.pass(ms(5_000)), &question()), 0);
    node.far_executor(ended(lessee(1), 1, token(1), success()));
    assert_eq!(node.settle().said, [execute_at(id(1), closed(&[(1, token(1))]))]);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Succeeded);
}

#[test]
fn a_run_that_is_not_held_is_leased_anew() {
    let mut node = restarted_while_another_runs();
    node.far(1, 1);
    let step = node.far_executor(holds(TERM_AFTER, &[]));
    assert_eq!(step.entries, [[release(1, token(1))]]);
    assert_eq!(node.settle().entries, [[lease(lessee(1), &[1])]]);
    let record = node.record(task(1)).unwrap();
    assert_eq!(record.history.as_ref().unwrap().crashes, 0, "it never started");
}

#[test]
fn an_answer_to_an_earlier_owner_says_nothing() {
    let mut node = restarted_while_another_runs();
    node.far(1, 1);
    node.pass(ms(100));
    assert_eq!(node.far_executor(holds(TERM, &[])).entries, Vec::<Vec<_>>::new());
    assert_eq!(count(&node.pass(ms(1_100)), &question()), 1);
}

#[test]
fn an_answer_says_nothing_of_runs_that_were_leased_after_the_question() {
    let mut node = restarted_while_another_runs();
    node.far(1, 1);
    node.ask_and_settle(2, submit(&[2]));
    let step = node.far_executor(holds(TERM_AFTER, &[(1, token(1))]));
    assert_eq!(step.entries, Vec::<Vec<_>>::new());
}

#[test]
fn an_executor_that_is_never_heard_of_again_is_lost_after_a_while() {
    let mut node = restarted_while_another_runs();
    assert_eq!(node.pass(ms(10_000)).entries, Vec::<Vec<_>>::new());
    let lost = Command::Lose { lessee: lessee(1), loss: Loss::Unheard, hold: CRASH_HOLD };
    let step = node.pass(ms(100));
    assert_eq!(step.entries, [[lost]]);
    assert_eq!(count(&node.pass(ms(5_000)), &question()), 0, "nobody waits for its answer");
}

#[test]
fn an_executor_that_began_anew_meanwhile_has_lost_its_runs() {
    let mut node = restarted_while_another_runs();
    node.hear_of(lessee(1), Liveness::Alive);
    node.introduce(Lessee { executor: 2, ..lessee(1) }, 0);
    let lost = Command::Lose { lessee: lessee(1), loss: Loss::Restarted, hold: CRASH_HOLD };
    let step = node.pass(ms(2_000));
    assert_eq!(step.entries, [[lost]]);
    assert_eq!(count(&step, &question()), 0);
}

#[test]
fn a_loss_that_an_earlier_owner_noted_is_pardoned_too() {
    let mut node = Node::alone(0);
    node.far(1, 1);
    node.ask_and_settle(1, submit(&[1]));
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(ms(100));
    let (mut node, _) = restarted(node);
    node.far(1, 0);
    assert_eq!(node.pass(ms(100)).entries, [[Command::Pardon { lessee: lessee(1) }]]);
}

#[test]
fn a_scheduler_that_is_built_anew_finds_out_what_the_cluster_is_though_no_way_is_new() {
    // More nodes than hold copies of those facts.
    let mut network = Network::formed(7, 3);
    let without = |node: &Node| node.scheduler.copies().all(|copy| copy.group() != GroupId::META);
    let at = network.nodes.iter().position(without).expect("there are five voters");
    let number = u16::try_from(at).expect("few nodes");
    let step = network.nodes[at].restart(number, 1);
    network.perform(at, step);
    assert_eq!(network.nodes[at].scheduler.meta(), None);
    // All that it is told is what gossip knows.
    for other in (0..7).filter(|other| *other != at) {
        let Lessee { node, incarnation, .. } = network.lessee(other);
        network.step(at, Event::Liveness { node, incarnation, liveness: Liveness::Alive });
    }
    network.pass(ms(2_000));
    let known = network.nodes[at].scheduler.meta().map(|meta| meta.members.len());
    assert_eq!(known, Some(7));
}
