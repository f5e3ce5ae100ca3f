//! Records that are put away: nobody can tell but by what they take.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::history::{Entry, logs};
use super::*;
use crate::cold::{Cold, ColdStore as _, MemoryColdStore};
use crate::task::Particulars;

const MINUTE: Span = ms(60_000);
const HOUR: Span = ms(3_600_000);

impl Owner {
    /// One that puts away what waits for longer than a minute.
    fn cold() -> (Self, Arc<MemoryColdStore>) {
        let store = Arc::new(MemoryColdStore::default());
        let cold = Cold::with_times(store.clone(), MINUTE, ms(10_000));
        let partition = Partition::new(PARTITION).with_cold(&cold);
        (Self { partition, ..Self::new() }, store)
    }
}

/// What a partition with a store of that room makes of a log, compared with one that keeps all in memory;
/// how many records were put away and how many were read.
fn compared(log: &[Entry], room: u64, turns: &[u8]) -> (u64, u64) {
    let store = Arc::new(MemoryColdStore::with_room(room));
    let cold = || Cold::with_times(store.clone(), Span::ZERO, Span::ZERO);
    let mut plain = Partition::new(PARTITION);
    let mut other = Partition::new(PARTITION).with_cold(&cold());
    for (at, entry) in log.iter().enumerate() {
        let apply = |partition: &mut Partition| {
            let mut changes = Vec::new();
            partition.apply(entry.index, entry.term, entry.proposal.clone(), &mut changes);
            changes
        };
        assert_eq!(apply(&mut plain), apply(&mut other), "entry {}", entry.index);
        assert_counted(&other);
        assert_eq!(plain.fill(), other.fill());
        assert!(plain.to_bytes() == other.to_bytes(), "entry {}", entry.index);
        assert_eq!(plain.memory(), plain.fill().weight());
        assert_eq!(other.memory() < plain.memory(), other.cold() > 0);
        let cold_ones = || other.records().filter(|(task, _)| other.is_cold(*task));
        assert_eq!(cold_ones().count(), other.cold());
        assert!(cold_ones().all(|(task, record)| {
            record.history.is_none() && other.state(task) == Some(State::Scheduled)
        }));
        let backwards: Vec<TaskId> = other.records().rev().map(|(task, _)| task).collect();
        for middle in backwards.iter().step_by(3) {
            let before = |task: &&TaskId| *task < middle;
            let found = other.found_before(Some(*middle)).rev().map(|(task, _)| task);
            assert!(found.eq(backwards.iter().filter(before).copied()));
        }
        assert!(plain.records().rev().map(|(task, _)| task).eq(backwards));
        match turns.get(at % turns.len().max(1)) {
            Some(0) => {
                let cold_before = other.cold();
                let due = other.now() + ms(10_000);
                let warmed = other.warm(due, 3);
                assert_eq!(other.cold() + warmed.len(), cold_before);
                let is_due = |(task, record): (TaskId, Look<'_>)| {
                    other.is_cold(task) && (record.waits_since() <= due || record.is_overdue(due))
                };
                assert!(warmed.len() == 3 || !other.records().any(is_due));
                assert!(warmed.iter().all(|task| !other.is_cold(*task)));
            }
            Some(1) => {
                let bytes = other.to_bytes();
                other = Partition::from_bytes_with(&bytes, Some(&cold())).unwrap();
            }
            Some(2) => {
                let copy = other.clone();
                assert!(copy.cold() == 0 && copy.to_bytes() == other.to_bytes());
            }
            Some(_) | None => {}
        }
    }
    let uses = store.uses();
    drop(other);
    assert_eq!(store.bytes(), 0, "the room is given back");
    uses
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_partition_that_puts_records_away_decides_the_same(
        log in logs(),
        room in prop_oneof![Just(u64::MAX), 0..2_000_u64],
        turns in prop::collection::vec(0..9_u8, 1..30),
    ) {
        compared(&log, room, &turns);
    }
}

#[test]
fn generated_logs_put_records_away_and_read_them() {
    let (mut runner, logs) = (TestRunner::deterministic(), logs());
    let (mut put, mut read) = (0, 0);
    for _ in 0..150 {
        let log = logs.new_tree(&mut runner).unwrap().current();
        let uses = compared(&log, u64::MAX, &[3, 0, 3, 3, 1, 3, 3, 3, 3, 2]);
        put += uses.0;
        read += uses.1;
    }
    assert!(put > 100 && read > 2_000, "{put} were put away, {read} were read");
}

