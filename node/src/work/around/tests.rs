//! Order, refusals, panics and ends of runs with middleware around them.

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use umbel_protocol::limits::RESULT_BYTES_MAX;
use umbel_protocol::task::FailureKind;

use super::*;
use crate::work::middleware::{Middleware, Next, after, before, on_error};
use crate::work::run::tests::{Bench, Bomb, NEVER, failure, running, succeeded};
use crate::work::{
    CommandSpec, Definition, Needs, NotGiven, Program, Registry, Started, State, TaskError,
    WebhookSpec,
};

/// Soon over.
const SOON: Duration = Duration::from_millis(20);

/// What has happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Notes when it begins and what the rest has come to.
struct Noting(&'static str, Diary);

impl Middleware for Noting {
    async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
        let Self(name, diary) = self;
        diary.note(format!("{name} begins"));
        let outcome = next.run().await;
        // It may wait as long as the grace allows.
        tokio::task::yield_now().await;
        diary.note(format!("{name}: {}", word(&outcome)));
        outcome
    }
}

fn word(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Cancelled => "cancelled",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Dropped(_) => "dropped",
        Outcome::Snoozed { .. } => "snoozed",
        Outcome::Failed(failure) => failure.kind.as_str(),
        Outcome::Succeeded(_) => "succeeded",
    }
}

/// A middleware of an async closure.
struct Of<F>(F);

impl<F, Fut> Middleware for Of<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
        (self.0)().await;
        next.run().await
    }
}

/// Waits after the rest, for ever.
struct HangsAfter;

impl Middleware for HangsAfter {
    async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
        next.run().await;
        pending().await
    }
}

fn double() -> Definition {
    Definition::from_async("double", |n: u64| async move { Ok::<_, String>(n * 2) })
}

fn hangs() -> Definition {
    Definition::from_async("hangs", |(): ()| pending::<Result<(), String>>())
}

/// A task that must not begin.
fn never() -> Definition {
    Definition::from_async("never", |(): ()| async { broken("it has begun") })
}

fn broken(why: &str) -> Result<(), String> {
    panic!("{why}")
}

#[tokio::test]
async fn the_first_is_the_outermost() {
    let diary = Diary::default();
    let bench =
        Bench::new().middleware(Noting("a", diary.clone())).middleware(Noting("b", diary.clone()));
    let noted = diary.clone();
    let task = Definition::from_async("t", move |(): ()| {
        noted.note("the task");
        async { Ok::<_, String>(()) }
    });
    assert_eq!(bench.run(task, "null").await, succeeded("null"));
    let expected = ["a begins", "b begins", "the task", "b: succeeded", "a: succeeded"];
    assert_eq!(diary.take(), expected);
}

#[tokio::test]
async fn what_need_not_wait_is_over_at_once() {
    let bench = Bench::new()
        .middleware(before(|_| Ok::<_, String>(())))
        .middleware(after(|_, outcome, _| assert_eq!(*outcome, succeeded("42"))))
        .middleware(on_error(|_, failure| panic!("{failure:?}")));
    let started = bench.start(double().time_limit(NEVER), "21");
    let Started::Ready(outcome) = started else { panic!("it waits for nothing") };
    assert_eq!(outcome, succeeded("42"));
    assert!(!bench.cancel.is_cancelled());
}

