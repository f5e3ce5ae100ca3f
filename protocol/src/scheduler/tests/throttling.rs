//! Tasks that share a limit: as many run as may, and the others are in nobody's way.

mod order;

use super::lone_owner::{LoneOwner, PARTITION, batch, profile, task, template};
use crate::id::{TaskId, Token};
use crate::limits::Limits;
use crate::partition::{Command, Partition};
use crate::task::{Batch, Failure, FailureKind, Options, Outcome, Particulars, State, Template};
use crate::time::Span;
use crate::wire::{Answer, Ask, ExecutorSays, RequestError};

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn limited(options: Options, key: &str, tasks: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = batch(Template { options, ..template("add") }, tasks.into_iter().map(task));
    for row in &mut batch.rows {
        let limit_key = Some(key.into());
        row.particulars = Particulars { limit_key, ..Particulars::NONE }.boxed();
    }
    batch
}

fn at_once(concurrency: u16) -> Options {
    Options { concurrency: Some(concurrency), ..Options::default() }
}

fn rated(rate: &str) -> Options {
    Options { rate: rate.parse().ok(), ..Options::default() }
}

/// The owner of the only partition, so all keys live in it.
fn owner(slots: u32) -> LoneOwner {
    over(&Partition::new(PARTITION), slots)
}

fn over(partition: &Partition, slots: u32) -> LoneOwner {
    let mut owner = LoneOwner::one_of(1, partition, Limits::default());
    owner.introduce(owner.lessee(), slots);
    owner
}

impl LoneOwner {
    fn in_state(&self, state: State) -> Vec<TaskId> {
        let all = self.partition().records().filter(|(_, record)| record.state() == state);
        all.map(|(task, _)| task).collect()
    }

    fn running(&self) -> Vec<TaskId> {
        self.in_state(State::Leased)
    }

    fn ends(&mut self, task: TaskId) {
        self.ends_so(task, Outcome::Succeeded("1".into()));
    }

    fn ends_so(&mut self, task: TaskId, outcome: Outcome) {
        let (lessee, token) = (self.lessee(), self.token(task));
        let outcomes: Vec<(TaskId, Token, Outcome)> = vec![(task, token, outcome)];
        self.executor(ExecutorSays::Outcomes { lessee, outcomes });
        self.grant(1);
    }

    fn grant(&mut self, slots: u32) {
        let lessee = self.lessee();
        self.executor(ExecutorSays::Grant { lessee, slots: vec![slots] });
    }

    /// What is about to be leased, or was let go and is gone, keeps no room: the index is empty in the end.
    fn leaves_nothing(&self) {
        assert_eq!((self.scheduler.throttled(), self.scheduler.backlog()), (0, 0));
        assert!(self.scheduler.throttled.is_empty(), "{:?}", self.scheduler.throttled);
    }
}

#[test]
fn as_many_of_a_key_run_as_may_and_others_pass_them() {
    let mut owner = owner(8);
    owner.submit(limited(at_once(2), "a", 1..=5));
    assert_eq!(owner.running(), [task(1), task(2)]);
    assert_eq!((owner.scheduler.throttled(), owner.scheduler.backlog()), (3, 0));
    owner.submit(limited(at_once(1), "b", [6]));
    owner.submit(batch(template("add"), [task(7)]));
    assert_eq!(owner.running(), [task(1), task(2), task(6), task(7)]);
    owner.ends(task(2));
    assert_eq!(owner.running(), [task(1), task(3), task(6), task(7)]);
    for n in [1, 3, 4, 5, 6, 7] {
        owner.ends(task(n));
    }
    assert_eq!(owner.in_state(State::Succeeded).len(), 7);
    owner.leaves_nothing();
}

#[test]
fn those_that_find_no_room_at_the_head_of_the_line_give_their_slots_to_others() {
    let mut owner = owner(0);
    owner.submit(limited(at_once(1), "a", 1..=2));
    let mut of_another_name = limited(at_once(1), "a", [3]);
    of_another_name.templates[0].name = "zip".to_owned();
    owner.submit(of_another_name);
    owner.submit(batch(template("add"), [task(4)]));
    // Of each name one is in line.
    assert_eq!((owner.scheduler.throttled(), owner.scheduler.backlog()), (1, 3));
    owner.grant(3);
    assert_eq!(owner.running(), [task(1), task(4)]);
    owner.ends(task(4));
    assert_eq!(owner.running(), [task(1)], "slots are free, and nobody may have them");
    for n in [1, 2, 3] {
        assert_eq!(owner.running(), [task(n)]);
        owner.ends(task(n));
    }
    owner.leaves_nothing();
}

