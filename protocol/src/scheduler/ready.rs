//! Tasks that wait for a slot: an index over records, rebuilt at each takeover.
//!
//! Tasks of one queue, one name and one target form a *class*: whatever executor may run one of them may
//! run all. The order is priority, then, within a class, those on whose behalf they are [in turn](mod@line), then
//! first come first served; and between classes that take the same slots priority and first come first
//! served: a long line of one name must not keep another from its turn.
//!
//! **Priority grows with waiting**: by one for each [`AGING`], so that what is never urgent comes to its turn
//! whatever else there is. All that wait age alike, so who is first of two does not change while they wait:
//! it is whoever has come first, if each step of priority counts as [`AGING`]. No clock is asked.

mod line;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use self::line::Line;
use super::gates::{Gate, Gates};
use crate::id::{PartitionId, TaskId};
use crate::job::Target;
use crate::limits::AGING;
use crate::meta::Rules;
use crate::task::{Record, Template};
use crate::time::Wall;

/// The most urgent.
const PRIORITY_MAX: u8 = 9;

/// So few are not worth a sweep.
const SLACK: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Ready {
    gates: Gates,
    classes: Vec<Class>,
    /// Places of classes that are none any more.
    free: Vec<usize>,
    places: BTreeMap<String, BTreeMap<String, BTreeMap<Target, usize>>>,
    /// Classes in which anybody waits: there may be one for each job and host, most of them empty.
    waited_for: BTreeSet<usize>,
    len: usize,
    /// How many were left when tasks that do not wait any more were last swept out.
    swept: usize,
}

/// The first in line of a class; the greatest of several is to be served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    /// The rank of its queue.
    rank: u8,
    /// The [turn](super::turns) of its queue, if queues have weights.
    turn: Reverse<u64>,
    /// When one of the highest priority must have come to be as urgent.
    urgent_at: Reverse<Wall>,
    came: Reverse<Wall>,
    /// Of those that came in the same moment whichever class was there first.
    class: Reverse<usize>,
    priority: u8,
}

impl Head {
    pub(super) const fn class(self) -> usize {
        self.class.0
    }

    /// The same at this turn of its queue.
    pub(super) const fn at(self, turn: u64) -> Self {
        Self { turn: Reverse(turn), ..self }
    }

    /// Since when it has waited.
    pub(super) const fn came(self) -> Wall {
        self.came.0
    }
}

/// Waiting tasks that the same executors may run.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) queue: String,
    pub(super) name: String,
    pub(super) target: Target,
    /// What rules mean for them, if any concerns them.
    pub(super) gate: Option<Gate>,
    /// By priority; none of them is empty.
    lines: BTreeMap<u8, Line>,
    len: usize,
}

impl Ready {
    /// Takes over what the rules are now; whether that is news.
    pub(super) fn learn_rules(&mut self, rules: &Rules) -> bool {
        let is_news = self.gates.learn(rules);
        if is_news {
            for class in &mut self.classes {
                class.gate = self.gates.of(&class.queue, &class.name);
            }
        }
        is_news
    }

    pub(super) const fn gates(&self) -> &Gates {
        &self.gates
    }

    /// The class of `template` where `target` may run it.
    pub(super) fn class(&mut self, template: &Template, target: &Target) -> usize {
        let names = self.places.get(&template.queue);
        let targets = names.and_then(|names| names.get(&template.name));
        if let Some(place) = targets.and_then(|targets| targets.get(target)) {
            return *place;
        }
        let class = Class {
            queue: template.queue.clone(),
            name: template.name.clone(),
            target: target.clone(),
            gate: self.gates.of(&template.queue, &template.name),
            lines: BTreeMap::new(),
            len: 0,
        };
        let place = match self.free.pop() {
            Some(place) => place,
            None => self.classes.len(),
        };
        match self.classes.get_mut(place) {
            Some(freed) => *freed = class,
            None => self.classes.push(class),
        }
        let names = self.places.entry(template.queue.clone()).or_default();
        names.entry(template.name.clone()).or_default().insert(target.clone(), place);
        place
    }

    /// Puts a task into its line: at the end, or if it was started before, and that run is over, at the
    /// front. It came before those that wait, and whoever waits for it has waited longest.
    pub(super) fn push(&mut self, record: &Record, target: &Target, task: TaskId) {
        self.join(record, target, task, record.waits_again());
    }

