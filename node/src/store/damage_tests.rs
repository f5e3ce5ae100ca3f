//! Real files, cut off, flipped and removed.
//!
//! Whatever is done to one file, each copy afterwards either has all that was written or is given
//! up for good; and what a crash may do to the files harms nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use umbel_protocol::durable::{GroupWrite, StoredGroup};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::conformance::{OnDisk, Place, SMALL, append, batch, blank, snapshot};
use super::watermark::Watermark;
use super::{Damage, DiskStore, Recovered, Sizes, Store, StoreError};

/// One file of the log is enough for all that these tests write.
const ONE_FILE: Sizes =
    Sizes { log_file_bytes: 1024 * 1024, log_bytes: 1024 * 1024, upkeep_bytes: u64::MAX };

/// Three groups with all kinds of writes, in `rounds` times nine syncs; what they hold then.
fn fill(dir: &Path, sizes: Sizes, rounds: u64) -> Vec<StoredGroup> {
    let (mut store, _) = DiskStore::open_with(dir, sizes).unwrap();
    let received = GroupWrite { snapshot: Some(snapshot(10, 1)), ..append(3, 11..=12, 1) };
    let destroyed = GroupWrite { destroy: true, ..blank(9, 4) };
    store.write(&[batch(1, vec![received, append(9, 1..=2, 1), destroyed_before(8)])]).unwrap();
    store
        .write(&[batch(2, vec![GroupWrite { replica: ReplicaId(4), ..append(9, 1..=1, 1) }])])
        .unwrap();
    store.write(&[batch(3, vec![destroyed])]).unwrap();
    for round in 0..rounds {
        let (first, term) = (round * 6 + 1, round + 1);
        for offset in 0..6 {
            let index = first + offset;
            let third = append(3, index + 12..=index + 12, term);
            store.write(&[batch(3, vec![append(1, index..=index, term), third])]).unwrap();
        }
        // The end of a log is replaced, and a group that writes little keeps old files needed.
        store.write(&[batch(4, vec![append(1, first + 4..=first + 5, term)])]).unwrap();
        store.write(&[batch(5, vec![append(2, round + 1..=round + 1, term)])]).unwrap();
        let checkpoint = Some(snapshot(first + 3, term));
        store.write(&[batch(6, vec![GroupWrite { checkpoint, ..blank(1, 1) }])]).unwrap();
        if let Some(chore) = store.upkeep().unwrap() {
            store.finish(chore.run().unwrap());
        }
    }
    drop(store);
    let (_, recovered) = DiskStore::open_with(dir, sizes).unwrap();
    assert_eq!(recovered.doubtful, []);
    recovered.groups
}

fn destroyed_before(group: u16) -> GroupWrite {
    GroupWrite { destroy: true, ..blank(group, 7) }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A damaged copy of `dir`, so that the same files can be damaged again and again.
fn damaged(dir: &Path, damage: impl FnOnce(&Path)) -> OnDisk {
    let place = OnDisk::new();
    copy(dir, place.0.path());
    damage(place.0.path());
    place
}

/// Opens a damaged store twice: every group is as in `truth` or given up, and remains so.
fn survives(dir: &Path, sizes: Sizes, truth: &[StoredGroup]) -> Recovered {
    let (store, first) = DiskStore::open_with(dir, sizes).unwrap();
    drop(store);
    for expected in truth {
        let found = first.groups.iter().find(|stored| stored.group == expected.group);
        let found = found.unwrap_or_else(|| panic!("{} was forgotten", expected.group));
        let doubt = first.doubtful.iter().find(|doubt| doubt.group == expected.group);
        match doubt {
            Some(doubt) => {
                assert!(found.destroyed, "{doubt:?}");
                assert!(doubt.replica >= expected.replica && doubt.replica == found.replica);
            }
            None => assert_eq!(found, expected),
        }
    }
    let (mut store, second) = DiskStore::open_with(dir, sizes).unwrap();
    assert_eq!((second.groups, second.doubtful), (first.groups.clone(), vec![]));
    let anew = GroupWrite { replica: ReplicaId(1000), ..append(1, 1..=1, 1) };
    store.write(&[batch(7, vec![anew])]).unwrap();
    first
}

fn log_files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// Groups that had something to lose.
const ALIVE: [GroupId; 3] = [GroupId(1), GroupId(2), GroupId(3)];

fn doubted(recovered: &Recovered) -> Vec<GroupId> {
    recovered.doubtful.iter().map(|doubt| doubt.group).collect()
}

#[test]
fn a_log_cut_off_below_the_watermark_is_not_trusted() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), ONE_FILE, 3);
    let whole = len(&log_files(place.0.path(), "raftlog")[0]);
    for lost in [1, 2, 40, 300, whole / 2, whole - 60, whole] {
        let place = damaged(place.0.path(), |dir| cut(&log_files(dir, "raftlog")[0], whole - lost));
        let recovered = survives(place.0.path(), ONE_FILE, &truth);
        // If even the tombstones are gone, those who had left are given up once more.
        assert_eq!(doubted(&recovered)[..3], ALIVE, "{lost} bytes lost");
        let is_cut = |damage: &Damage| matches!(damage, Damage::CutOff { .. });
        assert!(recovered.doubtful.iter().all(|doubt| is_cut(&doubt.damage)));
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_last_log_file_is_noticed() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), ONE_FILE, 2);
    let whole = usize::try_from(len(&log_files(place.0.path(), "raftlog")[0])).unwrap();
    let mut noticed = 0;
    for byte in (0..whole).step_by(whole / 60) {
        let place = damaged(place.0.path(), |dir| flip(&log_files(dir, "raftlog")[0], byte));
        noticed += survives(place.0.path(), ONE_FILE, &truth).doubtful.len().min(1);
    }
    // The rest lies in entries that nobody needs any more.
    assert!(noticed > 40, "{noticed}");
}

