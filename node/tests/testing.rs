//! The test kit, as tests of programs that use this crate would use it.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use umbel::config::Config;
use umbel::middleware::Next;
use umbel::protocol::partition::Refusal;
use umbel::protocol::task::{FailureKind, Outcome, RunEnd};
use umbel::protocol::wire::RequestError;
use umbel::testing::{Cluster, ClusterError, Inline, Recorder};
use umbel::{
    Call, Client, ClientError, Context, Definition, Middleware, State, Task, TaskError, TaskFailed,
    TaskState, UniquePolicy,
};

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

#[umbel::task(queue = "mail", attempts = 4, backoff_list = ["10m"], unique_by = "user")]
async fn welcome(mail: State<Mail>, user: u64, lang: String) -> Result<String, String> {
    match mail.0.fetch_add(1, Ordering::SeqCst) {
        0 => Err("the mail server is away".to_owned()),
        _ => Ok(format!("{user} is welcome in {lang}")),
    }
}

#[derive(Default)]
struct Mail(AtomicU32);

#[umbel::task(unique_by = "password")]
async fn login(user: String, #[redact] password: String) -> Result<usize, String> {
    Ok(user.len() + password.len())
}

/// What is tested in production is what is tested here: it takes a client.
async fn sign_up(client: &Client, user: u64) -> Result<(), ClientError> {
    welcome::submit(client, user, "en".to_owned()).delay(HOUR).priority(3).await?;
    client.submit_named("count", &json!({ "what": "users" }), Default::default()).await?;
    Ok(())
}

/// What `assertion` says when it fails.
fn failure(assertion: impl FnOnce()) -> String {
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(assertion));
    *failed.expect_err("it fails").downcast::<String>().expect("a text")
}

#[tokio::test]
async fn what_is_recorded_is_told_without_what_is_hidden() {
    let recorder = Recorder::new();
    let client = recorder.client();
    let call = login::submit(&client, "eve".to_owned(), "hunter2".to_owned());
    call.await.expect("it is taken in");
    let [login] = recorder.all().try_into().expect("there is one");
    for told in [login.to_string(), format!("{login:?}"), format!("{recorder:?}")] {
        assert!(told.contains("eve") && !told.contains("hunter2"), "{told}");
    }
    let told = failure(|| recorder.assert_nothing_submitted());
    assert!(told.contains("eve") && !told.contains("hunter2"), "{told}");
    // A test can ask for all of it.
    assert_eq!(login.args::<Value>().expect("it is JSON")["password"], "hunter2");
    assert_eq!(login.unique_key(), Some("hunter2"));
}

#[tokio::test]
async fn what_is_submitted_is_recorded() {
    let recorder = Recorder::new();
    recorder.assert_nothing_submitted();
    let client = recorder.client();
    sign_up(&client, 7).await.expect("it is taken in");

    let mail = recorder.assert_submitted(welcome::call(7, "en".to_owned()));
    assert_eq!((mail.name(), mail.queue(), mail.priority()), ("welcome", "mail", 3));
    assert_eq!((mail.delay(), mail.at(), mail.unique_key()), (HOUR, None, Some("7")));
    assert_eq!(mail.options().attempts_max(), 4, "as it is declared");
    recorder.assert_submitted_where(welcome::NAME, |args: Value| args["user"] == 7);
    // A task of some other program has the queue that all have.
    let count = recorder.assert_submitted_where("count", |args: Value| args["what"] == "users");
    assert_eq!(count.queue(), "default");
    recorder.assert_count("count", 1);
    recorder.assert_not_submitted("refund");
    assert_eq!(recorder.submitted("welcome"), [mail]);

    // It is there already, and no second one is made.
    sign_up(&client, 7).await.expect("it is that one");
    recorder.assert_count(welcome::NAME, 1);
    recorder.assert_count("count", 2);
    recorder.clear();
    recorder.assert_nothing_submitted();
    let calls = (0..500).map(|n| Call::<()>::named("count", &n));
    assert!(client.submit_batch(calls).await.iter().all(Result::is_ok));
    recorder.assert_count("count", 500);
    recorder.assert_submitted(Call::<()>::named("count", &499));
}

