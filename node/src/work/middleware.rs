//! Code of a program around all of its runs, whatever kind of work they are: to refuse some, to
//! measure and to trace all, to tell somebody of those that fail.
//!
//! Each [`Middleware`] gets the run's [`Context`] and what is inside of it, which it begins with
//! [`Next::run`]. The first that a node was given is the outermost. It is around umbel's own
//! [`Registry::NOOP`](super::Registry::NOOP), too. For what only looks, [`before`], [`after`] and
//! [`on_error`] make one of a closure:
//!
//! ```
//! use umbel::middleware::{after, before, on_error};
//! use umbel::{Node, TaskError};
//!
//! let node = Node::builder()
//!     .middleware(after(|context, outcome, took| {
//!         println!("{} took {took:?}: {outcome:?}", context.name());
//!     }))
//!     .middleware(on_error(|context, failure| {
//!         eprintln!("attempt {} of {} failed: {}", context.attempt(), context.id(), failure.message);
//!     }))
//!     .middleware(before(|context| match context.name() {
//!         "retired" => Err(TaskError::permanent("nobody does this any more")),
//!         _ => Ok(()),
//!     }));
//! ```
//!
//! # How it ends
//! - A panic is a failure of that run only. Middleware further out sees it as the outcome.
//! - The time limit of a run covers its middleware. When it is over the work inside is ended, and the
//!   middleware around it, which sees [`FailureKind::TimedOut`], has the node's grace to come to its
//!   own end; before the work has begun it has none, and is dropped.
//! - After a cancel the work inside has the grace, and then the middleware once more. What has not begun
//!   then does not begin: [`Next::run`] answers [`Outcome::Cancelled`].
//! - Middleware that drops what [`Next::run`] returned, after a time limit of its own for example, ends
//!   the work inside as a cancel would. The run is not over before that is.
//! - Middleware that returns [`Outcome::Cancelled`] though nobody has cancelled the run gives up its task,
//!   which ends as one that is [dropped](crate::TaskError::dropped). If its time is over it has
//!   [taken too long](umbel_protocol::task::FailureKind::TimedOut) nevertheless.
//!
//! [`FailureKind::TimedOut`]: umbel_protocol::task::FailureKind::TimedOut

use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;
use umbel_protocol::task::{Failure, Outcome};

use super::context::Context;
use super::error::{self, panicked};
use super::state::Needs;

/// Code around runs. See the [module](self) for when it is ended.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use umbel::middleware::{Middleware, Next};
/// use umbel::protocol::task::Outcome;
/// use umbel::{Context, Needs};
///
/// #[derive(Default)]
/// struct Gauge(AtomicUsize);
///
/// /// Counts the runs that go on.
/// struct Counted;
///
/// impl Middleware for Counted {
///     async fn run(&self, context: &Context, next: Next<'_>) -> Outcome {
///         let gauge = context.state::<Gauge>();
///         if let Some(gauge) = &gauge {
///             gauge.0.fetch_add(1, Ordering::Relaxed);
///         }
///         let outcome = next.run().await;
///         if let Some(gauge) = &gauge {
///             gauge.0.fetch_sub(1, Ordering::Relaxed);
///         }
///         outcome
///     }
///
///     fn needs(&self, needs: &mut Needs) {
///         needs.state::<Gauge>();
///     }
/// }
///
/// let node = umbel::Node::builder().state(Gauge::default()).middleware(Counted);
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Goes around one run; `async fn` will do. What it returns is how the run ended: what `next`
    /// came to, or something else. A result that it makes itself is JSON, and has the same limits.
    ///
    /// It is polled on the threads that start runs: it must not block them.
    fn run(&self, context: &Context, next: Next<'_>) -> impl Future<Output = Outcome> + Send;

    /// Says what it takes of the node, so that a node without it does not start. Nothing unless
    /// written.
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

/// What is inside of a middleware: the next one, or the work itself. Dropped, none of it begins.
pub struct Next<'a> {
    rest: &'a [Arc<dyn Layer>],
    context: &'a Context,
    begin: Begin,
}

