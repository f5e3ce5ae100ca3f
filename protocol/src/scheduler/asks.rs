//! The requests that this node keeps until they are answered.
//!
//! The node that a client asks keeps the request: it finds the owner of the partition and passes the
//! request on ([`route`](super::route)), again if that owner is lost or was none, until an answer
//! comes back ([`answer`](super::answer)) or the caller's time is over. All requests may be repeated,
//! so a lost answer costs time and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::Caller;
use crate::id::{Incarnation, NodeId};
use crate::time::Tick;
use crate::wire::Ask;

/// A scheduler makes fewer requests than fit in so many bits: what full load makes in ten days.
const REQUESTS_BITS: u32 = 36;
/// So many bits of the number of a scheduler among those of one start go into its requests'
/// numbers. What is cut off comes round after days of falling, when nobody answers the first any
/// more.
const SCHEDULERS_BITS: u32 = 14;

/// Whom to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A request that this node keeps.
    Here(u64),
    /// One that another node keeps.
    Peer(NodeId, u64),
}

/// The requests that this node keeps.
#[derive(Default)]
pub(super) struct Asks {
    pub(super) open: BTreeMap<u64, Open>,
    deadlines: BTreeSet<(Tick, u64)>,
    /// Requests that wait for an owner to appear.
    pub(super) parked: BTreeSet<u64>,
    sessions: BTreeMap<u64, BTreeSet<u64>>,
    last: u64,
    /// What the batches of all of them weigh.
    bytes: usize,
}

pub(super) struct Open {
    pub(super) caller: Caller,
    pub(super) ask: Ask,
    /// What its batch weighed when it came.
    pub(super) bytes: usize,
    pub(super) since: Tick,
    pub(super) deadline: Tick,
    pub(super) at: Place,
    /// Whether an owner may have acted on it.
    pub(super) tried: bool,
    /// Whether an owner may have acted on it more than once.
    pub(super) repeated: bool,
    /// Whether an owner has said that the end of its tasks is waited for.
    pub(super) acknowledged: bool,
}

pub(super) enum Place {
    /// This node is the owner.
    Here,
    /// Nobody is, as far as is known.
    Parked,
    /// Another node is, and was asked then.
    Peer(NodeId, Tick),
}

impl Asks {
    /// For this scheduler of this start of the node: an answer to a request of an earlier one must
    /// not be taken for the answer to another of this one.
    pub(super) fn new(incarnation: Incarnation, scheduler: u32) -> Self {
        let scheduler = u64::from(scheduler) % (1 << SCHEDULERS_BITS);
        let start = (incarnation.0 << SCHEDULERS_BITS) | scheduler;
        Self { last: start << REQUESTS_BITS, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn next_deadline(&self) -> Tick {
        self.deadlines.first().map_or(Tick::NEVER, |(at, _)| *at)
    }

    /// A request whose caller's time is over.
    pub(super) fn overdue(&self, now: Tick) -> Option<u64> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    pub(super) fn forget_session(&mut self, session: u64) {
        for id in self.sessions.remove(&session).unwrap_or_default() {
            if let Some(open) = self.open.remove(&id) {
                self.bytes -= open.bytes;
                self.deadlines.remove(&(open.deadline, id));
                self.parked.remove(&id);
            }
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a request; its number.
    pub(super) fn insert(&mut self, open: Open) -> u64 {
        self.last += 1;
        self.bytes += open.bytes;
        self.deadlines.insert((open.deadline, self.last));
        self.sessions.entry(open.caller.session).or_default().insert(self.last);
        self.open.insert(self.last, open);
        self.last
    }

    /// Whether its caller still waits for an answer.
    pub(super) fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// Closes a request; whose it was.
    pub(super) fn close(&mut self, id: u64) -> Option<Caller> {
        self.remove(id).map(|open| open.caller)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.bytes -= open.bytes;
        self.deadlines.remove(&(open.deadline, id));
        self.parked.remove(&id);
        if let Some(session) = self.sessions.get_mut(&open.caller.session) {
            session.remove(&id);
            if session.is_empty() {
                self.sessions.remove(&open.caller.session);
            }
        }
        Some(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_schedulers_number_a_request_alike() {
        let firsts: BTreeSet<u64> = (1..=50)
            .flat_map(|start| (1..=50).map(move |scheduler| (Incarnation(start), scheduler)))
            .map(|(start, scheduler)| Asks::new(start, scheduler).last)
            .collect();
        assert_eq!(firsts.len(), 50 * 50);
        let apart = firsts.iter().zip(firsts.iter().skip(1)).map(|(one, next)| next - one).min();
        assert_eq!(apart, Some(1 << REQUESTS_BITS));
    }
}
