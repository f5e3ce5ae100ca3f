//! Time limit, cancel, panics and results of handlers.

use std::convert::Infallible;
use std::sync::mpsc;

use tokio::sync::oneshot;
use umbel_protocol::limits::RESULT_BYTES_MAX;
use umbel_protocol::task::Trace;

use super::*;
use crate::log_capture::LogCapture;
use crate::work::TaskError;
use crate::work::definition::Kind;

/// Long enough never to be reached by a test that passes.
pub(in crate::work) const NEVER: Duration = Duration::from_secs(600);

/// A runner, and a token that cancels what it runs.
pub(in crate::work) struct Bench {
    pub(in crate::work) runner: Runner,
    pub(in crate::work) cancel: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(in crate::work) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new("here", Ledger::open(dir.path()).unwrap());
        Self { runner: runner.with_grace(NEVER), cancel: CancellationToken::new(), _dir: dir }
    }

    pub(in crate::work) fn grace(mut self, grace: Duration) -> Self {
        self.runner = self.runner.with_grace(grace);
        self
    }

    pub(in crate::work) fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.runner = self.runner.with_state(value);
        self
    }

    pub(in crate::work) fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.runner = self.runner.with_middleware(middleware);
        self
    }

    pub(in crate::work) fn start(&self, definition: Definition, args: &str) -> Started {
        self.runner.start(&Arc::new(definition), RunRequest::with_args(args), self.cancel.clone())
    }

    pub(in crate::work) async fn run(&self, definition: Definition, args: &str) -> Outcome {
        self.runner
            .run(&Arc::new(definition), RunRequest::with_args(args), self.cancel.clone())
            .await
    }
}

pub(in crate::work) fn running(started: Started) -> BoxFuture<'static, Outcome> {
    match started {
        Started::Running(run) => run,
        Started::Ready(outcome) => panic!("it is over already: {outcome:?}"),
    }
}

pub(in crate::work) fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("it did not fail: {other:?}"),
    }
}

/// Panics when it is dropped, and may be what a panic carries.
pub(in crate::work) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

pub(in crate::work) fn succeeded(json: &str) -> Outcome {
    Outcome::Succeeded(json.to_owned().into())
}

#[tokio::test]
async fn what_need_not_wait_is_over_at_once() {
    let bench = Bench::new();
    let double =
        || Definition::from_async("double", |n: u64| async move { Ok::<_, String>(n * 2) });
    assert_eq!(double().kind(), Kind::Async);
    let Started::Ready(outcome) = bench.start(double().time_limit(NEVER), "21") else {
        panic!("it waits for nothing");
    };
    assert_eq!(outcome, succeeded("42"));
    let Started::Ready(outcome) = bench.start(double(), "\"x\"") else { panic!("cannot start") };
    assert_eq!(failure(outcome).kind, FailureKind::BadArguments);
}

#[tokio::test]
async fn the_context_says_which_run_it_is() {
    let definition = Definition::from_async("who", |ctx: Context, (): ()| async move {
        assert!(ctx.deadline().is_some_and(|deadline| deadline > std::time::Instant::now()));
        Ok::<_, Infallible>(format!(
            "{} {} {} {} {} {}",
            ctx.id(),
            ctx.token(),
            ctx.attempt(),
            ctx.name(),
            ctx.queue(),
            ctx.node()
        ))
    });
    let outcome = Bench::new().run(definition.time_limit(NEVER).queue("q"), "").await;
    let expected = "\"018bcfe5-687b-7003-8000-000000000001 1.2.3 2 who q here\"";
    assert_eq!(outcome, succeeded(expected));
}

#[tokio::test]
async fn panics_are_failures_of_their_run() {
    let bench = Bench::new();
    let at_once = Definition::from_async("p", |n: u64| async move {
        assert!(n != 7, "seven is right out");
        Ok::<_, String>(n)
    });
    let before = Definition::from_async("p", |n: u64| {
        assert!(n != 7, "seven is right out");
        ready(Ok::<_, String>(n))
    });
    let later = Definition::from_async("p", |n: u64| async move {
        tokio::task::yield_now().await;
        assert!(n != 7, "seven is {}", "right out");
        Ok::<_, String>(n)
    });
    let blocking = Definition::from_blocking("p", |n: u64| {
        assert!(n != 7, "seven is right out");
        Ok::<_, String>(n)
    });
    for definition in [at_once, before, later, blocking] {
        let failure = failure(bench.run(definition, "7").await);
        assert_eq!(failure, Failure::new(FailureKind::Panicked, "seven is right out"));
    }
}

