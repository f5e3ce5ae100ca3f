//! Waiting tasks and free slots find each other, in an order that can be told.

use super::*;
use crate::id::{Incarnation, Lessee, Token};
use crate::membership::Liveness;
use crate::partition::Command;
use crate::scheduler::Effect::Execute;
use crate::task::{Options, Phase, Record, Template};
use crate::wire::{Ask, ExecutorSays, OwnerSays, PeerMessage};

#[test]
fn the_end_of_a_run_and_the_next_lease_share_an_entry() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1, 2]));
    // Whatever is written meanwhile.
    node.ask(2, submit(&[101]));
    node.executor(granted(lessee(0), 1));
    node.executor(ended(lessee(0), 1, token(1), success()));
    let step = node.persisted();
    let reported = report(lessee(0), 1, token(1), success());
    assert_eq!(step.entries, [[reported, lease(lessee(0), &[2])]]);
    assert_eq!(step.said, [submitted(2)]);
    let step = node.persisted();
    let runs = [(2, token(2))];
    assert_eq!(step.said, [Execute(closed(&[(1, token(1))])), Execute(dispatch(lessee(0), &runs))]);
}

#[test]
fn slots_and_ends_that_come_together_share_an_entry() {
    let mut node = Node::alone(0);
    node.hear_of(lessee(1), Liveness::Alive);
    node.introduce(lessee(1), 1);
    node.ask_and_settle(1, submit(&[1, 2]));
    let says = [granted(lessee(1), 1), ended(lessee(1), 1, token(1), success())];
    let step = node.peer(id(1), says.map(PeerMessage::FromExecutor).into());
    let reported = report(lessee(1), 1, token(1), success());
    assert_eq!(step.entries, [[reported, lease(lessee(1), &[2])]]);
}

#[test]
fn higher_priorities_come_first_and_then_who_came_first() {
    let mut node = Node::alone(0);
    let urgent = Options { priority: Some(9), ..Options::default() };
    node.ask_and_settle(1, submit(&[3, 1]));
    node.ask_and_settle(2, submit(&[2]));
    node.ask_and_settle(3, submit_with(urgent, 4));
    for n in [4, 3, 1, 2] {
        let step = node.executor(granted(lessee(0), 1));
        assert_eq!(step.entries, [[lease(lessee(0), &[n])]]);
        node.settle();
    }
}

#[test]
fn priorities_hold_between_tasks_of_different_names() {
    let mut node = Node::alone(0);
    let options = Options { priority: Some(1), ..Options::default() };
    let zip = Template { name: "zip".to_owned(), options, ..template() };
    node.ask_and_settle(1, submit(&[1]));
    node.ask_and_settle(2, Ask::Submit { batch: batch_of(zip, &[2]), wait: false });
    let step = node.executor(granted(lessee(0), 1));
    assert_eq!(step.entries, [[lease(lessee(0), &[2])]]);
}

#[test]
fn new_tasks_do_not_overtake_those_that_wait() {
    let mut node = Node::alone(0);
    node.ask_and_settle(1, submit(&[1]));
    node.ask(2, submit(&[101]));
    node.ask(3, submit(&[2]));
    node.executor(granted(lessee(0), 1));
    let step = node.persisted();
    assert_eq!(step.entries, [[lease(lessee(0), &[1]), accept(&[2], lessee(0), 0)]]);
}

#[test]
fn the_own_executor_comes_first() {
    let mut node = Node::alone(0);
    node.far(1, 2);
    node.executor(granted(lessee(0), 1));
    let step = node.ask(1, submit(&[1, 2]));
    let both = node.settle();
    assert_eq!(step.entries.len(), 1);
    let second = Token { position: 1, ..token(1) };
    assert_eq!(
        both.said,
        [
            submitted(1),
            Execute(dispatch(lessee(0), &[(1, token(1))])),
            execute_at(id(1), dispatch(lessee(1), &[(2, second)])),
        ]
    );
}

#[test]
fn only_nodes_that_are_alive_get_runs() {
    for liveness in [Liveness::Suspect, Liveness::Down] {
        let mut node = Node::alone(0);
        node.far(1, 1);
        node.hear_of(lessee(1), liveness);
        assert_eq!(node.ask(1, submit(&[1])).entries, [[accept(&[1], lessee(0), 0)]]);
    }
}

#[test]
fn only_executors_that_can_run_a_task_get_it() {
    let mut node = Node::alone(0);
    node.hear_of(lessee(1), Liveness::Alive);
    let mut profile = profile(1);
    profile.queues.retain(|queue| queue.name != "mail");
    node.far_executor(ExecutorSays::Introduce { lessee: lessee(1), profile });
    node.far_executor(granted(lessee(1), 1));
    let mail = Template { queue: "mail".to_owned(), ..template() };
    let step = node.ask(1, Ask::Submit { batch: batch_of(mail, &[1]), wait: false });
    node.settle();
    let Command::Accept { grants, .. } = &step.entries[0][0] else {
        panic!("not taken in: {step:?}");
    };
    assert_eq!(grants, &[]);
    // A task that the other may run overtakes it.
    assert_eq!(node.ask(2, submit(&[2])).entries, [[accept(&[2], lessee(1), 1)]]);
}

