//! Real clusters of processes, and what is done to them: one file a family of faults.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it is the world outside")]
#![allow(clippy::print_stderr, reason = "what each audit has found, for whoever looks")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also outside of test functions")]

mod addresses;
mod certificates;
mod clocks;
mod cuts;
mod damage;
mod hang;
mod jobs;
mod kills;
mod pauses;
mod room;
mod starved;
mod weather;
mod work;
