//! What `#[umbel::task]` makes of functions.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, Waker};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use umbel::config::Config;
use umbel::testing::{Recorded, Recorder};
use umbel::work::{Ledger, NotGiven, RegisterError, RunRequest, Runner, Submission};
use umbel::{
    Call, Context, FromContext, Handle, Needs, Node, Registry, State, Task, TaskError, TaskFailed,
};
use umbel_protocol::id::{PartitionId, TaskId, Token};
use umbel_protocol::job::Target;
use umbel_protocol::task::{FailureKind, Options, Outcome, Template, UniquePolicy, UniqueScope};
use umbel_protocol::time::{Span, Wall};

/// Adds.
#[umbel::task]
async fn add(a: u64, b: u64) -> Result<u64, TaskError> {
    a.checked_add(b).ok_or_else(|| TaskError::permanent("the sum is too large"))
}

#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    to: String,
}

#[umbel::task(
    name = "mail/greet",
    queue = "mail",
    attempts = 7,
    backoff = "2s",
    time_limit = "1m30s",
    priority = 4
)]
async fn greet(ctx: Context, mut greeting: Greeting) -> std::io::Result<String> {
    greeting.to.push('!');
    Ok(format!("{} {} {}", ctx.name(), ctx.attempt(), greeting.to))
}

#[umbel::task(blocking)]
fn crunch(rounds: u32) -> Result<u32, String> {
    if rounds > 9 { Err("too many rounds".to_owned()) } else { Ok(rounds * 2) }
}

#[umbel::task]
async fn nothing(_ctx: Context) -> Result<(), std::fmt::Error> {
    Ok(())
}

struct Rate(u64);

/// A type of the program's own that comes from the node.
struct Doubled(u64);

impl FromContext for Doubled {
    fn from_context(context: &Context) -> Result<Self, TaskError> {
        Ok(Self(State::<Rate>::from_context(context)?.0 * 2))
    }

    fn needs(needs: &mut Needs) {
        State::<Rate>::needs(needs);
    }
}

#[umbel::task]
async fn rated(
    #[from_context] Doubled(rate): Doubled,
    ctx: Context,
    state: State<Rate>,
    n: u64,
    m: u64,
) -> Result<u64, TaskError> {
    Ok(rate * n + m + state.0 + u64::from(ctx.attempt()))
}

#[umbel::task(blocking)]
fn rated_slowly(_: State<Rate>, #[from_context] rate: Doubled) -> Result<u64, TaskError> {
    Ok(rate.0)
}

/// An argument may be called as what `submit` takes besides.
#[umbel::task(queue = "letters", attempts = 1)]
async fn address(client: String, street: Option<String>) -> Result<String, TaskError> {
    let street = street.ok_or_else(|| TaskError::permanent(format!("{client} has no home")))?;
    Ok(format!("{client}, {street}"))
}

mod inner {
    #[umbel::task(name = "inner.concat")]
    pub(crate) async fn r#concat(
        r#type: String,
        count: Option<usize>,
    ) -> Result<String, umbel::TaskError> {
        Ok(r#type.repeat(count.unwrap_or(1)))
    }
}

#[umbel::task(unique_by = "r#type", unique_until = "started", if_exists = "replace")]
async fn rebuild(r#type: String, _full: bool) -> Result<String, TaskError> {
    Ok(r#type)
}

#[umbel::task(unique_by = "user, key", unique_until = "1h")]
async fn remind(_ctx: Context, key: Option<String>, user: u64, call: u8) -> Result<u8, TaskError> {
    drop((key, user));
    Ok(call)
}

#[umbel::task(
    limit_by = "account",
    concurrency = 3,
    rate = "10/30s",
    lost_after = "20s",
    retention = "2d",
    ignore_result,
    resource = "disk",
    fair_by = "tenant, account",
    unique_by = "key_0",
    select = "role=db, zone=a",
    labels = "team=billing",
    display_name = "Import of a file"
)]
async fn import(tenant: String, account: u64, key_0: String) -> Result<String, TaskError> {
    Ok(format!("{tenant} {account} {key_0}"))
}

#[umbel::task(limit_by = "account", exclusive)]
async fn close(account: u64) -> Result<u64, TaskError> {
    Ok(account)
}

#[umbel::task(redact = ["token", "pin"])]
async fn unlock(pin: String) -> Result<usize, TaskError> {
    Ok(pin.len())
}

/// A type of the program's own may be called as anything.
#[derive(Debug, Serialize, Deserialize)]
struct Args {
    words: Vec<String>,
}

