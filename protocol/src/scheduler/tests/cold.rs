//! Records that are put away: back in time, counted as what they take, and never made up.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::lone_owner::{LoneOwner, PARTITION, START, batch, template};
use crate::cold::{Cold, ColdStore as _, MemoryColdStore};
use crate::id::TaskId;
use crate::job::Labels;
use crate::limits::{COLD_LOOKS_MAX, LOOKS_MAX, Limits};
use crate::partition::{Command, Partition};
use crate::scheduler::{Effect, Event};
use crate::task::{Batch, Filter, Obstacle, Options, Outcome, Row, State, States, Template};
use crate::time::{Span, Tick};
use crate::wire::{Answer, Ask, ExecutorSays};

const HOUR: Span = Span::from_millis(3_600_000);

fn owner(partition: &Partition) -> (LoneOwner, Arc<MemoryColdStore>) {
    let store = Arc::new(MemoryColdStore::default());
    let cold = Cold::new(store.clone());
    (LoneOwner::with_cold(partition, Limits::default(), cold), store)
}

fn task(n: u64) -> TaskId {
    TaskId::new(START, PARTITION, n)
}

/// So many tasks that are delayed by an hour, from number `first` on.
fn delayed(first: u64, count: u64, options: Options) -> Batch {
    let options = Options { delay: HOUR, ..options };
    let template = Template { options, ..template("add") };
    let rows = (first..first + count).map(|n| Row::new(task(n), 0, Bytes::from_static(b"[1]")));
    Batch { templates: vec![template], rows: rows.collect() }
}

#[test]
fn they_start_in_time_and_take_no_memory_until_then() {
    let (mut owner, store) = owner(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 3);
    owner.submit(delayed(0, 3, Options::default()));
    owner.submit(delayed(
        3,
        2,
        Options { expires: Some(Span::from_millis(1)), ..Options::default() },
    ));
    assert_eq!(owner.scheduler.put_away().1, 5);
    assert_eq!(owner.scheduler.timers.len(), 0);
    assert!(owner.scheduler.memory() < owner.partition().fill().weight());
    owner.pass(Span::from_millis(3_539_000));
    assert_eq!(owner.scheduler.put_away().1, 5, "it is not worth while before");
    owner.pass(Span::from_millis(60_500));
    assert_eq!((owner.scheduler.put_away(), store.bytes()), ((0, 0), 0));
    assert!((0..5).all(|n| owner.partition().state(task(n)) == Some(State::Scheduled)));
    assert_eq!(owner.scheduler.memory(), owner.partition().fill().weight());
    owner.pass(Span::from_millis(600));
    assert!((0..3).all(|n| owner.partition().state(task(n)) == Some(State::Leased)));
    assert!((3..5).all(|n| owner.partition().state(task(n)) == Some(State::Expired)));
}

#[test]
fn a_start_puts_them_away_and_starts_what_is_overdue() {
    let (mut before, _) = owner(&Partition::new(PARTITION));
    before.introduce(before.lessee(), 0);
    before.submit(delayed(0, 3, Options::default()));
    let (mut owner, store) = owner(before.partition());
    assert_eq!((owner.scheduler.put_away().1, store.uses().0), (3, 3));
    assert_eq!(owner.scheduler.timers.len(), 0);
    owner.introduce(owner.lessee(), 3);
    // It was away for long.
    owner.advance(HOUR);
    owner.pass(Span::from_millis(1_000));
    assert!((0..3).all(|n| owner.partition().state(task(n)) == Some(State::Leased)));
}

