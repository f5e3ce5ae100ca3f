//! Giving tasks to executors: only what waits, only when it may start, each under a new token.

use super::*;

#[test]
fn a_task_that_waits_is_given_to_one_executor() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    owner.wait(ms(30));
    let (one, two) = (executor(1), executor(2));
    let changes = owner.write(vec![
        Command::Lease { lessee: one, tasks: vec![task, task] },
        Command::Lease { lessee: two, tasks: vec![task] },
    ]);
    let token = Token { term: owner.term, index: owner.index, position: 0 };
    assert_eq!(
        changes,
        [
            Change::Leased { task, token, lessee: one },
            Change::NotLeased { task, lessee: one },
            Change::NotLeased { task, lessee: two },
        ]
    );
    let lease = Lease { lessee: one, token, since: START + ms(30), cancelling: false };
    assert_eq!(*owner.record(task).phase(), Phase::Leased(Box::new(lease)));
}

#[test]
fn what_does_not_wait_is_not_leased() {
    let mut owner = Owner::new();
    let unknown = owner.id();
    let (running, _) = owner.run(&plain(), executor(1));
    let succeeded = owner.finished();
    let cancelled = owner.submit(&plain());
    owner.cancel(cancelled);
    let forgotten = owner.finished();
    // Three have ended; that one last.
    let tasks = vec![unknown, running, succeeded, cancelled, forgotten];
    assert_unchanged(&mut owner, |owner| {
        let lessee = executor(2);
        let changes = owner.order(Command::Lease { lessee, tasks: tasks.clone() });
        let none: Vec<_> =
            tasks.iter().map(|task| Change::NotLeased { task: *task, lessee }).collect();
        assert_eq!(changes, none);
    });
    owner.order(Command::Forget { finished: each(3), floor: Wall::EPOCH });
    let lessee = executor(2);
    let changes = owner.order(Command::Lease { lessee, tasks: vec![forgotten] });
    assert_eq!(changes, [Change::NotLeased { task: forgotten, lessee }]);
}

#[test]
fn a_delayed_task_starts_when_its_time_has_come() {
    let mut owner = Owner::new();
    let task = owner.submit(&delayed(ms(5_000)));
    assert_eq!(owner.not_before(task), START + ms(5_000));
    let lessee = executor(1);
    owner.wait(ms(4_999));
    let changes = owner.order(Command::Lease { lessee, tasks: vec![task] });
    assert_eq!(changes, [Change::NotLeased { task, lessee }]);
    assert_eq!(owner.state(task), State::Scheduled);
    owner.wait(ms(1));
    owner.lease(task, lessee);
}

#[test]
fn a_task_whose_time_to_start_has_passed_is_not_leased() {
    let mut owner = Owner::new();
    let expires_at = START + ms(1_000);
    let (in_time, late) =
        (owner.submit(&expiring(expires_at)), owner.submit(&expiring(expires_at)));
    let lessee = executor(1);
    owner.wait(ms(999));
    owner.lease(in_time, lessee);
    owner.wait(ms(1));
    let changes = owner.order(Command::Lease { lessee, tasks: vec![late] });
    assert_eq!(changes, [Change::NotLeased { task: late, lessee }]);
    assert_eq!(owner.state(late), State::Ready);
}

#[test]
fn tokens_of_a_task_only_grow() {
    let mut owner = Owner::new();
    let task = owner.submit(&tried(100));
    let mut last = None;
    for round in 0..12 {
        owner.term += round % 3;
        let token = owner.lease(task, executor(u128::from(round)));
        assert!(Some(token) > last, "{token} after {last:?}");
        last = Some(token);
        owner.order(Command::Release { runs: vec![(task, token)] });
    }
}
