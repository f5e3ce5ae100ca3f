//! A node that is full of records: what it refuses, what it never refuses, and what gives way first.

use bytes::Bytes;

use super::lone_owner::{LoneOwner, PARTITION, START, batch, made, task, template};
use crate::id::Lessee;
use crate::limits::Limits;
use crate::membership::Load;
use crate::partition::Partition;
use crate::scheduler::Event;
use crate::task::{Batch, Failure, FailureKind, Outcome, State};
use crate::time::Span;
use crate::wire::{Answer, Ask, ExecutorSays, RequestError};

const MEMORY: usize = 64 * 1024;
const TASKS: u64 = 12;

fn small() -> LoneOwner {
    let limits = Limits { node_bytes_max: MEMORY, ..Limits::default() };
    let mut owner = LoneOwner::limited(&Partition::new(PARTITION), limits);
    owner.introduce(owner.lessee(), 2);
    owner
}

/// One task that takes about a tenth of the memory.
fn large(n: u64) -> Batch {
    let mut batch = batch(template("add"), [task(n)]);
    batch.rows[0].args = vec![b'1'; MEMORY / 10].into();
    batch
}

/// A node that takes no more, and how many it took.
fn full() -> (LoneOwner, u64) {
    let mut owner = small();
    for n in 0..TASKS {
        let number = owner.submit(large(n));
        if overloaded(&owner, number) {
            return (owner, n);
        }
    }
    panic!("{TASKS} tasks of a tenth each are taken in");
}

fn overloaded(owner: &LoneOwner, number: u64) -> bool {
    matches!(owner.answers(number)[..], [Answer::Failed(RequestError::Overloaded { .. })])
}

fn taken_in(owner: &LoneOwner, number: u64) -> bool {
    matches!(owner.answers(number)[..], [Answer::Submitted { refused, .. }] if refused.is_empty())
}

fn end(owner: &mut LoneOwner, n: u64, outcome: Outcome) {
    let outcomes = vec![(task(n), owner.token(task(n)), outcome)];
    owner.executor(ExecutorSays::Outcomes { lessee: owner.lessee(), outcomes });
}

#[test]
fn a_full_node_says_what_is_full_and_what_to_do() {
    let (mut owner, taken) = full();
    assert!((8..10).contains(&taken), "{taken} of a tenth each");
    assert!(owner.scheduler.memory() <= MEMORY);
    let number = owner.submit(large(50));
    let [Answer::Failed(error)] = owner.answers(number)[..] else { panic!("it is refused") };
    let text = error.to_string();
    assert!(text.contains("MiB") && text.contains("`memory` under [node]"), "{text}");
    assert_eq!(owner.record(task(50)), None);
}

#[test]
fn what_is_on_its_way_to_disk_counts() {
    let mut owner = small();
    owner.disk_is_stuck = true;
    let numbers: Vec<u64> = (0..TASKS).map(|n| owner.submit(large(n))).collect();
    let told = numbers.iter().filter(|number| overloaded(&owner, **number)).count();
    assert!(told >= 3, "{told} of {TASKS} are refused");
    owner.settle();
    assert!(owner.scheduler.memory() <= MEMORY);
}

#[test]
fn a_full_node_takes_the_same_again_and_all_that_becomes_of_it() {
    let (mut owner, _) = full();
    let number = owner.submit(large(0));
    assert!(taken_in(&owner, number), "it is known: {:?}", owner.answers(number));
    // One fails and waits for its next attempt, one ends with a result that does not fit.
    end(&mut owner, 0, Outcome::Failed(Failure::new(FailureKind::Error, "no")));
    assert_eq!(owner.record(task(0)).unwrap().state(), State::Scheduled);
    let result = Bytes::from(vec![b'1'; MEMORY]);
    end(&mut owner, 1, Outcome::Succeeded(result));
    // The two slots are given to the next ones.
    for slot in [2, 3] {
        owner.executor(ExecutorSays::Grant { lessee: owner.lessee(), slots: vec![1] });
        assert_eq!(owner.record(task(slot)).unwrap().state(), State::Leased);
    }
    owner.ask(Ask::Cancel { task: task(4) });
    assert!(owner.record(task(4)).is_none_or(|record| record.state() == State::Cancelled));
}

