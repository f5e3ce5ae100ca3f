//! Those on whose behalf tasks are take turns, whatever their tasks are called and where they may run.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::lone_owner::{HOME, LoneOwner, PARTITION, batch, profile, task, template};
use crate::id::{NodeId, TaskId};
use crate::job::Target;
use crate::limits::{AGING, Limits};
use crate::meta::{Rule, RuleChange, Subject};
use crate::partition::{Command, Partition};
use crate::task::{Batch, Options, Outcome, Particulars, Template};
use crate::time::Span;
use crate::wire::{Ask, ExecutorSays, Profile};

/// The owner of the only partition, whose node has no slots yet, and serves all queues.
fn owner() -> LoneOwner {
    let mut owner = LoneOwner::one_of(1, &Partition::new(PARTITION), Limits::default());
    let profile = Profile { serves_all: true, ..profile(0) };
    owner.executor(ExecutorSays::Introduce { lessee: owner.lessee(), profile });
    owner
}

fn with(mut batch: Batch, said: impl Fn(&mut Particulars)) -> Batch {
    for row in &mut batch.rows {
        let mut particulars = row.particulars.take().map_or(Particulars::NONE, |said| *said);
        said(&mut particulars);
        row.particulars = particulars.boxed();
    }
    batch
}

fn plain(name: &str, tasks: impl IntoIterator<Item = u64>) -> Batch {
    batch(template(name), tasks.into_iter().map(task))
}

/// Tasks on behalf of `key`.
fn of(key: &str, name: &str, tasks: impl IntoIterator<Item = u64>) -> Batch {
    with(plain(name, tasks), |said| said.fairness_key = Some(key.into()))
}

fn weighing(weight: u16, batch: Batch) -> Batch {
    with(batch, |said| said.fairness_weight = Some(weight))
}

fn at_priority(priority: u8, mut batch: Batch) -> Batch {
    batch.templates[0].options.priority = Some(priority);
    batch
}

impl LoneOwner {
    /// Slots become free all at once: what they are given to, in this order.
    fn gives(&mut self, slots: u32) -> Vec<TaskId> {
        let before = self.commands.len();
        let lessee = self.lessee();
        self.executor(ExecutorSays::Grant { lessee, slots: vec![slots] });
        let leases = self.commands[before..].iter().filter_map(|command| match command {
            Command::Lease { tasks, .. } => Some(tasks.clone()),
            _ => None,
        });
        leases.flatten().collect()
    }

    /// The same if they become free one by one.
    fn gives_singly(&mut self, slots: u32) -> Vec<TaskId> {
        (0..slots).flat_map(|_| self.gives(1)).collect()
    }

    fn ends_well(&mut self, task: TaskId) {
        let outcomes = vec![(task, self.token(task), Outcome::Succeeded("1".into()))];
        self.executor(ExecutorSays::Outcomes { lessee: self.lessee(), outcomes });
    }

    fn rules(&mut self, subject: Subject, rule: Rule) {
        self.ask(Ask::ChangeRule { subject, change: RuleChange::Say(rule) });
    }
}

fn tasks<const N: usize>(numbers: [u64; N]) -> [TaskId; N] {
    numbers.map(task)
}

fn count(served: &[TaskId], which: std::ops::Range<u64>) -> usize {
    served.iter().filter(|id| which.clone().any(|n| task(n) == **id)).count()
}

#[test]
fn tenants_take_turns_whatever_the_names_of_their_tasks() {
    for is_singly in [false, true] {
        let mut owner = owner();
        owner.submit(of("a", "add", 1..=50));
        owner.pass(Span::from_millis(10));
        owner.submit(of("b", "zip", 51..=53));
        owner.submit(of("a", "zip", 54..=56));
        let served = if is_singly { owner.gives_singly(8) } else { owner.gives(8) };
        assert_eq!(served, tasks([1, 51, 2, 52, 3, 53, 4, 5]));
    }
}

#[test]
fn tenants_take_turns_wherever_their_tasks_may_run() {
    let mut owner = owner();
    let there = |batch| with(batch, |said| said.target = Target::Node(HOME));
    let nowhere = |batch| with(batch, |said| said.target = Target::Node(NodeId(9 << 96)));
    owner.submit(of("a", "add", 1..=50));
    owner.submit(there(of("b", "add", 51..=53)));
    // Whoever can run nowhere has no turn that anybody would wait for.
    owner.submit(nowhere(of("c", "add", 61..=90)));
    assert_eq!(owner.gives(6), tasks([1, 51, 2, 52, 3, 53]));
    assert_eq!(owner.gives_singly(3), tasks([4, 5, 6]));
}

#[test]
fn weights_hold_across_names() {
    let mut owner = owner();
    owner.submit(weighing(1, of("light", "add", 1..=100)));
    owner.submit(weighing(3, of("heavy", "zip", 101..=200)));
    // What was said of a tenant holds for all that is done on its behalf.
    owner.submit(of("heavy", "add", 201..=300));
    let served = owner.gives(40);
    assert_eq!((count(&served, 1..101), count(&served, 101..301)), (10, 30));
    let served = owner.gives_singly(40);
    assert_eq!((count(&served, 1..101), count(&served, 101..301)), (10, 30));
}

