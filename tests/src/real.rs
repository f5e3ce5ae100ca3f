//! Real clusters: processes of the `umbel` binary, and what can be done to them from outside.
//!
//! A [`Cluster`] starts nodes, each a process on loopback or in a network namespace of its own; a
//! [`Switch`](switch::Switch) between the namespaces cuts ways, loses, doubles and delays packets.
//! Work is submitted through the command line, as users do it, and every run of it is seen from
//! outside: the commands write [a ledger](ledger) of their own. At the end an [`Audit`]
//! compares what was acknowledged, what the cluster tells and what was seen.
//!
//! Whatever is started here ends when its owner is dropped, also when a test panics.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it is the world outside")]
#![allow(clippy::print_stderr, reason = "what a failed test has to say")]

use std::io::Write as _;

pub mod account;
pub mod audit;
pub mod client;
pub mod cluster;
pub mod damage;
pub mod faults;
pub mod ledger;
pub mod load;
pub mod loop_disk;
pub mod namespace;
pub mod node;
pub mod patience;
pub mod program;
pub mod sink;
pub mod small_disk;
pub mod soak;
pub mod switch;
pub mod throttle;
pub mod ticks;

pub use self::account::Account;
pub use self::audit::Audit;
pub use self::client::Client;
pub use self::cluster::{Cluster, Setting};
pub use self::faults::Faults;
pub use self::patience::{until, until_within};
pub use self::program::Program;

/// Says that a test cannot be made here, which is no failure. It is said past the capture of what tests
/// print, so that nobody takes a promise for proven that was not tried.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let line = format!("skipped: {}: {why}\n", test.name().unwrap_or("a test"));
    // Where nobody listens there is nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
