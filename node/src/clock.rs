//! The two clocks of a node: the only place that reads them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use umbel_protocol::scheduler::Now;
use umbel_protocol::time::{Tick, Wall};

/// Tells the time since the node started, and what people call it. Copies agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn tick(self) -> Tick {
        Tick::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn now(self) -> Now {
        Now { tick: self.tick(), wall: wall() }
    }

    /// How long it is until `tick`, at most an hour: whoever waits asks again then.
    pub(crate) fn until(self, tick: Tick) -> Duration {
        Duration::from_micros(tick.since(self.tick()).as_micros()).min(Duration::from_secs(3_600))
    }
}

/// The time by the clock that people set; before 1970 it is 1970.
pub(crate) fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