#[test]
fn only_what_waits_for_long_and_has_done_nothing_else_is_put_away() {
    let (mut owner, store) = Owner::cold();
    let soon = owner.submit(&delayed(MINUTE));
    let late = owner.submit(&delayed(ms(60_001)));
    let options =
        Options { expires_at: Some(START + ms(30_000)), delay: HOUR, ..Options::default() };
    let given_up_soon = owner.submit(&with(options));
    let ready = owner.submit(&plain());
    let retried = with(Options {
        backoff_first: Some(HOUR),
        backoff_max: Some(HOUR),
        attempts_max: Some(9),
        ..Options::default()
    });
    let (again, token) = owner.run(&retried, executor(1));
    owner.report(executor(1), again, token, failed(FailureKind::Error));
    assert_eq!(owner.state(again), State::Scheduled);
    let is_cold = |task| owner.partition.is_cold(task);
    assert_eq!(
        [soon, late, given_up_soon, ready, again].map(is_cold),
        [false, true, false, false, false]
    );
    assert_eq!((owner.partition.cold(), store.uses().0), (1, 1));
}

#[test]
fn it_is_warmed_in_time_and_not_before() {
    let (mut owner, store) = Owner::cold();
    let tasks: Vec<TaskId> =
        (0..10).map(|n| owner.submit(&delayed(ms(3_600_000 + n * 1_000)))).collect();
    let before = owner.partition.memory();
    // Each has a template of its own, which stays.
    assert!(before + 10 * 150 < owner.partition.fill().weight());
    let due = START + HOUR;
    assert_eq!(owner.partition.next_cold(), Some(due));
    assert_eq!(owner.partition.warm(due - ms(1), 99), []);
    assert_eq!(owner.partition.warm(due + ms(3_500), 2), tasks[..2]);
    assert_eq!(owner.partition.warm(due + ms(3_500), 99), tasks[2..4]);
    assert_eq!(owner.partition.cold(), 6);
    assert!(owner.partition.next_cold().unwrap() <= due + ms(4_000));
    assert_eq!(owner.partition.warm(due + ms(3_500), 99), []);
    assert_eq!(owner.partition.next_cold(), Some(due + ms(4_000)));
    owner.partition.warm(due + HOUR, 99);
    assert_eq!((owner.partition.next_cold(), store.bytes()), (None, 0));
    assert_eq!(owner.partition.memory(), owner.partition.fill().weight());
    owner.wait(HOUR);
    owner.lease(tasks[0], executor(1));
}

#[test]
fn whatever_becomes_of_it_becomes_of_it_where_it_is() {
    let (mut owner, store) = Owner::cold();
    let one = |owner: &mut Owner| {
        let task = owner.submit(&delayed(HOUR));
        assert!(owner.partition.is_cold(task));
        task
    };
    let stopped = one(&mut owner);
    assert_eq!(owner.cancel(stopped), [Change::Finished { task: stopped }]);
    assert_eq!(owner.state(stopped), State::Cancelled);

    let again = one(&mut owner);
    assert_eq!(owner.hand_in(again, &delayed(HOUR)), Ok(false));
    assert_eq!(owner.hand_in(again, &plain()), Err(Refusal::Conflict));
    let too_early = owner.order(Command::Lease { lessee: executor(1), tasks: vec![again] });
    assert_eq!(too_early, [Change::NotLeased { task: again, lessee: executor(1) }]);
    assert_eq!(owner.order(Command::Expire { tasks: vec![again] }), []);
    let token = Token { term: 1, index: 1, position: 0 };
    owner.report(executor(1), again, token, succeeded());
    // None of that was told to anybody who would set a timer for it.
    assert!(owner.partition.is_cold(again));
    owner.wait(HOUR);
    owner.lease(again, executor(1));
    assert!(!owner.partition.is_cold(again) && store.bytes() == 0);

    let options = Options { expires: Some(HOUR), delay: HOUR, ..Options::default() };
    let expired = owner.submit(&with(options));
    owner.wait(HOUR);
    owner.wait(HOUR);
    assert_eq!(
        owner.order(Command::Expire { tasks: vec![expired] }),
        [Change::Finished { task: expired }]
    );
    assert_eq!(store.bytes(), 0);
}

