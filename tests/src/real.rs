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

pub mod account;
pub mod audit;
pub mod client;
pub mod cluster;
pub mod damage;
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

pub use self::account::Account;
pub use self::audit::Audit;
pub use self::client::Client;
pub use self::cluster::{Cluster, Setting};
pub use self::patience::{until, until_within};
pub use self::program::Program;

/// Says that a test cannot be made here, which is no failure.
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
