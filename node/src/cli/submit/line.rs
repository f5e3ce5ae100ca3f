//! One line of a file of tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use umbel_protocol::id::{NodeId, TaskId};
use umbel_protocol::job::Labels;
use umbel_protocol::task::Rate;

use super::said::{Said, Traced};
use super::settings::{self, Settings};
use crate::cli::json_text;
use crate::cli::time;
use crate::work::Submission;

/// A line as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    task: String,
    /// As it is written, to the last digit.
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    queue: Option<String>,
    id: Option<String>,
    priority: Option<u8>,
    delay: Option<String>,
    at: Option<String>,
    expires: Option<String>,
    expires_at: Option<String>,
    deadline: Option<String>,
    #[serde(alias = "timeout")]
    time_limit: Option<String>,
    soft_limit: Option<String>,
    attempts: Option<u16>,
    #[serde(alias = "backoff")]
    backoff_first: Option<String>,
    backoff_max: Option<String>,
    backoff_list: Option<Vec<String>>,
    crashes: Option<u16>,
    fairness_key: Option<String>,
    fairness_weight: Option<u16>,
    #[serde(default)]
    select: BTreeMap<String, String>,
    on_node: Option<String>,
    unique: Option<String>,
    unique_until: Option<String>,
    if_exists: Option<String>,
    limit_key: Option<String>,
    concurrency: Option<u16>,
    rate: Option<String>,
    exclusive: Option<bool>,
    lost_after: Option<String>,
    retention: Option<String>,
    ignore_result: Option<bool>,
    at_most_once: Option<bool>,
    #[serde(default)]
    redact: Vec<Box<str>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    display_name: Option<String>,
    group: Option<String>,
    traceparent: Option<String>,
    tracestate: Option<String>,
}

/// Finds a node by its name, or says why it cannot.
pub(super) type FindNode<'f> = dyn FnMut(&str) -> Result<NodeId, String> + 'f;

