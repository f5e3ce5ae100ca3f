//! How far this node may trust its own suspicions.
//!
//! A node that is starved or cut off finds everybody else silent, and would declare them all down.
//! So, after Lifeguard: signs that the fault is ours (our own timers fire late, probes of several
//! different members fail within seconds) make us slower to condemn, never quicker.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::time::{Span, Tick};

/// A timer that fires this much late was held up by this machine, not by the network.
const LATE: Span = Span::from_millis(100);
/// What waits in the socket after a pause is read within this time, before anybody is judged.
const GRACE: Span = Span::from_millis(100);
/// A node that is always late must still judge now and then.
const FORGIVEN_EVERY: Span = Span::from_millis(1_000);
/// Failures of other members' probes within this time are seen together.
const WINDOW: Span = Span::from_millis(4_000);
/// Patience is at most one more than this many times the normal.
const DOUBT_MAX: u64 = 3;

/// Signs that this node is not well.
#[derive(Default)]
pub(super) struct Health {
    failed: BTreeMap<NodeId, Tick>,
    lateness: u64,
    forgiven_at: Option<Tick>,
}

impl Health {
    /// Our probe of `node` failed.
    pub(super) fn probe_failed(&mut self, now: Tick, node: NodeId) {
        self.failed.insert(node, now);
    }

    /// A period of probing has passed on time.
    pub(super) fn probed(&mut self, now: Tick) {
        self.lateness = self.lateness.saturating_sub(1);
        self.failed.retain(|_, &mut at| now.since(at) < WINDOW);
    }

    /// What was due at `deadline` is looked at only now: by how much must all timers be put off, so
    /// that the time in which this node stood still counts for nobody?
    pub(super) fn held_up(&mut self, now: Tick, deadline: Tick) -> Option<Span> {
        let late = now.since(deadline);
        let recently = self.forgiven_at.is_some_and(|at| now.since(at) < FORGIVEN_EVERY);
        if late <= LATE || recently {
            return None;
        }
        self.forgiven_at = Some(now);
        self.lateness = (self.lateness + 2).min(DOUBT_MAX);
        Some(Span::from_micros(late.as_micros().saturating_add(GRACE.as_micros())))
    }

    /// How many times longer than normal a suspicion lasts.
    pub(super) fn patience(&self) -> u64 {
        // One dead member is no sign of anything.
        let failed = (self.failed.len() as u64).saturating_sub(1);
        1 + (failed + self.lateness).min(DOUBT_MAX)
    }
}
