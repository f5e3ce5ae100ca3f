//! Running tasks at once, without a node.

use std::time::Duration;

use serde::de::DeserializeOwned;
use umbel_protocol::id::TaskId;
use umbel_protocol::journal::{LogLine, Progress};

use super::Recorder;
use super::fake_node::{FakeNode, Kitchen};
use crate::client::{Client, TaskFailed};
use crate::work::middleware::Middleware;
use crate::work::{
    AsyncHandler, BlockingHandler, Call, Definition, Host, Ledger, LedgerError, RegisterError,
    Registry, Runner, Task,
};

/// Runs tasks here and now, without a node: each as soon as it is submitted and until it has ended, with
/// all its attempts. Pauses are not waited for: the clock by which tasks are due moves on to the next
/// attempt, or to when a delayed task may start. Whatever else is decided about a task is decided as in
/// production: what is tried again, what is dead, given up, unique.
///
/// ```standalone_crate
/// use std::time::Duration;
/// use umbel::testing::Inline;
/// use umbel::{Client, State, TaskError, TaskFailed};
///
/// struct Greeting(&'static str);
///
/// #[umbel::task]
/// async fn greet(greeting: State<Greeting>, whom: String) -> Result<String, TaskError> {
///     match whom.as_str() {
///         "" => Err(TaskError::permanent("nobody is there")),
///         whom => Ok(format!("{}, {whom}!", greeting.0)),
///     }
/// }
///
/// // Code that submits has a client as ever; what it leaves to tasks is done when `submit` returns.
/// async fn greet_all(client: &Client, all: &[&str]) -> Result<Vec<String>, TaskFailed> {
///     let mut said = Vec::new();
///     for whom in all {
///         said.push(greet::run(client, (*whom).to_owned()).await?);
///     }
///     Ok(said)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tasks = Inline::builder().state(Greeting("Hello")).build()?;
/// assert_eq!(tasks.run(greet::call("you".to_owned())).await?, "Hello, you!");
/// let error = tasks.run(greet::call(String::new())).await.expect_err("nobody is there");
/// assert!(matches!(error, TaskFailed::Dead { .. }), "{error}");
///
/// assert_eq!(greet_all(&tasks.client(), &["you", "all"]).await?.len(), 2);
/// tasks.recorder().assert_count("greet", 4);
/// # Ok(()) }
/// ```
///
/// Time limits are those of the clock that everybody has: of `tokio`, which a test may pause. A handler
/// that waits for what its submitter does after `submit` waits for ever.
#[derive(Clone)]
pub struct Inline {
    node: FakeNode,
    recorder: Recorder,
}

/// Sets an [`Inline`] up; made by [`Inline::builder`]. It has all tasks that `#[umbel::task]` declares in
/// this program.
#[must_use = "nothing can be run before `build`"]
pub struct InlineBuilder {
    tasks: Result<Registry, RegisterError>,
    host: Host,
}

