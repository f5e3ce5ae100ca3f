//! Running a task by posting it to a URL.
//!
//! The request carries `{"id", "task", "attempt", "token", "args"}`. With a secret it is signed:
//! `X-Umbel-Signature` is the hexadecimal HMAC-SHA256 of `X-Umbel-Timestamp`, a dot and the body.
//! A receiver that checks both, and refuses old timestamps and tokens lower than it has seen for an
//! id, acts on each task once.
//!
//! What is said of the task besides goes along. The body has `"labels"`, `"headers"`, `"display_name"`,
//! `"parent_id"` and `"root_id"`, each if there is such a thing; all of them are signed. For what stands
//! between, headers say it as well: `X-Umbel-Parent-Id`, `X-Umbel-Root-Id`, and `X-Umbel-Header-NAME` for
//! each header of the task. A task that is part of a trace is posted with `traceparent` and `tracestate`;
//! each attempt is a span of its own.
//!
//! Only addresses of the internet are posted to, unless the task says otherwise: see [`reach`].

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use ring::hmac;
use serde::de::IgnoredAny;
use serde_json::json;
use umbel_protocol::limits::{CAPTURE_BYTES_MAX, DETAIL_BYTES_MAX, RESULT_BYTES_MAX};
use umbel_protocol::task::{Failure, FailureKind, Outcome};

use self::reach::{Closed, OpenOnly};
use super::context::Context;
use super::definition::{Body, span};
use super::error::chain;
use super::excerpt::{Excerpt, fit};
use super::handler::Work;
use super::registry::RegisterError;

pub(crate) mod reach;

/// How long a server may take to accept a connection: well below any sensible time limit, so that
/// an unreachable one is told apart from a slow one.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How much of an answer that is an error its message quotes; its detail has more.
const QUOTED_BYTES_MAX: usize = 1024;

/// A task that is an HTTP request.
///
/// ```
/// use umbel::work::{RegisterError, WebhookSpec};
/// use umbel::{Definition, Node};
///
/// let spec = WebhookSpec {
///     url: "http://crm.internal:8080/tasks".to_owned(),
///     secret: Some(b"what both sides know".to_vec()),
///     allow_private: true,
///     ..WebhookSpec::default()
/// };
/// let node = Node::builder().define(Definition::webhook("notify-crm", spec)?);
/// # Ok::<_, RegisterError>(())
/// ```
#[derive(Clone, Default)]
pub struct WebhookSpec {
    /// Where it is posted: `http://` or `https://`.
    pub url: String,
    /// Headers to send along, but for those that umbel sets.
    pub headers: BTreeMap<String, String>,
    /// What the request is signed with, at least one byte; nothing means not at all.
    pub secret: Option<Vec<u8>>,
    /// Whether it may be posted to addresses that are none of the internet: those of the host itself and
    /// of private networks. Otherwise a run whose URL has, or whose name means, only such addresses
    /// fails, and the proxies that the environment of the node names are not used: they would look names
    /// up themselves.
    pub allow_private: bool,
}

impl WebhookSpec {
    /// The time limit of webhooks that set none.
    pub const TIME_LIMIT_DEFAULT: Duration = Duration::from_secs(30);
}

impl std::fmt::Debug for WebhookSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the secret nor the values of headers, which often are one.
        f.debug_struct("WebhookSpec").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}

/// A [`WebhookSpec`] that was found usable.
pub(super) struct Webhook {
    url: Url,
    headers: HeaderMap,
    key: Option<hmac::Key>,
    allow_private: bool,
}

/// The clients that all webhooks of a node share, each made when it is first needed. They share no
/// connections: one to an address that is closed to others must not be used for them.
#[derive(Debug, Default)]
pub(super) struct Clients {
    guarded: OnceLock<Client>,
    unguarded: OnceLock<Client>,
}

