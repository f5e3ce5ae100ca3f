//! The runs of one executor, for whoever must know that none of them goes on.
//!
//! Invariant: no run outlives what it was started by. A successor of an executor, and the end of a
//! node, wait until the runs before them are over or dropped, and process groups that were left are
//! killed by what the ledger says.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::work::{Runner, chain};

/// What a run gets on top of its grace: a command is killed when that is over, and then gone.
const MARGIN: Duration = Duration::from_secs(1);
/// How long runs that were given up are waited for: one that computes without a pause cannot be
/// dropped, and must not keep a node from its end.
const DROP_WAIT: Duration = Duration::from_secs(1);

/// Held by whoever answers for the runs. Dropping it gives them up.
#[derive(Debug)]
pub(crate) struct Runs {
    given_up: CancellationToken,
    /// Closed when the last [`Tie`] is gone; nothing is ever sent.
    ties: mpsc::Receiver<Infallible>,
}

/// Held by the executor and by every run of it.
#[derive(Clone, Debug)]
pub(crate) struct Tie {
    given_up: CancellationToken,
    _held: mpsc::Sender<Infallible>,
}

impl Runs {
    /// None so far, and what ties those to come.
    pub(crate) fn none() -> (Self, Tie) {
        let (held, ties) = mpsc::channel(1);
        let given_up = CancellationToken::new();
        (Self { given_up: given_up.clone(), ties }, Tie { given_up, _held: held })
    }

    /// Drops all runs at once, without telling anybody how they ended.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Waits until the runs, which were told to end, have done so; at most their grace. Those that
    /// go on then are given up.
    pub(crate) async fn end(mut self, runner: Runner) {
        if timeout(runner.grace() + MARGIN, self.over()).await.is_err() {
            self.drop_all(runner).await;
        }
    }

    /// Gives up the runs, and waits until nothing of them goes on.
    pub(crate) async fn drop_all(mut self, runner: Runner) {
        self.give_up();
        if timeout(DROP_WAIT, self.over()).await.is_err() {
            warn!("code of a run does not let itself be stopped");
        }
        let swept = tokio::task::spawn_blocking(move || runner.sweep()).await;
        if let Ok(Err(why)) = swept {
            warn!(why = chain(&why), "process groups of former runs may go on");
        }
    }

    async fn over(&mut self) {
        while self.ties.recv().await.is_some() {}
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Tie {
    /// Whether the runs were given up: none may begin any more.
    pub(crate) fn is_cut(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// What comes of `run`, or nothing if it is given up; then it is dropped first.
    pub(crate) async fn hold<T>(self, run: impl Future<Output = T>) -> Option<T> {
        self.given_up.run_until_cancelled(run).await
    }
}
