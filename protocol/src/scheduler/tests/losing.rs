//! Executors that are gone, seem to be, or come back: what that does to the tasks that they ran.

use super::*;
use crate::id::{Incarnation, Lessee, Token};
use crate::limits::{CRASH_HOLD, CRASH_SPREAD};
use crate::membership::Liveness;
use crate::partition::{Command, Loss};
use crate::scheduler::Effect::Execute;
use crate::task::{FailureKind, History, Outcome, Phase, RunEnd, State};
use crate::time::Span;
use crate::wire::{Answer, Ask, ExecutorSays, PeerMessage};

const TICK: Span = ms(100);

const NOTHING: [Vec<Command>; 0] = [];

const fn lose(lessee: Lessee, loss: Loss) -> Command {
    Command::Lose { lessee, loss, hold: CRASH_HOLD }
}

const fn pardon(lessee: Lessee) -> Command {
    Command::Pardon { lessee }
}

/// Another start of the node of `lessee`.
const fn later(lessee: Lessee) -> Lessee {
    Lessee { incarnation: Incarnation(lessee.incarnation.0 + 1), ..lessee }
}

/// A node that leased task 1, for which somebody waits, to the executor of node 1.
fn leased_to_another() -> Node {
    let mut node = Node::alone(0);
    node.far(1, 1);
    let step = node.ask_and_settle(1, submit_and_wait(&[1]));
    let started = execute_at(id(1), dispatch(lessee(1), &[(1, token(1))]));
    assert_eq!(step.said, [submitted(1), started]);
    node
}

fn history(node: &Node) -> &History {
    node.record(task(1)).and_then(|record| record.history.as_deref()).unwrap()
}

fn ends(node: &Node) -> Vec<RunEnd> {
    history(node).runs.iter().map(|run| run.end).collect()
}

#[test]
fn a_restarted_executor_has_lost_its_runs() {
    let mut node = leased_to_another();
    let again = Lessee { executor: 2, ..lessee(1) };
    node.introduce(again, 1);
    let step = node.pass(TICK);
    let entries = [[lose(lessee(1), Loss::Restarted)], [lease(again, &[1])]];
    assert_eq!(step.entries, entries);
    assert_eq!(step.said, [execute_at(id(1), dispatch(again, &[(1, token(3))]))]);
    assert_eq!((ends(&node), history(&node).crashes), (vec![RunEnd::Lost], 1));
    assert_eq!(node.pass(TICK).entries, NOTHING);
}

#[test]
fn a_restarted_node_has_lost_its_runs() {
    let mut node = leased_to_another();
    node.hear_of(later(lessee(1)), Liveness::Alive);
    node.executor(granted(lessee(0), 1));
    let step = node.pass(TICK);
    assert_eq!(step.entries, [[lose(lessee(1), Loss::Restarted)], [lease(lessee(0), &[1])]]);
    assert_eq!(history(&node).crashes, 1);
}

#[test]
fn the_own_executor_may_restart_too() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    let again = Lessee { executor: 2, ..lessee(0) };
    node.introduce(again, 1);
    let step = node.pass(TICK);
    assert_eq!(step.entries, [[lose(lessee(0), Loss::Restarted)], [lease(again, &[1])]]);
}

#[test]
fn a_node_that_is_only_suspected_keeps_its_runs() {
    let mut node = leased_to_another();
    node.hear_of(lessee(1), Liveness::Suspect);
    assert_eq!(node.pass(ms(2_000)).entries, NOTHING);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
}

#[test]
fn runs_of_a_node_that_is_down_go_elsewhere() {
    let mut node = leased_to_another();
    node.executor(granted(lessee(0), 1));
    node.hear_of(lessee(1), Liveness::Down);
    let step = node.pass(TICK);
    assert_eq!(step.entries, [[lose(lessee(1), Loss::Unheard)], [lease(lessee(0), &[1])]]);
    let started = Execute(dispatch(lessee(0), &[(1, token(3))]));
    assert_eq!(step.said.last(), Some(&started));
    assert_eq!((ends(&node), history(&node).crashes), (vec![RunEnd::Unheard], 1));
}

#[test]
fn a_loss_is_noted_once_though_the_disk_takes_its_time() {
    let mut node = leased_to_another();
    node.is_stuck = true;
    node.hear_of(lessee(1), Liveness::Down);
    assert_eq!(node.pass(ms(2_000)).entries, [[lose(lessee(1), Loss::Unheard)]]);
    node.is_stuck = false;
    assert_eq!(node.settle().entries, NOTHING);
    assert_eq!(node.pass(ms(2_000)).entries, NOTHING);
    assert_eq!(history(&node).crashes, 1);
}

