//! What the write thread promises, on a store whose every write the test lets through.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use umbel_protocol::durable::{GroupWrite, Snapshot};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::*;
use crate::store::conformance::{append, batch, blank, snapshot};
use crate::store::{MemoryDisk, MemoryStore};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A memory store that says what it is asked to write, and waits to be told how that went.
struct Gated {
    inner: MemoryStore,
    asked: Sender<Vec<u64>>,
    verdicts: Receiver<Verdict>,
}

enum Verdict {
    Fail,
    Pass,
    Panic,
}

impl Store for Gated {
    fn write(&mut self, batches: &[WriteBatch]) -> Result<(), StoreError> {
        self.asked.send(batches.iter().map(|batch| batch.number).collect()).unwrap();
        match self.verdicts.recv().unwrap() {
            Verdict::Fail => Err(StoreError::Poisoned),
            Verdict::Pass => self.inner.write(batches),
            Verdict::Panic => panic!("the disk is on fire"),
        }
    }

    fn save_checkpoint(&mut self, group: GroupId, replica: ReplicaId, state: Snapshot) -> Chore {
        self.inner.save_checkpoint(group, replica, state)
    }

    fn save_state(&mut self, write: StateWrite) -> Chore {
        self.inner.save_state(write)
    }

    fn upkeep(&mut self) -> Result<Option<Chore>, StoreError> {
        self.inner.upkeep()
    }

    fn finish(&mut self, done: ChoreDone) {
        self.inner.finish(done);
    }

    fn synced(&self) -> u64 {
        self.inner.synced()
    }
}

struct Rig {
    disk: MemoryDisk,
    writer: Writer,
    asked: Receiver<Vec<u64>>,
    verdicts: Sender<Verdict>,
    fatal: Receiver<StoreError>,
}

fn rig(waiting_max: usize) -> Rig {
    let disk = MemoryDisk::new();
    let (asked_tx, asked) = mpsc::channel();
    let (verdicts, verdicts_rx) = mpsc::channel();
    let (fatal_tx, fatal) = mpsc::channel();
    let inner = disk.open().0;
    let store = Gated { inner, asked: asked_tx, verdicts: verdicts_rx };
    let writer = Writer::start(store, waiting_max, move |error| fatal_tx.send(error).unwrap());
    Rig { disk, writer: writer.unwrap(), asked, verdicts, fatal }
}

impl Rig {
    fn asked(&self) -> Vec<u64> {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }

    fn handle(&self) -> (WriterHandle, Receiver<Persisted>) {
        let (told, persisted) = mpsc::channel();
        // A test that no longer listens is not told.
        (self.writer.handle(move |event| drop(told.send(event))), persisted)
    }
}

fn entries(number: u64) -> WriteBatch {
    batch(number, vec![append(1, number..=number, 1)])
}

#[test]
fn batches_that_arrive_during_a_sync_share_the_next_and_are_answered_once() {
    let rig = rig(8);
    let (one, one_told) = rig.handle();
    let (two, two_told) = rig.handle();
    one.submit(entries(1)).unwrap();
    assert_eq!(rig.asked(), [1]);
    one.submit(entries(2)).unwrap();
    two.submit(batch(1, vec![append(2, 1..=1, 1)])).unwrap();
    let clone = one.clone();
    clone.submit(entries(3)).unwrap();
    drop(one);
    assert!(one_told.try_recv().is_err());
    rig.verdicts.send(Verdict::Pass).unwrap();
    assert_eq!(one_told.recv_timeout(PATIENCE).unwrap().number, 1);
    assert_eq!(rig.asked(), [2, 1, 3]);
    rig.verdicts.send(Verdict::Pass).unwrap();
    let told = one_told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told, Persisted { number: 3, synced: 2 });
    let told = two_told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told, Persisted { number: 1, synced: 2 });
    rig.verdicts.send(Verdict::Pass).unwrap();
    rig.verdicts.send(Verdict::Pass).unwrap();
    rig.writer.stop();
    assert!(one_told.try_recv().is_err());
}

#[test]
fn more_than_may_wait_is_refused_and_given_back() {
    let rig = rig(2);
    let (handle, told) = rig.handle();
    handle.submit(entries(1)).unwrap();
    assert_eq!(rig.asked(), [1]);
    handle.submit(entries(2)).unwrap();
    handle.submit(entries(3)).unwrap();
    match handle.submit(entries(4)) {
        Err(SubmitError::Full(batch)) => assert_eq!(batch, entries(4)),
        other => panic!("{other:?}"),
    }
    rig.verdicts.send(Verdict::Pass).unwrap();
    rig.verdicts.send(Verdict::Pass).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().number, 1);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().number, 3);
    for _ in 0..2 {
        rig.verdicts.send(Verdict::Pass).unwrap();
    }
}

