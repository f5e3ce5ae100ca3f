//! Tasks that did not start in time.

use super::*;

fn expire(owner: &mut Owner, tasks: &[TaskId]) -> Vec<Change> {
    owner.order(Command::Expire { tasks: tasks.to_vec() })
}

#[test]
fn what_waits_is_given_up_when_its_time_has_passed() {
    let mut owner = Owner::new();
    let expires_at = Some(START + ms(1_000));
    let ready = owner.submit(&expiring(START + ms(1_000)));
    let scheduled =
        owner.submit(&with(Options { expires_at, delay: ms(9_000), ..Options::default() }));
    let tasks = [ready, scheduled];
    owner.wait(ms(999));
    assert_eq!(expire(&mut owner, &tasks), []);
    owner.wait(ms(1));
    assert_eq!(expire(&mut owner, &tasks), tasks.map(|task| Change::Finished { task }));
    assert!(tasks.iter().all(|task| owner.state(*task) == State::Expired));
}

#[test]
fn the_owner_cannot_expire_what_has_no_such_time() {
    let mut owner = Owner::new();
    let task = owner.submit(&plain());
    let unknown = owner.id();
    owner.wait(ms(1 << 40));
    assert_eq!(expire(&mut owner, &[task, unknown]), []);
    assert_eq!(owner.state(task), State::Ready);
}

#[test]
fn a_task_that_has_started_runs_on() {
    let mut owner = Owner::new();
    let expires_at = START + ms(1_000);
    let (task, token) = owner.run(&expiring(expires_at), executor(1));
    owner.wait(ms(5_000));
    assert_eq!(expire(&mut owner, &[task]), []);
    owner.report(executor(1), task, token, succeeded());
    assert_eq!(owner.state(task), State::Succeeded);
}

#[test]
fn what_has_ended_does_not_expire() {
    let mut owner = Owner::new();
    let task = owner.submit(&expiring(START + ms(1_000)));
    owner.cancel(task);
    owner.wait(ms(5_000));
    assert_eq!(expire(&mut owner, &[task, task]), []);
    assert_eq!(owner.state(task), State::Cancelled);
}

#[test]
fn the_time_to_start_is_counted_from_when_it_may() {
    let mut owner = Owner::new();
    let expires = Some(ms(1_000));
    let at_once = owner.submit(&with(Options { expires, ..Options::default() }));
    let later = owner.submit(&with(Options { expires, delay: ms(9_000), ..Options::default() }));
    owner.wait(ms(1_000));
    assert_eq!(expire(&mut owner, &[at_once, later]), [Change::Finished { task: at_once }]);
    owner.wait(ms(8_999));
    assert_eq!(expire(&mut owner, &[later]), []);
    owner.wait(ms(1));
    assert_eq!(expire(&mut owner, &[later]), [Change::Finished { task: later }]);
    assert_eq!(owner.state(later), State::Expired);
}

#[test]
fn the_earlier_of_two_times_counts() {
    let mut owner = Owner::new();
    let options = Options { expires_at: Some(START + ms(500)), ..Options::default() };
    let task = owner.submit(&with(Options { expires: Some(ms(1_000)), ..options }));
    owner.wait(ms(500));
    assert_eq!(expire(&mut owner, &[task]), [Change::Finished { task }]);
}

fn due_within(deadline: Span) -> Template {
    with(Options { deadline: Some(deadline), attempts_max: Some(5), ..Options::default() })
}

#[test]
fn what_waits_at_its_deadline_is_dead() {
    let mut owner = Owner::new();
    let task = owner.submit(&due_within(ms(1_000)));
    owner.wait(ms(999));
    assert_eq!(expire(&mut owner, &[task]), []);
    owner.wait(ms(1));
    let changes = owner.order(Command::Lease { lessee: executor(1), tasks: vec![task] });
    assert_eq!(changes, [Change::NotLeased { task, lessee: executor(1) }], "nor does it start");
    assert_eq!(expire(&mut owner, &[task]), [Change::Finished { task }]);
    let Phase::Dead(failure) = owner.record(task).phase() else { panic!("it lives") };
    assert_eq!(failure.kind, FailureKind::Deadline);
}

#[test]
fn what_runs_at_its_deadline_is_ended_by_its_executor() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&due_within(ms(1_000)), executor(1));
    owner.wait(ms(1_000));
    assert_eq!(expire(&mut owner, &[task]), [], "the owner leaves it alone");
    owner.report(executor(1), task, token, failed(FailureKind::Deadline));
    assert_eq!(owner.state(task), State::Dead, "there is no other attempt");
}

#[test]
fn an_attempt_that_would_come_too_late_is_not_waited_for() {
    let mut owner = Owner::new();
    let (task, token) = owner.run(&due_within(ms(60_000)), executor(1));
    owner.wait(ms(50_000));
    let outcome =
        |pause| Outcome::Deferred { failure: failure(FailureKind::Error), pause: ms(pause) };
    owner.report(executor(1), task, token, outcome(9_999));
    assert_eq!(owner.state(task), State::Scheduled);
    owner.clock = owner.not_before(task);
    let token = owner.lease(task, executor(1));
    owner.report(executor(1), task, token, outcome(1));
    let Phase::Dead(failure) = owner.record(task).phase() else { panic!("it lives") };
    assert_eq!(failure.kind, FailureKind::Error);
    assert!(failure.message.ends_with("(no time is left for another attempt)"), "{failure:?}");
    assert!(failure.detail().is_some());
}
