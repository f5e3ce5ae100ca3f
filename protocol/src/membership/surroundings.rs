//! What only its driver sees of a node's condition: room on its disk, and whether tasks get any time.
//!
//! The scheduler judges for itself how long writes take and how late its own deadlines come.

use super::Condition;
use crate::time::Span;

/// Where tasks run nothing else gets a turn for so long only if they block the threads that they
/// share: then none of them goes on, and no time limit is kept.
const LAG_MAX: Span = Span::from_millis(3_000);

/// How a node's surroundings are, as far as its driver has looked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    is_short: bool,
    lag: Span,
}

impl Surroundings {
    /// The disk has so many bytes left, of which so many should be. Once there were fewer a quarter more has
    /// to be there again: what is handed over would come and go otherwise.
    pub const fn room(&mut self, free: u64, reserve: u64) {
        let needed = if self.is_short { reserve.saturating_add(reserve / 4) } else { reserve };
        self.is_short = free < needed;
    }

    /// So long ago a task that does nothing had its last turn among those of the user.
    pub const fn lag(&mut self, lag: Span) {
        self.lag = lag;
    }

    /// The condition that follows, to be told to the [scheduler](crate::scheduler::Event::Condition).
    #[must_use]
    pub fn condition(&self) -> Condition {
        if self.is_short {
            Condition::DiskFull
        } else if self.lag > LAG_MAX {
            Condition::Starved
        } else {
            Condition::Serving
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_room(around: &mut Surroundings, free: u64) -> Condition {
        around.room(free, 100);
        around.condition()
    }

    #[test]
    fn a_disk_that_was_full_needs_some_more_room() {
        let mut around = Surroundings::default();
        assert_eq!(with_room(&mut around, 100), Condition::Serving);
        assert_eq!(with_room(&mut around, 99), Condition::DiskFull);
        assert_eq!(with_room(&mut around, 124), Condition::DiskFull);
        assert_eq!(with_room(&mut around, 125), Condition::Serving);
        assert_eq!(with_room(&mut around, 100), Condition::Serving);
        around.room(0, 0);
        assert_eq!(around.condition(), Condition::Serving, "nobody cares");
    }

    #[test]
    fn tasks_that_block_the_threads_of_all_starve_the_node() {
        let mut around = Surroundings::default();
        around.lag(LAG_MAX);
        assert_eq!(around.condition(), Condition::Serving);
        around.lag(LAG_MAX.times(2));
        assert_eq!(around.condition(), Condition::Starved);
        around.room(99, 100);
        assert_eq!(around.condition(), Condition::DiskFull, "that is the worse of the two");
        around.room(200, 100);
        around.lag(Span::ZERO);
        assert_eq!(around.condition(), Condition::Serving);
    }
}