impl Webhook {
    pub(super) fn new(name: &str, spec: WebhookSpec) -> Result<Self, RegisterError> {
        let url = Url::parse(&spec.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            return Err(RegisterError::Url { name: name.to_owned(), url: shown(&spec.url) });
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (header, value) in spec.headers {
            let pair = (HeaderName::try_from(&header).ok(), HeaderValue::try_from(value).ok());
            let (Some(key), Some(value)) = pair else {
                return Err(RegisterError::Header { name: name.to_owned(), header });
            };
            if is_ours(key.as_str()) {
                return Err(RegisterError::OurHeader { name: name.to_owned(), header });
            }
            headers.insert(key, value);
        }
        if spec.secret.as_ref().is_some_and(Vec::is_empty) {
            return Err(RegisterError::EmptySecret { name: name.to_owned() });
        }
        let key = spec.secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, &secret));
        Ok(Self { url, headers, key, allow_private: spec.allow_private })
    }

    /// Posts the task; a cancelled one is given up at once, as nobody could be told.
    pub(super) fn post(&self, clients: &Arc<Clients>, context: Context, args: Bytes) -> Work {
        let clients = Arc::clone(clients);
        Box::pin(async move {
            let definition = Arc::clone(&context.definition);
            let Body::Webhook(webhook) = &definition.body else {
                unreachable!("only webhooks are posted")
            };
            tokio::select! {
                biased;
                () = context.cancelled() => {
                    let failure = Failure::new(FailureKind::Error, "the request was given up");
                    Outcome::Failed(failure)
                }
                ended = webhook.exchange(&clients, &context, &args) => ended.unwrap_or_else(|why| why),
            }
        })
    }

    /// The headers of its own, and what is said of the task: that wins.
    fn headers_of(&self, context: &Context) -> HeaderMap {
        let mut headers = self.headers.clone();
        if context.metadata().is_none() {
            return headers;
        }
        let mut add = |name: &str, value: &str| {
            // They were checked when the task was submitted.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.parse()) {
                headers.insert(name, value);
            }
        };
        if let Some(parent) = context.parent() {
            add("x-umbel-parent-id", &parent.to_string());
            add("x-umbel-root-id", &context.root().to_string());
        }
        if let Some(trace) = context.trace() {
            add("traceparent", &trace.traceparent());
            if let Some(state) = trace.tracestate() {
                add("tracestate", state);
            }
        }
        for (name, value) in context.headers() {
            add(&format!("x-umbel-header-{name}"), value);
        }
        headers
    }

    async fn exchange(
        &self,
        clients: &Clients,
        context: &Context,
        args: &[u8],
    ) -> Result<Outcome, Outcome> {
        let body = body(context, args).map_err(Outcome::Failed)?;
        if let Some(closed) = reach::written(&self.url).filter(|_| !self.allow_private) {
            return Err(refused(context, &closed));
        }
        let now = context.host.clock.system_time();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = now.as_secs().to_string();
        let mut request = clients
            .client(self.allow_private)
            .map_err(Outcome::Failed)?
            .post(self.url.clone())
            .headers(self.headers_of(context))
            .header("X-Umbel-Task-Id", context.id.to_string())
            .header("X-Umbel-Attempt", context.attempt)
            .header("X-Umbel-Token", context.token.to_string());
        if let Some(key) = &self.key {
            request = request.header("X-Umbel-Signature", signature(key, &timestamp, &body));
        }
        let request = request.header("X-Umbel-Timestamp", timestamp).body(body);
        let mut response = request.send().await.map_err(|error| match closed_in(&error) {
            Some(closed) => refused(context, closed),
            None => unanswered(error),
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(&mut response, context.host.clock.system_time()).await);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            if body.len() + chunk.len() > RESULT_BYTES_MAX {
                return Err(Outcome::Failed(Failure::new(
                    FailureKind::TooLarge,
                    format!("the answer takes more than the {RESULT_BYTES_MAX} bytes of a result"),
                )));
            }
            body.extend_from_slice(&chunk);
        }
        let body = body.freeze();
        if serde_json::from_slice::<IgnoredAny>(&body).is_ok() {
            return Ok(Outcome::of_result(body));
        }
        let mut text = Excerpt::new(CAPTURE_BYTES_MAX);
        text.push(&body);
        let told = |limit| told(status, &text.text(limit));
        Ok(Outcome::of_result(fit(RESULT_BYTES_MAX, CAPTURE_BYTES_MAX, told)))
    }
}

/// Whether the header `name`, in lower case, is set by umbel, so that no webhook can have it for its own.
pub(crate) fn is_ours(name: &str) -> bool {
    HEADERS_OF_OURS.contains(&name) || name.starts_with(HEADER_PREFIX_OF_OURS)
}

const HEADERS_OF_OURS: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "tracestate",
    "transfer-encoding",
];
const HEADER_PREFIX_OF_OURS: &str = "x-umbel-";

/// `url` as it may be shown: without the user and the password that may stand in it, be it an address or not.
fn shown(url: &str) -> String {
    if let Ok(mut parsed) = Url::parse(url)
        && parsed.has_host()
    {
        if parsed.username().is_empty() && parsed.password().is_none() {
            return url.to_owned();
        }
        if parsed.set_username("").is_ok() && parsed.set_password(None).is_ok() {
            return parsed.into();
        }
    }
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + "://".len()));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{rest}")
}

/// An answer as data.
fn told(status: StatusCode, body: &str) -> serde_json::Value {
    json!({ "status": status.as_u16(), "body": body })
}