/// The loss ends what is leased before it in the log, whatever is known by then: a run that was started in
/// between would be lost while it goes on.
#[test]
fn what_is_leased_while_a_loss_is_on_its_way_is_not_dispatched() {
    let mut node = leased_to_another();
    node.far_executor(granted(lessee(1), 1));
    node.is_stuck = true;
    assert_eq!(node.ask(2, submit(&[2])).entries.len(), 1, "its lease is on its way");
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(TICK);
    node.hear_of(lessee(1), Liveness::Alive);
    node.is_stuck = false;
    let step = node.settle();
    let taken_back = release(2, token(2));
    assert_eq!(
        step.entries,
        [[lose(lessee(1), Loss::Unheard)], [taken_back], [lease(lessee(1), &[1])]]
    );
    let run = |task, index| execute_at(id(1), dispatch(lessee(1), &[(task, token(index))]));
    assert!(!step.said.contains(&run(2, 2)) && step.said.contains(&run(1, 5)), "{:?}", step.said);
}

#[test]
fn what_is_about_to_be_lost_is_not_dispatched_again() {
    let mut node = leased_to_another();
    node.is_stuck = true;
    // Something is being written, so the loss has to wait.
    node.ask(2, submit(&[2]));
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(TICK);
    node.hear_of(lessee(1), Liveness::Alive);
    let said = node.pass(ms(5_000)).said;
    let again = execute_at(id(1), dispatch(lessee(1), &[(1, token(1))]));
    assert!(!said.contains(&again), "{said:?}");
}

#[test]
fn a_node_that_is_heard_again_has_not_crashed() {
    let mut node = leased_to_another();
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(TICK);
    node.hear_of(lessee(1), Liveness::Alive);
    assert_eq!(node.pass(TICK).entries[..1], [[pardon(lessee(1))]]);
    assert_eq!((ends(&node), history(&node).crashes), (vec![RunEnd::CutOff], 0));
    assert_eq!(node.pass(TICK).entries, NOTHING, "it is pardoned once");
}

#[test]
fn a_node_may_fall_silent_more_than_once() {
    let mut node = leased_to_another();
    for _ in 0..5 {
        node.hear_of(lessee(1), Liveness::Down);
        assert_eq!(node.pass(TICK).entries, [[lose(lessee(1), Loss::Unheard)]]);
        node.hear_of(lessee(1), Liveness::Alive);
        assert_eq!(node.pass(TICK).entries, [[pardon(lessee(1))]]);
        assert_eq!(node.far_executor(granted(lessee(1), 1)).entries, [[lease(lessee(1), &[1])]]);
        node.settle();
    }
    assert_eq!(history(&node).crashes, 0);
}

#[test]
fn a_node_that_comes_back_as_another_start_did_crash() {
    let mut node = leased_to_another();
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(TICK);
    node.hear_of(later(lessee(1)), Liveness::Alive);
    assert_eq!(node.pass(TICK).entries[..1], [[lose(lessee(1), Loss::Restarted)]]);
    assert_eq!((ends(&node), history(&node).crashes), (vec![RunEnd::Lost], 1));
}

#[test]
fn what_is_told_of_an_earlier_start_is_no_news() {
    let mut node = leased_to_another();
    node.hear_of(later(lessee(1)), Liveness::Alive);
    node.introduce(later(lessee(1)), 1);
    node.pass(TICK);
    node.hear_of(lessee(1), Liveness::Down);
    assert_eq!(node.pass(TICK).entries, NOTHING);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
}

/// Its run may have ended well, and the word of that be lost: it must be able to say so once more.
#[test]
fn an_executor_that_is_taken_to_be_gone_is_not_told_to_forget_its_runs() {
    let mut node = leased_to_another();
    node.hear_of(lessee(1), Liveness::Down);
    let step = node.pass(TICK);
    assert_eq!(step.entries, [[lose(lessee(1), Loss::Unheard)]]);
    let mut said = step.said;
    said.extend(node.settle().said);
    let closes = execute_at(id(1), closed(&[(1, token(1))]));
    assert!(!said.contains(&closes), "{said:?}");
    node.far_executor(ended(lessee(1), 1, token(1), success()));
    let said = node.settle().said;
    assert!(said.contains(&closes), "{said:?}");
    assert!(matches!(node.record(task(1)).unwrap().phase(), Phase::Succeeded(_)));
}

#[test]
fn a_success_of_a_lost_run_counts_if_it_comes_first() {
    let mut node = leased_to_another();
    node.executor(granted(lessee(0), 1));
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(TICK);
    node.hear_of(lessee(1), Liveness::Alive);
    let step = node.far_executor(ended(lessee(1), 1, token(1), success()));
    assert_eq!(step.entries, [[report(lessee(1), 1, token(1), success())]]);
    let said = node.persisted().said;
    assert!(matches!(&said[0], Effect::Answer { answer: Answer::Finished(_), .. }), "{said:?}");
    assert_eq!(
        said[1..],
        [
            Execute(closed(&[(1, token(3))])),
            Execute(stop(1, token(3))),
            execute_at(id(1), closed(&[(1, token(1))])),
        ],
        "the run that took its place is closed and stopped"
    );
    // Whatever that one says now changes nothing.
    let step = node.executor(ended(lessee(0), 1, token(3), success()));
    assert_eq!(
        (step.entries, step.said),
        (NOTHING.to_vec(), vec![Execute(closed(&[(1, token(3))]))])
    );
}

