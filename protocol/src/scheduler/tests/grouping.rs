//! Tasks that belong together are counted together, wherever they are.

use std::sync::Arc;

use super::lone_owner::{LoneOwner, PARTITION, START, batch, task, template};
use crate::cold::{Cold, MemoryColdStore};
use crate::id::{TaskGroupId, TaskId};
use crate::limits::{Limits, RETENTION};
use crate::partition::Partition;
use crate::task::{Batch, Filter, Outcome, Particulars, State, TaskGroup, TaskGroupView};
use crate::time::Span;
use crate::wire::{Answer, Ask, ExecutorSays};

const GROUP: TaskGroupId = TaskGroupId::new(START, 7);

fn of_group(id: TaskGroupId, tasks: impl IntoIterator<Item = TaskId>, size: u32) -> Batch {
    let mut batch = batch(template("add"), tasks);
    for row in &mut batch.rows {
        let group = Some(TaskGroup { id, size });
        row.particulars = Particulars { group, ..Particulars::NONE }.boxed();
    }
    batch
}

fn counted(owner: &mut LoneOwner, group: TaskGroupId) -> TaskGroupView {
    let asked = owner.ask(Ask::TaskGroup { group });
    let answers = owner.answers(asked);
    let [Answer::TaskGroup { view, partitions_missing: 1 }] = answers[..] else {
        panic!("the other partition is nobody's: {answers:?}")
    };
    *view
}

#[test]
fn a_group_is_counted_as_its_tasks_go_along() {
    let mut owner = LoneOwner::over(&Partition::new(PARTITION));
    owner.introduce(owner.lessee(), 2);
    owner.submit(of_group(GROUP, (1..=4).map(task), 5));
    owner.submit(of_group(TaskGroupId::new(START, 8), [task(9)], 0));
    let view = counted(&mut owner, GROUP);
    assert_eq!((view.running, view.ready, view.open()), (2, 2, 4));
    assert_eq!((view.size, view.known()), (5, 4));
    assert_eq!(view.awaited, Some(task(4)), "the last in line");

    let lessee = owner.lessee();
    let outcomes = vec![(task(1), owner.token(task(1)), Outcome::Succeeded("1".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee, outcomes });
    for n in 2..=4 {
        owner.ask(Ask::Cancel { task: task(n) });
    }
    let view = counted(&mut owner, GROUP);
    assert_eq!((view.succeeded, view.stopped, view.open()), (1, 2, 1));
    assert_eq!(view.awaited, Some(task(2)), "it runs, and is to stop");
    let outcomes = vec![(task(2), owner.token(task(2)), Outcome::Cancelled)];
    owner.executor(ExecutorSays::Outcomes { lessee, outcomes });
    let view = counted(&mut owner, GROUP);
    assert_eq!((view.known(), view.open(), view.awaited), (4, 0, None));
    assert_eq!(counted(&mut owner, TaskGroupId::new(START, 8)).known(), 1);

    owner.pass(RETENTION);
    owner.pass(Span::from_millis(180_000));
    assert_eq!(counted(&mut owner, GROUP), TaskGroupView::default(), "nothing is left of it");
}

#[test]
fn a_group_outlives_its_owner() {
    let mut before = LoneOwner::over(&Partition::new(PARTITION));
    before.introduce(before.lessee(), 0);
    before.submit(of_group(GROUP, (1..=4).map(task), 4));
    before.ask(Ask::Cancel { task: task(3) });
    let mut owner = LoneOwner::over(before.partition());
    let view = counted(&mut owner, GROUP);
    assert_eq!((view.size, view.ready, view.stopped), (4, 3, 1));
}

#[test]
fn the_tasks_of_a_group_are_listed_without_a_look_at_others() {
    let partition = Partition::new(PARTITION);
    let cold = Cold::new(Arc::new(MemoryColdStore::default()));
    let mut owner = LoneOwner::with_cold(&partition, Limits::default(), cold);
    owner.introduce(owner.lessee(), 1);
    owner.submit(of_group(GROUP, (1..=3).map(task), 0));
    let other = TaskGroupId::new(START, 8);
    owner.submit(of_group(other, (4..=6).map(task), 0));
    let mut delayed = of_group(GROUP, (7..=8).map(task), 0);
    for template in &mut delayed.templates {
        template.options.delay = Span::from_millis(3_600_000);
    }
    owner.submit(delayed);
    owner.ask(Ask::Cancel { task: task(2) });
    assert_eq!(owner.partition().cold(), 2);

    let mut listed = |filter: Filter| -> Vec<TaskId> {
        let asked = owner.ask(Ask::List(filter));
        match &owner.answers(asked)[..] {
            [Answer::Tasks { tasks, .. }] => tasks.iter().map(|view| view.id).collect(),
            answers => panic!("no list: {answers:?}"),
        }
    };
    let of = |group| Filter { group: Some(group), ..Filter::default() };
    assert_eq!(listed(of(GROUP)), [8, 7, 3, 2, 1].map(task));
    assert_eq!(listed(of(other)), [6, 5, 4].map(task));
    assert_eq!(listed(of(TaskGroupId::new(START, 9))), []);
    assert_eq!(listed(Filter { limit: 2, before: Some(task(8)), ..of(GROUP) }), [7, 3].map(task));
    let in_state = |state: State| Filter { states: state.into(), ..of(GROUP) };
    assert_eq!(listed(in_state(State::Scheduled)), [8, 7].map(task));
    assert_eq!(listed(in_state(State::Cancelled)), [task(2)]);
    let elsewhere = Filter { queue: Some("elsewhere".to_owned()), ..of(GROUP) };
    assert_eq!(listed(elsewhere), []);
}
