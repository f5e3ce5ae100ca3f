//! Running tasks: handlers, commands and webhooks under one contract.
//!
//! A [`Registry`] says which names this program can run and how. A [`Runner`] runs one of them once
//! it has been dispatched and answers with an [`Outcome`](umbel_protocol::task::Outcome). Whatever
//! the kind of work, the same holds:
//!
//! | | async handler | blocking handler | command | webhook |
//! |---|---|---|---|---|
//! | arguments | JSON, decoded | JSON, decoded | `argv`, stdin, environment | JSON body |
//! | result | JSON of what it returns | JSON of what it returns | exit code and output | answer's body |
//! | time limit | dropped | reported; the thread ends by itself, and keeps its slot until then | TERM, grace, KILL to the group | dropped |
//! | cancel | told, grace, dropped | told, grace, reported | TERM, grace, KILL to the group | dropped |
//! | grace | 5 s | 5 s | [5 s, or as it says](CommandSpec::grace) | |
//! | panic | failure of this run only | failure of this run only | | |
//! | taken of the node | [`State`], [`Context`], [`FromContext`] | the same | | |
//! | around it | [`middleware`] | [`middleware`] | [`middleware`] | [`middleware`] |
//!
//! ```
//! use umbel::{Call, Registry, TaskError};
//!
//! #[umbel::task(attempts = 5, time_limit = "30s")]
//! async fn multiply(a: u64, b: u64) -> Result<u64, TaskError> {
//!     a.checked_mul(b).ok_or_else(|| TaskError::permanent("the product is too large"))
//! }
//!
//! let call: Call<u64> = multiply::call(6, 7).priority(7);
//! assert!(Registry::declared()?.get("multiply").is_some());
//! # Ok::<_, umbel::work::RegisterError>(())
//! ```
//!
//! Each run is in a [span](tracing::Span) of its own, `run` of the target `umbel::run`, at the level of
//! information: with its `task`, `name` and `attempt`, and if the task is part of a trace the `trace_id`
//! and `span_id` that whatever it calls is told. So all that a handler logs can be told apart.
//!
//! What a handler says of its run, and each line that a command prints, is told to whoever watches the
//! task while it runs: [`Context::progress`], [`Context::log`].
//!
//! Nothing here decides whether a task is tried again, or talks to other nodes.

mod argument_key;
mod arguments;
mod around;
mod call;
mod command;
mod context;
pub mod declare;
mod definition;
mod error;
mod excerpt;
mod from_context;
mod handler;
mod host;
mod journals;
mod ledger;
mod limit;
pub mod middleware;
mod process_group;
mod registry;
mod run;
mod state;
mod threads;
mod webhook;

pub use self::arguments::{Argument, Arguments};
pub use self::call::{Call, InvalidCall, Submission};
pub use self::command::{CommandSpec, Environment, Expand, Program};
pub use self::context::Context;
pub use self::declare::{Task, TaskReturn};
pub(crate) use self::definition::duration;
pub(crate) use self::definition::span;
pub use self::definition::{Definition, Kind};
pub use self::error::TaskError;
pub(crate) use self::error::{chain, panicked};
pub use self::from_context::FromContext;
pub use self::handler::{AsyncHandler, BlockingHandler, NoArgs};
pub(crate) use self::host::{Host, Withheld};
#[cfg(feature = "testing")]
pub(crate) use self::journals::Voice;
pub use self::ledger::{Ledger, LedgerError};
pub use self::registry::{RegisterError, Registry};
#[cfg(feature = "cli")]
pub(crate) use self::run::SPAN_TARGET;
pub use self::run::{RunRequest, Runner, Started};
pub use self::state::{Needs, NotGiven, State};
pub(crate) use self::threads::Lingering;
pub use self::webhook::WebhookSpec;
pub(crate) use self::webhook::{is_ours, reach};
