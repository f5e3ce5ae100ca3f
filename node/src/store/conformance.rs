//! What every store must do, run on all of them.
//!
//! Each function is one promise of [`Store`] or [`GroupWrite`]; a factory opens the same store again
//! and again, as a process would that was killed in between.

use bytes::Bytes;
use proptest::prelude::*;
use umbel_protocol::durable::{
    Copies, EntryKind, GroupWrite, HardState, LogEntry, Snapshot, StateWrite, StoredGroup,
    WriteBatch,
};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::error::Misuse;
use super::{DiskStore, MemoryDisk, MemoryStore, Recovered, Sizes, Store, StoreError};

/// A place where one kind of store can be opened over and over.
pub(super) trait Place {
    type Store: Store;

    fn new() -> Self;
    fn open(&self) -> (Self::Store, Recovered);
}

impl Place for MemoryDisk {
    type Store = MemoryStore;

    fn new() -> Self {
        Self::new()
    }

    fn open(&self) -> (MemoryStore, Recovered) {
        self.open()
    }
}

pub(super) struct OnDisk(pub(super) tempfile::TempDir);

/// So small that a few writes already rotate and purge files of the log.
pub(super) const SMALL: Sizes =
    Sizes { log_file_bytes: 4096, log_bytes: 16 * 1024, upkeep_bytes: 2048 };

impl Place for OnDisk {
    type Store = DiskStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> (DiskStore, Recovered) {
        DiskStore::open_with(self.0.path(), SMALL).unwrap()
    }
}

pub(super) fn entry(index: u64, term: u64) -> LogEntry {
    let kind = if index.is_multiple_of(5) { EntryKind::Membership } else { EntryKind::Commands };
    LogEntry { index, term, kind, data: Bytes::from(format!("entry {index} of {term}")) }
}

pub(super) fn snapshot(index: u64, term: u64) -> Snapshot {
    let copies = Copies { voters: vec![ReplicaId(1), ReplicaId(index)], ..Copies::default() };
    Snapshot { index, term, copies, data: Bytes::from(format!("state {index} of {term}")) }
}

pub(super) fn blank(group: u16, replica: u64) -> GroupWrite {
    GroupWrite {
        group: GroupId(group),
        replica: ReplicaId(replica),
        destroy: false,
        snapshot: None,
        entries: Vec::new(),
        hard_state: None,
        checkpoint: None,
    }
}

pub(super) fn append(group: u16, indexes: std::ops::RangeInclusive<u64>, term: u64) -> GroupWrite {
    GroupWrite { entries: indexes.map(|index| entry(index, term)).collect(), ..blank(group, 1) }
}

pub(super) fn batch(number: u64, groups: Vec<GroupWrite>) -> WriteBatch {
    WriteBatch { number, groups }
}

fn write(store: &mut impl Store, groups: Vec<GroupWrite>) {
    store.write(&[batch(1, groups)]).unwrap();
}

fn refused(store: &mut impl Store, write: GroupWrite) -> Misuse {
    match store.write(&[batch(1, vec![write])]) {
        Err(StoreError::Misuse(misuse)) => misuse,
        other => panic!("a wrong write gave {other:?}"),
    }
}

fn only_group(place: &impl Place) -> StoredGroup {
    let (_, mut recovered) = place.open();
    assert_eq!(recovered.doubtful, []);
    assert_eq!(recovered.groups.len(), 1);
    recovered.groups.remove(0)
}

fn a_new_store_is_empty<P: Place>() {
    let place = P::new();
    assert_eq!(place.open().1, Recovered::default());
    assert_eq!(place.open().1, Recovered::default());
}

fn what_was_written_is_there<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    let hard_state = HardState { term: 2, vote: 3, commit: 1 };
    write(&mut store, vec![GroupWrite { hard_state: Some(hard_state), ..append(1, 1..=3, 1) }]);
    write(&mut store, vec![append(1, 4..=4, 2)]);
    drop(store);
    let stored = only_group(&place);
    assert_eq!(stored.entries, [entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 2)]);
    assert_eq!((stored.hard_state, stored.replica), (hard_state, ReplicaId(1)));
    assert_eq!(only_group(&place), stored);
}

