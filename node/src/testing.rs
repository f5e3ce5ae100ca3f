//! Testing programs that submit tasks, and the tasks themselves: with no node at all, or with a whole
//! cluster inside of the test.
//!
//! This is behind the feature `testing`, which is for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! umbel = { version = "0.1", features = ["testing"] }
//! ```
//!
//! | to test | take | it costs |
//! |---|---|---|
//! | that code submits what it should | a [`Recorder`] | nothing: no node, no disk, no thread |
//! | what a task does, with its retries | [`Inline`] | as little |
//! | that both go together, here and when nodes are lost, or an hour later | a [`Cluster`] | a second or two |
//!
//! Each hands out a [`Client`](crate::Client), the same type as in production: code that is tested takes
//! that as ever, and need not know.
//!
//! # What was submitted
//!
//! ```standalone_crate
//! use std::time::Duration;
//! use umbel::testing::Recorder;
//! use umbel::{Client, ClientError};
//!
//! #[umbel::task(queue = "mail")]
//! async fn welcome(user: u64) -> Result<(), String> {
//!     Ok(())
//! }
//!
//! // What is tested.
//! async fn sign_up(client: &Client, user: u64) -> Result<(), ClientError> {
//!     welcome::submit(client, user).delay(Duration::from_secs(60)).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ClientError> {
//! let recorder = Recorder::new();
//! sign_up(&recorder.client(), 7).await?;
//! let submitted = recorder.assert_submitted(welcome::call(7));
//! assert_eq!(submitted.queue(), "mail");
//! assert_eq!(submitted.delay(), Duration::from_secs(60));
//! # Ok(()) }
//! ```
//!
//! # What a task does
//!
//! ```standalone_crate
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use umbel::State;
//! use umbel::testing::Inline;
//!
//! #[derive(Default)]
//! struct Bank {
//!     asked: AtomicU32,
//! }
//!
//! #[umbel::task(attempts = 3, backoff = "10m")]
//! async fn charge(bank: State<Bank>, cents: u64) -> Result<u64, String> {
//!     match bank.asked.fetch_add(1, Ordering::Relaxed) {
//!         0 => Err("the bank is away".to_owned()),
//!         _ => Ok(cents),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tasks = Inline::builder().state(Bank::default()).build()?;
//! assert_eq!(tasks.run(charge::call(100)).await?, 100, "the second time, ten minutes later");
//! # Ok(()) }
//! ```
//!
//! # An hour later, on three nodes
//!
//! ```standalone_crate
//! use std::time::Duration;
//! use umbel::testing::Cluster;
//!
//! #[umbel::task]
//! async fn remind(user: u64) -> Result<u64, String> {
//!     Ok(user)
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = Cluster::builder().nodes(3).start().await?;
//! let client = cluster.client();
//! let hour = Duration::from_secs(3600);
//! let reminder = remind::submit(&client, 7).delay(hour).await?;
//! cluster.crash(1).await;
//! cluster.clock().advance(hour).await;
//! assert_eq!(reminder.result().await?, 7);
//! cluster.stop().await;
//! # Ok(()) }
//! ```

mod clock;
mod cluster;
mod fake_node;
mod inline;
mod recorder;

pub use self::clock::Clock;
pub use self::cluster::{Cluster, ClusterBuilder, ClusterError};
pub use self::inline::{Inline, InlineBuilder, InlineError};
pub use self::recorder::{Recorded, Recorder};
