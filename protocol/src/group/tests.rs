//! Effect tests of one group, and of a few copies that talk to each other.

// Seeds are printed, for whoever has to replay one.
#![allow(clippy::print_stdout)]

mod chaos;
mod copies;
mod disk;
mod durability;
mod elections;
mod farewell;
mod memory;
mod merge;
mod quiescence;
mod reads;
mod restarts;
mod sent;
mod snapshots;
mod translation;
mod waking;
mod world;