#[test]
fn a_power_failure_that_set_the_watermark_back_hides_no_flipped_bit() {
    let place = OnDisk::new();
    let dir = place.0.path();
    drop(DiskStore::open_with(dir, ONE_FILE).unwrap());
    let old_watermark = fs::read(dir.join("watermark")).unwrap();
    let truth = fill(dir, ONE_FILE, 2);
    fs::write(dir.join("watermark"), old_watermark).unwrap();
    assert_eq!(survives(damaged(dir, |_| ()).0.path(), ONE_FILE, &truth).doubtful, []);
    for part in 1..8 {
        let place = damaged(dir, |dir| {
            let file = &log_files(dir, "raftlog")[0];
            flip(file, usize::try_from(len(file) * part / 9).unwrap());
        });
        survives(place.0.path(), ONE_FILE, &truth);
    }
}

#[test]
fn a_torn_write_that_was_never_acknowledged_harms_nothing() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), ONE_FILE, 2);
    let file = log_files(place.0.path(), "raftlog").remove(0);
    let whole = fs::read(&file).unwrap();
    // The file is preallocated, and the next write may have left any part of itself.
    for torn in [vec![0; 4096], vec![0xa5; 700], whole[200..900].to_vec()] {
        let place = damaged(place.0.path(), |dir| {
            let torn = [&whole[..], &torn].concat();
            fs::write(&log_files(dir, "raftlog")[0], torn).unwrap();
        });
        assert_eq!(survives(place.0.path(), ONE_FILE, &truth).doubtful, []);
    }
}

#[test]
fn a_log_that_cannot_be_read_is_put_aside() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), SMALL, 6);
    let files = log_files(place.0.path(), "raftlog");
    assert!(files.len() > 1);
    let half = usize::try_from(len(&files[0]) / 2).unwrap();
    let place = damaged(place.0.path(), |dir| flip(&log_files(dir, "raftlog")[0], half));
    let recovered = survives(place.0.path(), SMALL, &truth);
    if doubted(&recovered) == ALIVE {
        assert!(place.0.path().join("log.damaged").is_dir());
    }
    // The header of an older file is never optional.
    let place = damaged(place.0.path(), |dir| flip(&log_files(dir, "raftlog")[0], 3));
    let (_, recovered) = DiskStore::open_with(place.0.path(), SMALL).unwrap();
    assert!(recovered.groups.iter().all(|stored| stored.destroyed));
}

#[test]
fn damage_to_rewritten_files_is_noticed() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), SMALL, 30);
    let files = log_files(place.0.path(), "rewrite");
    let used: u64 = log_files(place.0.path(), "raftlog").iter().map(|path| len(path)).sum();
    assert!(used < 64 * 1024, "{used} bytes of old files were not cleared away");
    let mut noticed = 0;
    for (number, file) in files.iter().enumerate() {
        let whole = usize::try_from(len(file)).unwrap();
        for at in (0..whole).step_by(whole.div_ceil(6).max(1)) {
            let cut_off = damaged(place.0.path(), |dir| {
                cut(&log_files(dir, "rewrite")[number], at as u64);
            });
            noticed += survives(cut_off.0.path(), SMALL, &truth).doubtful.len();
            let flipped = damaged(place.0.path(), |dir| {
                flip(&log_files(dir, "rewrite")[number], at);
            });
            noticed += survives(flipped.0.path(), SMALL, &truth).doubtful.len();
        }
    }
    assert!(noticed > 0);
}

#[test]
fn a_lost_log_costs_all_copies_and_nothing_else() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), ONE_FILE, 1);
    let lost = damaged(place.0.path(), |dir| fs::remove_dir_all(dir.join("log")).unwrap());
    let recovered = survives(lost.0.path(), ONE_FILE, &truth);
    assert_eq!(doubted(&recovered)[..3], ALIVE);

    let both = damaged(place.0.path(), |dir| {
        fs::remove_dir_all(dir.join("log")).unwrap();
        fs::remove_file(dir.join("copies")).unwrap();
    });
    for _ in 0..2 {
        let opened = DiskStore::open_with(both.0.path(), ONE_FILE).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{opened:?}");
    }
}

