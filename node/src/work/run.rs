//! One run of a task, from its dispatch to its outcome.
//!
//! Invariant: every run ends in exactly one [`Outcome`], whatever user code does, panics included.
//! Absent on purpose: slots, reporting and retries, which belong to whoever calls this.

use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, CatchUnwind};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, info_span};
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::task::{Failure, FailureKind, Metadata, Outcome};

use super::around::around;
use super::command::{self, CommandSpec};
use super::context::Context;
use super::context::metadata::Said;
use super::definition::{Body, Definition, Kind, Start};
use super::error::panicked;
use super::handler::Work;
use super::host::Host;
use super::journals::Journals;
use super::ledger::{Ledger, LedgerError};
use super::limit::Limit;
use super::middleware::Middleware;
use super::registry::Registry;
use super::state::NotGiven;
use super::threads::{Lingering, Threads};
use super::webhook::Clients;

/// The target of the spans of runs.
pub(crate) const SPAN_TARGET: &str = "umbel::run";

/// Runs tasks. Cheap to clone; clones share the ledger, the threads of blocking handlers and the HTTP
/// clients.
#[derive(Clone, Debug)]
pub struct Runner {
    pub(super) host: Arc<Host>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) http: Arc<Clients>,
    pub(super) threads: Arc<Threads>,
    pub(super) grace: Duration,
}

/// One run, as it was dispatched.
#[derive(Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// The task.
    pub id: TaskId,
    /// The token of the run.
    pub token: Token,
    /// Which attempt it is, from one.
    pub attempt: u16,
    /// The arguments, JSON. None at all means `null`.
    pub args: Bytes,
    /// How long it may take; nothing means what the definition says.
    pub time_limit: Option<Duration>,
    /// After how long it is told that its time will soon be over; nothing means what the definition says.
    pub soft_limit: Option<Duration>,
    /// How much is left until its task must have ended.
    pub time_left: Option<Duration>,
    /// What is said of the task besides how it is treated.
    pub metadata: Option<Arc<Metadata>>,
    /// The names of what its submission never shows; what the definition names is not shown in any case.
    pub redact: Vec<Box<str>>,
}

#[cfg(test)]
impl RunRequest {
    /// One of no task in particular, at its second attempt.
    pub(crate) fn with_args(args: &str) -> Self {
        Self {
            id: "018bcfe5-687b-7003-8000-000000000001".parse().expect("it is an id"),
            token: Token { term: 1, index: 2, position: 3 },
            attempt: 2,
            args: args.to_owned().into(),
            time_limit: None,
            soft_limit: None,
            time_left: None,
            metadata: None,
            redact: Vec::new(),
        }
    }
}

/// A run that was started.
pub enum Started {
    /// It is over already.
    Ready(Outcome),
    /// It waits for something. Dropping the future gives the run up: handlers and requests are
    /// dropped, process groups killed, and its token is cancelled for what cannot be stopped.
    Running(BoxFuture<'static, Outcome>),
}

impl Runner {
    /// A runner of the node called `node`, which remembers process groups in `ledger`.
    #[must_use]
    pub fn new(node: &str, ledger: Ledger) -> Self {
        let mut host = Host::default();
        host.name(node);
        Self::of(host, ledger)
    }

    /// A runner of this node.
    pub(crate) fn of(host: Host, ledger: Ledger) -> Self {
        Self {
            host: Arc::new(host),
            ledger: Arc::new(ledger),
            http: Arc::default(),
            threads: Arc::default(),
            grace: CommandSpec::GRACE_DEFAULT,
        }
    }