#[test]
fn room_comes_back_when_tasks_end() {
    let (mut owner, taken) = full();
    for n in 0..taken {
        owner.ask(Ask::Cancel { task: task(n) });
    }
    // Long before they would be forgotten otherwise, again and again.
    for n in 50..80 {
        owner.pass(Span::from_millis(2_000));
        let number = owner.submit(large(n));
        assert!(taken_in(&owner, number), "{:?}", owner.answers(number));
        owner.ask(Ask::Cancel { task: task(n) });
        assert!(owner.scheduler.memory() <= MEMORY);
    }
}

#[test]
fn what_has_ended_stays_while_there_is_room() {
    let mut owner = small();
    for n in 0..4 {
        owner.submit(large(n));
        owner.ask(Ask::Cancel { task: task(n) });
    }
    owner.pass(Span::from_millis(60_000));
    assert!((0..4).all(|n| owner.record(task(n)).is_some()));
}

#[test]
fn ids_are_recognised_for_less_long_when_memory_is_tight() {
    let mut owner = small();
    let step = Span::from_millis(100);
    // Far more than the stubs of so many could take.
    let many = MEMORY as u64 / 20;
    for n in 0..many {
        let id = made(START + step.times(n), n);
        owner.submit(batch(template("add"), [id]));
        owner.ask(Ask::Cancel { task: id });
        owner.pass(step);
    }
    assert!(owner.scheduler.memory() <= MEMORY);
    assert!(owner.partition().dedup_floor() > START, "the floor has moved up");
    let last = made(START + step.times(many - 1), many - 1);
    assert!(owner.record(last).is_some() || owner.partition().stub(last).is_some());
}

#[test]
fn what_has_ended_gives_way_when_the_node_of_any_copy_says_that_it_is_tight() {
    let mut owner = small();
    for n in 0..4 {
        owner.submit(large(n));
        owner.ask(Ask::Cancel { task: task(n) });
    }
    owner.pass(Span::from_millis(60_000));
    assert!(!owner.scheduler.is_tight());
    assert!((0..4).all(|n| owner.record(task(n)).is_some()));
    // The only copy is here; its node is told of by gossip as that of any other copy would be.
    let Lessee { node, incarnation, .. } = owner.lessee();
    let load = Load { is_tight: true, ..Load::default() };
    owner.step(Event::Load { node, incarnation, load });
    owner.pass(Span::from_millis(2_000));
    assert!((0..4).any(|n| owner.record(task(n)).is_none()), "there is less room for it");
}

#[test]
fn a_node_that_has_a_copy_of_every_partition_need_not_be_known_to() {
    let partitions = 16;
    let limits = Limits { node_bytes_max: MEMORY, ..Limits::default() };
    let mut owner = LoneOwner::one_of(partitions, &Partition::new(PARTITION), limits);
    owner.introduce(owner.lessee(), 2);
    let step = Span::from_millis(100);
    for n in 0..60 {
        let id = made(START + step.times(n), n);
        owner.submit(batch(template("add"), [id]));
        owner.ask(Ask::Cancel { task: id });
        owner.pass(step);
    }
    assert!(!owner.scheduler.is_tight());
    assert!((0..60).all(|n| owner.record(made(START + step.times(n), n)).is_some()));
    let Lessee { node, incarnation, .. } = owner.lessee();
    let load = Load { is_tight: true, ..Load::default() };
    owner.step(Event::Load { node, incarnation, load });
    owner.pass(Span::from_millis(10_000));
    let weight = owner.partition().fill().weight();
    assert!(weight * usize::from(partitions) < MEMORY / 4 * 3, "{weight} of each");
}
