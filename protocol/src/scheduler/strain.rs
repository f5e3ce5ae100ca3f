//! What a scheduler sees itself of how its node fares: how long the disk takes, and how late its own
//! deadlines come.
//!
//! An owner whose disk is slow makes all its tasks wait, and one that gets no processor makes even
//! others wait who could take over from it. Neither falls silent, so nobody would take it to be down:
//! it has to say so itself. It is judged by what lasts. One long pause of the whole process, after which
//! all is well again, is neither.

use std::collections::VecDeque;

use crate::membership::Condition;
use crate::time::{Span, Tick};

/// A write that takes longer makes its disk a slow one: a hundred times what a sync should take, and
/// less than it takes others to find an owner dead.
const WRITE_MAX: Span = Span::from_millis(2_000);
/// So many writes together are judged, too.
const WRITES: usize = 8;
/// How long they may take together: half a second each.
const WRITES_MAX: Span = Span::from_millis(4_000);
/// A deadline that comes so much later than it was due is late.
const LATE_MIN: Span = Span::from_millis(100);
/// The time over which late ones are added up,
const WINDOW: Span = Span::from_millis(5_000);
/// and what they may come to in that time: half of it,
const LATE_MAX: Span = Span::from_millis(2_500);
/// unless they are fewer: then it was a pause and no want of processor.
const LATE_COUNT_MIN: usize = 3;
/// It stays so for so long after it was last seen: a node that is well and ill by turns would have its
/// partitions handed around.
const STEADY: Span = Span::from_millis(10_000);

/// How a node fares, as its scheduler sees it.
#[derive(Debug, Default)]
pub(super) struct Strain {
    writing_since: Option<Tick>,
    /// How long the last writes took, the newest last.
    took: VecDeque<Span>,
    slow_until: Tick,
    /// Which deadlines were late, when, and by how much.
    late: VecDeque<(Tick, Span)>,
    starved_until: Tick,
}

impl Strain {
    /// A write is handed to the disk: one at a time.
    pub(super) const fn writes(&mut self, now: Tick) {
        self.writing_since = Some(now);
    }

    /// It is durable.
    pub(super) fn wrote(&mut self, now: Tick) {
        if let Some(since) = self.writing_since.take() {
            self.took.push_back(now.since(since));
            if self.took.len() > WRITES {
                self.took.pop_front();
            }
            self.judge_disk(now, now.since(since));
        }
    }

    /// A deadline has come that was `due` then.
    pub(super) fn woke(&mut self, now: Tick, due: Tick) {
        let late = now.since(due);
        if late >= LATE_MIN {
            self.late.push_back((now, late));
            // The disk may have been done for as long: nobody was there to hear of it.
            if let Some(since) = &mut self.writing_since {
                *since = (*since + late).min(now);
            }
        }
        while self.late.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.late.pop_front();
        }
        if self.late.len() >= LATE_COUNT_MIN
            && together(self.late.iter().map(|(_, late)| *late)) >= LATE_MAX
        {
            self.starved_until = now + STEADY;
        }
        if let Some(since) = self.writing_since {
            self.judge_disk(now, now.since(since));
        }
    }

    fn judge_disk(&mut self, now: Tick, last: Span) {
        let all = together(self.took.iter().copied());
        if last > WRITE_MAX || (self.took.len() == WRITES && all > WRITES_MAX) {
            self.slow_until = now + STEADY;
        }
    }

    /// The condition that follows from it.
    pub(super) fn condition(&self, now: Tick) -> Condition {
        if now < self.slow_until {
            Condition::DiskSlow
        } else if now < self.starved_until {
            Condition::Starved
        } else {
            Condition::Serving
        }
    }
}

fn together(spans: impl Iterator<Item = Span>) -> Span {
    Span::from_micros(spans.map(Span::as_micros).fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A strain, seen every tick.
    #[derive(Default)]
    struct Seen {
        strain: Strain,
        now: Tick,
    }

    impl Seen {
        /// So many ticks pass, each seen so late.
        fn pass(&mut self, ticks: u64, late: u64) {
            for _ in 0..ticks {
                let due = self.now + crate::group::TICK;
                self.now = due + Span::from_millis(late);
                self.strain.woke(self.now, due);
            }
        }

        fn condition(&self) -> Condition {
            self.strain.condition(self.now)
        }
    }

    #[test]
    fn a_write_that_hangs_makes_a_slow_disk_before_it_ends() {
        let mut seen = Seen::default();
        seen.strain.writes(seen.now);
        seen.pass(20, 0);
        assert_eq!(seen.condition(), Condition::Serving);
        seen.pass(1, 0);
        assert_eq!(seen.condition(), Condition::DiskSlow);
        seen.pass(600, 0);
        seen.strain.wrote(seen.now);
        seen.pass(99, 0);
        assert_eq!(seen.condition(), Condition::DiskSlow, "it may hang again");
        seen.pass(1, 0);
        assert_eq!(seen.condition(), Condition::Serving);
    }

    #[test]
    fn many_slow_writes_make_a_slow_disk_and_quick_ones_a_good_one() {
        let mut seen = Seen::default();
        let write = |seen: &mut Seen, ticks| {
            seen.strain.writes(seen.now);
            seen.pass(ticks, 0);
            seen.strain.wrote(seen.now);
        };
        for _ in 0..7 {
            write(&mut seen, 6);
            assert_eq!(seen.condition(), Condition::Serving);
        }
        write(&mut seen, 6);
        assert_eq!(seen.condition(), Condition::DiskSlow);
        for _ in 0..150 {
            write(&mut seen, 1);
        }
        assert_eq!(seen.condition(), Condition::Serving);
    }

    #[test]
    fn who_is_always_late_is_starved() {
        let mut seen = Seen::default();
        seen.pass(100, 90);
        assert_eq!(seen.condition(), Condition::Serving, "a little late is nothing");
        seen.pass(25, 120);
        assert_eq!(seen.condition(), Condition::Starved);
        seen.pass(101, 0);
        assert_eq!(seen.condition(), Condition::Starved, "it was so a moment ago");
        seen.pass(60, 0);
        assert_eq!(seen.condition(), Condition::Serving);
    }

    #[test]
    fn one_long_pause_is_neither() {
        let mut seen = Seen::default();
        seen.strain.writes(seen.now);
        seen.pass(1, 60_000);
        assert_eq!(seen.condition(), Condition::Serving);
        seen.pass(1, 0);
        seen.strain.wrote(seen.now);
        assert_eq!(seen.condition(), Condition::Serving);
    }
}
