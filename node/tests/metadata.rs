//! What is said of tasks besides how they are treated, from callers to handlers, programs and web
//! services, and on to the tasks that are submitted from within them.

mod cluster;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use umbel::client::Filter;
use umbel::config::Config;
use umbel::{Call, Context, Node, TaskError, TaskId};
use umbel_protocol::task::{Failure, State};

use self::cluster::PATIENCE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// What a handler knows of its task.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    id: String,
    parent: Option<String>,
    root: String,
    labels: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    display_name: Option<String>,
    /// The span that the run is.
    span: Option<String>,
}

fn known(ctx: &Context) -> Known {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Known {
        id: ctx.id().to_string(),
        parent: ctx.parent().map(|id| id.to_string()),
        root: ctx.root().to_string(),
        labels: ctx.labels().map(owned).collect(),
        headers: ctx.headers().map(owned).collect(),
        display_name: ctx.display_name().map(str::to_owned),
        span: ctx.trace().map(umbel::Trace::traceparent),
    }
}

/// What came of a family of three.
#[derive(Debug, Serialize, Deserialize)]
struct Family {
    parent: Known,
    child: Known,
    grandchild: Known,
    /// Ids of a command and a web hook that are children, too.
    others: Vec<TaskId>,
}

#[umbel::task(name = "family/grandchild")]
async fn grandchild(ctx: Context) -> Result<Known, TaskError> {
    Ok(known(&ctx))
}

#[umbel::task(name = "family/child", blocking)]
fn child(ctx: Context) -> Result<(Known, Known), TaskError> {
    // A blocking handler submits as well as any.
    let run = grandchild::run(&ctx).label("step", "3").header("locale", "fr");
    let grandchild = tokio::runtime::Handle::current().block_on(run.into_future())?;
    Ok((known(&ctx), grandchild))
}

#[umbel::task(name = "family/parent")]
async fn parent(ctx: Context) -> Result<Family, TaskError> {
    let (child, grandchild) = child::run(&ctx).label("step", "2").display_name("a child").await?;
    let mut others = Vec::new();
    for name in ["env", "hook"] {
        others.push(ctx.client().submit(Call::<Value>::named(name, &json!({}))).await?.id());
    }
    Ok(Family { parent: known(&ctx), child, grandchild, others })
}

#[umbel::task(name = "family/login")]
async fn login(user: String, #[redact] password: String) -> Result<usize, TaskError> {
    Ok(user.len() + password.len())
}

#[umbel::task(name = "family/pin")]
async fn pin(#[redact] pin: u32) -> Result<u32, TaskError> {
    Ok(pin + 1)
}

async fn node(tasks: &str) -> (Node, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config::parse("cluster.toml", tasks).expect("it is valid");
    let builder = Node::builder().config(config).name("a").data(dir.path().join("a"));
    let builder = builder.listen("127.0.0.1:0".parse().expect("an address"));
    let node = builder.start().await.expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    (node, dir)
}

/// The head and the body of a request.
type Posted = (BTreeMap<String, String>, Value);

/// A web service that takes `count` requests, and what it was sent.
fn service(count: usize) -> (String, Receiver<Posted>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
    let (told, sent) = channel();
    thread::spawn(move || {
        for number in 0..count {
            let (mut stream, _) = listener.accept().expect("somebody calls");
            let mut lines = BufReader::new(stream.try_clone().expect("another handle"));
            let mut head = BTreeMap::new();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).expect("a line");
                match line.trim_end().split_once(": ") {
                    Some((name, value)) => {
                        head.insert(name.to_ascii_lowercase(), value.to_owned());
                    }
                    None if line == "\r\n" => break,
                    None => {}
                }
            }
            let length = head["content-length"].parse().expect("a number");
            let mut body = vec![0; length];
            lines.read_exact(&mut body).expect("the body");
            // All but the last are asked to come again.
            let status = if number + 1 < count { "503 Busy" } else { "200 OK" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).expect("it is taken");
            told.send((head, serde_json::from_slice(&body).expect("JSON"))).expect("it is wanted");
        }
    });
    (url, sent)
}

