//! Processes that die while they write: killed at any moment, or out of space.
//!
//! This binary starts itself again as the process that dies. That one writes batches which follow
//! from their numbers alone, and prints each number once it is acknowledged; so what must be on disk
//! afterwards is known here without having been told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also outside of test functions")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use bytes::Bytes;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use umbel::store::{DiskStore, Recovered, Sizes, Store, StoreError, SubmitError, Writer};
use umbel_protocol::durable::{
    Copies, EntryKind, GroupWrite, HardState, LogEntry, Snapshot, StoredGroup, WriteBatch,
};
use umbel_protocol::id::{GroupId, ReplicaId};

const DIR: &str = "UMBEL_TEST_STORE_DIR";
const ROUNDS: u64 = 15;
const GROUPS: u16 = 5;
const IN_FLIGHT_MAX: usize = 8;
/// No file may become larger in the process that runs out of space.
const SPACE: u64 = 600 * 1024;

/// So small that files of the log come and go while processes die.
const SMALL: Sizes =
    Sizes { log_file_bytes: 32 * 1024, log_bytes: 128 * 1024, upkeep_bytes: 32 * 1024 };

/// Well mixed bits that follow from `seed`.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn payload(seed: u64) -> Bytes {
    let len = mix(seed) % 1200;
    (0..len).map(|at| mix(seed ^ at).to_le_bytes()[0]).collect()
}

fn state(group: u16, replica: ReplicaId, index: u64, term: u64) -> Snapshot {
    let copies = Copies { voters: vec![replica], ..Copies::default() };
    let data = payload(index << 20 ^ u64::from(group) ^ replica.0 << 50);
    Snapshot { index, term, copies, data }
}

/// All that a group was ever given since its log last started.
#[derive(Clone, Debug)]
struct Group {
    replica: ReplicaId,
    received: Option<Snapshot>,
    entries: Vec<LogEntry>,
    hard_state: HardState,
    term: u64,
}

/// What all batches up to some number make.
#[derive(Default)]
struct History {
    number: u64,
    groups: BTreeMap<u16, Group>,
}

impl History {
    fn up_to(number: u64) -> Self {
        let mut history = Self::default();
        while history.number < number {
            history.next();
        }
        history
    }

    /// The batch that follows.
    fn next(&mut self) -> WriteBatch {
        self.number += 1;
        let number = self.number;
        let groups =
            (0..GROUPS).filter(|group| mix(number ^ u64::from(*group) << 40).is_multiple_of(3));
        let mut groups: Vec<_> = groups.collect();
        if groups.is_empty() {
            groups.push(0);
        }
        let groups = groups.into_iter().map(|group| self.write(group)).collect();
        WriteBatch { number, groups }
    }

    fn write(&mut self, id: u16) -> GroupWrite {
        let number = self.number;
        let die = mix(number << 16 | u64::from(id)) % 100;
        let blank = |replica| Group {
            replica,
            received: None,
            entries: Vec::new(),
            hard_state: HardState::default(),
            term: 1,
        };
        let group = self.groups.entry(id).or_insert_with(|| blank(ReplicaId(1)));
        if die < 2 {
            *group = blank(ReplicaId(group.replica.0 + 1));
        }
        let base = group.received.as_ref().map_or(0, |received| received.index);
        let mut last = base + group.entries.len() as u64;
        let mut snapshot = None;
        if (2..5).contains(&die) {
            last += 5;
            snapshot = Some(state(id, group.replica, last, group.term));
            group.received.clone_from(&snapshot);
            group.entries.clear();
        } else if (5..20).contains(&die) && group.entries.len() > 2 {
            // What was never committed is replaced; checkpoints lie before it.
            last -= 2;
            group.term += 1;
            group.entries.truncate(group.entries.len() - 2);
        }
        let fresh = (last + 1..=last + 3).map(|index| LogEntry {
            index,
            term: group.term,
            kind: EntryKind::Commands,
            data: payload(index ^ number << 32),
        });
        let entries: Vec<_> = fresh.collect();
        group.entries.extend_from_slice(&entries);
        group.hard_state = HardState { term: group.term, vote: 1, commit: number };
        let committed = group.entries.len().checked_sub(4).and_then(|at| group.entries.get(at));
        let checkpoint = committed
            .filter(|_| die >= 80)
            .map(|entry| state(id, group.replica, entry.index, entry.term));
        GroupWrite {
            group: GroupId(id),
            replica: group.replica,
            destroy: false,
            snapshot,
            entries,
            hard_state: Some(group.hard_state),
            checkpoint,
        }
    }

