//! The life of a task: every phase and every legal step between two of them, in one table.
//!
//! ```text
//!             due                grant                 succeed
//! Scheduled ------> Ready --------------> Leased ----------------> Succeeded
//!   ^   |             | ^                  | | |
//!   |   |             | '---- release -----' | '------- die -----> Dead
//!   |   |             |                      |
//!   '---|------ retry |----------------------'
//!       |             |                      |
//!       '--- cancel --'------- cancel -------'-------------------> Cancelled
//!       '--- expire --'------- expire --------------------------> Expired
//! ```
//!
//! Scheduled, Ready and Leased tasks may die (their crashes are used up), and a late success of a
//! closed run finishes a task that waits for its next. Nothing leaves the four final phases.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::id::{Lessee, Token};
use crate::time::Wall;

/// Where a task is in its life, with what belongs to that phase only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It may start at `not_before` at the earliest.
    Scheduled {
        /// In partition time.
        not_before: Wall,
    },
    /// It waits for a slot.
    Ready,
    /// A run of it was given to an executor and has not ended.
    Leased(Box<Lease>),
    /// It ended well, with this result.
    Succeeded(Bytes),
    /// It will not be tried again.
    Dead(Box<Failure>),
    /// It was stopped by request.
    Cancelled,
    /// It did not start in time.
    Expired,
}

/// A run given to an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who runs it.
    pub lessee: Lessee,
    /// The run's fencing token.
    pub token: Token,
    /// When it was granted, in partition time.
    pub since: Wall,
    /// Whether it has been asked to stop.
    pub cancelling: bool,
}

/// The name of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// See [`Phase::Scheduled`].
    Scheduled,
    /// See [`Phase::Ready`].
    Ready,
    /// See [`Phase::Leased`].
    Leased,
    /// See [`Phase::Succeeded`].
    Succeeded,
    /// See [`Phase::Dead`].
    Dead,
    /// See [`Phase::Cancelled`].
    Cancelled,
    /// See [`Phase::Expired`].
    Expired,
}

/// A step from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transition {
    /// Its time has come.
    Due,
    /// An executor gets it.
    Grant,
    /// The executor never had it: it waits again as if nothing had been.
    Release,
    /// The run failed or was lost, and there will be another.
    Retry,
    /// A run of it ended well.
    Succeed,
    /// Attempts or crashes are used up.
    Die,
    /// It is stopped by request.
    Cancel,
    /// It did not start in time.
    Expire,
}

/// THE table: what each step makes of each phase; what is not here is illegal.
const TABLE: &[(Transition, &[State], State)] = &[
    (Transition::Due, &[State::Scheduled], State::Ready),
    (Transition::Grant, &[State::Ready], State::Leased),
    (Transition::Release, &[State::Leased], State::Ready),
    (Transition::Retry, &[State::Leased], State::Scheduled),
    (Transition::Succeed, &[State::Scheduled, State::Ready, State::Leased], State::Succeeded),
    (Transition::Die, &[State::Scheduled, State::Ready, State::Leased], State::Dead),
    (Transition::Cancel, &[State::Scheduled, State::Ready, State::Leased], State::Cancelled),
    (Transition::Expire, &[State::Scheduled, State::Ready], State::Expired),
];

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Ready,
        Self::Leased,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The state after `transition`.
    ///
    /// # Errors
    /// When the table does not have it.
    pub fn after(self, transition: Transition) -> Result<Self, IllegalTransition> {
        TABLE
            .iter()
            .find(|(step, from, _)| *step == transition && from.contains(&self))
            .map(|(_, _, to)| *to)
            .ok_or(IllegalTransition { from: self, transition })
    }

    /// Whether a task stays in it for ever.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::Ready | Self::Leased => false,
            Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired => true,
        }
    }

    /// The word for it in output and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl Phase {
    /// Its name.
    #[must_use]
    pub const fn state(&self) -> State {
        match self {
            Self::Scheduled { .. } => State::Scheduled,
            Self::Ready => State::Ready,
            Self::Leased(_) => State::Leased,
            Self::Succeeded(_) => State::Succeeded,
            Self::Dead(_) => State::Dead,
            Self::Cancelled => State::Cancelled,
            Self::Expired => State::Expired,
        }
    }
}

/// A step that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {} task cannot {transition:?}", from.as_str())]
pub struct IllegalTransition {
    /// Where the task is.
    pub from: State,
    /// What was to be done with it.
    pub transition: Transition,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_state() {
        for (transition, from, _) in TABLE {
            assert!(from.iter().all(|state| !state.is_final()), "{transition:?}");
        }
    }

    #[test]
    fn every_state_is_reached_and_every_open_one_can_end() {
        for state in State::ALL {
            assert!(TABLE.iter().any(|(_, _, to)| *to == state), "{state:?} is never reached");
            if !state.is_final() {
                assert!(state.after(Transition::Cancel).is_ok(), "{state:?} cannot be cancelled");
                assert!(state.after(Transition::Die).is_ok(), "{state:?} cannot die");
            }
        }
    }

    #[test]
    fn what_the_table_lacks_is_refused() {
        let error = State::Succeeded.after(Transition::Cancel).expect_err("final");
        assert_eq!(error.to_string(), "a succeeded task cannot Cancel");
        assert!(State::Scheduled.after(Transition::Grant).is_err());
        assert!(State::Leased.after(Transition::Expire).is_err());
    }
}
