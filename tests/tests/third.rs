//! A third of a cluster of thirty fails at once: how soon others own what it had, and what is sent
//! for that.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test for people to run")]

use umbel_tests::faults::COUNTED_FOR;
use umbel_tests::{Plan, run};

/// Seeds of the test command.
const SEEDS: u64 = 2;
/// No group that kept a majority is without an owner for longer, in microseconds.
const OWNED_WITHIN: u64 = 10_000_000;
/// And half of them for no longer than this.
const MEDIAN_WITHIN: u64 = 2_000_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn a_third_of_thirty_fails_at_once() {
    let first = number("UMBEL_FIRST").unwrap_or(0);
    let seeds = number("UMBEL_SEEDS").unwrap_or(SEEDS);
    println!(
        "seed  failed  orphans  median s  worst s  stuck  frames/s before, after  KiB/s before, after  datagrams/s"
    );
    for seed in first..first + seeds {
        let report = run(Plan::of_third(seed), false).unwrap_or_else(|v| panic!("{v}"));
        let third = report.third.expect("a third fails in its storm");
        let mut times: Vec<u64> = third.groups.values().filter_map(|after| *after).collect();
        times.sort_unstable();
        assert_eq!(times.len(), third.groups.len(), "seed {seed}: some have no owner: {third:?}");
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        let seconds = COUNTED_FOR as f64 / 1e6;
        let per_second = |count: u64| count as f64 / seconds;
        println!(
            "{seed:>4}  {:>6}  {:>7}  {:>8.2}  {:>7.2}  {:>5}  {:>10.0} {:>11.0}  {:>10.1} {:>8.1}  {:>5.0} {:>5.0}",
            third.failed,
            times.len(),
            median as f64 / 1e6,
            worst as f64 / 1e6,
            third.stuck,
            per_second(third.before.frames),
            per_second(third.after.frames),
            per_second(third.before.frame_bytes) / 1024.0,
            per_second(third.after.frame_bytes) / 1024.0,
            per_second(third.before.datagrams),
            per_second(third.after.datagrams),
        );
        assert!(median <= MEDIAN_WITHIN, "seed {seed}: the median is {median} us");
        assert!(worst <= OWNED_WITHIN, "seed {seed}: one takes {worst} us");
    }
}
