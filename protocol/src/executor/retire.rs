//! Coming to an end in order: nothing new is begun, and what was begun ends.
//!
//! ```text
//! serving --told to retire--> retiring --no run held, no slot granted--> retired
//! ```
//! Slots that were granted are recalled until they are back. A dispatch that comes all the same is
//! answered with "never had it", so that its owner leases the task anew, elsewhere. It has retired
//! once no owner can believe that anything of its runs here: who ends then is not missed.

use super::{Effect, Executor};
use crate::time::{Span, Tick};

/// Refusals are on their way for so long, at the most, where nothing is lost.
const REFUSAL_LASTS: Span = Span::from_millis(500);

/// How far it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retirement {
    is_under_way: bool,
    is_told: bool,
    /// When a dispatch was last refused.
    refused_at: Option<Tick>,
}

impl Retirement {
    pub(super) const fn is_under_way(&self) -> bool {
        self.is_under_way
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
    pub(super) fn retire(&mut self, effects: &mut Vec<Effect>) {
        self.retirement.is_under_way = true;
        self.slots.close();
        self.slots.recall(self.me, effects);
    }

    /// Asks again for what has not come back.
    pub(super) fn recall_slots(&self, effects: &mut Vec<Effect>) {
        if self.retirement.is_under_way {
            self.slots.recall(self.me, effects);
        }
    }

    pub(super) fn tell_if_retired(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let Retirement { is_under_way, is_told, refused_at } = self.retirement;
        let is_heard = refused_at.is_none_or(|at| now.since(at) >= REFUSAL_LASTS);
        if is_under_way && !is_told && is_heard && self.runs.is_empty() && !self.slots.any_granted()
        {
            self.retirement.is_told = true;
            effects.push(Effect::Retired);
        }
    }
}
