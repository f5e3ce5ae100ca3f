//! Real processes: what they are given, what is kept of them, and that none outlives its run.

mod grace;
mod memory;
mod unruly;

use tokio_util::sync::CancellationToken;
use umbel_protocol::id::Token;
use umbel_protocol::journal::Progress;
use umbel_protocol::limits::JOURNAL_BYTES_MAX;

use super::super::arguments::Argument;
use super::*;

use crate::work::definition::Definition;
use crate::work::middleware::{Middleware, Next};
use crate::work::run::{RunRequest, Runner};

/// Long enough never to be reached by a test that passes.
const NEVER: Duration = Duration::from_secs(60);

struct Bench {
    runner: Runner,
    cancel: CancellationToken,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path().join("runs")).unwrap();
        let runner = Runner::new("here", ledger).with_grace(NEVER);
        Self { runner, cancel: CancellationToken::new(), dir }
    }

    fn grace(mut self, grace: Duration) -> Self {
        self.runner = self.runner.with_grace(grace);
        self
    }

    async fn run(&self, definition: Definition, args: &str) -> Outcome {
        let request = RunRequest::with_args(args);
        let outcome = self.runner.run(&Arc::new(definition), request, self.cancel.clone()).await;
        // Whatever happened, nothing is left to be killed by a next start.
        assert_eq!(self.path("runs").read_dir().unwrap().count(), 0);
        outcome
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The shell `text`, in a directory of its own.
    fn shell(&self, text: &str) -> Definition {
        let mut spec = CommandSpec::new(Program::Shell(text.to_owned()));
        spec.cwd = Some(self.dir.path().to_owned());
        Definition::command("job", spec)
    }

    /// The number that a program of the test has written to the file `name`.
    fn written(&self, name: &str) -> Option<i32> {
        std::fs::read_to_string(self.path(name)).ok()?.strip_suffix('\n')?.parse().ok()
    }

    /// Waits until a program of the test has written a number to the file `name`.
    async fn pid(&self, name: &str) -> i32 {
        until(|| self.written(name)).await
    }
}

