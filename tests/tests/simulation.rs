//! Clusters from seeds: any range of them, one of them again, and with known bugs put in.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test for people to run")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

use umbel_tests::{Plan, Report, Sabotage, Violation, run};

/// Seeds of the test command: enough of each kind of faults, in well under two minutes.
const SEEDS: u64 = 200;

/// What must happen in some of these seeds.
const SEEN: [&str; 21] = [
    "blackout",
    "bridge",
    "checkpoint",
    "connection breaks",
    "conflict",
    "crash",
    "cut",
    "forgotten",
    "frame of an old connection",
    "full node",
    "group asleep",
    "last loss",
    "pause",
    "relayed dispatch",
    "relayed outcome",
    "silent crash",
    "slow disk",
    "state sent",
    "state waits",
    "too early",
    "too old",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the plans of `seeds` seeds on two threads until one fails.
fn run_all(first: u64, seeds: u64) -> Result<Report, Box<Violation>> {
    let next = AtomicU64::new(first);
    let (failures, failed) = mpsc::channel();
    let sum = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let failures = failures.clone();
            let (next, sum) = (&next, &sum);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    match run(Plan::of(seed), false) {
                        Ok(report) => {
                            let mut sum = sum.lock().expect("nobody panics with it");
                            sum.tasks += report.tasks;
                            sum.runs += report.runs;
                            sum.steps += report.steps;
                            sum.seconds += report.seconds;
                            for (what, count) in report.seen {
                                *sum.seen.entry(what).or_default() += count;
                            }
                        }
                        Err(violation) => {
                            println!("{violation}\n");
                            failures.send(violation).expect("it is received below");
                            if number("UMBEL_KEEP_GOING").is_none() {
                                next.store(first + seeds, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    drop(failures);
    match failed.into_iter().next() {
        Some(violation) => Err(violation),
        None => Ok(sum.into_inner().expect("nobody panicked")),
    }
}

#[test]
fn clusters_keep_their_promises() {
    let seeds = number("UMBEL_SEEDS").unwrap_or(SEEDS);
    let first = number("UMBEL_FIRST").unwrap_or(0);
    let report = run_all(first, seeds).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{seeds} seeds: {report:?}");
    if seeds >= SEEDS {
        let missing: Vec<_> = SEEN.iter().filter(|what| !report.seen.contains_key(*what)).collect();
        assert!(missing.is_empty(), "no seed reaches {missing:?}: it proves nothing about them");
    }
}

/// The world of `UMBEL_SEED`, with all that happens in it.
#[test]
fn replay() {
    let seed = number("UMBEL_SEED");
    let sabotage = std::env::var("UMBEL_SABOTAGE").ok();
    let sabotage = sabotage.map(|name| Sabotage::named(&name).expect("it is one of ours"));
    let plan = Plan { sabotage, ..Plan::of(seed.unwrap_or(0)) };
    let result = run(plan.clone(), seed.is_some());
    if seed.is_some() {
        println!("{plan:?}\n{result:?}");
    }
    result.unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn a_seed_decides_everything() {
    let runs = |seed| run(Plan { is_fingerprinted: true, ..Plan::of(seed) }, false);
    let fingerprint = |seed| runs(seed).expect("it holds").fingerprint;
    for seed in [4, 8, 9, 10] {
        assert_eq!(fingerprint(seed), fingerprint(seed), "seed {seed} leads to two histories");
    }
}

/// Runs seeds with a bug put in until an invariant speaks up: one of these.
fn finds(sabotage: Sabotage, invariants: &[&str]) {
    finds_in((0..60).map(Plan::of), sabotage, invariants);
}

/// As [`finds`], in worlds of these plans.
fn finds_in(plans: impl Iterator<Item = Plan>, sabotage: Sabotage, invariants: &[&str]) {
    let mut worlds = 0;
    let found = plans.into_iter().find_map(|plan| {
        worlds += 1;
        run(Plan { sabotage: Some(sabotage), ..plan }, false).err()
    });
    println!("{sabotage:?} is found in world {worlds}: {found:?}");
    let violation = found.expect("the bug is found");
    let named = invariants.iter().any(|name| violation.what.starts_with(name));
    assert!(named, "found for another reason: {violation}");
}

#[test]
fn finds_a_disk_that_answers_too_early() {
    finds(Sabotage::EarlyDisk, &["nothing_unsynced_is_promised", "leased_runs_only"]);
}

#[test]
fn finds_a_disk_that_forgets() {
    finds(Sabotage::ForgetfulDisk, &["nothing_unsynced_is_promised", "leased_runs_only"]);
}

#[test]
fn finds_executors_that_deny_what_they_hold() {
    finds(Sabotage::LostHolds, &["second_run_after_loss", "leased_runs_only"]);
}

#[test]
fn finds_submissions_that_count_twice() {
    // Which of these is first is up to chance: what is submitted once more runs once more, is taken
    // under two ids, or runs under one of them when the other was stopped.
    let all = ["second_run_after_loss", "exactly_one_run", "submitted_once", "leased_runs_only"];
    finds(Sabotage::NoDedup, &all);
}

#[test]
fn finds_runs_that_start_twice() {
    finds(Sabotage::DoubleStart, &["second_run_after_loss", "exactly_one_run"]);
}

#[test]
fn finds_answers_that_come_too_early() {
    finds(Sabotage::EagerAnswer, &["nothing_unsynced_is_promised"]);
}

#[test]
fn finds_failures_that_are_told_as_successes() {
    finds(Sabotage::FalseSuccess, &["every_task_ends"]);
}

#[test]
fn finds_votes_that_are_given_twice() {
    // Of two leaders of one term each may grant what the other's followers never had.
    finds(Sabotage::FreeVotes, &["one_owner", "leased_runs_only"]);
}

#[test]
fn finds_relays_that_give_nothing_on() {
    // Elsewhere cuts heal before anybody misses what was not relayed.
    let bridged = (0..).map(Plan::of).filter(|plan| plan.faults.is_bridged_only());
    finds_in(bridged.take(60), Sabotage::MuteRelays, &["relayed_in_time"]);
}
