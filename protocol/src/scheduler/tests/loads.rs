//! Whom an owner asks for slots when it knows how loaded others are.

use std::collections::BTreeMap;

use super::lone_owner::{LoneOwner, batch, lessee, task, template};
use crate::id::{Incarnation, NodeId};
use crate::membership::{Liveness, Load};
use crate::scheduler::Event;
use crate::time::Span;
use crate::wire::OwnerSays;

fn node(n: u128) -> NodeId {
    NodeId((n + 1) << 96)
}

/// An owner without slots, and `n` others whose executors may run its tasks.
fn among(n: u128) -> LoneOwner {
    let mut owner = LoneOwner::new(0);
    (1..=n).for_each(|n| owner.introduce(lessee(node(n)), 0));
    owner.told();
    owner
}

fn tell(owner: &mut LoneOwner, n: u128, load: Load) {
    owner.step(Event::Load { node: node(n), incarnation: Incarnation(1), load });
}

fn free(slots: u16) -> Load {
    Load { free: [slots, 0, 0, 0], ..Load::default() }
}

/// How often each of the others was asked while `span` passed.
fn asked(owner: &mut LoneOwner, span: Span) -> BTreeMap<NodeId, usize> {
    owner.told();
    owner.pass(span);
    let mut asked = BTreeMap::new();
    for (to, says) in owner.told() {
        if matches!(says, OwnerSays::Demand { .. }) && to != super::lone_owner::HOME {
            *asked.entry(to).or_default() += 1;
        }
    }
    asked
}

#[test]
fn those_with_free_slots_are_asked_more_than_those_without() {
    let mut owner = among(20);
    for n in 1..=20 {
        tell(&mut owner, n, free(if n <= 10 { 100 } else { 0 }));
    }
    owner.submit(batch(template("add"), (0..50).map(task)));
    let asked = asked(&mut owner, Span::from_millis(20_000));
    let sum = |nodes: std::ops::RangeInclusive<u128>| -> usize {
        nodes.filter_map(|n| asked.get(&node(n))).sum()
    };
    let (with, without) = (sum(1..=10), sum(11..=20));
    assert!(with > 2 * without, "{with} to {without}: one in four should be two without");
    assert!(without > 0, "gossip is old, and may be wrong");
}

#[test]
fn as_many_are_asked_as_it_takes_to_find_slots_for_all_that_waits() {
    let mut owner = among(20);
    (1..=20).for_each(|n| tell(&mut owner, n, free(10)));
    let round = Span::from_millis(100);
    owner.submit(batch(template("add"), (0..15).map(task)));
    assert_eq!(asked(&mut owner, round).len(), 2, "two have slots for twenty");
    owner.submit(batch(template("add"), (100..145).map(task)));
    assert_eq!(asked(&mut owner, round).len(), 6, "sixty wait");
    owner.submit(batch(template("add"), (1_000..2_000).map(task)));
    assert_eq!(asked(&mut owner, round).len(), 8, "no more than that at a time");
}

#[test]
fn what_a_node_told_before_it_was_lost_is_forgotten() {
    let mut owner = among(20);
    (1..=20).for_each(|n| tell(&mut owner, n, free(0)));
    for liveness in [Liveness::Down, Liveness::Alive] {
        owner.step(Event::Liveness { node: node(1), incarnation: Incarnation(1), liveness });
    }
    owner.submit(batch(template("add"), (0..50).map(task)));
    let asked = asked(&mut owner, Span::from_millis(20_000));
    let count = |n| asked.get(&node(n)).copied().unwrap_or(0);
    let most = (2..=20).map(count).max().unwrap_or(0);
    assert!(count(1) > most && most > 0, "it may have slots, the others said no: {asked:?}");
}

#[test]
fn tasks_of_all_names_that_use_the_same_slots_make_one_wish() {
    let mut owner = among(1);
    owner.submit(batch(template("add"), (0..30).map(task)));
    owner.submit(batch(template("zip"), (100..104).map(task)));
    owner.told();
    owner.pass(Span::from_millis(100));
    let demands: Vec<OwnerSays> =
        owner.told().into_iter().filter(|(to, _)| *to == node(1)).map(|(_, says)| says).collect();
    assert_eq!(demands, [OwnerSays::Demand { lessee: lessee(node(1)), wanted: vec![34] }]);
}
