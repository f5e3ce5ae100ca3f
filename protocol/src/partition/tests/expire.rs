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
