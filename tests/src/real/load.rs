//! Work that comes while things go wrong: a thread that submits until it was acknowledged enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::account::Account;
use super::client::Client;
use super::patience::PATIENCE;

/// A client that submits and submits.
#[derive(Debug)]
pub struct Load {
    acknowledged: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Account>,
}

impl Load {
    /// Submits the task that `line` writes, in pieces of `piece`, until `tasks` were acknowledged.
    #[must_use]
    pub fn start(client: Client, line: String, piece: usize, tasks: usize) -> Self {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (acknowledged, stopping) = (Arc::clone(&acknowledged), Arc::clone(&stopping));
            move || {
                let mut account = Account::default();
                let began = Instant::now();
                while account.acknowledged.len() < tasks
                    && !stopping.load(Ordering::Relaxed)
                    && began.elapsed() < PATIENCE
                {
                    account.submit(&client, vec![line.clone(); piece]);
                    acknowledged.store(account.acknowledged.len(), Ordering::Relaxed);
                }
                settle(&mut account, &client);
                account
            }
        });
        Self { acknowledged, stopping, thread }
    }

    /// Submits a piece once every `pause`, until it is stopped.
    #[must_use]
    pub fn start_at(client: Client, line: String, piece: usize, pause: Duration) -> Self {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (acknowledged, stopping) = (Arc::clone(&acknowledged), Arc::clone(&stopping));
            move || {
                let mut account = Account::default();
                while !stopping.load(Ordering::Relaxed) {
                    let next = Instant::now() + pause;
                    account.submit(&client, vec![line.clone(); piece]);
                    acknowledged.store(account.acknowledged.len(), Ordering::Relaxed);
                    while Instant::now() < next && !stopping.load(Ordering::Relaxed) {
                        thread::park_timeout(next.saturating_duration_since(Instant::now()));
                    }
                }
                settle(&mut account, &client);
                account
            }
        });
        Self { acknowledged, stopping, thread }
    }

    /// How many were acknowledged by now.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until it has submitted all and doubts nothing; what it knows.
    ///
    /// # Panics
    /// When it panicked.
    #[must_use]
    pub fn join(self) -> Account {
        self.thread.join().expect("it submits and asks")
    }

    /// Lets it submit no more, and waits until it doubts nothing.
    #[must_use]
    pub fn stop(self) -> Account {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.join()
    }
}

/// Whoever is in doubt asks until it knows.
fn settle(account: &mut Account, client: &Client) {
    let began = Instant::now();
    while !account.doubtful.is_empty() && began.elapsed() < PATIENCE {
        account.submit(client, Vec::new());
    }
}
