//! umbel: a distributed task queue without a broker.
//!
//! Every host runs the same program; any node takes tasks, keeps them on a majority of several disks
//! and runs them wherever a slot is free.
//!
//! ```no_run
//! use umbel::{Node, TaskError};
//!
//! #[umbel::task]
//! async fn add(a: u64, b: u64) -> Result<u64, TaskError> {
//!     a.checked_add(b).ok_or_else(|| TaskError::permanent("the sum is too large"))
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder().name("hello").start().await?;
//! node.joined().await?;
//! let client = node.client();
//! let sum = add::run(&client, 1, 2).await?;
//! println!("1 + 2 = {sum}");
//! node.stop().await;
//! # Ok(()) }
//! ```
//!
//! # Submitting
//!
//! [`#[umbel::task]`](macro@task) makes of a function a task that reads like a call of it: whom to ask,
//! the arguments, what is said of this task alone, and `.await`.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use umbel::{Client, TaskFailed};
//! # #[derive(Debug, serde::Serialize, serde::Deserialize)]
//! # struct Receipt;
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("the mail server is away")]
//! # struct MailError;
//! #[umbel::task(queue = "mail", attempts = 5, time_limit = "30s")]
//! async fn send_mail(user_id: u64) -> Result<Receipt, MailError> {
//!     // ...
//! #   Ok(Receipt)
//! }
//!
//! # async fn example(client: Client) -> Result<(), TaskFailed> {
//! // On the disks of a majority when this returns; what it returns is asked for now, later, or never.
//! let sent = send_mail::submit(&client, 7).delay(Duration::from_secs(60)).priority(9).await?;
//! let receipt: Receipt = sent.result().await?;
//!
//! // Both in one round trip.
//! let receipt = send_mail::run(&client, 7).await?;
//!
//! // Many, with few requests.
//! let taken = client.submit_batch((1..=1000).map(send_mail::call)).await;
//! # Ok(()) }
//! ```
//!
//! | write | to have |
//! |---|---|
//! | `task::submit(&client, args..).await` | it taken in: a [`Handle`], which knows the type of its result |
//! | `task::run(&client, args..).await` | what it returned |
//! | `task::call(args..)` | a [`Call`], for [`Client::submit_batch`] or a variable |
//! | [`Call::named`], [`Client::submit_named`] | a task that this program does not know, by its name |
//!
//! Before the `.await` stands what is said of it, as `.queue(..)`, `.at(..)`, `.attempts(..)`: all that
//! [`Call`] has. What is not said is as the function's attribute has it.
//!
//! # What is said of a task
//!
//! Besides how it is treated: [labels](Call::label), by which people find it, [headers](Call::header), which
//! its handler is handed, a [display name](Call::display_name), and the [trace](Call::traceparent) that it is
//! part of. Its [`Context`] tells them. A handler that submits with that context in place of a client makes the
//! task its child, which takes over labels, headers and trace: see [`Context::client`]. Arguments that nobody
//! is to see are marked with `#[redact]`, or named by [`Call::redact`].
//!
//! # Where to begin
//!
//! - A service that does the work, or some of it, embeds a [`Node`]: [`Node::builder`] sets it up,
//!   [`#[umbel::task]`](macro@task) makes a task of a function, [`NodeBuilder::register`] of a
//!   closure and [`NodeBuilder::define`] of either with options.
//! - What handlers share, as a pool of connections, is given to the node: [`NodeBuilder::state`]. They
//!   take it as a [`State`] before their arguments, or as a type of yours that comes [`FromContext`].
//! - What is done around all runs, as measuring and refusing some, is a [`middleware`].
//! - A service that has to end by some time has its node do so: [`Node::stop_within`].
//! - A service that only submits and waits has a [`Client`]: [`Client::connect`].
//! - Programs and web hooks are tasks without any code: [`config`] reads the `cluster.toml` that
//!   declares them.
//! - To talk to a node's actors, see [`actors`].
//! - Tests have what they need in `umbel::testing`, with the feature of that name: a client that records,
//!   tasks that are run at once, and a cluster with a clock inside of the test.
//!
//! # What to rely on
//!
//! While the version is 0.x, new variants and fields come with a new minor version, never with a patch:
//! `cargo semver-checks` compares the public API with that of the version before. The enums of [`protocol`] are not
//! `#[non_exhaustive]` on purpose, as within this workspace the compiler is to find every `match`. Elsewhere a `match`
//! that ends with `_` outlasts new variants; and what has many fields outlasts new ones where it is made by its `new`, or
//! as a literal that ends with `..Default::default()`.
//!
//! # Words
//!
//! A *task* is one piece of work with an id; its *name* says what code it is; it waits in a *queue*.
//! A *run* is one start of it, in a *slot* of a node; an *attempt* is a run that counts. Tasks live in
//! *partitions*; each has *copies* on several nodes, of which one is its *owner*. A *token* orders the
//! runs of a task, so that others can refuse one that is late. [`protocol`] has the rest.

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
pub mod features;
mod fitness;
mod former;
pub mod local;
#[cfg(all(test, feature = "cli"))]
mod log_capture;
pub mod node;
mod router;
mod seeker;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod timezones;
pub mod tls;
pub mod transport;
mod ways;
mod wire_out;
pub mod work;

pub use umbel_macros::task;
/// What nodes decide, and the types that programs and nodes tell each other.
pub use umbel_protocol as protocol;
pub use umbel_protocol::id::{TaskGroupId, TaskId};
pub use umbel_protocol::journal::{LogLine, Progress};
pub use umbel_protocol::task::{
    InvalidRate, Options, Rate, State as TaskState, Trace, UniquePolicy, UniqueScope, View,
};

pub use self::client::{Client, ClientError, Group, Handle, TaskFailed};
pub use self::node::{Node, NodeBuilder};
pub use self::work::middleware::{self, Middleware};
pub use self::work::{
    Call, Context, Definition, FromContext, Needs, Registry, State, Task, TaskError,
};
