//! Executors that are gone, or were taken to be: what it costs the tasks that they ran.

use super::*;

const RESTARTED: Loss = Loss::Restarted;
const UNHEARD: Loss = Loss::Unheard;

/// A task that three executors were lost with, the last of them without a word.
fn held(losses: [Loss; 2]) -> (Owner, TaskId) {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.crash(task, executor(1), losses[0]);
    owner.crash(task, executor(2), losses[1]);
    owner.crash(task, executor(3), UNHEARD);
    assert_eq!(owner.state(task), State::Scheduled);
    (owner, task)
}

fn lose(owner: &mut Owner, lessee: Lessee, loss: Loss) -> Vec<Change> {
    owner.order(Command::Lose { lessee, loss, hold: CRASH_HOLD })
}

#[track_caller]
fn assert_dead_of_crashes(owner: &Owner, task: TaskId) {
    let Phase::Dead(failure) = owner.record(task).phase() else {
        panic!("{:?}", owner.record(task).phase())
    };
    assert_eq!(failure.kind, FailureKind::Crashed);
    assert!(failure.message.starts_with("3 nodes were lost"), "{}", failure.message);
}

#[test]
fn a_lost_run_is_given_up_and_its_task_waits_where_it_stood() {
    for (loss, end) in [(RESTARTED, RunEnd::Lost), (UNHEARD, RunEnd::Unheard)] {
        let mut owner = Owner::new();
        let lessee = executor(1);
        let (task, token) = owner.run(&plain(), lessee);
        let place = owner.record(task).order;
        owner.wait(ms(2_000));
        let changes = lose(&mut owner, lessee, loss);
        assert_eq!(changes, [Change::Lost { task, token, lessee }, Change::Ready { task }]);
        assert_eq!(owner.ends(task), [end]);
        let history = owner.history(task);
        assert_eq!((history.crashes, history.failures, history.starts), (1, 0, 1));
        assert_eq!(history.runs[0].finished_at, START + ms(2_000));
        assert_eq!(owner.record(task).order, place);
    }
}

#[test]
fn only_the_runs_of_that_very_start_are_lost() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let others = [
        executor(2),
        Lessee { incarnation: Incarnation(2), ..lessee },
        Lessee { executor: 2, ..lessee },
    ];
    let spared: Vec<_> = others.iter().map(|other| owner.run(&plain(), *other).0).collect();
    let lost = [(); 3].map(|()| owner.run(&plain(), lessee).0);
    let ended = owner.run(&plain(), lessee);
    owner.report(lessee, ended.0, ended.1, succeeded());
    let changes = lose(&mut owner, lessee, RESTARTED);
    assert_eq!(changes.len(), 2 * lost.len());
    assert!(lost.iter().all(|task| owner.state(*task) == State::Ready));
    assert!(spared.iter().all(|task| owner.state(*task) == State::Leased));
    assert_eq!(owner.history(ended.0).crashes, 0);
    assert_unchanged(&mut owner, |owner| assert_eq!(lose(owner, lessee, RESTARTED), []));
}

#[test]
fn the_third_proved_crash_is_the_end() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.crash(task, executor(1), RESTARTED);
    assert_eq!(owner.state(task), State::Ready);
    owner.crash(task, executor(1), RESTARTED);
    let changes = owner.crash(task, executor(2), RESTARTED);
    assert!(changes.contains(&Change::Finished { task }), "{changes:?}");
    assert_dead_of_crashes(&owner, task);
    assert_eq!(owner.history(task).crashes, 3);
}

#[test]
fn tasks_that_were_lost_together_twice_come_back_apart() {
    let mut owner = Owner::new();
    let tasks: Vec<TaskId> = (0..50).map(|_| owner.submit(&plain())).collect();
    for lessee in [executor(1), executor(2)] {
        for task in &tasks {
            assert_eq!(owner.state(*task), State::Ready);
            owner.lease(*task, lessee);
        }
        lose(&mut owner, lessee, RESTARTED);
    }
    let pauses: Vec<Span> =
        tasks.iter().map(|task| owner.not_before(*task).since(owner.clock)).collect();
    assert!(pauses.iter().all(|pause| *pause < CRASH_SPREAD), "{pauses:?}");
    let of_part = |part: u64| {
        let begin = CRASH_SPREAD.as_micros() / 10 * part;
        let end = CRASH_SPREAD.as_micros() / 10 * (part + 1);
        pauses.iter().filter(|pause| (begin..end).contains(&pause.as_micros())).count()
    };
    assert!((0..10).all(|part| of_part(part) < 15), "they are spread: {pauses:?}");
}

