//! A tick that runs on each host has a run on all that are selected, or says that they missed it, and on
//! none else.
//!
//! Who decides about a tick goes by its own copy of the cluster's facts. That may lag, and whoever has
//! decided may be gone when the first copy applies what was decided. But nobody decides before the nominal
//! time. So a host is asked for only if it has been selected since then, without a break, in what every
//! node held that has done anything since then: whoever has decided is one of those. It may have a run if
//! it was selected in what one of them has held since then.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::{ClusterId, NodeId};
use umbel_protocol::job::{JobName, Labels, On, TickRecord};
use umbel_protocol::meta::Meta;
use umbel_protocol::time::Wall;

use crate::faults::Slack;
use crate::host::{Host, true_time};
use crate::jobs::Jobs;
use crate::plan::SECOND;

/// What a node works out of others' clocks may be ahead of them by less than this: what they say takes
/// time to arrive.
const WORKED_OUT_AHEAD: u64 = SECOND;

/// What the process of each host has held of the cluster's facts.
#[derive(Debug, Default)]
pub struct Held(BTreeMap<usize, Facts>);

/// What one has held.
#[derive(Debug)]
struct Facts {
    /// Those of now: a cluster that is formed may be formed anew, and a disk may be emptied.
    version: (u64, ClusterId, u64),
    /// When it did something last.
    acted_at: u64,
    /// When members served that were called so.
    members: BTreeMap<(NodeId, Labels), Serving>,
}

/// When a member served last, under the same labels.
#[derive(Clone, Copy, Debug)]
struct Serving {
    /// Since when without a break.
    since: u64,
    /// When it was seen to serve no more, if it was.
    until: Option<u64>,
}

impl Held {
    /// A host has done something. Who has no facts decides nothing.
    pub(crate) fn note(&mut self, host: usize, one: &Host, now: u64) {
        let meta = one.process.as_ref().and_then(|process| process.scheduler.meta());
        let Some(meta) = meta else {
            return;
        };
        let version = (one.life, meta.cluster, meta.version);
        let facts = self.0.entry(host).or_insert_with(|| Facts {
            version,
            acted_at: now,
            members: BTreeMap::new(),
        });
        facts.acted_at = now;
        if facts.version != version || facts.members.is_empty() {
            facts.version = version;
            facts.change(meta, now);
        }
    }

    /// Who must have a run of a tick of that time.
    #[must_use]
    pub fn selected(&self, select: &Labels, tick: Wall, slack: Slack) -> BTreeSet<NodeId> {
        let from = decided_from(tick, slack);
        let mut acted = self.0.values().filter(|facts| facts.acted_at >= from);
        let selected = |facts: &Facts| -> BTreeSet<NodeId> {
            let members = facts.members.iter().filter(|((_, labels), serving)| {
                labels.match_all(select) && serving.until.is_none() && serving.since < from
            });
            members.map(|((node, _), _)| *node).collect()
        };
        let first = acted.next().map(selected).unwrap_or_default();
        acted.fold(first, |all, facts| &all & &selected(facts))
    }

    fn may_be_selected(&self, node: NodeId, select: &Labels, tick: Wall, slack: Slack) -> bool {
        let from = decided_from(tick, slack);
        let mut members = self.0.values().flat_map(|facts| &facts.members);
        members.any(|((member, labels), serving)| {
            *member == node
                && labels.match_all(select)
                && serving.until.is_none_or(|until| until >= from)
        })
    }
}

impl Facts {
    fn change(&mut self, meta: &Meta, now: u64) {
        let members = meta.members.iter().filter(|(_, member)| !member.draining);
        let members: BTreeSet<(NodeId, Labels)> =
            members.map(|(node, member)| (*node, member.labels.clone())).collect();
        for (member, serving) in &mut self.members {
            if serving.until.is_none() && !members.contains(member) {
                serving.until = Some(now);
            }
        }
        for member in members {
            let serving = Serving { since: now, until: None };
            let known = self.members.entry(member).or_insert(serving);
            if known.until.is_some() {
                *known = serving;
            }
        }
    }
}

/// Before when nobody can have decided about a tick: partition time had not come so far.
const fn decided_from(tick: Wall, slack: Slack) -> u64 {
    true_time(tick).saturating_sub(slack.ahead + WORKED_OUT_AHEAD)
}

/// The first copy has applied what was decided about a tick.
///
/// # Errors
/// If a host has no run of it that must have one, or has one and must not.
pub fn check(
    held: &Held,
    jobs: &Jobs,
    slack: Slack,
    name: &JobName,
    record: &TickRecord,
) -> Result<(), String> {
    let lasting = jobs.lasting.get(name).filter(|lasting| lasting.on == On::Each);
    // Of one that came too late for all, or is of long ago, no runs are told.
    let Some(lasting) = lasting.filter(|_| !record.runs.is_empty()) else {
        return Ok(());
    };
    let select = lasting.select();
    let hosts: BTreeSet<NodeId> = record.runs.iter().filter_map(|run| run.node).collect();
    let selected = held.selected(&select, record.tick, slack);
    if let Some(left_out) = selected.difference(&hosts).next() {
        return Err(format!("{name} leaves {left_out} out of {selected:?}: {record:?}"));
    }
    let may_be = |node: &&NodeId| held.may_be_selected(**node, &select, record.tick, slack);
    match hosts.iter().find(|node| !may_be(node)) {
        Some(other) => Err(format!("{name} is for {other}, which was not selected: {record:?}")),
        None => Ok(()),
    }
}
