//! Requests against a server of a few lines, which answers each connection once.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use umbel_protocol::task::{Metadata, Outcome, Trace};

use super::*;
use crate::work::definition::Definition;
use crate::work::ledger::Ledger;
use crate::work::run::{RunRequest, Runner};

/// What the server was sent.
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    (listener, url)
}

/// Takes one request and answers it with `answer`, as it stands.
async fn serve(listener: &TcpListener, answer: &[u8]) -> Request {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let body = bytes.split_off(head);
    let mut request = Request { head: String::from_utf8(bytes).unwrap(), body };
    let length: usize = request.header("content-length").unwrap().parse().unwrap();
    while request.body.len() < length {
        assert_ne!(stream.read_buf(&mut request.body).await.unwrap(), 0);
    }
    // A client that has read enough may be gone before the end.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    request
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn spec(url: &str) -> WebhookSpec {
    WebhookSpec { url: url.to_owned(), allow_private: true, ..WebhookSpec::default() }
}

async fn run(spec: WebhookSpec, args: &str, cancel: CancellationToken) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let runner = Runner::new("here", Ledger::open(dir.path()).unwrap());
    run_by(&runner, spec, args, cancel).await
}

async fn run_by(
    runner: &Runner,
    spec: WebhookSpec,
    args: &str,
    cancel: CancellationToken,
) -> Outcome {
    let definition = Arc::new(Definition::webhook("hook", spec).unwrap());
    runner.run(&definition, RunRequest::with_args(args), cancel).await
}

