//! Streams and datagrams between hosts, and what goes wrong with them.
//!
//! Two hosts have at most one connection. What is sent on it arrives in order, in two classes of
//! which neither waits for the other; when it breaks, all that is under way is lost, and both sides
//! are told of the new one. A message that does not get through dooms its connection: a stream
//! never leaves a gap.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::plan::{MS, SECOND};

/// All connections.
#[derive(Debug, Default)]
pub struct Network {
    links: BTreeMap<(usize, usize), Link>,
    /// Ways that nothing passes.
    pub blocked: BTreeSet<(usize, usize)>,
    /// Whether consensus messages are reordered, doubled and lost.
    pub unruly: bool,
}

#[derive(Debug, Default)]
struct Link {
    up: bool,
    /// Which connection between the two this is.
    epoch: u64,
    /// When the next try is made.
    retry_at: u64,
    /// Directions in which something was lost: nothing more arrives there.
    doomed: BTreeSet<usize>,
    /// When the last message of each direction and class arrives.
    arrives: BTreeMap<(usize, bool), u64>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then, if the connection is still that one.
    Arrives {
        /// When.
        at: u64,
        /// On which connection.
        epoch: u64,
    },
    /// It is lost; the connection breaks at that time.
    Dooms {
        /// When.
        at: u64,
        /// Which connection.
        epoch: u64,
    },
    /// It is lost.
    Lost,
}

const fn pair(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}

impl Network {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(unruly: bool) -> Self {
        Self { unruly, ..Self::default() }
    }

    /// Whether something may pass both ways.
    #[must_use]
    pub fn passes(&self, a: usize, b: usize) -> bool {
        !self.blocked.contains(&(a, b)) && !self.blocked.contains(&(b, a))
    }

    /// The longest that a message of some connection takes.
    #[must_use]
    pub const fn slowest(&self) -> u64 {
        25 * MS
    }

    /// Whether `epoch` is the connection that the two have.
    #[must_use]
    pub fn is_current(&self, a: usize, b: usize, epoch: u64) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|link| link.up && link.epoch == epoch)
    }

    /// Whether the two are connected.
    #[must_use]
    pub fn is_up(&self, a: usize, b: usize) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|link| link.up)
    }

    /// Whether it is time to try to connect the two.
    #[must_use]
    pub fn wants_try(&self, a: usize, b: usize, now: u64) -> bool {
        self.links.get(&pair(a, b)).is_none_or(|link| !link.up && link.retry_at <= now)
    }

    /// The two are connected from now on.
    pub fn connect(&mut self, a: usize, b: usize) {
        let link = self.links.entry(pair(a, b)).or_default();
        link.up = true;
        link.epoch += 1;
        link.doomed.clear();
        link.arrives.clear();
    }

    /// The connection is gone; whether there was one.
    pub fn cut(&mut self, a: usize, b: usize, retry_at: u64) -> bool {
        let link = self.links.entry(pair(a, b)).or_default();
        link.retry_at = retry_at;
        std::mem::take(&mut link.up)
    }

    /// Decides what becomes of a message on a stream.
    pub fn send(
        &mut self,
        from: usize,
        to: usize,
        urgent: bool,
        now: u64,
        rng: &mut ChaCha8Rng,
    ) -> Fate {
        let is_blocked = self.blocked.contains(&(from, to));
        let unruly = self.unruly && urgent;
        let Some(link) = self.links.get_mut(&pair(from, to)).filter(|link| link.up) else {
            return Fate::Lost;
        };
        let epoch = link.epoch;
        if link.doomed.contains(&to) {
            return Fate::Lost;
        }
        if is_blocked {
            link.doomed.insert(to);
            return Fate::Dooms { at: now + rng.random_range(SECOND / 2..3 * SECOND), epoch };
        }
        if unruly {
            if rng.random_bool(0.03) {
                return Fate::Lost;
            }
            return Fate::Arrives { at: now + rng.random_range(MS / 10..20 * MS), epoch };
        }
        let latest = link.arrives.entry((to, urgent)).or_default();
        let at = (now + rng.random_range(MS / 10..3 * MS)).max(*latest);
        *latest = at;
        Fate::Arrives { at, epoch }
    }
}