#[test]
fn failures_are_no_crashes() {
    let mut owner = Owner::new();
    let task = owner.submit(&tried(10));
    for _ in 0..2 {
        owner.crash(task, executor(1), RESTARTED);
        owner.wait_for_last(task);
        let token = owner.lease(task, executor(1));
        owner.report(executor(1), task, token, failed(FailureKind::Error));
        owner.wait(ms(600_000));
    }
    let history = owner.history(task);
    assert_eq!((history.crashes, history.failures), (2, 2));
    assert_eq!(owner.state(task), State::Scheduled);
}

#[test]
fn a_third_loss_in_doubt_is_held_for_ten_minutes() {
    let (mut owner, task) = held([RESTARTED, RESTARTED]);
    assert_eq!(CRASH_HOLD, ms(600_000));
    assert_eq!(owner.not_before(task), owner.clock + CRASH_HOLD);
    let lessee = executor(4);
    owner.wait(ms(599_999));
    let changes = owner.order(Command::Lease { lessee, tasks: vec![task] });
    assert_eq!(changes, [Change::NotLeased { task, lessee }]);
    assert_eq!(owner.state(task), State::Scheduled);
    // Nobody has come back: it is not risked a fourth time.
    owner.wait(ms(1));
    let changes = owner.order(Command::Lease { lessee, tasks: vec![task] });
    assert_eq!(changes, [Change::Finished { task }, Change::NotLeased { task, lessee }]);
    assert_dead_of_crashes(&owner, task);
    assert_eq!(owner.history(task).starts, 3);
}

#[test]
fn the_owner_hears_of_the_hold() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.crash(task, executor(1), UNHEARD);
    owner.crash(task, executor(2), UNHEARD);
    owner.wait_for_last(task);
    let lessee = executor(3);
    let token = owner.lease(task, lessee);
    let changes = lose(&mut owner, lessee, UNHEARD);
    let not_before = owner.clock + CRASH_HOLD;
    let lost = Change::Lost { task, token, lessee };
    assert_eq!(changes, [lost, Change::Scheduled { task, not_before }]);
}

#[test]
fn a_held_task_dies_when_its_last_loss_is_explained() {
    let (mut owner, task) = held([RESTARTED, RESTARTED]);
    let changes = lose(&mut owner, executor(3), RESTARTED);
    assert_eq!(changes, [Change::Finished { task }]);
    assert_dead_of_crashes(&owner, task);
    assert_eq!(owner.ends(task), [RunEnd::Lost; 3]);
}

#[test]
fn an_explained_loss_is_a_crash_like_before_and_can_no_longer_be_pardoned() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.crash(task, executor(1), UNHEARD);
    assert_eq!(lose(&mut owner, executor(1), RESTARTED), []);
    assert_eq!(owner.ends(task), [RunEnd::Lost]);
    assert_unchanged(&mut owner, |owner| {
        assert_eq!(owner.order(Command::Pardon { lessee: executor(1) }), []);
    });
    assert_eq!(owner.history(task).crashes, 1);
    assert_eq!(owner.state(task), State::Ready);
}

#[test]
fn a_task_dies_only_when_none_of_its_losses_is_in_doubt() {
    let (mut owner, task) = held([UNHEARD, UNHEARD]);
    for lessee in [1, 3] {
        assert_eq!(lose(&mut owner, executor(lessee), RESTARTED), []);
        assert_eq!(owner.state(task), State::Scheduled);
    }
    assert_eq!(owner.ends(task), [RunEnd::Lost, RunEnd::Unheard, RunEnd::Lost]);
    assert_eq!(lose(&mut owner, executor(2), RESTARTED), [Change::Finished { task }]);
    assert_dead_of_crashes(&owner, task);
}

