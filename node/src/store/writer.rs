//! The one thread that writes.
//!
//! *Owns* a [`Store`]. *Receives* batches through [`WriterHandle`]s, any number of them from any
//! number of actors. *Answers* each handle's callback with the highest number of its batches that
//! is durable. *Never* decides anything. All batches that have arrived while a sync was on its way
//! share the next one.
//!
//! ```text
//! handles --orders--> write thread --chores--> chore thread
//!                        |    ^------orders------'
//!                        '--> callbacks
//! ```
//!
//! The states of checkpoints are taken out of their batches and written by a second thread: a batch
//! is answered without waiting for them, as the log holds all that they replace until they are
//! safe. Received states come on their own, before the batches that name them, and are written by
//! that thread as well: no batch waits for their bytes. A failure or panic of either thread goes to
//! `on_fatal`, once; then nothing is written or answered any more, and the process should end.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use umbel_protocol::durable::{StateWrite, WriteBatch};

use super::error::StoreError;
use super::{Chore, ChoreDone, Store};

/// Chores that wait for the second thread; each may hold the state of a group in memory. When there
/// are more the write thread does them itself, which slows down whoever makes them; only received
/// states wait for their turn, as their groups do, and whoever hands them in limits their number.
const CHORES_MAX: usize = 4;

/// Some batches are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persisted {
    /// The highest number among them: all batches of the same handle up to it are durable.
    pub number: u64,
    /// How many [writes](Store::synced) of the store are.
    pub synced: u64,
}

/// A batch was not taken, and is given back.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The write thread has ended.
    #[error("the store is closed")]
    Closed(WriteBatch),
    /// Too many batches wait; try again when some have been answered.
    #[error("too many batches wait for the disk")]
    Full(WriteBatch),
}

/// The write thread. It ends, after all that was submitted before, when this is dropped.
#[derive(Debug)]
pub struct Writer {
    orders: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts it. At most `waiting_max` batches wait at a time. `on_fatal` is called on the write
    /// thread, as are all callbacks, and must not block.
    pub fn start(
        store: impl Store,
        waiting_max: usize,
        on_fatal: impl FnOnce(StoreError) + Send + 'static,
    ) -> io::Result<Self> {
        let waiting_max = waiting_max.max(1);
        let (orders, inbox) = sync_channel(waiting_max);
        let (chores, chore_inbox) = sync_channel(CHORES_MAX);
        let answers = orders.clone();
        let chore_thread = thread::Builder::new()
            .name("store-chores".to_owned())
            .spawn(move || do_chores(&chore_inbox, &answers))?;
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            let desk = Desk { store, inbox, waiting_max, chores, pending: VecDeque::new() };
            let result = catch_unwind(AssertUnwindSafe(|| desk.run()))
                .unwrap_or_else(|payload| Err(StoreError::panicked(&*payload)));
            match result {
                // It ends by itself once nobody gives it chores any more.
                Ok(()) => drop(chore_thread.join()),
                Err(error) => on_fatal(error),
            }
        })?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// A way to submit batches whose numbers count up by themselves, independent of other handles'.
    pub fn handle(&self, on_persisted: impl Fn(Persisted) + Send + Sync + 'static) -> WriterHandle {
        WriterHandle { orders: self.orders.clone(), on_persisted: Arc::new(on_persisted) }
    }

    /// Writes and answers all that was submitted before, then ends.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It fails if the thread has ended by itself, which is as good.
        drop(self.orders.send(Order::Stop));
        if let Some(thread) = self.thread.take() {
            // Its panics have been reported by itself.
            drop(thread.join());
        }
    }
}

type Callback = Arc<dyn Fn(Persisted) + Send + Sync>;
/// What is to happen once a received state is kept.
type Then = Box<dyn FnOnce() + Send>;

/// Submits batches; cheap to clone.
#[derive(Clone)]
pub struct WriterHandle {
    orders: SyncSender<Order>,
    on_persisted: Callback,
}

impl WriterHandle {
    /// Hands in a batch. Taken is not written: only the callback says that.
    pub fn submit(&self, batch: WriteBatch) -> Result<(), SubmitError> {
        let order = Order::Write(batch, Arc::clone(&self.on_persisted));
        self.orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(Order::Write(batch, _)) => SubmitError::Full(batch),
            TrySendError::Disconnected(Order::Write(batch, _)) => SubmitError::Closed(batch),
            TrySendError::Full(_) | TrySendError::Disconnected(_) => {
                unreachable!("the order that comes back is the one that was sent")
            }
        })
    }

    /// Hands in a received state; a batch that names it must not be handed in before `then` is
    /// called, on the write thread, where it must not block. At most a few at a time. False if it
    /// was not taken.
    #[must_use]
    pub fn keep(&self, write: StateWrite, then: impl FnOnce() + Send + 'static) -> bool {
        self.orders.try_send(Order::Keep(write, Box::new(then))).is_ok()
    }
}

impl std::fmt::Debug for WriterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterHandle")
    }
}

