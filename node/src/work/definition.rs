//! What this program knows about one task name: how it is run, and how it is treated by default.

mod options;

use std::any::TypeId;
use std::fmt;
use std::time::Duration;

use umbel_protocol::limits::CAPTURE_BYTES_MAX;
use umbel_protocol::task::{Outcome, Template};
use umbel_protocol::time::Span;

pub(super) use self::options::{set_backoff, set_backoff_list, set_backoff_max};
use super::command::CommandSpec;
use super::context::Context;
use super::handler::{AsyncHandler, BlockingHandler, Work};
use super::registry::RegisterError;
use super::state::Needs;
use super::webhook::{Webhook, WebhookSpec};

/// What kind of code a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An async function of this program.
    Async,
    /// A function of this program that may block its thread.
    Blocking,
    /// A program of the operating system.
    Command,
    /// An HTTP request.
    Webhook,
}

impl Kind {
    /// The word for it in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Blocking => "blocking",
            Self::Command => "command",
            Self::Webhook => "webhook",
        }
    }
}

/// A task name, the code behind it, and the options of submissions that name none. How tasks are run and treated, which
/// `#[umbel::task]` says of a function, is said so of a closure, a program, or a web hook; keys and labels, which that
/// gives to calls, each [`Call`](super::Call) says itself:
///
/// ```
/// use std::time::Duration;
/// use umbel::work::{CommandSpec, Program, RegisterError, WebhookSpec};
/// use umbel::{Definition, Node, Registry};
///
/// let square = Definition::from_async("square", |n: u64| async move {
///     n.checked_mul(n).ok_or("the square is too large")
/// });
/// let backup = CommandSpec::new(Program::Shell("tar --create /srv | zstd > /backup/srv".to_owned()));
/// let notify =
///     WebhookSpec { url: "https://example.net/hook".to_owned(), ..WebhookSpec::default() };
///
/// let mut registry = Registry::new();
/// registry
///     .add(square.queue("sums").attempts(5).time_limit(Duration::from_secs(30)))?
///     .add(Definition::command("backup", backup))?
///     .add(Definition::webhook("notify", notify)?)?;
/// # Ok::<_, RegisterError>(())
/// ```
///
/// A node is given one with [`NodeBuilder::define`](crate::NodeBuilder::define).
pub struct Definition {
    template: Template,
    pub(super) body: Body,
    declared_by: Option<TypeId>,
    needs: Needs,
    resource: Option<String>,
}

pub(super) type Start = dyn Fn(&Context, &[u8]) -> Result<Work, Outcome> + Send + Sync;
type Block = dyn Fn(&Context, &[u8]) -> Outcome + Send + Sync;

pub(super) enum Body {
    Async(Box<Start>),
    Blocking(Box<Block>),
    Command(CommandSpec),
    Webhook(Box<Webhook>),
}

impl Definition {
    /// `name` runs an async function.
    pub fn from_async<Shape>(name: impl Into<String>, handler: impl AsyncHandler<Shape>) -> Self {
        let mut needs = Needs::default();
        handler.needs(&mut needs);
        let start = move |context: &Context, args: &[u8]| handler.start(context, args);
        Self { needs, ..Self::new(name, Body::Async(Box::new(start))) }
    }

    /// `name` runs a function that may block its thread.
    ///
    /// A thread cannot be killed: when its time is over, or it was cancelled and does not end within
    /// the grace, the outcome is reported and the thread is left to end by itself. It keeps its slot until
    /// then, so that functions that hang take no more threads than there are slots; the log of the node
    /// says which do. Functions that take long ask [`Context::is_cancelled`] between steps.
    pub fn from_blocking<Shape>(
        name: impl Into<String>,
        handler: impl BlockingHandler<Shape>,
    ) -> Self {
        let mut needs = Needs::default();
        handler.needs(&mut needs);
        let run = move |context: &Context, args: &[u8]| handler.run(context, args);
        Self { needs, ..Self::new(name, Body::Blocking(Box::new(run))) }
    }

