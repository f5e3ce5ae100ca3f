//! A task as it is printed: as one line of JSON, or for people.

mod treatment;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use umbel_protocol::id::TaskId;
use umbel_protocol::journal::{Live, Words};
use umbel_protocol::task::{FailureKind, RunEnd, RunView, State, Trace, View};

use super::names::Names;
use super::table::{brief, facts, printable};
use super::task_watch::{ProgressLine, SaidLine};
use super::time::{between, stamp};

/// A task in JSON.
#[derive(Debug, Serialize)]
pub(super) struct TaskLine<'a> {
    id: String,
    task: String,
    queue: String,
    state: &'static str,
    attempts: u16,
    runs: Vec<RunLine>,
    node: Option<String>,
    result: Option<Shown<'a>>,
    /// Only said when it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out: bool,
    error: Option<String>,
    error_kind: Option<&'static str>,
    submitted_at: String,
    not_before: Option<String>,
    finished_at: Option<String>,
    /// This and all that follows only if there is such a thing; the arguments only of one task.
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Why it has not started: only of one task, that may.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_because: Option<String>,
    /// How it is treated: only of one task, and only what was said.
    #[serde(skip_serializing_if = "Map::is_empty")]
    treatment: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    /// How far it is, and its last lines: only of one task, that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<SaidLine<'a>>,
    /// Only said when its node does not answer, so that neither is known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    silent: bool,
}

/// One start of a task in JSON.
#[derive(Debug, Serialize)]
struct RunLine {
    node: String,
    started_at: String,
    finished_at: Option<String>,
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> TaskLine<'a> {
    pub(super) fn of(view: &'a View, names: &Names) -> Self {
        let said = view.metadata.as_deref();
        let trace = said.and_then(|said| said.trace.as_ref());
        Self {
            id: view.id.to_string(),
            task: view.task.clone(),
            queue: view.queue.clone(),
            state: view.state.as_str(),
            attempts: view.attempts,
            runs: view.runs.iter().map(|run| RunLine::of(run, names)).collect(),
            node: view.node.map(|node| names.name(node)),
            result: left(view).map(result),
            left_out: view.left_out,
            error: view.error.as_ref().map(|failure| failure.message.clone()),
            error_kind: view.error.as_ref().map(|failure| failure.kind.as_str()),
            submitted_at: stamp(view.submitted_at),
            not_before: view.not_before.map(stamp),
            finished_at: view.finished_at.map(stamp),
            args: view.args.as_deref().map(result),
            display_name: said.and_then(|said| said.display_name.as_deref()),
            labels: said.map(|said| said.labels.iter().collect()).unwrap_or_default(),
            headers: said.map(|said| said.headers.iter().collect()).unwrap_or_default(),
            parent_id: said.and_then(|said| said.parent).map(|id| id.to_string()),
            root_id: said.and_then(|said| said.root).map(|id| id.to_string()),
            retry_of: view.retry_of.map(|id| id.to_string()),
            group: view.group.map(|id| id.to_string()),
            treatment: (view.treatment.as_ref())
                .map(|treatment| treatment::said(treatment, names))
                .unwrap_or_default(),
            waits_because: view.obstacle.as_ref().map(ToString::to_string),
            traceparent: trace.map(Trace::traceparent),
            tracestate: trace.and_then(Trace::tracestate),
            progress: says(view).and_then(|words| words.progress.as_ref()).map(ProgressLine::of),
            log: says(view)
                .map(|words| &words.lines[..])
                .unwrap_or_default()
                .iter()
                .map(SaidLine::of)
                .collect(),
            silent: view.live == Some(Live::Silent),
        }
    }
}

impl RunLine {
    fn of(run: &RunView, names: &Names) -> Self {
        Self {
            node: names.name(run.node),
            started_at: stamp(run.started_at),
            finished_at: run.finished_at.map(stamp),
            outcome: run.end.map(outcome),
            error: run.error.clone(),
        }
    }
}

/// What the run of a task says of itself, if that is known.
fn says(view: &View) -> Option<&Words> {
    match view.live.as_ref()? {
        Live::Silent => None,
        Live::Says(words) => Some(words),
    }
}

/// How far a task is that runs, and its last lines, for people.
fn live(view: &View) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if view.live == Some(Live::Silent) {
        told.push(("progress", "not known: the node that runs it does not answer".to_owned()));
    }
    if let Some(words) = says(view) {
        told.extend(words.progress.as_ref().map(|it| ("progress", printable(&it.to_string()))));
        for (place, line) in words.lines.iter().enumerate() {
            told.push((if place == 0 { "says" } else { "" }, printable(&line.text)));
        }
    }
    told
}