#[umbel::task]
async fn speak(args: Args, count: usize) -> Result<String, TaskError> {
    Ok(args.words.join(" ").repeat(count))
}

#[umbel::task(name = "configured")]
#[cfg(not(test))]
async fn configured(_away: NoSuchType, _with: NoSuchType) -> Result<bool, NoSuchType> {
    unreachable!("it is not there")
}

#[umbel::task(name = "configured")]
#[cfg(test)]
async fn configured() -> Result<bool, TaskError> {
    Ok(true)
}

fn submission<R>(call: Call<R>) -> Submission {
    call.into_submission().expect("its arguments fit JSON")
}

async fn run(name: &str, args: &str) -> Outcome {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let ledger = Ledger::open(dir.path()).expect("the directory is there");
    let registry = Registry::declared().expect("no name is taken twice");
    let request = RunRequest {
        id: TaskId::new(Wall::from_millis(1), PartitionId(0), 1),
        token: Token { term: 1, index: 2, position: 3 },
        attempt: 1,
        args: args.to_owned().into(),
        time_limit: None,
        soft_limit: None,
        time_left: None,
        metadata: None,
        redact: Vec::new(),
    };
    let definition = registry.get(name).expect("the name is declared above");
    let runner = Runner::new("here", ledger).with_state(Rate(10));
    assert_eq!(runner.check(&registry), Ok(()));
    runner.run(definition, request, CancellationToken::new()).await
}

fn succeeded(json: &str) -> Outcome {
    Outcome::Succeeded(json.to_owned().into())
}

#[test]
fn the_function_stays_callable() {
    let sum = pin!(add(1, 2)).poll(&mut Poller::from_waker(Waker::noop()));
    assert!(matches!(sum, Poll::Ready(Ok(3))));
    assert_eq!(crunch(2), Ok(4));
}

