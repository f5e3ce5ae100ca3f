//! A task that is about to be submitted, with the type of what it will return.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::Template;
use umbel_protocol::time::Wall;

use super::declare::Task;
use super::definition::{set_backoff, span};

/// A task that is about to be submitted. `R` is what it returns.
///
/// `#[umbel::task]` makes one with `add::call(1, 2)`; [`Call::named`] makes one for a task that this
/// program does not know. Nothing happens before a client submits it.
#[must_use = "a call does nothing until a client submits it"]
pub struct Call<R> {
    template: Template,
    args: Result<Bytes, serde_json::Error>,
    id: Option<TaskId>,
    output: PhantomData<fn() -> R>,
}

/// What is left of a [`Call`] when it is submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Name, queue and options.
    pub template: Template,
    /// The arguments, JSON.
    pub args: Bytes,
    /// The id, if the caller has chosen one.
    pub id: Option<TaskId>,
}

impl<R> Call<R> {
    /// The task that `T` stands for, with `args` in the shape that its handler expects.
    pub fn of<T: Task<Output = R>>(args: &impl Serialize) -> Self {
        Self::with_template(T::template(), args)
    }

    /// The task called `name`, with default options. The caller says what it returns.
    pub fn named(name: impl Into<String>, args: &impl Serialize) -> Self {
        Self::with_template(Template::new(name), args)
    }

    /// A task with these options.
    pub fn with_template(template: Template, args: &impl Serialize) -> Self {
        let args = serde_json::to_vec(args).map(Bytes::from);
        Self { template, args, id: None, output: PhantomData }
    }

    /// Sends it to another queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.template.queue = queue.into();
        self
    }

    /// Starts it this much later at the earliest.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.template.options.delay = span(delay);
        self
    }

    /// 0 to 9, higher first.
    pub fn priority(mut self, priority: u8) -> Self {
        self.template.options.priority = Some(priority);
        self
    }

    /// How often it may fail before it is dead.
    pub fn attempts(mut self, attempts: u16) -> Self {
        self.template.options.attempts_max = Some(attempts);
        self
    }

    /// Pause before the first retry; it doubles with each failure.
    pub fn backoff(mut self, first: Duration) -> Self {
        set_backoff(&mut self.template.options, first);
        self
    }

    /// How long one run may take.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.template.options.time_limit = Some(span(limit));
        self
    }

    /// Gives it up if it has not started by then.
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.template.options.expires_at = Some(Wall::from_millis(millis));
        self
    }

    /// The id, which is also the idempotency key. The client draws one if none is set.
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// What a client submits.
    ///
    /// # Errors
    /// When the arguments could not be written as JSON. Submitting it again cannot help.
    pub fn into_submission(self) -> Result<Submission, InvalidCall> {
        match self.args {
            Ok(args) => Ok(Submission { template: self.template, args, id: self.id }),
            Err(source) => Err(InvalidCall { name: self.template.name, source }),
        }
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("template", &self.template)
            .field("args", &self.args)
            .field("id", &self.id)
            .finish()
    }
}

/// Arguments that cannot be written as JSON. Nothing was submitted.
#[derive(Debug, thiserror::Error)]
#[error("the arguments of {name:?} do not fit JSON")]
pub struct InvalidCall {
    name: String,
    #[source]
    source: serde_json::Error,
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::PartitionId;

    use super::*;

    #[test]
    fn carries_what_was_set() {
        let id = TaskId::new(Wall::from_millis(1), PartitionId(3), 7);
        let submission = Call::<u64>::named("add", &[1, 2])
            .queue("sums")
            .delay(Duration::from_secs(5))
            .priority(7)
            .attempts(9)
            .backoff(Duration::from_secs(3600))
            .id(id)
            .into_submission()
            .unwrap();
        assert_eq!(submission.args, "[1,2]");
        assert_eq!(submission.id, Some(id));
        let Template { name, queue, options, .. } = submission.template;
        assert_eq!((name.as_str(), queue.as_str()), ("add", "sums"));
        assert_eq!((options.priority(), options.attempts_max()), (7, 9));
        assert_eq!(options.delay, span(Duration::from_secs(5)));
        assert_eq!(options.backoff_max(), options.backoff_first());
    }

    #[test]
    fn says_which_arguments_cannot_travel() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = Call::<()>::named("add", &keys).into_submission().unwrap_err();
        assert_eq!(error.to_string(), "the arguments of \"add\" do not fit JSON");
    }
}
