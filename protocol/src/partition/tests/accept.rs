//! Taking tasks in: once each, and only what can be told from what ran already.

use super::super::Grant;
use super::*;
use crate::limits::{DELAY_MAX, ID_AHEAD_MAX, PARTITION_BYTES_MAX, PARTITION_TASKS_MAX};

#[test]
fn submitting_twice_is_submitting_once_wherever_the_task_is() {
    let mut owner = Owner::new();
    let delayed = delayed(ms(5_000));
    let scheduled = owner.submit(&delayed);
    let ready = owner.submit(&plain());
    let (leased, _) = owner.run(&plain(), executor(1));
    let succeeded = owner.finished();
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    let rows = [
        (scheduled, &delayed),
        (ready, &plain()),
        (leased, &plain()),
        (succeeded, &plain()),
        (cancelled, &plain()),
    ];
    assert_unchanged(&mut owner, |owner| {
        let changes = owner.accept(&rows);
        let [Change::Accepted { refused, known, .. }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((refused.len(), *known), (0, 5));
    });
}

#[test]
fn a_forgotten_task_is_still_known() {
    let mut owner = Owner::new();
    let task = owner.finished();
    owner.order(Command::Forget { finished: each(1), floor: Wall::EPOCH });
    assert!(owner.partition.record(task).is_none());
    assert_unchanged(&mut owner, |owner| {
        assert_eq!(owner.hand_in(task, &plain()), Ok(false));
        // Nothing is left to compare with.
        assert_eq!(owner.hand_in(task, &tried(9)), Ok(false));
    });
}

#[test]
fn a_batch_that_holds_a_task_twice_takes_it_once() {
    let mut owner = Owner::new();
    let task = owner.id();
    let other = tried(9);
    let changes = owner.accept(&[(task, &plain()), (task, &plain()), (task, &other)]);
    let refused = vec![(2, Refusal::Conflict)];
    let accepted = Change::Accepted { ordinal: 0, refused, known: 1, unused: Vec::new() };
    assert_eq!(changes, [Change::Ready { task }, accepted]);
    assert_eq!(owner.partition.fill().open, 1);
}

#[test]
fn the_same_id_with_another_specification_is_a_conflict() {
    let mut owner = Owner::new();
    let waiting = owner.submit(&plain());
    let ended = owner.finished();
    let others = [
        Template { name: "shop.refund".to_owned(), ..plain() },
        Template { queue: "mail".to_owned(), ..plain() },
        with(Options { priority: Some(9), ..Options::default() }),
        delayed(ms(1)),
    ];
    for task in [waiting, ended] {
        assert_unchanged(&mut owner, |owner| {
            for other in &others {
                assert_eq!(owner.hand_in(task, other), Err(Refusal::Conflict), "{other:?}");
            }
            let batch = Arc::new(Batch::one(task, plain(), Bytes::from_static(b"[1,2,4]")));
            let changes = owner.order(Command::Accept { batch, grants: Vec::new() });
            let refused = vec![(0, Refusal::Conflict)];
            let accepted = Change::Accepted { ordinal: 0, refused, known: 0, unused: Vec::new() };
            assert_eq!(changes, [accepted]);
        });
    }
}

#[test]
fn an_id_that_may_have_run_already_never_runs_again() {
    let mut owner = Owner::new();
    let task = owner.finished();
    let at_floor = owner.id();
    let floor = owner.clock;
    owner.wait(ms(1));
    let above = owner.id();
    owner.order(Command::Forget { finished: each(1), floor });
    assert_eq!(owner.partition.stub(task), None);
    assert_unchanged(&mut owner, |owner| {
        for _ in 0..2 {
            assert_eq!(owner.hand_in(task, &plain()), Err(Refusal::TooOld));
            assert_eq!(owner.hand_in(at_floor, &plain()), Err(Refusal::TooOld));
        }
    });
    assert_eq!(owner.hand_in(above, &plain()), Ok(true));
}

#[test]
fn a_task_on_record_is_known_however_old_its_id_is() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.wait(ms(5_000));
    let floor = owner.clock;
    owner.order(Command::Forget { finished: each(0), floor });
    assert!(task.made_at() < owner.partition.dedup_floor());
    assert_eq!(owner.hand_in(task, &plain()), Ok(false));
    assert_eq!(owner.hand_in(task, &tried(9)), Err(Refusal::Conflict));
}