#[tokio::test]
async fn it_is_around_all_kinds_of_work() {
    let diary = Diary::default();
    let (seen, failed) = (diary.clone(), diary.clone());
    let bench = Bench::new()
        .middleware(after(move |context, outcome, took| {
            assert!(took < NEVER);
            seen.note(format!("{} {}", context.name(), word(outcome)));
        }))
        .middleware(on_error(move |context, why| {
            failed.note(format!("{} on attempt {}", why.kind.as_str(), context.attempt()));
        }));
    let shell = |text: &str| CommandSpec::new(Program::Shell(text.to_owned()));
    // Nobody listens there.
    let url = "http://127.0.0.1:1/".to_owned();
    let webhook = WebhookSpec { url, allow_private: true, ..WebhookSpec::default() };
    for definition in [
        Definition::from_async("async", |(): ()| async {
            tokio::task::yield_now().await;
            Ok::<_, String>(())
        }),
        Definition::from_blocking("blocking", |(): ()| Err::<(), _>("no")),
        Definition::command("good", shell("exit 0")),
        Definition::command("bad", shell("exit 7")),
        Definition::webhook("webhook", webhook).unwrap(),
    ] {
        bench.run(definition, "null").await;
    }
    let expected = [
        "async succeeded",
        "error on attempt 2",
        "blocking error",
        "good succeeded",
        "error on attempt 2",
        "bad error",
        "error on attempt 2",
        "webhook error",
    ];
    assert_eq!(diary.take(), expected);
}

#[tokio::test]
async fn a_refusal_is_the_failure_of_the_run() {
    let bench = Bench::new().middleware(before(|context| {
        if context.name() == "double" {
            return Ok(());
        }
        Err(TaskError::permanent("only doubles").with_detail(&7))
    }));
    assert_eq!(bench.run(double(), "4").await, succeeded("8"));
    let blocking = Definition::from_blocking("b", |(): ()| broken("it has begun"));
    for refused in [never(), blocking] {
        let failure = failure(bench.run(refused, "null").await);
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (FailureKind::Permanent, "only doubles")
        );
        assert_eq!(failure.detail().map(|json| &json[..]), Some(&b"7"[..]));
    }
}

#[tokio::test]
async fn panics_are_failures_of_their_run() {
    let diary = Diary::default();
    let around = || Bench::new().middleware(Noting("outer", diary.clone()));
    let at_once = around().middleware(before(|_| broken("oh")));
    let later = around().middleware(Of(|| async {
        tokio::task::yield_now().await;
        panic!("oh");
    }));
    let after = around().middleware(after(|_, _, _| panic!("oh")));
    let expected = Failure::new(FailureKind::Panicked, "oh");
    for bench in [at_once, later, after] {
        assert_eq!(failure(bench.run(double(), "1").await), expected);
        assert_eq!(diary.take(), ["outer begins", "outer: panicked"]);
    }
    // And those of the handler are what the middleware hears of.
    let task = Definition::from_async("p", |(): ()| async { broken("oh") });
    assert_eq!(failure(around().run(task, "null").await), expected);
    assert_eq!(diary.take(), ["outer begins", "outer: panicked"]);
}

#[tokio::test]
async fn what_a_panic_carries_may_panic_in_its_turn() {
    let bench = Bench::new().middleware(Of(|| async { std::panic::panic_any(Bomb) }));
    assert_eq!(failure(bench.run(double(), "21").await).kind, FailureKind::Panicked);
}

#[tokio::test]
async fn it_may_take_another_outcome_for_the_right_one() {
    struct Says(Outcome);
    impl Middleware for Says {
        async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
            next.run().await;
            self.0.clone()
        }
    }
    let outcome = Bench::new().middleware(Says(succeeded("1"))).run(double(), "4").await;
    assert_eq!(outcome, succeeded("1"));
    // That it was cancelled is for others to say.
    let outcome = Bench::new().middleware(Says(Outcome::Cancelled)).run(double(), "4").await;
    let given_up = Failure::new(FailureKind::Dropped, "its middleware gave it up");
    assert_eq!(outcome, Outcome::Dropped(given_up));
    let bench = Bench::new().middleware(Says(Outcome::Cancelled));
    let outcome = bench.run(hangs().time_limit(SOON), "null").await;
    assert_eq!(failure(outcome).kind, FailureKind::TimedOut);
    // It keeps to the limits that a handler has.
    let large = Outcome::Succeeded(vec![b'1'; RESULT_BYTES_MAX + 1].into());
    let outcome = Bench::new().middleware(Says(large)).run(double(), "4").await;
    assert_eq!(failure(outcome).kind, FailureKind::TooLarge);
    let mut long = Failure::new(FailureKind::Permanent, "").with_detail("7".into());
    long.message = "x".repeat(2 * ERROR_BYTES_MAX);
    let cut =
        failure(Bench::new().middleware(Says(Outcome::Failed(long))).run(double(), "4").await);
    assert!(cut.message.ends_with("x [cut]"));
    assert_eq!((cut.kind, cut.detail()), (FailureKind::Permanent, Some(&"7".into())));
}