/// The task that a line asks for, on the node that it names; where it says nothing, `settings` do.
pub(super) fn parse(
    text: &str,
    settings: &Settings,
    node: &mut FindNode<'_>,
) -> Result<Submission, BadLine> {
    if !text.trim_start().starts_with('{') {
        // Lists would be taken for objects without their keys.
        let what = r#"a line is an object: {"task": NAME, "args": JSON}"#.to_owned();
        return Err(BadLine { column: 1, what });
    }
    let line: Line<'_> = json_text::parse(text).map_err(|error| {
        // What is never shown may be just there.
        let may_be_shown = settings.redact.is_empty() && !text.contains("\"redact\"");
        let what = if may_be_shown {
            format!("{}\n{}", error.what(), error.excerpt())
        } else {
            "this is no line of a task; it is not shown, since some arguments are not to be"
                .to_owned()
        };
        BadLine { column: error.column(), what }
    })?;
    let bad = |key: &str, why: String| BadLine {
        column: text.find(&format!("\"{key}\"")).map_or(1, |at| text[..at].chars().count() + 1),
        what: format!("{key}: {why}"),
    };
    let read = |key: &str, text: Option<String>, parse: fn(&str) -> Result<Duration, String>| {
        text.map(|text| parse(&text).map_err(|why| bad(key, why))).transpose()
    };
    let length = |key: &str, text: Option<String>| read(key, text, time::parse);
    let some_length = |key: &str, text: Option<String>| read(key, text, time::parse_some);
    let list = |texts: Vec<String>| {
        let pauses = texts.into_iter().map(|text| time::parse(&text));
        pauses.collect::<Result<Vec<_>, _>>().map_err(|why| bad("backoff_list", why))
    };
    let scope = line.unique_until;
    let scope = scope.map(|text| settings::scope(&text).map_err(|why| bad("unique_until", why)));
    let policy = line.if_exists;
    let policy = policy.map(|text| settings::policy(&text).map_err(|why| bad("if_exists", why)));
    let rate =
        line.rate.map(|text| text.parse::<Rate>().map_err(|why| bad("rate", why.to_string())));
    let time = |key: &str, text: Option<String>| {
        text.map(|text| time::parse_stamp(&text).map_err(|why| bad(key, why))).transpose()
    };
    let id = match &line.id {
        Some(id) => Some(id.parse::<TaskId>().map_err(|error| bad("id", error.to_string()))?),
        None => None,
    };
    let group = line.group.map(|text| settings::group(&text).map_err(|why| bad("group", why)));
    if let Some(Ok(settings::WhichGroup::New)) = group {
        return Err(bad(
            "group",
            "all lines share one that is new: say so with --group".to_owned(),
        ));
    }
    let said = Said {
        labels: Vec::new(),
        headers: line.headers.into_iter().collect(),
        display_name: line.display_name,
    };
    let mut metadata = said.metadata().map_err(|why| bad(key_of(&why, &HEADERS_KEYS), why))?;
    for (key, value) in &line.labels {
        let added = metadata.labels.insert(key, value);
        added.map_err(|error| bad("labels", error.to_string()))?;
    }
    let mut select = Labels::NONE;
    for (key, value) in &line.select {
        let added = select.insert(key, value);
        added.map_err(|error| bad("select", error.to_string()))?;
    }
    if line.on_node.is_some() && !select.is_empty() {
        let why = "that is one node, and `select` means others; give one of them";
        return Err(bad("on_node", why.to_owned()));
    }
    let node = line.on_node.as_deref().map(|name| node(name).map_err(|why| bad("on_node", why)));
    let traced = Traced { traceparent: line.traceparent, tracestate: line.tracestate };
    metadata.trace = traced.trace().map_err(|why| bad(key_of(&why, &TRACE_KEYS), why))?;
    let own = Settings {
        queue: line.queue,
        priority: line.priority,
        delay: length("delay", line.delay)?,
        at: time("at", line.at)?,
        expires: some_length("expires", line.expires)?,
        expires_at: time("expires_at", line.expires_at)?,
        deadline: some_length("deadline", line.deadline)?,
        time_limit: some_length("time_limit", line.time_limit)?,
        soft_limit: some_length("soft_limit", line.soft_limit)?,
        attempts: line.attempts,
        backoff_first: length("backoff_first", line.backoff_first)?,
        backoff_max: length("backoff_max", line.backoff_max)?,
        backoff_list: line.backoff_list.map(list).transpose()?,
        crashes: line.crashes,
        fairness_key: line.fairness_key,
        fairness_weight: line.fairness_weight,
        select: (!select.is_empty()).then_some(select),
        node: node.transpose()?,
        unique: line.unique,
        unique_until: scope.transpose()?,
        if_exists: policy.transpose()?,
        limit_key: line.limit_key,
        concurrency: line.concurrency,
        rate: rate.transpose()?,
        exclusive: line.exclusive,
        lost_after: some_length("lost_after", line.lost_after)?,
        retention: some_length("retention", line.retention)?,
        ignore_result: line.ignore_result,
        at_most_once: line.at_most_once,
        redact: line.redact,
        group: group.transpose()?,
        metadata,
        ..Settings::default()
    };
    let settings = own.or(settings);
    let args = line.args.map_or("null", RawValue::get);
    let args = Bytes::copy_from_slice(args.as_bytes());
    Ok(Submission {
        template: settings.template(&line.task),
        args,
        particulars: settings.particulars(),
        id,
    })
}

/// The one of `keys` that is to blame, as `why` tells.
fn key_of<'k>(why: &str, keys: &[&'k str; 2]) -> &'k str {
    let [first, second] = keys;
    if why.contains(second) { second } else { first }
}

const HEADERS_KEYS: [&str; 2] = ["headers", "display_name"];
const TRACE_KEYS: [&str; 2] = ["traceparent", "tracestate"];

/// A line that is not the task it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// In characters, from 1.
    pub(super) column: usize,
    /// What is wrong.
    pub(super) what: String,
}

#[cfg(test)]
mod tests {
    use umbel_protocol::job::Target;
    use umbel_protocol::time::{Span, Wall};

    use super::*;

    fn read(text: &str) -> Result<Submission, BadLine> {
        parse(text, &Settings { priority: Some(4), ..Settings::default() })
    }

    /// The same, in a cluster of one node.
    fn parse(text: &str, settings: &Settings) -> Result<Submission, BadLine> {
        super::parse(text, settings, &mut |name| match name {
            "a" => Ok(NodeId(7)),
            _ => Err(format!("no node is called {name:?}")),
        })
    }