/// What a task left, JSON: what it returned, or what its failure carries.
fn left(view: &View) -> Option<&[u8]> {
    let detail = || view.error.as_ref()?.detail();
    view.result.as_ref().or_else(detail).map(|json| &json[..])
}

/// What a task returned, to the last digit. Nodes only keep JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown<'a> {
    Json(&'a RawValue),
    /// What is not what is kept.
    Made(Box<RawValue>),
    /// JSON of several lines, which is to be one.
    Lines(Value),
    Text(Cow<'a, str>),
}

pub(super) fn result(json: &[u8]) -> Shown<'_> {
    match serde_json::from_slice(json) {
        Ok(json) if !RawValue::get(json).contains(['\n', '\r']) => Shown::Json(json),
        Ok(json) => serde_json::from_str(json.get()).map_or(Shown::Json(json), Shown::Lines),
        Err(_) => Shown::Text(String::from_utf8_lossy(json)),
    }
}

/// What was made of `json` to be shown.
pub(super) fn made(json: &[u8]) -> Shown<'static> {
    let text = String::from_utf8_lossy(json).into_owned();
    if text.contains(['\n', '\r'])
        && let Ok(lines) = serde_json::from_str(&text)
    {
        return Shown::Lines(lines);
    }
    match RawValue::from_string(text) {
        Ok(json) => Shown::Made(json),
        Err(_) => Shown::Text(String::from_utf8_lossy(json).into_owned().into()),
    }
}

/// The word for how a run ended.
pub(super) const fn outcome(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Cancelled => "cancelled",
        RunEnd::CutOff => "cut-off",
        RunEnd::Failed(kind) => kind.as_str(),
        RunEnd::Lost | RunEnd::Unheard => "lost",
        RunEnd::NeverHad => "never-started",
        RunEnd::Succeeded => "succeeded",
        RunEnd::Dropped => "dropped",
        RunEnd::Snoozed => "snoozed",
    }
}

/// The id of a task that was submitted, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct IdLine {
    id: Option<String>,
    /// Only said of one that was taken in and whose end could not be learned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    acknowledged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl IdLine {
    /// A task that was taken in.
    pub(super) fn taken(id: TaskId) -> Self {
        Self { id: Some(id.to_string()), acknowledged: false, error: None }
    }

    /// One that was not, or of which nothing more is known than its id.
    pub(super) fn failed(id: Option<TaskId>, error: &impl ToString) -> Self {
        let (id, error) = (id.map(|id| id.to_string()), Some(error.to_string()));
        Self { id, acknowledged: false, error }
    }

    /// One that was taken in, but whose end could not be learned.
    pub(super) fn unended(id: Option<TaskId>, error: &impl ToString) -> Self {
        Self { acknowledged: true, ..Self::failed(id, error) }
    }
}

/// All that is known of a task, for people.
pub(super) fn details(view: &View, names: &Names) -> Vec<String> {
    let mut told = vec![
        ("id", view.id.to_string()),
        ("task", view.task.clone()),
        ("queue", view.queue.clone()),
        ("state", view.state.as_str().to_owned()),
        ("attempts", view.attempts.to_string()),
        ("submitted", stamp(view.submitted_at)),
    ];
    told.extend(said(view, names));
    if let Some(at) = view.not_before {
        told.push(("starts", format!("{} at the earliest", stamp(at))));
    }
    if let Some(at) = view.finished_at {
        told.push(("finished", format!("{} ({})", stamp(at), between(view.submitted_at, at))));
    }
    for (place, run) in view.runs.iter().enumerate() {
        let name = if place == 0 { "runs" } else { "" };
        let (node, start) = (names.name(run.node), stamp(run.started_at));
        let end = match (run.finished_at, run.end) {
            (Some(at), Some(end)) => {
                let why =
                    run.error.as_ref().map(|why| format!(": {}", brief(&printable(why), 100)));
                let took = between(run.started_at, at);
                format!("{} after {took}{}", outcome(end), why.unwrap_or_default())
            }
            _ => "running".to_owned(),
        };
        told.push((name, format!("{node}  {start}  {end}")));
    }
    told.extend(live(view));
    if view.error.is_some() {
        told.extend(ended(view));
    }
    match (left(view), left(view).and_then(parts)) {
        (_, Some(parts)) => told.extend(parts),
        (Some(json), None) if view.error.is_some() => {
            told.push(("detail", printable(&String::from_utf8_lossy(json))));
        }
        (_, None) if view.error.is_none() => told.extend(ended(view)),
        (_, None) => {}
    }
    facts(&told)
}

