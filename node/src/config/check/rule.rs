//! What the cluster is told of queues, and of tasks by name.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use umbel_protocol::limits::{PERMITS_MAX, RANK_MAX, RULES_BYTES_MAX, RULES_MAX, WEIGHT_MAX};
use umbel_protocol::meta::{Rule, Subject, rules_fit};

use super::options::rate;
use super::{PRIORITY, Text, check_name, labels, optional};
use crate::config::raw::{RawQueue, RawRule, RawShared};
use crate::config::report::Problems;

/// What is said of a queue for the whole cluster, if anything.
pub(super) fn of_queue(raw: &RawQueue, problems: &mut Problems<'_>) -> Option<Rule> {
    let weight = 1..=i64::from(WEIGHT_MAX);
    let weight = optional("weight", raw.weight.as_ref(), weight, problems);
    let rank = optional("rank", raw.rank.as_ref(), 0..=i64::from(RANK_MAX), problems);
    let rule = Rule { weight, rank, ..shared(&raw.shared, problems) };
    (!rule.is_empty()).then_some(rule)
}

/// What is said of tasks whose names match.
pub(super) fn of_tasks(
    name: &Text,
    raw: RawRule,
    problems: &mut Problems<'_>,
) -> Option<(Subject, Rule)> {
    let subject = Subject::Tasks(name.get_ref().clone());
    if let Err(why) = subject.check() {
        let help = "write the name of a task, or its beginning and a `*`: [rules.\"mail.*\"]";
        problems.add(name.span(), why.to_string(), help);
        return None;
    }
    if let Some(queue) = &raw.queue {
        check_name("queue", queue, problems);
    }
    let priority = optional("priority", raw.priority.as_ref(), PRIORITY, problems);
    let queue = raw.queue.map(Spanned::into_inner);
    let rule = Rule { queue, priority, ..shared(&raw.shared, problems) };
    if rule.is_empty() {
        problems.add(name.span(), "this rule says nothing", "say what is to hold, or remove it");
        return None;
    }
    Some((subject, rule))
}

fn shared(raw: &RawShared, problems: &mut Problems<'_>) -> Rule {
    let range = 1..=i64::from(PERMITS_MAX);
    let concurrency = optional("concurrency", raw.concurrency.as_ref(), range, problems);
    let rate = raw.rate.as_ref().and_then(|text| rate(text, problems));
    let select = labels(raw.select.clone(), problems);
    Rule {
        concurrency: concurrency.map(Some),
        rate: rate.map(Some),
        select: (!select.is_empty()).then_some(select),
        ..Rule::default()
    }
}

/// Refuses more than a cluster takes.
pub(super) fn check_all(
    rules: &BTreeMap<Subject, Rule>,
    first: Option<Range<usize>>,
    problems: &mut Problems<'_>,
) {
    if !rules_fit(rules) {
        let problem = format!(
            "there are more rules for queues and tasks than a cluster has: {RULES_MAX} of {RULES_BYTES_MAX} bytes"
        );
        problems.add(
            first.unwrap_or_default(),
            problem,
            "let those that are treated alike share one, by a name with `*`",
        );
    }
}