#[test]
fn a_run_that_its_executor_never_had_is_leased_anew() {
    let mut node = Node::alone(2);
    node.ask_and_settle(1, submit(&[1]));
    let never = ExecutorSays::NeverHad { lessee: lessee(0), runs: vec![(task(1), token(1))] };
    let step = node.executor(never.clone());
    assert_eq!(step.entries, [[release(1, token(1))]]);
    let step = node.settle();
    assert_eq!(step.entries, [[lease(lessee(0), &[1])]]);
    assert_eq!(
        step.said,
        [Execute(closed(&[(1, token(1))])), Execute(dispatch(lessee(0), &[(1, token(3))]))]
    );
    // Said once more it is about a run that is over.
    node.executor(never);
    assert_eq!(node.settle().said, []);
    let history = node.record(task(1)).and_then(|record| record.history.as_deref()).unwrap();
    assert_eq!(history.crashes, 0);
}

#[test]
fn what_an_executor_never_had_is_released_at_once_for_each_partition() {
    let mut node = Node::alone(5);
    node.ask_and_settle(1, submit(&[1, 2, 3]));
    node.ask_and_settle(2, submit(&[101, 102]));
    let run = |n: u64| {
        let Some(Phase::Leased(lease)) = node.record(task(n)).map(Record::phase) else {
            panic!("{n} does not run");
        };
        (task(n), lease.token)
    };
    let (here, there) = (vec![run(3), run(1)], vec![run(102), run(101)]);
    let mixed = vec![here[0], there[0], here[1], there[1]];
    let step = node.executor(ExecutorSays::NeverHad { lessee: lessee(0), runs: mixed });
    let release = |runs| vec![Command::Release { runs }];
    assert_eq!(step.entries, [release(here), release(there)]);
}

#[test]
fn a_dispatch_that_got_lost_is_repeated() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    assert_eq!(node.pass(ms(2_500)).said, []);
    let again = [Execute(dispatch(lessee(0), &[(1, token(1))]))];
    assert_eq!(node.pass(ms(100)).said, again);
    assert_eq!(node.pass(ms(2_500)).said, []);
    assert_eq!(node.pass(ms(100)).said, again);
}

#[test]
fn a_dispatch_is_not_repeated_while_its_run_is_listed() {
    let mut node = Node::alone(1);
    node.ask_and_settle(1, submit(&[1]));
    for _ in 0..10 {
        let runs = vec![(task(1), token(1))];
        node.executor(ExecutorSays::Beat { lessee: lessee(0), runs });
        assert_eq!(node.pass(ms(1_000)).said, []);
    }
}

#[test]
fn the_slots_of_an_executor_that_begins_anew_are_counted_anew() {
    let mut node = Node::alone(5);
    let again = Lessee { executor: 2, ..lessee(0) };
    node.introduce(again, 1);
    assert_eq!(node.ask(1, submit(&[1, 2])).entries, [[accept(&[1, 2], again, 1)]]);
    // What the earlier one still says of slots is void.
    node.settle();
    let step = node.executor(granted(lessee(0), 5));
    assert_eq!(step.entries, Vec::<Vec<_>>::new());
}

#[test]
fn the_slots_of_an_executor_that_introduces_itself_again_are_counted_anew() {
    let mut node = Node::alone(5);
    node.introduce(lessee(0), 1);
    assert_eq!(node.ask(1, submit(&[1, 2])).entries, [[accept(&[1, 2], lessee(0), 1)]]);
}

#[test]
fn only_the_slots_of_tasks_that_were_not_leased_stay_free() {
    let mut node = Node::alone(0);
    node.ask_and_settle(1, submit(&[1, 2, 3, 4]));
    node.pass(ms(1));
    node.ask(2, submit(&[101]));
    node.ask(3, Ask::Cancel { task: task(1) });
    node.executor(granted(lessee(0), 2));
    let entries = node.settle().entries;
    let cancel = Command::Cancel { task: task(1) };
    assert_eq!(entries, [vec![cancel, lease(lessee(0), &[1, 2])], vec![lease(lessee(0), &[3])]]);
}

#[test]
fn a_slot_whose_task_is_cancelled_in_the_same_entry_stays_free() {
    let mut node = Node::alone(0);
    node.ask_and_settle(1, submit(&[1, 2]));
    node.pass(ms(1));
    node.ask(2, submit(&[101]));
    node.ask(3, Ask::Cancel { task: task(1) });
    node.executor(granted(lessee(0), 1));
    let step = node.settle();
    let cancel = Command::Cancel { task: task(1) };
    assert_eq!(step.entries, [vec![cancel, lease(lessee(0), &[1])], vec![lease(lessee(0), &[2])]]);
}

#[test]
fn an_executor_that_has_not_introduced_itself_is_spoken_to() {
    let mut node = Node::blank(0);
    node.found(1, 1);
    node.settle();
    let nobody = Lessee { incarnation: Incarnation(0), executor: 0, ..lessee(0) };
    let question = Execute(OwnerSays::Demand { lessee: nobody, wanted: Vec::new() });
    assert_eq!(node.pass(ms(2_000)).said, [question.clone(), question]);
    node.introduce(lessee(0), 1);
    assert_eq!(node.pass(ms(2_000)).said, []);
}