#[tokio::test]
async fn what_is_wrong_with_a_submission_is_told_as_by_a_node() {
    let recorder = Recorder::new();
    let client = recorder.client();
    let error = client.submit(Call::<()>::named("two words", &())).await.expect_err("no name");
    assert!(matches!(error, ClientError::Request(RequestError::Invalid(_))), "{error}");
    let call = || Call::<()>::named("once", &()).unique("a").if_exists(UniquePolicy::Refuse);
    let first = client.submit(call()).await.expect("it is the first");
    let error = client.submit(call()).await.expect_err("there is one");
    let ClientError::Refused { refusal, .. } = error else { panic!("{error}") };
    assert_eq!(refusal, Refusal::NotUnique { task: first.id() });
    recorder.assert_count("once", 1);

    // A view of it, a cancel, and a list.
    assert_eq!(client.show(first.id()).await.expect("it is there").state, TaskState::Ready);
    let listed = client.list(Default::default()).await.expect("it is told");
    assert_eq!(listed.tasks.len(), 1);
    assert_eq!(first.cancel().await.expect("it is there").state, TaskState::Cancelled);

    // What nothing runs is not waited for, and neither is what is due in an hour.
    let waited = client.run(Call::<()>::named("count", &()).delay(HOUR)).await;
    let error = waited.expect_err("nothing runs it");
    assert!(error.to_string().contains("only recorded"), "{error}");
    let error = client.submit(Call::<()>::named("count", &()).limit_key("a")).await;
    let error = error.expect_err("a key without a limit is refused as in production");
    assert!(error.to_string().contains("`limit_key` without a limit"), "{error}");
    let call = Call::<()>::named("count", &()).if_exists(UniquePolicy::Refuse);
    let error = client.submit(call).await.expect_err("it has no key");
    assert!(error.to_string().contains("without a unique key"), "{error}");
    let error = client.jobs("").await.expect_err("there are none");
    assert!(error.to_string().contains("testing::Cluster"), "{error}");
}

#[tokio::test]
async fn groups_broadcasts_and_what_is_tried_again_are_recorded() {
    let recorder = Recorder::new();
    let client = recorder.client();
    let group = client.submit_group((0..5).map(|n| Call::<()>::named("count", &n))).await;
    let group = group.expect("it is taken in");
    let count = group.count().await.expect("it is counted");
    assert_eq!((count.tasks.ready, count.tasks.size), (5, 5));
    let steered = group.cancel().await.expect("they are asked");
    assert_eq!(steered.done, 5);
    assert!(group.wait().await.expect("it has ended").has_ended());
    let cancelled = group.tasks()[0].as_ref().expect("it was taken in").id();
    let again = client.retry(cancelled).await.expect("it is tried again");
    assert_eq!(client.show(again).await.expect("it is there").retry_of, Some(cancelled));
    recorder.assert_count("count", 6);
    client
        .delete(group.tasks()[1].as_ref().expect("it was taken in").id())
        .await
        .expect("it ended");
    let (broadcast, nodes) =
        client.broadcast(Call::<()>::named("clear", &())).await.expect("there is one node");
    assert_eq!((broadcast.tasks().len(), nodes.len()), (1, 1));
    recorder.assert_count("clear", 1);
}

#[tokio::test]
async fn a_failed_assertion_says_what_there_is() {
    let recorder = Recorder::new();
    let client = recorder.client();
    let said = failure(|| drop(recorder.assert_submitted(Call::<()>::named("count", &1))));
    assert_eq!(said, "not submitted: count 1\nnothing was submitted");
    client.submit(Call::<()>::named("count", &2)).await.expect("it is taken in");
    let said = failure(|| drop(recorder.assert_submitted(Call::<()>::named("count", &1))));
    assert_eq!(said, "not submitted: count 1\nsubmitted were:\n  count 2");
    let odd = |n: u64| n % 2 == 1;
    let said = failure(|| drop(recorder.assert_submitted_where("count", odd)));
    assert!(said.starts_with("no \"count\" with such arguments was submitted"), "{said}");
    let said = failure(|| recorder.assert_count("count", 2));
    assert!(said.starts_with("\"count\" was submitted 1 times, not 2"), "{said}");
    assert!(failure(|| recorder.assert_not_submitted("count")).contains("count 2"));
    assert!(failure(|| recorder.assert_nothing_submitted()).contains("count 2"));
}

/// Counts what goes through it.
struct Counted(Arc<AtomicUsize>);

impl Middleware for Counted {
    async fn run(&self, _: &Context, next: Next<'_>) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        next.run().await
    }
}