#[test]
fn small_files_that_are_lost_are_made_again_or_cost_all_copies() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), ONE_FILE, 1);
    let unlisted = damaged(place.0.path(), |dir| flip(&dir.join("copies"), 20));
    assert_eq!(survives(unlisted.0.path(), ONE_FILE, &truth).doubtful, []);

    let unmarked = damaged(place.0.path(), |dir| fs::remove_file(dir.join("watermark")).unwrap());
    let recovered = survives(unmarked.0.path(), ONE_FILE, &truth);
    assert_eq!(doubted(&recovered), ALIVE);
    assert!(recovered.doubtful.iter().all(|doubt| doubt.damage == Damage::Watermark));
}

#[test]
fn a_first_start_that_was_killed_is_no_damage() {
    let place = OnDisk::new();
    drop(DiskStore::open_with(place.0.path(), ONE_FILE).unwrap());
    // In the order in which they are made.
    for made in [&["watermark"][..], &["watermark", "log"], &["watermark", "log", "copies"]] {
        let place = damaged(place.0.path(), |dir| {
            for file in ["watermark", "copies"].iter().filter(|file| !made.contains(file)) {
                fs::remove_file(dir.join(file)).unwrap();
            }
            if made.contains(&"log") {
                cut(&log_files(dir, "raftlog")[0], 0);
            } else {
                fs::remove_dir_all(dir.join("log")).unwrap();
            }
            drop(Watermark::create(dir.join("watermark"), [7; 16], 0).unwrap());
        });
        survives(place.0.path(), ONE_FILE, &[]);
        let (_, recovered) = DiskStore::open_with(place.0.path(), ONE_FILE).unwrap();
        assert_eq!(recovered.groups.len(), 1);
    }
}

#[test]
fn a_damaged_snapshot_costs_its_group_alone() {
    let place = OnDisk::new();
    let truth = fill(place.0.path(), ONE_FILE, 1);
    let flipped = damaged(place.0.path(), |dir| flip(&dir.join("snapshots/3-1-10.snap"), 60));
    assert_eq!(doubted(&survives(flipped.0.path(), ONE_FILE, &truth)), [GroupId(3)]);
    let missing = damaged(place.0.path(), |dir| {
        fs::remove_file(dir.join("snapshots/1-1-4.snap")).unwrap();
    });
    assert_eq!(doubted(&survives(missing.0.path(), ONE_FILE, &truth)), [GroupId(1)]);
}

#[test]
fn a_copy_that_only_the_lost_end_of_the_log_knew_never_comes_back() {
    let place = OnDisk::new();
    let dir = place.0.path();
    fill(dir, ONE_FILE, 1);
    let before = len(&log_files(dir, "raftlog")[0]);
    let (mut store, _) = DiskStore::open_with(dir, ONE_FILE).unwrap();
    let copies =
        [GroupWrite { replica: ReplicaId(50), ..append(2, 1..=1, 1) }, append(20, 1..=1, 1)];
    store.write(&[batch(1, copies.to_vec())]).unwrap();
    drop(store);
    cut(&log_files(dir, "raftlog")[0], before);
    let (mut store, recovered) = DiskStore::open_with(dir, ONE_FILE).unwrap();
    let replica = |group| {
        let found = recovered.doubtful.iter().find(|doubt| doubt.group == GroupId(group));
        found.map(|doubt| doubt.replica.0)
    };
    assert_eq!((replica(2), replica(20)), (Some(50), Some(1)));
    assert!(store.write(&[batch(1, vec![append(20, 1..=1, 1)])]).is_err());
}

#[test]
fn after_a_failed_sync_nothing_is_written_any_more() {
    let place = OnDisk::new();
    let (mut store, _) = DiskStore::open_with(place.0.path(), ONE_FILE).unwrap();
    store.write(&[batch(1, vec![append(1, 1..=1, 1)])]).unwrap();
    store.probe.fail_sync.store(true, Ordering::Relaxed);
    let error = store.write(&[batch(2, vec![append(1, 2..=2, 1)])]).unwrap_err();
    assert!(matches!(error, StoreError::Panicked { .. }), "{error:?}");
    assert!(error.to_string().contains("the disk lost its cache"), "{error}");
    for _ in 0..2 {
        let again = store.write(&[batch(3, vec![append(1, 2..=2, 1)])]);
        assert!(matches!(again, Err(StoreError::Poisoned)), "{again:?}");
    }
    drop(store);
    // Another process finds what was acknowledged, and perhaps more. This one never gives up the
    // engine, nor its lock on the files.
    let copied = damaged(place.0.path(), |_| ());
    let (_, recovered) = DiskStore::open_with(copied.0.path(), ONE_FILE).unwrap();
    assert_eq!(recovered.doubtful, []);
    assert_eq!(recovered.groups[0].entries[0].index, 1);
}
