//! Whatever is in the log, every replica makes the same of it, and no promise is broken on the way.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::audit::Audit;
use super::history::{Entry, logs};
use super::sights::{Past, Sights, WANTED};
use super::*;

fn apply(partition: &mut Partition, entry: &Entry, changes: &mut Vec<Change>) {
    partition.apply(entry.index, entry.term, entry.proposal.clone(), changes);
}

/// Applies `log` and checks every step; the partition in the end, and what each entry changed.
fn audited(
    log: &[Entry],
    mut look: impl FnMut(&Entry, &[Change], &Partition),
) -> (Partition, Vec<Vec<Change>>) {
    let mut partition = Partition::new(PARTITION);
    let mut audit = Audit::default();
    let changes = log.iter().map(|entry| {
        let mut changes = Vec::new();
        apply(&mut partition, entry, &mut changes);
        audit.check(entry, &changes, &partition);
        look(entry, &changes, &partition);
        changes
    });
    let changes = changes.collect();
    (partition, changes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn replicas_agree_and_keep_every_promise(
        log in logs(),
        cut in any::<Index>(),
        some in 1..9_usize,
    ) {
        let (first, changes) = audited(&log, |_, _, _| ());
        let bytes = first.to_bytes();

        // One that reads its entries from disk and applies some at a time.
        let mut second = Partition::new(PARTITION);
        for (entries, expected) in log.chunks(some).zip(changes.chunks(some)) {
            let mut changes = Vec::new();
            for entry in entries {
                let data = entry.proposal.to_bytes();
                let proposal = Proposal::from_bytes(&data).unwrap();
                second.apply(entry.index, entry.term, proposal, &mut changes);
            }
            prop_assert_eq!(changes, expected.concat());
        }
        prop_assert!(second.to_bytes() == bytes, "applied some at a time");

        // One that got a snapshot somewhere, and one that restarts again and again.
        let cuts = [vec![cut.index(log.len())], (0..log.len()).step_by(some).collect()];
        for cuts in cuts {
            let mut third = Partition::new(PARTITION);
            for (at, (entry, expected)) in log.iter().zip(&changes).enumerate() {
                if cuts.contains(&at) {
                    let fill = third.fill();
                    third = Partition::from_bytes(&third.to_bytes()).unwrap();
                    prop_assert_eq!(third.fill(), fill);
                }
                let mut changes = Vec::new();
                apply(&mut third, entry, &mut changes);
                prop_assert_eq!(&changes, expected, "entry {} after a snapshot", entry.index);
            }
            assert_counted(&third);
            prop_assert_eq!(third.fill(), first.fill());
            prop_assert!(third.to_bytes() == bytes, "went on from a snapshot");
        }
    }
}

#[test]
fn generated_logs_reach_all_there_is() {
    let mut runner = TestRunner::deterministic();
    let logs = logs();
    let mut sights = Sights::default();
    for _ in 0..1_000 {
        let log = logs.new_tree(&mut runner).unwrap().current();
        let mut past = Past::default();
        audited(&log, |entry, changes, partition| {
            sights.look(&mut past, entry, changes, partition);
        });
    }
    let seen = sights.seen;
    for what in WANTED {
        assert!(seen.get(what) >= Some(&5), "too little of {what}: {seen:#?}");
    }
}
