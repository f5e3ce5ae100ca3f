//! One task, as if there were a single node: the sequential specification.

use umbel_protocol::task::State;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// It was never taken in.
    Absent,
    /// It was refused for good: nothing becomes of it.
    TurnedAway,
    /// It was taken in.
    Open {
        /// Whether it is to be stopped: then it succeeds or ends as cancelled, and not otherwise.
        stopping: bool,
        /// Runs of it that are over, at the least.
        over: usize,
    },
    /// It has ended so.
    Ended(State),
    /// It had ended, so if that was told; its record is gone.
    Forgotten(Option<State>),
    /// Its id is too old to be new: nothing becomes of it any more. It may have been taken in before.
    Barred {
        /// Whether it was.
        was_in: bool,
    },
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// A submission was taken in, or was before.
    In,
    /// A submission has the id of another task.
    Conflict,
    /// A submission is too old to be new.
    TooOld,
    /// A submission is refused because another task has its unique key, now and whenever it comes again.
    TurnedAway,
    /// It has not ended.
    Open {
        /// So many of its runs have.
        over: usize,
    },
    /// It has ended so. An owner tells that without asking whether it still is one: what has ended
    /// stays so, though others may have dropped its record by then.
    Ended(State),
    /// There is no such task on record.
    Nothing,
    /// It will be stopped; so many of its runs are over.
    Stopping {
        /// How many.
        over: usize,
    },
    /// It has ended so, or is stopped with that.
    StopEnded(State),
    /// There is no such task on record, or none any more now that it was stopped: the node that was
    /// asked repeats what it passes on, and may hear only the second answer.
    StopNothing,
    /// It waited, and was stopped.
    Withdrawn,
    /// It had ended, and not well, and another has taken its place, now or at an earlier attempt.
    Replaced,
    /// Nothing: the answer to a submission was lost.
    LostSubmit,
    /// Nothing: the answer to a wish to stop it was lost.
    LostCancel,
}

impl Told {
    /// Whether it is the answer to a wish to stop it.
    #[must_use]
    pub const fn stops(self) -> bool {
        match self {
            Self::Stopping { .. }
            | Self::StopEnded(_)
            | Self::StopNothing
            | Self::LostCancel
            | Self::Withdrawn => true,
            Self::In
            | Self::Conflict
            | Self::TooOld
            | Self::TurnedAway
            | Self::Open { .. }
            | Self::Ended(_)
            | Self::Nothing
            | Self::Replaced
            | Self::LostSubmit => false,
        }
    }
}

impl Life {
    /// What becomes of it when a client is told so, if that can be. What happens by itself (it ends,
    /// it is forgotten) happens before, as far as what is told needs it; `may_end` tells whether it
    /// can have ended by then.
    #[must_use]
    pub fn after(self, told: Told, may_end: bool) -> Option<Self> {
        match told {
            Told::In => match self {
                Self::Absent => Some(Self::Open { stopping: false, over: 0 }),
                Self::Barred { .. } | Self::TurnedAway => None,
                Self::Open { .. } | Self::Ended(_) | Self::Forgotten(_) => Some(self),
            },
            Told::LostSubmit => match self {
                Self::Absent => Some(Self::Open { stopping: false, over: 0 }),
                other => Some(other),
            },
            Told::TurnedAway => {
                matches!(self, Self::Absent | Self::TurnedAway).then_some(Self::TurnedAway)
            }
            Told::Conflict => matches!(self, Self::Open { .. } | Self::Ended(_)).then_some(self),
            Told::TooOld => match self {
                Self::Open { .. } => may_end.then_some(Self::Barred { was_in: true }),
                Self::Absent | Self::TurnedAway => Some(Self::Barred { was_in: false }),
                Self::Ended(_) | Self::Forgotten(_) => Some(Self::Barred { was_in: true }),
                Self::Barred { .. } => Some(self),
            },
            Told::Open { over } => self.shown(over, false),
            Told::Stopping { over } => self.shown(over, true),
            Told::LostCancel => match self {
                Self::Open { over, .. } => Some(Self::Open { stopping: true, over }),
                other => Some(other),
            },
            Told::Withdrawn => {
                let fits = matches!(self, Self::Open { .. } | Self::Ended(State::Cancelled));
                fits.then_some(Self::Ended(State::Cancelled))
            }
            Told::Replaced => match self {
                Self::Ended(State::Succeeded) | Self::Forgotten(Some(State::Succeeded)) => None,
                Self::Ended(state) => Some(Self::Forgotten(Some(state))),
                Self::Open { .. } => may_end.then_some(Self::Forgotten(None)),
                Self::Forgotten(_) => Some(self),
                Self::Barred { was_in } => was_in.then_some(self),
                Self::Absent | Self::TurnedAway => None,
            },
            Told::Ended(state) => match self {
                Self::Forgotten(known) => {
                    let fits = known.is_none_or(|known| known == state);
                    fits.then_some(Self::Forgotten(Some(state)))
                }
                Self::Barred { was_in } => was_in.then_some(self),
                Self::Absent | Self::TurnedAway | Self::Open { .. } | Self::Ended(_) => {
                    self.ended(state, may_end).map(|()| Self::Ended(state))
                }
            },
            Told::StopEnded(state) => {
                let stopped = matches!(self, Self::Open { .. }) && state == State::Cancelled;
                let ended = stopped || self.ended(state, may_end).is_some();
                ended.then_some(Self::Ended(state))
            }
            Told::StopNothing if matches!(self, Self::Open { .. }) => Some(Self::Forgotten(None)),
            Told::Nothing | Told::StopNothing => match self {
                Self::Absent | Self::TurnedAway | Self::Barred { .. } | Self::Forgotten(_) => {
                    Some(self)
                }
                Self::Ended(state) => Some(Self::Forgotten(Some(state))),
                Self::Open { .. } => may_end.then_some(Self::Forgotten(None)),
            },
        }
    }

    /// It is shown as open. What is over stays over.
    fn shown(self, seen: usize, stops: bool) -> Option<Self> {
        match self {
            Self::Open { stopping, over } if over <= seen => {
                Some(Self::Open { stopping: stopping || stops, over: seen })
            }
            Self::Open { .. }
            | Self::Absent
            | Self::TurnedAway
            | Self::Ended(_)
            | Self::Forgotten(_)
            | Self::Barred { .. } => None,
        }
    }

    /// Whether it has ended so, or may.
    fn ended(self, state: State, may_end: bool) -> Option<()> {
        let fits = match self {
            Self::Open { stopping, .. } => {
                let fits = match state {
                    State::Succeeded => true,
                    State::Cancelled => stopping,
                    State::Dead | State::Expired => !stopping,
                    State::Scheduled | State::Ready | State::Leased => false,
                };
                fits && may_end
            }
            Self::Ended(known) => known == state,
            Self::Absent | Self::TurnedAway | Self::Forgotten(_) | Self::Barred { .. } => false,
        };
        fits.then_some(())
    }
}
