//! Slots of other nodes: asked for while there is work, given back when there is none.

use super::*;
use crate::id::Lessee;
use crate::partition::Command;
use crate::scheduler::Effect::Execute;
use crate::task::{Options, State, Template};
use crate::time::Span;
use crate::wire::{Ask, Declaration, ExecutorSays, OwnerSays, PeerMessage, Profile, Queue};

/// How often wishes are renewed.
const ASK_AGAIN: Span = ms(100);

/// What the executor of node `n` is told.
fn told(said: &[Effect], n: u16) -> Vec<OwnerSays> {
    let messages = said.iter().flat_map(|effect| match effect {
        Effect::Send { to, messages, .. } if *to == id(n) => messages.as_slice(),
        _ => &[],
    });
    let told = messages.filter_map(|message| match message {
        PeerMessage::ToExecutor(says) => Some(says.clone()),
        _ => None,
    });
    told.collect()
}

fn returned(lessee: Lessee, slots: u32) -> OwnerSays {
    OwnerSays::Return { lessee, slots: vec![slots] }
}

#[test]
fn two_others_are_asked_for_slots_at_a_time_and_again_every_tick() {
    let mut node = Node::alone(0);
    for n in 1..=4 {
        node.far(n, 0);
    }
    node.pass(ms(1_000));
    let step = node.ask_and_settle(1, submit(&[1, 2, 3]));
    let asked = |said: &[Effect]| -> Vec<u16> {
        (1..=4).filter(|n| told(said, *n) == [demand(lessee(*n), 3)]).collect()
    };
    assert_eq!(asked(&step.said).len(), 2);
    assert!(step.said.contains(&Execute(demand(lessee(0), 3))), "and the own executor");
    let mut all: Vec<u16> = Vec::new();
    for _ in 0..20 {
        let asked = asked(&node.pass(ASK_AGAIN).said);
        assert_eq!(asked.len(), 2);
        all.extend(asked);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, [1, 2, 3, 4], "all get their turn");
}

#[test]
fn a_wish_is_for_all_tasks_that_may_use_the_slots() {
    let mut node = Node::alone(0);
    node.far(1, 0);
    node.pass(ms(1_000));
    node.ask(1, submit(&[1, 2, 3]));
    let zip = Template { name: "zip".to_owned(), ..template() };
    node.ask(2, Ask::Submit { batch: batch_of(zip, &[4]), wait: false });
    node.settle();
    let wish = told(&node.pass(ASK_AGAIN).said, 1);
    assert_eq!(wish.last(), Some(&demand(lessee(1), 4)), "each replaces the one before: {wish:?}");
}

#[test]
fn a_wish_is_taken_back_when_nothing_waits() {
    let mut node = Node::alone(0);
    node.far(1, 0);
    node.pass(ms(1_000));
    node.ask_and_settle(1, submit(&[1]));
    node.executor(granted(lessee(0), 1));
    node.settle();
    let said = node.pass(ASK_AGAIN).said;
    assert_eq!(told(&said, 1), [demand(lessee(1), 0)]);
    assert_eq!(told(&node.pass(ASK_AGAIN).said, 1), []);
}

#[test]
fn a_wish_for_slots_that_nothing_waits_for_is_taken_back_while_others_are_waited_for() {
    let mut node = Node::alone(0);
    node.executor(ExecutorSays::Introduce { lessee: lessee(0), profile: two_pools() });
    let zip = Template { name: "zip".to_owned(), ..template() };
    node.ask_and_settle(1, submit(&[1, 2]));
    node.ask_and_settle(2, Ask::Submit { batch: batch_of(zip, &[3]), wait: false });
    let wishes = |said: &[Effect]| -> Vec<Vec<u32>> {
        let wishes = said.iter().filter_map(|effect| match effect {
            Execute(OwnerSays::Demand { wanted, .. }) => Some(wanted.clone()),
            _ => None,
        });
        wishes.collect()
    };
    assert_eq!(wishes(&node.pass(ASK_AGAIN).said), [[2, 1]]);
    // Another executor serves them.
    node.far(1, 2);
    node.settle();
    assert_eq!(wishes(&node.pass(ASK_AGAIN).said), [[0, 1]], "else nobody else is given the slots");
}

/// `zip` has slots of its own.
fn two_pools() -> Profile {
    let declaration = |name: &str, pool| Declaration {
        name: name.to_owned(),
        pool,
        queue: "default".to_owned(),
        options: Options::default(),
        takes_resource: false,
    };
    let queues = vec![Queue { name: "default".to_owned(), pool: None, priority: None }];
    let tasks = vec![declaration("add", 0), declaration("zip", 1)];
    Profile { pools: vec![0, 0], tasks, queues, pid: 1, serves_all: false }
}

