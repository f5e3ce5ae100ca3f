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

    /// How `run` ends. Of one that is killed nothing goes on then, but for a blocking handler that does not
    /// look whether it is cancelled: its thread cannot be stopped. `gone` waits for the rest of it, once it is
    /// dropped.
    pub(super) async fn until_killed(
        &self,
        run: impl Future<Output = Outcome>,
        gone: impl Future<Output = ()>,
    ) -> Outcome {
        let Some(kill) = &self.kill else {
            return run.await;
        };
        tokio::select! {
            biased;
            outcome = run => outcome,
            () = kill.cancelled() => {
                self.cancel.cancel();
                gone.await;
                Outcome::Cancelled
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use umbel_protocol::id::Token;
    use umbel_protocol::task::{Options, Template};

    use super::*;

    fn control(exclusive: bool) -> Control {
        let options = Options { exclusive: Some(exclusive), ..Options::default() };
        let start = Start {
            task: "018bcfe5-687b-7003-8000-000000000001".parse().unwrap(),
            token: Token { term: 1, index: 2, position: 3 },
            attempt: 1,
            template: Arc::new(Template { options, ..Template::new("bill") }),
            args: "null".into(),
            time_left: None,
            metadata: None,
        };
        Control::of(&start)
    }

    #[tokio::test]
    async fn a_run_that_is_killed_is_dropped_at_once() {
        let control = control(true);
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let run = async move {
            std::future::pending::<()>().await;
            drop(inside);
            Outcome::Succeeded("1".into())
        };
        control.kill();
        let (end, ended) = tokio::sync::oneshot::channel();
        let gone = async {
            assert_eq!(Arc::strong_count(&held), 1, "nothing of it goes on");
            assert!(control.cancel.is_cancelled(), "what cannot be dropped can see it");
            ended.await.unwrap();
        };
        let mut outcome = std::pin::pin!(control.until_killed(run, gone));
        assert!((&mut outcome).now_or_never().is_none(), "it is not told before all of it is gone");
        end.send(()).unwrap();
        assert_eq!(outcome.await, Outcome::Cancelled);
    }

    #[tokio::test]
    async fn what_ended_before_or_may_overlap_is_not_killed() {
        let done = Outcome::Succeeded("1".into());
        for exclusive in [true, false] {
            let control = control(exclusive);
            control.kill();
            let run = std::future::ready(done.clone());
            let ended = control.until_killed(run, std::future::pending()).await;
            assert_eq!(ended, done);
        }
    }
}
