//! The engine's timers, and what it hands out while it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use foca::{Notification, Timer};

use super::{Effect, Identity};
use crate::time::{Span, Tick};

/// What the engine wants to be told, and when; first due first, then first asked.
///
/// Bounded by the engine: a handful of periodic ones, one for each suspicion of our own, and one
/// for each member that went down and is remembered.
#[derive(Default)]
pub(super) struct Timers {
    pending: BTreeMap<(Tick, u64), Timer<Identity>>,
    asked: u64,
}

impl Timers {
    /// When the first is due, if there is any.
    pub(super) fn next_deadline(&self) -> Tick {
        self.pending.first_key_value().map_or(Tick::NEVER, |(&(due, _), _)| due)
    }

    /// Takes one that is due.
    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Timer<Identity>> {
        if self.next_deadline() > now {
            return None;
        }
        self.pending.pop_first().map(|(_, timer)| timer)
    }

    /// How many are pending.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Puts all off by `span`, as if the time had not passed.
    pub(super) fn postpone(&mut self, span: Span) {
        let pending = std::mem::take(&mut self.pending);
        self.pending =
            pending.into_iter().map(|((due, seq), timer)| ((due + span, seq), timer)).collect();
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }

    fn push(&mut self, due: Tick, timer: Timer<Identity>) {
        self.asked += 1;
        self.pending.insert((due, self.asked), timer);
    }
}

/// Where the engine puts what it wants done during one call.
pub(super) struct Outbox<'a> {
    pub(super) now: Tick,
    pub(super) timers: &'a mut Timers,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl foca::Runtime<Identity> for Outbox<'_> {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::Rejoin(identity) => {
                self.effects.push(Effect::Rejoined { identity: *identity });
            }
            // The journal of the codec tells of members, with suspects. The rest is about whether
            // anybody is there, which the roster knows.
            Notification::MemberUp(_)
            | Notification::MemberDown(_)
            | Notification::Rename(_, _)
            | Notification::Active
            | Notification::Idle
            | Notification::Defunct => {}
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.effects.push(Effect::SendDatagram { to: to.peer(), data });
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        let after = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.timers.push(self.now + Span::from_micros(after), timer);
    }
}
