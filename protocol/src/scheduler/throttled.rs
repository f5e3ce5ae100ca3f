//! Tasks that wait for a limit of theirs: an index over records, rebuilt at each takeover.
//!
//! They stand apart from those that wait for a slot, so they take none and keep nobody from one. When there
//! is room for a task of their key the first of each *kind* join the line, those of one name and queue that ask
//! for the same limits: which of them can be run anywhere is not known here, and none that cannot may keep the
//! others waiting. Only what is about to be leased counts against the room; who comes to the head of the line
//! and finds none is set aside again, where it stood.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Scheduler;
use crate::id::{GroupId, PartitionId, TaskId};
use crate::limits::AGING;
use crate::partition::KeyRoom;
use crate::task::{Rate, Record, State};
use crate::time::{Span, Tick, Wall};

/// Partition time that is behind this node's clock may catch up at once: it is looked again so soon.
const LOOK_AGAIN: Span = Span::from_millis(5_000);
/// It is not looked again sooner.
const SOON: Span = Span::from_millis(1);
/// So few are not worth a sweep.
const SLACK: usize = 1_024;

/// Tasks that wait for a limit, by limit key.
#[derive(Debug, Default)]
pub(super) struct Throttled {
    keys: BTreeMap<Arc<str>, Key>,
    /// The keys and kinds of those that are in line or about to be leased: when nothing comes of that, their records
    /// may be gone.
    going: BTreeMap<TaskId, (Arc<str>, Kind)>,
    /// When it is looked again at those that a rate holds back.
    due: BTreeSet<(Tick, Arc<str>)>,
    len: usize,
    /// How many were left when those that do not wait any more were last swept out.
    swept: usize,
}

#[derive(Debug)]
struct Key {
    partition: PartitionId,
    kinds: BTreeMap<Kind, Line>,
    /// About to be leased.
    promised: BTreeSet<TaskId>,
    due: Option<Tick>,
}

/// What tasks have in common of which one may start as soon as another, as far as their key says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    queue: String,
    name: String,
    concurrency: Option<u16>,
    rate: Option<Rate>,
}

impl Kind {
    fn of(record: &Record) -> Self {
        let options = &record.template.options;
        // One that runs alone asks for a concurrency of one.
        let (concurrency, rate) = (options.concurrency(), options.rate);
        let (queue, name) = (record.template.queue.clone(), record.template.name.clone());
        Self { queue, name, concurrency, rate }
    }
}

/// Tasks of one key and one kind.
#[derive(Debug, Default)]
struct Line {
    aside: BTreeMap<Place, TaskId>,
    /// Those that were let go and are in line.
    released: BTreeSet<TaskId>,
}

/// In which order they go: as [those that wait for a slot](super::ready) are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    urgent_at: Wall,
    came: Wall,
    order: u64,
}

impl Place {
    fn of(record: &Record) -> Self {
        let steps = 9_u8.saturating_sub(record.template.options.priority());
        let came = record.waits_since();
        Self { urgent_at: came + AGING.times(steps.into()), came, order: record.order }
    }
}

fn key_of(record: &Record) -> Option<&str> {
    record.particulars.as_ref()?.limit_key.as_deref()
}