#[test]
fn an_id_from_too_far_ahead_is_too_early_until_its_time_comes() {
    let mut owner = Owner::new();
    let limit = TaskId::new(owner.clock + ID_AHEAD_MAX, PARTITION, 1);
    let ahead = TaskId::new(owner.clock + ID_AHEAD_MAX + ms(1), PARTITION, 2);
    // The time of the entry itself counts, not that of the one before it.
    assert_eq!(owner.partition.now(), Wall::EPOCH);
    assert_eq!(owner.hand_in(limit, &plain()), Ok(true));
    assert_eq!(owner.hand_in(ahead, &plain()), Err(Refusal::TooEarly));
    owner.wait(ms(1));
    assert_eq!(owner.hand_in(ahead, &plain()), Ok(true));
}

#[test]
fn a_task_of_another_partition_is_refused() {
    let mut owner = Owner::new();
    let stray = TaskId::new(owner.clock, PartitionId(8), 1);
    assert_eq!(owner.hand_in(stray, &plain()), Err(Refusal::WrongPartition));
}

/// Hands in one row where the counts were set by hand; why it was refused, and whether it was known.
fn hand_in_when_full(owner: &mut Owner, id: TaskId) -> (Option<Refusal>, bool) {
    match owner.write_uncounted(vec![accept(&[(id, &plain())])]).pop() {
        Some(Change::Accepted { refused, known, .. }) => {
            (refused.first().map(|(_, refusal)| *refusal), known == 1)
        }
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_partition_full_of_tasks_is_overloaded_until_one_ends() {
    let mut owner = Owner::new();
    let (first, token) = owner.run(&plain(), executor(1));
    // As if all others were there.
    owner.partition.tally.open = PARTITION_TASKS_MAX - 1;
    let (last, excess) = (owner.id(), owner.id());
    assert_eq!(hand_in_when_full(&mut owner, last), (None, false));
    assert_eq!(hand_in_when_full(&mut owner, excess), (Some(Refusal::Overloaded), false));
    // What it has it still knows, and what runs may end.
    assert_eq!(hand_in_when_full(&mut owner, first), (None, true));
    let reports = vec![Report { task: first, token, outcome: succeeded() }];
    owner.write_uncounted(vec![Command::Report { lessee: executor(1), reports }]);
    assert_eq!(owner.state(first), State::Succeeded);
    assert_eq!(hand_in_when_full(&mut owner, excess), (None, false));
}

#[test]
fn there_is_room_for_a_whole_batch_or_for_none_of_it() {
    let mut owner = Owner::new();
    owner.partition.tally.open = PARTITION_TASKS_MAX - 1;
    let batch: Vec<_> = std::iter::repeat_with(|| (owner.id(), plain())).take(3).collect();
    let rows: Vec<_> = batch.iter().map(|(id, spec)| (*id, spec)).collect();
    let mut refused_by = |rows: &[_]| match owner.write_uncounted(vec![accept(rows)]).pop() {
        Some(Change::Accepted { refused, known, .. }) => (refused.len(), known),
        other => panic!("no answer: {other:?}"),
    };
    assert_eq!(refused_by(&rows), (0, 0), "there was room when the first was taken in");
    let fresh = (TaskId::new(START, PARTITION, 99), plain());
    let more: Vec<_> = rows.iter().copied().chain([(fresh.0, &fresh.1)]).collect();
    assert_eq!(refused_by(&more), (1, 3));
}

#[test]
fn a_partition_full_of_bytes_is_overloaded() {
    let mut owner = Owner::new();
    let (known, token) = owner.run(&plain(), executor(1));
    let (fresh, next) = (owner.id(), owner.id());
    owner.partition.tally.bytes = PARTITION_BYTES_MAX;
    assert_eq!(hand_in_when_full(&mut owner, fresh), (Some(Refusal::Overloaded), false));
    assert_eq!(hand_in_when_full(&mut owner, known), (None, true));
    owner.partition.tally.bytes = PARTITION_BYTES_MAX - 1;
    assert_eq!(hand_in_when_full(&mut owner, fresh), (None, false));
    assert_eq!(hand_in_when_full(&mut owner, next), (Some(Refusal::Overloaded), false));
    // An outcome is never refused.
    let reports = vec![Report { task: known, token, outcome: succeeded() }];
    owner.write_uncounted(vec![Command::Report { lessee: executor(1), reports }]);
    assert_eq!(owner.state(known), State::Succeeded);
}

#[test]
fn granted_slots_go_to_the_first_rows_that_can_use_them() {
    let mut owner = Owner::new();
    let known = owner.submit(&plain());
    let delayed = delayed(ms(5_000));
    let [a, b, later, c] = [(); 4].map(|()| owner.id());
    let stray = TaskId::new(owner.clock, PartitionId(8), 1);
    let rows = [known, stray, a, later, b, c].map(|id| (id, plain()));
    let rows =
        rows.each_ref().map(|(id, plain)| (*id, if *id == later { &delayed } else { plain }));
    let grants =
        vec![Grant { lessee: executor(1), rows: 1 }, Grant { lessee: executor(2), rows: 1 }];
    let changes = owner.order(Command::Accept { batch: Arc::new(batch(&rows)), grants });
    let token = |position| Token { term: owner.term, index: owner.index, position };
    assert_eq!(
        changes,
        [
            Change::Leased { task: a, token: token(0), lessee: executor(1) },
            Change::Scheduled { task: later, not_before: owner.clock + ms(5_000) },
            Change::Leased { task: b, token: token(1), lessee: executor(2) },
            Change::Ready { task: c },
            Change::Accepted {
                ordinal: 0,
                refused: vec![(1, Refusal::WrongPartition)],
                known: 1,
                unused: Vec::new(),
            },
        ]
    );
}

#[test]
fn slots_that_find_no_row_are_told() {
    let mut owner = Owner::new();
    let known = owner.submit(&plain());
    let task = owner.id();
    let grants =
        vec![Grant { lessee: executor(1), rows: 2 }, Grant { lessee: executor(2), rows: 2 }];
    let rows = batch(&[(known, &plain()), (task, &plain())]);
    let changes = owner.order(Command::Accept { batch: Arc::new(rows), grants });
    let unused = vec![executor(1), executor(2), executor(2)];
    let accepted = Change::Accepted { ordinal: 0, refused: Vec::new(), known: 1, unused };
    assert_eq!(changes.last(), Some(&accepted));
    assert_eq!(owner.state(known), State::Ready);
    assert_eq!(owner.state(task), State::Leased);
}

#[test]
fn a_row_that_comes_too_late_to_start_takes_no_slot() {
    let mut owner = Owner::new();
    let (late, in_time) = (owner.id(), owner.id());
    let rows = [(late, &expiring(START)), (in_time, &expiring(START + ms(1)))];
    let grants = vec![Grant { lessee: executor(1), rows: 2 }];
    let changes = owner.order(Command::Accept { batch: Arc::new(batch(&rows)), grants });
    // The owner gives it up like any that waits too long.
    assert_eq!(changes[0], Change::Ready { task: late });
    assert_eq!(owner.state(in_time), State::Leased);
    let unused = vec![executor(1)];
    let accepted = Change::Accepted { ordinal: 0, refused: Vec::new(), known: 0, unused };
    assert_eq!(changes.last(), Some(&accepted));
    let changes = owner.order(Command::Expire { tasks: vec![late] });
    assert_eq!(changes, [Change::Finished { task: late }]);
}

#[test]
fn a_row_without_its_template_is_passed_over() {
    let mut owner = Owner::new();
    let (whole, broken) = (owner.id(), owner.id());
    let mut batch = batch(&[(broken, &plain()), (whole, &plain())]);
    batch.rows[0].template = 1;
    let changes = owner.order(Command::Accept { batch: Arc::new(batch), grants: Vec::new() });
    assert_eq!(changes[0], Change::Ready { task: whole });
    assert!(owner.partition.record(broken).is_none());
}

#[test]
fn tasks_of_one_kind_share_their_template_and_keep_none_of_the_entry() {
    let mut owner = Owner::new();
    let first = owner.submit(&plain());
    let second = owner.id();
    let entry = Bytes::from(vec![b'7'; 4_096]);
    let batch = Arc::new(Batch::one(second, plain(), entry.slice(100..200)));
    owner.order(Command::Accept { batch, grants: Vec::new() });
    assert!(Arc::ptr_eq(&owner.record(first).template, &owner.record(second).template));
    let args = &owner.record(second).args;
    assert_eq!(*args, entry.slice(100..200));
    assert!(!entry.as_ptr_range().contains(&args.as_ptr()), "the entry lives as long as the task");
}

#[test]
fn a_task_that_is_not_taken_in_leaves_no_template() {
    let mut owner = Owner::new();
    let known = owner.submit(&plain());
    let stray = TaskId::new(owner.clock, PartitionId(8), 1);
    let ahead = TaskId::new(owner.clock + ms(600_000), PARTITION, 1);
    for number in 2..50 {
        for id in [known, stray, ahead] {
            assert!(owner.hand_in(id, &tried(number)).is_err());
        }
    }
    assert_eq!(owner.partition.templates.len(), 1);
}

#[test]
fn the_line_is_first_come_first_served() {
    let mut owner = Owner::new();
    let ids: Vec<TaskId> = (0..4).map(|_| owner.id()).collect();
    // Not in the order of their ids.
    owner.accept(&[(ids[3], &plain()), (ids[1], &plain())]);
    owner.accept(&[(ids[2], &plain()), (ids[0], &plain())]);
    let orders = [3, 1, 2, 0].map(|at: usize| owner.record(ids[at]).order);
    assert!(orders.is_sorted_by(|a, b| a < b), "{orders:?}");
}

fn row_at(id: TaskId, not_before: Wall) -> Row {
    let particulars = Particulars { not_before: Some(not_before), ..Particulars::NONE }.boxed();
    Row { particulars, ..Row::new(id, 0, args()) }
}

fn hand_in_row(owner: &mut Owner, row: Row) -> Vec<Change> {
    let batch = Arc::new(Batch { templates: vec![plain()], rows: vec![row] });
    owner.order(Command::Accept { batch, grants: Vec::new() })
}

#[test]
fn a_task_may_wait_for_a_time_of_its_own() {
    let mut owner = Owner::new();
    let (early, late, far) = (owner.id(), owner.id(), owner.id());
    let at = START + ms(5_000);
    let changes = hand_in_row(&mut owner, row_at(late, at));
    assert_eq!(changes[0], Change::Scheduled { task: late, not_before: at });
    let changes = hand_in_row(&mut owner, row_at(early, START - ms(5_000)));
    assert_eq!(changes[0], Change::Ready { task: early }, "that has come already");
    let changes = hand_in_row(&mut owner, row_at(far, START + DELAY_MAX + ms(1)));
    assert!(matches!(&changes[..], [Change::Accepted { refused, .. }]
        if refused[..] == [(0, Refusal::TooFar)]));
    assert_eq!(owner.partition.record(far), None);
}

#[test]
fn another_time_is_another_task() {
    let mut owner = Owner::new();
    let id = owner.id();
    let at = START + ms(5_000);
    hand_in_row(&mut owner, row_at(id, at));
    let again = hand_in_row(&mut owner, row_at(id, at));
    assert!(matches!(&again[..], [Change::Accepted { known: 1, .. }]));
    let other = hand_in_row(&mut owner, row_at(id, at + ms(1)));
    assert!(matches!(&other[..], [Change::Accepted { refused, .. }]
        if refused[..] == [(0, Refusal::Conflict)]));
    let read = Partition::from_bytes(&owner.partition.to_bytes()).unwrap();
    assert_eq!(read.record(id), owner.partition.record(id), "what is said of it alone is kept");
}
