//! What a handler can know about the run it is part of.
//!
//! A [`Context`] is cheap to clone and may outlive the run; it never keeps the run alive.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use umbel_protocol::id::{TaskId, Token};

use self::metadata::Said;
use super::definition::Definition;
use super::host::Host;
use super::journals::Voice;
use super::state::State;
use crate::client::Client;

mod live;
pub(super) mod metadata;

/// The run that a handler is part of. A handler takes it before its arguments:
///
/// ```
/// use umbel::{Context, TaskError};
///
/// #[umbel::task(name = "example/index", blocking)]
/// fn index(ctx: Context, pages: Vec<String>) -> Result<usize, TaskError> {
///     for (done, page) in pages.iter().enumerate() {
///         // Nothing stops a thread from outside.
///         if ctx.is_cancelled() {
///             return Err(TaskError::new(format!("{} ended after {done} pages", ctx.id())));
///         }
///         println!("attempt {}: {page}", ctx.attempt());
///     }
///     Ok(pages.len())
/// }
/// ```
#[derive(Clone)]
pub struct Context {
    pub(super) id: TaskId,
    pub(super) token: Token,
    pub(super) attempt: u16,
    pub(super) definition: Arc<Definition>,
    pub(super) host: Arc<Host>,
    pub(super) deadline: Option<tokio::time::Instant>,
    pub(super) warning: Option<tokio::time::Instant>,
    pub(super) cancel: CancellationToken,
    /// What is said of the task, if anything.
    pub(super) said: Option<Arc<Said>>,
    /// The names of what is never shown of it.
    pub(super) redact: Arc<[Box<str>]>,
    /// The client that its children are submitted by, once there is one.
    pub(super) client: OnceLock<Client>,
    /// What it says, once it has said something.
    pub(super) voice: OnceLock<Arc<Voice>>,
}

impl Context {
    /// Whether some of its arguments are never shown.
    pub(super) fn redacts(&self) -> bool {
        !self.redact.is_empty()
    }

    /// The task.
    #[must_use]
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// The token of this run. Tokens of one task only grow: a store that remembers the highest that
    /// it has seen can refuse the writes of a run that was thought lost.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Which attempt this is, from one.
    #[must_use]
    pub const fn attempt(&self) -> u16 {
        self.attempt
    }

    /// The name of the task.
    #[must_use]
    pub fn name(&self) -> &str {
        self.definition.name()
    }

    /// The queue that this program serves the task from by default. A caller may have chosen
    /// another one.
    #[must_use]
    pub fn queue(&self) -> &str {
        self.definition.template().queue.as_str()
    }

    /// The node that runs it.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.host.node
    }

    /// The value of this type that the node was given, if it was. Handlers rather take a [`State`]
    /// before their arguments: then a node without it does not start.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<State<T>> {
        self.host.states.get()
    }

    /// When its time is over, if it has a limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|at| self.host.clock.by_others(at))
    }

    /// When its soft limit is reached, if it has one: from then on it had better come to its end.
    #[must_use]
    pub fn warned_at(&self) -> Option<Instant> {
        self.warning.map(|at| self.host.clock.by_others(at))
    }

    /// Ends when the soft limit is reached; never, if there is none. A handler that wants to end in good
    /// order before its time limit does so waits for this beside its work.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use umbel::{Context, TaskError};
    /// # async fn next_page() -> bool { false }
    /// # async fn remember() {}
    /// #[umbel::task(time_limit = "60s", soft_limit = "50s")]
    /// async fn crawl(context: Context) -> Result<(), TaskError> {
    ///     loop {
    ///         tokio::select! {
    ///             more = next_page() => if !more { return Ok(()) },
    ///             () = context.warned() => {
    ///                 remember().await;
    ///                 // Goes on where it stopped, and that is no failure.
    ///                 return Err(TaskError::snoozed(Duration::ZERO));
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn warned(&self) {
        self.host.clock.reached(self.warning).await;
    }

    /// Whether the soft limit is reached. Blocking handlers ask this between steps.
    #[must_use]
    pub fn is_warned(&self) -> bool {
        self.warning.is_some_and(|at| at <= self.host.clock.instant())
    }

    /// Ends when the run should: it was cancelled, its time is over, or it is no longer waited for. An async handler
    /// that was cancelled has a few seconds from then before it is dropped. When its time is over it is dropped at once
    /// where it waits: what is to be cleaned up before belongs behind the soft limit ([`warned`](Self::warned)).
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the run should end. Blocking handlers ask this between steps: nothing else stops them.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Ends when the time of the run is over.
    pub(super) async fn time_over(&self) {
        self.host.clock.reached(self.deadline).await;
    }

    /// Whether the time of the run is over.
    pub(super) fn is_time_over(&self) -> bool {
        self.deadline.is_some_and(|at| at <= self.host.clock.instant())
    }

    /// The same for what is inside of this run: told to end with it, or alone.
    pub(super) fn inner(&self) -> Self {
        Self { cancel: self.cancel.child_token(), ..self.clone() }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("attempt", &self.attempt)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
