//! When an owner lets its partition forget, and when it leaves it alone.

use bytes::Bytes;

use super::lone_owner::{LoneOwner, PARTITION, START, batch, made, task, template};
use crate::id::{Lessee, TaskId, Token};
use crate::limits::{KEPT, Limits, RETENTION};
use crate::partition::{Command, Grant, Partition, Proposal, Report, Room, Shelves};
use crate::task::{Failure, FailureKind, Options, Outcome, State, Template};
use crate::time::{Span, Wall};
use crate::wire::Ask;

const HOUR: Span = Span::from_millis(3_600_000);
const MINUTE: Span = Span::from_millis(60_000);

fn forgets(owner: &LoneOwner) -> usize {
    owner.commands.iter().filter(|c| matches!(c, Command::Forget { .. })).count()
}

fn apply(partition: &mut Partition, index: u64, at: Wall, commands: Vec<Command>) {
    partition.apply(index, 1, Proposal::new(1, at, commands), &mut Vec::new());
}

#[test]
fn a_task_from_before_the_floor_is_forgotten_once() {
    // A floor that many stubs have moved ahead of the window, and a task from long before it that
    // has ended only now, first of more than are kept.
    let old = made(START - HOUR - HOUR, 0);
    let others = (1..=KEPT.stopped.tasks as u64 + 300).map(task);
    let ended: Vec<_> = std::iter::once(old).chain(others).collect();
    let mut partition = Partition::new(PARTITION);
    let (first, second) = ended.split_at(ended.len() / 2);
    for (index, tasks) in (2..).zip([first, second]) {
        let batch = batch(template("add"), tasks.iter().copied()).into();
        apply(&mut partition, index, START, vec![Command::Accept { batch, grants: vec![] }]);
    }
    let forget_nothing = Command::Forget { finished: Shelves::default(), floor: START - MINUTE };
    apply(&mut partition, 4, START, vec![forget_nothing]);
    let cancels = ended.iter().map(|task| Command::Cancel { task: *task }).collect();
    apply(&mut partition, 5, START, cancels);

    let mut owner = LoneOwner::over(&partition);
    owner.pass(MINUTE);
    assert_eq!(owner.record(old), None, "it was one too many");
    assert_eq!(forgets(&owner), 1);
}

#[test]
fn an_idle_partition_forgets_as_well() {
    let mut owner = LoneOwner::over(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 0);
    owner.submit(batch(template("add"), [task(1)]));
    owner.ask(Ask::Cancel { task: task(1) });
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Cancelled);
    owner.pass(RETENTION);
    assert!(owner.record(task(1)).is_some());
    owner.pass(MINUTE.times(2));
    assert_eq!(owner.record(task(1)), None, "an hour has passed, though nothing happened in it");
    assert_eq!(owner.partition().stub(task(1)), None, "so has the window for its id");
}

#[test]
fn a_task_is_kept_for_as_long_as_it_says() {
    let mut owner = LoneOwner::over(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 0);
    let kept_for = |retention: Span| {
        let options = Options { retention: Some(retention), ..Options::default() };
        Template { options, ..template("add") }
    };
    for (n, retention) in [(1, MINUTE), (2, HOUR.times(48)), (3, Span::from_millis(1_000))] {
        owner.submit(batch(kept_for(retention), [task(n)]));
        owner.ask(Ask::Cancel { task: task(n) });
    }
    let known = |owner: &LoneOwner| [1, 2, 3].map(|n| owner.record(task(n)).is_some());
    owner.pass(Span::from_millis(900));
    assert_eq!(known(&owner), [true; 3]);
    owner.pass(Span::from_millis(20_000));
    assert_eq!(known(&owner), [true, true, false]);
    assert_eq!(owner.partition().stub(task(3)), Some(State::Cancelled), "it is told from no task");
    owner.pass(MINUTE);
    assert_eq!(known(&owner), [false, true, false]);
    owner.pass(HOUR.times(47));
    assert_eq!(known(&owner), [false, true, false], "all others are gone after an hour");
    owner.pass(HOUR.times(2));
    assert_eq!(known(&owner), [false; 3]);
}

#[test]
fn no_more_say_for_how_long_they_are_kept_than_there_is_room_for() {
    let limits =
        Limits { kept: Shelves::of(|_| Room { tasks: 30, bytes: 1_000_000 }), ..Limits::default() };
    let mut owner = LoneOwner::limited(&Partition::new(PARTITION), limits);
    owner.introduce(owner.lessee(), 0);
    let options = Options { retention: Some(HOUR.times(48)), ..Options::default() };
    owner.submit(batch(Template { options, ..template("add") }, (1..=200).map(task)));
    for n in 1..=200 {
        owner.ask(Ask::Cancel { task: task(n) });
    }
    owner.pass(MINUTE);
    let kept = (1..=200).filter(|n| owner.record(task(*n)).is_some());
    let kept: Vec<u64> = kept.collect();
    assert!((90..=96).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept.last(), Some(&200), "what would go first goes");
}