#[tokio::test]
async fn a_task_is_run_at_once_with_its_retries() {
    let around = Arc::new(AtomicUsize::new(0));
    let tasks = Inline::builder()
        .state(Mail::default())
        .middleware(Counted(Arc::clone(&around)))
        .build()
        .expect("it is ready");
    let said = tasks.run(welcome::call(7, "en".to_owned()).delay(HOUR)).await;
    assert_eq!(said.expect("the second time"), "7 is welcome in en");
    assert_eq!(around.load(Ordering::SeqCst), 2);
    let skipped = tasks.skipped();
    assert!(skipped > HOUR + 9 * MINUTE && skipped <= HOUR + 10 * MINUTE, "{skipped:?}");
    let recorded = tasks.recorder().assert_submitted(welcome::call(7, "en".to_owned()));
    let view = tasks.client().show(recorded.id()).await.expect("it is there");
    let ends: Vec<_> = view.runs.iter().filter_map(|run| run.end).collect();
    assert_eq!(ends, [RunEnd::Failed(FailureKind::Error), RunEnd::Succeeded]);
    let pause = view.runs[1].started_at.since(view.runs[0].started_at);
    assert!(pause.as_millis() >= 600_000, "{pause:?}");
}

#[tokio::test]
async fn whatever_a_handler_says_becomes_of_its_task() {
    let asked = Arc::new(AtomicU32::new(0));
    let snoozes = Arc::clone(&asked);
    let tasks = Inline::builder()
        .register("fail", |(): ()| async { Err::<(), _>("no") })
        .register("drop", |(): ()| async { Err::<(), _>(TaskError::dropped("it is gone")) })
        .register("late", |(): ()| async { Err::<(), _>(TaskError::retry_after(HOUR, "busy")) })
        .register("never", |(): ()| async { Err::<(), _>(TaskError::snoozed(HOUR)) })
        .register("third", move |ctx: Context, (): ()| {
            let count = snoozes.fetch_add(1, Ordering::SeqCst);
            async move { if count < 2 { Err(TaskError::snoozed(HOUR)) } else { Ok(ctx.attempt()) } }
        })
        .define(
            Definition::from_async("hang", |(): ()| std::future::pending::<Result<(), String>>())
                .attempts(1)
                .time_limit(Duration::from_millis(20)),
        )
        .register_blocking("block", |n: u64| Ok::<_, String>(n + 1))
        .build()
        .expect("it is ready");
    let run = async |call: Call<()>| tasks.run(call).await.expect_err("it does not succeed");
    let named = |name: &str| Call::<()>::named(name, &());

    let error = run(named("fail").attempts(7)).await;
    assert!(matches!(&error, TaskFailed::Dead { .. }), "{error}");
    let failed = tasks.client().show(tasks.recorder().all()[0].id()).await.expect("it is there");
    assert_eq!(failed.attempts, 7);
    assert!(matches!(run(named("drop")).await, TaskFailed::Dropped { .. }));
    assert_eq!(tasks.run(Call::<u16>::named("third", &())).await.expect("the third time"), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 3, "and that was its first attempt");
    assert_eq!(tasks.run(Call::<u64>::named("block", &1)).await.expect("on a thread"), 2);
    let kind = |error: TaskFailed| error.failure().map(|failure| failure.kind);
    assert_eq!(kind(run(named("hang")).await), Some(FailureKind::TimedOut));
    // It may have ended only an hour later than it must.
    assert_eq!(kind(run(named("late").deadline(MINUTE)).await), Some(FailureKind::Error));
    let expired = run(named("late").expires(MINUTE)).await;
    assert!(matches!(expired, TaskFailed::Expired { .. }), "{expired}");
    let endless = run(named("never")).await.to_string();
    assert!(endless.contains("has not ended after"), "{endless}");

    let error = run(named("fial")).await;
    let unknown = |error: &TaskFailed| {
        matches!(error, TaskFailed::Client(ClientError::Request(RequestError::UnknownTask { .. })))
    };
    assert!(unknown(&error), "{error}");
    let lacks = tasks.run(welcome::call(1, "en".to_owned())).await.expect_err("it has no mail");
    assert!(lacks.to_string().contains("State<testing::Mail>"), "{lacks}");
    let twice = Inline::builder().register("a", |n: u64| async move { Ok::<_, String>(n) });
    let twice = twice.register("a", |n: u64| async move { Ok::<_, String>(n) }).build();
    assert!(twice.expect_err("two of one name").to_string().contains('a'));
}

