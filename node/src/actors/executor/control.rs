//! How a run is told to end.

use tokio_util::sync::CancellationToken;
use umbel_protocol::executor::Start;
use umbel_protocol::task::Outcome;

/// What ends a run.
#[derive(Clone, Debug)]
pub(super) struct Control {
    /// It is asked to, and gets its grace.
    pub(super) cancel: CancellationToken,
    /// It is dropped at once. Only of one that must not overlap with others.
    kill: Option<CancellationToken>,
}

impl Control {
    pub(super) fn of(start: &Start) -> Self {
        let kill = start.template.options.is_exclusive().then(CancellationToken::new);
        Self { cancel: CancellationToken::new(), kill }
    }

    pub(super) fn kill(&self) {
        if let Some(kill) = &self.kill {
            kill.cancel();
        }
    }

    /// How `run` ends. Of one that is killed nothing goes on, but for a blocking handler that does not look
    /// whether it is cancelled: its thread cannot be stopped.
    pub(super) async fn until_killed(&self, run: impl Future<Output = Outcome>) -> Outcome {
        let Some(kill) = &self.kill else {
            return run.await;
        };
        tokio::select! {
            biased;
            outcome = run => outcome,
            () = kill.cancelled() => {
                self.cancel.cancel();
                Outcome::Cancelled
            }
        }
    }
}
