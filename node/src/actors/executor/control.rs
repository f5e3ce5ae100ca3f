//! How a run is told to end.

use std::time::Duration;

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
    /// How long it may go on after it was asked to end.
    pub(super) grace: Duration,
}

impl Control {
    pub(super) fn of(start: &Start, grace: Duration) -> Self {
        let kill = start.template.options.is_exclusive().then(CancellationToken::new);
        Self { cancel: CancellationToken::new(), kill, grace }
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
    use crate::work::{CommandSpec, Definition, Ledger, Program, RunRequest, Runner};

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
        Control::of(&start, Duration::ZERO)
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
    async fn the_grace_of_a_run_that_must_not_overlap_ends_with_its_guard() {
        let control = control(true);
        let dir = tempfile::tempdir().unwrap();
        let text =
            "trap 'touch asked' TERM; echo $$ > pid; mv pid here; while :; do sleep 0.01; done";
        let mut spec = CommandSpec::new(Program::Shell(text.to_owned()));
        spec.cwd = Some(dir.path().to_owned());
        spec.grace = Some(CommandSpec::GRACE_MAX);
        let definition = Arc::new(Definition::command("bill", spec));
        let runner = Runner::new("a", Ledger::open(dir.path().join("runs")).unwrap());
        let request = RunRequest::with_args("null");
        let gone = runner.gone(request.id, request.token);
        let run = runner.run(&definition, request.clone(), control.cancel.clone());
        let exists = async |name: &str| {
            while !dir.path().join(name).exists() {
                tokio::task::yield_now().await;
            }
        };
        let end = async {
            exists("here").await;
            control.cancel.cancel();
            exists("asked").await;
            control.kill();
        };
        let ended = async { tokio::join!(control.until_killed(run, gone), end).0 };
        let patience = Duration::from_secs(60);
        assert_eq!(tokio::time::timeout(patience, ended).await, Ok(Outcome::Cancelled));
        let pid = std::fs::read_to_string(dir.path().join("here")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        // One that is dead may not have been waited for yet.
        assert!(!stat.is_ok_and(|stat| !stat.contains(") Z ")), "it goes on");
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
