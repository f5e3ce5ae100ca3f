//! Some of the states that a task can be in.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::State;
use crate::wire::spoken;

/// Some of all [states](State).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct States(u8);

impl States {
    /// All of them.
    pub const ALL: Self = Self((1 << State::ALL.len()) - 1);
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Those of tasks that have not started, or wait for their next attempt.
    pub const WAITING: Self = Self::of(&[State::Scheduled, State::Ready]);
    /// Those of tasks that have not ended.
    pub const OPEN: Self = Self::of(&[State::Scheduled, State::Ready, State::Leased]);

    /// These.
    #[must_use]
    pub const fn of(mut states: &[State]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = states {
            bits |= bit(*first);
            states = rest;
        }
        Self(bits)
    }

    /// Whether `state` is one of them.
    #[must_use]
    pub const fn contains(self, state: State) -> bool {
        self.0 & bit(state) != 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in these and not in the `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// They, in the order of a life.
    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(move |state| self.contains(*state))
    }

    /// The one that it is, if it is one.
    fn only(self) -> Option<State> {
        let mut states = self.iter();
        states.next().filter(|_| states.next().is_none())
    }

    /// Whether members of version 2 can be asked for them.
    pub(crate) fn is_of_2(self) -> bool {
        self == Self::ALL || self.only().is_some()
    }
}

const fn bit(state: State) -> u8 {
    1 << state as u8
}

/// All of them.
impl Default for States {
    fn default() -> Self {
        Self::ALL
    }
}

impl From<State> for States {
    fn from(state: State) -> Self {
        Self(bit(state))
    }
}

impl FromIterator<State> for States {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        Self(states.into_iter().fold(0, |bits, state| bits | bit(state)))
    }
}

/// Version 2 knows one of them, or all.
impl Serialize for States {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if spoken() < 3 { self.only().serialize(to) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if spoken() < 3 {
            return Ok(Option::<State>::deserialize(from)?.map_or(Self::ALL, Self::from));
        }
        // What a later version may know besides is none of these.
        u8::deserialize(from).map(|bits| Self(bits & Self::ALL.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode_from, encode_for};

    #[test]
    fn they_are_those_that_were_named() {
        let dead = States::from(State::Dead);
        let some: States = [State::Ready, State::Dead].into_iter().collect();
        assert!(some.contains(State::Dead) && !some.contains(State::Leased));
        assert_eq!(some.iter().collect::<Vec<_>>(), [State::Ready, State::Dead]);
        assert_eq!(
            (some.and(States::OPEN), some.without(States::OPEN)),
            (State::Ready.into(), dead)
        );
        assert_eq!(dead.and(States::OPEN), States::NONE);
        assert!(States::NONE.is_empty() && !States::ALL.is_empty());
        assert_eq!(States::ALL.iter().count(), 7);
    }

    #[test]
    fn older_members_are_asked_for_one_or_for_all() {
        let read = |version, states: States| -> States {
            decode_from(version, &encode_for(version, &states), 64).unwrap()
        };
        for states in [States::ALL, State::Scheduled.into(), State::Expired.into()] {
            assert_eq!((read(2, states), read(3, states)), (states, states));
            assert!(states.is_of_2());
        }
        assert_eq!((read(2, States::OPEN), read(3, States::OPEN)), (States::ALL, States::OPEN));
        assert!(!States::OPEN.is_of_2() && !States::NONE.is_of_2());
        assert_eq!(encode_for(2, &States::from(State::Dead)), encode_for(2, &Some(State::Dead)));
    }
}