#[test]
fn slots_of_others_that_are_never_needed_are_given_back_though_others_are_used() {
    let mut node = Node::alone(0);
    node.far(1, 3);
    let mut told_all = Vec::new();
    for n in 1..=6 {
        node.ask_and_settle(n, submit(&[n]));
        told_all.extend(told(&node.pass(ms(300)).said, 1));
        node.far_executor(granted(lessee(1), 1));
    }
    told_all.retain(|says| matches!(says, OwnerSays::Return { .. }));
    assert_eq!(told_all, [returned(lessee(1), 2)]);
}

#[test]
fn slots_of_others_that_are_not_used_are_given_back() {
    let mut node = Node::alone(3);
    node.far(1, 2);
    assert_eq!(node.pass(ms(900)).said, [], "half a second of watching, begun anew twice a second");
    assert_eq!(node.pass(ms(100)).said, [execute_at(id(1), returned(lessee(1), 2))]);
    assert_eq!(node.pass(ms(2_000)).said, [], "the own are kept");
    // They are not its own any more.
    let step = node.ask(1, submit(&[1, 2, 3, 4]));
    assert_eq!(step.entries, [[accept(&[1, 2, 3, 4], lessee(0), 3)]]);
}

#[test]
fn what_is_recalled_and_idle_is_given_back_at_once() {
    let mut node = Node::alone(3);
    node.ask_and_settle(1, submit(&[1]));
    let recall = |wanted| ExecutorSays::Recall { lessee: lessee(0), wanted: vec![wanted] };
    assert_eq!(node.executor(recall(1)).said, [Execute(returned(lessee(0), 1))]);
    assert_eq!(node.executor(recall(9)).said, [Execute(returned(lessee(0), 1))]);
    assert_eq!(node.executor(recall(9)).said, []);
}

#[test]
fn a_delayed_task_takes_no_slot_before_its_time() {
    let mut node = Node::alone(1);
    let later = Options { delay: ms(1_000), ..Options::default() };
    let delayed = Template { options: later.clone(), ..template() };
    let step = node.ask_and_settle(1, submit_with(later, 1));
    let accept = Command::Accept { batch: batch_of(delayed.clone(), &[1]), grants: vec![] };
    assert_eq!(step.entries, [[accept]]);
    assert_eq!(step.said, [submitted(1)]);
    assert_eq!(node.record(task(1)).unwrap().state(), State::Scheduled);
    assert_eq!(node.pass(ms(999)).said, []);
    let step = node.pass(ms(1));
    assert_eq!(step.entries, [[lease(lessee(0), &[1])]]);
    let started = dispatch_of(lessee(0), delayed, vec![run(1, token(2))]);
    assert_eq!(step.said, [Execute(started)]);
}

#[test]
fn a_delay_is_told_as_a_deadline_and_waits_for_the_disk() {
    let mut node = Node::alone(1);
    let later = Options { delay: ms(250), ..Options::default() };
    node.ask_and_settle(1, submit_with(later, 1));
    node.pass(ms(200));
    assert_eq!(node.scheduler.next_deadline().since(node.now.tick), ms(50));
    node.ask(2, submit(&[101]));
    node.is_stuck = true;
    // No busy loop while nothing can be leased: the deadline is that of the next tick.
    node.pass(ms(60));
    assert_eq!(node.scheduler.next_deadline().since(node.now.tick), ms(40));
    assert_eq!(node.persisted().entries, Vec::<Vec<_>>::new(), "the slot is taken");
}

#[test]
fn an_executor_that_something_is_leased_to_and_that_is_not_known_is_asked_who_it_is() {
    let mut node = Node::alone(0);
    let later = Lessee { executor: lessee(0).executor + 1, ..lessee(0) };
    node.introduce(later, 1);
    node.ask_and_settle(1, submit(&[1]));
    assert_eq!(node.record(task(1)).unwrap().state(), State::Leased);
    let asked = |node: &mut Node| {
        let said = node.pass(ms(2_000)).said;
        said.iter().any(|effect| match effect {
            Execute(OwnerSays::Demand { lessee, .. }) => lessee.executor == 0,
            _ => false,
        })
    };
    assert!(!asked(&mut node));
    // As if it had heard of the one before only, and what came after that was lost.
    node.scheduler.lessees.dismiss(later.node);
    node.introduce(lessee(0), 0);
    assert!(asked(&mut node), "else nobody finds out that its successor is gone as well");
}