enum Order {
    /// A chore is done.
    Done(Result<ChoreDone, StoreError>, Option<Then>),
    /// The chore thread has done all chores and ends.
    Idle,
    /// Put the bytes of a received state on the disk.
    Keep(StateWrite, Then),
    /// Write no more than what came before.
    Stop,
    Write(WriteBatch, Callback),
}

/// What the chore thread does.
fn do_chores(inbox: &Receiver<Task>, answers: &SyncSender<Order>) {
    while let Ok(Task { chore, then }) = inbox.recv() {
        let result = catch_unwind(AssertUnwindSafe(|| chore.run()))
            .unwrap_or_else(|payload| Err(StoreError::panicked(&*payload)));
        if answers.send(Order::Done(result, then)).is_err() {
            return;
        }
    }
    // If nobody listens any more there is nobody to tell.
    drop(answers.send(Order::Idle));
}

/// A chore, and whom to tell.
struct Task {
    chore: Chore,
    /// There is somebody for received states only.
    then: Option<Then>,
}

/// What the write thread works with.
struct Desk<S> {
    store: S,
    inbox: Receiver<Order>,
    waiting_max: usize,
    chores: SyncSender<Task>,
    pending: VecDeque<Task>,
}

impl<S: Store> Desk<S> {
    fn run(mut self) -> Result<(), StoreError> {
        loop {
            let round = self.gather()?;
            let stop = round.stop;
            self.write(round)?;
            if stop {
                return self.close();
            }
        }
    }

    /// Waits for something to do, and takes all that is there.
    fn gather(&mut self) -> Result<Round, StoreError> {
        let mut round = Round::default();
        // This thread's own end of the channel lives in the chore thread, so it is never closed.
        let mut next = self.inbox.recv().ok();
        while let Some(order) = next {
            match order {
                Order::Done(done, then) => {
                    self.store.finish(done?);
                    then.into_iter().for_each(|then| then());
                }
                Order::Idle => {}
                Order::Keep(write, then) => {
                    let chore = self.store.save_state(write);
                    self.pending.push_back(Task { chore, then: Some(then) });
                }
                Order::Stop => round.stop = true,
                Order::Write(batch, callback) => round.add(batch, callback),
            }
            // Whoever submits while we take could keep us here for ever.
            if round.stop || round.batches.len() >= self.waiting_max {
                break;
            }
            next = self.inbox.try_recv().ok();
        }
        Ok(round)
    }

    fn write(&mut self, mut round: Round) -> Result<(), StoreError> {
        let mut states = Vec::new();
        for write in round.batches.iter_mut().flat_map(|batch| &mut batch.groups) {
            states.extend(write.checkpoint.take().map(|state| (write.group, write.replica, state)));
        }
        self.store.write(&round.batches)?;
        let synced = self.store.synced();
        for (callback, number) in round.answers {
            callback(Persisted { number, synced });
        }
        // Only now, as a checkpoint must not be named before the entries that led to it.
        for (group, replica, state) in states {
            let chore = self.store.save_checkpoint(group, replica, state);
            self.pending.push_back(Task { chore, then: None });
        }
        let upkeep = self.store.upkeep()?;
        self.pending.extend(upkeep.map(|chore| Task { chore, then: None }));
        self.delegate()
    }

    /// Gives chores to the other thread, and does what it has no room for.
    fn delegate(&mut self) -> Result<(), StoreError> {
        for task in mem::take(&mut self.pending) {
            // The other thread makes room as this one goes along: what came later must not find
            // the room that an earlier one did not. Those that wait are received states, all of
            // them.
            if task.then.is_some() && !self.pending.is_empty() {
                self.pending.push_back(task);
                continue;
            }
            match self.chores.try_send(task) {
                Ok(()) => {}
                // There will be room when a chore is done, and that wakes this thread.
                Err(TrySendError::Full(task)) if task.then.is_some() => {
                    self.pending.push_back(task);
                }
                Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) => {
                    self.store.finish(task.chore.run()?);
                    task.then.into_iter().for_each(|then| then());
                }
            }
        }
        Ok(())
    }

    /// Waits for the chores and makes them durable.
    fn close(mut self) -> Result<(), StoreError> {
        drop(self.chores);
        while let Ok(order) = self.inbox.recv() {
            match order {
                // Nobody names a state after the stop.
                Order::Done(done, _) => self.store.finish(done?),
                Order::Idle => break,
                // Submitted after the stop: never answered, as if the process had ended.
                Order::Keep(..) | Order::Stop | Order::Write(..) => {}
            }
        }
        self.store.write(&[])
    }
}

/// What is written with one sync.
#[derive(Default)]
struct Round {
    batches: Vec<WriteBatch>,
    /// Whom to tell which number. There are few handles.
    answers: Vec<(Callback, u64)>,
    stop: bool,
}

impl Round {
    fn add(&mut self, batch: WriteBatch, callback: Callback) {
        match self.answers.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &callback)) {
            Some((_, number)) => *number = batch.number,
            None => self.answers.push((callback, batch.number)),
        }
        self.batches.push(batch);
    }
}

#[cfg(test)]
mod tests;
