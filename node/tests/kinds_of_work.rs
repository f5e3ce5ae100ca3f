//! What `cluster.toml` declares, run by a whole node: webhooks, retries, time limits, delays, and
//! tasks that are stopped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;
use umbel::config::Config;
use umbel::{Call, Client, Node, TaskFailed};
use umbel_protocol::id::TaskId;
use umbel_protocol::limits::RESULT_BYTES_MAX;
use umbel_protocol::task::{FailureKind, Options, RunEnd, State, View};
use umbel_protocol::time::Span;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Alone {
    node: Node,
    client: Client,
    _dir: TempDir,
}

impl Alone {
    async fn start(tasks: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = Config::parse("cluster.toml", tasks).expect("it is valid");
        let node = Node::builder().config(config).name("a").data(dir.path().join("a"));
        let node = node.stop_patience(Duration::from_millis(500));
        let node = node.register("grow", |bytes: usize| async move {
            Ok::<_, std::io::Error>("x".repeat(bytes))
        });
        let node = node.listen(([127, 0, 0, 1], 0).into()).start().await.expect("it starts");
        timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
        let client = node.client();
        Self { node, client, _dir: dir }
    }

    /// Submits and waits for the end.
    async fn end_of(&self, name: &str, args: serde_json::Value, options: Options) -> View {
        let task = self.client.submit_named(name, &args, options).await.expect("it is taken");
        self.wait(task.id()).await
    }

    async fn wait(&self, task: TaskId) -> View {
        self.client.wait(task, Some(PATIENCE)).await.expect("it ends")
    }

    /// Waits until the task is in `state`.
    async fn until(&self, task: TaskId, state: State) {
        let reached = timeout(PATIENCE, async {
            while self.client.show(task).await.expect("it is known").state != state {
                tokio::task::yield_now().await;
            }
        });
        reached.await.expect("in time");
    }
}

/// Pauses between the end of each run and the start of the next.
fn pauses(view: &View) -> Vec<Span> {
    let ends = view.runs.iter().filter_map(|run| run.finished_at);
    let starts = view.runs.iter().skip(1).map(|run| run.started_at);
    starts.zip(ends).map(|(start, end)| start.since(end)).collect()
}

/// A server that answers with each of `answers` once; what it was sent.
fn server(answers: Vec<&'static str>) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
    let (told, sent) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().expect("somebody calls");
            told.send(answer_one(stream, answer)).expect("the test listens");
        }
    });
    (url, sent)
}