/// The span that `traceparent` names, which is one of the trace.
#[track_caller]
fn span_of(traceparent: &str) -> String {
    let [version, trace, span, flags] = traceparent.split('-').collect::<Vec<_>>()[..] else {
        panic!("not one: {traceparent}")
    };
    assert_eq!((version, trace, flags), ("00", TRACE, "01"), "{traceparent}");
    span.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_submitted_from_within_a_task_is_its_child() {
    let (url, sent) = service(2);
    let tasks = format!(
        "[tasks.env]\ncommand = [\"env\"]\n\
         [tasks.hook]\nwebhook = {url:?}\nallow_private = true\nbackoff_first = \"10ms\"\n"
    );
    let (node, _dir) = node(&tasks).await;
    let client = node.client();
    let call = parent::submit(&client).label("tenant", "acme").label("step", "1");
    let call = call.header("request-id", "r7").header("locale", "de").display_name("Family 7");
    let call = call.redact(["request-id", "other"]);
    let handle = call.traceparent(PARENT).tracestate(STATE).await.expect("it is taken in");
    let family = timeout(PATIENCE, handle.result()).await.expect("in time").expect("it succeeds");
    let Family { parent, child, grandchild, others } = family;

    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let root = handle.id().to_string();
    assert_eq!((&parent.id, &parent.parent, &parent.root), (&root, &None, &root));
    assert_eq!((&child.parent, &child.root), (&Some(root.clone()), &root));
    assert_eq!((&grandchild.parent, &grandchild.root), (&Some(child.id.clone()), &root));
    assert_eq!(parent.labels, pairs(&[("step", "1"), ("tenant", "acme")]));
    assert_eq!(child.labels, pairs(&[("step", "2"), ("tenant", "acme")]));
    assert_eq!(grandchild.labels, pairs(&[("step", "3"), ("tenant", "acme")]));
    assert_eq!(child.headers, pairs(&[("locale", "de"), ("request-id", "r7")]));
    assert_eq!(grandchild.headers, pairs(&[("locale", "fr"), ("request-id", "r7")]));
    let names = [&parent, &child, &grandchild].map(|known| known.display_name.as_deref());
    assert_eq!(names, [Some("Family 7"), Some("a child"), None]);
    let spans: Vec<String> = [&parent, &child, &grandchild]
        .map(|known| span_of(known.span.as_deref().expect("it is traced")))
        .into();
    let caller = "00f067aa0ba902b7".to_owned();
    assert!(!spans.contains(&caller), "each run is a span of its own: {spans:?}");
    assert!(spans[0] != spans[1] && spans[1] != spans[2] && spans[0] != spans[2], "{spans:?}");

    // What is hidden of the first is hidden of all that take it over.
    for id in [&parent.id, &child.id, &grandchild.id] {
        let view = client.show(id.parse().expect("an id")).await.expect("it is known");
        let headers = &view.metadata.as_ref().expect("it has headers").headers;
        assert_eq!(headers.get("request-id"), Some("[redacted]"), "{id}");
        assert_ne!(headers.get("locale"), Some("[redacted]"), "{id}");
    }

    // A program finds it in its environment.
    let view = client.wait(others[0], Some(PATIENCE)).await.expect("it ends");
    let result: Value = serde_json::from_slice(&view.result.expect("it succeeds")).expect("JSON");
    let env: BTreeMap<&str, &str> = result["stdout"]
        .as_str()
        .expect("it is text")
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    assert_eq!((env["UMBEL_PARENT_ID"], env["UMBEL_ROOT_ID"]), (root.as_str(), root.as_str()));
    assert_eq!(env["UMBEL_TASK_LABELS"], "step=1,tenant=acme");
    assert_eq!((env["UMBEL_HEADER_REQUEST_ID"], env["UMBEL_HEADER_LOCALE"]), ("r7", "de"));
    assert_eq!(env["UMBEL_REDACT"], "request-id");
    assert_eq!((env.get("UMBEL_DISPLAY_NAME"), env["TRACESTATE"]), (None, STATE));
    let span = span_of(env["TRACEPARENT"]);
    assert!(!spans.contains(&span) && span != caller, "{span}");
    // Its own record names the span from within which it was submitted.
    let submitted =
        view.metadata.as_ref().and_then(|said| said.trace.as_ref()).expect("it is traced");
    assert_eq!(submitted.span_id(), spans[0]);

    // A web service is told with each attempt, and each is a span of its own.
    client.wait(others[1], Some(PATIENCE)).await.expect("it ends");
    let tries: Vec<_> = sent.iter().take(2).collect();
    let mut posted = Vec::new();
    for (head, body) in &tries {
        assert_eq!((&head["x-umbel-parent-id"], &head["x-umbel-root-id"]), (&root, &root));
        assert_eq!(
            (&head["x-umbel-header-request-id"], &head["tracestate"]),
            (&"r7".to_owned(), &STATE.to_owned())
        );
        assert_eq!((&body["parent_id"], &body["root_id"]), (&json!(root), &json!(root)));
        assert_eq!(body["labels"], json!({ "step": "1", "tenant": "acme" }));
        assert_eq!(body["headers"], json!({ "locale": "de", "request-id": "r7" }));
        posted.push(span_of(&head["traceparent"]));
    }
    assert_eq!(
        (tries[0].1["attempt"].as_u64(), tries[1].1["attempt"].as_u64()),
        (Some(1), Some(2))
    );
    assert!(posted[0] != posted[1] && posted[0] != spans[0], "{posted:?}");

    // All of them are found by what they have in common.
    let found = |labels: &str| {
        let labels = labels.parse().expect("they are labels");
        client.list(Filter { labels, ..Filter::default() })
    };
    let all = found("tenant=acme").await.expect("it is answered").tasks;
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|view| view.args.is_none() && view.state == State::Succeeded));
    let [third] = &found("tenant=acme,step=3").await.expect("it is answered").tasks[..] else {
        panic!("it is one")
    };
    assert_eq!(third.id.to_string(), grandchild.id);
    assert!(found("tenant=other").await.expect("it is answered").tasks.is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_submits_tasks_that_stand_for_themselves() {
    let (node, _dir) = node("").await;
    let client = node.client();
    // What nothing is said of has nothing of the kind.
    let alone: Known =
        client.run(Call::named("family/grandchild", &())).await.expect("it succeeds");
    assert_eq!((&alone.parent, &alone.root), (&None, &alone.id));
    assert!(alone.labels.is_empty() && alone.headers.is_empty() && alone.span.is_none());
    let call = Call::<Value>::named("family/grandchild", &()).label("a", "b");
    let handle = client.submit(call).await.expect("it is taken in");
    // The same id with other labels is another task.
    let other = Call::<Value>::named("family/grandchild", &()).label("a", "c").id(handle.id());
    let error = client.submit(other).await.expect_err("it is not the same");
    assert!(error.to_string().contains("another task"), "{error}");
    // But not because it is traced anew.
    let again = Call::<Value>::named("family/grandchild", &()).label("a", "b").id(handle.id());
    assert_eq!(
        client.submit(again.traceparent(PARENT)).await.expect("it is known").id(),
        handle.id()
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_reaches_the_handler_and_nobody_else() {
    let secret = "hunter2-never-shown";
    let (node, _dir) = node("").await;
    let client = node.client();
    let handle = login::submit(&client, "eve".to_owned(), secret.to_owned()).await.expect("taken");
    let length = timeout(PATIENCE, handle.result()).await.expect("in time").expect("it succeeds");
    assert_eq!(length, "eve".len() + secret.len());
    let view = client.show(handle.id()).await.expect("it is known");
    let args = view.args.clone().expect("a task that is shown has its arguments");
    assert_eq!(args, r#"{"user":"eve","password":"[redacted]"}"#);
    assert!(!format!("{view:?}").contains(secret));

    // Callers that know only its name need not say it: it is declared. They can hide more.
    let args = json!({ "user": "eve", "password": { "value": secret } });
    let unfit = Call::<Value>::named("family/login", &args).redact(["user"]).attempts(1);
    let unfit = client.submit(unfit).await.expect("it is taken in");
    let view = client.wait(unfit.id(), Some(PATIENCE)).await.expect("it ends");
    let Some(Failure { message, .. }) = &view.error else { panic!("it cannot be read: {view:?}") };
    assert!(message.contains("do not fit") && !message.contains(secret), "{message}");
    let view = client.show(unfit.id()).await.expect("it is known");
    let shown: Value = serde_json::from_slice(&view.args.expect("it has some")).expect("JSON");
    assert_eq!(shown, json!({ "user": "[redacted]", "password": "[redacted]" }));

    // One that travels alone has no name, and a wrong value would be told with the error.
    let pin = client.submit(pin::call(4711)).await.expect("it is taken in");
    assert_eq!(timeout(PATIENCE, pin.result()).await.expect("in time").expect("it succeeds"), 4712);
    assert_eq!(client.show(pin.id()).await.expect("known").args.expect("some"), "\"[redacted]\"");
    let text = Call::<Value>::named("family/pin", &secret).attempts(1);
    let text = client.submit(text).await.expect("it is taken in");
    let view = client.wait(text.id(), Some(PATIENCE)).await.expect("it ends");
    assert!(view.error.is_some() && !format!("{view:?}").contains(secret), "{view:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_said_of_a_task_is_refused_by_its_name() {
    let (node, _dir) = node("").await;
    let client = node.client();
    let call = || Call::<Value>::named("family/grandchild", &());
    let many = (0..33).fold(call(), |call, n| call.label(format!("k{n}"), "v"));
    for (call, told) in [
        (many, "labels must be at most 32"),
        (call().label("a", "b c"), "each key and value of `labels`, and so \"b c\","),
        (call().header("X-Id", "1"), "the name \"X-Id\" of one of `headers`"),
        (call().header("a", "é"), "the value of `a` in `headers`"),
        (call().header("a", "x".repeat(5_000)), "headers must be at most 32, of 4096 bytes"),
        (call().header("tracestate", "a=b"), "`headers` and `tracestate`"),
        (call().display_name("a\nb"), "display_name must be"),
        (call().traceparent("00-0-0-0"), "traceparent must be"),
        (call().tracestate("a=b"), "`tracestate` without `traceparent`"),
        (call().redact([""]), "redact must be 1 to 16 names"),
    ] {
        let error = client.submit(call).await.expect_err(told).to_string();
        assert!(error.starts_with(told), "{error}");
    }
    let none = client.list(Filter::default()).await.expect("it is answered");
    assert!(none.tasks.is_empty(), "nothing is half taken in");
    node.stop().await;
}