    #[test]
    fn a_line_says_what_it_wants_and_the_rest_is_as_for_all() {
        let submission = read(r#"{"task":"sha256","args":{"path":"/a"}}"#).unwrap();
        assert_eq!(submission.args, r#"{"path":"/a"}"#);
        assert_eq!((submission.template.name.as_str(), submission.id), ("sha256", None));
        assert_eq!(submission.template.options.priority, Some(4));
        let submission = read(
            r#"{"task":"a","queue":"q","delay":"1m","priority":0,"attempts":9,"time_limit":"5s",
                "id":"018bcfe5-6800-7003-8000-000000000007"}"#,
        )
        .unwrap();
        let options = &submission.template.options;
        assert_eq!((submission.template.queue.as_str(), options.priority), ("q", Some(0)));
        assert_eq!(submission.args, "null");
        assert_eq!(options.delay, Span::from_millis(60_000));
        assert_eq!(options.time_limit, Some(Span::from_millis(5_000)));
        assert_eq!(options.attempts_max, Some(9));
        assert!(submission.id.is_some());
    }

    #[test]
    fn a_line_may_say_all_that_can_be_typed() {
        let text = r#"{"task":"a","at":"2030-03-01T02:30:00Z","expires":"1m","deadline":"2m",
            "soft_limit":"3s","backoff_list":["0s","5s"],"crashes":2,
            "expires_at":"2030-03-01T02:30:00Z","on_node":"a"}"#;
        let submission = read(text).unwrap();
        let at = Wall::from_millis(1_898_562_600_000);
        let said = submission.particulars.unwrap();
        assert_eq!((said.not_before, said.target), (Some(at), Target::Node(NodeId(7))));
        assert_eq!(submission.template.options.expires_at, Some(at));
        let options = submission.template.options;
        assert_eq!(options.backoff_list, Some(vec![Span::ZERO, Span::from_millis(5_000)]));
        assert_eq!(options.crashes_max, Some(2));
        assert_eq!(options.soft_limit, Some(Span::from_millis(3_000)));
        let spans = (options.expires, options.deadline);
        let minutes = |count: u64| Some(Span::from_millis(count * 60_000));
        assert_eq!(spans, (minutes(1), minutes(2)));
    }

