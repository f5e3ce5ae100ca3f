//! Keys of which there is one task at a time.

use super::*;
use crate::limits::UNIQUES_KEPT_MAX;
use crate::task::{Particulars, View};

struct Said<'a> {
    key: &'a str,
    scope: UniqueScope,
    policy: UniquePolicy,
}

fn said(key: &str) -> Said<'_> {
    Said { key, scope: UniqueScope::UntilFinished, policy: UniquePolicy::Existing }
}

impl Owner {
    /// Hands in a task called `name`; its id, or why it was not taken.
    fn hand_in_one(&mut self, name: &str, said: &Said<'_>) -> Result<TaskId, Refusal> {
        let id = self.id();
        let options = Options {
            unique_scope: Some(said.scope),
            unique_policy: Some(said.policy),
            ..tried(3).options
        };
        let template = Template { name: name.to_owned(), ..with(options) };
        let particulars =
            Particulars { unique_key: Some(said.key.into()), ..Particulars::NONE }.boxed();
        let row = Row { particulars, ..Row::new(id, 0, args()) };
        let batch = Arc::new(Batch { templates: vec![template], rows: vec![row] });
        let changes = self.order(Command::Accept { batch, grants: Vec::new() });
        let Some(Change::Accepted { refused, .. }) = changes.last() else { panic!("{changes:?}") };
        refused.first().map_or(Ok(id), |(_, refusal)| Err(*refusal))
    }

    fn one(&mut self, said: &Said<'_>) -> Result<TaskId, Refusal> {
        self.hand_in_one("shop.send", said)
    }

    fn ends_well(&mut self, task: TaskId) {
        let token = self.lease(task, executor(1));
        self.report(executor(1), task, token, succeeded());
    }
}

#[test]
fn a_key_is_of_tasks_of_one_name() {
    let mut owner = Owner::new();
    let task = owner.one(&said("a")).unwrap();
    assert_eq!(owner.one(&said("a")), Err(Refusal::Exists { task }));
    assert!(owner.one(&said("b")).is_ok(), "that is another key");
    assert!(owner.hand_in_one("shop.bill", &said("a")).is_ok(), "and that another name");
}

#[test]
fn whatever_ends_its_task_frees_a_key() {
    let mut owner = Owner::new();
    let one = |owner: &mut Owner| owner.one(&said("a")).unwrap();
    let task = one(&mut owner);
    owner.ends_well(task);
    let task = one(&mut owner);
    owner.cancel(task);
    let task = one(&mut owner);
    let token = owner.lease(task, executor(1));
    assert_eq!(owner.one(&said("a")), Err(Refusal::Exists { task }), "it runs");
    owner.report(executor(1), task, token, failed(FailureKind::Error));
    assert_eq!(owner.state(task), State::Scheduled);
    assert_eq!(owner.one(&said("a")), Err(Refusal::Exists { task }), "it will run again");
    owner.clock = owner.not_before(task);
    let token = owner.lease(task, executor(1));
    owner.report(executor(1), task, token, failed(FailureKind::Permanent));
    let last = one(&mut owner);
    assert_ne!(last, task);
}

#[test]
fn a_key_may_be_free_as_soon_as_its_task_starts() {
    let mut owner = Owner::new();
    let waiting = Said { scope: UniqueScope::UntilStarted, ..said("a") };
    let first = owner.one(&waiting).unwrap();
    assert_eq!(owner.one(&waiting), Err(Refusal::Exists { task: first }));
    let token = owner.lease(first, executor(1));
    let second = owner.one(&waiting).unwrap();
    // That the first waits again does not take the key from the second.
    owner.order(Command::Release { runs: vec![(first, token)] });
    assert_eq!(owner.one(&waiting), Err(Refusal::Exists { task: second }));
    owner.cancel(first);
    assert_eq!(owner.one(&waiting), Err(Refusal::Exists { task: second }));
    owner.cancel(second);
    assert!(owner.one(&waiting).is_ok());
}