#[test]
fn a_third_loss_beyond_doubt_is_held_for_the_doubts_about_the_earlier() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.crash(task, executor(1), UNHEARD);
    owner.crash(task, executor(2), RESTARTED);
    owner.crash(task, executor(3), RESTARTED);
    assert_eq!(owner.not_before(task), owner.clock + CRASH_HOLD);
    let changes = owner.order(Command::Pardon { lessee: executor(1) });
    assert_eq!(changes, [Change::Ready { task }]);
    assert_eq!(owner.history(task).crashes, 2);
}

#[test]
fn a_pardon_takes_back_what_was_counted() {
    let mut owner = Owner::new();
    let lessee = executor(1);
    let task = owner.submit(&plain());
    owner.crash(task, lessee, UNHEARD);
    owner.crash(task, lessee, UNHEARD);
    let other = owner.submit(&plain());
    owner.crash(other, executor(2), UNHEARD);
    let pardon = |owner: &mut Owner| owner.order(Command::Pardon { lessee });
    // Both wait anyway.
    assert_eq!(pardon(&mut owner), []);
    assert_eq!(owner.ends(task), [RunEnd::CutOff; 2]);
    assert_eq!((owner.history(task).crashes, owner.history(other).crashes), (0, 1));
    assert_unchanged(&mut owner, |owner| assert_eq!(pardon(owner), []));
}

#[test]
fn a_held_task_waits_again_at_once_when_one_of_its_losses_is_pardoned() {
    for back in [2, 3] {
        let (mut owner, task) = held([RESTARTED, UNHEARD]);
        owner.wait(ms(1_000));
        let changes = owner.order(Command::Pardon { lessee: executor(back) });
        assert_eq!(changes, [Change::Ready { task }]);
        assert_eq!(owner.history(task).crashes, 2);
        owner.lease(task, executor(4));
    }
}

#[test]
fn a_pardon_leaves_a_retry_its_pause() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.crash(task, executor(1), UNHEARD);
    let token = owner.lease(task, executor(2));
    owner.report(executor(2), task, token, failed(FailureKind::Error));
    let not_before = owner.not_before(task);
    assert_eq!(owner.order(Command::Pardon { lessee: executor(1) }), []);
    assert_eq!(owner.not_before(task), not_before);
    assert_eq!(owner.history(task).crashes, 0);
}

#[test]
fn nothing_known_later_of_a_loss_moves_a_task_that_has_ended() {
    for command in [
        Command::Pardon { lessee: executor(3) },
        Command::Lose { lessee: executor(3), loss: RESTARTED, hold: CRASH_HOLD },
    ] {
        let (mut owner, task) = held([RESTARTED, RESTARTED]);
        owner.cancel(task);
        assert_eq!(owner.order(command), []);
        assert_eq!(owner.state(task), State::Cancelled);
    }
}

#[test]
fn a_lost_run_that_was_asked_to_stop_is_not_started_again() {
    for loss in [RESTARTED, UNHEARD] {
        let mut owner = Owner::new();
        let lessee = executor(1);
        let (task, token) = owner.run(&plain(), lessee);
        owner.cancel(task);
        let changes = lose(&mut owner, lessee, loss);
        assert_eq!(changes, [Change::Lost { task, token, lessee }, Change::Finished { task }]);
        assert_eq!(owner.state(task), State::Cancelled);
    }
}

#[test]
fn a_held_task_is_ended_by_the_success_of_a_run_that_was_cut_off() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&plain(), executor(1));
    lose(&mut owner, executor(1), UNHEARD);
    owner.crash(task, executor(2), UNHEARD);
    owner.crash(task, executor(3), UNHEARD);
    let changes = owner.report(executor(1), task, token, succeeded());
    assert_eq!(changes[0], Change::Finished { task });
    assert_eq!(owner.state(task), State::Succeeded);
}

#[test]
fn a_task_may_be_allowed_more_losses_or_fewer() {
    for allowed in [1, 2, 5, 16] {
        let mut owner = Owner::new();
        let options = Options { crashes_max: Some(allowed), ..Options::default() };
        let task = owner.submit(&with(options));
        for n in 1..=allowed {
            assert!(!owner.state(task).is_final(), "{n} of {allowed}");
            owner.crash(task, executor(u128::from(n)), Loss::Restarted);
        }
        assert_eq!(owner.state(task), State::Dead, "{allowed}");
        let Phase::Dead(failure) = owner.record(task).phase() else { unreachable!() };
        assert!(failure.message.starts_with(&format!("{allowed} nodes")), "{failure:?}");
    }
}