#[test]
fn a_failure_or_a_panic_is_fatal_once_and_nothing_is_answered_after_it() {
    for (verdict, said) in [(Verdict::Fail, "an earlier one failed"), (Verdict::Panic, "on fire")] {
        let rig = rig(8);
        let (handle, told) = rig.handle();
        handle.submit(entries(1)).unwrap();
        assert_eq!(rig.asked(), [1]);
        handle.submit(entries(2)).unwrap();
        rig.verdicts.send(verdict).unwrap();
        let error = rig.fatal.recv_timeout(PATIENCE).unwrap();
        assert!(error.to_string().contains(said), "{error}");
        let Rig { writer, fatal, .. } = rig;
        writer.stop();
        assert!(matches!(handle.submit(entries(3)), Err(SubmitError::Closed(_))));
        assert!(fatal.recv().is_err() && told.try_recv().is_err());
    }
}

/// A memory store on which a received state is only safe when the test says so.
struct SlowStates {
    inner: MemoryStore,
    gate: Arc<std::sync::Mutex<Receiver<()>>>,
}

impl Store for SlowStates {
    fn synced(&self) -> u64 {
        self.inner.synced()
    }

    fn write(&mut self, batches: &[WriteBatch]) -> Result<(), StoreError> {
        self.inner.write(batches)
    }

    fn save_checkpoint(&mut self, group: GroupId, replica: ReplicaId, state: Snapshot) -> Chore {
        self.inner.save_checkpoint(group, replica, state)
    }

    fn save_state(&mut self, write: StateWrite) -> Chore {
        let (chore, gate) = (self.inner.save_state(write), self.gate.clone());
        Chore::new(move || {
            gate.lock().unwrap().recv().unwrap();
            chore.run()
        })
    }

    fn upkeep(&mut self) -> Result<Option<Chore>, StoreError> {
        self.inner.upkeep()
    }

    fn finish(&mut self, done: ChoreDone) {
        self.inner.finish(done);
    }
}

#[test]
fn batches_do_not_wait_for_received_states() {
    let (open, gate) = mpsc::channel();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let store = SlowStates { inner: MemoryDisk::new().open().0, gate };
    let writer = Writer::start(store, 64, |error| panic!("{error}")).unwrap();
    // Gone before the writer, which would wait for ever behind the gate of a test that has failed.
    let open = open;
    let (told, persisted) = mpsc::channel();
    let handle = writer.handle(move |event| drop(told.send(event)));
    let (keeping, kept) = mpsc::channel();
    // More than the chore thread has room for.
    let many = 3 * CHORES_MAX as u64;
    for number in 1..=many {
        let (group, replica) = (GroupId(9), ReplicaId(1));
        let write = StateWrite { group, replica, state: snapshot(number, 1) };
        let keeping = keeping.clone();
        assert!(handle.keep(write, move || keeping.send(number).unwrap()));
        handle.submit(entries(number)).unwrap();
    }
    while persisted.recv_timeout(PATIENCE).unwrap().number < many {}
    assert!(kept.try_recv().is_err(), "none of them is safe");
    for number in 1..=many {
        open.send(()).unwrap();
        assert_eq!(kept.recv_timeout(PATIENCE).unwrap(), number, "one after the other");
    }
    handle.submit(entries(many + 1)).unwrap();
    assert_eq!(persisted.recv_timeout(PATIENCE).unwrap().number, many + 1);
}

#[test]
fn a_stop_writes_all_that_came_before_and_its_checkpoints() {
    let rig = rig(32);
    let (handle, told) = rig.handle();
    // More states than the chore thread has room for.
    for number in 1..=12 {
        let write = append(1, number..=number, 1);
        let checkpoint = Some(snapshot(number, 1));
        handle.submit(batch(number, vec![GroupWrite { checkpoint, ..write }])).unwrap();
    }
    for _ in 0..64 {
        rig.verdicts.send(Verdict::Pass).unwrap();
    }
    rig.writer.stop();
    assert_eq!(told.try_iter().last().unwrap().number, 12);
    let (_, recovered) = rig.disk.open();
    assert_eq!(recovered.groups[0].snapshot, Some(snapshot(12, 1)));
    assert!(recovered.groups[0].entries.is_empty());
    assert!(matches!(handle.submit(batch(13, vec![blank(1, 1)])), Err(SubmitError::Closed(_))));
}