    /// Sets how long a run may go on after it was told to end, unless its command [says](CommandSpec::grace)
    /// otherwise: 5 s unless set.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Gives handlers and middleware a value to share, as
    /// [`NodeBuilder::state`](crate::NodeBuilder::state) does.
    #[must_use]
    pub fn with_state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.host).state(value);
        self
    }

    /// Puts code around all runs, as [`NodeBuilder::middleware`](crate::NodeBuilder::middleware) does.
    #[must_use]
    pub fn with_middleware(mut self, middleware: impl Middleware) -> Self {
        Arc::make_mut(&mut self.host).middleware(middleware);
        self
    }

    /// Whether it was given all that the tasks of `registry` take, and its middleware. A run that
    /// takes something else fails.
    ///
    /// # Errors
    /// The first that was not given.
    pub fn check(&self, registry: &Registry) -> Result<(), NotGiven> {
        self.host.check(registry)
    }

    /// How long a run may go on after it was told to end, if its task does not say otherwise.
    pub(crate) const fn grace(&self) -> Duration {
        self.grace
    }

    /// Waits until no process of this run goes on, which was dropped. One that hangs in the kernel is not
    /// waited for for ever.
    pub(crate) async fn gone(&self, task: TaskId, token: Token) {
        self.ledger.gone(task, token).await;
    }

    /// How long a run of this task may go on after it was told to end.
    pub(crate) fn grace_of(&self, definition: &Definition) -> Duration {
        definition.grace().unwrap_or(self.grace)
    }

    /// Those runs that are over, of those that are meant, and whose code goes on: it has a thread, and
    /// cannot be stopped.
    pub(crate) fn lingering(&self, is_meant: impl Fn(TaskId, Token) -> bool) -> Vec<Lingering> {
        self.threads.lingering(is_meant)
    }

    /// Has `tell` called, on some thread, when the code of such a run has come to its end; false if it has.
    pub(crate) fn when_quiet(
        &self,
        task: TaskId,
        token: Token,
        tell: impl FnOnce() + Send + 'static,
    ) -> bool {
        self.threads.when_quiet(task, token, tell)
    }

    /// What its runs say.
    pub(crate) fn journals(&self) -> &Journals {
        &self.host.journals
    }

    /// Kills the process groups of runs that were dropped, and waits until they are gone. Blocks.
    pub(crate) fn sweep(&self) -> Result<usize, LedgerError> {
        self.ledger.sweep()
    }

    /// Starts a run. An async handler is polled once right here, so that one which has nothing to
    /// wait for costs neither a task nor a timer; [`Started::Running`] is for the caller to spawn.
    ///
    /// Must be called inside a tokio runtime. Cancel `cancel` to end the run: it gets the grace to
    /// do so, and is over with [`Outcome::Cancelled`] unless it succeeds nevertheless. The token is
    /// also cancelled when the time limit is over, for what the handler may have started.
    #[must_use]
    pub fn start(
        &self,
        definition: &Arc<Definition>,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> Started {
        if cancel.is_cancelled() {
            return Started::Ready(Outcome::Cancelled);
        }
        let limit = Limit::new(
            request.time_limit.or_else(|| definition.default_time_limit()),
            request.time_left,
            request.soft_limit.or_else(|| definition.default_soft_limit()),
        );
        let now = self.host.clock.instant();
        let context = Context {
            id: request.id,
            token: request.token,
            attempt: request.attempt,
            definition: Arc::clone(definition),
            host: Arc::clone(&self.host),
            deadline: limit.end(now),
            warning: limit.warning(now),
            cancel,
            said: request.metadata.map(|metadata| Arc::new(Said::new(metadata))),
            redact: hidden(request.redact, definition),
            client: OnceLock::new(),
            voice: OnceLock::new(),
        };
        let args = if request.args.is_empty() { Bytes::from_static(b"null") } else { request.args };
        let span = span(&context);
        if span.is_disabled() {
            return self.begin(context, args, limit);
        }
        match span.in_scope(|| self.begin(context, args, limit)) {
            Started::Running(run) => Started::Running(Box::pin(run.instrument(span))),
            ready @ Started::Ready(_) => ready,
        }
    }

    fn begin(&self, context: Context, args: Bytes, limit: Limit) -> Started {
        if !self.host.middleware.is_empty() {
            return self.start_inside(context, args, limit);
        }
        let definition = Arc::clone(&context.definition);
        match &definition.body {
            Body::Async(start) => match begun(start, &context, &args) {
                Ok(work) => poll_once(work, context, limit, self.grace),
                Err(outcome) => Started::Ready(outcome),
            },
            Body::Blocking(_) | Body::Command(_) | Body::Webhook(_) => {
                Started::Running(self.work(context, args, limit))
            }
        }
    }

    /// Starts a run with middleware around it.
    fn start_inside(&self, context: Context, args: Bytes, limit: Limit) -> Started {
        let kind = context.definition.kind();
        let runner = self.clone();
        let mut run =
            around(context, limit, self.grace, move |context| runner.work(context, args, limit));
        // As without: what has nothing to wait for is over at once.
        match kind {
            Kind::Async => match run.poll_unpin(&mut poller()) {
                Poll::Ready(outcome) => Started::Ready(outcome),
                Poll::Pending => Started::Running(run),
            },
            Kind::Blocking | Kind::Command | Kind::Webhook => Started::Running(run),
        }
    }

    /// The work itself, which ends soon after its time is over or it was told to.
    fn work(&self, context: Context, args: Bytes, limit: Limit) -> Work {
        let definition = Arc::clone(&context.definition);
        let work = match &definition.body {
            Body::Async(start) => match begun(start, &context, &args) {
                Ok(work) => work,
                Err(outcome) => return Box::pin(ready(outcome)),
            },
            Body::Blocking(_) => match blocking(&self.threads, &context, args) {
                Ok(work) => work,
                Err(outcome) => return Box::pin(ready(outcome)),
            },
            Body::Webhook(webhook) => webhook.post(&self.http, context.clone(), args),
            Body::Command(_) => {
                let ledger = Arc::clone(&self.ledger);
                let grace = self.grace_of(&definition);
                let run = command::run(context, args, ledger, limit, grace);
                return Box::pin(AssertUnwindSafe(run).catch_unwind().map(or_panicked));
            }
        };
        supervise(Guarded::new(work), context, limit, self.grace)
    }

    /// Starts a run and waits for its outcome.
    pub async fn run(
        &self,
        definition: &Arc<Definition>,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> Outcome {
        match self.start(definition, request, cancel) {
            Started::Ready(outcome) => outcome,
            Started::Running(run) => run.await,
        }
    }
}

impl std::fmt::Debug for RunRequest {
    /// Without its arguments, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunRequest")
            .field("id", &self.id)
            .field("token", &self.token)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready(outcome) => f.debug_tuple("Ready").field(outcome).finish(),
            Self::Running(_) => f.write_str("Running"),
        }
    }
}

