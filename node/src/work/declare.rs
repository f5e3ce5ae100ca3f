//! What `#[umbel::task]` writes code against: [`Task`], and the list of all that were declared.
//!
//! The re-exports are for generated code only, so that users of the macro need not depend on them.

use std::time::Duration;

use umbel_protocol::task::Template;

use super::definition::{Definition, set_backoff, set_backoff_list, set_backoff_max};
use super::from_context::FromContext;

#[doc(hidden)]
pub use inventory;
#[doc(hidden)]
pub use serde;
#[doc(hidden)]
pub use umbel_protocol::task::{Rate, Template as TaskTemplate, UniquePolicy, UniqueScope};
#[doc(hidden)]
pub use umbel_protocol::time::Span;

#[doc(hidden)]
pub use super::argument_key::Key;

/// A function that `#[umbel::task]` made a task of. The macro implements it for a type that has the
/// function's name.
pub trait Task: Sized + 'static {
    /// The name of the task.
    const NAME: &'static str;

    /// What it returns when it succeeds.
    type Output;

    /// Name, queue and options of a submission that says nothing else.
    fn template() -> Template;

    /// How it is run.
    fn definition() -> Definition;
}

/// What a task may return: a `Result`, under whatever name.
#[diagnostic::on_unimplemented(
    message = "a task returns a `Result`, not `{Self}`",
    note = "the error may be any type that converts into `Box<dyn std::error::Error + Send + Sync>`"
)]
pub trait TaskReturn {
    /// What it returns when it succeeds.
    type Output;
}

impl<R, E> TaskReturn for Result<R, E> {
    type Output = R;
}

/// What `#[umbel::task(...)]` was given; the rest is as for tasks that say nothing.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub queue: Option<&'static str>,
    pub attempts: Option<u16>,
    pub backoff_ms: Option<u64>,
    pub backoff_max_ms: Option<u64>,
    pub backoff_list_ms: Option<&'static [u64]>,
    pub time_limit_ms: Option<u64>,
    pub soft_limit_ms: Option<u64>,
    pub expires_ms: Option<u64>,
    pub deadline_ms: Option<u64>,
    pub crashes: Option<u16>,
    pub at_most_once: bool,
    pub priority: Option<u8>,
    pub unique_scope: Option<UniqueScope>,
    pub unique_policy: Option<UniquePolicy>,
    pub concurrency: Option<u16>,
    pub rate: Option<Rate>,
    pub exclusive: bool,
    pub lost_after_ms: Option<u64>,
    pub retention_ms: Option<u64>,
    pub ignore_result: bool,
    pub redact: &'static [&'static str],
}

impl Settings {
    /// The template of submissions of the task called `name`.
    #[must_use]
    pub fn template(self, name: &str) -> Template {
        let mut template = Template::new(name);
        if let Some(queue) = self.queue {
            queue.clone_into(&mut template.queue);
        }
        let options = &mut template.options;
        if let Some(millis) = self.backoff_ms {
            set_backoff(options, Duration::from_millis(millis));
        }
        if let Some(millis) = self.backoff_max_ms {
            set_backoff_max(options, Duration::from_millis(millis));
        }
        if let Some(pauses) = self.backoff_list_ms {
            set_backoff_list(options, pauses.iter().map(|millis| Duration::from_millis(*millis)));
        }
        options.attempts_max = self.attempts;
        options.crashes_max = self.crashes;
        options.at_most_once = self.at_most_once.then_some(true);
        options.expires = self.expires_ms.map(Span::from_millis);
        options.deadline = self.deadline_ms.map(Span::from_millis);
        options.soft_limit = self.soft_limit_ms.map(Span::from_millis);
        options.priority = self.priority;
        options.unique_scope = self.unique_scope;
        options.unique_policy = self.unique_policy;
        options.concurrency = self.concurrency;
        options.rate = self.rate;
        options.exclusive = self.exclusive.then_some(true);
        options.lost_after = self.lost_after_ms.map(Span::from_millis);
        options.retention = self.retention_ms.map(Span::from_millis);
        options.ignore_result = self.ignore_result.then_some(true);
        if !self.redact.is_empty() {
            options.redact = Some(self.redact.iter().map(|name| (*name).into()).collect());
        }
        options.time_limit = self.time_limit_ms.map(Span::from_millis);
        template
    }
}

/// Nothing: `T` can be taken before the arguments of a task.
#[doc(hidden)]
pub const fn taken<T: FromContext>() {}

/// One `#[umbel::task]` of this program.
pub struct Declared {
    definition: fn() -> Definition,
}

inventory::collect!(Declared);

impl Declared {
    /// The task that `T` stands for.
    #[must_use]
    pub const fn of<T: Task>() -> Self {
        Self { definition: || T::definition().declared_by::<T>() }
    }

    /// How it is run.
    #[must_use]
    pub fn definition(&self) -> Definition {
        (self.definition)()
    }

    /// Everything declared in this program, in no particular order.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        inventory::iter::<Self>.into_iter()
    }
}