impl Throttled {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.going.is_empty()
    }

    /// When it is to be looked again at one of them.
    pub(super) fn next(&self) -> Tick {
        self.due.first().map_or(Tick::NEVER, |(at, _)| *at)
    }

    fn key(&mut self, key: &str, partition: PartitionId) -> &mut Key {
        if !self.keys.contains_key(key) {
            let empty =
                Key { partition, kinds: BTreeMap::new(), promised: BTreeSet::new(), due: None };
            self.keys.insert(key.into(), empty);
        }
        self.keys.get_mut(key).expect("it was just put there")
    }

    /// Whether any task of this key is set aside, or was let go and is in line.
    pub(super) fn waits(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|key| !key.kinds.is_empty())
    }

    /// Whether a task of this key and kind is set aside, so that another must not go before it.
    fn has_any(&self, key: &str, kind: &Kind) -> bool {
        let kinds = self.keys.get(key).map(|key| &key.kinds);
        kinds.and_then(|kinds| kinds.get(kind)).is_some_and(|line| !line.aside.is_empty())
    }

    fn kinds(&self, key: &str) -> Vec<Kind> {
        let kinds = self.keys.get(key).into_iter().flat_map(|key| key.kinds.keys());
        kinds.cloned().collect()
    }

    fn promised(&self, key: &str) -> u32 {
        let promised = self.keys.get(key).map_or(0, |key| key.promised.len());
        u32::try_from(promised).unwrap_or(u32::MAX)
    }

    fn set_aside(&mut self, key: &str, record: &Record, task: TaskId) {
        self.going.remove(&task);
        let line = self.key(key, task.partition()).kinds.entry(Kind::of(record)).or_default();
        line.released.remove(&task);
        if line.aside.insert(Place::of(record), task).is_none() {
            self.len += 1;
        }
    }

    fn promise(&mut self, key: &Arc<str>, record: &Record, task: TaskId) {
        let kind = Kind::of(record);
        let at = self.key(key, task.partition());
        if let Some(line) = at.kinds.get_mut(&kind) {
            line.released.remove(&task);
        }
        at.promised.insert(task);
        self.going.insert(task, (Arc::clone(key), kind));
    }

    /// A task is in line or about to be leased no more; its key, if it was.
    fn settle(&mut self, task: TaskId) -> Option<Arc<str>> {
        let (key, kind) = self.going.remove(&task)?;
        let at = self.keys.get_mut(&key)?;
        at.promised.remove(&task);
        if let Some(line) = at.kinds.get_mut(&kind) {
            line.released.remove(&task);
        }
        self.tidy(&key);
        Some(key)
    }

    /// Drops what is empty.
    fn tidy(&mut self, key: &str) {
        let Some(at) = self.keys.get_mut(key) else {
            return;
        };
        at.kinds.retain(|_, line| !(line.aside.is_empty() && line.released.is_empty()));
        if at.kinds.is_empty() && at.promised.is_empty() {
            if let Some(due) = at.due {
                self.due.remove(&(due, key.into()));
            }
            self.keys.remove(key);
        }
    }

    /// It is to be looked again at a key after `pause`, if not sooner.
    fn look_again_within(&mut self, key: &str, now: Tick, pause: Option<Span>) {
        let (Some(pause), Some((name, _))) = (pause, self.keys.get_key_value(key)) else {
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

    fn pop_due(&mut self, now: Tick) -> Option<Arc<str>> {
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

    /// Takes out the first of a kind that are set aside and still wait, as long as fewer than `room` of it are in
    /// line.
    fn release(
        &mut self,
        key: &str,
        kind: &Kind,
        room: u32,
        waits: impl Fn(TaskId) -> bool,
    ) -> Vec<TaskId> {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let mut released = Vec::new();
        let Some((name, _)) = self.keys.get_key_value(key) else {
            return released;
        };
        let name = Arc::clone(name);
        let Some(line) = self.keys.get_mut(key).and_then(|key| key.kinds.get_mut(kind)) else {
            return released;
        };
        while line.released.len() < room
            && let Some((_, task)) = line.aside.pop_first()
        {
            self.len -= 1;
            if waits(task) {
                line.released.insert(task);
                self.going.insert(task, (Arc::clone(&name), kind.clone()));
                released.push(task);
            }
        }
        released
    }

    /// The first of a kind that is set aside and still waits.
    fn first(&mut self, key: &str, kind: &Kind, waits: impl Fn(TaskId) -> bool) -> Option<TaskId> {
        let line = self.keys.get_mut(key)?.kinds.get_mut(kind)?;
        while let Some(first) = line.aside.first_entry() {
            if waits(*first.get()) {
                return Some(*first.get());
            }
            first.remove();
            self.len -= 1;
        }
        None
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.keys.retain(|_, key| key.partition != partition);
        self.going.retain(|task, _| task.partition() != partition);
        let keys = &self.keys;
        self.due.retain(|(_, key)| keys.contains_key(key));
        self.count();
    }

    /// Drops those that do not wait any more, if they may be more than half of all.
    pub(super) fn sweep(&mut self, waits: impl Fn(TaskId) -> bool) {
        if self.len <= self.swept * 2 + SLACK {
            return;
        }
        for line in self.keys.values_mut().flat_map(|key| key.kinds.values_mut()) {
            line.aside.retain(|_, task| waits(*task));
        }
        let is_empty = |line: &Line| line.aside.is_empty() && line.released.is_empty();
        self.keys.retain(|_, key| {
            key.kinds.retain(|_, line| !is_empty(line));
            !(key.kinds.is_empty() && key.promised.is_empty())
        });
        let keys = &self.keys;
        self.due.retain(|(_, key)| keys.contains_key(key));
        self.count();
        self.swept = self.len;
    }

    fn count(&mut self) {
        let lines = self.keys.values().flat_map(|key| key.kinds.values());
        self.len = lines.map(|line| line.aside.len()).sum();
    }
}

impl Scheduler {
    /// Whether a task that has come to the head of its line may be leased, as far as its limit key says. If so
    /// it is about to be; otherwise it is set aside.
    pub(super) fn may_be_leased(&mut self, task: TaskId) -> bool {
        let Some((key, room)) = self.room_for(task) else {
            return true;
        };
        let replica = self.replicas.get(&GroupId::of(task.partition()));
        let Some(record) = replica.and_then(|r| r.partition()).and_then(|p| p.record(task)) else {
            return true;
        };
        if matches!(room, KeyRoom::For(room) if room > self.throttled.promised(&key)) {
            self.throttled.promise(&key, &record, task);
            return true;
        }
        self.throttled.set_aside(&key, &record, task);
        drop(record);
        let pause = self.pause(task, room);
        self.throttled.look_again_within(&key, self.now.tick, pause);
        false
    }

    /// Sets a task aside that would join the line, if there is no room for it or others are before it; whether
    /// it does.
    pub(super) fn throttle(&mut self, task: TaskId) -> bool {
        let Some((key, room)) = self.room_for(task) else {
            return false;
        };
        let replica = self.replicas.get(&GroupId::of(task.partition()));
        let Some(record) = replica.and_then(|r| r.partition()).and_then(|p| p.record(task)) else {
            return false;
        };
        let kind = Kind::of(&record);
        self.throttled.settle(task);
        let has_room = matches!(room, KeyRoom::For(room) if room > self.throttled.promised(&key));
        if has_room && !self.throttled.has_any(&key, &kind) {
            return false;
        }
        self.throttled.set_aside(&key, &record, task);
        drop(record);
        self.free_key(&key);
        true
    }

    /// The limit key of a task, and what room there is for such tasks.
    pub(super) fn room_for(&self, task: TaskId) -> Option<(Arc<str>, KeyRoom)> {
        let now = self.time_in(task.partition())?;
        let partition = self.owned(task.partition())?;
        let room = partition.key_room(task, now)?;
        let record = partition.record(task)?;
        Some((key_of(&record)?.into(), room))
    }

    fn time_in(&self, partition: PartitionId) -> Option<Wall> {
        let known = self.owned(partition)?.now();
        Some(known.max(self.partition_time(GroupId::of(partition))))
    }

    /// A task was leased, or was not, or has ended: it is no longer about to be leased. If nothing came of
    /// that there is room for others.
    pub(super) fn settle_throttled(&mut self, task: TaskId, was_leased: bool) {
        if let Some(key) = self.throttled.settle(task)
            && !was_leased
        {
            self.free_key(&key);
        }
    }

    /// Lets those go for whom there is room.
    pub(super) fn free_key(&mut self, key: &str) {
        for kind in self.throttled.kinds(key) {
            self.free_kind(key, &kind);
        }
        self.throttled.tidy(key);
    }

    fn free_kind(&mut self, key: &str, kind: &Kind) {
        let replicas = &self.replicas;
        let record = |task: TaskId| {
            let replica = replicas.get(&GroupId::of(task.partition()));
            replica.and_then(|replica| replica.partition()?.record(task))
        };
        let waits = |task: TaskId| {
            let replica = replicas.get(&GroupId::of(task.partition()));
            let state = replica.and_then(|replica| replica.partition()?.state(task));
            matches!(state, Some(State::Ready | State::Scheduled))
        };
        let first = self.throttled.first(key, kind, waits);
        let Some((_, room)) = first.and_then(|first| self.room_for(first)) else {
            return;
        };
        if let KeyRoom::For(room) = room {
            let room = room.saturating_sub(self.throttled.promised(key));
            // The first of them is to be the first in line.
            for task in self.throttled.release(key, kind, room, waits).into_iter().rev() {
                if let Some(record) = record(task) {
                    self.ready.push_first(&record, task);
                }
            }
        }
        if let Some(left) = self.throttled.first(key, kind, waits) {
            let pause = self.pause(left, room);
            self.throttled.look_again_within(key, self.now.tick, pause);
        }
    }

    /// After which time there may be room again for a task that waits because of `room`: when what runs has
    /// ended that is told, but nobody tells when a rate has room.
    fn pause(&self, task: TaskId, room: KeyRoom) -> Option<Span> {
        let partition = self.owned(task.partition());
        let rate = partition.and_then(|p| p.record(task)).and_then(|r| r.template.options.rate);
        match (room, rate) {
            (KeyRoom::At(at), _) => {
                self.time_in(task.partition()).map(|time| at.since(time).min(LOOK_AGAIN))
            }
            (KeyRoom::For(room), Some(rate)) => Some(rate.time_of(room.clamp(1, 1_000))),
            (KeyRoom::For(_), None) | (KeyRoom::AfterAnother, _) => None,
        }
    }

    /// Looks again at tasks that a rate holds back.
    pub(super) fn free_rated(&mut self) {
        while let Some(key) = self.throttled.pop_due(self.now.tick) {
            self.free_key(&key);
        }
    }
}
