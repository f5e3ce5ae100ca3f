//! Clusters whose processes are told to stop, one after the other and at times together: nothing
//! fails, so nothing runs twice.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test for people to run")]

use std::collections::BTreeMap;

use umbel_tests::{Plan, run};

/// Seeds of the test command.
const SEEDS: u64 = 16;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn processes_that_are_told_to_stop_leave_in_order() {
    let first = number("UMBEL_FIRST").unwrap_or(0);
    let seeds = number("UMBEL_SEEDS").unwrap_or(SEEDS);
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in first..first + seeds {
        let report = run(Plan::of_leaving(seed), false).unwrap_or_else(|v| panic!("{v}"));
        report.seen.into_iter().for_each(|(what, count)| *seen.entry(what).or_default() += count);
    }
    println!("{seeds} seeds: {seen:?}");
    assert!(seen.contains_key("orderly end"), "no process leaves: this proves nothing");
    let impatient = seen.get("end without patience").copied().unwrap_or(0);
    assert_eq!(impatient, 0, "some process could not hand over what it had");
}

/// The world of `UMBEL_SEED`, with all that happens in it.
#[test]
fn replay() {
    let seed = number("UMBEL_SEED");
    let result = run(Plan::of_leaving(seed.unwrap_or(0)), seed.is_some());
    result.unwrap_or_else(|violation| panic!("{violation}"));
}
