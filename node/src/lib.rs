//! umbel: a distributed task queue without a broker.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod actors;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod client;
mod clock;
pub mod config;
pub mod data_dir;
mod former;
pub mod local;
#[cfg(all(test, feature = "cli"))]
mod log_capture;
pub mod node;
mod router;
mod seeker;
pub mod store;
pub mod tls;
pub mod transport;
mod wire_out;
pub mod work;

pub use umbel_macros::task;

pub use self::client::{Client, ClientError, Handle, TaskFailed};
pub use self::node::{Node, NodeBuilder};
pub use self::work::{Call, Context, Registry, Task, TaskError};