#[test]
fn no_more_come_back_than_there_is_memory_for_and_all_do_in_the_end() {
    const TASKS: u64 = 2_000;
    let (mut before, _) = owner(&Partition::new(PARTITION));
    before.introduce(before.lessee(), 0);
    for first in (0..TASKS).step_by(1_000) {
        before.submit(delayed(first, 1_000, Options::default()));
    }
    let all = before.partition().fill().weight();
    let (most, store) = (all / 2, Arc::new(MemoryColdStore::default()));
    let limits = Limits { node_bytes_max: most, ..Limits::default() };
    let mut owner = LoneOwner::with_cold(before.partition(), limits, Cold::new(store));
    owner.introduce(owner.lessee(), 10);
    // All are overdue, and none has an executor that gets on.
    owner.advance(HOUR);
    owner.advance(HOUR);
    owner.pass(Span::from_millis(2_000));
    let away = owner.scheduler.put_away().1;
    assert!((1_000..1_800).contains(&away), "{away} of {TASKS} are away");
    assert!(owner.scheduler.memory() < most + most / 4, "but for a few that come back anyhow");
    let mut ran = 0;
    for turn in 0.. {
        assert!(turn < 3 * TASKS, "{} are away", owner.scheduler.put_away().1);
        let is_leased = |n: &u64| owner.partition().state(task(*n)) == Some(State::Leased);
        let leased: Vec<TaskId> = (0..TASKS).filter(is_leased).map(task).collect();
        if leased.is_empty() {
            break;
        }
        let lessee = owner.lessee();
        let succeeded = |task| (task, owner.token(task), Outcome::Succeeded("1".into()));
        let outcomes: Vec<_> = leased.iter().copied().map(succeeded).collect();
        ran += outcomes.len();
        let slots = vec![u32::try_from(outcomes.len()).unwrap()];
        owner.executor(ExecutorSays::Outcomes { lessee, outcomes });
        owner.executor(ExecutorSays::Grant { lessee, slots });
        owner.pass(Span::from_millis(300));
    }
    assert_eq!((owner.scheduler.put_away().1, ran as u64), (0, TASKS));
}

