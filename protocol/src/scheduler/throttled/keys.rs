//! Who waits for a limit, by limit key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{PartitionId, TaskId};
use crate::job::Target;
use crate::limits::AGING;
use crate::scheduler::ready::{Arrival, Line, Tenants};
use crate::task::Record;
use crate::time::{Span, Tick, Wall};

/// It is not looked again sooner.
const SOON: Span = Span::from_millis(1);
/// So few are not worth a sweep.
const SLACK: usize = 1_024;

/// Tasks that wait for a limit.
#[derive(Debug, Default)]
pub(in crate::scheduler) struct Throttled {
    keys: BTreeMap<Arc<str>, Key>,
    /// Those that are in line or about to be leased: when nothing comes of that, their records may be gone.
    going: BTreeMap<TaskId, Going>,
    /// When it is looked again at a key though nothing has happened.
    due: BTreeSet<(Tick, Arc<str>)>,
    len: usize,
    /// How many were left when those that do not wait any more were last swept out.
    swept: usize,
}

#[derive(Debug)]
struct Key {
    partition: PartitionId,
    kinds: BTreeMap<Arc<Kind>, Waiting>,
    /// Whose turn it is of those that are set aside, by priority.
    turns: BTreeMap<u8, Tenants>,
    /// About to be leased.
    promised: BTreeSet<TaskId>,
    due: Option<Tick>,
}

/// What tasks have in common that the same executors may run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    queue: String,
    name: String,
    pub(super) target: Target,
}

impl Kind {
    fn of(record: &Record) -> Self {
        let (queue, name) = (record.template.queue.clone(), record.template.name.clone());
        let said = record.particulars.as_ref();
        Self { queue, name, target: said.map(|said| said.target.clone()).unwrap_or_default() }
    }
}

/// Tasks of one key and one kind.
#[derive(Debug, Default)]
struct Waiting {
    /// By priority; none of them is empty.
    aside: BTreeMap<u8, Line>,
    /// Those that were let go and are in line.
    released: BTreeSet<Place>,
}

#[derive(Debug)]
struct Going {
    key: Arc<str>,
    kind: Arc<Kind>,
    place: Place,
}

/// How urgent a task is, as for [those that wait for a slot](crate::scheduler::ready).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    urgent_at: Wall,
    arrival: Arrival,
}

impl Place {
    fn of(record: &Record, task: TaskId) -> Self {
        Self::at(record.template.options.priority(), Arrival::of(record, task))
    }

    fn at(priority: u8, arrival: Arrival) -> Self {
        let steps = 9_u8.saturating_sub(priority);
        Self { urgent_at: arrival.came + AGING.times(steps.into()), arrival }
    }

    pub(super) const fn task(self) -> TaskId {
        self.arrival.task
    }

    /// Whether it must not pass `other` any more.
    pub(super) fn is_far_behind(self, other: Self) -> bool {
        self.urgent_at > other.urgent_at + AGING
    }
}

impl Waiting {
    /// The priority of whoever is the most urgent of those set aside.
    fn most_urgent(&self) -> Option<u8> {
        let oldest = |(priority, line): (&u8, &Line)| {
            let came = line.oldest()?;
            Some((came + AGING.times(9_u8.saturating_sub(*priority).into()), came, *priority))
        };
        self.aside.iter().filter_map(oldest).min().map(|(.., priority)| priority)
    }

    fn is_empty(&self) -> bool {
        self.aside.is_empty() && self.released.is_empty()
    }
}

impl Key {
    fn new(partition: PartitionId) -> Self {
        Self {
            partition,
            kinds: BTreeMap::new(),
            turns: BTreeMap::new(),
            promised: BTreeSet::new(),
            due: None,
        }
    }

    /// The first of a kind of those set aside.
    fn first(&mut self, kind: &Kind) -> Option<(u8, Arrival)> {
        let waiting = self.kinds.get_mut(kind)?;
        let priority = waiting.most_urgent()?;
        let (_, first) = waiting.aside.get_mut(&priority)?.front(self.turns.get(&priority)?)?;
        Some((priority, first))
    }