fn answer_one(mut stream: TcpStream, answer: &str) -> (String, String) {
    let mut reader = BufReader::new(stream.try_clone().expect("another handle"));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    stream.write_all(answer.as_bytes()).expect("it is taken");
    (head, String::from_utf8(body).expect("text"))
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
const BUSY: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 4\r\n\
                    connection: close\r\n\r\nbusy";
const BAD: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_posted_again_until_it_is_taken() {
    let (url, sent) = server(vec![BAD, GOOD]);
    let tasks = format!(
        "[tasks.notify]\nwebhook = {url:?}\nallow_private = true\n\
         backoff_first = \"100ms\"\nheaders = {{ x-team = \"billing\" }}\n"
    );
    let alone = Alone::start(&tasks).await;
    let args = json!({ "invoice": 7 });
    let view = alone.end_of("notify", args.clone(), Options::default()).await;
    assert_eq!((view.state, view.attempts), (State::Succeeded, 2), "{view:?}");
    assert_eq!(view.runs[0].end, Some(RunEnd::Failed(FailureKind::Error)));
    assert_eq!(view.runs[1].end, Some(RunEnd::Succeeded));
    assert_eq!(view.error, None, "it did not fail in the end");
    for attempt in 1..=2 {
        let (head, body) = sent.recv_timeout(PATIENCE).expect("it was called twice");
        assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
        assert!(head.contains("x-team: billing"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&body["args"], &body["attempt"]), (&args, &attempt.into()), "{body}");
        assert_eq!((&body["task"], &body["id"]), (&"notify".into(), &view.id.to_string().into()));
    }
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    let (url, sent) = server(vec![BUSY, GOOD]);
    // By its own policy it would be tried again in a day.
    let tasks = format!(
        "[tasks.notify]\nwebhook = {url:?}\nallow_private = true\n\
         backoff_first = \"1d\"\nbackoff_max = \"1d\"\n"
    );
    let alone = Alone::start(&tasks).await;
    let view = alone.end_of("notify", json!(null), Options::default()).await;
    assert_eq!((view.state, view.attempts), (State::Succeeded, 2), "{view:?}");
    let ends: Vec<_> = view.runs.iter().filter_map(|run| run.end).collect();
    assert_eq!(ends, [RunEnd::Failed(FailureKind::Error), RunEnd::Succeeded]);
    let why = view.runs[0].error.as_deref().expect("it says why");
    assert!(why.contains("429") && why.contains("busy"), "{why}");
    let pauses = pauses(&view);
    assert!(pauses[0] >= Span::from_millis(1_000), "not before: {pauses:?}");
    for attempt in 1..=2 {
        let (head, body) = sent.recv_timeout(PATIENCE).expect("it was called twice");
        assert!(
            head.to_ascii_lowercase().contains(&format!("x-umbel-attempt: {attempt}")),
            "{head}"
        );
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["attempt"], attempt, "{body}");
    }
    assert!(sent.recv().is_err(), "and not a third time: the server is gone");
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_command_failed_is_told_while_it_waits_for_its_next_attempt() {
    let tasks = "[tasks.fail]\ncommand = [\"sh\", \"-c\", \"echo boom >&2; exit 7\"]\n\
                 attempts = 100\nbackoff_first = \"1h\"\nbackoff_max = \"1h\"\n";
    let alone = Alone::start(tasks).await;
    let task = alone.client.submit_named("fail", &json!(null), Options::default()).await.unwrap();
    alone.until(task.id(), State::Scheduled).await;
    let view = alone.client.show(task.id()).await.expect("it is known");
    let failure = view.error.as_ref().expect("it says why");
    assert!(failure.message.contains("boom"), "{failure:?}");
    let left: serde_json::Value =
        serde_json::from_slice(failure.detail().expect("it left something")).expect("JSON");
    assert_eq!(left, json!({ "exit_code": 7, "stdout": "", "stderr": "boom\n" }));
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_tried_again_after_growing_pauses() {
    let tasks = "[tasks.fail]\ncommand = [\"false\"]\nattempts = 4\nbackoff_first = \"100ms\"\n\
                 backoff_max = \"200ms\"\n";
    let alone = Alone::start(tasks).await;
    let view = alone.end_of("fail", json!(null), Options::default()).await;
    assert_eq!((view.state, view.attempts), (State::Dead, 4), "{view:?}");
    let failure = view.error.as_ref().expect("it says why");
    assert_eq!(failure.kind, FailureKind::Error);
    let left: serde_json::Value =
        serde_json::from_slice(failure.detail().expect("it left something")).expect("JSON");
    assert_eq!(left, json!({ "exit_code": 1, "stdout": "", "stderr": "" }));
    // At least half of each pause: the other half is drawn.
    let least: Vec<u64> = vec![50, 100, 100];
    let pauses = pauses(&view);
    assert_eq!(pauses.len(), 3);
    for (pause, least) in pauses.iter().zip(least) {
        assert!(*pause >= Span::from_millis(least), "{pauses:?}");
    }
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_stopped_and_told() {
    let tasks =
        "[tasks.nap]\ncommand = [\"sleep\", \"600\"]\nattempts = 1\ntime_limit = \"200ms\"\n";
    let alone = Alone::start(tasks).await;
    let view = alone.end_of("nap", json!(null), Options::default()).await;
    assert_eq!(view.state, State::Dead);
    assert_eq!(view.error.as_ref().expect("it says why").kind, FailureKind::TimedOut);
    let [run] = &view.runs[..] else { panic!("{view:?}") };
    let took = run.finished_at.expect("it has ended").since(run.started_at);
    assert!(took >= Span::from_millis(200) && took < Span::from_millis(60_000), "{took:?}");
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_task_starts_when_it_is_time_and_not_before() {
    let alone = Alone::start("[tasks.go]\ncommand = [\"true\"]\n").await;
    let delay = Span::from_millis(700);
    let options = Options { delay, ..Options::default() };
    let task = alone.client.submit_named("go", &json!(null), options).await.expect("it is taken");
    let view = alone.wait(task.id()).await;
    assert_eq!(view.state, State::Succeeded);
    assert!(view.runs[0].started_at.since(view.submitted_at) >= delay, "{view:?}");
    let delay = Span::from_millis(3_600_000);
    let options = Options { delay, ..Options::default() };
    let task = alone.client.submit_named("go", &json!(null), options).await.expect("it is taken");
    let view = alone.client.show(task.id()).await.expect("it is known");
    assert_eq!((view.state, view.runs.len()), (State::Scheduled, 0), "{view:?}");
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_is_stopped_or_never_starts() {
    let alone = Alone::start("[tasks.nap]\ncommand = [\"sleep\", \"600\"]\n").await;
    let submit = |options| alone.client.submit_named("nap", &json!(null), options);
    let running = submit(Options::default()).await.expect("it is taken");
    alone.until(running.id(), State::Leased).await;
    running.cancel().await.expect("the wish is kept");
    let view = alone.wait(running.id()).await;
    assert_eq!(view.state, State::Cancelled);
    assert_eq!(view.runs[0].end, Some(RunEnd::Cancelled), "{view:?}");

    let delay = Span::from_millis(600_000);
    let waiting = submit(Options { delay, ..Options::default() }).await.expect("it is taken");
    let view = waiting.cancel().await.expect("the wish is kept");
    assert_eq!((view.state, view.runs.len()), (State::Cancelled, 0), "{view:?}");
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_is_a_failure_that_names_the_limit() {
    let body = RESULT_BYTES_MAX + 1;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {body}\r\nconnection: close\r\n\r\n{}",
        "1".repeat(body)
    );
    let (url, _sent) = server(vec![answer.leak()]);
    let tasks = format!(
        "[tasks.fetch]\nwebhook = {url:?}\nallow_private = true\n\
         [tasks.print]\nshell = true\ncommand = 'head -c 3000000 /dev/zero'\n"
    );
    let alone = Alone::start(&tasks).await;
    let once = || Options { attempts_max: Some(1), ..Options::default() };
    // The quotes around it count.
    let fits = alone.end_of("grow", json!(RESULT_BYTES_MAX - 2), once()).await;
    assert_eq!(fits.state, State::Succeeded, "{:?}", fits.error);
    for (name, args) in [("grow", json!(RESULT_BYTES_MAX - 1)), ("fetch", json!(null))] {
        let view = alone.end_of(name, args, once()).await;
        let failure = view.error.expect("it has failed");
        assert_eq!((view.state, failure.kind), (State::Dead, FailureKind::TooLarge), "{failure:?}");
        assert!(failure.message.contains(&RESULT_BYTES_MAX.to_string()), "{failure:?}");
    }
    // What a command prints never is: it is cut, and says so.
    let view = alone.end_of("print", json!(null), once()).await;
    let result = String::from_utf8_lossy(view.result.as_ref().expect("it has one")).into_owned();
    assert!(result.len() < RESULT_BYTES_MAX && result.contains("bytes cut]"));
    alone.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_another_type_fails_whoever_expects_it_and_not_the_task() {
    let (url, _sent) = server(vec![GOOD, GOOD]);
    // Neither prints JSON; what a command has printed becomes a part of some.
    let tasks = format!(
        "[tasks.fetch]\nwebhook = {url:?}\nallow_private = true\n\
         [tasks.print]\nshell = true\ncommand = 'printf \"{{\\377\"'\n"
    );
    let alone = Alone::start(&tasks).await;
    for (name, args) in [("grow", json!(3)), ("print", json!(null)), ("fetch", json!(null))] {
        let call = || Call::<u64>::named(name, &args).attempts(1);
        let handle = alone.client.submit(call()).await.expect("it is taken");
        let later = timeout(PATIENCE, handle.result()).await.expect("in time");
        let at_once = timeout(PATIENCE, alone.client.run(call())).await.expect("in time");
        for error in [later.expect_err("no number"), at_once.expect_err("no number")] {
            let TaskFailed::Result { source, .. } = &error else { panic!("{name}: {error:?}") };
            assert!(source.is_data(), "{name}: {source}");
            assert!(
                error.to_string().ends_with("returned something else than expected"),
                "{error}"
            );
        }
        // It has succeeded, once, and what it returned is there for those who expect anything.
        let view = alone.wait(handle.id()).await;
        assert_eq!((view.state, view.attempts), (State::Succeeded, 1), "{name}: {view:?}");
        let anything: serde_json::Value =
            serde_json::from_slice(view.result.as_ref().expect("it has one")).expect("JSON");
        assert!(!anything.is_number(), "{name}: {anything}");
    }
    alone.node.stop().await;
}
