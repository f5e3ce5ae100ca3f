//! When an owner lets its partition forget, and when it leaves it alone.

use super::lone_owner::{LoneOwner, PARTITION, START, batch, made, task, template};
use crate::limits::{FINISHED_KEPT_MAX, RETENTION};
use crate::partition::{Command, Partition, Proposal};
use crate::task::State;
use crate::time::{Span, Wall};
use crate::wire::Ask;

const HOUR: Span = Span::from_millis(3_600_000);
const MINUTE: Span = Span::from_millis(60_000);

fn forgets(owner: &LoneOwner) -> usize {
    owner.commands.iter().filter(|c| matches!(c, Command::Forget { .. })).count()
}

fn apply(partition: &mut Partition, index: u64, at: Wall, commands: Vec<Command>) {
    partition.apply(index, 1, Proposal { term: 1, at, commands }, &mut Vec::new());
}

#[test]
fn a_task_from_before_the_floor_is_forgotten_once() {
    // A floor that many stubs have moved ahead of the window, and a task from long before it that
    // has ended only now, first of more than are kept.
    let old = made(START - HOUR - HOUR, 0);
    let others = (1..=FINISHED_KEPT_MAX as u64 + 300).map(task);
    let ended: Vec<_> = std::iter::once(old).chain(others).collect();
    let mut partition = Partition::new(PARTITION);
    let (first, second) = ended.split_at(ended.len() / 2);
    for (index, tasks) in (2..).zip([first, second]) {
        let batch = batch(template("add"), tasks.iter().copied()).into();
        apply(&mut partition, index, START, vec![Command::Accept { batch, grants: vec![] }]);
    }
    apply(&mut partition, 4, START, vec![Command::Forget { finished: 0, floor: START - MINUTE }]);
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
    assert!(owner.partition().fill().finished <= 367);
}
