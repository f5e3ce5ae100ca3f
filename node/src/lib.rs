//! umbel: a distributed task queue without a broker.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod client;
pub mod config;
pub mod data_dir;
pub mod store;
pub mod tls;
pub mod transport;
pub mod work;

pub use umbel_macros::task;

pub use self::client::{Client, ClientError, Handle, TaskFailed};
pub use self::work::{Call, Context, Registry, Task, TaskError};
