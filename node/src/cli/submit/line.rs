//! One line of a file of tasks.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use umbel_protocol::id::TaskId;

use crate::cli::json_text;
use crate::cli::time;
use crate::work::Submission;

/// How a task is to be treated, as far as the submission says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) queue: Option<String>,
    pub(super) delay: Option<Duration>,
    pub(super) priority: Option<u8>,
    pub(super) attempts: Option<u16>,
    pub(super) time_limit: Option<Duration>,
}

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
    delay: Option<String>,
    priority: Option<u8>,
    attempts: Option<u16>,
    #[serde(alias = "timeout")]
    time_limit: Option<String>,
}

/// The task that a line asks for; where it says nothing, `settings` do.
pub(super) fn parse(text: &str, settings: &Settings) -> Result<Submission, BadLine> {
    if !text.trim_start().starts_with('{') {
        // Lists would be taken for objects without their keys.
        let what = r#"a line is an object: {"task": NAME, "args": JSON}"#.to_owned();
        return Err(BadLine { column: 1, what });
    }
    let line: Line<'_> = json_text::parse(text).map_err(|error| BadLine {
        column: error.column(),
        what: format!("{}\n{}", error.what(), error.excerpt()),
    })?;
    let bad = |key: &str, why: String| BadLine {
        column: text.find(&format!("\"{key}\"")).map_or(1, |at| text[..at].chars().count() + 1),
        what: format!("{key}: {why}"),
    };
    let length = |key: &str, text: Option<String>| match text {
        Some(text) if key == "time_limit" => {
            time::parse_some(&text).map(Some).map_err(|why| bad(key, why))
        }
        Some(text) => time::parse(&text).map(Some).map_err(|why| bad(key, why)),
        None => Ok(None),
    };
    let id = match &line.id {
        Some(id) => Some(id.parse::<TaskId>().map_err(|error| bad("id", error.to_string()))?),
        None => None,
    };
    let settings = Settings {
        queue: line.queue.or_else(|| settings.queue.clone()),
        delay: length("delay", line.delay)?.or(settings.delay),
        priority: line.priority.or(settings.priority),
        attempts: line.attempts.or(settings.attempts),
        time_limit: length("time_limit", line.time_limit)?.or(settings.time_limit),
    };
    let args = line.args.map_or("null", RawValue::get);
    let args = Bytes::copy_from_slice(args.as_bytes());
    Ok(Submission { template: settings.template(&line.task), args, id })
}

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
    use umbel_protocol::time::Span;

    use super::*;

    fn read(text: &str) -> Result<Submission, BadLine> {
        parse(text, &Settings { priority: Some(4), ..Settings::default() })
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
    fn arguments_are_passed_on_as_they_are_written() {
        let args = r#"{"n":123456789012345678901234567890, "x":1.10,"z":1,"a":2}"#;
        let submission = read(&format!(r#"{{"task":"a","args":{args} }}"#)).unwrap();
        assert_eq!(submission.args, args);
    }
}
