//! The example of a webhook: its receiver takes what a node signs, and nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;
use serde_json::{Value, json};

use crate::program::Program;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const FILE: &str = "examples/webhook/cluster.toml";
const RECEIVER: &str = "examples/webhook/receiver.py";
const TEXT: &str = include_str!("../../../examples/webhook/cluster.toml");
/// Where the file has the receiver.
const PLACE: &str = "127.0.0.1:8089";
const SECRET: &str = "what both sides know";

/// A process of the example, which goes when the test does.
struct Process {
    child: Child,
    /// What it prints first.
    first: String,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let command = command.env("HOOK_SECRET", SECRET).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it is installed");
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        Self { child, first }
    }

    /// The receiver, which needs nothing but Python 3.
    fn receiver(args: &[&str]) -> Self {
        let mut command = Command::new("python3");
        Self::start(command.arg(RECEIVER).args(["--port", "0"]).args(args).current_dir(ROOT))
    }

    /// Where it listens.
    fn place(&self) -> &str {
        self.first
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{}", self.first))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signature(secret: &str, timestamp: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
    signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is answered: its status, its head, and its body.
fn post(place: &str, headers: &[(&str, String)], body: &str) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(place).unwrap();
    let mut request = format!(
        "POST /tasks HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap())
}

/// The same, signed by `secret` at `timestamp`.
fn post_signed(place: &str, secret: &str, timestamp: u64, body: &str) -> (u16, String, Value) {
    let signature = signature(secret, timestamp, body);
    let signed = [("X-Umbel-Timestamp", timestamp.to_string()), ("X-Umbel-Signature", signature)];
    post(place, &signed, body)
}

/// A task as it is posted.
fn task(id: &str, token: &str, number: u32) -> String {
    json!({ "id": id, "task": "invoice", "attempt": 1, "token": token, "args": { "number": number } })
        .to_string()
}

#[test]
fn the_receiver_takes_what_a_node_signs() {
    let receiver = Process::receiver(&[]);
    let program = Program::new();
    let file = program.path(FILE);
    fs::create_dir_all(std::path::Path::new(&file).parent().unwrap()).unwrap();
    assert_eq!(TEXT.matches(&format!("http://{PLACE}/")).count(), 1);
    fs::write(&file, TEXT.replace(PLACE, receiver.place())).unwrap();
    let ran = program.run(&["config", "check", FILE]);
    assert!(ran.ok && ran.err.is_empty(), "nothing to complain about: {ran:?}");
    let log = fs::File::create(program.path("log")).unwrap();
    let words = ["node", "-c", FILE, "--name", "a", "--listen", "127.0.0.1:0", "--tethered"];
    let node = Process::start(program.command(&words).stderr(log));
    assert!(node.first.starts_with("node a is ready on "), "{}", node.first);

    let ran = program.run(&["submit", "invoice", r#"{"number": 7}"#, "--wait", "--json"]);
    let [line] = &ran.json()[..] else { panic!("{ran:?}") };
    assert_eq!((&line["state"], &line["result"]), (&json!("succeeded"), &json!({ "sent": 7 })));
    // Without a number nothing can be sent: the receiver says that it failed, and it is tried again.
    let ran = program.run(&["submit", "invoice", "{}", "--attempts", "1", "--wait", "--json"]);
    let [line] = &ran.json()[..] else { panic!("{ran:?}") };
    assert_eq!((&line["state"], &line["error_kind"]), (&json!("dead"), &json!("error")), "{line}");
}

#[test]
fn programs_are_not_told_the_secrets_of_webhooks() {
    let program = Program::new();
    let file = program.path("cluster.toml");
    let tasks = "[tasks.env]\ncommand = [\"env\"]\n";
    fs::write(&file, tasks).unwrap();
    let words =
        ["node", "-c", "cluster.toml", "--name", "a", "--listen", "127.0.0.1:0", "--tethered"];
    let log = fs::File::create(program.path("log")).unwrap();
    let node = Process::start(program.command(&words).stderr(log));
    assert!(node.first.starts_with("node a is ready on "), "{}", node.first);
    let is_told = || {
        let ran = program.run(&["submit", "env", "--wait", "--json"]);
        let [line] = &ran.json()[..] else { panic!("{ran:?}") };
        line["result"]["stdout"].as_str().unwrap().contains(SECRET)
    };
    assert!(is_told(), "nobody says that it is a secret");
    let hook = "[tasks.hook]\nwebhook = \"https://example.com/\"\nsecret_env = \"HOOK_SECRET\"\n";
    fs::write(&file, format!("{tasks}{hook}")).unwrap();
    let ran = program.run(&["config", "reload"]);
    assert!(ran.ok, "{ran:?}");
    assert!(!is_told());
    drop(node);
    let log = fs::File::create(program.path("log")).unwrap();
    let node = Process::start(program.command(&words).stderr(log));
    assert!(node.first.starts_with("node a is ready on "), "{}", node.first);
    assert!(!is_told(), "nor when the node starts with it");
}

#[test]
fn the_receiver_refuses_what_is_forged_old_or_late() {
    let receiver = Process::receiver(&[]);
    let place = receiver.place();
    let body = task("a", "2.10.0", 1);
    let refused = |(status, _, said): (u16, String, Value), expected, why: &str| {
        assert_eq!(status, expected, "{said}");
        assert!(said["error"].as_str().unwrap().contains(why), "{said}");
    };
    // Nothing of it is remembered: the token of a forged one would keep the right one out.
    let forged = task("a", "9.0.0", 1);
    refused(post_signed(place, "another secret", now(), &forged), 401, "signature");
    refused(post(place, &[], &forged), 401, "signature");
    let signed = ("X-Umbel-Signature", signature(SECRET, now(), &body));
    let later = ("X-Umbel-Timestamp", (now() + 60).to_string());
    refused(post(place, &[signed, later], &body), 401, "signature");
    refused(post_signed(place, SECRET, now() - 600, &body), 401, "timestamp");
    refused(post_signed(place, SECRET, now() + 600, &body), 401, "timestamp");

    let (status, _, answer) = post_signed(place, SECRET, now(), &body);
    assert_eq!((status, &answer), (200, &json!({ "sent": 1 })));
    // Tokens are compared as numbers: 9 is before 10.
    refused(post_signed(place, SECRET, now(), &task("a", "2.9.5", 1)), 409, "later run");
    // What was done is answered again, not done again: it would be another number.
    for token in ["2.10.0", "2.10.1", "3.0.0"] {
        let (status, _, answer) = post_signed(place, SECRET, now(), &task("a", token, 99));
        assert_eq!((status, &answer), (200, &json!({ "sent": 1 })), "{token}");
    }
    refused(post_signed(place, SECRET, now(), &body), 409, "later run");
    refused(post_signed(place, SECRET, now(), "{}"), 400, "not a task");
    refused(post_signed(place, SECRET, now(), "[]"), 400, "not a task");
}

#[test]
fn a_busy_receiver_says_when_to_come_back() {
    let receiver = Process::receiver(&["--most", "1", "--within", "3600"]);
    let place = receiver.place();
    assert_eq!(post_signed(place, SECRET, now(), &task("a", "1.1.0", 1)).0, 200);
    let (status, head, _) = post_signed(place, SECRET, now(), &task("b", "1.2.0", 2));
    assert_eq!(status, 429);
    let wait = head.split("retry-after: ").nth(1).unwrap().lines().next().unwrap();
    let wait: u32 = wait.parse().unwrap();
    assert!((1..=3600).contains(&wait), "{head}");
    // What it has done costs it nothing.
    assert_eq!(post_signed(place, SECRET, now(), &task("a", "1.3.0", 1)).0, 200);
}
