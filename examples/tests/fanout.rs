//! The fan-out example, with the service in this process: what it leaves to a task, both ways to post lead
//! to the same rows, and to deliver once more changes nothing. Only one of the tests needs a node.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also outside of test functions")]

#[path = "../fanout/database.rs"]
mod database;
#[path = "../fanout/measure.rs"]
mod measure;
#[path = "../fanout/service.rs"]
mod service;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use database::{Database, DatabaseError, Post};
use measure::Plan;
use serde_json::{Value, json};
use service::Service;
use umbel::TaskId;
use umbel::testing::{Inline, Recorder};

/// More than two chunks, and not a whole number of them.
const FOLLOWERS: u32 = 250;

fn ask(address: SocketAddr, request: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

fn post(address: SocketAddr, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let head = "host: test\r\nconnection: close\r\ncontent-type: application/json";
    let length = body.len();
    ask(
        address,
        &format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
}

fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_leaves_the_rows_to_a_task() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("posts.sqlite")).unwrap();
    let recorder = Recorder::new();
    let service = Service::start(database, recorder.client(), "127.0.0.1:0").unwrap();
    let (address, new) = (service.address(), json!({ "author": 7, "text": "hello" }));

    assert_eq!(post(address, "/posts?queue=no", &new).0, 201);
    recorder.assert_nothing_submitted();
    let (status, answer) = post(address, "/posts", &new);
    assert_eq!(status, 202, "{answer}");
    let task = recorder.assert_submitted_where("fan_out", |post: Post| {
        (post.author, post.text.as_str()) == (7, "hello")
    });
    // The id of the post, too: whoever sends the request again with it posts once.
    assert_eq!(answer["id"], task.id().to_string());
    assert_eq!(task.options().attempts_max(), 10);
    recorder.assert_count("fan_out", 1);
    service.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_reaches_every_follower_by_a_task_or_within_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("posts.sqlite")).unwrap();
    database.follow(7, 1..=FOLLOWERS).unwrap();
    database.follow(8, [1]).unwrap();
    let tasks = Inline::builder().state(database.clone()).build().unwrap();
    let service = Service::start(database.clone(), tasks.client(), "127.0.0.1:0").unwrap();
    let address = service.address();

    let (status, answer) = post(address, "/posts", &json!({ "author": 7, "text": "by a task" }));
    assert_eq!(status, 202, "{answer}");
    let id: TaskId = serde_json::from_value(answer["id"].clone()).unwrap();
    let view = service.client().show(id).await.unwrap();
    assert_eq!(view.result.as_deref(), Some(&b"250"[..]), "{view:?}");

    let waited = json!({ "author": 7, "text": "while you wait" });
    let (status, answer) = post(address, "/posts?queue=no", &waited);
    assert_eq!((status, &answer["rows"]), (201, &json!(FOLLOWERS)), "{answer}");

    for follower in [1, 100, 101, FOLLOWERS] {
        let timeline = get(address, &format!("/timeline/{follower}"));
        assert_eq!(timeline, (200, json!(["while you wait", "by a task"])), "{follower}");
    }
    assert_eq!(get(address, &format!("/timeline/{}", FOLLOWERS + 1)), (200, json!([])));
    assert_eq!(database.lacking(7).unwrap(), (2, 0));
    assert_eq!(post(address, "/posts", &json!({ "author": "me" })).0, 400);
    service.stop().await.unwrap();
}

#[test]
fn what_was_cut_off_is_finished_by_the_next_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("posts.sqlite")).unwrap();
    database.follow(7, 1..=FOLLOWERS).unwrap();
    let id = "018bcfe5-6800-73ff-8000-000000000007".parse().unwrap();
    let post = Post { id, author: 7, text: "hello".to_owned() };
    let left = std::cell::Cell::new(2);
    let twice = || left.replace(left.get() - 1) > 0;
    let cut = database.deliver(&post, twice).unwrap_err();
    assert!(matches!(cut, DatabaseError::Stopped { rows: 200 }), "{cut}");
    assert_eq!(database.lacking(7).unwrap(), (1, 50));
    for _ in 0..2 {
        assert_eq!(database.deliver(&post, || true).unwrap(), 250);
        assert_eq!(database.lacking(7).unwrap(), (1, 0));
        assert_eq!(database.timeline(200).unwrap(), ["hello"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_measures_itself() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("posts.sqlite")).unwrap();
    let node = service::node(database.clone(), &dir.path().join("node")).await.unwrap();
    let service = Service::start(database, node.client(), "127.0.0.1:0").unwrap();
    let plan = Plan { followers: FOLLOWERS, posts: 3 };
    let report = measure::measure(&service, &plan).await.unwrap().to_string();
    assert!(report.starts_with("3 posts to 250 followers each way\n"), "{report}");
    assert!(report.ends_with("every follower has every post"), "{report}");
    service.stop().await.unwrap();
    node.stop().await;
}