#[tokio::test]
async fn the_time_limit_covers_what_is_before_the_work() {
    let bench = Bench::new().middleware(Of(pending));
    let outcome = bench.run(never().time_limit(SOON), "null").await;
    let expected = Failure::new(FailureKind::TimedOut, "it took longer than its limit of 20ms");
    assert_eq!(failure(outcome), expected);
    assert!(bench.cancel.is_cancelled());
}

#[tokio::test]
async fn the_time_limit_covers_what_is_after_the_work() {
    let bench = Bench::new().grace(SOON).middleware(HangsAfter);
    let outcome = bench.run(double().time_limit(SOON), "1").await;
    assert_eq!(failure(outcome).kind, FailureKind::TimedOut);
    assert!(bench.cancel.is_cancelled());
}

#[tokio::test]
async fn work_that_takes_too_long_is_gone_before_its_middleware_hears_of_it() {
    struct Held(Arc<AtomicBool>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (gone, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (held, is_gone, was_gone) = (Arc::clone(&gone), Arc::clone(&gone), Arc::clone(&seen));
    let diary = Diary::default();
    let bench = Bench::new().middleware(Noting("outer", diary.clone())).middleware(on_error(
        move |context, failure| {
            assert!(context.is_cancelled());
            assert_eq!(failure.kind, FailureKind::TimedOut);
            was_gone.store(is_gone.load(Ordering::SeqCst), Ordering::SeqCst);
        },
    ));
    let task = Definition::from_async("t", move |(): ()| {
        let held = Held(Arc::clone(&held));
        async move {
            let _held = held;
            pending::<Result<(), String>>().await
        }
    });
    let outcome = bench.run(task.time_limit(SOON), "null").await;
    assert_eq!(failure(outcome).kind, FailureKind::TimedOut);
    assert!(seen.load(Ordering::SeqCst));
    assert_eq!(diary.take(), ["outer begins", "outer: timed-out"]);
}

#[tokio::test]
async fn a_cancel_reaches_the_work_and_then_its_middleware() {
    for (result, expected, noted) in [
        (Ok(1), succeeded("1"), "outer: succeeded"),
        (Err("given up"), Outcome::Cancelled, "outer: cancelled"),
    ] {
        let diary = Diary::default();
        let bench = Bench::new().middleware(Noting("outer", diary.clone()));
        let task = Definition::from_async("c", move |ctx: Context, (): ()| async move {
            ctx.cancelled().await;
            result
        });
        let run = running(bench.start(task, "null"));
        bench.cancel.cancel();
        assert_eq!(run.await, expected);
        assert_eq!(diary.take(), ["outer begins", noted]);
    }
}

#[tokio::test]
async fn what_does_not_care_for_a_cancel_is_dropped_after_the_grace() {
    for bench in [
        Bench::new().middleware(Of(pending)),
        Bench::new().middleware(HangsAfter),
        Bench::new().middleware(before(|_| Ok::<_, String>(()))),
    ] {
        let bench = bench.grace(SOON);
        let run = running(bench.start(hangs(), "null"));
        bench.cancel.cancel();
        assert_eq!(run.await, Outcome::Cancelled);
    }
}

#[tokio::test]
async fn nothing_begins_after_a_cancel() {
    struct Late;
    impl Middleware for Late {
        async fn run(&self, context: &Context, next: Next<'_>) -> Outcome {
            context.cancelled().await;
            let outcome = next.run().await;
            assert_eq!(outcome, Outcome::Cancelled);
            outcome
        }
    }
    let bench = Bench::new().middleware(Late);
    let run = running(bench.start(never(), "null"));
    bench.cancel.cancel();
    assert_eq!(run.await, Outcome::Cancelled);
}

/// Gives up the rest when it has waited once.
struct Impatient;

impl Middleware for Impatient {
    async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
        let mut rest = Box::pin(next.run());
        assert!((&mut rest).now_or_never().is_none());
        // Now it begins.
        tokio::task::yield_now().await;
        drop(rest);
        Outcome::Failed(Failure::new(FailureKind::Error, "no patience"))
    }
}

#[tokio::test]
async fn work_that_its_middleware_gives_up_is_told_and_waited_for() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let task = Definition::from_async("polite", move |ctx: Context, (): ()| {
        let count = Arc::clone(&count);
        async move {
            ctx.cancelled().await;
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, String>(())
        }
    });
    let bench = Bench::new().middleware(Impatient);
    let outcome = bench.run(task, "null").await;
    assert_eq!(failure(outcome).message, "no patience");
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    // The run itself was not told to end.
    assert!(!bench.cancel.is_cancelled());
    let rude = Bench::new().grace(SOON).middleware(Impatient);
    assert_eq!(failure(rude.run(hangs(), "null").await).message, "no patience");
}

