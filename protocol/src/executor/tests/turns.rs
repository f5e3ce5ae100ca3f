//! Whose turn it is when several nodes want slots.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::executor::{Effect, Event, Executor};
use crate::id::{Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::task::{Options, Outcome, Template};
use crate::time::{Tick, Wall};
use crate::wire::{Declaration, Dispatch, ExecutorSays, OwnerSays, Profile, Queue};

const HOME: NodeId = NodeId(1 << 96);
const ME: Lessee = Lessee { node: HOME, incarnation: Incarnation(1), executor: 1 };

fn other(n: u128) -> NodeId {
    NodeId((n + 1) << 96)
}

fn executor(slots: u32) -> Executor {
    let declaration = Declaration {
        name: "add".to_owned(),
        pool: 0,
        queue: "default".to_owned(),
        options: Options::default(),
        takes_resource: false,
    };
    let queue = Queue { name: "default".to_owned(), pool: None, priority: None };
    let profile = Profile {
        pools: vec![slots],
        tasks: vec![declaration],
        queues: vec![queue],
        pid: 1,
        serves_all: false,
    };
    Executor::new(ME, profile, Tick::START)
}

fn run(n: u64) -> (TaskId, Token) {
    (TaskId::new(Wall::EPOCH, PartitionId(0), n), Token { term: 2, index: n, position: 0 })
}

fn step(executor: &mut Executor, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    executor.step(Tick::START, event, &mut effects);
    effects
}

fn hear(executor: &mut Executor, from: NodeId, says: OwnerSays) -> Vec<Effect> {
    step(executor, Event::Owner { from, says })
}

fn dispatch(executor: &mut Executor, from: NodeId, n: u64) {
    let (task, token) = run(n);
    let template = Template { queue: "default".to_owned(), ..Template::new("add") };
    let run = Dispatch {
        task,
        token,
        attempt: 1,
        template: 0,
        args: Bytes::new(),
        term: 2,
        time_left: None,
        metadata: None,
    };
    let says = OwnerSays::Dispatch { lessee: ME, templates: vec![template], runs: vec![run] };
    let effects = hear(executor, from, says);
    assert!(matches!(effects.as_slice(), [Effect::Start(_)]), "it starts: {effects:?}");
}

fn demand(executor: &mut Executor, from: NodeId, wanted: u32) -> Vec<Effect> {
    hear(executor, from, OwnerSays::Demand { lessee: ME, wanted: vec![wanted] })
}

/// How many slots of the only pool each node was granted.
fn granted(effects: &[Effect]) -> BTreeMap<NodeId, u32> {
    let grants = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, says: ExecutorSays::Grant { slots, .. } } => Some((*to, slots[0])),
        _ => None,
    });
    grants.collect()
}

#[test]
fn slots_that_become_free_one_by_one_go_to_all_who_want_them_in_turn() {
    let mut executor = executor(1);
    dispatch(&mut executor, other(1), 1);
    for n in 1..=3 {
        assert_eq!(demand(&mut executor, other(n), 256), []);
    }
    let mut turns = Vec::new();
    for n in 1..=9 {
        let (task, token) = run(n);
        let ends = vec![(task, token, Outcome::Cancelled)];
        let granted = granted(&step(&mut executor, Event::Finished(ends)));
        let (node, count) = granted.first_key_value().expect("somebody gets it");
        assert_eq!((granted.len(), *count), (1, 1));
        dispatch(&mut executor, *node, n + 1);
        turns.push(*node);
    }
    let round = [other(1), other(2), other(3)];
    assert_eq!(turns, [round, round, round].concat());
}

#[test]
fn slots_that_are_free_together_are_shared() {
    let mut executor = executor(10);
    step(&mut executor, Event::Reached(HOME));
    for (n, wanted) in [(1, 256), (2, 2), (3, 256)] {
        demand(&mut executor, other(n), wanted);
    }
    let says = OwnerSays::Return { lessee: ME, slots: vec![10] };
    let shares = granted(&hear(&mut executor, HOME, says));
    assert_eq!(shares, BTreeMap::from([(other(1), 4), (other(2), 2), (other(3), 4)]));
}

#[test]
fn what_some_do_not_want_is_left_to_the_rest() {
    let mut executor = executor(10);
    step(&mut executor, Event::Reached(HOME));
    for (n, wanted) in [(1, 256), (2, 256), (3, 1)] {
        demand(&mut executor, other(n), wanted);
    }
    let says = OwnerSays::Return { lessee: ME, slots: vec![10] };
    let shares = granted(&hear(&mut executor, HOME, says));
    assert_eq!(shares.values().sum::<u32>(), 10);
    assert_eq!(shares[&other(3)], 1);
}

#[test]
fn wishes_that_cannot_be_added_up_are_as_many_as_can_be() {
    let mut executor = executor(1);
    step(&mut executor, Event::Reached(HOME));
    (1..=3).for_each(|n| drop(demand(&mut executor, other(n), u32::MAX)));
    let says = OwnerSays::Return { lessee: ME, slots: vec![u32::MAX] };
    assert_eq!(granted(&hear(&mut executor, HOME, says)).values().sum::<u32>(), 1);
}
