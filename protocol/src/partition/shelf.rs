//! Room for what has ended: each way to end has its own, so that none is pushed out by another.
//!
//! Dead tasks are what somebody has to look at, and there are few of them; tasks that were stopped
//! are what somebody has done and wants to see done. Both would be gone within minutes where
//! successes come by the thousand.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use crate::task::State;

/// Where a partition keeps a finished task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// It ended well.
    Succeeded,
    /// It was cancelled, or has expired.
    Stopped,
    /// It failed for good.
    Dead,
}

/// One of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelves<T> {
    /// See [`Shelf::Succeeded`].
    pub succeeded: T,
    /// See [`Shelf::Stopped`].
    pub stopped: T,
    /// See [`Shelf::Dead`].
    pub dead: T,
}

/// Tasks and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many tasks.
    pub tasks: usize,
    /// What their records weigh.
    pub bytes: usize,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Stopped, Self::Dead];

    /// Where tasks in `state` are kept, if they have ended.
    #[must_use]
    pub const fn of(state: State) -> Option<Self> {
        match state {
            State::Scheduled | State::Ready | State::Leased => None,
            State::Succeeded => Some(Self::Succeeded),
            State::Dead => Some(Self::Dead),
            State::Cancelled | State::Expired => Some(Self::Stopped),
        }
    }
}

impl<T> Shelves<T> {
    /// What `make` makes for each.
    pub fn of(mut make: impl FnMut(Shelf) -> T) -> Self {
        Self {
            succeeded: make(Shelf::Succeeded),
            stopped: make(Shelf::Stopped),
            dead: make(Shelf::Dead),
        }
    }
}

impl Shelves<Room> {
    /// All of them together.
    #[must_use]
    pub const fn total(&self) -> Room {
        let Self { succeeded, stopped, dead } = self;
        Room {
            tasks: succeeded.tasks + stopped.tasks + dead.tasks,
            bytes: succeeded.bytes + stopped.bytes + dead.bytes,
        }
    }
}

impl<T> Index<Shelf> for Shelves<T> {
    type Output = T;

    fn index(&self, shelf: Shelf) -> &T {
        match shelf {
            Shelf::Succeeded => &self.succeeded,
            Shelf::Stopped => &self.stopped,
            Shelf::Dead => &self.dead,
        }
    }
}

impl<T> IndexMut<Shelf> for Shelves<T> {
    fn index_mut(&mut self, shelf: Shelf) -> &mut T {
        match shelf {
            Shelf::Succeeded => &mut self.succeeded,
            Shelf::Stopped => &mut self.stopped,
            Shelf::Dead => &mut self.dead,
        }
    }
}
