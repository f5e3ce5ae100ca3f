//! What is submitted by a program that is itself run as a task is a child of that: it takes over its labels, its
//! headers and its trace, as what a handler submits through its `Context` does.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Metadata, Trace};

use crate::client::PassedOn;

/// What the task passes on that this program is run by, if it is.
///
/// # Errors
/// What its variables say is not what umbel says.
pub(super) fn passed_on_here() -> anyhow::Result<Option<PassedOn>> {
    // What is no text is not of umbel.
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    passed_on(&vars.collect())
}

fn passed_on(vars: &BTreeMap<String, String>) -> anyhow::Result<Option<PassedOn>> {
    let Some(parent) = vars.get("UMBEL_TASK_ID") else { return Ok(None) };
    let wrong = |name: &str| {
        format!("{name} is not what a task is told; say --no-parent, or unset UMBEL_TASK_ID")
    };
    let id = |name, text: &str| text.parse::<TaskId>().with_context(|| wrong(name));
    let var = |name: &str| vars.get(name).map(String::as_str);
    let mut said = Metadata {
        root: var("UMBEL_ROOT_ID").map(|root| id("UMBEL_ROOT_ID", root)).transpose()?,
        ..Metadata::default()
    };
    if let Some(labels) = var("UMBEL_TASK_LABELS") {
        said.labels = labels
            .parse()
            .map_err(|why| anyhow!("{why}"))
            .with_context(|| wrong("UMBEL_TASK_LABELS"))?;
    }
    for (name, value) in vars {
        if let Some(header) = name.strip_prefix("UMBEL_HEADER_") {
            let header = header.to_ascii_lowercase().replace('_', "-");
            said.headers.insert(&header, value).with_context(|| wrong(name))?;
        }
    }
    // These are not ours alone: what is no trace is none, and a state that is none leaves the trace as it is.
    let (trace, state) = (var("TRACEPARENT"), var("TRACESTATE"));
    let trace = Trace::parse_some(trace, state).or_else(|_| Trace::parse_some(trace, None));
    let trace = trace.ok().flatten();
    let redact = var("UMBEL_REDACT").into_iter().flat_map(|names| names.split(','));
    let redact: Vec<_> = redact.map(Box::from).collect();
    Ok(Some(PassedOn::of(id("UMBEL_TASK_ID", parent)?, Some(&said), trace, &redact)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "018bcfe5-6800-7003-8000-000000000007";
    const ROOT: &str = "018bcfe5-6800-7003-8000-000000000001";

    fn told(vars: &[(&str, &str)]) -> anyhow::Result<Option<PassedOn>> {
        passed_on(&vars.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn what_a_program_submits_that_a_task_runs_is_a_child_of_it() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let said = told(&[
            ("PATH", "/bin"),
            ("TRACEPARENT", parent),
            ("UMBEL_HEADER_REQUEST_ID", "r7"),
            ("UMBEL_REDACT", "request-id,other"),
            ("UMBEL_ROOT_ID", ROOT),
            ("UMBEL_TASK_ID", TASK),
            ("UMBEL_TASK_LABELS", "step=1,tenant=acme"),
        ]);
        let said = said.expect("it is what a task is told").expect("there is a parent");
        assert_eq!(said.redact, ["request-id".into()], "of what it takes over");
        let said = said.metadata;
        let id = |text: &str| Some(text.parse().expect("it is one"));
        assert_eq!((said.parent, said.root), (id(TASK), id(ROOT)));
        assert_eq!(said.labels.get("tenant"), Some("acme"));
        assert_eq!(said.headers.get("request-id"), Some("r7"));
        assert_eq!(said.trace.as_ref().map(Trace::traceparent).as_deref(), Some(parent));
        let alone =
            told(&[("UMBEL_TASK_ID", TASK)]).expect("it may have nothing").expect("a parent");
        assert_eq!(alone.metadata.root, id(TASK), "the first is the root of all");
    }

    #[test]
    fn who_is_no_task_is_no_parent() {
        assert_eq!(told(&[("UMBEL_TASK_LABELS", "a=b")]).expect("it means nothing"), None);
        let wrong = told(&[("UMBEL_TASK_ID", "7")]).expect_err("it is no id").to_string();
        assert!(wrong.contains("unset UMBEL_TASK_ID"), "{wrong}");
        let untraced = told(&[("UMBEL_TASK_ID", TASK), ("TRACEPARENT", ""), ("TRACESTATE", "a=b")]);
        assert_eq!(untraced.expect("it is told").expect("there is a parent").metadata.trace, None);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let odd = told(&[("UMBEL_TASK_ID", TASK), ("TRACEPARENT", parent), ("TRACESTATE", "odd")]);
        let trace = odd.expect("it is told").expect("there is a parent").metadata.trace;
        assert_eq!(trace.map(|trace| trace.traceparent()).as_deref(), Some(parent));
    }
}
