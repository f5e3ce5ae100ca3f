//! Setting a node up.

mod start;

use std::net::SocketAddr;
use std::path::PathBuf;

use umbel_protocol::time::Span;

use crate::clock::Clock;
use crate::config::{Config, HostPort};
use crate::work::middleware::Middleware;
use crate::work::{AsyncHandler, BlockingHandler, Definition, Host, RegisterError, Registry, Task};

/// How long a member may be away before others take over its copies.
const REPLACE_AFTER: Span = Span::from_millis(30_000);

/// Sets a node up; made by [`Node::builder`](crate::Node::builder). Without any setting it is a cluster of its own on
/// loopback, with all tasks that `#[umbel::task]` declares in this program.
#[derive(Debug)]
pub struct NodeBuilder {
    config: Config,
    file: Option<PathBuf>,
    name: Option<String>,
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    join: Vec<HostPort>,
    local: Option<(Vec<HostPort>, PathBuf)>,
    labels: Vec<(String, String)>,
    tasks: Result<Registry, RegisterError>,
    host: Host,
    replace_after: Span,
    stop_patience: Option<Span>,
    clock: Option<Clock>,
}

impl Default for NodeBuilder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            file: None,
            name: None,
            listen: None,
            data: None,
            join: Vec::new(),
            local: None,
            labels: Vec::new(),
            tasks: Registry::declared(),
            host: Host::default(),
            replace_after: REPLACE_AFTER,
            stop_patience: None,
            clock: None,
        }
    }
}

impl NodeBuilder {
    /// What `cluster.toml` says.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Where that was read from: [`Node::reload`](crate::Node::reload) reads it again.
    #[must_use]
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Its name, unique in the cluster; the host's name unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where it listens; what the configuration says unless set. Port 0 is any free one.
    #[must_use]
    pub const fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = Some(listen);
        self
    }

    /// Where it keeps its data; a directory of its name below that of the configuration unless set.
    #[must_use]
    pub fn data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// A node to join through; may be given several times. A node that is told to join never forms
    /// a cluster.
    #[must_use]
    pub fn join(mut self, through: HostPort) -> Self {
        self.join.push(through);
        self
    }

    /// It is one of a cluster of this host that keeps everything in `dir`. What the configuration says
    /// of seeds, addresses, data and certificates is for other hosts then.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn local(mut self, seeds: Vec<HostPort>, dir: PathBuf) -> Self {
        self.local = Some((seeds, dir));
        self
    }

    /// What is said of this node, by which tasks, jobs and rules may select it; may be given several times. It is
    /// added to what the configuration says of all nodes, or takes the place of it.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// How long a member may be away before others take over its copies: 30 s unless set.
    #[must_use]
    pub fn replace_after(mut self, span: std::time::Duration) -> Self {
        self.replace_after = Span::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        self
    }

    /// How long it may take to hand over what it has when it is told to stop: 60 s unless set.
    /// [`Node::stop_within`](crate::Node::stop_within) says otherwise for one stop.
    #[must_use]
    pub fn stop_patience(mut self, span: std::time::Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.stop_patience = Some(Span::from_micros(micros));
        self
    }

    /// Has it go by `clock`, which has just been made.
    #[cfg(feature = "testing")]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Adds a task made by `#[umbel::task]`, which a linker may have left out.
    #[must_use]
    pub fn task<T: Task>(self) -> Self {
        self.with(|tasks| tasks.task::<T>().map(drop))
    }

    /// Adds an async function, or closure, under `name`.
    #[must_use]
    pub fn register<Shape>(
        self,
        name: impl Into<String>,
        handler: impl AsyncHandler<Shape>,
    ) -> Self {
        self.with(|tasks| tasks.register(name, handler).map(drop))
    }

    /// Adds a function, or closure, that may block its thread under `name`.
    #[must_use]
    pub fn register_blocking<Shape>(
        self,
        name: impl Into<String>,
        handler: impl BlockingHandler<Shape>,
    ) -> Self {
        self.with(|tasks| tasks.register_blocking(name, handler).map(drop))
    }

    /// Adds a task with options of its own: queue, attempts, backoff, time limit, priority.
    #[must_use]
    pub fn define(self, definition: Definition) -> Self {
        self.with(|tasks| tasks.add(definition).map(drop))
    }

    /// Gives it a value for all its runs to share: handlers take it as a [`State`](crate::State)
    /// before their arguments, middleware by [`Context::state`](crate::Context::state). There is one
    /// of each type: a second takes the place of the first. [`start`](Self::start) refuses if a task
    /// takes one that was not given, be it one that nobody sends here: all that this program declares
    /// can be run.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.host.state(value);
        self
    }

    /// Puts code around all its runs, whatever kind of work they are: see
    /// [`middleware`](crate::middleware). The first is the outermost.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.host.middleware(middleware);
        self
    }

    /// The first error is kept and told by [`start`](Self::start).
    fn with(mut self, add: impl FnOnce(&mut Registry) -> Result<(), RegisterError>) -> Self {
        if let Ok(tasks) = &mut self.tasks
            && let Err(error) = add(tasks)
        {
            self.tasks = Err(error);
        }
        self
    }
}
