//! Lets one warning of a kind pass every few seconds, and counts the others.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Counts warnings that would only repeat.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    state: Mutex<(Option<Instant>, u64)>,
}

impl Throttle {
    /// Whether to warn now, and then how many warnings were held back since the last one.
    pub(crate) fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        let (last, suppressed) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            *suppressed += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(suppressed))
    }
}

const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_passes_and_repetitions_do_not() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert_eq!(throttle.pass(), None);
        assert_eq!(throttle.pass(), None);
    }
}