fn the_count_of_writes_never_goes_back<P: Place>() {
    let place = P::new();
    let mut highest = 0;
    for round in 0..3 {
        let (mut store, _) = place.open();
        assert!(store.synced() >= highest, "what was told before a crash holds after it");
        for index in 1..=4 {
            let before = store.synced();
            let index = round * 4 + index;
            write(&mut store, vec![append(1, index..=index, 1)]);
            assert!(store.synced() > before);
        }
        highest = store.synced();
    }
}

fn later_entries_replace_a_suffix<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    write(&mut store, vec![append(1, 1..=6, 1)]);
    write(&mut store, vec![append(1, 3..=4, 2)]);
    drop(store);
    let expected = [entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)];
    assert_eq!(only_group(&place).entries, expected);

    let (mut store, _) = place.open();
    let numbers = [append(1, 5..=7, 3), append(1, 6..=6, 4)];
    let batches: Vec<_> =
        (1..).zip(numbers).map(|(number, write)| batch(number, vec![write])).collect();
    store.write(&batches).unwrap();
    drop(store);
    let entries = only_group(&place).entries;
    assert_eq!(entries[..4], expected);
    assert_eq!(entries[4..], [entry(5, 3), entry(6, 4)]);
}

fn a_snapshot_replaces_the_log_and_keeps_the_vote<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    let hard_state = HardState { term: 4, vote: 9, commit: 2 };
    write(&mut store, vec![GroupWrite { hard_state: Some(hard_state), ..append(1, 1..=9, 1) }]);
    let received = GroupWrite { snapshot: Some(snapshot(5, 3)), ..blank(1, 1) };
    write(&mut store, vec![received]);
    drop(store);
    let stored = only_group(&place);
    assert_eq!(stored.snapshot, Some(snapshot(5, 3)));
    assert_eq!((stored.entries, stored.hard_state), (vec![], hard_state));

    let (mut store, _) = place.open();
    let received = GroupWrite { snapshot: Some(snapshot(20, 4)), ..append(1, 21..=22, 4) };
    write(&mut store, vec![received]);
    let behind = GroupWrite { snapshot: Some(snapshot(19, 4)), ..blank(1, 1) };
    assert!(matches!(refused(&mut store, behind), Misuse::SnapshotBehind { .. }));
    drop(store);
    let stored = only_group(&place);
    assert_eq!(stored.snapshot, Some(snapshot(20, 4)));
    assert_eq!(stored.entries, [entry(21, 4), entry(22, 4)]);
}

fn a_checkpoint_lets_entries_go<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    write(&mut store, vec![append(1, 1..=9, 1)]);
    let checkpoint = |index| GroupWrite { checkpoint: Some(snapshot(index, 1)), ..blank(1, 1) };
    write(&mut store, vec![checkpoint(7)]);
    write(&mut store, vec![checkpoint(4)]);
    write(&mut store, vec![append(1, 10..=10, 1)]);
    assert!(matches!(refused(&mut store, checkpoint(11)), Misuse::CheckpointAhead { .. }));
    let other = GroupWrite { checkpoint: Some(snapshot(8, 2)), ..blank(1, 1) };
    assert!(matches!(refused(&mut store, other), Misuse::CheckpointTerm { .. }));
    drop(store);
    let stored = only_group(&place);
    assert_eq!(stored.snapshot, Some(snapshot(7, 1)));
    assert_eq!(stored.entries, [entry(8, 1), entry(9, 1), entry(10, 1)]);
}