    /// Puts a task that waited elsewhere at the front of its line: it came before those that stand there.
    pub(super) fn push_first(&mut self, record: &Record, task: TaskId) {
        let target = record.particulars.as_ref().map_or(&Target::Anywhere, |said| &said.target);
        self.join(record, target, task, true);
    }

    fn join(&mut self, record: &Record, target: &Target, task: TaskId, is_first: bool) {
        let place = self.class(&record.template, target);
        let Some(class) = self.classes.get_mut(place) else {
            return;
        };
        let priority = record.template.options.priority().min(PRIORITY_MAX);
        let key = record.particulars.as_ref().and_then(|said| said.fairness_key.as_deref());
        let weight = record.particulars.as_ref().and_then(|said| said.fairness_weight);
        let line = class.lines.entry(priority).or_default();
        line.push(key.map(|key| (key, weight.unwrap_or(1))), record.waits_since(), task, is_first);
        class.len += 1;
        self.len += 1;
        self.waited_for.insert(place);
    }

    /// Takes out the first in line of a class.
    pub(super) fn pop(&mut self, place: usize) -> Option<TaskId> {
        let priority = self.head(place)?.priority;
        let class = self.classes.get_mut(place)?;
        let line = class.lines.get_mut(&priority)?;
        let task = line.pop()?;
        if line.is_empty() {
            class.lines.remove(&priority);
        }
        class.len -= 1;
        self.len -= 1;
        if class.len == 0 {
            self.waited_for.remove(&place);
        }
        Some(task)
    }

    /// The first in line of a class.
    pub(super) fn head(&self, class: usize) -> Option<Head> {
        let behind = self.classes.get(class)?;
        let rank = behind.gate.as_ref().and_then(|gate| gate.rank).unwrap_or(0);
        let heads = behind.lines.iter().filter_map(|(priority, line)| {
            let came = line.front()?;
            let urgent_at = came + AGING.times((PRIORITY_MAX - priority).into());
            let (urgent_at, came, class) = (Reverse(urgent_at), Reverse(came), Reverse(class));
            Some(Head { rank, turn: Reverse(0), urgent_at, came, class, priority: *priority })
        });
        heads.max()
    }

    /// The classes in which anybody waits.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = usize> {
        self.waited_for.iter().copied()
    }

    /// The first in line of each class in which anybody waits.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head> {
        self.waited_for.iter().filter_map(|class| self.head(*class))
    }

    /// How many tasks of a class wait.
    pub(super) fn waiting(&self, class: usize) -> usize {
        self.classes.get(class).map_or(0, |class| class.len)
    }

    pub(super) fn classes(&self) -> &[Class] {
        &self.classes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Drops tasks that do not wait any more, if they may be more than half of all: nobody may come
    /// for their class who would find out. The same with classes in which nobody waits: of nodes that are
    /// gone and of jobs that are removed nobody will. Places of classes hold until then.
    pub(super) fn sweep(&mut self, waits: impl Fn(TaskId) -> bool) {
        if self.len > self.swept * 2 + SLACK {
            self.retain(waits);
            self.swept = self.len;
        }
        let empty = self.classes.len() - self.free.len() - self.waited_for.len();
        if empty > self.waited_for.len() + SLACK {
            self.drop_empty();
        }
    }

    fn drop_empty(&mut self) {
        let Self { free, places, waited_for, .. } = self;
        for names in places.values_mut() {
            for targets in names.values_mut() {
                targets.retain(|_, place| {
                    let is_waited_for = waited_for.contains(place);
                    if !is_waited_for {
                        free.push(*place);
                    }
                    is_waited_for
                });
            }
            names.retain(|_, targets| !targets.is_empty());
        }
        places.retain(|_, names| !names.is_empty());
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.retain(|task| task.partition() != partition);
    }

    fn retain(&mut self, keep: impl Fn(TaskId) -> bool) {
        for (place, class) in self.classes.iter_mut().enumerate() {
            class.lines.retain(|_, line| {
                line.retain(&keep);
                !line.is_empty()
            });
            class.len = class.lines.values().map(Line::len).sum();
            if class.len == 0 {
                self.waited_for.remove(&place);
            }
        }
        self.len = self.classes.iter().map(|class| class.len).sum();
    }
}

#[cfg(test)]
mod tests;