/// What is said of a task besides how it is treated, and its arguments.
fn said(view: &View, names: &Names) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if let Some(said) = view.metadata.as_deref() {
        let pairs = |pairs: Vec<(&str, &str)>| {
            let lines: Vec<_> =
                pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        };
        let id = |id: Option<TaskId>| id.map(|id| id.to_string());
        let facts = [
            ("called", said.display_name.as_deref().map(printable)),
            ("labels", pairs(said.labels.iter().collect())),
            ("headers", pairs(said.headers.iter().collect())),
            ("parent", id(said.parent)),
            ("root", id(said.root)),
            ("trace", said.trace.as_ref().map(Trace::traceparent)),
        ];
        told.extend(facts.into_iter().filter_map(|(name, fact)| Some((name, fact?))));
    }
    told.extend(view.retry_of.map(|id| ("retry of", id.to_string())));
    told.extend(view.group.map(|id| ("group", id.to_string())));
    let treatment = view.treatment.as_ref();
    let treatment = treatment.and_then(|treatment| treatment::lines(treatment, names));
    told.extend(treatment.map(|lines| ("treated", lines)));
    told.extend(view.obstacle.as_ref().map(|obstacle| ("waits", obstacle.to_string())));
    if let Some(args) = view.args.as_deref().filter(|args| !args.is_empty()) {
        let args = String::from_utf8_lossy(args);
        told.push(("args", brief(&printable(&args), ARGS_SHOWN)));
    }
    told
}

/// So many characters of arguments are shown to people; with `--json` all are.
const ARGS_SHOWN: usize = 1_000;

/// The parts of what a command or a webhook left, line by line as they came; nothing if it is of
/// another shape.
fn parts(json: &[u8]) -> Option<Vec<(&'static str, String)>> {
    let Value::Object(left) = serde_json::from_slice(json).ok()? else { return None };
    let names = COMMAND_PARTS.iter().chain(WEBHOOK_PARTS);
    let (command, webhook) =
        (left.contains_key("stdout") && left.contains_key("stderr"), left.contains_key("body"));
    let known = left.keys().all(|key| names.clone().any(|(name, _)| name == key));
    if !known || command == webhook {
        return None;
    }
    let shown = names.filter_map(|(key, name)| {
        let text = match left.get(*key)? {
            Value::Null => return None,
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => printable(text.trim_end_matches('\n')),
            other => other.to_string(),
        };
        Some((*name, text))
    });
    Some(shown.collect())
}

/// What commands leave, and how that is called.
const COMMAND_PARTS: &[(&str, &str)] =
    &[("exit_code", "exit code"), ("signal", "signal"), ("stdout", "stdout"), ("stderr", "stderr")];
/// What webhooks leave whose answers are no JSON, or no success.
const WEBHOOK_PARTS: &[(&str, &str)] = &[("status", "status"), ("body", "body")];

/// How a task ended, in one line for people.
pub(super) fn summary(view: &View) -> String {
    // What stopped a task is not why an attempt before had failed.
    let is_stopped = matches!(view.state, State::Cancelled | State::Expired);
    let is_dropped = view.error.as_ref().is_some_and(|why| why.kind == FailureKind::Dropped);
    let is_told = !is_stopped || is_dropped;
    let how = ended(view).filter(|_| is_told).map(|(_, how)| brief(&how, 200)).unwrap_or_default();
    format!("{}  {}  {how}", view.id, view.state.as_str()).trim_end().to_owned()
}

