//! Tasks that wait for a slot: an index over records, rebuilt at each takeover.
//!
//! Tasks of one queue, one name and one target form a *class*: whatever executor may run one of them may
//! run all.
//!
//! # Order
//! Classes compete for slots of a [pool](contest). Those of one queue and one priority are a *level*:
//! 1. between levels priority decides, and then first come first served. **Priority grows with waiting**: by
//!    one for each [`AGING`], so that what is never urgent comes to its turn whatever else there is. All that
//!    wait age alike, so who is first of two does not change while they wait: it is whoever has come first, if each
//!    step of priority counts as [`AGING`]. No clock is asked. A level is as old as the one in it that has
//!    waited longest and may start, whoever's turn it is: a tenant that has just come does not make those younger
//!    that wait with it;
//! 2. within a level those on whose behalf tasks are have [turns](tenants), whatever names and targets their tasks
//!    have: a long line of one must not keep others from theirs. Of tasks without a fairness key all are one
//!    tenant among the others;
//! 3. of one tenant it is first come first served. Whoever joins late, because it waited for a limit or its next
//!    attempt, stands where it came: behind all that have waited longer.
//!
//! So aging is for levels, and a share within a level is for its turns to give: a tenant cannot have more by
//! waiting longer. Tasks that are stopped by a rule or a limit, and those that the executor in question may not
//! run, take no part, and have hardly any turns to make up for afterwards.
//!
//! Without keys a level is nothing but its tasks in the order in which they came, so there nothing is kept
//! of levels: they begin with the first task that has a key.

mod arrivals;
mod contest;
mod line;
mod tenants;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::arrivals::Arrival;
pub(super) use self::contest::Contest;
use self::contest::Front;
pub(super) use self::line::Line;
use self::tenants::Levels;
pub(super) use self::tenants::Tenants;
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
    levels: Levels,
    len: usize,
    /// How many were left when tasks that do not wait any more were last swept out.
    swept: usize,
}

/// Who has waited longest of a class and a priority; the greatest of several is to be served first.
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

    pub(super) const fn priority(self) -> u8 {
        self.priority
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
    /// Of whose slots they compete for: as far as this node's executor says, or else any other's. Not known
    /// until there was one. With executors whose pools differ it is no more than which classes take turns.
    pool: Option<usize>,
    /// By priority; none of them is empty.
    lines: BTreeMap<u8, Line>,
    len: usize,
}

/// A task that was taken out of its line.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) task: TaskId,
    pub(super) class: usize,
    priority: u8,
    from: line::Taken,
}

impl Class {
    fn head(&self, place: usize, priority: u8, line: &Line) -> Option<Head> {
        let rank = self.gate.as_ref().and_then(|gate| gate.rank).unwrap_or(0);
        let came = line.oldest()?;
        let urgent_at = came + AGING.times((PRIORITY_MAX - priority).into());
        let (urgent_at, came, class) = (Reverse(urgent_at), Reverse(came), Reverse(place));
        Some(Head { rank, turn: Reverse(0), urgent_at, came, class, priority })
    }
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
            pool: None,
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

    /// Puts a task into its line.
    pub(super) fn push(&mut self, record: &Record, target: &Target, task: TaskId) {
        let place = self.class(&record.template, target);
        let priority = record.template.options.priority().min(PRIORITY_MAX);
        let key = record.particulars.as_ref().and_then(|said| said.fairness_key.as_deref());
        let weight = record.particulars.as_ref().and_then(|said| said.fairness_weight);
        if key.is_some() {
            self.begin_level(place, priority);
        }
        let Some(class) = self.classes.get_mut(place) else {
            return;
        };
        let shared = self.levels.get_mut(&class.queue, class.pool, priority);
        let line = class.lines.entry(priority).or_default();
        let key = key.map(|key| (key, weight));
        line.push(key, Arrival::of(record, task), shared);
        class.len += 1;
        self.len += 1;
        self.waited_for.insert(place);
    }

    /// Those of a class and a priority have turns from now on, with all others of their level.
    fn begin_level(&mut self, place: usize, priority: u8) {
        let Some(Class { queue, pool, .. }) = self.classes.get(place) else {
            return;
        };
        if self.levels.get(queue, *pool, priority).is_some() {
            return;
        }
        let mut shared = Tenants::default();
        let others = self.places.get(queue).into_iter().flat_map(BTreeMap::values);
        for other in others.flat_map(BTreeMap::values) {
            let other = self.classes.get(*other).filter(|other| other.pool == *pool);
            // None of them has a key: there would be a level.
            if let Some(line) = other.and_then(|other| other.lines.get(&priority)) {
                line.join_plain(&mut shared);
            }
        }
        self.levels.insert(queue, *pool, priority, shared);
    }

