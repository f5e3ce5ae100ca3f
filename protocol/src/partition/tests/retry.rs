//! How long a task waits for its next attempt.

use super::*;
use crate::limits::{BACKOFF_FIRST_DEFAULT, BACKOFF_MAX_DEFAULT};

/// The pauses after each of the first `failures` failures of a new task.
fn pauses(owner: &mut Owner, template: &Template, failures: usize) -> Vec<Span> {
    let lessee = executor(1);
    let task = owner.submit(template);
    let mut pauses = Vec::new();
    for _ in 0..failures {
        let token = owner.lease(task, lessee);
        owner.report(lessee, task, token, failed(FailureKind::Error));
        let not_before = owner.not_before(task);
        pauses.push(not_before.since(owner.clock));
        owner.clock = not_before;
    }
    pauses
}

fn retried(first: Option<Span>, max: Option<Span>) -> Template {
    with(Options {
        attempts_max: Some(1_000),
        backoff_first: first,
        backoff_max: max,
        ..Options::default()
    })
}

#[track_caller]
fn assert_between_half_and_all(pause: Span, full: Span) {
    let half = Span::from_micros(full.as_micros() / 2);
    // A pause is told to the millisecond.
    assert!(half.as_millis() <= pause.as_millis() && pause <= full, "{pause:?} of {full:?}");
}

#[test]
fn the_pause_doubles_up_to_its_limit() {
    let mut owner = Owner::new();
    let (first, max) = (ms(100), ms(5_000));
    let mut full = first;
    for pause in pauses(&mut owner, &retried(Some(first), Some(max)), 12) {
        assert_between_half_and_all(pause, full);
        full = full.times(2).min(max);
    }
    assert_eq!(full, max);
}

#[test]
fn the_pause_is_the_default_unless_said() {
    let mut owner = Owner::new();
    let mut full = BACKOFF_FIRST_DEFAULT;
    for pause in pauses(&mut owner, &retried(None, None), 15) {
        assert_between_half_and_all(pause, full);
        full = full.times(2).min(BACKOFF_MAX_DEFAULT);
    }
    assert_eq!(full, BACKOFF_MAX_DEFAULT);
}

#[test]
fn a_limit_below_the_first_pause_does_not_shorten_it() {
    let mut owner = Owner::new();
    for pause in pauses(&mut owner, &retried(Some(ms(9_000)), Some(ms(10))), 4) {
        assert_between_half_and_all(pause, ms(9_000));
    }
}

#[test]
fn no_pause_is_no_pause() {
    let mut owner = Owner::new();
    let pauses = pauses(&mut owner, &retried(Some(Span::ZERO), Some(Span::ZERO)), 4);
    assert_eq!(pauses, [Span::ZERO; 4]);
}

#[test]
fn pauses_beyond_all_measure_stay_in_the_future() {
    let mut owner = Owner::new();
    let ever = Span::from_micros(u64::MAX);
    let template = retried(Some(ms(1)), Some(ever));
    for pause in &pauses(&mut owner, &template, 70)[32..] {
        assert_between_half_and_all(*pause, ms(1 << 32));
    }
    let pauses = pauses(&mut owner, &retried(Some(ever), None), 3);
    assert!(pauses.iter().all(|pause| *pause > ms(1 << 50)), "{pauses:?}");
}

#[test]
fn tasks_that_failed_together_do_not_come_back_together() {
    let mut owner = Owner::new();
    let (first, width) = (ms(100_000), 50_000);
    let mut fourths = [0; 4];
    for _ in 0..400 {
        owner.clock = START;
        let pause = pauses(&mut owner, &retried(Some(first), None), 1)[0];
        fourths[usize::try_from((pause.as_millis() - width) * 4 / (width + 1)).unwrap()] += 1;
    }
    assert!(fourths.iter().all(|tasks| *tasks > 60), "{fourths:?}");
}

#[test]
fn the_pauses_of_one_task_are_not_the_same_part_each_time() {
    let mut owner = Owner::new();
    let pauses = pauses(&mut owner, &retried(Some(ms(60_000)), Some(ms(60_000))), 8);
    let different: BTreeSet<u64> = pauses.iter().map(|pause| pause.as_millis()).collect();
    assert!(different.len() > 6, "{pauses:?}");
}

#[test]
fn every_replica_waits_the_same() {
    let wait = || {
        let mut owner = Owner::new();
        let pauses = pauses(&mut owner, &retried(None, None), 9);
        (pauses, owner.partition.to_bytes())
    };
    assert_eq!(wait(), wait());
    // And so does one of another version: a log must mean the same to both.
    let millis: Vec<u64> = wait().0[..4].iter().map(|pause| pause.as_millis()).collect();
    assert_eq!(millis, [882, 1_285, 2_779, 4_696]);
}

#[test]
fn listed_pauses_are_kept_to_the_millisecond_and_the_last_holds_for_all_that_follow() {
    let mut owner = Owner::new();
    let list = vec![Span::ZERO, ms(1_500), ms(60_000)];
    let options = Options { backoff_list: Some(list), ..Options::default() };
    assert_eq!(options.attempts_max(), 4, "one more than there are pauses");
    let told = pauses(&mut owner, &with(options.clone()), 3);
    assert_eq!(told, [Span::ZERO, ms(1_500), ms(60_000)]);
    let more = with(Options { attempts_max: Some(9), ..options });
    let told = pauses(&mut owner, &more, 5);
    assert_eq!(told, [0, 1_500, 60_000, 60_000, 60_000].map(ms));
}
