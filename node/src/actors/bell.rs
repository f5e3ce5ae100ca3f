//! How the Supervisor learns that an actor is gone, whatever ended it.

use std::time::{Duration, Instant};

use actix::{Addr, Message};

use super::Supervisor;

/// One of the actors that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The [`Executor`](super::Executor).
    Executor,
    /// The [`Gossip`](super::Gossip).
    Gossip,
    /// The [`Scheduler`](super::Scheduler).
    Scheduler,
}

impl Which {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Executor, Self::Gossip, Self::Scheduler];
}

/// Tells the supervisor that its actor is gone, whatever ended it.
pub(crate) struct Bell {
    supervisor: Addr<Supervisor>,
    which: Which,
    since: Instant,
}

impl Bell {
    /// For an actor that is built now.
    pub(super) const fn new(supervisor: Addr<Supervisor>, which: Which, since: Instant) -> Self {
        Self { supervisor, which, since }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let fallen = Fallen { which: self.which, lived: self.since.elapsed() };
        // One message in the life of an actor: it must not get lost for want of room.
        self.supervisor.do_send(fallen);
    }
}

/// An actor is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Fallen {
    pub(super) which: Which,
    pub(super) lived: Duration,
}