#[test]
fn a_unique_key_is_held_by_what_is_put_away() {
    let (mut owner, _) = Owner::cold();
    let mut submit = |policy| {
        let id = owner.id();
        let options = Options { unique_policy: Some(policy), delay: HOUR, ..Options::default() };
        let particulars = Particulars { unique_key: Some("a".into()), ..Particulars::NONE }.boxed();
        let row = Row { particulars, ..Row::new(id, 0, args()) };
        let batch = Arc::new(Batch { templates: vec![with(options)], rows: vec![row] });
        let changes = owner.order(Command::Accept { batch, grants: Vec::new() });
        let Some(Change::Accepted { refused, .. }) = changes.last() else { panic!("{changes:?}") };
        let refused = refused.first().map(|(_, refusal)| *refusal);
        (id, refused, owner.partition.cold())
    };
    let (first, refused, cold) = submit(UniquePolicy::Existing);
    assert_eq!((refused, cold), (None, 1));
    assert_eq!(submit(UniquePolicy::Existing).1, Some(Refusal::Exists { task: first }));
    let (second, refused, cold) = submit(UniquePolicy::Replace);
    assert_eq!((refused, cold), (None, 1));
    assert_eq!(submit(UniquePolicy::Refuse).1, Some(Refusal::NotUnique { task: second }));
    assert_eq!(owner.state(first), State::Cancelled);
}

#[test]
fn what_there_is_no_room_for_stays_in_memory() {
    let store = Arc::new(MemoryColdStore::with_room(200));
    let cold = Cold::with_times(store.clone(), MINUTE, ms(0));
    let partition = Partition::new(PARTITION).with_cold(&cold);
    let mut owner = Owner { partition, ..Owner::new() };
    let tasks: Vec<TaskId> = (0..20).map(|_| owner.submit(&delayed(HOUR))).collect();
    let cold = owner.partition.cold();
    assert!((1..20).contains(&cold) && store.bytes() <= 200, "{cold} are put away");
    assert!(tasks.iter().all(|task| owner.partition.record(*task).is_some()));
    owner.wait(HOUR);
    owner.order(Command::Lease { lessee: executor(1), tasks: tasks.clone() });
    assert!(tasks.iter().all(|task| owner.state(*task) == State::Leased));
}

#[test]
fn a_template_is_kept_as_long_as_one_that_is_put_away_has_it() {
    let (mut owner, _) = Owner::cold();
    let kinds: Vec<Template> = (0..5).map(|n| delayed(ms(3_600_000 + n))).collect();
    let tasks: Vec<TaskId> = (0..20).map(|n| owner.submit(&kinds[n % kinds.len()])).collect();
    assert_eq!((owner.partition.cold(), owner.partition.templates.len()), (20, 5));
    for task in &tasks[..15] {
        owner.cancel(*task);
        assert_counted(&owner.partition);
    }
    owner.order(Command::Forget { finished: each(99), floor: Wall::EPOCH });
    assert_eq!((owner.partition.cold(), owner.partition.templates.len()), (5, 5));
    for task in &tasks[15..] {
        owner.cancel(*task);
    }
    owner.order(Command::Forget { finished: each(99), floor: Wall::EPOCH });
    assert_eq!(owner.partition.templates.len(), 0);
}

#[test]
fn what_is_damaged_is_never_made_up() {
    let store = Arc::new(MemoryColdStore::default());
    let cold = Cold::with_times(store.clone(), MINUTE, ms(0));
    let partition = Partition::new(PARTITION).with_cold(&cold);
    let mut owner = Owner { partition, ..Owner::new() };
    let task = owner.submit(&delayed(HOUR));
    assert!(owner.partition.record(task).is_some() && cold.damage().is_none());
    store.wipe();
    assert!(owner.partition.record(task).is_none());
    assert!(cold.damage().is_some(), "whoever asked knows that it must not rely on that");
    assert_eq!(owner.partition.warm(START + HOUR, 9), []);
    assert_eq!(owner.partition.cold(), 1, "nor does it seem as if it had never been");
}
