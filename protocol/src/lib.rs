//! umbel decides here.
//!
//! Everything that can go wrong in a distributed system is decided in this crate, by state machines
//! without I/O, clock, threads or randomness of their own. Each has the same shape: it is given the
//! time and an event, and writes down effects; whoever drives it performs them. So a simulator can
//! run a whole cluster through the same code from one seed.

#![warn(missing_docs, unnameable_types)]
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod alike;
pub mod cold;
pub mod durable;
pub mod executor;
pub mod formation;
pub mod group;
pub mod id;
pub mod job;
pub mod journal;
pub mod limits;
pub mod membership;
pub mod meta;
pub mod partition;
pub mod placement;
pub mod sabotage;
pub mod scheduler;
pub mod task;
pub mod time;
pub mod ways;
pub mod wire;
