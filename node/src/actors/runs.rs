//! The runs of one executor, for whoever must know that none of them goes on.
//!
//! Invariant: no run outlives what it was started by. A successor of an executor, and the end of a
//! node, wait until the runs before them are over or dropped, and process groups that were left are
//! killed by what the ledger says.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
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
    /// The longest grace of those that were told to end, once they are.
    grace: Arc<OnceLock<Duration>>,
    /// Closed when the last [`Tie`] is gone; nothing is ever sent.
    ties: mpsc::Receiver<Infallible>,
}

/// Held by the executor and by every run of it.
#[derive(Clone, Debug)]
pub(crate) struct Tie {
    given_up: CancellationToken,
    grace: Arc<OnceLock<Duration>>,
    _held: mpsc::Sender<Infallible>,
}

impl Runs {
    /// None so far, and what ties those to come.
    pub(crate) fn none() -> (Self, Tie) {
        let (held, ties) = mpsc::channel(1);
        let (given_up, grace) = (CancellationToken::new(), Arc::default());
        let runs = Self { given_up: given_up.clone(), grace: Arc::clone(&grace), ties };
        (runs, Tie { given_up, grace, _held: held })
    }

    /// Drops all runs at once, without telling anybody how they ended.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Waits until the runs, which were told to end, have done so; at most the longest grace of any. Those
    /// that go on then are given up.
    pub(crate) async fn end(mut self, runner: Runner) {
        let since = Instant::now();
        // That they are told may be on its way: then it is not known yet how long that is.
        let mut until = since + runner.grace() + MARGIN;
        while timeout(until.duration_since(Instant::now()), self.over()).await.is_err() {
            let longest = self.grace.get().copied().unwrap_or_default();
            if since + longest + MARGIN <= until {
                return self.drop_all(runner).await;
            }
            until = since + longest + MARGIN;
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

    /// All runs are told to end; `longest` is the longest grace of any.
    pub(crate) fn told(&self, longest: Duration) {
        // An executor tells it once.
        let _ = self.grace.set(longest);
    }

    /// What comes of `run`, or nothing if it is given up; then it is dropped first.
    pub(crate) async fn hold<T>(self, run: impl Future<Output = T>) -> Option<T> {
        self.given_up.run_until_cancelled(run).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::work::Ledger;

    #[tokio::test]
    async fn runs_that_are_to_end_have_the_longest_grace_of_any() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new("a", Ledger::open(dir.path()).unwrap());
        let runner = runner.with_grace(Duration::ZERO);
        for (longest, has_time) in [(Duration::from_secs(600), true), (Duration::ZERO, false)] {
            let (runs, tie) = Runs::none();
            tie.told(longest);
            // It takes a bit more than it would have without.
            let run = timeout(MARGIN + MARGIN / 2, pending::<()>());
            let hold = async move {
                let held = tie.clone();
                let ended = tie.hold(run).await;
                drop(held);
                ended
            };
            let (ended, ()) = tokio::join!(hold, runs.end(runner.clone()));
            assert_eq!(ended.is_some(), has_time, "{longest:?}");
        }
    }
}
