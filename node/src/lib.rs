//! umbel: a distributed task queue without a broker.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod config;
pub mod data_dir;
pub mod local;
pub mod store;
pub mod tls;
pub mod transport;
pub mod work;

pub use umbel_macros::task;

pub use self::client::{Client, ClientError, Handle, TaskFailed};
pub use self::work::{Call, Context, Registry, Task, TaskError};