#[tokio::test]
async fn what_a_task_submits_is_run_and_recorded_as_well() {
    let home: Arc<OnceLock<Client>> = Arc::default();
    let given = Arc::clone(&home);
    let tasks = Inline::builder()
        .register("parent", move |n: u64| {
            let client = given.get().expect("it is set").clone();
            async move {
                let child = client.run(Call::<u64>::named("child", &n)).await;
                child.map(|n| n * 2).map_err(|why| why.to_string())
            }
        })
        .register("child", |n: u64| async move { Ok::<_, String>(n + 1) })
        .build()
        .expect("it is ready");
    home.set(tasks.client()).expect("it is set once");
    assert_eq!(tasks.run(Call::<u64>::named("parent", &20)).await.expect("it returns"), 42);
    tasks.recorder().assert_submitted(Call::<u64>::named("child", &20));
    assert_eq!(tasks.recorder().all().len(), 2);
}

/// What handlers of a cluster tell the test.
#[derive(Clone)]
struct Told {
    runs: watch::Sender<u32>,
}

impl Told {
    fn new() -> Self {
        Self { runs: watch::Sender::new(0) }
    }

    async fn until(&self, runs: u32) {
        let mut told = self.runs.subscribe();
        let reached = timeout(PATIENCE, told.wait_for(|so_far| *so_far >= runs)).await;
        drop(reached.expect("in time").expect("this lives on"));
    }
}