async fn answered(answer: &[u8]) -> Outcome {
    let (listener, url) = listener().await;
    let run = run(spec(&url), "{}", CancellationToken::new());
    tokio::join!(run, serve(&listener, answer)).0
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

#[tokio::test]
async fn what_is_said_of_the_task_goes_along_with_its_own_headers() {
    let (listener, url) = listener().await;
    let headers = BTreeMap::from([("x-team".to_owned(), "fixed".to_owned())]);
    let spec = WebhookSpec { headers, ..spec(&url) };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut said = Metadata { trace: Trace::parse(parent, None).ok(), ..Metadata::default() };
    said.headers.insert("locale", "de").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let runner = Runner::new("here", Ledger::open(dir.path()).unwrap());
    let request = RunRequest { metadata: Some(said.into()), ..RunRequest::with_args("{}") };
    let definition = Arc::new(Definition::webhook("hook", spec).unwrap());
    let run = runner.run(&definition, request, CancellationToken::new());
    let response = answer("200 OK", "1");
    let (_, request) = tokio::join!(run, serve(&listener, &response));
    let of = |name: &str| {
        let names = request.head.lines().filter_map(|line| line.split_once(": "));
        let values = names.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!((of("x-umbel-header-locale"), of("x-team")), (vec!["de"], vec!["fixed"]));
    let [traceparent] = of("traceparent")[..] else { panic!("it is said once") };
    assert!(traceparent.starts_with(&parent[..36]) && traceparent != parent, "{traceparent}");
    assert!(of("x-umbel-parent-id").is_empty() && of("tracestate").is_empty());
}

#[tokio::test]
async fn posts_the_task_signed() {
    let (listener, url) = listener().await;
    let headers = BTreeMap::from([("Authorization".to_owned(), "Bearer x".to_owned())]);
    let spec = WebhookSpec { headers, secret: Some(b"key".to_vec()), ..spec(&url) };
    let args = r#"{"n":123456789012345678901234567890.10}"#;
    let response = answer("200 OK", r#"{"ok":true}"#);
    let run = run(spec, args, CancellationToken::new());
    let (outcome, request) = tokio::join!(run, serve(&listener, &response));
    assert_eq!(outcome, Outcome::Succeeded(Bytes::from_static(br#"{"ok":true}"#)));

    assert!(request.head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", request.head);
    let body = String::from_utf8(request.body.clone()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let id = "018bcfe5-687b-7003-8000-000000000001";
    assert_eq!((&json["id"], &json["task"]), (&json!(id), &json!("hook")));
    assert_eq!((&json["attempt"], &json["token"]), (&json!(2), &json!("1.2.3")));
    assert!(body.ends_with(&format!("\"args\":{args}}}")), "{body}");
    for (header, value) in [
        ("Content-Type", "application/json"),
        ("Authorization", "Bearer x"),
        ("X-Umbel-Task-Id", id),
        ("X-Umbel-Attempt", "2"),
        ("X-Umbel-Token", "1.2.3"),
    ] {
        assert_eq!(request.header(header), Some(value), "{header}");
    }
    let timestamp = request.header("X-Umbel-Timestamp").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
    let expected = signature(&key, timestamp, &request.body);
    assert_eq!(request.header("X-Umbel-Signature"), Some(expected.as_str()));
}

#[test]
fn signs_as_others_do() {
    // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
    assert_eq!(signature(&key, "1700000000", b"{}"), SIGNED);
}

const SIGNED: &str = "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";

#[tokio::test]
async fn an_answer_that_is_no_json_is_wrapped() {
    let outcome = answered(&answer("202 Accepted", "thanks")).await;
    assert_eq!(
        outcome,
        Outcome::Succeeded(json!({"status":202,"body":"thanks"}).to_string().into())
    );
    let outcome = answered(&answer("204 No Content", "")).await;
    assert_eq!(outcome, Outcome::Succeeded(json!({"status":204,"body":""}).to_string().into()));
    let control = "\u{1}".repeat(RESULT_BYTES_MAX);
    assert!(matches!(answered(&answer("200 OK", &control)).await, Outcome::Succeeded(_)));
}

#[tokio::test]
async fn refusals_are_tried_again_or_not() {
    for (status, kind) in [
        ("408 Request Timeout", FailureKind::Error),
        ("425 Too Early", FailureKind::Error),
        ("429 Too Many Requests", FailureKind::Error),
        ("500 Internal Server Error", FailureKind::Error),
        ("503 Service Unavailable", FailureKind::Error),
        ("301 Moved Permanently", FailureKind::Permanent),
        ("400 Bad Request", FailureKind::Permanent),
        ("404 Not Found", FailureKind::Permanent),
    ] {
        let expected = format!("the server answered {status}: because");
        let outcome = answered(&answer(status, "because\n")).await;
        let number: u16 = status[..3].parse().unwrap();
        assert_eq!(detail(&outcome), json!({ "status": number, "body": "because\n" }));
        assert_eq!(failure(outcome), (kind, expected));
    }
}

#[tokio::test]
async fn of_a_long_refusal_what_fits_is_kept() {
    let mut endless = b"HTTP/1.1 500 Oh\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    endless.resize(endless.len() + DETAIL_BYTES_MAX + 1, 1);
    let outcome = answered(&endless).await;
    let body = detail(&outcome)["body"].as_str().unwrap().len();
    let (_, message) = failure(outcome);
    assert!(message.len() < 2 * QUOTED_BYTES_MAX && body > DETAIL_BYTES_MAX / 12, "{body}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (listener, url) = listener().await;
    let head =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n");
    let run = run(spec(&url), "{}", CancellationToken::new());
    let (outcome, _) = tokio::join!(run, serve(&listener, head.as_bytes()));
    assert_eq!(failure(outcome).0, FailureKind::Permanent);
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_not_read_to_its_end() {
    // It claims to be endless; the client must not wait for the rest.
    let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    endless.resize(endless.len() + RESULT_BYTES_MAX + 1, b'1');
    assert_eq!(failure(answered(&endless).await).0, FailureKind::TooLarge);
}

#[tokio::test]
async fn no_answer_is_tried_again() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    assert_eq!(failure(answered(cut).await).0, FailureKind::Error);
    assert_eq!(failure(answered(b"").await).0, FailureKind::Error);
    let (listener, url) = listener().await;
    drop(listener);
    let url = url.replace("http://", "http://user:password@");
    let (kind, message) = failure(run(spec(&url), "{}", CancellationToken::new()).await);
    assert_eq!(kind, FailureKind::Error);
    assert!(!message.contains("password"), "{message}");
}

#[tokio::test]
async fn a_cancelled_request_is_given_up() {
    let (listener, url) = listener().await;
    let cancel = CancellationToken::new();
    let silent = async {
        let (stream, _) = listener.accept().await.unwrap();
        cancel.cancel();
        stream
    };
    let (outcome, _stream) = tokio::join!(run(spec(&url), "{}", cancel.clone()), silent);
    assert_eq!(outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn what_is_no_address_of_the_internet_is_not_connected_to() {
    let (listener, url) = listener().await;
    let port = listener.local_addr().unwrap().port();
    for (host, told) in [
        ("127.0.0.1", "127.0.0.1 is a loopback address"),
        ("0x7f000001", "127.0.0.1 is a loopback address"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1 is a loopback address"),
        ("0.0.0.0", "0.0.0.0 is an unspecified address"),
        ("169.254.169.254", "169.254.169.254 is a link-local address"),
        // This one has to be looked up.
        ("localhost", ", a loopback address"),
    ] {
        let url = format!("http://{host}:{port}/hook");
        let spec = WebhookSpec { allow_private: false, ..spec(&url) };
        let (kind, message) = failure(run(spec, "{}", CancellationToken::new()).await);
        let next = "; to have it reached set `allow_private = true` in [tasks.hook], or in its `WebhookSpec`";
        assert!(message.contains(&format!("{told}{next}")), "{host}: {message}");
        assert_eq!(kind, FailureKind::Permanent, "{host}");
    }
    // Had anybody connected, that would be answered first.
    let run = run(spec(&url), "{}", CancellationToken::new());
    let good = answer("200 OK", "1");
    let (outcome, request) = tokio::join!(run, serve(&listener, &good));
    assert_eq!(outcome, Outcome::Succeeded("1".into()));
    assert!(request.head.contains("host: 127.0.0.1"), "{}", request.head);
}

#[tokio::test]
async fn a_connection_that_one_task_may_have_is_not_lent_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let runner = Runner::new("here", Ledger::open(dir.path()).unwrap());
    let (listener, url) = listener().await;
    let url = url.replace("127.0.0.1", "localhost");
    let cancel = CancellationToken::new();
    // It would go on to serve on the same connection.
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\"args\":{}}") {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1").await.unwrap();
        stream
    };
    let run = run_by(&runner, spec(&url), "{}", cancel.clone());
    let (outcome, _stream) = tokio::join!(run, serving);
    assert_eq!(outcome, Outcome::Succeeded("1".into()));
    let closed = WebhookSpec { allow_private: false, ..spec(&url) };
    let (kind, message) = failure(run_by(&runner, closed, "{}", cancel).await);
    assert_eq!(kind, FailureKind::Permanent, "{message}");
}

#[tokio::test]
async fn arguments_must_be_json() {
    let (_listener, url) = listener().await;
    let outcome = run(spec(&url), "{", CancellationToken::new()).await;
    assert_eq!(failure(outcome).0, FailureKind::BadArguments);
}

#[test]
fn refuses_what_no_request_can_carry() {
    for url in ["", "hook", "ftp://host/", "http://", "unix:/run/x"] {
        let error = Definition::webhook("hook", spec(url)).unwrap_err();
        assert!(matches!(error, RegisterError::Url { .. }), "{url}");
    }
    let headers = BTreeMap::from([("X-A".to_owned(), "a\nb".to_owned())]);
    let error =
        Definition::webhook("hook", WebhookSpec { headers, ..spec("https://h/") }).unwrap_err();
    assert_eq!(error.to_string(), "header \"X-A\" of webhook \"hook\" is not a legal HTTP header");
    for header in ["Traceparent", "X-Umbel-Token", "x-umbel-anything", "Content-Length", "Host"] {
        let headers = BTreeMap::from([(header.to_owned(), "a".to_owned())]);
        let spec = WebhookSpec { headers, ..spec("https://h/") };
        let error = Definition::webhook("hook", spec).unwrap_err();
        let told = format!("header {header:?} of webhook \"hook\" is set by umbel: leave it out");
        assert_eq!(error.to_string(), told);
    }
    let spec = WebhookSpec { secret: Some(Vec::new()), ..spec("https://h/") };
    let error = Definition::webhook("hook", spec).unwrap_err();
    assert!(matches!(&error, RegisterError::EmptySecret { name } if name == "hook"), "{error}");
}

#[test]
fn an_address_is_shown_without_its_password() {
    for (url, expected) in [
        ("https://eve:hunter2@h/a?b=c@d", "https://h/a?b=c@d"),
        ("https://hunter2@h/", "https://h/"),
        ("https://h/a?b=c@d", "https://h/a?b=c@d"),
        ("ftp://eve:hunter2@h/", "ftp://h/"),
        ("https://eve:hunter2/@h", "https://h"),
        ("eve:hunter2@h", "h"),
        ("https://h:port/", "https://h:port/"),
    ] {
        let debug = format!("{:?}", spec(url));
        assert!(debug.contains(&format!("{expected:?}")), "{debug}");
        if let Err(error) = Definition::webhook("hook", spec(url)) {
            let told =
                format!("{expected:?} of webhook \"hook\" is not an http:// or https:// address");
            assert_eq!(error.to_string(), told);
        }
    }
}

/// How long the task waits that was answered so.
async fn pause(status: &str, retry_after: &str) -> Option<Duration> {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: {retry_after}\r\n\r\n"
    );
    match answered(answer.as_bytes()).await {
        Outcome::Deferred { failure, pause } => {
            assert!(failure.message.starts_with("the server answered "), "{failure:?}");
            Some(Duration::from_micros(pause.as_micros()))
        }
        Outcome::Failed(_) => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_may_say_when_to_come_back() {
    let wait = Duration::from_secs(120);
    assert_eq!(pause("429 Too Many Requests", "120").await, Some(wait));
    let at = httpdate::fmt_http_date(SystemTime::now() + wait);
    let told = pause("503 Service Unavailable", &at).await.unwrap();
    assert!(told <= wait && told > wait - Duration::from_secs(60), "{told:?}");
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(pause("503 Service Unavailable", past).await, Some(Duration::ZERO));
    // What makes no sense is as if it had not been said, and where no other attempt helps it is moot.
    assert_eq!(pause("503 Service Unavailable", "soon").await, None);
    assert_eq!(pause("404 Not Found", "120").await, None);
}
