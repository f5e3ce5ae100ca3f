//! What the cluster's [rules](crate::meta::Rules) mean for tasks that wait: which of them may start now, and
//! where.
//!
//! A class of waiting tasks stands behind a gate if any rule concerns it. One that is closed keeps its class
//! from slots, and from wishing for any; tasks behind it wait where they are, and nobody waits for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scheduler;
use super::ready::Class;
use crate::id::{NodeId, TaskId};
use crate::job::{Labels, Target};
use crate::meta::{Rule, Rules, Subject};
use crate::sabotage::{self, Defect};

/// What rules mean for the tasks of a queue and a name.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Who keeps them from starting.
    pub(super) paused: Option<Subject>,
    /// Whose permits each of them takes.
    pub(super) limits: Vec<Arc<Subject>>,
    /// Selections of nodes, all of which hold, and whose they are.
    pub(super) select: Vec<(Subject, Labels)>,
    /// The rank of the queue, if it has one.
    pub(super) rank: Option<u8>,
    /// The weight of the queue, if it has one.
    weight: Option<u16>,
}

/// What gates are made of.
#[derive(Debug, Default)]
pub(super) struct Gates {
    rules: Rules,
    /// What limits how many run or begin.
    limiting: BTreeMap<Arc<Subject>, Rule>,
    /// Whether any queue has a weight, so that they take turns.
    is_weighted: bool,
}

impl Gates {
    /// Whether there are no rules at all.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) const fn is_weighted(&self) -> bool {
        self.is_weighted
    }

    /// What limits how many run or begin, and how.
    pub(super) const fn limiting(&self) -> &BTreeMap<Arc<Subject>, Rule> {
        &self.limiting
    }

    /// Whether `rules` are news.
    pub(super) fn learn(&mut self, rules: &Rules) -> bool {
        if self.rules == *rules {
            return false;
        }
        let all: Vec<(&Subject, Rule)> =
            rules.subjects().map(|subject| (subject, rules.of(subject))).collect();
        self.is_weighted = all.iter().any(|(_, rule)| rule.weight.is_some());
        self.limiting = (all.into_iter())
            .filter(|(_, rule)| rule.is_limiting())
            .map(|(subject, rule)| (Arc::new(subject.clone()), rule))
            .collect();
        self.rules = rules.clone();
        true
    }

    /// The gate of tasks called `name` in `queue`, if any rule concerns them.
    pub(super) fn of(&self, queue: &str, name: &str) -> Option<Gate> {
        if self.is_empty() {
            return None;
        }
        let (mut gate, mut is_any) = (Gate::default(), false);
        for (subject, rule) in self.rules.for_task(queue, name) {
            is_any = true;
            if rule.is_paused() && !sabotage::has(Defect::IgnorePause) {
                gate.paused = Some(subject.clone());
            }
            if let Some((subject, _)) = self.limiting.get_key_value(subject) {
                gate.limits.push(Arc::clone(subject));
            }
            gate.weight = gate.weight.or(rule.weight);
            gate.rank = gate.rank.or(rule.rank);
            let select = rule.select.filter(|labels| !labels.is_empty());
            gate.select.extend(select.map(|labels| (subject.clone(), labels)));
        }
        is_any.then_some(gate)
    }
}

impl Gate {
    /// Whether the rules do not keep its tasks from slots at all.
    pub(super) fn is_open(&self) -> bool {
        self.paused.is_none() && self.limits.is_empty()
    }

    /// Whether a node with these labels may run its tasks.
    pub(super) fn includes(&self, labels: &Labels) -> bool {
        self.select.iter().all(|(_, selection)| labels.match_all(selection))
    }
}

impl Scheduler {
    /// Takes over what the cluster's rules are now.
    pub(super) fn learn_rules(&mut self) {
        if let Some(meta) = &self.meta
            && self.ready.learn_rules(&meta.rules)
        {
            self.count_permits();
        }
    }

    /// How many more tasks of a class may start now, as far as rules say.
    pub(super) fn gate_room(&self, class: &Class) -> u32 {
        let Some(gate) = &class.gate else {
            return u32::MAX;
        };
        if gate.paused.is_some() {
            return 0;
        }
        let now = self.now.tick;
        let room = gate.limits.iter().map(|subject| self.permits.room(subject, now));
        room.min().unwrap_or(u32::MAX)
    }

    /// A task of a class is about to be leased.
    pub(super) fn pass_gate(&mut self, class: usize, pool: usize, task: TaskId) {
        let Some(class) = self.ready.classes().get(class) else {
            return;
        };
        for subject in class.gate.iter().flat_map(|gate| &gate.limits) {
            self.permits.take(subject, task);
        }
        if self.ready.gates().is_weighted() {
            let weight = class.gate.as_ref().and_then(|gate| gate.weight);
            self.turns.served(pool, &class.queue, weight.unwrap_or(1));
        }
    }

    /// Whether tasks of a class may start now, as far as rules say.
    pub(super) fn is_open(&self, class: usize) -> bool {
        let class = self.ready.classes().get(class);
        class.is_some_and(|class| self.gate_room(class) > 0)
    }

    /// The turn that the queue of a class has now for slots of `pool`.
    pub(super) fn queue_turn(&self, class: usize, pool: usize) -> u64 {
        match self.ready.classes().get(class) {
            Some(class) if self.ready.gates().is_weighted() => self.turns.of(pool, &class.queue),
            Some(_) | None => 0,
        }
    }

    /// Whether tasks of a class may run on a node, as far as its labels say.
    pub(super) fn may_run(&self, node: NodeId, class: &Class) -> bool {
        let selects = class.gate.as_ref().is_some_and(|gate| !gate.select.is_empty());
        if class.target == Target::Anywhere && !selects {
            return true;
        }
        let none = Labels::NONE;
        let labels = self.meta.as_ref().map_or(&none, |meta| meta.labels(node));
        let is_selected = class.gate.as_ref().is_none_or(|gate| gate.includes(labels));
        is_selected && class.target.includes(node, labels)
    }
}