#[tokio::test]
async fn work_goes_on_while_its_middleware_looks_elsewhere() {
    struct Elsewhere(Mutex<Option<oneshot::Receiver<()>>>);
    impl Middleware for Elsewhere {
        async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
            let done = self.0.lock().unwrap().take().unwrap();
            let mut rest = Box::pin(next.run());
            assert!((&mut rest).now_or_never().is_none());
            done.await.unwrap();
            rest.await
        }
    }
    let (tell, done) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let task = Definition::from_async("t", move |(): ()| {
        let tell = tell.lock().unwrap().take().unwrap();
        async move {
            tokio::task::yield_now().await;
            tell.send(()).unwrap();
            tokio::task::yield_now().await;
            Ok::<_, String>(())
        }
    });
    let bench = Bench::new().middleware(Elsewhere(Mutex::new(Some(done))));
    assert_eq!(bench.run(task, "null").await, succeeded("null"));
}

#[tokio::test]
async fn a_run_that_is_dropped_tells_its_token() {
    let bench = Bench::new().middleware(HangsAfter);
    let mut run = running(bench.start(hangs(), "null"));
    assert!((&mut run).now_or_never().is_none());
    drop(run);
    assert!(bench.cancel.is_cancelled());
}

#[tokio::test]
async fn it_has_the_values_of_the_node() {
    struct Counts;
    impl Middleware for Counts {
        async fn run(&self, context: &Context, next: Next<'_>) -> Outcome {
            let count: Option<State<AtomicUsize>> = context.state();
            count.expect("it was given").fetch_add(1, Ordering::SeqCst);
            next.run().await
        }

        fn needs(&self, needs: &mut Needs) {
            needs.state::<AtomicUsize>();
        }
    }
    let bench = Bench::new().middleware(Counts);
    let lack = bench.runner.check(&Registry::new()).unwrap_err();
    assert!(matches!(lack, NotGiven::Middleware { state } if state.ends_with("AtomicUsize")));
    let bench = bench.state(AtomicUsize::new(6));
    assert_eq!(bench.runner.check(&Registry::new()), Ok(()));
    let task = Definition::from_async("t", |count: State<AtomicUsize>, (): ()| async move {
        Ok::<_, String>(count.load(Ordering::SeqCst))
    });
    assert_eq!(bench.run(task, "null").await, succeeded("7"));
}