/// Waits until `condition` holds.
async fn until<T>(condition: impl Fn() -> Option<T>) -> T {
    let met = async {
        loop {
            match condition() {
                Some(met) => return met,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(NEVER, met).await.expect("it holds in the end")
}

fn argv(argv: &[&str]) -> CommandSpec {
    let argv: Vec<_> = argv.iter().map(|arg| (*arg).to_owned()).collect();
    CommandSpec::new(Program::Argv(Box::new(move |_| Ok(argv.clone()))))
}

#[tokio::test]
async fn a_program_is_not_given_what_is_withheld() {
    let bench = Bench::new();
    let printed = async || output(bench.run(bench.shell("env"), "null").await).0;
    // Whatever this test was given itself.
    let mut inherited = std::env::vars().filter(|(name, _)| !name.starts_with("UMBEL_"));
    let (name, _) = inherited.find(|(name, _)| name != "PATH").expect("there is one");
    let has_it = |printed: &str| printed.lines().any(|line| line.starts_with(&format!("{name}=")));
    assert!(has_it(&printed().await), "{name}");
    bench.runner.host.withheld.add([name.as_str()]);
    assert!(!has_it(&printed().await), "{name}");
    // Unless somebody gives it that.
    let mut spec = CommandSpec::new(Program::Shell("env".to_owned()));
    let given = name.clone();
    spec.environment = Box::new(move |_| Ok(vec![(given.clone(), "given".to_owned())]));
    let (stdout, _) = output(bench.run(Definition::command("job", spec), "null").await);
    assert!(stdout.lines().any(|line| line == format!("{name}=given")), "{stdout}");
}

fn output(outcome: Outcome) -> (String, String) {
    let Outcome::Succeeded(json) = outcome else { panic!("it did not succeed: {outcome:?}") };
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["exit_code"], 0);
    (json["stdout"].as_str().unwrap().to_owned(), json["stderr"].as_str().unwrap().to_owned())
}

/// What a failure says as data.
fn detail(outcome: &Outcome) -> serde_json::Value {
    let Outcome::Failed(failure) = outcome else { panic!("it did not fail: {outcome:?}") };
    serde_json::from_slice(failure.detail().expect("it has data")).unwrap()
}

fn failure(outcome: Outcome) -> (FailureKind, String) {
    let Outcome::Failed(failure) = outcome else { panic!("it did not fail: {outcome:?}") };
    (failure.kind, failure.message)
}

fn lives(pid: i32) -> bool {
    process_group::living().unwrap().iter().any(|process| process.pid == pid)
}

#[tokio::test]
async fn a_program_gets_its_arguments_in_every_way() {
    let text = "cat; echo; echo $UMBEL_ARGS $UMBEL_TASK $UMBEL_TASK_ID $UMBEL_ATTEMPT $UMBEL_TOKEN; \
                echo $COLOUR >&2; test -z \"$UMBEL_ARGS_TOO_LARGE\"";
    let mut spec = CommandSpec::new(Program::Shell(text.to_owned()));
    spec.environment = Box::new(|_| Ok(vec![("COLOUR".to_owned(), "green".to_owned())]));
    let bench = Bench::new();
    let (stdout, stderr) =
        output(bench.run(Definition::command("job", spec), r#"{"a":[1,2]}"#).await);
    let expected =
        "{\"a\":[1,2]}\n{\"a\":[1,2]} job 018bcfe5-687b-7003-8000-000000000001 2 1.2.3\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), (expected, "green\n"));
}

#[tokio::test]
async fn arguments_are_words_and_never_code() {
    let expand: Expand = Box::new(|args| match args.get("name") {
        Some(Argument::String(name)) => Ok(vec!["printf".to_owned(), "<%s>".to_owned(), name]),
        Some(Argument::Null | Argument::Other(_)) | None => Err("`name` is missing".to_owned()),
    });
    let echo = Arc::new(expand);
    let definition = || {
        let echo = Arc::clone(&echo);
        Definition::command("e", CommandSpec::new(Program::Argv(Box::new(move |args| echo(args)))))
    };
    let bench = Bench::new();
    let (stdout, _) = output(bench.run(definition(), r#"{"name":"$(reboot); `x` \"y\""}"#).await);
    assert_eq!(stdout, "<$(reboot); `x` \"y\">");
    let missing = failure(bench.run(definition(), "{}").await);
    assert_eq!(missing, (FailureKind::BadArguments, "`name` is missing".to_owned()));
    let zero = failure(bench.run(definition(), r#"{"name":"a\u0000b"}"#).await);
    assert_eq!(zero.0, FailureKind::BadArguments);
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(200_000));
    let long = failure(bench.run(definition(), &long).await);
    assert_eq!(long.0, FailureKind::BadArguments);
    let garbage = failure(bench.run(definition(), "{").await);
    assert_eq!(garbage.0, FailureKind::BadArguments);
}

#[tokio::test]
async fn arguments_too_long_for_the_environment_come_on_the_input_only() {
    let bench = Bench::new();
    let text = "echo ${UMBEL_ARGS-none} $UMBEL_ARGS_TOO_LARGE; wc -c";
    let fits = ENV_BYTES_MAX - "UMBEL_ARGS=\0".len();
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let (stdout, _) = output(bench.run(bench.shell(text), &long(fits + 1)).await);
    assert_eq!(stdout.split_whitespace().collect::<Vec<_>>(), ["none", "1", "131061"]);
    let count = "printf %s $UMBEL_ARGS | wc -c";
    let (stdout, _) = output(bench.run(bench.shell(count), &long(fits)).await);
    assert_eq!(stdout.trim(), fits.to_string());
}

#[tokio::test]
async fn a_program_need_not_read_its_input() {
    let bench = Bench::new();
    let long = format!("\"{}\"", "x".repeat(500_000));
    let (stdout, _) = output(bench.run(bench.shell("exec 0<&-; echo done"), &long).await);
    assert_eq!(stdout, "done\n");
}

#[tokio::test]
async fn output_is_kept_to_its_limit_and_never_holds_the_program_up() {
    let bench = Bench::new();
    let mut spec = CommandSpec::new(Program::Shell(
        "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last".to_owned(),
    ));
    spec.capture_bytes = 20;
    let (stdout, _) = output(bench.run(Definition::command("long", spec), "null").await);
    assert_eq!(stdout, "first\nxxxx\n[2999991 bytes cut]\nxxxxxlast\n");
}

#[tokio::test]
async fn binary_output_does_not_fail_the_run() {
    let bench = Bench::new();
    let outcome = bench.run(bench.shell("head -c 1000000 /dev/zero; printf '\\377'"), "null").await;
    let (stdout, _) = output(outcome);
    assert!(stdout.ends_with('\u{FFFD}') && stdout.contains("bytes cut"));
}

#[tokio::test]
async fn a_program_that_closes_its_outputs_goes_on_to_its_end() {
    let bench = Bench::new();
    let text = "echo said; exec >&- 2>&-; sleep 0.1; echo $$ > end; exit 3";
    let outcome = bench.run(bench.shell(text), "null").await;
    assert!(bench.written("end").is_some(), "it was waited for");
    assert_eq!(failure(outcome), (FailureKind::Error, "exited with code 3: said".to_owned()));
}

#[tokio::test]
async fn what_a_program_says_is_kept_to_its_limits() {
    let bench = Bench::new();
    let text =
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 1 100000; printf '::umbel progress 1/0'";
    output(bench.run(bench.shell(text), "null").await);
    let id = "018bcfe5-687b-7003-8000-000000000001".parse().unwrap();
    let words =
        bench.runner.journals().words(id, Token { term: 1, index: 2, position: 3 }, Some(0));
    assert_eq!(words.place().lines, 100_001, "one is long, and one is none");
    assert!(words.weight() <= JOURNAL_BYTES_MAX + 64);
    assert_eq!(&*words.lines.last().unwrap().text, "100000");
    assert_eq!(words.progress, Some(Progress { message: None, ..Progress::new(1, 0) }));
}

#[tokio::test]
async fn failures_say_how_it_ended_and_what_it_said() {
    let bench = Bench::new();
    for (text, expected, data) in [
        (
            "echo fine; echo disk full >&2; exit 3",
            "exited with code 3: disk full",
            json!({ "exit_code": 3, "stdout": "fine\n", "stderr": "disk full\n" }),
        ),
        (
            "echo only this; exit 1",
            "exited with code 1: only this",
            json!({ "exit_code": 1, "stdout": "only this\n", "stderr": "" }),
        ),
        ("exit 9", "exited with code 9", json!({ "exit_code": 9, "stdout": "", "stderr": "" })),
        (
            "echo gone; kill -KILL $$",
            "killed by SIGKILL, which umbel has not sent; the system may have run out of memory: gone",
            json!({ "exit_code": null, "signal": "SIGKILL", "stdout": "gone\n", "stderr": "" }),
        ),
        (
            // As a shell tells it whose child was killed.
            "exec 2>/dev/null; sh -c 'kill -KILL $$'; exit $?",
            "exited with code 137, as a shell does if SIGKILL has ended what it ran; the system may have \
             run out of memory",
            json!({ "exit_code": 137, "stdout": "", "stderr": "" }),
        ),
        (
            "kill -40 $$",
            "killed by 40",
            json!({ "exit_code": null, "signal": "40", "stdout": "", "stderr": "" }),
        ),
    ] {
        let outcome = bench.run(bench.shell(text), "null").await;
        assert_eq!(detail(&outcome), data);
        assert_eq!(failure(outcome), (FailureKind::Error, expected.to_owned()));
    }
}

#[tokio::test]
async fn a_failure_keeps_of_its_output_what_fits() {
    let bench = Bench::new();
    let text = "for out in 1 2; do echo first >&$out; head -c 1000000 /dev/zero >&$out; echo last \
                >&$out; done; exit 1";
    let outcome = bench.run(bench.shell(text), "null").await;
    let data = detail(&outcome);
    for output in ["stdout", "stderr"] {
        let said = data[output].as_str().unwrap();
        assert!(said.starts_with("first\n") && said.ends_with("last\n"), "{output}");
        assert!(said.contains("bytes cut]"), "{output}");
    }
    let Outcome::Failed(failure) = outcome else { panic!("it did not fail") };
    let kept = failure.detail().expect("it has data").len();
    assert!((DETAIL_BYTES_MAX / 2..=DETAIL_BYTES_MAX).contains(&kept), "{kept}");
}

#[tokio::test]
async fn says_why_a_program_cannot_be_started() {
    let bench = Bench::new();
    let data = bench.path("data");
    std::fs::write(&data, "no program").unwrap();
    let mut elsewhere = argv(&["true"]);
    elsewhere.cwd = Some(bench.path("nowhere"));
    let limited = |mut spec: CommandSpec| {
        spec.memory_bytes = Some(64 << 20);
        spec
    };
    let mut limited_elsewhere = limited(argv(&["true"]));
    limited_elsewhere.cwd = Some(bench.path("nowhere"));
    let data = data.to_str().unwrap();
    for (spec, kind, why) in [
        (argv(&["/no/such"]), FailureKind::Permanent, "there is no such program"),
        (argv(&[data]), FailureKind::Permanent, "it is not executable"),
        (elsewhere, FailureKind::Permanent, "nowhere cannot be entered"),
        (argv(&[]), FailureKind::BadArguments, "the command line is empty"),
        (limited(argv(&["no-such"])), FailureKind::Permanent, "there is no such program"),
        (limited(argv(&["/no/such"])), FailureKind::Permanent, "there is no such program"),
        (limited(argv(&[data])), FailureKind::Permanent, "it is not executable"),
        (limited(argv(&["/"])), FailureKind::Permanent, "it is not executable"),
        (limited_elsewhere, FailureKind::Permanent, "nowhere cannot be entered"),
        (limited(argv(&["echo", "a\0b"])), FailureKind::BadArguments, "holds a zero byte"),
    ] {
        let program = format!("{spec:?}");
        let (actual, message) = failure(bench.run(Definition::command("x", spec), "null").await);
        assert_eq!(actual, kind, "{program}");
        assert!(message.ends_with(why), "{message}");
    }
}

#[tokio::test]
async fn a_time_limit_ends_the_whole_group() {
    let bench = Bench::new();
    let text = "echo working; sleep 1000 & echo $! > child; wait";
    // On a busy machine it may need longer to come as far as this is about.
    let mut limit = Duration::from_millis(100);
    let (outcome, child) = loop {
        let outcome = bench.run(bench.shell(text).time_limit(limit), "null").await;
        match bench.written("child") {
            Some(child) => break (outcome, child),
            None => limit *= 2,
        }
    };
    let expected = format!("it took longer than its limit of {limit:?}: working");
    let data =
        json!({ "exit_code": null, "signal": "SIGTERM", "stdout": "working\n", "stderr": "" });
    assert_eq!(detail(&outcome), data);
    assert_eq!(failure(outcome), (FailureKind::TimedOut, expected));
    assert!(!lives(child));
}

#[tokio::test]
async fn a_cancelled_program_is_asked_first() {
    let bench = Bench::new();
    let text = "trap 'echo asked > asked; exit 0' TERM; echo $$ > ready; \
                while true; do sleep 0.01; done";
    let cancel = async {
        bench.pid("ready").await;
        bench.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(bench.run(bench.shell(text), "null"), cancel);
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(std::fs::read_to_string(bench.path("asked")).unwrap(), "asked\n");
}

#[tokio::test]
async fn a_program_that_does_not_listen_is_killed_with_its_children() {
    let bench = Bench::new().grace(Duration::from_millis(50));
    let text = "trap '' TERM; sleep 1000 & echo $! > child; while true; do wait; done";
    let cancel = async {
        let child = bench.pid("child").await;
        bench.cancel.cancel();
        child
    };
    let (outcome, child) = tokio::join!(bench.run(bench.shell(text), "null"), cancel);
    assert_eq!(outcome, Outcome::Cancelled);
    assert!(!lives(child));
}

#[tokio::test]
async fn what_a_program_leaves_in_its_group_ends_with_it() {
    let bench = Bench::new();
    let text = "sleep 1000 & echo $! > child; echo done";
    let (stdout, _) = output(bench.run(bench.shell(text), "null").await);
    assert_eq!(stdout, "done\n");
    assert!(!lives(bench.pid("child").await));
}

#[tokio::test]
async fn whoever_left_the_group_with_the_pipe_does_not_hold_the_run() {
    let bench = Bench::new();
    let text = "setsid sleep 1000 & echo $! > child; echo done";
    let outcome = bench.run(bench.shell(text), "null").await;
    assert_eq!(output(outcome).0, "done\n");
    // It is on its own now, so the test has to end it.
    let child = bench.pid("child").await;
    assert!(lives(child));
    nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_run_that_is_dropped_kills_its_group() {
    let bench = Bench::new();
    let definition = bench.shell("sleep 1000 & echo $! > child; wait");
    let child = tokio::select! {
        outcome = bench.run(definition, "null") => panic!("it ended: {outcome:?}"),
        child = bench.pid("child") => child,
    };
    until(|| (!lives(child)).then_some(())).await;
}

/// Gives up what is inside when it is told to.
struct Impatient(CancellationToken);

impl Middleware for Impatient {
    async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
        let outcome = self.0.run_until_cancelled(next.run()).await;
        outcome.unwrap_or_else(|| Outcome::Failed(Failure::new(FailureKind::Error, "too slow")))
    }
}

#[tokio::test]
async fn middleware_cannot_leave_a_group_behind() {
    let mut bench = Bench::new().grace(Duration::from_millis(50));
    let give_up = CancellationToken::new();
    bench.runner = bench.runner.with_middleware(Impatient(give_up.clone()));
    let stubborn = bench.shell("trap '' TERM; echo $$ > pid; while true; do sleep 0.01; done");
    let told = async {
        let pid = bench.pid("pid").await;
        give_up.cancel();
        pid
    };
    let (outcome, pid) = tokio::join!(bench.run(stubborn, "null"), told);
    assert_eq!(failure(outcome), (FailureKind::Error, "too slow".to_owned()));
    assert!(!lives(pid));
}

#[tokio::test]
async fn a_program_is_asked_to_end_at_its_soft_limit_and_says_itself_how_it_ended() {
    let bench = Bench::new();
    let mut soft = Duration::from_millis(50);
    let limited = |text: &str, soft| bench.shell(text).soft_limit(soft).time_limit(NEVER);
    let tidy = "trap 'echo tidied; exit 0' TERM; echo 1 > ready; while :; do sleep 0.01; done";
    let outcome = loop {
        let outcome = bench.run(limited(tidy, soft), "null").await;
        if bench.path("ready").exists() {
            break outcome;
        }
        // A busy machine takes longer than that to begin a program.
        soft *= 2;
    };
    let Outcome::Succeeded(result) = outcome else { panic!("not in good order: {outcome:?}") };
    assert!(String::from_utf8_lossy(&result).contains("tidied"), "{result:?}");
    let (kind, message) = failure(bench.run(limited("sleep 1000", soft), "null").await);
    assert_eq!((kind, message.as_str()), (FailureKind::Error, "killed by SIGTERM"));
}
