//! How long a run may take: the time limit of its attempt, what is left until the deadline of its task,
//! and when it is told that its time will soon be over.

use std::time::Duration;

use tokio::time::Instant;
use umbel_protocol::task::{Failure, FailureKind};

/// What ends a run, and what warns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limit {
    /// How long it may take, and what ends it then.
    hard: Option<(Duration, Ender)>,
    /// When it is told.
    soft: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ender {
    TimeLimit,
    Deadline,
}

impl Limit {
    /// That of a run which may take `time_limit`, of a task of whose time so much is left.
    pub(super) fn new(
        time_limit: Option<Duration>,
        time_left: Option<Duration>,
        soft: Option<Duration>,
    ) -> Self {
        let limit = time_limit.map(|limit| (limit, Ender::TimeLimit));
        let left = time_left.map(|left| (left, Ender::Deadline));
        let hard = limit.into_iter().chain(left).min_by_key(|(span, _)| *span);
        Self { hard, soft }
    }

    /// When a run is ended that begins `now`. A limit beyond what the clock can tell is none.
    pub(super) fn end(&self, now: Instant) -> Option<Instant> {
        self.hard.and_then(|(span, _)| now.checked_add(span))
    }

    /// When a run is told that begins `now`.
    pub(super) fn warning(&self, now: Instant) -> Option<Instant> {
        self.soft.and_then(|soft| now.checked_add(soft))
    }

    /// The failure of a run that was ended by it.
    pub(super) fn exceeded(&self) -> Failure {
        let (span, ender) = self.hard.unwrap_or((Duration::ZERO, Ender::TimeLimit));
        match ender {
            Ender::TimeLimit => {
                let message = format!("it took longer than its limit of {span:?}");
                Failure::new(FailureKind::TimedOut, message)
            }
            Ender::Deadline => {
                let message = format!("the deadline of its task came after {span:?} of this run");
                Failure::new(FailureKind::Deadline, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_ends_a_run_and_says_which_it_was() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(9));
        let ended_by = |limit, left| Limit::new(limit, left, None).exceeded().kind;
        assert_eq!(ended_by(Some(short), None), FailureKind::TimedOut);
        assert_eq!(ended_by(Some(short), Some(long)), FailureKind::TimedOut);
        assert_eq!(ended_by(Some(long), Some(short)), FailureKind::Deadline);
        assert_eq!(ended_by(None, Some(short)), FailureKind::Deadline);
        let now = Instant::now();
        assert_eq!(Limit::default().end(now), None);
        let endless = Limit::new(Some(Duration::MAX), None, Some(Duration::MAX));
        assert_eq!((endless.end(now), endless.warning(now)), (None, None));
    }
}
