//! Who is next.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::id::NodeId;
use crate::task::{Particulars, Phase};
use crate::time::Span;

const NOW: Wall = Wall::from_millis(1_800_000_000_000);

fn task(n: u64) -> TaskId {
    TaskId::new(Wall::from_millis(1), PartitionId(0), n)
}

/// A task that waits since `came`.
fn record(priority: u8, came: Wall) -> Record {
    let mut template = Template::new("add");
    template.options.priority = Some(priority);
    Record::new(Arc::new(template), Bytes::new(), came, 0, Phase::Ready)
}

fn served(ready: &mut Ready) -> Vec<TaskId> {
    let mut contest = Contest::default();
    for class in ready.waited_for().collect::<Vec<_>>() {
        contest.enter(ready, class, 0);
    }
    std::iter::from_fn(|| next(ready, &mut contest)).collect()
}

/// As [dispatch](super::super::dispatch) takes them, if nothing keeps anybody from starting.
fn next(ready: &mut Ready, contest: &mut Contest) -> Option<TaskId> {
    loop {
        let head = contest.pop()?;
        let now = ready.head(head.class(), head.priority());
        if now != Some(head) {
            now.into_iter().for_each(|now| contest.push(now));
            continue;
        }
        let (class, others) = contest.next(ready, head).expect("it is open");
        let taken = ready.pop(class, head.priority()).expect("somebody waits");
        ready.settle(&taken, true, others);
        contest.takes_turns(ready, class, head.priority());
        ready.head(head.class(), head.priority()).into_iter().for_each(|now| contest.push(now));
        return Some(taken.task);
    }
}

#[test]
fn classes_in_which_nobody_waits_any_more_are_dropped() {
    let mut ready = Ready::default();
    let waits = record(0, NOW);
    ready.push(&waits, &Target::Anywhere, task(1));
    for round in 0..10_u128 {
        for n in 0..1_000 {
            let target = Target::Node(NodeId(round * 1_000 + n));
            ready.push(&waits, &target, task(2));
            let class = ready.class(&waits.template, &target);
            assert_eq!(ready.pop(class, 0).map(|taken| taken.task), Some(task(2)));
        }
        ready.sweep(|_| true);
    }
    assert!(ready.classes.len() < 3 * SLACK, "{} classes", ready.classes.len());
    let class = ready.class(&waits.template, &Target::Anywhere);
    let left = ready.pop(class, 0).map(|taken| taken.task);
    assert_eq!((ready.len(), left), (0, Some(task(1))));
}

#[test]
fn who_joins_late_stands_where_it_came() {
    let at = |millis: u64| record(0, NOW + Span::from_millis(millis));
    let mut ready = Ready::default();
    for n in 2..4 {
        ready.push(&at(n), &Target::Anywhere, task(n));
    }
    ready.push(&record(9, NOW), &Target::Anywhere, task(9));
    // They ran before, or waited for a limit: one has waited longest, and the other came last.
    ready.push(&at(1), &Target::Anywhere, task(1));
    ready.push(&at(4), &Target::Anywhere, task(4));
    assert_eq!(served(&mut ready), [9, 1, 2, 3, 4].map(task));
}

#[test]
fn what_is_never_urgent_comes_to_its_turn() {
    let later = |steps: u64| NOW + AGING.times(steps);
    let mut ready = Ready::default();
    ready.push(&record(0, NOW), &Target::Anywhere, task(1));
    ready.push(&record(0, NOW + Span::from_millis(1)), &Target::Anywhere, task(2));
    ready.push(&record(3, later(2)), &Target::Anywhere, task(3));
    ready.push(&record(3, later(3)), &Target::Anywhere, task(4));
    // The first has waited two steps when the third comes. When the fourth does it is three: it is as
    // urgent by then, and was there before; and the second has waited less than that.
    assert_eq!(served(&mut ready), [3, 1, 4, 2].map(task));
}

#[test]
fn classes_have_their_turns_by_how_long_they_wait() {
    let mut ready = Ready::default();
    ready.push(&record(0, NOW + Span::from_millis(5)), &Target::Anywhere, task(1));
    ready.push(&record(0, NOW), &Target::Node(NodeId(1)), task(2));
    let first = ready.heads().max().map(Head::class);
    assert_eq!(first, Some(1));
}

fn of(key: &str) -> Record {
    let fairness_key = Some(key.into());
    record(0, NOW).with_particulars(Particulars { fairness_key, ..Particulars::NONE }.boxed())
}

#[test]
fn tasks_on_behalf_of_many_are_served_in_turn() {
    let mut ready = Ready::default();
    for n in 0..3 {
        ready.push(&of("a"), &Target::Anywhere, task(n));
    }
    ready.push(&of("b"), &Target::Anywhere, task(3));
    assert_eq!(served(&mut ready), [0, 3, 1, 2].map(task));
    ready.sweep(|_| true);
    assert!(ready.levels.is_empty(), "nothing is kept of turns where nobody waits");
}

#[test]
fn those_take_turns_that_compete_for_slots_of_one_pool() {
    for (pool, order) in [(3, [4, 1, 5, 2, 3]), (5, [1, 2, 3, 4, 5])] {
        let mut ready = Ready::default();
        let [here, there] = [Target::Anywhere, Target::Node(NodeId(1))];
        for n in 1..=3 {
            ready.push(&of("a"), &here, task(n));
        }
        for n in 4..=5 {
            ready.push(&of("b"), &there, task(n));
        }
        ready.competes(0, 4, false);
        ready.competes(1, pool, false);
        // What another says does not count any more, unless it is the executor of this node.
        ready.competes(0, 9, false);
        ready.competes(0, 3, true);
        assert_eq!(served(&mut ready), order.map(task));
    }
}

#[test]
fn who_has_no_tasks_left_where_others_own_them_now_has_no_turn() {
    let mut ready = Ready::default();
    let elsewhere = |n| TaskId::new(Wall::from_millis(1), PartitionId(1), n);
    for n in 1..=3 {
        ready.push(&of("a"), &Target::Anywhere, elsewhere(n));
        ready.push(&of("b"), &Target::Node(NodeId(1)), task(n));
        ready.push(&record(0, NOW), &Target::Node(NodeId(1)), elsewhere(10 + n));
    }
    ready.forget(PartitionId(1));
    let queue = Template::new("add").queue;
    let shared = ready.levels.get(&queue, None, 0).expect("somebody waits");
    assert_eq!(shared.len(), 1);
    assert_eq!(served(&mut ready), [1, 2, 3].map(task));
    ready.sweep(|_| true);
    assert!(ready.levels.is_empty());
}

#[test]
fn keys_that_come_after_tasks_without_one_take_turns_with_all_of_them() {
    let mut ready = Ready::default();
    for n in 1..=3 {
        ready.push(&record(0, NOW), &Target::Node(NodeId(n.into())), task(n));
    }
    ready.push(&of("a"), &Target::Anywhere, task(4));
    ready.push(&of("a"), &Target::Anywhere, task(5));
    assert_eq!(served(&mut ready), [1, 4, 2, 5, 3].map(task));
}