fn ended(view: &View) -> Option<(&'static str, String)> {
    if let Some(failure) = &view.error {
        let message = printable(&failure.message);
        return Some(("error", format!("{}: {message}", failure.kind.as_str())));
    }
    match (&view.result, view.state) {
        (Some(json), _) => Some(("result", printable(&String::from_utf8_lossy(json)))),
        (None, State::Succeeded) => Some(("result", "no longer kept".to_owned())),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::{NodeId, PartitionId};
    use umbel_protocol::task::{Failure, Metadata};
    use umbel_protocol::time::Wall;

    use super::*;

    fn view() -> View {
        let at = Wall::from_millis;
        View {
            id: TaskId::new(at(1_700_000_000_000), PartitionId(3), 7),
            task: "sha256".into(),
            queue: "default".into(),
            state: State::Succeeded,
            attempts: 1,
            runs: vec![
                RunView {
                    node: NodeId(1),
                    started_at: at(1_700_000_000_002),
                    finished_at: Some(at(1_700_000_001_002)),
                    end: Some(RunEnd::Unheard),
                    error: None,
                },
                RunView {
                    node: NodeId(2),
                    started_at: at(1_700_000_001_003),
                    finished_at: Some(at(1_700_000_001_005)),
                    end: Some(RunEnd::Succeeded),
                    error: None,
                },
            ],
            node: Some(NodeId(2)),
            result: Some(r#"{"exit_code":0,"b":1.10,"a":12345678901234567890123}"#.into()),
            error: None,
            submitted_at: at(1_700_000_000_001),
            not_before: None,
            left_out: false,
            metadata: None,
            args: None,
            live: None,
            retry_of: None,
            group: None,
            obstacle: None,
            treatment: None,
            finished_at: Some(at(1_700_000_001_005)),
        }
    }

    #[test]
    fn as_json() {
        assert_eq!(
            serde_json::to_string(&TaskLine::of(&view(), &Names::default())).unwrap(),
            concat!(
                r#"{"id":"018bcfe5-6800-7003-8000-000000000007","task":"sha256","#,
                r#""queue":"default","state":"succeeded","attempts":1,"runs":["#,
                r#"{"node":"00000000000000000000000000000001","#,
                r#""started_at":"2023-11-14T22:13:20.002Z","#,
                r#""finished_at":"2023-11-14T22:13:21.002Z","outcome":"lost"},"#,
                r#"{"node":"00000000000000000000000000000002","#,
                r#""started_at":"2023-11-14T22:13:21.003Z","#,
                r#""finished_at":"2023-11-14T22:13:21.005Z","outcome":"succeeded"}],"#,
                r#""node":"00000000000000000000000000000002","#,
                r#""result":{"exit_code":0,"b":1.10,"a":12345678901234567890123},"#,
                r#""error":null,"error_kind":null,"submitted_at":"2023-11-14T22:13:20.001Z","#,
                r#""not_before":null,"finished_at":"2023-11-14T22:13:21.005Z"}"#,
            )
        );
    }

    #[test]
    fn what_is_said_of_a_task_is_shown() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let root = TaskId::new(Wall::from_millis(1), PartitionId(3), 7);
        let mut said = Metadata {
            labels: "step=1,tenant=acme".parse().unwrap(),
            display_name: Some("Invoice 7".into()),
            parent: Some(root),
            root: Some(root),
            trace: Some(Trace::parse(parent, Some("a=1")).unwrap()),
            ..Metadata::default()
        };
        said.headers.insert("request-id", "7").unwrap();
        let args = Some(r#"{"user":"x","password":"[redacted]"}"#.into());
        let view = View { metadata: Some(said.into()), args, ..view() };
        let line = serde_json::to_value(TaskLine::of(&view, &Names::default())).unwrap();
        assert_eq!(
            (&line["labels"]["tenant"], &line["headers"]["request-id"]),
            (&"acme".into(), &"7".into())
        );
        assert_eq!(
            (&line["display_name"], &line["args"]["user"]),
            (&"Invoice 7".into(), &"x".into())
        );
        assert_eq!((&line["traceparent"], &line["tracestate"]), (&parent.into(), &"a=1".into()));
        assert_eq!(
            (&line["parent_id"], &line["root_id"]),
            (&root.to_string().into(), &root.to_string().into())
        );
        let shown = details(&view, &Names::default()).join("\n");
        let told = format!(
            "called     Invoice 7\nlabels     step=1\n           tenant=acme\nheaders    request-id=7\n\
             parent     {root}\nroot       {root}\ntrace      {parent}\n\
             args       {{\"user\":\"x\",\"password\":\"[redacted]\"}}\n"
        );
        assert!(shown.contains(&told), "{shown}");
    }

    #[test]
    fn what_was_taken_in_is_told_from_what_may_have_been() {
        let (id, why) = (Some(TaskId::new(Wall::from_millis(1), PartitionId(3), 7)), "gone");
        let of = |line: &IdLine| serde_json::to_value(line).unwrap();
        assert_eq!(of(&IdLine::unended(id, &why))["acknowledged"], true);
        for line in [IdLine::failed(id, &why), IdLine::taken(id.unwrap())] {
            assert_eq!(of(&line)["acknowledged"], Value::Null);
        }
    }

    #[test]
    fn what_a_listing_left_out_is_not_taken_for_nothing() {
        let view = View { result: None, left_out: true, ..view() };
        let line = serde_json::to_value(TaskLine::of(&view, &Names::default())).unwrap();
        assert_eq!((&line["result"], &line["left_out"]), (&Value::Null, &true.into()));
    }

    #[test]
    fn for_people() {
        let mut view = view();
        let shown = details(&view, &Names::default()).join("\n");
        assert!(
            shown.ends_with(r#"result     {"exit_code":0,"b":1.10,"a":12345678901234567890123}"#)
        );
        assert!(shown.contains("finished   2023-11-14T22:13:21.005Z (1.00 s)"), "{shown}");
        assert!(shown.contains("2023-11-14T22:13:20.002Z  lost after 1.00 s"), "{shown}");
        view.state = State::Dead;
        view.error = Some(Failure::new(FailureKind::TimedOut, "took\ntoo long"));
        assert_eq!(
            summary(&view),
            "018bcfe5-6800-7003-8000-000000000007  dead  timed-out: took too long"
        );
        let cancelled = View { state: State::Cancelled, ..view.clone() };
        assert_eq!(summary(&cancelled), "018bcfe5-6800-7003-8000-000000000007  cancelled");
        // What a program wrote for a terminal does nothing to this one.
        view.error = Some(Failure::new(FailureKind::Error, "\u{1b}[31mred\u{9b}2J\nline"));
        let shown = details(&view, &Names::default()).join("\n");
        assert!(shown.contains("error: \u{fffd}[31mred\u{fffd}2J\n"), "{shown}");
    }

    fn dead(detail: &'static str) -> View {
        let failure = Failure::new(FailureKind::Error, "exited with code 3: full");
        let error = Some(failure.with_detail(detail.into()));
        View { state: State::Dead, result: None, error, ..view() }
    }

    #[test]
    fn what_a_failure_left_is_its_result() {
        let view = dead(r#"{"exit_code":3,"stdout":"a\nb\n","stderr":"full\n"}"#);
        let line = serde_json::to_value(TaskLine::of(&view, &Names::default())).unwrap();
        assert_eq!(line["result"]["exit_code"], 3);
        assert_eq!(
            (&line["error"], &line["error_kind"]),
            (&"exited with code 3: full".into(), &"error".into())
        );
        let shown = details(&view, &Names::default());
        let place = shown.iter().position(|line| line.starts_with("error")).unwrap();
        assert_eq!(
            shown[place..],
            [
                "error      error: exited with code 3: full",
                "exit code  3",
                "stdout     a\n           b",
                "stderr     full",
            ]
        );
    }

    #[test]
    fn why_an_attempt_failed_is_told_before_the_end() {
        let view = View { state: State::Scheduled, finished_at: None, ..dead(r#"{"stage":2}"#) };
        let line = serde_json::to_value(TaskLine::of(&view, &Names::default())).unwrap();
        assert_eq!(
            (&line["state"], &line["error"], &line["result"]["stage"]),
            (&"scheduled".into(), &"exited with code 3: full".into(), &2.into())
        );
        let shown = details(&view, &Names::default()).join("\n");
        let told = "error      error: exited with code 3: full\ndetail     {\"stage\":2}";
        assert!(shown.ends_with(told), "{shown}");
    }

    #[test]
    fn what_others_left_is_shown_by_its_parts_if_it_has_known_ones() {
        for (detail, expected) in [
            (r#"{"status":503,"body":"busy"}"#, "status     503\nbody       busy"),
            (
                r#"{"exit_code":null,"signal":"SIGKILL","stdout":"","stderr":""}"#,
                "signal     SIGKILL",
            ),
            (r#"{"code":51}"#, r#"detail     {"code":51}"#),
            (r#"{"body":"x","more":1}"#, r#"detail     {"body":"x","more":1}"#),
            (r#"[1]"#, "detail     [1]"),
        ] {
            let shown = details(&dead(detail), &Names::default()).join("\n");
            assert!(shown.ends_with(&format!("full\n{expected}")), "{shown}");
        }
    }
}