fn body(context: &Context, args: &[u8]) -> Result<Bytes, Failure> {
    serde_json::from_slice::<IgnoredAny>(args).map_err(|error| {
        let message = format!("the arguments are not JSON: {error}");
        Failure::new(FailureKind::BadArguments, message)
    })?;
    let mut head = json!({
        "id": context.id.to_string(),
        "task": context.name(),
        "attempt": context.attempt,
        "token": context.token.to_string(),
    });
    if let Some(parent) = context.parent() {
        head["parent_id"] = parent.to_string().into();
        head["root_id"] = context.root().to_string().into();
    }
    if let Some(name) = context.display_name() {
        head["display_name"] = name.into();
    }
    let labels: BTreeMap<_, _> = context.labels().collect();
    if !labels.is_empty() {
        head["labels"] = json!(labels);
    }
    let headers: BTreeMap<_, _> = context.headers().collect();
    if !headers.is_empty() {
        head["headers"] = json!(headers);
    }
    // The arguments go as they came: read and written again, long numbers would lose digits.
    let mut body = head.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"args\":");
    body.extend_from_slice(args);
    body.push(b'}');
    Ok(Bytes::from(body))
}

fn signature(key: &hmac::Key, timestamp: &str, body: &[u8]) -> String {
    let mut signed = hmac::Context::with_key(key);
    signed.update(timestamp.as_bytes());
    signed.update(b".");
    signed.update(body);
    signed.sign().as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Which answers another attempt may turn: the server was busy, or said that it failed itself.
fn kind(status: StatusCode) -> FailureKind {
    match status.as_u16() {
        408 | 425 | 429 | 500..=599 => FailureKind::Error,
        _ => FailureKind::Permanent,
    }
}

/// What an answer that is no success amounts to: its message quotes the beginning of what the server
/// said, its detail has as much of it as may be kept.
async fn refusal(response: &mut reqwest::Response, now: SystemTime) -> Outcome {
    let status = response.status();
    let pause = retry_after(response.headers(), now);
    let mut said = Vec::new();
    while said.len() < DETAIL_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        said.extend_from_slice(&chunk[..chunk.len().min(DETAIL_BYTES_MAX - said.len())]);
    }
    let quoted = String::from_utf8_lossy(&said[..said.len().min(QUOTED_BYTES_MAX)]);
    let message = match quoted.trim() {
        "" => format!("the server answered {status}"),
        quoted => format!("the server answered {status}: {quoted}"),
    };
    let mut text = Excerpt::new(DETAIL_BYTES_MAX);
    text.push(&said);
    let detail = fit(DETAIL_BYTES_MAX, DETAIL_BYTES_MAX, |limit| told(status, &text.text(limit)));
    let failure = Failure::new(kind(status), message).with_detail(detail);
    match pause {
        Some(pause) if failure.kind.is_retryable() => {
            Outcome::Deferred { failure, pause: span(pause) }
        }
        Some(_) | None => Outcome::Failed(failure),
    }
}

/// For how long the server wants to be left alone, if it says so: in seconds, or until when.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(httpdate::parse_http_date(said).ok()?.duration_since(now).unwrap_or_default())
}

/// A request that got no answer. The URL is left out: it may hold a password.
fn unanswered(error: reqwest::Error) -> Outcome {
    let kind = if error.is_builder() { FailureKind::Permanent } else { FailureKind::Error };
    Outcome::Failed(Failure::new(kind, chain(&error.without_url())))
}

/// A request to a host that is closed to it. No other attempt helps before somebody allows it.
fn refused(context: &Context, closed: &Closed) -> Outcome {
    let name = context.name();
    Outcome::Failed(Failure::new(
        FailureKind::Permanent,
        format!(
            "{closed}; to have it reached set `allow_private = true` in [tasks.{name}], or in its `WebhookSpec`"
        ),
    ))
}

/// Whether it was a closed host that made the request fail.
fn closed_in(error: &reqwest::Error) -> Option<&Closed> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(closed) = error.downcast_ref() {
            return Some(closed);
        }
        source = error.source();
    }
    None
}

impl Clients {
    fn client(&self, allow_private: bool) -> Result<&Client, Failure> {
        let client = if allow_private { &self.unguarded } else { &self.guarded };
        match client.get() {
            Some(client) => Ok(client),
            None => made(allow_private).map(|made| client.get_or_init(|| made)),
        }
    }
}

fn made(allow_private: bool) -> Result<Client, Failure> {
    // Whoever was first may have installed another provider; that one will do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("umbel/", env!("CARGO_PKG_VERSION")));
        // A proxy would look names up once more, and elsewhere.
        if allow_private { builder } else { builder.no_proxy().dns_resolver(OpenOnly) }
    };
    let made = builder().build().or_else(|error| {
        // Without the system's certificates nothing can be trusted, but `http://` needs none.
        tracing::warn!(error = chain(&error), "webhooks cannot reach https:// addresses");
        builder().tls_certs_only([]).build()
    });
    made.map_err(|error| Failure::new(FailureKind::Error, chain(&error)))
}

#[cfg(test)]
mod tests;
