//! Coming to an end in order: nothing new is begun, and what was begun ends.
//!
//! ```text
//! serving --told to retire--> retiring --no run held, no slot granted--> retired
//! ```
//! Slots that were granted are recalled until they are back. A dispatch that comes all the same is
//! answered with "never had it", so that its owner leases the task anew, elsewhere. It has retired
//! once no owner can believe that anything of its runs here: who ends then is not missed. An owner may
//! have leased to a slot that is not counted as its own any more (it was introduced anew, say), so
//! there is a time in which such leases become known, whatever is counted.

use super::{Effect, Executor};
use crate::sabotage::{self, Defect};
use crate::time::{Span, Tick};

/// So long after it was told to retire no lease is on its way any more that was made before its owner
/// knew: gossip takes less, and a log entry far less.
const LEASES_LAST: Span = Span::from_millis(1_000);
/// Refusals are on their way for so long, at the most, where nothing is lost.
const REFUSAL_LASTS: Span = Span::from_millis(500);

/// How far it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retirement {
    /// Since when it is under way.
    since: Option<Tick>,
    is_told: bool,
    /// When a dispatch was last refused.
    refused_at: Option<Tick>,
}

impl Retirement {
    pub(super) const fn is_under_way(&self) -> bool {
        self.since.is_some()
    }

    pub(super) const fn refuses(&mut self, now: Tick) {
        self.refused_at = Some(now);
    }

    /// Whoever was told is gone.
    pub(super) const fn tell_again(&mut self) {
        self.is_told = false;
    }
}

impl Executor {
    pub(super) fn retire(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        self.retirement.since.get_or_insert(now);
        // The next beat looks whether it is over.
        self.beat_at = now + LEASES_LAST;
        self.drop_waiting(now, |_| true, effects);
        self.slots.close();
        self.slots.recall(self.me, effects);
    }

    /// Asks again for what has not come back.
    pub(super) fn recall_slots(&self, effects: &mut Vec<Effect>) {
        if self.retirement.is_under_way() {
            self.slots.recall(self.me, effects);
        }
    }

    pub(super) fn tell_if_retired(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let Retirement { since, is_told, refused_at } = self.retirement;
        let is_known = since.is_some_and(|since| now.since(since) >= LEASES_LAST);
        let is_heard = refused_at.is_none_or(|at| now.since(at) >= REFUSAL_LASTS);
        let has_run = !self.runs.is_empty() && !sabotage::has(Defect::RetireEarly);
        let is_idle = !has_run && !self.slots.any_granted();
        if is_known && is_heard && is_idle && !is_told {
            self.retirement.is_told = true;
            effects.push(Effect::Retired);
        }
    }
}