/// Asks for the work to be begun, with where its outcome is to go. Whoever drives the run does so,
/// beside the middleware: that may stop to poll at any time.
pub(super) type Begin = oneshot::Sender<oneshot::Sender<Outcome>>;

impl<'a> Next<'a> {
    pub(super) const fn new(
        rest: &'a [Arc<dyn Layer>],
        context: &'a Context,
        begin: Begin,
    ) -> Self {
        Self { rest, context, begin }
    }

    /// Runs it to its end, which may be a panic of a middleware further in, as a failure.
    pub async fn run(self) -> Outcome {
        let Self { rest, context, begin } = self;
        if let Some((first, rest)) = rest.split_first() {
            let run = async { first.run(context, Next { rest, context, begin }).await };
            return AssertUnwindSafe(run)
                .catch_unwind()
                .await
                .unwrap_or_else(|payload| Outcome::Failed(panicked(payload)));
        }
        let (answer, answered) = oneshot::channel();
        if begin.send(answer).is_err() {
            // Nothing is begun any more.
            return Outcome::Cancelled;
        }
        answered.await.unwrap_or(Outcome::Cancelled)
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("middleware", &self.rest.len()).finish_non_exhaustive()
    }
}

/// A [`Middleware`] of any type.
pub(super) trait Layer: Send + Sync + 'static {
    fn run<'a>(&'a self, context: &'a Context, next: Next<'a>) -> BoxFuture<'a, Outcome>;

    fn needs(&self, needs: &mut Needs);
}

impl<M: Middleware> Layer for M {
    fn run<'a>(&'a self, context: &'a Context, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(Middleware::run(self, context, next))
    }

    fn needs(&self, needs: &mut Needs) {
        Middleware::needs(self, needs);
    }
}

/// Calls `check` before each run. An error is the failure of the run, as one that the handler returns:
/// nothing further in begins.
#[must_use]
pub fn before<E>(
    check: impl Fn(&Context) -> Result<(), E> + Send + Sync + 'static,
) -> impl Middleware
where
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    Before(move |context: &Context| check(context).map_err(error::outcome))
}

/// Calls `look` after each run, with its outcome and how long it took. It is not called for runs that
/// are given up because their node stops or fails.
#[must_use]
pub fn after(
    look: impl Fn(&Context, &Outcome, Duration) + Send + Sync + 'static,
) -> impl Middleware {
    After(look)
}

/// Calls `look` after each run that has failed, with why: after each failed attempt of a task, thus.
/// [`FailureKind::is_retryable`](umbel_protocol::task::FailureKind::is_retryable) says whether another
/// can help.
#[must_use]
pub fn on_error(look: impl Fn(&Context, &Failure) + Send + Sync + 'static) -> impl Middleware {
    After(move |context: &Context, outcome: &Outcome, _: Duration| match outcome {
        Outcome::Deferred { failure, .. } | Outcome::Failed(failure) => look(context, failure),
        Outcome::Cancelled
        | Outcome::Dropped(_)
        | Outcome::Snoozed { .. }
        | Outcome::Succeeded(_) => {}
    })
}

struct Before<F>(F);

impl<F> Middleware for Before<F>
where
    F: Fn(&Context) -> Result<(), Outcome> + Send + Sync + 'static,
{
    async fn run(&self, context: &Context, next: Next<'_>) -> Outcome {
        match (self.0)(context) {
            Ok(()) => next.run().await,
            Err(outcome) => outcome,
        }
    }
}

struct After<F>(F);

impl<F> Middleware for After<F>
where
    F: Fn(&Context, &Outcome, Duration) + Send + Sync + 'static,
{
    async fn run(&self, context: &Context, next: Next<'_>) -> Outcome {
        let since = Instant::now();
        let outcome = next.run().await;
        (self.0)(context, &outcome, since.elapsed());
        outcome
    }
}
