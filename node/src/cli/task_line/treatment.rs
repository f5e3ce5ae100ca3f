//! How a task is treated, in the words of the command line.

use serde_json::{Map, Value, json};
use umbel_protocol::job::{Labels, Target};
use umbel_protocol::task::{Options, Particulars, Treatment, UniquePolicy, UniqueScope};
use umbel_protocol::time::Span;

use crate::cli::names::Names;
use crate::cli::table::printable;
use crate::cli::time::stamp;
use crate::config::quantity::spelled;

/// What was said of how it is treated, and nothing that was not.
pub(super) fn said(treatment: &Treatment, names: &Names) -> Map<String, Value> {
    let mut said = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            said.insert(key.to_owned(), value);
        }
    };
    let Options {
        priority,
        delay: _,
        attempts_max,
        backoff_first,
        backoff_max,
        time_limit,
        expires_at,
        expires,
        deadline,
        soft_limit,
        backoff_list,
        crashes_max,
        at_most_once,
        unique_scope,
        unique_policy,
        concurrency,
        rate,
        exclusive,
        lost_after,
        redact,
        retention,
        ignore_result,
    } = &treatment.options;
    let span = |span: &Option<Span>| span.map(|span| json!(spelled(span)));
    say("priority", priority.map(|priority| json!(priority)));
    say("attempts", attempts_max.map(|attempts| json!(attempts)));
    say("backoff_first", span(backoff_first));
    say("backoff_max", span(backoff_max));
    let pauses = |list: &Vec<Span>| list.iter().copied().map(spelled).collect::<Vec<_>>();
    say("backoff_list", backoff_list.as_ref().map(|list| json!(pauses(list))));
    say("time_limit", span(time_limit));
    say("soft_limit", span(soft_limit));
    say("deadline", span(deadline));
    say("expires", span(expires));
    say("expires_at", expires_at.map(|at| json!(stamp(at))));
    say("crashes", crashes_max.map(|crashes| json!(crashes)));
    say("at_most_once", at_most_once.map(|is| json!(is)));
    say("unique_until", unique_scope.map(|scope| json!(scope_word(scope))));
    say("if_exists", unique_policy.map(|policy| json!(policy_word(policy))));
    say("concurrency", concurrency.map(|most| json!(most)));
    say("rate", rate.map(|rate| json!(rate.to_string())));
    say("exclusive", exclusive.map(|is| json!(is)));
    say("lost_after", span(lost_after));
    say("redact", redact.as_ref().map(|names| json!(names)));
    say("retention", span(retention));
    say("ignore_result", ignore_result.map(|is| json!(is)));

    let Particulars {
        not_before: _,
        unique_key,
        fairness_key,
        limit_key,
        metadata: _,
        target,
        fairness_weight,
        retry_of: _,
        group: _,
    } = &treatment.particulars;
    say("unique", unique_key.as_ref().map(|key| json!(key)));
    say("fairness_key", fairness_key.as_ref().map(|key| json!(key)));
    say("fairness_weight", fairness_weight.map(|weight| json!(weight)));
    say("limit_key", limit_key.as_ref().map(|key| json!(key)));
    match target {
        Target::Anywhere => {}
        Target::Labels(labels) => say("select", Some(json!(Labels::to_string(labels)))),
        Target::Node(node) => say("on_node", Some(json!(names.name(*node)))),
    }
    said
}

/// The same for people: a line for each.
pub(super) fn lines(treatment: &Treatment, names: &Names) -> Option<String> {
    let said = said(treatment, names);
    let line = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key} {}", printable(text)),
        other => format!("{key} {}", printable(&other.to_string())),
    };
    (!said.is_empty()).then(|| said.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn scope_word(scope: UniqueScope) -> String {
    match scope {
        UniqueScope::UntilStarted => "started".to_owned(),
        UniqueScope::UntilFinished => "finished".to_owned(),
        UniqueScope::For(span) => spelled(span),
    }
}

const fn policy_word(policy: UniquePolicy) -> &'static str {
    match policy {
        UniquePolicy::Existing => "existing",
        UniquePolicy::Replace => "replace",
        UniquePolicy::Refuse => "refuse",
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::NodeId;

    use super::*;

    #[test]
    fn it_is_told_in_the_words_of_those_who_submit() {
        let options = Options {
            attempts_max: Some(5),
            backoff_list: Some(vec![Span::from_millis(1_000), Span::from_millis(60_000)]),
            rate: Some("10/min".parse().unwrap()),
            unique_scope: Some(UniqueScope::For(Span::from_millis(3_600_000))),
            ..Options::default()
        };
        let particulars = Particulars {
            limit_key: Some("account 7".into()),
            target: Target::Node(NodeId(2)),
            ..Particulars::NONE
        };
        let treatment = Treatment { options, particulars };
        let told = Value::Object(said(&treatment, &Names::default()));
        assert_eq!(
            told,
            json!({
                "attempts": 5, "backoff_list": ["1s", "1m"], "unique_until": "1h", "rate": "10/min",
                "limit_key": "account 7", "on_node": "00000000000000000000000000000002",
            })
        );
        let shown = lines(&treatment, &Names::default()).expect("something was said");
        assert!(shown.lines().any(|line| line == "limit_key account 7"), "{shown}");
        let nothing = Treatment { options: Options::default(), particulars: Particulars::NONE };
        assert_eq!(lines(&nothing, &Names::default()), None);
    }
}