/// Why tasks cannot be run at once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InlineError {
    /// There is no place for what is noted of commands.
    #[error("cannot make a directory to note commands in")]
    Directory(#[from] std::io::Error),
    /// The same.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A task cannot be what it was said to be, or there are two of its name.
    #[error(transparent)]
    Tasks(#[from] RegisterError),
}

impl Inline {
    /// Sets it up.
    pub fn builder() -> InlineBuilder {
        InlineBuilder { tasks: Registry::declared(), host: Host::default() }
    }

    /// Runs a task to its end.
    ///
    /// # Errors
    /// As [`Client::run`]: above all [`TaskFailed::Dead`] of one that has failed for good.
    pub async fn run<R: DeserializeOwned>(&self, call: Call<R>) -> Result<R, TaskFailed> {
        self.client().run(call).await
    }

    /// A client whose tasks are run at once. Must be called within a tokio runtime.
    #[must_use]
    pub fn client(&self) -> Client {
        self.node.client()
    }

    /// All that was submitted, what was [run](Self::run) here and what tasks have submitted themselves
    /// among it.
    #[must_use]
    pub const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// How far the last run of a task was, as it [said](crate::Context::progress) last.
    #[must_use]
    pub fn progress(&self, task: TaskId) -> Option<Progress> {
        self.node.words(task).progress
    }

    /// What the last run of a task has [said](crate::Context::log), as far as a node would keep it.
    ///
    /// ```standalone_crate
    /// # use umbel::testing::Inline;
    /// # use umbel::Context;
    /// #[umbel::task]
    /// async fn count(ctx: Context, to: u64) -> Result<(), String> {
    ///     for n in 1..=to {
    ///         ctx.progress(n, to);
    ///         ctx.log(format!("{n} it is"));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tasks = Inline::builder().build()?;
    /// let counted = count::submit(&tasks.client(), 3).await?;
    /// assert_eq!(tasks.progress(counted.id()).map(|progress| progress.done), Some(3));
    /// assert_eq!(tasks.lines(counted.id())[1].text.as_ref(), "2 it is");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn lines(&self, task: TaskId) -> Vec<LogLine> {
        self.node.words(task).lines
    }

    /// How much time all pauses and delays would have taken so far that were not waited for.
    ///
    /// ```standalone_crate
    /// # use std::time::Duration;
    /// # use umbel::testing::Inline;
    /// #[umbel::task(backoff_list = ["1m", "1h"])]
    /// async fn fail() -> Result<(), &'static str> {
    ///     Err("no")
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tasks = Inline::builder().build()?;
    /// tasks.run(fail::call()).await.expect_err("it fails three times");
    /// assert_eq!(tasks.skipped().as_secs().div_ceil(60), 61);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn skipped(&self) -> Duration {
        self.node.skipped()
    }
}

impl InlineBuilder {
    /// Gives it a value for all runs to share, as [`NodeBuilder::state`](crate::NodeBuilder::state) does. A
    /// task that takes one that was not given fails, and says so; those that are not run need nothing.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.host.state(value);
        self
    }

    /// Puts code around all runs, as [`NodeBuilder::middleware`](crate::NodeBuilder::middleware) does.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.host.middleware(middleware);
        self
    }

    /// Adds a task made by `#[umbel::task]`, which a linker may have left out.
    pub fn task<T: Task>(self) -> Self {
        self.with(|tasks| tasks.task::<T>().map(drop))
    }

    /// Adds an async function, or closure, under `name`: in place of a task of another program, say.
    pub fn register<Shape>(
        self,
        name: impl Into<String>,
        handler: impl AsyncHandler<Shape>,
    ) -> Self {
        self.with(|tasks| tasks.register(name, handler).map(drop))
    }

    /// Adds a function, or closure, that may block its thread under `name`.
    pub fn register_blocking<Shape>(
        self,
        name: impl Into<String>,
        handler: impl BlockingHandler<Shape>,
    ) -> Self {
        self.with(|tasks| tasks.register_blocking(name, handler).map(drop))
    }

    /// Adds a task with options of its own: queue, attempts, backoff, time limit, priority.
    pub fn define(self, definition: Definition) -> Self {
        self.with(|tasks| tasks.add(definition).map(drop))
    }

    /// Makes it ready to run tasks.
    ///
    /// # Errors
    /// When a task that was added cannot be one, or there is no room for a temporary directory.
    pub fn build(self) -> Result<Inline, InlineError> {
        let Self { tasks, mut host } = self;
        let registry = tasks?;
        host.name("inline");
        let dir = tempfile::tempdir()?;
        let ledger = Ledger::open(dir.path())?;
        let (connection, connect) = FakeNode::connector();
        host.connect(connect);
        let runner = Runner::of(host, ledger);
        let node = FakeNode::running(Kitchen { registry, runner, _dir: dir });
        node.connect(&connection);
        Ok(Inline { recorder: Recorder::of(node.clone()), node })
    }

    /// The first error is kept and told by [`build`](Self::build).
    fn with(mut self, add: impl FnOnce(&mut Registry) -> Result<(), RegisterError>) -> Self {
        if let Ok(tasks) = &mut self.tasks
            && let Err(error) = add(tasks)
        {
            self.tasks = Err(error);
        }
        self
    }
}

impl std::fmt::Debug for Inline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inline").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for InlineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InlineBuilder").field("host", &self.host).finish_non_exhaustive()
    }
}
