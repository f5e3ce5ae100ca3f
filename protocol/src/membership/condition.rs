//! Whether a node can do its part, as it says itself.
//!
//! It rides on the [load](super::Load), so it is some gossip rounds old on arrival. It guides
//! choices and decides nothing: whoever is chosen all the same does what it can.

use serde::{Deserialize, Serialize};

/// Whether a node can do its part. New variants go to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// It takes what it is given.
    #[default]
    Serving,
    /// It was told to stop and hands over all that it has.
    Leaving,
    /// Its disk has no room for what it should write.
    DiskFull,
    /// Its disk takes far longer than it should.
    DiskSlow,
    /// Its process gets too little of the processor to keep up.
    Starved,
}

impl Condition {
    /// Whether it takes what it is given.
    #[must_use]
    pub const fn is_serving(self) -> bool {
        matches!(self, Self::Serving)
    }

    /// How ill a node in this condition serves as an owner; the best is zero. One that is slow does
    /// it late, one whose disk is full hardly, and one that leaves is about to be gone. Three is for one
    /// that is drained.
    #[must_use]
    pub const fn burden(self) -> u8 {
        match self {
            Self::Serving => 0,
            Self::DiskSlow | Self::Starved => 1,
            Self::DiskFull => 2,
            Self::Leaving => 4,
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Leaving => "leaving",
            Self::DiskFull => "disk full",
            Self::DiskSlow => "disk slow",
            Self::Starved => "starved",
        })
    }
}