#[test]
fn a_call_carries_arguments_and_defaults() {
    let call: Call<u64> = add::call(1, 2);
    let Submission { template, args, particulars, id } = submission(call);
    assert_eq!(template, Template::new("add"));
    assert_eq!((&args[..], particulars, id), (&br#"{"a":1,"b":2}"#[..], None, None));

    let call: Call<String> = greet::call(Greeting { to: "you".to_owned() }).priority(5);
    let Submission { template, args, .. } = submission(call);
    assert_eq!((template.name.as_str(), template.queue.as_str()), ("mail/greet", "mail"));
    assert_eq!(
        template.options,
        Options {
            priority: Some(5),
            attempts_max: Some(7),
            backoff_first: Some(Span::from_millis(2_000)),
            time_limit: Some(Span::from_millis(90_000)),
            ..Options::default()
        }
    );
    assert_eq!(args, r#"{"to":"you"}"#);

    assert_eq!(submission(nothing::call()).args, "null");
    assert_eq!(
        submission(inner::concat::call("x".to_owned(), None)).args,
        r#"{"type":"x","count":null}"#
    );
    // One that travels alone has no name there by which it could be hidden.
    let unlock = submission(unlock::call("4711".to_owned()));
    assert_eq!(unlock.template.options.redact(), ["token".into(), "*".into()]);
    // What does not travel is no part of a call.
    assert_eq!(submission(rated::call(2, 1)).args, r#"{"n":2,"m":1}"#);
    assert_eq!(submission(rated_slowly::call()).args, "null");
    assert_eq!(submission(crunch::call(3).delay(Duration::from_secs(1))).args, "3");
}

#[test]
fn a_call_has_the_key_that_its_arguments_make() {
    let key = |submission: &Submission| {
        let particulars = submission.particulars.as_ref().expect("it has a key");
        particulars.unique_key.as_deref().map(str::to_owned)
    };
    let products = submission(rebuild::call("products".to_owned(), true));
    assert_eq!(key(&products).as_deref(), Some("products"));
    assert_eq!(
        products.template.options,
        Options {
            unique_scope: Some(UniqueScope::UntilStarted),
            unique_policy: Some(UniquePolicy::Replace),
            ..Options::default()
        }
    );
    assert_eq!(products.args, r#"{"type":"products","_full":true}"#);
    let remind_of = |key: &str| remind::call(Some(key.to_owned()), 7, 1);
    let reminder = submission(remind_of("invoice"));
    assert_eq!(key(&reminder).as_deref(), Some(r#"[7,"invoice"]"#), "in the order of `unique_by`");
    let hour = UniqueScope::For(Span::from_millis(3_600_000));
    assert_eq!(reminder.template.options.unique_scope, Some(hour));
    let said = submission(remind_of("invoice").unique("another"));
    assert_eq!(key(&said).as_deref(), Some("another"), "what a call says itself counts");
    let long = key(&submission(remind_of(&"x".repeat(1_000)))).unwrap();
    assert!(long.starts_with("sha256:") && long.len() == 71, "{long}");
}

#[tokio::test]
async fn what_a_declaration_asks_for_reaches_every_submission() {
    let recorder = Recorder::new();
    let client = recorder.client();
    let file = |name: &str| import::submit(&client, "acme".to_owned(), 7, name.to_owned());
    let _: Handle<()> = file("march.csv").await.expect("it is taken in");
    assert_eq!(<import as Task>::definition().takes(), Some("disk"));
    assert_eq!(<close as Task>::definition().takes(), None);
    close::submit(&client, 7).await.expect("it is taken in");
    let [import, close] = recorder.all().try_into().expect("there are two");
    assert_eq!(
        *import.options(),
        Options {
            concurrency: Some(3),
            rate: Some("10/30s".parse().expect("a rate")),
            lost_after: Some(Span::from_millis(20_000)),
            retention: Some(Span::from_millis(2 * 86_400_000)),
            ignore_result: Some(true),
            ..Options::default()
        }
    );
    assert_eq!(*close.options(), Options { exclusive: Some(true), ..Options::default() });
    let keys = |task: &Recorded| {
        [task.limit_key(), task.fairness_key(), task.unique_key()]
            .map(|key| key.map(str::to_owned).unwrap_or_default())
    };
    assert_eq!(keys(&import), ["7", r#"["acme",7]"#, "march.csv"]);
    assert_eq!(keys(&close), ["7", "", ""], "limited with the imports");
    let selected = |labels: &str| Target::Labels(labels.parse().expect("labels"));
    assert_eq!(*import.target(), selected("role=db,zone=a"));
    let said = import.metadata().expect("it has a name");
    assert_eq!(
        (said.labels.to_string().as_str(), said.display_name.as_deref()),
        ("team=billing", Some("Import of a file"))
    );
    assert_eq!((close.target(), close.metadata()), (&Target::Anywhere, None));

    // What a call says itself counts.
    recorder.clear();
    let own = file("april.csv").limit_key("mine").fairness_key("me").unique("this");
    let own = own.concurrency(5).select([("role", "web")]).label("team", "mail");
    own.display_name("April").await.expect("it is taken in");
    let [own] = recorder.all().try_into().expect("there is one");
    assert_eq!(keys(&own), ["mine", "me", "this"]);
    assert_eq!((own.options().concurrency(), own.target()), (Some(5), &selected("role=web")));
    let said = own.metadata().expect("it has a name");
    assert_eq!(
        (said.labels.get("team"), said.display_name.as_deref()),
        (Some("mail"), Some("April"))
    );

    // Whoever submits it by its name has to know what it is limited by.
    let unlimited = client.submit(Call::<u64>::named("close", &7)).await;
    let told = unlimited.expect_err("it has no key").to_string();
    assert!(told.contains("without `limit_key`"), "{told}");
    let named = Call::<u64>::named("close", &7).limit_key("7").exclusive();
    client.submit(named).await.expect("it is taken in");
}

#[tokio::test]
async fn declared_tasks_run() {
    assert_eq!(run("add", r#"{"a":1,"b":2}"#).await, succeeded("3"));
    assert_eq!(run("add", "[1,2]").await, succeeded("3"));
    assert_eq!(run("mail/greet", r#"{"to":"you"}"#).await, succeeded("\"mail/greet 1 you!\""));
    assert_eq!(run("crunch", "4").await, succeeded("8"));
    assert_eq!(run("nothing", "{}").await, succeeded("null"));
    assert_eq!(run("nothing", "").await, succeeded("null"));
    assert_eq!(run("rated", r#"{"n":2,"m":1}"#).await, succeeded("52"));
    assert_eq!(run("rated_slowly", "").await, succeeded("20"));
    assert_eq!(run("inner.concat", r#"{"type":"x"}"#).await, succeeded("\"x\""));
    let twice = r#"{"args":{"words":["a","b"]},"count":2}"#;
    assert_eq!(run("speak", twice).await, succeeded("\"a ba b\""));
    assert_eq!(run("configured", "").await, succeeded("true"));
}

#[tokio::test]
async fn declared_tasks_fail_as_they_say() {
    for (name, args, kind, message) in [
        ("add", r#"{"a":1}"#, FailureKind::BadArguments, "missing field `b`"),
        ("add", "[18446744073709551615,1]", FailureKind::Permanent, "the sum is too large"),
        ("crunch", "10", FailureKind::Error, "too many rounds"),
        ("nothing", "7", FailureKind::BadArguments, "expected no arguments"),
        // One that is misspelt would not be there.
        (
            "inner.concat",
            r#"{"type":"x","cuont":3}"#,
            FailureKind::BadArguments,
            "unknown field `cuont`",
        ),
    ] {
        let Outcome::Failed(failure) = run(name, args).await else { panic!("{name} succeeded") };
        assert_eq!(failure.kind, kind, "{name}");
        assert!(failure.message.contains(message), "{name}: {}", failure.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_submitted_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let letters = "[queues.letters]\n[queues.slow]\n";
    let node = Node::builder()
        .config(Config::parse("cluster.toml", letters).unwrap())
        .name("a")
        .data(dir.path().join("a"))
        .listen(([127, 0, 0, 1], 0).into())
        .state(Rate(10))
        .start();
    let node = node.await.unwrap();
    node.joined().await.unwrap();
    let client = node.client();

    let later = Duration::from_millis(50);
    let sum: Handle<u64> = add::submit(&client, 1, 2).delay(later).priority(3).await.unwrap();
    let view = sum.wait().await.unwrap();
    assert!(view.runs[0].started_at.since(view.submitted_at) >= Span::from_millis(50), "{view:?}");
    assert_eq!(sum.result().await.unwrap(), 3);

    // Blocking ones, those without arguments, and those that take something of the node.
    assert_eq!(crunch::run(&client, 4).queue("slow").await.unwrap(), 8);
    assert_eq!(nothing::submit(&client).await.unwrap().result().await.unwrap(), ());
    assert_eq!(rated::run(&client, 2, 1).await.unwrap(), 52);
    assert_eq!(rated_slowly::submit(&client).await.unwrap().result().await.unwrap(), 20);
    let text = inner::concat::run(&client, "x".to_owned(), Some(3)).await.unwrap();
    assert_eq!(text, "xxx");

    let to = address::submit(&client, "you".to_owned(), Some("here".to_owned())).await.unwrap();
    assert_eq!(to.wait().await.unwrap().queue, "letters");
    assert_eq!(to.result().await.unwrap(), "you, here");
    let hour = Duration::from_secs(3_600);
    let reminder = || remind::submit(&client, None, 7, 1).delay(hour);
    let first = reminder().await.unwrap();
    assert_eq!(reminder().await.unwrap().id(), first.id(), "there is one at a time");
    assert_ne!(reminder().unique("mine").await.unwrap().id(), first.id());
    assert_ne!(remind::submit(&client, None, 8, 1).delay(hour).await.unwrap().id(), first.id());

    let lost = address::run(&client, "you".to_owned(), None).await.unwrap_err();
    assert!(matches!(lost, TaskFailed::Dead { .. }), "{lost}");
    node.stop().await;
}

#[test]
fn what_a_task_takes_is_known_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let runner = Runner::new("here", Ledger::open(dir.path()).unwrap());
    let NotGiven::Task { task, state } = runner.check(&Registry::declared().unwrap()).unwrap_err()
    else {
        panic!("no middleware is there");
    };
    assert_eq!((task.as_str(), state), ("rated", "task_macro::Rate"));
}

#[test]
fn a_task_may_be_registered_again_but_not_its_name() {
    let mut registry = Registry::declared().unwrap();
    registry.task::<add>().unwrap().task::<crunch>().unwrap();
    let first = Arc::clone(registry.get(add::NAME).unwrap());
    let error = registry.register("add", |n: u64| async move { Ok::<_, String>(n) }).unwrap_err();
    assert!(matches!(error, RegisterError::Duplicate { .. }));
    assert!(Arc::ptr_eq(&first, registry.get("add").unwrap()));

    let mut registry = Registry::new();
    registry.task::<inner::concat>().unwrap();
    assert!(registry.get("inner.concat").is_some());
}

#[umbel::task(retries = 5, timeout = "30s", backoff_max = "5m")]
async fn said_as_elsewhere() -> Result<(), String> {
    Ok(())
}

#[umbel::task(retries = 0)]
async fn never_again() -> Result<(), String> {
    Ok(())
}

#[test]
fn retries_are_one_less_than_attempts_and_a_timeout_is_a_time_limit() {
    let options = said_as_elsewhere::template().options;
    assert_eq!(options.attempts_max(), 6);
    let limits =
        [options.time_limit, options.backoff_max].map(|span| span.map(|it| it.as_millis()));
    assert_eq!(limits, [Some(30_000), Some(300_000)]);
    assert_eq!(never_again::template().options.attempts_max(), 1);
}
