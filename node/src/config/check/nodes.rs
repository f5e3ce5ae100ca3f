//! What is said of slots: for all nodes, and for those with certain labels.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::super::nodes::Nodes;
use super::super::raw::{RawNodes, RawSlots, Text};
use super::super::report::Problems;
use super::super::{Config, SLOTS_MAX, Slots};
use super::{check_name, integer, labels};

/// The kinds of work, each with slots of its own.
const KINDS: [&str; 4] = ["async", "blocking", "command", "webhook"];

pub(super) fn slots(raw: RawSlots, slots: &mut Slots, problems: &mut Problems<'_>) {
    for (name, raw, slots) in [
        ("async", &raw.asynchronous, &mut slots.asynchronous),
        ("blocking", &raw.blocking, &mut slots.blocking),
        ("command", &raw.command, &mut slots.command),
        ("webhook", &raw.webhook, &mut slots.webhook),
    ] {
        integer(name, raw.as_ref(), 1..=i64::from(SLOTS_MAX), slots, problems);
    }
    slots.resources = counts("resource", raw.resources, 0, problems);
}

pub(super) fn nodes(name: &Text, raw: RawNodes, problems: &mut Problems<'_>) -> Nodes {
    if raw.select.is_empty() {
        let help =
            "for example: select = { role = \"gpu\" }; for all nodes there are [node] and [slots]";
        problems.add(name.span(), "this does not say which nodes it is about".to_owned(), help);
    }
    let queues = raw.queues.map(|queues| {
        for queue in queues.get_ref() {
            check_name("queue", queue, problems);
        }
        queues.into_inner().into_iter().map(Spanned::into_inner).collect()
    });
    for (kind, _) in &raw.slots {
        if !KINDS.contains(&kind.get_ref().as_str()) {
            problems.add(
                kind.span(),
                format!("there is no kind of work `{}`", kind.get_ref()),
                format!(
                    "kinds are {}; what tasks ask for as a resource goes to `resources`, and slots of a \
                     queue to `queue_slots`",
                    KINDS.join(", ")
                ),
            );
        }
    }
    Nodes {
        select: labels(raw.select, problems),
        queues,
        slots: counts("kind of work", raw.slots, 1, problems),
        resources: counts("resource", raw.resources, 0, problems),
        queue_slots: counts("queue", raw.queue_slots, 1, problems),
    }
}

fn counts(
    what: &str,
    raw: Vec<(Text, Spanned<i64>)>,
    least: u32,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for (name, count) in raw {
        check_name(what, &name, problems);
        let mut slots = 0;
        let range = i64::from(least)..=i64::from(SLOTS_MAX);
        integer(name.get_ref(), Some(&count), range, &mut slots, problems);
        counts.insert(name.into_inner(), slots);
    }
    counts
}

/// All resources that any node has.
pub(super) fn resources(config: &Config) -> BTreeSet<String> {
    let of_some = config.nodes.iter().flat_map(|nodes| nodes.resources.keys());
    config.slots.resources.keys().chain(of_some).cloned().collect()
}

/// The queues for which nodes with certain labels have slots.
pub(super) fn queues(config: &Config) -> BTreeSet<String> {
    config.nodes.iter().flat_map(|nodes| nodes.queue_slots.keys().cloned()).collect()
}

/// Refuses what is said at `place` if there are too many queues and resources with slots of their own by then.
pub(super) fn check_pools(pools: usize, place: Range<usize>, problems: &mut Problems<'_>) {
    if pools > OWN_POOLS_MAX {
        problems.add(
            place,
            format!(
                "there are more than {OWN_POOLS_MAX} queues and resources with slots of their own"
            ),
            "give slots to those whose tasks must not take each other's place",
        );
    }
}

/// Each has a number of a byte, and those that come when the file is read again have others than those that go.
const OWN_POOLS_MAX: usize = 200;