/// The span that a run is in logs: all that its handler logs is part of it.
fn span(context: &Context) -> Span {
    let span = info_span!(
        target: SPAN_TARGET,
        "run",
        task = %context.id,
        name = context.name(),
        attempt = context.attempt,
        trace_id = Empty,
        span_id = Empty,
    );
    if let Some(trace) = context.trace().filter(|_| !span.is_disabled()) {
        span.record("trace_id", trace.trace_id()).record("span_id", trace.span_id());
    }
    span
}

/// The names of what is never shown of a run whose submission hides what is called by one of `said`.
fn hidden(mut said: Vec<Box<str>>, definition: &Definition) -> Arc<[Box<str>]> {
    said.extend_from_slice(definition.template().options.redact());
    if said.is_empty() { Arc::default() } else { said.into() }
}

/// The future of an async handler.
fn begun(start: &Start, context: &Context, args: &[u8]) -> Result<Work, Outcome> {
    catch_unwind(AssertUnwindSafe(|| start(context, args)))
        .unwrap_or_else(|payload| Err(Outcome::Failed(panicked(payload))))
}

fn poll_once(work: Work, context: Context, limit: Limit, grace: Duration) -> Started {
    let mut work = Guarded::new(work);
    match work.poll_unpin(&mut poller()) {
        Poll::Ready(outcome) => Started::Ready(outcome),
        Poll::Pending => Started::Running(supervise(work, context, limit, grace)),
    }
}