#[test]
fn all_without_a_key_are_one_tenant_whatever_their_names() {
    let mut owner = owner();
    owner.submit(plain("add", 1..=30));
    owner.submit(plain("zip", 31..=60));
    owner.submit(of("a", "zip", 61..=90));
    let served = owner.gives(20);
    assert_eq!((count(&served, 1..61), count(&served, 61..91)), (10, 10));
    assert_eq!(count(&served, 31..61), 0, "of one tenant it is first come first served");
    // Where nobody has a key it is that for all.
    let mut owner = self::owner();
    for n in 1..=6 {
        owner.submit(plain(if n % 2 == 0 { "add" } else { "zip" }, [n]));
        owner.pass(Span::from_millis(2));
    }
    assert_eq!(owner.gives(6), tasks([1, 2, 3, 4, 5, 6]));
}

#[test]
fn priority_is_before_turns_and_aging_is_not_lost_by_them() {
    let mut owner = owner();
    owner.submit(of("a", "add", 1..=10));
    owner.submit(at_priority(2, of("a", "zip", 11..=13)));
    assert_eq!(owner.gives(2), tasks([11, 12]));
    owner.submit(at_priority(2, of("b", "add", 14..=15)));
    assert_eq!(owner.gives(3), tasks([14, 13, 15]));
    // Those that have waited long are as urgent as what comes now, and a newcomer among them takes
    // nothing of that: turns are taken with the age of the oldest.
    owner.pass(AGING.times(3));
    owner.submit(of("b", "zip", 21..=22));
    owner.submit(at_priority(2, of("a", "zip", 31..=33)));
    assert_eq!(owner.gives(4), tasks([1, 21, 2, 22]));
}

#[test]
fn a_tenant_whose_tasks_are_held_by_a_limit_keeps_nobody_waiting_and_saves_no_turns() {
    let mut owner = owner();
    let options = Options { concurrency: Some(1), ..Options::default() };
    let limited = batch(Template { options, ..template("add") }, (1..=20).map(task));
    let limited = with(limited, |said| {
        said.fairness_key = Some("held".into());
        said.limit_key = Some("one at a time".into());
    });
    owner.submit(limited);
    owner.submit(of("a", "zip", 21..=50));
    owner.submit(of("b", "zip", 51..=80));
    assert_eq!(owner.gives(7), tasks([1, 21, 51, 22, 52, 23, 53]));
    // What ends makes room for one more of them, which has a turn as all others.
    for n in 1..=3 {
        owner.ends_well(task(n));
        assert_eq!(owner.gives(4)[..3].iter().filter(|id| **id == task(n + 1)).count(), 1);
    }
}

#[test]
fn nobody_saves_up_turns_while_a_rule_holds_its_tasks() {
    let mut owner = owner();
    let subject = Subject::Tasks("zip".to_owned());
    owner.rules(subject.clone(), Rule { paused: Some(true), ..Rule::default() });
    owner.submit(of("a", "add", 1..=100));
    owner.submit(of("b", "add", 101..=200));
    owner.submit(of("held", "zip", 201..=300));
    let served = owner.gives(60);
    assert_eq!((count(&served, 1..101), count(&served, 101..201)), (30, 30));
    owner.rules(subject, Rule { paused: Some(false), ..Rule::default() });
    let served = owner.gives(30);
    let each = [count(&served, 1..101), count(&served, 101..201), count(&served, 201..301)];
    assert!(each.iter().all(|served| (9..=12).contains(served)), "{each:?}");
}

#[test]
fn one_that_comes_again_and_again_is_not_before_one_that_waits() {
    let mut owner = owner();
    owner.submit(of("waits", "add", 1..=100));
    let mut served = Vec::new();
    for n in 101..=140 {
        owner.submit(of("often", "zip", [n]));
        served.extend(owner.gives(1));
    }
    let often = count(&served, 101..141);
    assert!((18..=22).contains(&often), "{often} of 40");
}

#[test]
fn queues_do_not_share_turns() {
    let mut owner = owner();
    let elsewhere = |mut batch: Batch| {
        batch.templates[0].queue = "other".to_owned();
        batch
    };
    owner.submit(of("a", "add", 1..=4));
    owner.pass(Span::from_millis(10));
    owner.submit(elsewhere(of("b", "add", 5..=6)));
    owner.pass(Span::from_millis(10));
    owner.submit(of("b", "zip", 7..=8));
    // In its queue the newcomer has its turns; the queue is as old as its oldest.
    assert_eq!(owner.gives(8), tasks([1, 7, 2, 8, 3, 4, 5, 6]));
}

#[test]
fn of_any_tenants_each_is_served_as_it_weighs_to_within_a_round() {
    for seed in 0..50 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut owner = owner();
        let tenants: u64 = rng.random_range(2..6);
        let weights: Vec<u16> = (0..tenants).map(|_| rng.random_range(1..5)).collect();
        let backlog: u64 = 400;
        for (tenant, weight) in (0..).zip(&weights) {
            let key = format!("tenant {tenant}");
            let first = tenant * backlog + 1;
            // In parts of any size, of either name.
            let mut n = first;
            while n < first + backlog {
                let until = (n + rng.random_range(1..200)).min(first + backlog);
                let name = if rng.random_bool(0.5) { "add" } else { "zip" };
                owner.submit(weighing(*weight, of(&key, name, n..until)));
                n = until;
            }
        }
        let round: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
        let mut served = Vec::new();
        while served.len() < 200 {
            let slots = rng.random_range(1..20);
            served.extend(owner.gives(slots));
        }
        for (tenant, weight) in (0..).zip(&weights) {
            let first: u64 = tenant * backlog + 1;
            let own = count(&served, first..first + backlog) as f64;
            let due = served.len() as f64 * f64::from(*weight) / f64::from(round);
            let is_close = (own - due).abs() <= f64::from(*weight) + 1.0;
            assert!(is_close, "seed {seed}: {own} of {due} by weight {weight} of {weights:?}");
        }
    }
}