    /// Whether `stored` is what all batches made, whichever checkpoints had been saved.
    fn check(&self, stored: &[StoredGroup]) {
        let names: Vec<_> = stored.iter().map(|stored| stored.group.0).collect();
        assert_eq!(names, self.groups.keys().copied().collect::<Vec<_>>());
        for (stored, (id, group)) in stored.iter().zip(&self.groups) {
            assert_eq!((stored.replica, stored.hard_state), (group.replica, group.hard_state));
            assert!(!stored.destroyed);
            let received = group.received.as_ref().map_or(0, |received| received.index);
            let base = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
            assert!(base >= received, "{id}: {base} is before {received}");
            if let Some(snapshot) = &stored.snapshot {
                let expected = state(*id, group.replica, base, snapshot.term);
                assert_eq!(*snapshot, expected);
            }
            let behind = group.entries.iter().filter(|entry| entry.index > base);
            assert!(stored.entries.iter().eq(behind), "{id}: other entries than were written");
        }
    }
}

/// The last batch that left anything.
fn reached(recovered: &Recovered) -> u64 {
    recovered.groups.iter().map(|stored| stored.hard_state.commit).max().unwrap_or(0)
}

fn open(dir: &Path) -> (DiskStore, Recovered) {
    let (store, recovered) = DiskStore::open_with(dir, SMALL).unwrap();
    assert_eq!(recovered.doubtful, [], "dying is no reason for doubt");
    (store, recovered)
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Starts this binary as the process that does `role` in `dir`.
fn start(role: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([role, "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn acknowledged(line: &str) -> Option<u64> {
    // The test harness may have begun the line.
    line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok())
}

#[test]
fn killed_at_any_moment_a_store_keeps_all_that_it_acknowledged() {
    let temp = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..ROUNDS {
        let mut child = start("role_write_until_killed", temp.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks = lines.by_ref().map_while(Result::ok).filter_map(|line| acknowledged(&line));
        let enough = mix(round) % 120;
        let mut last = 0;
        for number in acks.by_ref() {
            last = number;
            if number >= before + enough {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts as well.
        last = acks.last().unwrap_or(last);

        let (store, recovered) = open(temp.path());
        drop(store);
        let reached = reached(&recovered);
        assert!(reached >= last && last > before, "{reached} of {last} in round {round}");
        History::up_to(reached).check(&recovered.groups);
        before = reached;
    }
}

/// Runs only as a process of its own.
#[test]
fn role_write_until_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let (store, recovered) = open(Path::new(&dir));
    let mut history = History::up_to(reached(&recovered));
    let (told, persisted) = mpsc::channel();
    let writer = Writer::start(store, IN_FLIGHT_MAX, |error| panic!("{error}")).unwrap();
    let handle = writer.handle(move |event| told.send(event.number).unwrap());
    let mut next = history.next();
    loop {
        match handle.submit(next) {
            Ok(()) => next = history.next(),
            Err(SubmitError::Full(batch)) => {
                next = batch;
                say(&format!("acknowledged {}", persisted.recv().unwrap()));
            }
            Err(error @ SubmitError::Closed(_)) => panic!("{error}"),
        }
        for number in persisted.try_iter() {
            say(&format!("acknowledged {number}"));
        }
    }
}

#[test]
fn out_of_space_a_store_says_so_and_keeps_all_that_it_acknowledged() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = start("role_write_until_full", temp.path());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)).last().unwrap();
    assert!(child.wait().unwrap().success());

    let (mut store, recovered) = DiskStore::open(temp.path()).unwrap();
    assert_eq!(recovered.doubtful, []);
    let mut history = History::up_to(last);
    history.check(&recovered.groups);
    // With space it goes on.
    store.write(&[history.next()]).unwrap();
}

/// Runs only as a process of its own, whose limit stands for the end of the disk.
#[test]
fn role_write_until_full() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, SPACE, SPACE).unwrap();

    let (mut store, _) = DiskStore::open(Path::new(&dir)).unwrap();
    let mut history = History::default();
    let error = loop {
        let batch = history.next();
        match store.write(std::slice::from_ref(&batch)) {
            Ok(()) => say(&format!("acknowledged {}", batch.number)),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().contains("free some"), "{error}");
    let again = store.write(&[history.next()]);
    assert!(matches!(again, Err(StoreError::Poisoned)), "{again:?}");
}