async fn cluster(nodes: usize, told: &Told) -> Cluster {
    let told = told.clone();
    let cluster = Cluster::builder().nodes(nodes).each(move |_, node| {
        let (flaky, endless) = (told.clone(), told.clone());
        node.state(Mail::default())
            .register("flaky", move |(): ()| {
                flaky.runs.send_modify(|runs| *runs += 1);
                let runs = *flaky.runs.borrow();
                async move { if runs < 2 { Err("not yet") } else { Ok(runs) } }
            })
            .register("endless", move |(): ()| {
                endless.runs.send_modify(|runs| *runs += 1);
                std::future::pending::<Result<(), String>>()
            })
            .register("double", |n: u64| async move { Ok::<_, String>(n * 2) })
            .register("where", |ctx: Context, (): ()| async move {
                Ok::<_, String>(ctx.node().to_owned())
            })
    });
    cluster.start().await.expect("they find together")
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_pass_at_once_on_one_node_and_on_three() {
    for nodes in [1, 3] {
        let told = Told::new();
        let cluster = cluster(nodes, &told).await;
        let client = cluster.client();
        let before = cluster.clock().now();

        let later = client.submit(Call::<u64>::named("double", &21).delay(HOUR)).await;
        let later = later.expect("it is taken in");
        assert_eq!(client.show(later.id()).await.expect("it waits").state, TaskState::Scheduled);
        cluster.clock().advance(HOUR - MINUTE).await;
        assert_eq!(client.show(later.id()).await.expect("it waits").state, TaskState::Scheduled);
        cluster.clock().advance(MINUTE).await;
        assert_eq!(within(later.result()).await.expect("it is time"), 42);

        // A retry after ten minutes, of a task that is made when it is later than it is.
        let flaky = Call::<u32>::named("flaky", &()).backoff_list([10 * MINUTE]);
        let flaky = client.submit(flaky).await.expect("it is taken in");
        told.until(1).await;
        let mut view = client.show(flaky.id()).await.expect("it is there");
        while view.state != TaskState::Scheduled {
            tokio::task::yield_now().await;
            view = client.show(flaky.id()).await.expect("it is there");
        }
        cluster.clock().advance(10 * MINUTE).await;
        assert_eq!(within(flaky.result()).await.expect("the second time"), 2);
        let view = client.show(flaky.id()).await.expect("it is there");
        let pause = view.runs[1].started_at.since(view.runs[0].started_at);
        assert!(pause.as_millis() >= 600_000, "{pause:?}");

        // And one that hangs, whose time is over.
        let hangs = Call::<()>::named("endless", &()).attempts(1).time_limit(HOUR);
        let hangs = client.submit(hangs).await.expect("it is taken in");
        told.until(3).await;
        cluster.clock().advance(HOUR).await;
        let error = within(hangs.result()).await.expect_err("it never ends by itself");
        assert_eq!(error.failure().map(|why| why.kind), Some(FailureKind::TimedOut), "{error}");

        assert_eq!(cluster.clock().advanced(), 2 * HOUR + 10 * MINUTE);
        let passed = cluster.clock().now().duration_since(before).expect("it goes on");
        assert!(passed >= 2 * HOUR + 10 * MINUTE && passed < 3 * HOUR, "{passed:?}");
        // Nobody has taken another for dead meanwhile.
        within(cluster.settled()).await.expect("all are there");
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fires_when_its_time_has_come() {
    let text = "[jobs.report]\nevery = \"1h\"\ntask = \"report\"\n";
    let config = Config::parse("cluster.toml", text).expect("it is valid");
    let (fired, mut seen) = watch::channel(0);
    let cluster = Cluster::builder().config(config).each(move |_, node| {
        let fired = fired.clone();
        node.state(Mail::default()).register("report", move |(): ()| {
            fired.send_modify(|ticks| *ticks += 1);
            async { Ok::<_, String>(()) }
        })
    });
    let cluster = cluster.start().await.expect("it starts");
    let known = within(async {
        while cluster.client().jobs("").await.expect("they are told").jobs.is_empty() {
            tokio::task::yield_now().await;
        }
    });
    known.await;
    for ticks in 1..=3 {
        cluster.clock().advance(HOUR).await;
        let has_fired = timeout(PATIENCE, seen.wait_for(|fired| *fired >= ticks)).await;
        assert_eq!(*has_fired.expect("in time").expect("the node lives on"), ticks);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_over_from_a_node_that_is_lost_and_it_comes_back() {
    let told = Told::new();
    let mut cluster = cluster(3, &told).await;
    let client = cluster.client();
    let id = cluster.node(1).id();
    cluster.crash(1).await;
    assert!(!cluster.runs(1) && cluster.len() == 3);
    // More than enough for each partition to have one.
    let calls = (0..64_u64).map(|n| Call::<u64>::named("double", &n));
    for (n, taken) in client.submit_batch(calls).await.into_iter().enumerate() {
        let result = within(taken.expect("a majority is there").result()).await;
        assert_eq!(result.expect("somebody runs it"), n as u64 * 2);
    }
    let said = failure(|| drop(cluster.node(1).client()));
    assert!(said.contains("node 1 does not run"), "{said}");

    cluster.restart(1).await.expect("it comes back");
    within(cluster.settled()).await.expect("all share the work again");
    assert_eq!(cluster.node(1).id(), id, "with its data");
    cluster.restart(1).await.expect("it runs: nothing is to be done");
    cluster.shut_down(2).await;
    assert!(!cluster.runs(2));
    assert_eq!(
        within(client.run(Call::<u64>::named("double", &4))).await.expect("two are left"),
        8
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_does_nothing_until_that_is_healed() {
    let mut cluster = cluster(3, &Told::new()).await;
    // The two go on through the third.
    cluster.cut(0, 1);
    let client = cluster.node(0).client();
    let call = || Call::<String>::named("where", &());
    within(client.run(call())).await.expect("two thirds are a majority, and so are three");

    cluster.isolate(2);
    let lonely = cluster.node(2).client();
    let error = lonely.submit(call()).await.expect_err("it has no majority");
    let lacks = |error: &ClientError| {
        let ClientError::Request(error) = error else { return false };
        matches!(error, RequestError::NoQuorum { .. } | RequestError::Unknown)
    };
    assert!(lacks(&error), "{error}");
    cluster.heal();
    within(cluster.settled()).await.expect("all share the work again");
    within(lonely.run(call())).await.expect("it is one of them");

    // A cut lasts across restarts.
    cluster.isolate(2);
    cluster.crash(2).await;
    cluster.restart(2).await.expect("it starts, and was a member");
    assert!(matches!(cluster.node(2).met().await, Ok(false)), "it meets nobody");
    cluster.heal();
    within(cluster.settled()).await.expect("all share the work again");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_be_is_refused() {
    for nodes in [0, 1_000] {
        let error = Cluster::builder().nodes(nodes).start().await.expect_err("there is none");
        assert!(matches!(error, ClusterError::Nodes { nodes: n } if n == nodes), "{error}");
    }
    let lacks = Cluster::builder().start().await.expect_err("nobody has given it mail");
    let ClusterError::Start { place: 0, source } = &lacks else { panic!("{lacks}") };
    assert!(source.to_string().contains("State<testing::Mail>"), "{source}");
}
