//! Logs written down once, and what every version must make of them.
//!
//! While a cluster is upgraded node by node, copies of one partition apply the same entries with
//! programs of two versions, and their states must be the same, byte for byte. So **what a command
//! does, once it has been released, never changes**: whatever is to be done otherwise is a command of
//! its own, which owners propose only once the whole cluster speaks the version that knows it
//! ([`Meta::spoken`](crate::meta::Meta)). A line here that no longer fits shows a change of that kind.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use xxhash_rust::xxh3::xxh3_64;

use super::history::{Entry, logs};
use super::sights::{Past, Sights, WANTED};
use super::*;

/// An entry a line: its index, its term, the proposal in hexadecimal digits, and the hash of the state
/// after it. Where the index goes back another log begins.
const RECORDED: &str = include_str!("recorded.txt");

fn line(entry: &Entry, state: &Partition) -> String {
    let Entry { index, term, proposal } = entry;
    let proposal = proposal.to_bytes().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    });
    format!("{index} {term} {proposal} {:016x}", xxh3_64(&state.to_bytes()))
}

fn read(line: &str) -> Entry {
    let [index, term, proposal, _] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("not an entry: {line}")
    };
    let digits = |at: usize| u8::from_str_radix(&proposal[at..at + 2], 16).expect("digits");
    let bytes: Vec<u8> = (0..proposal.len()).step_by(2).map(digits).collect();
    let proposal = Proposal::from_bytes(&bytes).expect("what was written can be read");
    Entry { index: index.parse().unwrap(), term: term.parse().unwrap(), proposal }
}

fn recorded() -> Vec<Vec<(Entry, &'static str)>> {
    let entries: Vec<_> = RECORDED.lines().map(|line| (read(line), line)).collect();
    entries.chunk_by(|(one, _), (next, _)| one.index < next.index).map(<[_]>::to_vec).collect()
}

/// Applies `log` to a new partition and looks at each step.
fn apply(log: &[Entry], sights: &mut Sights, mut look: impl FnMut(&Entry, &Partition)) {
    let (mut partition, mut past) = (Partition::new(PARTITION), Past::default());
    for entry in log {
        let mut changes = Vec::new();
        partition.apply(entry.index, entry.term, entry.proposal.clone(), &mut changes);
        sights.look(&mut past, entry, &changes, &partition);
        look(entry, &partition);
    }
}

#[test]
fn entries_do_what_they_have_always_done() {
    for (number, log) in recorded().into_iter().enumerate() {
        let (log, lines): (Vec<_>, Vec<_>) = log.into_iter().unzip();
        let mut lines = lines.into_iter();
        apply(&log, &mut Sights::default(), |entry, partition| {
            let index = entry.index;
            assert_eq!(
                Some(line(entry, partition).as_str()),
                lines.next(),
                "log {number}, entry {index}: copies of two versions would differ. A command does \
                 for ever what it once did; give the new way a command of its own"
            );
        });
    }
}

#[test]
fn all_that_entries_do_is_recorded() {
    let mut sights = Sights::default();
    for log in recorded() {
        let log: Vec<Entry> = log.into_iter().map(|(entry, _)| entry).collect();
        apply(&log, &mut sights, |_, _| ());
    }
    let missing: BTreeSet<&str> =
        WANTED.into_iter().filter(|what| !sights.seen.contains_key(what)).collect();
    assert!(
        missing.is_empty(),
        "{missing:?} is missing; these have it:\n{}",
        write_down(missing.clone())
    );
}

/// Logs that have what is `missing`, as lines.
fn write_down(mut missing: BTreeSet<&str>) -> String {
    let (mut runner, logs) = (TestRunner::deterministic(), logs());
    let mut text = String::new();
    while !missing.is_empty() {
        let log = logs.new_tree(&mut runner).unwrap().current();
        let (mut partition, mut past) = (Partition::new(PARTITION), Past::default());
        let (mut sights, mut lines, mut useful) = (Sights::default(), Vec::new(), 0);
        let mut left = missing.len();
        for entry in &log {
            let mut changes = Vec::new();
            partition.apply(entry.index, entry.term, entry.proposal.clone(), &mut changes);
            sights.look(&mut past, entry, &changes, &partition);
            lines.push(line(entry, &partition));
            let now = missing.iter().filter(|what| !sights.seen.contains_key(*what)).count();
            if now < std::mem::replace(&mut left, now) {
                useful = lines.len();
            }
        }
        missing.retain(|what| !sights.seen.contains_key(what));
        lines.truncate(useful);
        lines.iter().for_each(|line| writeln!(text, "{line}").expect("a string takes all"));
    }
    text
}