#[tokio::test]
async fn errors_keep_whether_another_attempt_helps() {
    let bench = Bench::new();
    let permanent = Definition::from_async("e", |(): ()| async {
        Err::<(), _>(TaskError::permanent("no such account"))
    });
    let outcome = bench.run(permanent, "null").await;
    assert_eq!(failure(outcome), Failure::new(FailureKind::Permanent, "no such account"));
    let io = Definition::from_blocking("e", |(): ()| Err::<(), _>(std::io::Error::other("lost")));
    let outcome = bench.run(io, "null").await;
    assert_eq!(failure(outcome), Failure::new(FailureKind::Error, "lost"));
}

#[tokio::test]
async fn results_have_a_limit() {
    let long =
        Definition::from_async("l", |n: usize| async move { Ok::<_, String>("x".repeat(n)) });
    let outcome = Bench::new().run(long, &RESULT_BYTES_MAX.to_string()).await;
    assert_eq!(failure(outcome).kind, FailureKind::TooLarge);
}

#[tokio::test]
async fn a_time_limit_drops_the_handler_and_tells_its_token() {
    let bench = Bench::new();
    let (dropped, was_dropped) = mpsc::channel::<()>();
    let hang = Definition::from_async("hang", move |(): ()| {
        let dropped = dropped.clone();
        async move {
            let _held = dropped;
            std::future::pending::<Result<(), String>>().await
        }
    });
    let definition = Arc::new(hang.time_limit(NEVER));
    let request =
        RunRequest { time_limit: Some(Duration::from_millis(20)), ..RunRequest::with_args("null") };
    let outcome = bench.runner.run(&definition, request, bench.cancel.clone()).await;
    drop(definition);
    let expected = Failure::new(FailureKind::TimedOut, "it took longer than its limit of 20ms");
    assert_eq!(failure(outcome), expected);
    assert!(bench.cancel.is_cancelled());
    assert_eq!(was_dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[tokio::test]
async fn a_cancelled_handler_may_end_by_itself() {
    let on_cancel = |result: Result<u8, &'static str>| {
        Definition::from_async("c", move |ctx: Context, (): ()| async move {
            ctx.cancelled().await;
            result
        })
    };
    for (result, expected) in [(Ok(1), succeeded("1")), (Err("given up"), Outcome::Cancelled)] {
        let bench = Bench::new();
        let run = running(bench.start(on_cancel(result), "null"));
        bench.cancel.cancel();
        assert_eq!(run.await, expected);
    }
}

#[tokio::test]
async fn a_cancelled_handler_that_does_not_care_is_dropped() {
    let bench = Bench::new().grace(Duration::from_millis(20));
    let hang =
        Definition::from_async("hang", |(): ()| std::future::pending::<Result<(), String>>());
    let run = running(bench.start(hang, "null"));
    bench.cancel.cancel();
    assert_eq!(run.await, Outcome::Cancelled);
}

#[tokio::test]
async fn what_was_cancelled_before_it_began_does_not_begin() {
    let bench = Bench::new();
    bench.cancel.cancel();
    let never = Definition::from_blocking("n", |(): ()| -> Result<(), String> { unreachable!() });
    assert!(matches!(bench.start(never, "null"), Started::Ready(Outcome::Cancelled)));
}

#[tokio::test]
async fn a_thread_has_a_time_limit() {
    let bench = Bench::new();
    let (finish, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = Definition::from_blocking("slow", move |(): ()| {
        let _ = wait.lock().unwrap().recv();
        Ok::<_, String>(())
    });
    let outcome = bench.run(slow.time_limit(Duration::from_millis(20)), "null").await;
    assert_eq!(failure(outcome).kind, FailureKind::TimedOut);
    assert!(bench.cancel.is_cancelled());
    drop(finish);
}

#[tokio::test]
async fn a_thread_that_does_not_listen_is_left_to_end_and_counts_until_then() {
    let log = LogCapture::begin();
    let bench = Bench::new().grace(Duration::from_millis(20));
    let (began, begin) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let (finish, wait) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(Some((began, wait, ended)));
    let slow = Definition::from_blocking("slow", move |ctx: Context, (): ()| {
        let (began, wait, ended) = held.lock().unwrap().take().unwrap();
        began.send(()).unwrap();
        // Ends when the test lets it, which is after its outcome was reported.
        let _ = wait.recv();
        ended.send(ctx.is_cancelled()).unwrap();
        Ok::<_, String>(())
    });
    let run = running(bench.start(slow, "null"));
    begin.await.unwrap();
    bench.cancel.cancel();
    let RunRequest { id, token, .. } = RunRequest::with_args("null");
    assert!(!bench.runner.when_quiet(id, token, || ()), "nobody has given it up");
    assert_eq!(run.await, Outcome::Cancelled);

    let [left] = &bench.runner.lingering(|_, _| true)[..] else { panic!("one goes on") };
    assert_eq!((left.task, left.token, left.name.as_str()), (id, token, "slow"));
    assert!(bench.runner.lingering(|task, _| task != id).is_empty());
    let [line] = &log.lines("keeps its slot")[..] else { panic!("it is told once") };
    assert!(line.contains(&format!("task={id} name=\"slow\" attempt=2 lingering=1")), "{line}");
    let (tell, told) = oneshot::channel();
    assert!(bench.runner.when_quiet(id, token, move || tell.send(()).unwrap()));
    drop(finish);
    assert_eq!(end.await, Ok(true));
    assert_eq!(told.await, Ok(()));
    assert!(bench.runner.lingering(|_, _| true).is_empty());
    assert!(!bench.runner.when_quiet(id, token, || ()), "it is over");
}

#[tokio::test]
async fn a_thread_may_ask_whether_it_is_cancelled() {
    let bench = Bench::new();
    let polite = Definition::from_blocking("polite", |ctx: Context, (): ()| {
        while !ctx.is_cancelled() {
            std::thread::yield_now();
        }
        Err::<(), _>("stopped half way")
    });
    let run = running(bench.start(polite, "null"));
    bench.cancel.cancel();
    assert_eq!(run.await, Outcome::Cancelled);
}

#[tokio::test]
async fn a_run_that_is_dropped_tells_its_token() {
    let bench = Bench::new();
    let hang =
        Definition::from_async("hang", |(): ()| std::future::pending::<Result<(), String>>());
    let mut run = running(bench.start(hang, "null"));
    assert!((&mut run).now_or_never().is_none());
    drop(run);
    assert!(bench.cancel.is_cancelled());
}

#[tokio::test]
async fn a_panic_while_dropping_is_contained() {
    let bench = Bench::new();
    let hang = Definition::from_async("hang", |(): ()| async {
        let _bomb = Bomb;
        std::future::pending::<Result<(), String>>().await
    });
    let outcome = bench.run(hang.time_limit(Duration::from_millis(5)), "null").await;
    assert_eq!(failure(outcome).kind, FailureKind::TimedOut);
}

#[tokio::test]
async fn what_a_panic_carries_may_panic_in_its_turn() {
    let bench = Bench::new();
    let later = Definition::from_async("p", |(): ()| async {
        tokio::task::yield_now().await;
        if true {
            std::panic::panic_any(Bomb);
        }
        Ok::<_, String>(())
    });
    let before = Definition::from_async("p", |(): ()| {
        if true {
            std::panic::panic_any(Bomb);
        }
        ready(Ok::<_, String>(()))
    });
    let blocking = Definition::from_blocking("p", |(): ()| -> Result<(), String> {
        std::panic::panic_any(Bomb);
    });
    for definition in [later, before, blocking] {
        let failure = failure(bench.run(definition, "null").await);
        let message = "the code panicked without a message";
        assert_eq!(failure, Failure::new(FailureKind::Panicked, message));
    }
}

#[tokio::test]
async fn a_handler_is_told_before_its_time_is_over() {
    let bench = Bench::new();
    let page = Definition::from_async("crawl", |context: Context, (): ()| async move {
        assert!(context.warned_at() < context.deadline());
        context.warned().await;
        assert!(context.is_warned() && !context.is_cancelled());
        Err::<(), _>(TaskError::snoozed(Duration::from_secs(7)))
    });
    let limited = page.soft_limit(Duration::from_millis(5)).time_limit(NEVER);
    let pause = umbel_protocol::time::Span::from_millis(7_000);
    assert_eq!(bench.run(limited, "null").await, Outcome::Snoozed { pause });
    let unlimited = Definition::from_async("idle", |context: Context, (): ()| async move {
        assert!(context.warned_at().is_none() && !context.is_warned());
        Ok::<_, TaskError>(())
    });
    assert!(matches!(bench.run(unlimited, "null").await, Outcome::Succeeded(_)));
}

#[tokio::test]
async fn a_run_is_over_at_the_deadline_of_its_task_whatever_its_limit() {
    let bench = Bench::new();
    let definition = || {
        let hang = |(): ()| std::future::pending::<Result<(), String>>();
        Arc::new(Definition::from_async("hang", hang).time_limit(NEVER))
    };
    let soon =
        RunRequest { time_left: Some(Duration::from_millis(5)), ..RunRequest::with_args("null") };
    let outcome = bench.runner.run(&definition(), soon, bench.cancel.clone()).await;
    assert_eq!(failure(outcome).kind, FailureKind::Deadline);
    // It may have come on the way.
    let bench = Bench::new();
    let past = RunRequest { time_left: Some(Duration::ZERO), ..RunRequest::with_args("null") };
    let outcome = bench.runner.run(&definition(), past, bench.cancel.clone()).await;
    assert_eq!(failure(outcome).kind, FailureKind::Deadline);
}

#[tokio::test]
async fn what_a_thread_says_of_its_task_is_passed_on() {
    let bench = Bench::new();
    let gone = Definition::from_blocking("gone", |(): ()| {
        Err::<(), _>(TaskError::dropped("the account is gone"))
    });
    let reason = Failure::new(FailureKind::Dropped, "the account is gone");
    assert_eq!(bench.run(gone, "null").await, Outcome::Dropped(reason));
}

#[tokio::test]
async fn all_that_a_handler_logs_says_of_which_run_it_is() {
    let log = LogCapture::begin();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = Trace::parse(parent, None).ok();
    let said = Metadata { trace, ..Metadata::default() };
    let bench = Bench::new();
    let handler = |context: Context, (): ()| async move {
        tracing::info!("before it waits");
        tokio::task::yield_now().await;
        tracing::info!("after it has waited");
        Ok::<_, TaskError>(context.trace().map(Trace::span_id))
    };
    let request = RunRequest { metadata: Some(said.into()), ..RunRequest::with_args("null") };
    let definition = Arc::new(Definition::from_async("logs", handler));
    let outcome = bench.runner.run(&definition, request, CancellationToken::new()).await;
    let Outcome::Succeeded(span) = outcome else { panic!("it did not succeed: {outcome:?}") };
    let span: String = serde_json::from_slice(&span).unwrap();
    assert_ne!(span, "00f067aa0ba902b7");
    for line in ["before it waits", "after it has waited"] {
        let [line] = &log.lines(line)[..] else { panic!("it is logged once: {line}") };
        for field in [
            "run{task=018bcfe5-687b-7003-8000-000000000001 name=\"logs\" attempt=2",
            "trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"",
            &format!("span_id=\"{span}\""),
        ] {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
    // What is part of no trace says nothing of one.
    bench
        .run(
            Definition::from_async("logs", |(): ()| async {
                tracing::info!("without a trace");
                Ok::<_, TaskError>(())
            }),
            "null",
        )
        .await;
    let [line] = &log.lines("without a trace")[..] else { panic!("it is logged once") };
    assert!(line.contains("name=\"logs\"") && !line.contains("trace_id"), "{line}");
}

#[test]
fn a_run_is_written_for_debugging_without_its_arguments() {
    assert!(!format!("{:?}", RunRequest::with_args("\"hunter2\"")).contains("hunter2"));
}

#[tokio::test]
async fn without_a_node_there_is_nobody_to_submit_to() {
    let handler = |context: Context, (): ()| async move {
        let call = crate::Call::<u8>::named("child", &());
        match context.client().submit(call).await {
            Err(crate::ClientError::Closed) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    let outcome = Bench::new().run(Definition::from_async("alone", handler), "null").await;
    assert_eq!(outcome, Outcome::Succeeded(Bytes::from_static(b"null")));
}
