//! What weighs how much, and how much of it a node holds before it says that it holds too much.

use bytes::Bytes;

use super::lone_owner::{LoneOwner, START, batch, made, task, template};
use crate::id::{NodeId, PartitionId};
use crate::limits::{BATCH_BYTES_MAX, SUBMISSION_BYTES_IN_FLIGHT_MAX};
use crate::scheduler::{Effect, Event};
use crate::task::{Batch, Outcome, Row};
use crate::time::Span;
use crate::wire::{Answer, Ask, ExecutorSays, PeerMessage, RequestError};

const FAR: NodeId = NodeId(9 << 96);
/// Nearly as large as a batch may be. Its arguments are shared: only its weight is large.
const LARGE: usize = BATCH_BYTES_MAX - 10_000;
const FIT: usize = SUBMISSION_BYTES_IN_FLIGHT_MAX / BATCH_BYTES_MAX;

fn large(first: u64, args: &Bytes) -> Batch {
    let row = |n| Row::new(task(first * 4 + n), 0, args.clone());
    Batch { templates: vec![template("add")], rows: (0..4).map(row).collect() }
}

fn args() -> Bytes {
    vec![b'1'; LARGE / 4].into()
}

fn overloaded(answers: &[&Answer]) -> bool {
    matches!(answers, [Answer::Failed(RequestError::Overloaded { .. })])
}

#[test]
fn clients_are_told_when_too_much_of_theirs_waits() {
    let mut owner = LoneOwner::new(0);
    let args = args();
    owner.disk_is_stuck = true;
    owner.submit(batch(template("add"), [made(START, u64::MAX)]));
    let numbers: Vec<u64> = (0..100).map(|n| owner.submit(large(n, &args))).collect();
    let told = numbers.iter().filter(|number| overloaded(&owner.answers(**number))).count();
    assert_eq!(numbers.len() - told, FIT, "the rest is in line");
    // Once they are answered, be it that their time is over, there is room again.
    owner.pass(Span::from_millis(61_000));
    let number = owner.submit(large(1_000, &args));
    assert!(owner.answers(number).is_empty(), "it waits for the disk");
}

#[test]
fn clients_that_wait_for_an_owner_count_and_those_that_left_do_not() {
    let mut owner = LoneOwner::new(0);
    let args = args();
    // Nobody owns this partition.
    let ownerless = |n| {
        let mut batch = large(n, &args);
        let id = |n| crate::id::TaskId::new(START, PartitionId(1), n);
        (0..).zip(&mut batch.rows).for_each(|(place, row)| row.id = id(n * 4 + place));
        batch
    };
    let numbers: Vec<u64> = (0..100).map(|n| owner.submit(ownerless(n))).collect();
    let told = numbers.iter().filter(|number| overloaded(&owner.answers(**number))).count();
    assert_eq!(numbers.len() - told, FIT);
    let number = owner.submit(large(1_000, &args));
    assert!(overloaded(&owner.answers(number)));
    owner.step(Event::CallerGone { session: 1 });
    let number = owner.submit(large(1_000, &args));
    assert!(matches!(owner.answers(number)[..], [Answer::Submitted { .. }]));
}

#[test]
fn other_nodes_are_told_as_well() {
    let mut owner = LoneOwner::new(0);
    let args = args();
    owner.disk_is_stuck = true;
    owner.submit(batch(template("add"), [made(START, u64::MAX)]));
    let pass_on = |owner: &mut LoneOwner, id| {
        let ask = Ask::Submit { batch: large(id, &args).into(), wait: false };
        let deadline = Span::from_millis(60_000);
        owner.peer(FAR, PeerMessage::Ask { id, deadline, ask });
    };
    let answers = |owner: &mut LoneOwner| -> Vec<Answer> {
        let said = std::mem::take(&mut owner.said).into_iter();
        let messages = said.flat_map(|effect| match effect {
            Effect::Send { to: FAR, messages, .. } => messages,
            _ => Vec::new(),
        });
        let answers = messages.filter_map(|message| match message {
            PeerMessage::Answer { answer, .. } => Some(answer),
            _ => None,
        });
        answers.collect()
    };
    (0..100).for_each(|id| pass_on(&mut owner, id));
    let told = answers(&mut owner);
    assert!(told.iter().all(|answer| overloaded(&[answer])));
    assert_eq!(told.len(), 100 - FIT);
    owner.settle();
    let told = answers(&mut owner);
    assert!(!told.is_empty(), "the first of them are on record");
    // There is room for as many again.
    (1_000..1_000 + told.len() as u64).for_each(|id| pass_on(&mut owner, id));
    assert!(!answers(&mut owner).iter().any(|answer| overloaded(&[answer])));
}

#[test]
fn what_a_task_weighs_is_written_down() {
    // All replicas must agree on it, whatever compiler has built them: these numbers stay.
    let mut owner = LoneOwner::new(1);
    let mut one = batch(template("add"), [task(1)]);
    one.rows[0].args = Bytes::from_static(b"[1]");
    owner.submit(one);
    let shared = 320 + "add".len() + "default".len();
    assert_eq!(owner.partition().fill().bytes, shared + 232 + 3 + 80);
    let outcomes = vec![(task(1), owner.token(task(1)), Outcome::Succeeded("5".into()))];
    owner.executor(ExecutorSays::Outcomes { lessee: owner.lessee(), outcomes });
    assert_eq!(owner.partition().fill().bytes, shared + 232 + 3 + 72 + 80 + 1);
}
