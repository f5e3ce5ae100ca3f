//! The two clocks of a node: the only place that reads them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use umbel_protocol::scheduler::Now;
use umbel_protocol::time::{Tick, Wall};

/// Tells the time since the node started, and what people call it. Copies agree.
///
/// In a test the latter may be ahead of the system's. What is measured since the start never is: by that
/// nodes know who is alive, and a test that moves on by an hour has not had an hour without any sign of
/// life.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    start: Instant,
    ahead: Option<watch::Receiver<Duration>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), ahead: None }
    }

    /// The same, always ahead of the system's clock by what `ahead` says, which only grows.
    #[cfg(feature = "testing")]
    pub(crate) fn ahead_by(self, ahead: watch::Receiver<Duration>) -> Self {
        Self { ahead: Some(ahead), ..self }
    }

    /// Whether a test moves it.
    pub(crate) const fn is_moved(&self) -> bool {
        self.ahead.is_some()
    }

    pub(crate) fn tick(&self) -> Tick {
        Tick::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn now(&self) -> Now {
        Now { tick: self.tick(), wall: self.wall() }
    }

    /// The time by the clock that people set; before 1970 it is 1970.
    pub(crate) fn wall(&self) -> Wall {
        let since = self.system_time().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The same as the standard library has it.
    pub(crate) fn system_time(&self) -> SystemTime {
        SystemTime::now() + self.ahead()
    }

    /// How long it is until `tick`, at most an hour: whoever waits asks again then.
    pub(crate) fn until(&self, tick: Tick) -> Duration {
        Duration::from_micros(tick.since(self.tick()).as_micros()).min(Duration::from_secs(3_600))
    }

    /// Now, for the limits of runs: what goes ahead brings their ends nearer.
    pub(crate) fn instant(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.ahead()
    }

    /// When others would say that it is `instant`.
    pub(crate) fn by_others(&self, instant: tokio::time::Instant) -> Instant {
        let now = Instant::now();
        let by_others = instant.into_std();
        by_others.checked_sub(self.ahead()).unwrap_or(now)
    }

    /// Ends at `instant`, if there is one.
    pub(crate) async fn reached(&self, instant: Option<tokio::time::Instant>) {
        let Some(instant) = instant else { return std::future::pending().await };
        let Some(mut ahead) = self.ahead.clone() else {
            return tokio::time::sleep_until(instant).await;
        };
        loop {
            let left = instant - *ahead.borrow_and_update();
            // At once: a timer would round up.
            if left <= tokio::time::Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(left) => return,
                Ok(()) = ahead.changed() => {}
            }
        }
    }

    fn ahead(&self) -> Duration {
        self.ahead.as_ref().map_or(Duration::ZERO, |ahead| *ahead.borrow())
    }
}

/// The time by the clock of the system.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn wall() -> Wall {
    Clock::start().wall()
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_ahead_brings_an_end_nearer() {
        let hour = Duration::from_secs(3_600);
        let (ahead, goes_by) = watch::channel(hour);
        let clock = Clock::start().ahead_by(goes_by);
        let end = clock.instant() + hour;
        let mut reached = polled(clock.reached(Some(end)));
        assert!(!reached().await, "an hour is left");
        ahead.send_replace(hour + hour / 2);
        assert!(!reached().await, "half of it is left");
        assert!(clock.by_others(end) > Instant::now() + hour / 3);
        ahead.send_replace(hour * 2);
        assert!(reached().await, "nothing is left");
        assert!(clock.instant() >= end);
        let (system, shown) = (wall(), clock.wall());
        assert!(shown.since(system).as_millis() >= 7_200_000, "{system:?} {shown:?}");
        assert!(clock.tick() < Tick::from_micros(3_600_000_000), "nothing of that was measured");
    }

    /// Whether it has ended by now, again and again.
    fn polled<F: Future<Output = ()>>(future: F) -> impl AsyncFnMut() -> bool {
        let mut future = Box::pin(future);
        async move || {
            let turn = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())
            });
            turn.await
        }
    }
}