fn a_checkpoint_saved_beside_counts_from_the_next_write<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    write(&mut store, vec![append(1, 1..=9, 1), append(2, 1..=3, 1), append(3, 1..=3, 1)]);
    for (group, replica, index) in [(1, 1, 6), (1, 1, 8), (1, 1, 7), (2, 1, 2), (3, 2, 2)] {
        let state = snapshot(index, 1);
        let chore = store.save_checkpoint(GroupId(group), ReplicaId(replica), state);
        store.finish(chore.run().unwrap());
    }
    // Group 2 moves on meanwhile; nobody knows the copy of group 3.
    write(&mut store, vec![GroupWrite { snapshot: Some(snapshot(30, 2)), ..blank(2, 1) }]);
    store.write(&[]).unwrap();
    drop(store);
    let (_, recovered) = place.open();
    assert_eq!(recovered.doubtful, []);
    let states: Vec<_> = recovered.groups.iter().map(|stored| stored.snapshot.clone()).collect();
    assert_eq!(states, [Some(snapshot(8, 1)), Some(snapshot(30, 2)), None]);
    assert_eq!(recovered.groups[0].entries, [entry(9, 1)]);
}

fn a_received_state_counts_once_a_write_names_it<P: Place>() {
    let place = P::new();
    let received =
        |index| StateWrite { group: GroupId(1), replica: ReplicaId(1), state: snapshot(index, 2) };
    let keep = |store: &mut P::Store, index| {
        let chore = store.save_state(received(index));
        store.finish(chore.run().unwrap());
    };
    let name = |index| GroupWrite { snapshot: Some(snapshot(index, 2)), ..blank(1, 1) };
    let (mut store, _) = place.open();
    write(&mut store, vec![append(1, 1..=3, 1)]);
    keep(&mut store, 9);
    write(&mut store, vec![append(2, 1..=1, 1)]);
    drop(store);
    let (mut store, recovered) = place.open();
    assert_eq!(recovered.groups[0].snapshot, None, "nobody has named it");
    assert_eq!(recovered.groups[0].entries.len(), 3);
    keep(&mut store, 9);
    write(&mut store, vec![name(9), append(2, 2..=2, 1)]);
    // Another one takes its place before it is named.
    keep(&mut store, 12);
    keep(&mut store, 15);
    write(&mut store, vec![append(1, 10..=10, 2)]);
    write(&mut store, vec![name(15)]);
    drop(store);
    let (_, recovered) = place.open();
    assert_eq!(recovered.groups[0].snapshot, Some(snapshot(15, 2)));
    assert_eq!(recovered.groups[0].entries, []);
    assert_eq!(recovered.groups[1].entries.len(), 2);
}

fn a_higher_copy_replaces_a_lower_one<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    let hard_state = Some(HardState { term: 7, vote: 7, commit: 2 });
    write(&mut store, vec![GroupWrite { hard_state, ..append(1, 1..=9, 1) }]);
    write(&mut store, vec![GroupWrite { replica: ReplicaId(4), ..append(1, 1..=2, 2) }]);
    let misuse = refused(&mut store, append(1, 3..=3, 2));
    assert!(matches!(misuse, Misuse::Replaced { by: ReplicaId(4), .. }));
    drop(store);
    let stored = only_group(&place);
    assert_eq!(stored.replica, ReplicaId(4));
    assert_eq!(stored.entries, [entry(1, 2), entry(2, 2)]);
    assert_eq!(stored.hard_state, HardState::default());
}

fn a_destroyed_copy_leaves_its_name_only<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    write(&mut store, vec![GroupWrite { snapshot: Some(snapshot(5, 3)), ..append(1, 6..=9, 3) }]);
    let destroy = || GroupWrite { destroy: true, ..blank(1, 1) };
    write(&mut store, vec![destroy()]);
    write(&mut store, vec![destroy()]);
    drop(store);
    let stored = only_group(&place);
    assert!(stored.destroyed && stored.entries.is_empty() && stored.snapshot.is_none());

    let (mut store, _) = place.open();
    assert!(matches!(refused(&mut store, append(1, 1..=1, 1)), Misuse::Destroyed { .. }));
    let filled = GroupWrite { destroy: true, ..append(1, 1..=1, 1) };
    assert!(matches!(refused(&mut store, filled), Misuse::DestroyedAndFilled { .. }));
    write(&mut store, vec![GroupWrite { replica: ReplicaId(2), ..append(1, 1..=1, 1) }]);
    drop(store);
    let stored = only_group(&place);
    assert_eq!((stored.replica, stored.destroyed), (ReplicaId(2), false));
}

