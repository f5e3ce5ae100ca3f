//! The lease protocol, explored exhaustively within bounds: all that can come of a few faults.
//!
//! `UMBEL_MODEL=large` explores larger ones as well, and takes about an hour; a part of a name in
//! place of `large` explores those alone that are called so.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test for people to run")]

use std::collections::BTreeSet;

use umbel_tests::lease_model::{Bounds, Leases, Report, Sabotage, explore};

/// No bound leads to so many states unless a state grows without end.
const STATES_MAX: usize = 20_000_000;

const ONE: Bounds = Bounds::one_task();

/// Those of the test command.
const ORDINARY: [(&str, Bounds); 15] = [
    ("nothing", ONE),
    ("a second task", Bounds { tasks: 2, ..ONE }),
    ("takeover", Bounds { takeovers: 1, ..ONE }),
    ("two takeovers", Bounds { takeovers: 2, ..ONE }),
    ("takeover, early repeat", Bounds { takeovers: 1, repeats: 1, ..ONE }),
    ("takeover, break", Bounds { takeovers: 1, breaks: 1, ..ONE }),
    ("takeover, relays", Bounds { takeovers: 1, overtakes: 1, ..ONE }),
    ("takeover, failure, cancel", Bounds { takeovers: 1, failures: 1, cancels: 1, ..ONE }),
    ("break, early repeat, relays", Bounds { breaks: 1, repeats: 1, overtakes: 1, ..ONE }),
    ("crash", Bounds { crashes: 1, ..ONE }),
    ("three crashes of a lessee", Bounds { crashes: 3, lessees_crash: true, ..ONE }),
    ("wrongly down, break", Bounds { blames: 1, breaks: 1, ..ONE }),
    (
        "wrongly down, early repeat, spare slot",
        Bounds { blames: 1, repeats: 1, spare_slots: 1, ..ONE },
    ),
    ("wrongly down, early repeat, relays", Bounds { blames: 1, repeats: 1, overtakes: 1, ..ONE }),
    ("wrongly down, failure", Bounds { blames: 1, failures: 1, ..ONE }),
];

/// Those that take longer.
const LARGE: [(&str, Bounds); 6] = [
    (
        "takeover, early repeat, relays twice",
        Bounds { takeovers: 1, repeats: 1, overtakes: 2, ..ONE },
    ),
    ("wrongly down, takeover", Bounds { blames: 1, takeovers: 1, ..ONE }),
    ("takeover, break, early repeat", Bounds { takeovers: 1, breaks: 1, repeats: 1, ..ONE }),
    ("crash, early repeat", Bounds { crashes: 1, repeats: 1, ..ONE }),
    ("wrongly down three times", Bounds { blames: 3, ..ONE }),
    ("a second task, takeover", Bounds { tasks: 2, takeovers: 1, ..ONE }),
];

/// Those that nobody has seen the end of: as far as so many states.
const VAST: [(&str, Bounds); 3] = [
    ("a second task, wrongly down", Bounds { tasks: 2, blames: 1, ..ONE }),
    ("crash, wrongly down", Bounds { crashes: 1, blames: 1, ..ONE }),
    ("crash, takeover", Bounds { crashes: 1, takeovers: 1, ..ONE }),
];
const VAST_STATES: usize = 400_000;

/// What must be possible, or the model shows less than it seems to.
const SEEN: [&str; 9] = [
    "cut-off run pardoned",
    "entry survives",
    "held for doubts",
    "late success wins",
    "lease kept over a takeover",
    "lease never dispatched",
    "lease taken back",
    "outcome redirected",
    "poison",
];

fn tell(name: &str, report: &Report) {
    let Report { states, steps, depth, at_rest, .. } = report;
    println!("{name}: {states} states, {steps} steps, depth {depth}, {at_rest} at rest");
}

/// Explores one model, in which nothing may be broken, as far as so many states.
fn explore_far(name: &str, bounds: Bounds, states: usize) -> Report {
    let report = explore(&Leases { bounds, sabotage: None }, states);
    tell(name, &report);
    if let Some(broken) = &report.broken {
        panic!("{name}: {}:\n  {}", broken.what, broken.steps.join("\n  "));
    }
    report
}

/// Explores all of one.
fn explore_whole(name: &str, bounds: Bounds) -> Report {
    let report = explore_far(name, bounds, STATES_MAX);
    assert!(!report.cut, "{name}: more states than there should be");
    report
}

#[test]
fn nothing_that_may_happen_breaks_a_promise() {
    let wanted = std::env::var("UMBEL_MODEL").unwrap_or_default();
    let all = || ORDINARY.iter().chain(&LARGE);
    if !wanted.is_empty() && wanted != "large" {
        let is_wanted = |(name, _): &&(&str, Bounds)| name.contains(&wanted);
        for (name, bounds) in all().filter(is_wanted) {
            explore_whole(name, *bounds);
        }
        for (name, bounds) in VAST.iter().filter(is_wanted) {
            explore_far(name, *bounds, VAST_STATES);
        }
        return;
    }
    let explored = if wanted == "large" { ORDINARY.len() + LARGE.len() } else { ORDINARY.len() };
    let mut seen = BTreeSet::new();
    for (name, bounds) in all().take(explored) {
        seen.extend(explore_whole(name, *bounds).seen);
    }
    for (name, bounds) in VAST.iter().filter(|_| wanted == "large") {
        explore_far(name, *bounds, VAST_STATES);
    }
    let missing: Vec<_> = SEEN.iter().filter(|what| !seen.contains(*what)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn known_defects_are_found() {
    for sabotage in Sabotage::ALL {
        let (bounds, shows) = sabotage.shows();
        let report = explore(&Leases { bounds, sabotage: Some(sabotage) }, STATES_MAX);
        let broken = report.broken.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
        let steps = broken.steps.len();
        println!("{sabotage:?}: {} after {steps} steps, {} states", broken.what, report.states);
        let told = broken.steps.join("\n  ");
        assert!(broken.what.contains(shows), "{sabotage:?}: {}:\n  {told}", broken.what);
    }
}