    /// Tasks of a class compete for slots of `pool`, as an executor says: be it that of this node or not.
    pub(super) fn competes(&mut self, place: usize, pool: usize, is_home: bool) {
        let Some(class) = self.classes.get_mut(place) else {
            return;
        };
        if class.pool == Some(pool) || (class.pool.is_some() && !is_home) {
            return;
        }
        for (priority, line) in &class.lines {
            if let Some(shared) = self.levels.get_mut(&class.queue, class.pool, *priority) {
                line.leave(shared);
            }
        }
        let lines = std::mem::take(&mut class.lines);
        class.pool = Some(pool);
        for (priority, mut line) in lines {
            if line.has_keys() {
                self.begin_level(place, priority);
            }
            if let Some(class) = self.classes.get_mut(place) {
                if let Some(shared) = self.levels.get_mut(&class.queue, Some(pool), priority) {
                    line.join(shared);
                }
                class.lines.insert(priority, line);
            }
        }
    }

    /// Takes out the first in line of a class and a priority. What becomes of it is to be
    /// [said](Self::settle) before anything else is asked.
    pub(super) fn pop(&mut self, place: usize, priority: u8) -> Option<Taken> {
        let class = self.classes.get_mut(place)?;
        let line = class.lines.get_mut(&priority)?;
        let shared = self.levels.get(&class.queue, class.pool, priority);
        let from = line.pop(shared)?;
        if line.is_empty() {
            class.lines.remove(&priority);
        }
        class.len -= 1;
        self.len -= 1;
        if class.len == 0 {
            self.waited_for.remove(&place);
        }
        Some(Taken { task: from.task, class: place, priority, from })
    }

    /// What was taken out is served, or else it does not wait any more, or for something else.
    pub(super) fn settle(&mut self, taken: &Taken, is_served: bool, others_take_turns: bool) {
        let Some(class) = self.classes.get(taken.class) else {
            return;
        };
        let shared = self.levels.get_mut(&class.queue, class.pool, taken.priority);
        let (Some(shared), from) = (shared, &taken.from) else {
            return;
        };
        if is_served && (from.is_contested || others_take_turns) {
            shared.served(&from.tenant);
        } else if is_served {
            shared.served_alone(&from.tenant);
        }
        if from.has_left {
            shared.leaves(&from.tenant);
        }
    }

    /// Who has waited longest of a class and a priority.
    pub(super) fn head(&self, place: usize, priority: u8) -> Option<Head> {
        let class = self.classes.get(place)?;
        class.head(place, priority, class.lines.get(&priority)?)
    }

    /// Who has waited longest of a class, by priority.
    fn heads_of(&self, place: usize) -> impl Iterator<Item = Head> {
        let class = self.classes.get(place).into_iter();
        class.flat_map(move |class| {
            let lines = class.lines.iter();
            lines.filter_map(move |(priority, line)| class.head(place, *priority, line))
        })
    }

    /// The most urgent of a class.
    pub(super) fn most_urgent(&self, class: usize) -> Option<Head> {
        self.heads_of(class).max()
    }

    /// The number of the level of `head`, if it has turns.
    fn level_of(&self, head: Head) -> Option<u64> {
        if self.levels.is_empty() {
            return None;
        }
        let class = self.classes.get(head.class())?;
        Some(self.levels.get(&class.queue, class.pool, head.priority)?.level())
    }

    /// Whose turn it is in a class at a priority, and the number of that level, if it has turns.
    fn front(&mut self, place: usize, priority: u8) -> Option<(u64, Front)> {
        let class = self.classes.get_mut(place)?;
        let shared = self.levels.get(&class.queue, class.pool, priority)?;
        let (turn, first) = class.lines.get_mut(&priority)?.front(shared)?;
        Some((shared.level(), Front { turn, came: first.came, class: place }))
    }

    /// The classes in which anybody waits.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = usize> {
        self.waited_for.iter().copied()
    }

    /// The most urgent of each class in which anybody waits.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head> {
        self.waited_for.iter().filter_map(|class| self.most_urgent(*class))
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
        self.levels.sweep();
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
            let (queue, pool) = (&class.queue, class.pool);
            class.lines.retain(|priority, line| {
                line.retain(&keep, self.levels.get_mut(queue, pool, *priority));
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