#[test]
fn what_fills_the_memory_keeps_nothing_from_being_given_up() {
    let (mut before, _) = owner(&Partition::new(PARTITION));
    before.introduce(before.lessee(), 0);
    let options = Options { expires: Some(Span::from_millis(1)), ..Options::default() };
    before.submit(delayed(0, 20, options));
    // Others, that nobody can run.
    let ready = batch(template("add"), (100..200).map(task));
    before.submit(ready);
    let limits = Limits { node_bytes_max: 1, ..Limits::default() };
    let cold = Cold::new(Arc::new(MemoryColdStore::default()));
    let mut owner = LoneOwner::with_cold(before.partition(), limits, cold);
    assert_eq!(owner.scheduler.put_away().1, 20);
    owner.advance(HOUR);
    let asked = owner.ask(Ask::Show { task: task(19) });
    let answers = owner.answers(asked);
    let [Answer::View(view)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(view.obstacle, Some(Obstacle::Memory));
    owner.pass(Span::from_millis(2_000));
    // Where memory is short nothing is kept of what has ended.
    let given_up: BTreeSet<TaskId> = (owner.commands.iter())
        .filter_map(|command| match command {
            Command::Expire { tasks } => Some(tasks),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    assert_eq!(given_up, (0..20).map(task).collect());
    assert_eq!(owner.scheduler.put_away().1, 0);
}

#[test]
fn one_that_is_stopped_is_not_started() {
    let (mut owner, store) = owner(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 3);
    owner.submit(delayed(0, 2, Options::default()));
    owner.ask(Ask::Cancel { task: task(0) });
    assert_eq!(owner.partition().state(task(0)), Some(State::Cancelled));
    let asked = owner.ask(Ask::Show { task: task(1) });
    let answers = owner.answers(asked);
    let [Answer::View(view)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((view.state, owner.scheduler.put_away().1), (State::Scheduled, 1));
    owner.pass(HOUR);
    owner.pass(Span::from_millis(1_000));
    assert_eq!(owner.partition().state(task(0)), Some(State::Cancelled));
    assert_eq!(owner.partition().state(task(1)), Some(State::Leased));
    assert_eq!(store.bytes(), 0);
}

#[test]
fn a_list_reads_no_more_than_it_may() {
    let (mut owner, store) = owner(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 0);
    let count = COLD_LOOKS_MAX as u64 + 2_000;
    for first in (0..count).step_by(1_000) {
        owner.submit(delayed(first, (count - first).min(1_000), Options::default()));
    }
    assert_eq!(owner.scheduler.put_away().1 as u64, count);
    let mut list = |state: Option<State>, queue: Option<&str>, labels: Labels| {
        let states = state.map_or(States::ALL, States::from);
        let before = store.uses().1;
        let queue = queue.map(str::to_owned);
        let asked =
            owner.ask(Ask::List(Filter { states, queue, limit: 10, labels, ..Filter::default() }));
        let answers = owner.answers(asked);
        let [Answer::Tasks { tasks, partitions_missing: 1, cut_before, .. }] = &answers[..] else {
            panic!("the other partition of its cluster is nobody's: {answers:?}")
        };
        (tasks.len(), *cut_before, store.uses().1 - before)
    };
    assert_eq!(list(None, None, Labels::NONE), (10, None, 10));
    assert_eq!(list(Some(State::Ready), None, Labels::NONE), (0, None, 0));
    assert_eq!(list(None, Some("other"), Labels::NONE), (0, None, 0));
    let labels: Labels = "of=nobody".parse().unwrap();
    let looks = COLD_LOOKS_MAX as u64;
    // From there on the next goes on, and comes to an end.
    let cut = list(None, None, labels.clone());
    assert_eq!(cut, (0, Some(task(count - looks)), looks));
    let rest = Filter { before: cut.1, labels, ..Filter::default() };
    let asked = owner.ask(Ask::List(rest));
    let answers = owner.answers(asked);
    assert!(matches!(&answers[..], [Answer::Tasks { cut_before: None, .. }]), "{answers:?}");
    assert_eq!(store.uses().1, 10 + count);
}

#[test]
fn a_list_looks_at_no_more_than_it_may() {
    let (mut owner, _) = owner(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 0);
    let count = LOOKS_MAX as u64 + 1_464;
    for first in (0..count).step_by(1_000) {
        let tasks = (first..(first + 1_000).min(count)).map(task);
        owner.submit(batch(template("add"), tasks));
    }
    let mut list = |name: &str, before| {
        let name = Some(name.to_owned());
        let asked = owner.ask(Ask::List(Filter { name, before, limit: 10, ..Filter::default() }));
        match &owner.answers(asked)[..] {
            [Answer::Tasks { tasks, cut_before, .. }] => (tasks.len(), *cut_before),
            answers => panic!("no list: {answers:?}"),
        }
    };
    assert_eq!(list("add", None), (10, None), "it need not look far");
    let cut = list("nobody", None);
    assert_eq!(cut, (0, Some(task(count - LOOKS_MAX as u64))));
    assert_eq!(list("nobody", cut.1), (0, None), "from there it comes to the end");
}

#[test]
fn nothing_comes_of_a_step_in_which_one_is_damaged() {
    let (mut owner, store) = owner(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 3);
    owner.submit(delayed(0, 2, Options::default()));
    let (bytes, fill) = (owner.partition().to_bytes(), owner.partition().fill());
    store.wipe();
    owner.said.clear();
    owner.commands.clear();
    let asked = owner.ask(Ask::Show { task: task(1) });
    assert!(owner.answers(asked).is_empty(), "nobody is told that there is no such task");
    assert!(matches!(owner.said[..], [Effect::Damaged(_)]), "{:?}", owner.said);
    assert_eq!(owner.scheduler.next_deadline(), Tick::NEVER);
    owner.said.clear();
    owner.advance(HOUR);
    owner.step(Event::Due);
    owner.submit(delayed(2, 1, Options::default()));
    assert!(
        owner.said.is_empty() && owner.commands.is_empty(),
        "nor does it ever do anything again"
    );
    // Another one that is built from what was durable has them all.
    let (again, _) = super::cold::owner(&Partition::from_bytes(&bytes).unwrap());
    assert_eq!((again.partition().fill(), again.scheduler.put_away().1), (fill, 2));
}
