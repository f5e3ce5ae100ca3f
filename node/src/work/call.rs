//! A task that is about to be submitted, with the type of what it will return.

mod options;

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{InvalidBatch, Metadata, Particulars, Template, Trace, redacted};

use super::declare::Task;

/// A task that is about to be submitted. `R` is what it returns; `By` is the client that submits it as
/// soon as it is awaited, if it has one: then it is a [`Submit`] or a [`Run`].
///
/// `#[umbel::task]` makes one with `add::call(1, 2)`; [`Call::named`] makes one for a task that this
/// program does not know. Nothing happens before a client submits it.
///
/// ```
/// use std::time::Duration;
/// use umbel::Call;
///
/// let call = Call::<u64>::named("add", &[1, 2]).queue("sums").delay(Duration::from_secs(5));
/// ```
///
/// [`Submit`]: crate::client::Submit
/// [`Run`]: crate::client::Run
#[must_use = "nothing happens until a client submits it: give it to one, or await it if it has one"]
pub struct Call<R, By = ()> {
    template: Template,
    args: Result<Bytes, serde_json::Error>,
    particulars: Particulars,
    metadata: Metadata,
    traceparent: Option<Box<str>>,
    tracestate: Option<Box<str>>,
    /// The first thing that was wrong with what was said.
    invalid: Option<InvalidBatch>,
    id: Option<TaskId>,
    by: By,
    output: PhantomData<fn() -> R>,
}

/// What is left of a [`Call`] when it is submitted.
#[derive(Clone, PartialEq, Eq)]
pub struct Submission {
    /// Name, queue and options.
    pub template: Template,
    /// The arguments, JSON.
    pub args: Bytes,
    /// What is said of it alone.
    pub particulars: Option<Box<Particulars>>,
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
        Self {
            template,
            args: serde_json::to_vec(args).map(Bytes::from),
            particulars: Particulars::default(),
            metadata: Metadata::default(),
            traceparent: None,
            tracestate: None,
            invalid: None,
            id: None,
            by: (),
            output: PhantomData,
        }
    }

    /// A call that nobody can submit.
    pub(super) fn spoilt(mut self, why: serde_json::Error) -> Self {
        self.args = Err(why);
        self
    }

    /// What a client submits.
    ///
    /// # Errors
    /// When the arguments could not be written as JSON, or a label, a header or the trace is none.
    /// Submitting it again cannot help.
    pub fn into_submission(self) -> Result<Submission, InvalidCall> {
        let Self { template, args, particulars, mut metadata, id, .. } = self;
        if let Some(invalid) = self.invalid {
            return Err(InvalidCall::Said(invalid));
        }
        let (parent, state) = (self.traceparent.as_deref(), self.tracestate.as_deref());
        metadata.trace = Trace::parse_some(parent, state).map_err(InvalidCall::Said)?;
        match args {
            Ok(args) => {
                let particulars = particulars.with_metadata(metadata).boxed();
                Ok(Submission { template, args, particulars, id })
            }
            Err(source) => Err(InvalidCall::Args { name: template.name, source }),
        }
    }
}

impl<R, By> Call<R, By> {
    /// The same, submitted by `by`; and by whom it was to be submitted before.
    pub(crate) fn by<Other>(self, by: Other) -> (Call<R, Other>, By) {
        let Self {
            template,
            args,
            particulars,
            metadata,
            traceparent,
            tracestate,
            invalid,
            id,
            by: before,
            output,
        } = self;
        let call = Call {
            template,
            args,
            particulars,
            metadata,
            traceparent,
            tracestate,
            invalid,
            id,
            by,
            output,
        };
        (call, before)
    }
}

impl<R, By> fmt::Debug for Call<R, By> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.template.options.redact();
        f.debug_struct("Call")
            .field("template", &self.template)
            .field("args", &self.args.as_ref().map(|args| redacted(args, names)))
            .field("particulars", &self.particulars)
            .field("metadata", &self.metadata)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("template", &self.template)
            .field("args", &redacted(&self.args, self.template.options.redact()))
            .field("particulars", &self.particulars)
            .field("id", &self.id)
            .finish()
    }
}

/// A call that nobody can submit; the program has to change. Nothing was submitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCall {
    /// Its arguments cannot be written as JSON.
    #[error("the arguments of {name:?} do not fit JSON")]
    Args {
        /// The name of the task.
        name: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A label, a header or the trace is none.
    #[error(transparent)]
    Said(#[from] InvalidBatch),
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use umbel_protocol::id::PartitionId;
    use umbel_protocol::time::Wall;

    use super::super::definition::span;
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
        let at = UNIX_EPOCH + Duration::from_millis(7);
        let timed = Call::<u64>::named("add", &[1, 2]).at(at).into_submission().unwrap();
        let not_before = Some(Wall::from_millis(7));
        assert_eq!(
            (submission.particulars, timed.particulars.unwrap().not_before),
            (None, not_before)
        );
        let Template { name, queue, options, .. } = submission.template;
        assert_eq!((name.as_str(), queue.as_str()), ("add", "sums"));
        assert_eq!((options.priority(), options.attempts_max()), (7, 9));
        assert_eq!(options.delay, span(Duration::from_secs(5)));
        assert_eq!(options.backoff_max(), options.backoff_first());
        let capped = Call::<u64>::named("add", &[1, 2])
            .backoff_max(Duration::from_secs(5))
            .backoff(Duration::from_secs(1));
        let options = capped.into_submission().unwrap().template.options;
        assert_eq!(options.backoff_max(), span(Duration::from_secs(5)));
    }

    #[test]
    fn what_is_said_of_it_is_checked_before_anybody_is_asked() {
        let call = || Call::<u64>::named("add", &[1, 2]);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let whole = call().label("a", "b").header("c", "d").display_name("e").traceparent(parent);
        let said = whole.tracestate("f=g").into_submission().unwrap().particulars.unwrap();
        let said = said.metadata.unwrap();
        assert_eq!((said.labels.get("a"), said.headers.get("c")), (Some("b"), Some("d")));
        assert_eq!(said.display_name.as_deref(), Some("e"));
        let trace = said.trace.as_ref().unwrap();
        assert_eq!((trace.traceparent().as_str(), trace.tracestate()), (parent, Some("f=g")));
        for (call, told) in [
            (call().label("a b", "c").label("d", "e"), "each key and value of `labels`"),
            (call().header("A", "b"), "the name \"A\" of one of `headers`"),
            (call().traceparent("00-1"), "traceparent must be"),
            (call().traceparent(parent).tracestate("x"), "tracestate must be"),
            (call().tracestate("x=y"), "`tracestate` without `traceparent`"),
        ] {
            let error = call.into_submission().unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }

    #[test]
    fn what_is_never_shown_is_not_in_what_is_written_for_debugging() {
        let args = std::collections::BTreeMap::from([("user", "x"), ("password", "hunter2")]);
        let call = Call::<()>::named("login", &args).redact(["password"]);
        let call = call.unique("hunter2").fairness_key("hunter2").limit_key("hunter2");
        assert!(!format!("{call:?}").contains("hunter2"), "{call:?}");
        let submission = call.into_submission().unwrap();
        assert!(!format!("{submission:?}").contains("hunter2"), "{submission:?}");
        assert_eq!(submission.args, r#"{"password":"hunter2","user":"x"}"#);
    }

    #[test]
    fn says_which_arguments_cannot_travel() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = Call::<()>::named("add", &keys).into_submission().unwrap_err();
        assert_eq!(error.to_string(), "the arguments of \"add\" do not fit JSON");
    }
}