    /// Takes that one out.
    fn take_first(&mut self, kind: &Kind, priority: u8, is_served: bool) {
        let (Some(waiting), Some(turns)) =
            (self.kinds.get_mut(kind), self.turns.get_mut(&priority))
        else {
            return;
        };
        let Some(line) = waiting.aside.get_mut(&priority) else {
            return;
        };
        let Some(taken) = line.pop(Some(turns)) else {
            return;
        };
        if line.is_empty() {
            waiting.aside.remove(&priority);
        }
        if is_served {
            turns.served(&taken.tenant);
        }
        if taken.has_left {
            turns.leaves(&taken.tenant);
        }
    }

    /// Drops what is empty; whether all of it is.
    fn tidy(&mut self) -> bool {
        self.kinds.retain(|_, waiting| !waiting.is_empty());
        if self.kinds.is_empty() {
            self.turns.clear();
        }
        self.kinds.is_empty() && self.promised.is_empty()
    }
}

impl Throttled {
    pub(in crate::scheduler) const fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(in crate::scheduler) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.going.is_empty()
    }

    /// When it is to be looked again at one of them.
    pub(in crate::scheduler) fn next(&self) -> Tick {
        self.due.first().map_or(Tick::NEVER, |(at, _)| *at)
    }

    /// Whether any task of this key is set aside, or was let go and is in line.
    pub(in crate::scheduler) fn waits(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|key| !key.kinds.is_empty())
    }

    /// Whether a task of some key is in line, or about to be leased.
    pub(in crate::scheduler) fn goes(&self, task: TaskId) -> bool {
        self.going.contains_key(&task)
    }

    pub(super) fn kinds(&self, key: &str) -> Vec<Arc<Kind>> {
        let kinds = self.keys.get(key).into_iter().flat_map(|key| key.kinds.keys());
        kinds.cloned().collect()
    }

    pub(super) fn promised(&self, key: &str) -> u32 {
        let promised = self.keys.get(key).map_or(0, |key| key.promised.len());
        u32::try_from(promised).unwrap_or(u32::MAX)
    }

    /// The name, the tasks, and the kind of a record there.
    fn open(
        &mut self,
        key: &str,
        record: &Record,
        task: TaskId,
    ) -> (Arc<str>, &mut Key, Arc<Kind>) {
        let name = match self.keys.get_key_value(key) {
            Some((name, _)) => Arc::clone(name),
            None => key.into(),
        };
        let new = || Key::new(task.partition());
        let at = self.keys.entry(Arc::clone(&name)).or_insert_with(new);
        let kind = Kind::of(record);
        let kind = match at.kinds.get_key_value(&kind) {
            Some((kind, _)) => Arc::clone(kind),
            None => Arc::new(kind),
        };
        (name, at, kind)
    }

    /// Sets a task aside: one that has just come, or one that has come to the head of its line in vain.
    pub(super) fn set_aside(&mut self, key: &str, record: &Record, task: TaskId) {
        self.take_back(task);
        let (_, at, kind) = self.open(key, record, task);
        let priority = record.template.options.priority();
        let said = record.particulars.as_ref();
        let tenant = said.and_then(|said| said.fairness_key.as_deref());
        let tenant = tenant.map(|tenant| (tenant, said.and_then(|said| said.fairness_weight)));
        let turns = at.turns.entry(priority).or_default();
        let line = at.kinds.entry(kind).or_default().aside.entry(priority).or_default();
        line.push(tenant, Arrival::of(record, task), Some(turns));
        self.len += 1;
    }

    /// A task joins the line at once: nobody is before it.
    pub(super) fn let_by(&mut self, key: &str, record: &Record, task: TaskId) {
        let place = Place::of(record, task);
        let (key, at, kind) = self.open(key, record, task);
        at.kinds.entry(Arc::clone(&kind)).or_default().released.insert(place);
        self.going.insert(task, Going { key, kind, place });
    }

    /// A task is about to be leased.
    pub(super) fn promise(&mut self, key: &str, record: &Record, task: TaskId) {
        self.take_back(task);
        let place = Place::of(record, task);
        let (key, at, kind) = self.open(key, record, task);
        at.promised.insert(task);
        self.going.insert(task, Going { key, kind, place });
    }

    /// A task is in line or about to be leased no more; its key, if it was.
    pub(super) fn settle(&mut self, task: TaskId) -> Option<Arc<str>> {
        let key = self.take_back(task)?;
        self.tidy(&key);
        Some(key)
    }

    fn take_back(&mut self, task: TaskId) -> Option<Arc<str>> {
        let Going { key, kind, place } = self.going.remove(&task)?;
        let at = self.keys.get_mut(&key)?;
        at.promised.remove(&task);
        if let Some(waiting) = at.kinds.get_mut(&kind) {
            waiting.released.remove(&place);
        }
        Some(key)
    }

    /// Drops what is empty of a key.
    pub(super) fn tidy(&mut self, key: &str) {
        if self.keys.get_mut(key).is_some_and(Key::tidy)
            && let Some((name, Key { due: Some(due), .. })) = self.keys.remove_entry(key)
        {
            self.due.remove(&(due, name));
        }
    }

    /// The first of a kind that is set aside and still waits; those before it that do not are dropped.
    pub(super) fn first(
        &mut self,
        key: &str,
        kind: &Kind,
        waits: impl Fn(TaskId) -> bool,
    ) -> Option<Place> {
        let at = self.keys.get_mut(key)?;
        loop {
            let (priority, first) = at.first(kind)?;
            if waits(first.task) {
                return Some(Place::at(priority, first));
            }
            at.take_first(kind, priority, false);
            self.len -= 1;
        }
    }

    /// Whether one of a kind may join the line when there is room for so many: those in line may be more only by
    /// as many, that are more urgent.
    pub(super) fn may_join(&self, key: &str, kind: &Kind, room: u32, place: Place) -> bool {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let waiting = self.keys.get(key).and_then(|at| at.kinds.get(kind));
        let Some(released) = waiting.map(|waiting| &waiting.released) else {
            return room > 0;
        };
        let is_urgent = || released.last().is_some_and(|last| place < *last);
        released.len() < room || (released.len() < room.saturating_mul(2) && is_urgent())
    }

    /// The [first](Self::first) of a kind joins the line.
    pub(super) fn release(&mut self, key: &str, kind: &Arc<Kind>) {
        let Some((name, _)) = self.keys.get_key_value(key) else {
            return;
        };
        let name = Arc::clone(name);
        let Some(at) = self.keys.get_mut(key) else {
            return;
        };
        let Some((priority, first)) = at.first(kind) else {
            return;
        };
        at.take_first(kind, priority, true);
        self.len -= 1;
        // It may have been set aside twice, at another place each time.
        self.take_back(first.task);
        let place = Place::at(priority, first);
        if let Some(waiting) = self.keys.get_mut(key).and_then(|at| at.kinds.get_mut(kind)) {
            waiting.released.insert(place);
        }
        self.going.insert(first.task, Going { key: name, kind: Arc::clone(kind), place });
    }

    /// It is to be looked again at a key after `pause`, if not sooner.
    pub(super) fn look_again_within(&mut self, key: &str, now: Tick, pause: Span) {
        let Some((name, _)) = self.keys.get_key_value(key) else {
            return;
        };
        let (at, name) = (now + pause.max(SOON), Arc::clone(name));
        let Some(waiting) = self.keys.get_mut(key) else {
            return;
        };
        if waiting.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(before) = waiting.due.replace(at) {
            self.due.remove(&(before, Arc::clone(&name)));
        }
        self.due.insert((at, name));
    }

    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Arc<str>> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        if let Some(waiting) = self.keys.get_mut(&key) {
            waiting.due = None;
        }
        Some(key)
    }

    pub(in crate::scheduler) fn forget(&mut self, partition: PartitionId) {
        self.going.retain(|task, _| task.partition() != partition);
        self.keys.retain(|_, key| key.partition != partition);
        self.recount();
    }

    /// Drops those that do not wait any more, if they may be more than half of all.
    pub(in crate::scheduler) fn sweep(&mut self, waits: impl Fn(TaskId) -> bool) {
        if self.len <= self.swept * 2 + SLACK {
            return;
        }
        self.keys.retain(|_, key| {
            for waiting in key.kinds.values_mut() {
                waiting.aside.retain(|priority, line| {
                    line.retain(&waits, key.turns.get_mut(priority));
                    !line.is_empty()
                });
            }
            !key.tidy()
        });
        self.recount();
        self.swept = self.len;
    }

    fn recount(&mut self) {
        let keys = &self.keys;
        self.due.retain(|(_, key)| keys.contains_key(key));
        let lines =
            keys.values().flat_map(|key| key.kinds.values()).flat_map(|it| it.aside.values());
        self.len = lines.map(Line::len).sum();
    }
}
