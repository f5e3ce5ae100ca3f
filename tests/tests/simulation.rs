//! Clusters from seeds: any range of them, one of them again, and with known bugs put in.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a test for people to run")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use umbel_tests::plan::KINDS;
use umbel_tests::sabotage::ALONE;
use umbel_tests::{Plan, Report, Sabotage, Violation, median, run, sights};

/// Seeds of the test command: some minutes of them.
const SEEDS: u64 = 1_000;
/// So many have all that must happen in some of them.
const SEEDS_FOR_ALL: u64 = 200;

/// Faults that must have happened in some of these seeds; what must have come of them is listed in
/// [`sights`].
const FAULTS: [&str; 49] = [
    "a majority's clocks ahead",
    "a majority's clocks behind",
    "a minority's clocks ahead",
    "a minority's clocks behind",
    "all moved",
    "blackout",
    "bridge",
    "clock drifts",
    "clock off",
    "connection breaks",
    "copies given up",
    "crash",
    "cut",
    "cut around one",
    "cut in halves",
    "cut one way",
    "datagram lost",
    "emptied disk",
    "executor falls",
    "failed sync",
    "flapping",
    "frame of an old connection",
    "full disk",
    "gossip falls",
    "host renewed",
    "hot queue",
    "killed by a task",
    "long cut",
    "message doubled",
    "message lost",
    "message overtakes",
    "message seconds late",
    "most at once",
    "no way",
    "one moved",
    "operator is obeyed",
    "orderly end",
    "pause",
    "ring",
    "run longer than any timeout",
    "scheduler falls",
    "silent crash",
    "slots changed beside runs",
    "slow disk",
    "starved",
    "stopped for long",
    "stopped with runs",
    "three ways",
    "upgrade",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The only kind of worlds that is to be run, if not all are.
fn only_kind() -> Option<&'static str> {
    let name = std::env::var("UMBEL_KIND").ok()?;
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let known = names.iter().find(|known| **known == name);
    Some(known.unwrap_or_else(|| panic!("there is no kind {name:?} among {names:?}")))
}

/// Runs the plans of `seeds` seeds, or those `of` one kind, on two threads until one fails.
fn run_all(first: u64, seeds: u64, of: Option<&str>) -> Result<Report, Box<Violation>> {
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
                    let plan = Plan::of(seed);
                    if of.is_some_and(|kind| plan.faults.kind != kind) {
                        continue;
                    }
                    match run(plan, false) {
                        Ok(report) => {
                            sum.lock().expect("nobody panics with it").add(report);
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
    let sum = sum.into_inner().expect("nobody panicked");
    match failed.into_iter().next() {
        Some(violation) => {
            println!("all others: {sum}");
            Err(violation)
        }
        None => Ok(sum),
    }
}

#[test]
fn clusters_keep_their_promises() {
    let seeds = number("UMBEL_SEEDS").unwrap_or(SEEDS);
    let first = number("UMBEL_FIRST").unwrap_or(0);
    let kind = only_kind();
    let report = run_all(first, seeds, kind).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{seeds} seeds: {report}");
    if seeds >= SEEDS_FOR_ALL && kind.is_none() {
        let all = FAULTS.iter().chain(&sights::BRANCHES).chain(&["last loss"]);
        let missing: Vec<_> = all.filter(|what| !report.seen.contains_key(*what)).collect();
        assert!(missing.is_empty(), "no seed reaches {missing:?}: it proves nothing about them");
        assert!(median(&report.owned_after) < 2_000_000, "owners of what the dead had, median");
        assert!(median(&report.run_after) < 5_000_000, "runs of what the dead ran, median");
    }
}

/// The world of `UMBEL_SEED`, with all that happens in it.
#[test]
fn replay() {
    let seed = number("UMBEL_SEED");
    let sabotage = std::env::var("UMBEL_SABOTAGE").ok();
    let sabotage = sabotage.map(|name| Sabotage::named(&name).expect("it is one of ours"));
    let plan = match (sabotage, seed) {
        // The world of that seed in which the defect is looked for.
        (Some(sabotage), Some(seed)) => {
            (0..).map(|world| sabotage.plan(world)).find(|plan| plan.seed == seed)
        }
        (_, seed) => Some(Plan::of(seed.unwrap_or(0))),
    };
    let plan = plan.expect("there is no end of them");
    let sabotage = plan.sabotage.filter(|_| number("UMBEL_MENDED").is_none());
    let plan = Plan { sabotage, ..plan };
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

/// Worlds in which a defect is looked for at most.
const WORLDS_MAX: u64 = 500;

/// Runs worlds with a defect until an invariant speaks up, if need be the only one that is heard; what it
/// says, and in which world.
fn find(sabotage: Sabotage, alone: Option<&'static str>) -> Option<(u64, Box<Violation>)> {
    let most = number("UMBEL_WORLDS").unwrap_or(WORLDS_MAX);
    (0..most).find_map(|world| {
        let plan = Plan { alone, ..sabotage.plan(world) };
        Some((world, run(plan, false).err()?))
    })
}

/// Which invariant has found `sabotage`, if it is one that must, and finds nothing in the same world without
/// it; else what is wrong.
fn prove(sabotage: Sabotage, alone: Option<&'static str>) -> Result<String, String> {
    let name = sabotage.name();
    let (world, found) = find(sabotage, alone).ok_or_else(|| format!("{name} is not found"))?;
    let by = found.what.split(':').next().unwrap_or_default().to_owned();
    let line = format!(
        "{name:<20} world {world:>3} (seed {}), after {:>6.1} s: {}",
        found.plan.seed,
        found.at as f64 / 1e6,
        found.what.chars().take(150).collect::<String>()
    );
    println!("{line}");
    let is_named = alone.map_or_else(|| sabotage.found_by().contains(&&*by), |alone| alone == by);
    if !is_named {
        return Err(format!("another invariant should find it: {line}"));
    }
    match run(Plan { sabotage: None, alone: None, ..found.plan }, false) {
        Ok(_) => Ok(by),
        Err(also) => Err(format!("{line}; and without it: {}", also.what)),
    }
}

/// The harness proves itself: each defect of the list is found, by an invariant that must find it, and each
/// invariant finds one.
#[test]
fn every_defect_is_found_by_its_invariant() {
    let only = std::env::var("UMBEL_SABOTAGE").ok();
    let together = Sabotage::all().map(|sabotage| (sabotage, None));
    let alone = ALONE.into_iter().map(|(invariant, sabotage)| (sabotage, Some(invariant)));
    let is_meant =
        |(sabotage, _): &(Sabotage, _)| only.as_ref().is_none_or(|only| *only == sabotage.name());
    let all: Vec<_> = together.chain(alone).filter(is_meant).collect();
    let next = AtomicUsize::new(0);
    let (heard, wrong) = (Mutex::new(BTreeSet::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((sabotage, alone)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match prove(*sabotage, *alone) {
                        Ok(by) => drop(heard.lock().expect("nobody panics with it").insert(by)),
                        Err(why) => wrong.lock().expect("nobody panics with it").push(why),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panicked");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let heard = heard.into_inner().expect("nobody panicked");
    let silent: Vec<_> = invariants().into_iter().filter(|name| !heard.contains(name)).collect();
    assert!(only.is_some() || silent.is_empty(), "no defect is found by {silent:?}");
}

/// The names of all invariants: each has a file.
fn invariants() -> Vec<String> {
    let dir = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/invariants"));
    let files = dir.expect("it is there").map(|file| file.expect("it can be read").path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let stem = |file: std::path::PathBuf| Some(file.file_stem()?.to_str()?.to_owned());
    files.filter_map(stem).collect()
}
