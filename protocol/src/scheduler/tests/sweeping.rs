//! What waits for tasks that do not wait any more.

use super::lone_owner::{LoneOwner, START, batch, task, template};
use crate::id::TaskId;
use crate::partition::Command;
use crate::task::{Batch, Outcome, State};
use crate::time::Span;
use crate::wire::{Ask, ExecutorSays};

const HOUR: Span = Span::from_millis(3_600_000);
/// More than an owner leaves alone, and fewer than it keeps the results of.
const MANY: u64 = 3_000;

fn timers(owner: &LoneOwner) -> usize {
    owner.scheduler.idle().2
}

fn in_line(owner: &LoneOwner) -> usize {
    owner.scheduler.idle().1
}

fn cancel_all(owner: &mut LoneOwner, tasks: std::ops::Range<u64>) {
    for n in tasks {
        owner.ask(Ask::Cancel { task: task(n) });
    }
}

/// Tasks that start in time or not at all, if they may start `delay` after they came.
fn hurried(tasks: std::ops::Range<u64>, delay: Span) -> Batch {
    let mut template = template("add");
    template.options.expires_at = Some(START + HOUR);
    template.options.delay = delay;
    batch(template, tasks.map(task))
}

#[test]
fn timers_of_tasks_that_have_ended_go() {
    let mut owner = LoneOwner::new(0);
    owner.submit(hurried(0..MANY, Span::from_millis(600_000)));
    assert_eq!(timers(&owner), 2 * usize::try_from(MANY).unwrap(), "to start, and to expire");
    owner.submit(hurried(MANY..MANY + 10, Span::from_millis(5_000)));
    cancel_all(&mut owner, 0..MANY);
    owner.pass(Span::from_millis(2_000));
    assert_eq!(timers(&owner), 20);
    // The others are still fired; it is looked once more whether they have expired.
    owner.pass(HOUR.times(2));
    assert_eq!(owner.record(task(MANY)).unwrap().state(), State::Expired);
    assert_eq!(timers(&owner), 0);
}

#[test]
fn a_task_that_waits_again_can_still_expire() {
    let mut owner = LoneOwner::new(u32::try_from(MANY).unwrap());
    owner.submit(hurried(0..MANY, Span::from_millis(1)));
    owner.pass(Span::from_millis(2_000));
    let tokens: Vec<_> = (0..MANY).map(|n| (task(n), owner.token(task(n)))).collect();
    assert_eq!(timers(&owner), 0, "they have started");
    let stopped = |run: &(TaskId, _)| (run.0, run.1, Outcome::Cancelled);
    let outcomes = tokens.iter().map(stopped).collect();
    // The executor ends with all its runs, and its slots are gone.
    owner.executor(ExecutorSays::Outcomes { lessee: owner.lessee(), outcomes });
    assert_eq!(owner.record(task(7)).unwrap().state(), State::Ready);
    assert_eq!(timers(&owner), usize::try_from(MANY).unwrap());
    owner.pass(HOUR);
    let expired = |c: &Command| matches!(c, Command::Expire { .. });
    assert_eq!(
        owner.commands.iter().filter(|c| expired(c)).count(),
        usize::try_from(MANY).unwrap()
    );
}

#[test]
fn tasks_that_were_cancelled_leave_a_line_that_nobody_comes_for() {
    let mut owner = LoneOwner::new(0);
    owner.submit(batch(template("add"), (0..MANY).map(task)));
    owner.submit(batch(template("zip"), (MANY..MANY + 10).map(task)));
    cancel_all(&mut owner, 0..MANY);
    owner.pass(Span::from_millis(2_000));
    assert_eq!(in_line(&owner), 10);
    // These still find whoever comes.
    owner.executor(ExecutorSays::Grant { lessee: owner.lessee(), slots: vec![20] });
    assert!((MANY..MANY + 10).all(|n| owner.record(task(n)).unwrap().state() == State::Leased));
}