#[test]
fn a_steady_trickle_is_forgotten_in_bulk() {
    let mut owner = LoneOwner::over(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 0);
    // One task every ten seconds.
    let trickle = |owner: &mut LoneOwner| {
        let id = made(owner.now.wall, 1);
        owner.submit(batch(template("add"), [id]));
        owner.ask(Ask::Cancel { task: id });
        owner.pass(Span::from_millis(10_000));
    };
    (0..360).for_each(|_| trickle(&mut owner));
    assert_eq!(forgets(&owner), 0);
    (0..60).for_each(|_| trickle(&mut owner));
    assert!((8..=10).contains(&forgets(&owner)), "about one a minute, not {}", forgets(&owner));
    assert!(owner.partition().fill().finished.stopped.tasks <= 367);
}

/// Has `tasks` run in one entry, and end with `outcome` in the next.
fn run(partition: &mut Partition, lessee: Lessee, first: u64, tasks: u64, outcome: &Outcome) {
    let index = 2 * first + 2;
    let ids = || (first..first + tasks).map(task);
    let grants = vec![Grant { lessee, rows: u32::try_from(tasks).unwrap() }];
    let batch = batch(template("add"), ids()).into();
    apply(partition, index, START, vec![Command::Accept { batch, grants }]);
    let report = |(position, task): (u32, TaskId)| {
        let token = Token { term: 1, index, position };
        Report { task, token, outcome: outcome.clone() }
    };
    let reports = (0..).zip(ids()).map(report).collect();
    apply(partition, index + 1, START, vec![Command::Report { lessee, reports }]);
}

#[test]
fn many_successes_push_out_no_task_that_is_dead_or_was_stopped() {
    let lessee = LoneOwner::over(&Partition::new(PARTITION)).lessee();
    let mut partition = Partition::new(PARTITION);
    let failure = Failure::new(FailureKind::Permanent, "no luck");
    run(&mut partition, lessee, 1, 3, &Outcome::Failed(failure));
    run(&mut partition, lessee, 4, 1, &Outcome::Succeeded(Bytes::new()));
    let batch = batch(template("add"), [task(5)]).into();
    apply(&mut partition, 12, START, vec![Command::Accept { batch, grants: Vec::new() }]);
    apply(&mut partition, 13, START, vec![Command::Cancel { task: task(5) }]);
    let many = KEPT.succeeded.tasks as u64 + 300;
    run(&mut partition, lessee, 6, many, &Outcome::Succeeded(Bytes::new()));

    let mut owner = LoneOwner::over(&partition);
    owner.pass(MINUTE);
    assert_eq!(owner.record(task(4)), None, "it was one too many");
    let fill = owner.partition().fill();
    assert_eq!(fill.finished.succeeded.tasks, KEPT.succeeded.tasks);
    assert_eq!((fill.finished.dead.tasks, fill.finished.stopped.tasks), (3, 1));
    let states = (1..=3).map(|n| owner.record(task(n)).map(crate::task::Record::state));
    assert!(states.into_iter().all(|state| state == Some(State::Dead)));
}

#[test]
fn many_dead_tasks_are_forgotten_as_well() {
    let lessee = LoneOwner::over(&Partition::new(PARTITION)).lessee();
    let mut partition = Partition::new(PARTITION);
    run(&mut partition, lessee, 1, 1, &Outcome::Succeeded(Bytes::new()));
    let failure = Failure::new(FailureKind::Permanent, "no luck");
    let many = KEPT.dead.tasks as u64 + 300;
    run(&mut partition, lessee, 2, many, &Outcome::Failed(failure));
    let mut owner = LoneOwner::over(&partition);
    owner.pass(MINUTE);
    assert_eq!(owner.record(task(2)), None);
    assert_eq!(owner.partition().fill().finished.dead.tasks, KEPT.dead.tasks);
    assert!(owner.record(task(1)).is_some(), "nor do they push out successes");
}

#[test]
fn large_failures_are_bounded_by_their_bytes() {
    let lessee = LoneOwner::over(&Partition::new(PARTITION)).lessee();
    let mut partition = Partition::new(PARTITION);
    let detail = Bytes::from(vec![b'1'; KEPT.dead.bytes / 100]);
    let failure = Failure::new(FailureKind::Permanent, "no luck").with_detail(detail);
    run(&mut partition, lessee, 1, 120, &Outcome::Failed(failure));
    assert!(partition.fill().finished.dead.bytes > KEPT.dead.bytes);
    let mut owner = LoneOwner::over(&partition);
    owner.pass(MINUTE);
    let dead = owner.partition().fill().finished.dead;
    assert!(dead.bytes <= KEPT.dead.bytes && dead.tasks > 80, "{dead:?}");
}
