//! Effect tests of one group, and of a few copies that talk to each other.

mod copies;
mod disk;
mod durability;
mod elections;
mod farewell;
mod merge;
mod quiescence;
mod restarts;
mod sent;
mod translation;
mod waking;
mod world;
