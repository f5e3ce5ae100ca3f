//! What stands in for a node where a test needs none: one partition, and nothing around it.
//!
//! What becomes of tasks is decided as in production: by the state machine of `umbel-protocol`, whose
//! entries are carried out as soon as they are made. So what is refused, tried again or given up is so in
//! a test as well. What is missing is all that makes it last: copies, disks, other nodes.
//!
//! Invariant: one that runs tasks has answered a submission only when all of its tasks have ended.

mod answer;
mod book;
mod run;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::journal::Words;

use self::book::Book;
pub(super) use self::run::Kitchen;
use super::Recorded;
use crate::client::Client;
use crate::client::local::LocalRequest;
use crate::work::Voice;

/// Requests that wait to be read.
const REQUESTS_MAX: usize = 64;

/// Stands in for a node. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(super) struct FakeNode(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// What it runs tasks with; without, nothing runs them.
    kitchen: Option<Kitchen>,
    /// Counts ends of runs, for those who wait.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    book: Book,
    /// What was taken in, in that order.
    recorded: Vec<Recorded>,
    running: HashMap<TaskId, CancellationToken>,
    /// What the last run of each task has said that said something, and which attempt it was.
    said: HashMap<TaskId, (Token, u16, Arc<Voice>)>,
}

impl FakeNode {
    /// One that takes tasks in and runs none of them.
    pub(super) fn new() -> Self {
        Self::with(None)
    }

    /// One that runs each task as soon as it is taken in.
    pub(super) fn running(kitchen: Kitchen) -> Self {
        Self::with(Some(kitchen))
    }

    /// Says how the runs of one that is yet to be made come to clients of it, which do not keep it.
    pub(super) fn connector() -> (Connection, impl Fn() -> Client + Send + Sync + 'static) {
        let connection = Connection::default();
        let node = Arc::clone(&connection.0);
        (connection, move || client_of(node.get().cloned().unwrap_or_default()))
    }

    fn with(kitchen: Option<Kitchen>) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), kitchen, ended: watch::Sender::new(0) }))
    }

    /// A client of it. Must be called within a tokio runtime.
    pub(super) fn client(&self) -> Client {
        let (requests, mut taken) = mpsc::channel::<LocalRequest>(REQUESTS_MAX);
        let node = self.clone();
        tokio::spawn(async move {
            while let Some(LocalRequest { request, answers }) = taken.recv().await {
                let node = node.clone();
                // Beside each other: what runs for one may ask for another.
                tokio::spawn(async move { node.serve(request.ask, answers).await });
            }
        });
        Client::local(requests)
    }

    /// Runs come to this one from now on.
    pub(super) fn connect(&self, connection: &Connection) {
        let _ = connection.0.set(Arc::downgrade(&self.0));
    }

    /// What was taken in, in that order.
    pub(super) fn recorded(&self) -> Vec<Recorded> {
        self.state().recorded.clone()
    }

    /// Forgets what was recorded; the tasks stay.
    pub(super) fn clear(&self) {
        self.state().recorded.clear();
    }

    /// What the last run of a task has said, as far as it is kept.
    pub(super) fn words(&self, task: TaskId) -> Words {
        self.state().said.get(&task).map(|(_, _, voice)| voice.words(Some(0))).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where those who are to come to a node find it, once it is there.
#[derive(Default)]
pub(super) struct Connection(Arc<OnceLock<Weak<Inner>>>);

/// A client of a node as long as somebody else keeps it.
fn client_of(node: Weak<Inner>) -> Client {
    let (requests, mut taken) = mpsc::channel::<LocalRequest>(REQUESTS_MAX);
    tokio::spawn(async move {
        while let Some(LocalRequest { request, answers }) = taken.recv().await {
            let Some(node) = node.upgrade().map(FakeNode) else { break };
            tokio::spawn(async move { node.serve(request.ask, answers).await });
        }
    });
    Client::local(requests)
}
