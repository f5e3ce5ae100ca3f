//! Whole clusters in virtual time, decided by one seed.
//!
//! A [`World`] runs many nodes of the real protocol code: scheduler, executor, membership and
//! formation, wired as a node wires them, over a simulated network, simulated disks and simulated
//! runs. One seed decides everything: size, workload, faults, every delay. A world first breaks
//! what its [`Plan`] allows, then heals everything and must come to rest; the
//! [`invariants`] are the promises of the design, checked all the while and at the end.
//!
//! Nothing here decides as a node would: where a test fails, the protocol is wrong or the wiring.

pub mod client;
pub mod crowd;
pub mod disk;
pub mod faults;
pub mod host;
pub mod invariants;
pub mod jobs;
pub mod lease_model;
pub mod ledger;
pub mod loss;
pub mod network;
pub mod operator;
pub mod plan;
pub mod real;
pub mod rules;
pub mod runner;
pub mod sabotage;
pub mod sights;
pub mod work;
pub mod world;

pub use self::plan::Plan;
pub use self::runner::{Report, Violation, median, run};
pub use self::sabotage::Sabotage;
pub use self::world::World;