#[test]
fn a_failure_of_a_lost_run_changes_nothing() {
    let mut node = leased_to_another();
    node.executor(granted(lessee(0), 1));
    node.hear_of(lessee(1), Liveness::Down);
    node.pass(TICK);
    let outcome = Outcome::Failed(failure());
    node.far_executor(ended(lessee(1), 1, token(1), outcome));
    assert_eq!(node.settle().said, [execute_at(id(1), closed(&[(1, token(1))]))]);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
}

/// A node whose task 1 was lost with nodes 1, 2 and then 3, all of which went as `loss` says.
fn lost_three_times(loss: Loss) -> (Node, Step) {
    let mut node = leased_to_another();
    let mut step = Step::default();
    for n in 1..=3 {
        if n == 1 {
            node.far(2, 1);
        }
        match loss {
            Loss::Restarted => node.hear_of(later(lessee(n)), Liveness::Alive),
            Loss::Unheard => node.hear_of(lessee(n), Liveness::Down),
        };
        step = node.pass(TICK);
        assert_eq!(step.entries[0], [lose(lessee(n), loss)]);
        if n == 2 {
            // It comes back for the last time after a pause.
            assert_eq!(node.record(task(1)).unwrap().state(), State::Scheduled);
            node.pass(CRASH_SPREAD);
            node.far(3, 1);
            node.settle();
        }
    }
    assert_eq!(history(&node).crashes, 3);
    (node, step)
}

fn is_told_dead(effect: &Effect) -> bool {
    match effect {
        Effect::Answer { answer: Answer::Finished(ends), .. } => ends.iter().any(|ending| {
            let kind = ending.error.as_ref().map(|error| error.kind);
            ending.state == State::Dead && kind == Some(FailureKind::Crashed)
        }),
        _ => false,
    }
}

#[test]
fn the_third_loss_kills_a_task_if_all_are_beyond_doubt() {
    let (node, step) = lost_three_times(Loss::Restarted);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Dead);
    assert!(step.said.iter().any(is_told_dead), "{step:?}");
}

#[test]
fn the_third_loss_holds_a_task_if_it_may_have_been_the_network() {
    let (mut node, _) = lost_three_times(Loss::Unheard);
    let not_before = node.now.wall + CRASH_HOLD;
    assert_eq!(*node.record(task(1)).unwrap().phase(), Phase::Scheduled { not_before });
    node.executor(granted(lessee(0), 1));
    assert_eq!(node.pass(ms(60_000)).entries, NOTHING);
}

#[test]
fn a_task_that_was_held_is_given_up_after_a_while() {
    let (mut node, _) = lost_three_times(Loss::Unheard);
    node.executor(granted(lessee(0), 1));
    let step = node.pass(CRASH_HOLD);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Dead);
    assert!(!step.said.iter().any(|effect| matches!(effect, Execute(_))), "it never starts");
    // The slot that it was to have is free.
    assert_eq!(node.ask(2, submit(&[2])).entries, [[accept(&[2], lessee(0), 1)]]);
}

#[test]
fn a_task_that_was_held_goes_on_when_one_of_the_lost_is_heard_again() {
    let (mut node, _) = lost_three_times(Loss::Unheard);
    node.executor(granted(lessee(0), 1));
    node.hear_of(lessee(2), Liveness::Alive);
    assert_eq!(node.pass(TICK).entries, [[pardon(lessee(2))], [lease(lessee(0), &[1])]]);
    assert_eq!(history(&node).crashes, 2);
    assert_eq!(ends(&node), [RunEnd::Unheard, RunEnd::CutOff, RunEnd::Unheard]);
}

#[test]
fn a_task_that_was_held_dies_when_all_crashes_are_certain() {
    let (mut node, _) = lost_three_times(Loss::Unheard);
    let mut step = Step::default();
    for n in 1..=3 {
        assert_eq!(node.record(task(1)).unwrap().state(), State::Scheduled);
        node.hear_of(later(lessee(n)), Liveness::Alive);
        step = node.pass(TICK);
        assert_eq!(step.entries, [[lose(lessee(n), Loss::Restarted)]]);
    }
    assert_eq!(node.record(task(1)).unwrap().state(), State::Dead);
    assert!(step.said.iter().any(is_told_dead), "{step:?}");
}

#[test]
fn a_task_that_was_to_be_cancelled_is_lost_with_its_run() {
    let mut node = leased_to_another();
    node.executor(granted(lessee(0), 1));
    node.ask_and_settle(2, Ask::Cancel { task: task(1) });
    node.hear_of(lessee(1), Liveness::Down);
    assert_eq!(node.pass(TICK).entries, [[lose(lessee(1), Loss::Unheard)]]);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Cancelled);
}

#[test]
fn nobody_speaks_for_the_executor_of_another_node() {
    let mut node = leased_to_another();
    let run: (_, Token) = (task(1), token(1));
    let never = ExecutorSays::NeverHad { lessee: lessee(1), runs: vec![run] };
    let step = node.peer(id(2), vec![PeerMessage::FromExecutor(never)]);
    assert_eq!(step.entries, NOTHING);
}
