//! What becomes one entry fits into a frame.

use bytes::Bytes;

use super::lone_owner::{LoneOwner, START, batch, made, task, template};
use crate::limits::{BATCH_BYTES_MAX, BATCH_TASKS_MAX, DELAY_MAX, ENTRY_BYTES_MAX};
use crate::partition::Command;
use crate::task::{Batch, FilledIn, InvalidBatch, Options, Row, Template};
use crate::time::{Span, Wall};
use crate::wire::{Answer, RequestError, encode};

/// A batch with a template of its own for each task, as long as templates can be.
fn diverse(first: u64, tasks: u64) -> Batch {
    let template = |n: u64| Template {
        name: "add".to_owned(),
        queue: "default".to_owned(),
        options: Options {
            delay: Span::from_millis(3_600_000 + n),
            expires_at: Some(Wall::from_millis(u64::MAX - n)),
            backoff_first: Some(DELAY_MAX),
            backoff_max: Some(DELAY_MAX),
            time_limit: Some(DELAY_MAX),
            attempts_max: Some(1_000),
            priority: Some(9),
            ..Options::default()
        },
        filled_in: FilledIn::default(),
    };
    let rows = (0..).zip(first..first + tasks);
    Batch {
        templates: (first..first + tasks).map(template).collect(),
        rows: rows.map(|(template, n)| Row::new(task(n), template, Bytes::new())).collect(),
    }
}

#[test]
fn many_submissions_that_have_nothing_in_common_are_cut_into_entries_that_fit() {
    let mut owner = LoneOwner::new(0);
    owner.disk_is_stuck = true;
    owner.submit(batch(template("add"), [made(START, u64::MAX)]));
    owner.commands.clear();
    // All of these wait for the disk, and are gathered.
    let tasks = BATCH_TASKS_MAX as u64;
    for turn in 0..40 {
        owner.submit(diverse(turn * tasks, tasks));
    }
    owner.settle();
    assert_eq!(owner.partition().fill().open, 40 * BATCH_TASKS_MAX + 1, "all were taken in");
    assert!(owner.entries_bytes_max <= ENTRY_BYTES_MAX, "{}", owner.entries_bytes_max);
}

#[test]
fn a_batch_is_taken_in_as_a_whole_or_not_at_all() {
    let mut owner = LoneOwner::new(0);
    owner.disk_is_stuck = true;
    owner.submit(batch(template("add"), [made(START, u64::MAX)]));
    owner.commands.clear();
    let tasks = BATCH_TASKS_MAX as u64;
    let batches: Vec<u64> = (0..8).map(|turn| owner.submit(diverse(turn * tasks, tasks))).collect();
    assert_eq!(owner.partition().fill().open, 0, "nothing of them is there before all is durable");
    assert!(batches.iter().all(|asked| owner.answers(*asked).is_empty()));
    owner.settle();
    let rows = owner.commands.iter().filter_map(|command| match command {
        Command::Accept { batch, .. } => Some(batch.rows.len()),
        _ => None,
    });
    assert!(
        rows.eq([BATCH_TASKS_MAX; 8]),
        "each is one command, whatever it shares its entry with"
    );
    let taken = Answer::Submitted { refused: Vec::new(), known: 0 };
    assert!(batches.iter().all(|asked| owner.answers(*asked) == [&taken]));
}

#[test]
fn a_batch_never_takes_more_bytes_than_it_is_said_to() {
    let batch = diverse(u64::from(u32::MAX), 4_096);
    assert!(encode(&batch).len() <= batch.weight());
    assert!(batch.weight() < encode(&batch).len() * 5 / 4, "nor much less");
}

#[test]
fn a_batch_is_too_large_with_what_its_tasks_have_in_common() {
    let mut owner = LoneOwner::new(0);
    let args = Bytes::from(vec![b'1'; 1_000]);
    let mut batch = diverse(0, 4_096);
    batch.rows.iter_mut().for_each(|row| row.args = args.clone());
    assert!(4_096 * args.len() < BATCH_BYTES_MAX);
    let bytes = batch.weight();
    let number = owner.submit(batch);
    let refused = RequestError::Invalid(InvalidBatch::TooManyBytes { bytes });
    assert_eq!(owner.answers(number), [&Answer::Failed(refused)]);
}

#[test]
fn timers_that_fire_together_are_cut_into_entries_as_well() {
    let mut owner = LoneOwner::new(0);
    let expires_at = START + Span::from_millis(5_000);
    let mut template = template("add");
    template.options.expires_at = Some(expires_at);
    for turn in 0..5_u64 {
        let tasks = (turn * 4_000..(turn + 1) * 4_000).map(task);
        owner.submit(batch(template.clone(), tasks));
    }
    owner.commands.clear();
    owner.pass(Span::from_millis(6_000));
    assert_eq!(owner.partition().fill().open, 0, "all have expired");
    let expired = |c: &Command| matches!(c, Command::Expire { .. });
    assert_eq!(owner.commands.iter().filter(|c| expired(c)).count(), 20_000);
    assert!(owner.entries > 1);
}
