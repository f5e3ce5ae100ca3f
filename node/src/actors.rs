//! The actors of a node: thin shells around the machines of `umbel-protocol`.
//!
//! A handler translates its message into an event, steps the machine, and performs the effects in
//! one `match`; whatever is worth deciding is decided in the machine. Transport and store are plain
//! tasks and threads behind cheap handles.
//!
//! | actor | arbiter | owns | mailbox | when it is full | on panic |
//! |---|---|---|---|---|---|
//! | [`Supervisor`] | its own | the others, the store's writer, the lock on the directory | [`MAILBOX_MAX`] | callers wait | the node ends |
//! | [`Scheduler`] | `work` | all groups, requests | [`MAILBOX_MAX`] | network and callers wait | the store is opened anew, a new one is built from it |
//! | [`Executor`] | `work` | runs and slots | [`MAILBOX_MAX`] | the scheduler keeps what it has for it | its runs are dropped and its process groups killed, a new one introduces itself |
//! | [`Gossip`] | `gossip` | membership | [`MAILBOX_MAX`] | datagrams are dropped | a new one asks the members it is told of |
//!
//! Scheduler and executor share a thread: what they say to each other is on the way of every task.
//! Gossip has its own, so that no load ever delays a probe. The network has threads of its own, too,
//! which run no code of tasks; that runs on the runtime of whoever started the node, and blocking
//! handlers on threads that the node has for them alone. Where actors share a thread each makes way for
//! the others after some messages.
//!
//! Whoever embeds a node may ask each of them: the Scheduler any request of a client ([`Ask`], which tells how) and
//! which copies are here ([`CopiesHere`]), the Executor how many runs it holds ([`Held`]), Gossip who
//! is alive ([`Members`]), the Supervisor how the others fare ([`Health`]). `examples/embed.rs` does.
//!
//! [`MAILBOX_MAX`]: umbel_protocol::limits::MAILBOX_MAX

mod alarm;
#[cfg(test)]
mod answer_tests;
mod bell;
mod error;
mod executor;
mod gossip;
mod ground;
mod handles;
mod health;
mod leaving;
mod majority;
mod post;
mod pulse;
mod reload;
mod runs;
mod scheduler;
mod supervisor;
#[cfg(test)]
mod tests;

pub use self::bell::Which;
pub use self::error::NodeError;
pub use self::executor::{Executor, Held};
pub use self::gossip::{Gossip, Members};
pub use self::health::{Health, PartHealth};
pub use self::post::{Post, PostError};
pub use self::scheduler::{Ask, CopiesHere, CopyStatus, Scheduler};
pub use self::supervisor::Supervisor;

pub(crate) use self::executor::{Learned, OwnerSpoke, OwnersRelayed, Reached, Repertoire};
pub(crate) use self::gossip::Gossiped;
pub(crate) use self::ground::Directory;
pub(crate) use self::handles::Handles;
pub(crate) use self::leaving::Leave;
pub(crate) use self::reload::{By, RELOADS_MAX, Reload};
pub(crate) use self::scheduler::{Arrived, Happened};
pub(crate) use self::supervisor::{Setup, Stop};