    /// `name` runs a program.
    #[must_use]
    pub fn command(name: impl Into<String>, spec: CommandSpec) -> Self {
        Self::new(name, Body::Command(spec))
    }

    /// `name` posts to a URL. The time limit is [`WebhookSpec::TIME_LIMIT_DEFAULT`] unless another
    /// is set: a server that never answers would hold its slot for ever.
    ///
    /// # Errors
    /// [`RegisterError::Url`], [`RegisterError::Header`] and [`RegisterError::OurHeader`] for what no request
    /// can carry, and [`RegisterError::EmptySecret`].
    pub fn webhook(name: impl Into<String>, spec: WebhookSpec) -> Result<Self, RegisterError> {
        let name = name.into();
        let body = Body::Webhook(Box::new(Webhook::new(&name, spec)?));
        Ok(Self::new(name, body).time_limit(WebhookSpec::TIME_LIMIT_DEFAULT))
    }

    fn new(name: impl Into<String>, body: Body) -> Self {
        Self {
            template: Template::new(name),
            body,
            declared_by: None,
            needs: Needs::default(),
            resource: None,
        }
    }

    /// What each of its runs takes one of, in place of a slot of its kind or queue, such as a graphics card. How many
    /// a node has its `cluster.toml` says, under `[slots]`: `resources = { gpu = 1 }`. Where there is none it does not
    /// run.
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>) -> Self {
        self.resource = Some(name.into());
        self
    }

    /// See [`resource`](Self::resource).
    #[must_use]
    pub fn takes(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// Replaces queue and options by those of `template`; the name stays.
    #[must_use]
    pub fn with_template(mut self, template: Template) -> Self {
        self.template = Template { name: self.template.name, ..template };
        self
    }

    pub(super) fn declared_by<T: 'static>(mut self) -> Self {
        self.declared_by = Some(TypeId::of::<T>());
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.template.name
    }

    /// What kind of code it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.body {
            Body::Async(_) => Kind::Async,
            Body::Blocking(_) => Kind::Blocking,
            Body::Command(_) => Kind::Command,
            Body::Webhook(_) => Kind::Webhook,
        }
    }

    /// Name, queue and options of submissions that say nothing else.
    #[must_use]
    pub const fn template(&self) -> &Template {
        &self.template
    }

    /// What it takes of the node that runs it.
    pub(super) const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Whether `other` comes from the same `#[umbel::task]`.
    pub(super) fn is_same_declaration(&self, other: &Self) -> bool {
        self.declared_by.is_some() && self.declared_by == other.declared_by
    }

    /// How long a run may take that does not say so itself.
    pub(super) fn default_time_limit(&self) -> Option<Duration> {
        self.template.options.time_limit.map(duration)
    }

    /// How long its runs may go on after they were told to end, if it says so.
    pub(crate) fn grace(&self) -> Option<Duration> {
        let Body::Command(spec) = &self.body else { return None };
        spec.grace.map(|grace| grace.min(CommandSpec::GRACE_MAX))
    }

    /// Refuses what it says of itself and could not have.
    pub(super) fn check_limits(&self) -> Result<(), RegisterError> {
        let Body::Command(spec) = &self.body else { return Ok(()) };
        let refused =
            |what, range| Err(RegisterError::Limit { name: self.name().to_owned(), what, range });
        if spec.grace.is_some_and(|grace| grace > CommandSpec::GRACE_MAX) {
            return refused("grace", format!("at most {:?}", CommandSpec::GRACE_MAX));
        }
        if spec.capture_bytes > CAPTURE_BYTES_MAX {
            return refused("capture_bytes", format!("at most {CAPTURE_BYTES_MAX}"));
        }
        Ok(())
    }

    /// After how long a run is told that does not say so itself.
    pub(super) fn default_soft_limit(&self) -> Option<Duration> {
        self.template.options.soft_limit.map(duration)
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("kind", &self.kind())
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// `duration` as the protocol counts it, as long as can be told.
pub(crate) fn span(duration: Duration) -> Span {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// The same as the standard library counts it.
pub(crate) const fn duration(span: Span) -> Duration {
    Duration::from_micros(span.as_micros())
}