#[test]
fn a_key_may_be_kept_for_a_time_whatever_becomes_of_its_task() {
    let mut owner = Owner::new();
    let kept = Said { scope: UniqueScope::For(ms(5_000)), ..said("a") };
    let task = owner.one(&kept).unwrap();
    owner.ends_well(task);
    owner.wait(ms(4_999));
    assert_eq!(owner.one(&kept), Err(Refusal::Exists { task }));
    owner.order(Command::Forget { finished: each(1), floor: Wall::EPOCH });
    assert_eq!(owner.one(&kept), Err(Refusal::Exists { task }), "even if it is forgotten");
    let read = Partition::from_bytes(&owner.partition.to_bytes()).unwrap();
    assert_eq!(read.to_bytes(), owner.partition.to_bytes());
    owner.partition = read;
    assert_eq!(owner.one(&kept), Err(Refusal::Exists { task }), "or the state was read anew");
    owner.wait(ms(1));
    let task = owner.one(&kept).unwrap();
    owner.wait(ms(60_000));
    assert_eq!(owner.one(&kept), Err(Refusal::Exists { task }), "not before it has ended");
    owner.ends_well(task);
    assert!(owner.one(&kept).is_ok());
    assert!(owner.partition.fill().key_bytes > 0);
    owner.wait(ms(5_000));
    owner.order(Command::Expire { tasks: Vec::new() });
    assert_eq!(owner.partition.fill().key_bytes, 0, "what is over takes no room");
}

#[test]
fn none_takes_the_place_of_one_that_has_ended_within_the_time_of_its_key() {
    let mut owner = Owner::new();
    let policy = UniquePolicy::Replace;
    let kept = Said { scope: UniqueScope::For(ms(5_000)), policy, ..said("a") };
    let task = owner.one(&kept).unwrap();
    owner.ends_well(task);
    assert_eq!(owner.one(&kept), Err(Refusal::NotUnique { task }));
    owner.wait(ms(5_000));
    assert!(owner.one(&kept).is_ok());
}

#[test]
fn a_task_may_take_the_place_of_another_that_waits() {
    let mut owner = Owner::new();
    let replacing = Said { policy: UniquePolicy::Replace, ..said("a") };
    let first = owner.one(&replacing).unwrap();
    let second = owner.one(&replacing).unwrap();
    assert_eq!(owner.state(first), State::Cancelled);
    let why = View::of(first, owner.record(first)).error.unwrap();
    assert_eq!(why.kind, FailureKind::Dropped);
    assert!(why.message.contains(&second.to_string()), "{why:?}");
    owner.lease(second, executor(1));
    assert_eq!(owner.one(&replacing), Err(Refusal::NotUnique { task: second }), "it runs");
}

#[test]
fn a_task_that_was_replaced_keeps_its_key_no_longer() {
    let mut owner = Owner::new();
    let kept = Said { scope: UniqueScope::For(ms(600_000)), ..said("a") };
    let first = owner.one(&kept).unwrap();
    let replacing = Said { policy: UniquePolicy::Replace, ..said("a") };
    let second = owner.one(&replacing).unwrap();
    assert_eq!(owner.state(first), State::Cancelled);
    assert_eq!(owner.one(&said("a")), Err(Refusal::Exists { task: second }));
    owner.ends_well(second);
    assert_eq!(owner.partition.fill().key_bytes, 0);
    let third = owner.one(&kept).unwrap();
    let fourth = owner.one(&Said { policy: UniquePolicy::Replace, ..kept }).unwrap();
    owner.ends_well(fourth);
    let told = owner.one(&said("a"));
    assert_eq!(told, Err(Refusal::Exists { task: fourth }), "not {third}");
}

#[test]
fn a_task_may_be_refused_that_is_not_the_only_one() {
    let mut owner = Owner::new();
    let strict = Said { policy: UniquePolicy::Refuse, ..said("a") };
    let task = owner.one(&strict).unwrap();
    assert_eq!(owner.one(&strict), Err(Refusal::NotUnique { task }));
}