fn many_groups_share_a_batch<P: Place>() {
    let place = P::new();
    let (mut store, _) = place.open();
    let ids = || (0..256).chain([u16::MAX]);
    write(&mut store, ids().map(|group| append(group, 1..=3, 1)).collect());
    // A misuse by one of them leaves all as they were.
    let mut wrong: Vec<_> = ids().map(|group| append(group, 4..=4, 1)).collect();
    wrong[200] = append(200, 9..=9, 1);
    assert!(store.write(&[batch(2, wrong)]).is_err());
    drop(store);
    let (_, recovered) = place.open();
    let stored: Vec<_> =
        recovered.groups.iter().map(|stored| (stored.group.0, stored.entries.len())).collect();
    assert_eq!(stored, ids().map(|group| (group, 3)).collect::<Vec<_>>());
}

/// What a generated step does to one group.
#[derive(Clone, Debug)]
enum Step {
    Append { back: u64, count: u64, term_up: bool },
    Checkpoint { back: u64, beside: bool },
    Destroy,
    HardState(u64),
    Received { ahead: u64, beside: bool, in_vain: bool },
    Replace,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<(u16, Step)>> {
    let step = prop_oneof![
        12 => (0..4u64, 1..20u64, any::<bool>())
            .prop_map(|(back, count, term_up)| Step::Append { back, count, term_up }),
        4 => (0..4u64, any::<bool>())
            .prop_map(|(back, beside)| Step::Checkpoint { back, beside }),
        1 => Just(Step::Destroy),
        3 => any::<u64>().prop_map(Step::HardState),
        2 => (1..9u64, any::<bool>(), any::<bool>())
            .prop_map(|(ahead, beside, in_vain)| Step::Received { ahead, beside, in_vain }),
        1 => Just(Step::Replace),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec((0..4u16, step), 1..80)
}

/// The write that `step` makes of `stored`, if it can.
fn make(group: u16, step: &Step, stored: Option<&StoredGroup>) -> Option<GroupWrite> {
    let replica = stored.map_or(1, |stored| stored.replica.0);
    let empty = blank(group, replica);
    if let Step::Replace = step {
        return Some(GroupWrite { replica: ReplicaId(replica + 1), ..append(group, 1..=2, 1) });
    }
    if stored.is_some_and(|stored| stored.destroyed) {
        return None;
    }
    let base = stored
        .and_then(|stored| stored.snapshot.as_ref())
        .map_or((0, 0), |state| (state.index, state.term));
    let points = stored.into_iter().flat_map(|stored| &stored.entries);
    let points: Vec<_> =
        std::iter::once(base).chain(points.map(|entry| (entry.index, entry.term))).collect();
    let (last, term) = *points.last()?;
    Some(match *step {
        Step::Append { back, count, term_up } => {
            let first = (last + 1).saturating_sub(back).max(base.0 + 1);
            let term = term + u64::from(term_up || back > 0);
            let entries = (first..first + count).map(|index| entry(index, term)).collect();
            GroupWrite { entries, ..empty }
        }
        Step::Checkpoint { back, .. } => {
            let &(index, term) = points.iter().rev().nth(usize::try_from(back).ok()?)?;
            GroupWrite { checkpoint: Some(snapshot(index, term)), ..empty }
        }
        Step::Destroy => GroupWrite { destroy: true, ..empty },
        Step::HardState(commit) => {
            let hard_state = HardState { term: commit ^ 1, vote: 3, commit };
            GroupWrite { hard_state: Some(hard_state), ..empty }
        }
        Step::Received { ahead, .. } => {
            let snapshot = snapshot(last + ahead, term + 1);
            GroupWrite { snapshot: Some(snapshot), ..empty }
        }
        Step::Replace | Step::Reopen => return None,
    })
}

/// Does the same to a store of `P` and to one in memory, and compares what both hold.
fn does_the_same_as_memory<P: Place>(steps: &[(u16, Step)]) {
    let (place, model) = (P::new(), MemoryDisk::new());
    let (mut store, _) = place.open();
    let (mut truth, _) = model.open();
    for (group, step) in steps {
        if let Step::Reopen = step {
            drop(store);
            let (opened, recovered) = place.open();
            assert_eq!(recovered, model.open().1);
            store = opened;
            continue;
        }
        let held = model.open().1.groups;
        let stored = held.iter().find(|stored| stored.group == GroupId(*group));
        let Some(mut write) = make(*group, step, stored) else { continue };
        if let Step::Checkpoint { beside: true, .. } = step
            && let Some(state) = write.checkpoint.take()
        {
            let chore = store.save_checkpoint(write.group, write.replica, state.clone());
            store.finish(chore.run().unwrap());
            let chore = truth.save_checkpoint(write.group, write.replica, state);
            truth.finish(chore.run().unwrap());
        }
        if let Step::Received { beside: true, in_vain, .. } = step
            && let Some(state) = write.snapshot.clone()
        {
            let (group, replica) = (write.group, write.replica);
            let chore = store.save_state(StateWrite { group, replica, state });
            store.finish(chore.run().unwrap());
            if *in_vain {
                // Its group goes on without it; the file must not be in the way of anything.
                continue;
            }
        }
        store.write(&[batch(1, vec![write.clone()])]).unwrap();
        truth.write(&[batch(1, vec![write])]).unwrap();
        if let Some(chore) = store.upkeep().unwrap() {
            store.finish(chore.run().unwrap());
        }
    }
    drop(store);
    assert_eq!(place.open().1, model.open().1);
}

macro_rules! conformance {
    ($($place:ident as $module:ident),*; $promises:tt) => {
        $(conformance!(@ $place $module $promises);)*
    };
    (@ $place:ident $module:ident [$($promise:ident),* $(,)?]) => {
        mod $module {
            $(#[test] fn $promise() { super::$promise::<super::$place>(); })*
        }
    };
}

conformance!(OnDisk as on_disk, MemoryDisk as in_memory; [
    a_new_store_is_empty,
    what_was_written_is_there,
    the_count_of_writes_never_goes_back,
    later_entries_replace_a_suffix,
    a_snapshot_replaces_the_log_and_keeps_the_vote,
    a_checkpoint_lets_entries_go,
    a_checkpoint_saved_beside_counts_from_the_next_write,
    a_received_state_counts_once_a_write_names_it,
    a_higher_copy_replaces_a_lower_one,
    a_destroyed_copy_leaves_its_name_only,
    many_groups_share_a_batch,
]);

#[test]
fn the_bytes_of_a_kept_state_are_written_once_and_go_with_it() {
    use std::os::unix::fs::MetadataExt as _;
    let place = OnDisk::new();
    let (mut store, _) = place.open();
    let path = |store: &DiskStore, index| store.snapshots.path(GroupId(1), ReplicaId(1), index);
    let keep = |store: &mut DiskStore, index| {
        let (group, replica, state) = (GroupId(1), ReplicaId(1), snapshot(index, 2));
        let chore = store.save_state(StateWrite { group, replica, state });
        store.finish(chore.run().unwrap());
        std::fs::metadata(path(store, index)).unwrap().ino()
    };
    let kept = keep(&mut store, 9);
    write(&mut store, vec![GroupWrite { snapshot: Some(snapshot(9, 2)), ..blank(1, 1) }]);
    assert_eq!(std::fs::metadata(path(&store, 9)).unwrap().ino(), kept, "not once more");
    keep(&mut store, 12);
    write(&mut store, vec![append(2, 1..=1, 1)]);
    assert!(path(&store, 12).exists(), "it may still be named");
    write(&mut store, vec![GroupWrite { destroy: true, ..blank(1, 1) }]);
    assert!(!path(&store, 12).exists() && !path(&store, 9).exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_history_is_the_same_on_disk_and_in_memory(steps in steps()) {
        does_the_same_as_memory::<OnDisk>(&steps);
    }
}