#[test]
fn a_task_that_is_gone_keeps_nobody_waiting() {
    let mut owner = owner(4);
    owner.submit(limited(at_once(1), "a", 1..=5));
    // One that waits for the limit, and then the one that runs.
    owner.ask(Ask::Cancel { task: task(2) });
    owner.ends(task(1));
    assert_eq!(owner.running(), [task(3)]);
    let failure = Failure::new(FailureKind::Permanent, "no");
    owner.ends_so(task(3), Outcome::Failed(failure));
    assert_eq!(owner.running(), [task(4)]);
    // Nor one that was let go, and found no slot before it was cancelled.
    let mut owner = self::owner(1);
    owner.submit(limited(at_once(1), "a", 1..=4));
    let lessee = owner.lessee();
    let outcomes = vec![(task(1), owner.token(task(1)), Outcome::Succeeded("1".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee, outcomes });
    assert_eq!((owner.scheduler.throttled(), owner.scheduler.backlog()), (2, 1));
    owner.ask(Ask::Cancel { task: task(2) });
    owner.grant(1);
    assert_eq!(owner.running(), [task(3)]);
    owner.ends(task(3));
    owner.ends(task(4));
    owner.leaves_nothing();
}

#[test]
fn one_that_is_about_to_be_leased_keeps_no_room_when_it_is_cancelled_and_dropped_meanwhile() {
    let mut owner = owner(0);
    owner.submit(limited(at_once(1), "a", 1..=3));
    owner.disk_is_stuck = true;
    owner.submit(batch(template("add"), [task(4)]));
    // All in one entry: when nothing comes of the lease, its task is not even on record.
    owner.ask(Ask::Cancel { task: task(1) });
    let dropped = owner.ask(Ask::Delete { task: task(1) });
    owner.grant(1);
    owner.settle();
    assert_eq!((owner.answers(dropped), owner.record(task(1))), (vec![&Answer::Done], None));
    for n in [2, 3] {
        assert_eq!(owner.running(), [task(n)]);
        owner.ends(task(n));
    }
    owner.ends(task(4));
    owner.leaves_nothing();
}

#[test]
fn the_most_urgent_of_a_key_goes_first() {
    let mut owner = owner(4);
    owner.submit(limited(at_once(1), "a", 1..=3));
    owner.submit(limited(Options { priority: Some(9), ..at_once(1) }, "a", [4]));
    for n in [1, 4, 2, 3] {
        assert_eq!(owner.running(), [task(n)]);
        owner.ends(task(n));
    }
}

#[test]
fn a_newcomer_passes_none_that_wait_for_its_limit_though_it_has_room_by_then() {
    let mut owner = owner(4);
    owner.submit(limited(at_once(1), "a", 1..=3));
    owner.disk_is_stuck = true;
    owner.submit(batch(template("add"), [task(4)]));
    // Told, and submitted, while something else is being written: both are in the next entry.
    owner.ends(task(1));
    owner.submit(limited(at_once(1), "a", [5]));
    owner.submit(limited(at_once(1), "b", [6]));
    let before = owner.entries;
    owner.settle();
    assert_eq!(owner.running(), [task(2), task(4), task(6)], "no limit of task 6 is waited for");
    assert_eq!(owner.entries, before + 2, "one for what was told, and one for the next of the key");
    for n in [2, 3, 5] {
        owner.ends(task(n));
    }
    owner.ends(task(4));
    owner.ends(task(6));
    owner.leaves_nothing();
}

#[test]
fn one_that_is_to_run_alone_does() {
    let mut owner = owner(4);
    let alone = || Options { exclusive: Some(true), ..Options::default() };
    owner.submit(limited(at_once(3), "a", 1..=2));
    owner.submit(limited(alone(), "a", [3]));
    assert_eq!(owner.running(), [task(1), task(2)]);
    owner.ends(task(1));
    assert_eq!(owner.running(), [task(2)], "another still runs");
    owner.ends(task(2));
    assert_eq!(owner.running(), [task(3)]);
    owner.submit(limited(at_once(3), "a", [4]));
    assert_eq!(owner.running(), [task(3)], "it keeps out those that would allow it");
    owner.ends(task(3));
    assert_eq!(owner.running(), [task(4)]);
}

#[test]
fn what_fails_and_waits_makes_room() {
    let mut owner = owner(2);
    let options = Options { backoff_first: Some(ms(1_000)), ..at_once(1) };
    owner.submit(limited(options, "a", 1..=2));
    owner.ends_so(task(1), Outcome::Failed(Failure::new(FailureKind::Error, "not now")));
    assert_eq!((owner.running(), owner.in_state(State::Scheduled)), (vec![task(2)], vec![task(1)]));
    owner.pass(ms(1_500));
    assert_eq!(owner.running(), [task(2)], "its time has come, and there is no room");
    owner.ends(task(2));
    assert_eq!(owner.running(), [task(1)]);
}

#[test]
fn so_many_of_a_key_start_in_a_time() {
    let mut owner = owner(1_000);
    owner.submit(limited(rated("20/s"), "a", 1..=200));
    owner.submit(limited(rated("4/s"), "b", 201..=220));
    let of = |owner: &LoneOwner, from: u64, to: u64| {
        let ids = task(from)..=task(to);
        owner.running().iter().filter(|task| ids.contains(task)).count()
    };
    assert_eq!((of(&owner, 1, 200), of(&owner, 201, 220)), (2, 1));
    owner.pass(ms(2_000));
    let (a, b) = (of(&owner, 1, 200), of(&owner, 201, 220));
    assert!((40..=42).contains(&a) && (8..=9).contains(&b), "{a} and {b}");
    // The log knows what has begun: whoever owns it next goes on from there.
    let read = Partition::from_bytes(&owner.partition().to_bytes()).unwrap();
    let begun = read.records().filter(|(_, record)| record.state() == State::Leased).count();
    owner.pass(ms(2_000));
    assert!((80..=82).contains(&of(&owner, 1, 200)));
    assert_eq!(begun, a + b);
}

#[test]
fn a_new_owner_knows_what_runs_of_a_key_and_what_has_begun() {
    let mut first = owner(8);
    first.submit(limited(Options { rate: "1/5s".parse().ok(), ..at_once(2) }, "a", 1..=3));
    assert_eq!(first.running(), [task(1)]);
    let state = first.partition().clone();
    let mut second = over(&state, 8);
    assert_eq!((second.running(), second.scheduler.throttled()), (vec![task(1)], 2));
    second.pass(ms(4_000));
    assert_eq!(second.running(), [task(1)]);
    second.pass(ms(1_500));
    assert_eq!(second.running(), [task(1), task(2)]);
    second.pass(ms(20_000));
    assert_eq!(second.running(), [task(1), task(2)], "two run");
}

#[test]
fn a_limit_that_a_declaration_says_wants_no_more_than_the_key() {
    let mut owner = LoneOwner::one_of(1, &Partition::new(PARTITION), Limits::default());
    let mut profile = profile(4);
    profile.tasks[0].options = at_once(1);
    let lessee = owner.lessee();
    owner.executor(ExecutorSays::Introduce { lessee, profile });
    owner.executor(ExecutorSays::Grant { lessee, slots: vec![4] });
    let asked = owner.submit(limited(Options::default(), "a", 1..=2));
    let taken = Answer::Submitted { refused: Vec::new(), known: 0 };
    assert_eq!(owner.answers(asked), [&taken]);
    assert_eq!(owner.running(), [task(1)]);
    let asked = owner.submit(batch(template("add"), [task(3)]));
    let [Answer::Failed(RequestError::Invalid(why))] = *owner.answers(asked) else {
        panic!("{:?}", owner.answers(asked));
    };
    assert!(why.to_string().contains("without `limit_key`"), "{why}");
}

#[test]
fn a_limit_says_which_tasks_it_is_for() {
    let mut owner = owner(1);
    let bare = Template { options: at_once(1), ..template("add") };
    let number = owner.submit(batch(bare, [task(1)]));
    let [Answer::Failed(RequestError::Invalid(why))] = *owner.answers(number) else {
        panic!("{:?}", owner.answers(number));
    };
    assert!(why.to_string().contains("without `limit_key`"), "{why}");
    let number = owner.submit(limited(Options::default(), "a", [2]));
    let [Answer::Failed(RequestError::Invalid(why))] = *owner.answers(number) else {
        panic!("{:?}", owner.answers(number));
    };
    assert!(why.to_string().contains("`limit_key` without a limit"), "{why}");
    assert!(owner.commands.iter().all(|command| !matches!(command, Command::Accept { .. })));
}
