//! Tasks that wait for a limit of theirs: an index over records, rebuilt at each takeover.
//!
//! They stand apart from those that wait for a slot, so they take none and keep nobody from one. When there
//! is room for a task of their key the first of each *kind* join the line, those of one queue, name and target:
//! which of them can be run anywhere is not known here, and none that cannot may keep the others waiting.
//! Only what is about to be leased counts against the room; who comes to the head of the line and finds none is
//! set aside again, where it stood.
//!
//! # Order
//! Tasks of one kind go as [those that wait for a slot](super::ready) do: by priority with aging, then in turn
//! of their tenants, then first come first served; if the first has no room the others wait for it.
//! Those of other kinds may pass it, or a slow one would hold up all, but not for ever: while one waits for
//! room that some executor could run, whoever is behind it by more than [a step of priority](AGING) does not
//! pass it. So one that must run alone comes to its turn, however many there are that need not.

mod keys;

use std::sync::Arc;

pub(super) use self::keys::Throttled;
use self::keys::{Kind, Place};
use super::Scheduler;
use crate::id::{GroupId, TaskId};
#[cfg(doc)]
use crate::limits::AGING;
use crate::partition::KeyRoom;
use crate::task::{Record, State};
use crate::time::{Span, Wall};

/// Partition time that is behind this node's clock may catch up at once, and executors come and go: it is looked
/// again so soon.
const LOOK_AGAIN: Span = Span::from_millis(5_000);

/// Who is passed no more by those far behind it.
struct Elder {
    kind: Arc<Kind>,
    place: Place,
}

impl Elder {
    fn keeps_back(&self, kind: &Kind, place: Place) -> bool {
        *self.kind != *kind && place.is_far_behind(self.place)
    }
}