/// For a first poll. Whoever gets the future polls it again at once, with a waker that counts.
const fn poller() -> std::task::Context<'static> {
    std::task::Context::from_waker(Waker::noop())
}

/// Runs a blocking handler on a thread of its own. Dropped before that has begun, it never begins.
fn blocking(threads: &Threads, context: &Context, args: Bytes) -> Result<Work, Outcome> {
    let definition = Arc::clone(&context.definition);
    let inside = context.clone();
    let run = threads.run(context, move || match &definition.body {
        Body::Blocking(run) => run(&inside, &args),
        Body::Async(_) | Body::Command(_) | Body::Webhook(_) => {
            unreachable!("only blocking handlers get a thread")
        }
    });
    match run {
        Ok(run) => Ok(Box::pin(run)),
        // The system has none left, which may be over soon.
        Err(why) => {
            let message = format!("there is no thread for it: {why}");
            Err(Outcome::Failed(Failure::new(FailureKind::Error, message)))
        }
    }
}

/// Work that has to wait: ends it when its time is over or when it is told to.
fn supervise(
    mut work: Guarded,
    context: Context,
    limit: Limit,
    grace: Duration,
) -> BoxFuture<'static, Outcome> {
    // Tells threads and whatever else the handler started when the run is dropped, begun or not.
    let told = context.cancel.clone().drop_guard();
    Box::pin(async move {
        let outcome = tokio::select! {
            biased;
            outcome = &mut work => ended(outcome, &context.cancel),
            () = context.time_over() => {
                context.cancel.cancel();
                Outcome::Failed(limit.exceeded())
            }
            () = context.cancel.cancelled() => match tokio::time::timeout(grace, &mut work).await {
                Ok(outcome) => ended(outcome, &context.cancel),
                Err(_) => Outcome::Cancelled,
            },
        };
        told.disarm();
        outcome
    })
}

/// What work that came to its end by itself amounts to: a success that was faster than the cancel
/// counts, and so does that there is nothing to be done; a failure after it is what was asked for.
pub(super) fn ended(outcome: Outcome, cancel: &CancellationToken) -> Outcome {
    match outcome {
        Outcome::Deferred { .. } | Outcome::Failed(_) | Outcome::Snoozed { .. }
            if cancel.is_cancelled() =>
        {
            Outcome::Cancelled
        }
        Outcome::Cancelled
        | Outcome::Deferred { .. }
        | Outcome::Dropped(_)
        | Outcome::Failed(_)
        | Outcome::Snoozed { .. }
        | Outcome::Succeeded(_) => outcome,
    }
}

/// Polls `main` to its end and `side` along with it, as far as that gets.
pub(super) async fn alongside<T>(
    side: &mut (impl Future<Output = ()> + Unpin),
    main: impl Future<Output = T>,
) -> T {
    let mut main = pin!(main);
    std::future::poll_fn(|cx| {
        // Whether `side` is over is of no interest; it must bear to be asked again.
        let _ = Pin::new(&mut *side).poll(cx);
        main.as_mut().poll(cx)
    })
    .await
}

/// User code whose panics are failures, when it runs and when it is dropped.
pub(super) struct Guarded {
    work: Option<CatchUnwind<AssertUnwindSafe<Work>>>,
}

impl Guarded {
    pub(super) fn new(work: Work) -> Self {
        Self { work: Some(AssertUnwindSafe(work).catch_unwind()) }
    }
}

impl Future for Guarded {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Outcome> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        work.poll_unpin(cx).map(or_panicked)
    }
}

fn or_panicked(end: std::thread::Result<Outcome>) -> Outcome {
    end.unwrap_or_else(|payload| Outcome::Failed(panicked(payload)))
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let work = self.work.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(work))) {
            let why = panicked(payload).message;
            tracing::debug!(%why, "a handler panicked while it was dropped");
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