#[test]
fn what_is_refused_for_another_reason_replaces_nothing() {
    let mut owner = Owner::new();
    let replacing = Said { policy: UniquePolicy::Replace, ..said("a") };
    let task = owner.one(&replacing).unwrap();
    let clock = owner.clock;
    owner.clock = clock + ms(900_000);
    let early = owner.id();
    owner.clock = clock;
    let options = Options { unique_policy: Some(UniquePolicy::Replace), ..tried(3).options };
    let particulars = Particulars { unique_key: Some("a".into()), ..Particulars::NONE }.boxed();
    let row = Row { particulars, ..Row::new(early, 0, args()) };
    let batch = Arc::new(Batch { templates: vec![with(options)], rows: vec![row] });
    owner.order(Command::Accept { batch, grants: Vec::new() });
    assert_eq!((owner.partition.record(early), owner.state(task)), (None, State::Ready));
}

#[test]
fn keys_that_are_kept_are_limited() {
    let mut owner = Owner::new();
    let hour = UniqueScope::For(ms(3_600_000));
    for n in 0..UNIQUES_KEPT_MAX {
        let key = n.to_string();
        owner.partition.uniques.fill_in_test(&key, owner.clock + ms(1_000));
    }
    assert_eq!(owner.one(&Said { scope: hour, ..said("x") }), Err(Refusal::TooManyKeys));
    let task = owner.one(&said("x")).expect("others are not in the way");
    let replacing = Said { scope: hour, policy: UniquePolicy::Replace, ..said("x") };
    assert_eq!(owner.one(&replacing), Err(Refusal::TooManyKeys));
    assert_eq!(owner.state(task), State::Ready, "what is refused replaces nothing");
    assert_eq!(owner.one(&Said { scope: hour, ..said("x") }), Err(Refusal::Exists { task }));
    owner.wait(ms(1_000));
    assert!(owner.one(&Said { scope: hour, ..said("y") }).is_ok());
}

#[test]
fn what_was_turned_away_stays_away() {
    let mut owner = Owner::new();
    let first = owner.one(&said("a")).unwrap();
    let batch = owner.batch_of_one("a");
    let id = batch.rows[0].id;
    let refusal = Refusal::Exists { task: first };
    assert_eq!(owner.again(&batch), Some(refusal));
    owner.ends_well(first);
    // Whoever passed it on repeats it, long after its key became free.
    assert_eq!(owner.again(&batch), Some(refusal));
    owner.partition = Partition::from_bytes(&owner.partition.to_bytes()).unwrap();
    assert_eq!(owner.again(&batch), Some(refusal), "though the state was read anew");
    assert_eq!(owner.partition.turned_away(id), Some(refusal));
    assert_eq!(owner.partition.fill().stubs, 2);
    owner.order(Command::Forget { finished: Shelves::default(), floor: id.made_at() });
    assert_eq!(owner.partition.fill().stubs, 0);
    assert_eq!(owner.again(&batch), Some(Refusal::TooOld), "and never runs after that either");
}

#[test]
fn what_was_turned_away_is_limited() {
    let mut owner = Owner::new();
    owner.partition.limits.stubs = 9;
    owner.one(&said("a")).unwrap();
    let batches: Vec<Batch> = (0..9)
        .map(|_| {
            owner.clock = owner.clock + ms(10);
            let batch = owner.batch_of_one("a");
            assert!(matches!(owner.again(&batch), Some(Refusal::Exists { .. })));
            assert!(owner.partition.fill().stubs <= 9);
            batch
        })
        .collect();
    assert_eq!(owner.again(&batches[0]), Some(Refusal::TooOld));
    assert!(matches!(owner.again(&batches[8]), Some(Refusal::Exists { .. })));
}

impl Owner {
    /// A batch of one task with `key`, which was not handed in yet.
    fn batch_of_one(&mut self, key: &str) -> Batch {
        let template = Template { name: "shop.send".to_owned(), ..tried(3) };
        let particulars = Particulars { unique_key: Some(key.into()), ..Particulars::NONE };
        let row = Row { particulars: particulars.boxed(), ..Row::new(self.id(), 0, args()) };
        Batch { templates: vec![template], rows: vec![row] }
    }

    /// Hands in a batch of one task, perhaps not for the first time; why it was refused.
    fn again(&mut self, batch: &Batch) -> Option<Refusal> {
        let batch = Arc::new(batch.clone());
        let changes = self.order(Command::Accept { batch, grants: Vec::new() });
        let Some(Change::Accepted { refused, .. }) = changes.last() else { panic!("{changes:?}") };
        refused.first().map(|(_, refusal)| *refusal)
    }
}