    #[test]
    fn what_a_line_says_in_its_way_is_not_said_for_it_in_another() {
        let typed = Settings {
            delay: Some(Duration::from_secs(5)),
            backoff_first: Some(Duration::from_secs(1)),
            attempts: Some(7),
            ..Settings::default()
        };
        let parsed = |text| parse(text, &typed).unwrap();
        let listed = parsed(r#"{"task":"a","backoff_list":["5s"]}"#).template.options;
        assert_eq!((listed.backoff_first, listed.attempts_max), (None, Some(7)));
        let once = parsed(r#"{"task":"a","at_most_once":true}"#).template.options;
        assert_eq!((once.at_most_once, once.attempts_max), (Some(true), None));
        let timed = parsed(r#"{"task":"a","at":"2030-03-01T02:30:00Z"}"#);
        assert_eq!(timed.template.options.delay, Span::ZERO);
        assert!(timed.particulars.is_some());
    }

    #[test]
    fn what_a_line_says_no_to_is_not_said_for_it() {
        let typed = Settings {
            exclusive: Some(true),
            ignore_result: Some(true),
            at_most_once: Some(true),
            limit_key: Some("disk".to_owned()),
            ..Settings::default()
        };
        let said = |text| {
            let options = parse(text, &typed).unwrap().template.options;
            (options.exclusive, options.ignore_result, options.at_most_once)
        };
        assert_eq!(said(r#"{"task":"a"}"#), (Some(true), Some(true), Some(true)));
        let no = r#"{"task":"a","exclusive":false,"ignore_result":false,"at_most_once":false}"#;
        assert_eq!(said(no), (Some(false), Some(false), Some(false)));
        let limited = r#"{"task":"a","concurrency":2,"attempts":5}"#;
        assert_eq!(said(limited), (None, Some(true), None));
        // What nobody says at all is for the declaration of the task to say.
        let options = read(r#"{"task":"a"}"#).unwrap().template.options;
        assert_eq!(
            (options.exclusive, options.ignore_result, options.at_most_once),
            (None, None, None)
        );
    }

    #[test]
    fn a_line_names_its_own_node_or_others() {
        let select = "role=db".parse::<Labels>().unwrap();
        let on_node = Settings { node: Some(NodeId(9)), ..Settings::default() };
        let selected = Settings { select: Some(select.clone()), ..Settings::default() };
        let target = |text, typed| parse(text, typed).unwrap().particulars.unwrap().target;
        for typed in [&on_node, &selected] {
            assert_eq!(target(r#"{"task":"a","on_node":"a"}"#, typed), Target::Node(NodeId(7)));
            let labels = target(r#"{"task":"a","select":{"role":"db"}}"#, typed);
            assert_eq!(labels, Target::Labels(select.clone()));
        }
        let error = read(r#"{"task":"a","on_node":"b"}"#).unwrap_err();
        assert_eq!((error.column, &*error.what), (13, r#"on_node: no node is called "b""#));
        let error = read(r#"{"task":"a","on_node":"a","select":{"role":"db"}}"#).unwrap_err();
        assert!(error.what.starts_with("on_node: that is one node"), "{error:?}");
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let error = read(r#"{"task":"a","delay":"soon"}"#).unwrap_err();
        assert_eq!(error.column, 13);
        assert!(error.what.starts_with("delay: write whole numbers with units"), "{error:?}");
        let error = read(r#"{"task":"a","id":"1"}"#).unwrap_err();
        assert!(error.what.starts_with("id: not a task id"), "{error:?}");
        let error = read(r#"{"task":"a","arg":1}"#).unwrap_err();
        assert!(error.what.contains("unknown field `arg`"), "{error:?}");
        let error = read(r#"{"args":1}"#).unwrap_err();
        assert!(error.what.contains("missing field `task`"), "{error:?}");
        assert_eq!(read("").unwrap_err().column, 1);
        let error = read(r#"["a"]"#).unwrap_err();
        assert!(error.what.starts_with("a line is an object"), "{error:?}");
        let error = read(r#"{"task":"a","time_limit":"0s"}"#).unwrap_err();
        assert!(error.what.starts_with("time_limit: it must be longer"), "{error:?}");
    }

    #[test]
    fn what_is_said_of_a_task_is_said_of_it_or_of_all() {
        let said = Said {
            labels: vec!["tenant=acme,step=1".parse().unwrap()],
            headers: vec![("locale".to_owned(), "de".to_owned())],
            display_name: Some("all".to_owned()),
        };
        let redact = vec!["token".into()];
        let typed = Settings { said, redact, ..Settings::default() }.checked().unwrap();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let line = format!(
            r#"{{"task":"a","labels":{{"step":"2"}},"headers":{{"request-id":"7"}},"display_name":"one",
                "traceparent":"{parent}","redact":["password"]}}"#
        );
        let submission = parse(&line, &typed).unwrap();
        let said = submission.particulars.unwrap().metadata.unwrap();
        assert_eq!(said.labels.to_string(), "step=2,tenant=acme");
        assert_eq!(
            (said.headers.get("locale"), said.headers.get("request-id")),
            (Some("de"), Some("7"))
        );
        assert_eq!(said.display_name.as_deref(), Some("one"));
        assert_eq!(said.trace.as_ref().unwrap().traceparent(), parent);
        let names = ["password", "token"].map(Box::from);
        assert_eq!(submission.template.options.redact(), names);
        for (text, key) in [
            (r#"{"task":"a","labels":{"a b":"c"}}"#, "labels"),
            (r#"{"task":"a","headers":{"A":"c"}}"#, "headers"),
            (r#"{"task":"a","display_name":""}"#, "display_name"),
            (r#"{"task":"a","traceparent":"00-1"}"#, "traceparent"),
            (r#"{"task":"a","tracestate":"a=1"}"#, "tracestate"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.column, error.what.starts_with(key)), (13, true), "{error:?}");
        }
        let broken = r#"{"task":"a","redact":["p"],"args":{"p":"hunter2"},"x":1}"#;
        assert!(!read(broken).unwrap_err().what.contains("hunter2"));
        let broken = broken.replace(r#""redact":["p"],"#, "");
        assert!(read(&broken).unwrap_err().what.contains("hunter2"));
    }

    #[test]
    fn arguments_are_passed_on_as_they_are_written() {
        let args = r#"{"n":123456789012345678901234567890, "x":1.10,"z":1,"a":2}"#;
        let submission = read(&format!(r#"{{"task":"a","args":{args} }}"#)).unwrap();
        assert_eq!(submission.args, args);
    }
}
