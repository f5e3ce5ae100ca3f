//! Time that is carried on after a wall clock has stepped, until the clock shows the same again.
//!
//! It goes on from what it was, nine tenths or eleven tenths as fast as time passes. So what waits for a
//! while waits a tenth too short or too long at most, and a clock that was set by five minutes is
//! caught up with in fifty.

use crate::scheduler::Now;
use crate::time::{Span, Wall};

/// How time has gone on since the wall clock stepped last. Counted from then, not summed up: what passes between
/// two looks may be less than walls can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    from: Now,
}

impl Carried {
    /// Goes on from what it is by `from`.
    pub(super) const fn from(from: Now) -> Self {
        Self { from }
    }

    /// What time it is when the wall clock shows `now`; none when that is caught up with.
    pub(super) fn at(self, now: Now) -> Option<Wall> {
        let passed = now.tick.since(self.from.tick).as_micros();
        let after = |micros| self.from.wall + Span::from_micros(micros);
        let gained = passed / SLEWED_ONE_IN;
        if now.wall > after(passed) {
            Some(after(passed + gained)).filter(|time| *time < now.wall)
        } else {
            Some(after(passed - gained)).filter(|time| *time > now.wall)
        }
    }
}

/// One second is gained or lost in so many. Faster, and what waits would start noticeably early; slower, and
/// an hour would not be caught up with in half a day.
const SLEWED_ONE_IN: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Tick;

    const START: Wall = Wall::from_millis(1_700_000_000_000);
    const HOUR: Span = Span::from_millis(3_600_000);

    /// What time it is `passed` after a clock has stepped to `shown`, by how much it has gone on since.
    fn gone_on(shown: Wall, passed: Span) -> Option<Span> {
        let carried = Carried::from(Now { tick: Tick::START, wall: START });
        let now = Now { tick: Tick::START + passed, wall: shown + passed };
        carried.at(now).map(|time| time.since(START))
    }

    #[test]
    fn a_clock_that_is_ahead_is_caught_up_with_in_ten_times_the_step() {
        let shown = START + HOUR;
        assert_eq!(gone_on(shown, Span::ZERO), Some(Span::ZERO));
        assert_eq!(gone_on(shown, HOUR), Some(Span::from_millis(3_960_000)));
        let (last, all) = (Span::from_millis(35_999_000), HOUR.times(10));
        assert!(gone_on(shown, last).unwrap() > last);
        assert_eq!(gone_on(shown, all), None);
    }

    #[test]
    fn a_clock_that_is_behind_is_waited_for_and_time_goes_on() {
        let shown = START - HOUR;
        assert_eq!(gone_on(shown, Span::ZERO), Some(Span::ZERO));
        assert_eq!(gone_on(shown, HOUR), Some(Span::from_millis(3_240_000)));
        assert_eq!(gone_on(shown, HOUR.times(10)), None);
    }
}
