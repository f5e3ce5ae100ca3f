//! How long programs may go on after they were asked to end, and that none does after that is told.

use std::fs;

use super::*;

/// Ends some time after it was asked to: when the file `go` is there.
const TIDY: &str = "trap 'touch asked; while ! [ -e go ]; do sleep 0.01; done; touch tidied; exit' TERM; \
                    echo $$ > pid; while :; do sleep 0.01; done";
/// Does not end when it is asked to, nor does its child.
const STUBBORN: &str = "trap 'touch asked' TERM; sh -c \"trap '' TERM; while :; do sleep 600; done\" & \
                        echo $! > child; echo $$ > pid; while :; do wait; done";

impl Bench {
    fn shell_with(&self, text: &str, grace: Option<Duration>) -> Definition {
        let mut spec = CommandSpec::new(Program::Shell(text.to_owned()));
        spec.cwd = Some(self.dir.path().to_owned());
        spec.grace = grace;
        Definition::command("job", spec)
    }

    async fn asked(&self) {
        until(|| self.path("asked").exists().then_some(())).await;
    }
}

#[tokio::test]
async fn a_program_has_the_grace_that_its_task_says() {
    // More than its node would give it.
    let bench = Bench::new().grace(Duration::ZERO);
    let cancel = async {
        bench.pid("pid").await;
        bench.cancel.cancel();
        bench.asked().await;
        fs::write(bench.path("go"), "").unwrap();
    };
    let run = bench.run(bench.shell_with(TIDY, Some(NEVER)), "null");
    let (outcome, ()) = tokio::join!(run, cancel);
    assert_eq!(outcome, Outcome::Cancelled);
    assert!(bench.path("tidied").exists(), "it was not killed");

    // And less.
    for grace in [Duration::ZERO, Duration::from_millis(20)] {
        let bench = Bench::new().grace(NEVER);
        let cancel = async {
            let pids = [bench.pid("pid").await, bench.pid("child").await];
            bench.cancel.cancel();
            pids
        };
        let run = bench.run(bench.shell_with(STUBBORN, Some(grace)), "null");
        let (outcome, pids) = tokio::join!(run, cancel);
        assert_eq!(outcome, Outcome::Cancelled);
        assert!(!pids.into_iter().any(lives), "{grace:?}");
    }
}

#[test]
fn no_program_has_more_grace_than_there_may_be() {
    let bench = Bench::new();
    let grace_of = |grace| bench.runner.grace_of(&bench.shell_with(TIDY, grace));
    assert_eq!(grace_of(None), NEVER);
    assert_eq!(grace_of(Some(Duration::from_secs(7))), Duration::from_secs(7));
    assert_eq!(grace_of(Some(Duration::MAX)), CommandSpec::GRACE_MAX);
}

#[tokio::test]
async fn nothing_of_a_run_that_was_dropped_goes_on_once_that_is_told() {
    let bench = Bench::new();
    let definition = bench.shell_with(STUBBORN, None);
    let told = async { [bench.pid("pid").await, bench.pid("child").await] };
    let pids = tokio::select! {
        outcome = bench.run(definition, "null") => panic!("it ended: {outcome:?}"),
        pids = told => pids,
    };
    let RunRequest { id, token, .. } = RunRequest::with_args("null");
    bench.runner.gone(id, token).await;
    assert!(!pids.into_iter().any(lives));
    assert_eq!(bench.path("runs").read_dir().unwrap().count(), 0, "it is forgotten");
    bench.runner.gone(id, token).await;
}