fn key_of(record: &Record) -> Option<&str> {
    record.particulars.as_ref()?.limit_key.as_deref()
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
        let now = self.now.tick;
        if matches!(room, KeyRoom::For(room) if room > self.throttled.promised(&key)) {
            self.throttled.promise(&key, &record, task);
            return true;
        }
        self.throttled.set_aside(&key, &record, task);
        drop(record);
        if let Some(pause) = self.pause(task, room) {
            self.throttled.look_again_within(&key, now, pause);
        }
        false
    }

    /// Sets a task aside that would join the line, if there is no room for it or others are before it; whether
    /// it does. If it is its turn it has joined by then.
    pub(super) fn throttle(&mut self, task: TaskId) -> bool {
        let Some((key, room)) = self.room_for(task) else {
            return false;
        };
        self.throttled.settle(task);
        let replica = self.replicas.get(&GroupId::of(task.partition()));
        let Some(record) = replica.and_then(|r| r.partition()).and_then(|p| p.record(task)) else {
            return false;
        };
        let has_room = matches!(room, KeyRoom::For(room) if room > self.throttled.promised(&key));
        if has_room && !self.throttled.waits(&key) {
            self.throttled.let_by(&key, &record, task);
            return false;
        }
        self.throttled.set_aside(&key, &record, task);
        drop(record);
        self.free_key(&key);
        true
    }

    /// The limit key of a task, and what room there is for such tasks.
    pub(super) fn room_for(&self, task: TaskId) -> Option<(Arc<str>, KeyRoom)> {
        let now = self.time_in(task)?;
        let partition = self.owned(task.partition())?;
        let room = partition.key_room(task, now)?;
        let record = partition.record(task)?;
        Some((key_of(&record)?.into(), room))
    }

    fn time_in(&self, task: TaskId) -> Option<Wall> {
        let partition = task.partition();
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
        let kinds = self.throttled.kinds(key);
        let elder = self.elder(key, &kinds);
        for kind in kinds {
            self.free_kind(key, &kind, elder.as_ref());
        }
        self.throttled.tidy(key);
    }

    /// The most urgent of those that wait until others have ended and that some executor could run. One for which
    /// there is room, and no slot, keeps nobody back: it might for ever.
    fn elder(&mut self, key: &str, kinds: &[Arc<Kind>]) -> Option<Elder> {
        if kinds.len() < 2 {
            return None;
        }
        let mut elders = Vec::new();
        for kind in kinds {
            let replicas = &self.replicas;
            let aside = self.throttled.first(key, kind, |task| {
                let replica = replicas.get(&GroupId::of(task.partition()));
                waits(replica.and_then(|replica| replica.partition()?.state(task)))
            });
            let is_stuck = |place: &Place| {
                let room = self.room_for(place.task());
                matches!(room, Some((_, KeyRoom::AfterAnother)))
            };
            if let Some(place) = aside.filter(is_stuck) {
                elders.push((place, kind));
            }
        }
        elders.sort_unstable();
        let (place, kind) =
            elders.into_iter().find(|(place, kind)| self.is_runnable(place.task(), kind))?;
        Some(Elder { kind: Arc::clone(kind), place })
    }

    /// Whether some executor could run a task, if it had a slot.
    fn is_runnable(&mut self, task: TaskId, kind: &Kind) -> bool {
        let record = self.owned(task.partition()).and_then(|partition| partition.record(task));
        let Some(template) = record.map(|record| Arc::clone(&record.template)) else {
            return false;
        };
        let class = self.ready.class(&template, &kind.target);
        let has_slots = |(lessee, _)| {
            let profile = self.lessees.profile_of(lessee);
            profile.is_some_and(|profile| profile.has_slots(&template.queue, &template.name))
        };
        self.is_open(class) && self.executors_for(class).into_iter().any(has_slots)
    }

    fn free_kind(&mut self, key: &str, kind: &Arc<Kind>, elder: Option<&Elder>) {
        let replicas = &self.replicas;
        let partition = |task: TaskId| replicas.get(&GroupId::of(task.partition()))?.partition();
        let still_waits = |task: TaskId| waits(partition(task).and_then(|it| it.state(task)));
        while let Some(first) = self.throttled.first(key, kind, still_waits) {
            let task = first.task();
            let Some((_, room)) = self.room_for(task) else {
                return;
            };
            let left = match room {
                KeyRoom::For(room) => room.saturating_sub(self.throttled.promised(key)),
                KeyRoom::AfterAnother | KeyRoom::At(_) => 0,
            };
            let is_kept_back = elder.is_some_and(|elder| elder.keeps_back(kind, first));
            if is_kept_back || !self.throttled.may_join(key, kind, left, first) {
                let pause = if is_kept_back { Some(LOOK_AGAIN) } else { self.pause(task, room) };
                if let Some(pause) = pause {
                    self.throttled.look_again_within(key, self.now.tick, pause);
                }
                return;
            }
            self.throttled.release(key, kind);
            if let Some(record) = partition(task).and_then(|partition| partition.record(task)) {
                self.ready.push(&record, &kind.target, task);
            }
        }
    }

    /// After which time there may be room again for a task that waits because of `room`: when what runs has
    /// ended that is told, but nobody tells when a rate has room.
    fn pause(&self, task: TaskId, room: KeyRoom) -> Option<Span> {
        let partition = self.owned(task.partition());
        let rate = partition.and_then(|p| p.record(task)).and_then(|r| r.template.options.rate);
        match (room, rate) {
            (KeyRoom::At(at), _) => self.time_in(task).map(|time| at.since(time).min(LOOK_AGAIN)),
            (KeyRoom::For(room), Some(rate)) => Some(rate.time_of(room.clamp(1, 1_000))),
            (KeyRoom::For(_), None) | (KeyRoom::AfterAnother, _) => None,
        }
    }

    /// Looks again at keys of which nobody tells when there is room.
    pub(super) fn free_due(&mut self) {
        while let Some(key) = self.throttled.pop_due(self.now.tick) {
            self.free_key(&key);
        }
    }
}

fn waits(state: Option<State>) -> bool {
    matches!(state, Some(State::Ready | State::Scheduled))
}
