//! How a handler says that it did not succeed, and what is to become of the task.
//!
//! Invariant: whatever a handler returns as its error becomes one [`Outcome`]; if that is a failure its
//! message holds the error and all its sources.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use umbel_protocol::limits::ERROR_BYTES_MAX;
use umbel_protocol::task::{Failure, FailureKind, Outcome};

use super::definition::span;

/// Why a run of a task did not succeed, and what is to become of the task.
///
/// | made by | the task |
/// |---|---|
/// | any error with `?`, [`new`](Self::new) | is tried again as its policy says |
/// | [`retry_after`](Self::retry_after) | is tried again after this pause, if its policy has an attempt left |
/// | [`permanent`](Self::permanent) | is dead: it is not tried again |
/// | [`dropped`](Self::dropped) | ends as cancelled: there is nothing to be done |
/// | [`snoozed`](Self::snoozed) | is tried again after this pause, and this was no attempt |
///
/// Handlers need not use this type: whatever converts into a boxed error (an error enum,
/// `anyhow::Error`, a `String`) will do.
///
/// ```
/// use std::time::Duration;
/// use umbel::TaskError;
///
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("the bank is away")]
/// # struct BankError;
/// # enum Answer { Paid(u64), Busy { pause: Duration }, NoSuchAccount, AlreadyPaid, NotDue }
/// # async fn ask(_: u64) -> Result<Answer, BankError> { Ok(Answer::Paid(0)) }
/// #[umbel::task(name = "example/collect")]
/// async fn collect(invoice: u64) -> Result<u64, TaskError> {
///     match ask(invoice).await? {
///         Answer::Paid(receipt) => Ok(receipt),
///         Answer::Busy { pause } => Err(TaskError::retry_after(pause, "the bank is busy")),
///         Answer::NoSuchAccount => Err(TaskError::permanent("there is no such account")),
///         Answer::AlreadyPaid => Err(TaskError::dropped("it is paid")),
///         Answer::NotDue => Err(TaskError::snoozed(Duration::from_secs(3600))),
///     }
/// }
/// ```
///
/// It does not implement [`Error`] itself, because only so can all
/// errors convert into it.
pub struct TaskError {
    reason: Reason,
}

/// What travels inside a boxed error, to be recognised again.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Reason {
    verdict: Verdict,
    message: String,
    detail: Bytes,
}

/// What is to become of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Failed(FailureKind),
    RetryAfter(Duration),
    Dropped,
    Snoozed(Duration),
}

impl TaskError {
    /// A failure that another attempt may mend.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(Verdict::Failed(FailureKind::Error), error)
    }

    /// A failure that an attempt may mend that begins so much later, as when a server says so. It is an
    /// attempt like any other; the pause, at most 366 days, is in place of that of the task's policy.
    #[must_use]
    pub fn retry_after(pause: Duration, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(Verdict::RetryAfter(pause), error)
    }

    /// Nothing is to be done, for this reason: what the task is about is gone, say. It ends as cancelled,
    /// with the reason, and is not among the dead.
    #[must_use]
    pub fn dropped(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(Verdict::Dropped, reason)
    }

    /// It is not time yet: what the task waits for has not happened. It is tried again after this pause,
    /// at most 366 days, however often it says so: this is no attempt.
    #[must_use]
    pub fn snoozed(pause: Duration) -> Self {
        Self::of(Verdict::Snoozed(pause), "it is not time yet")
    }

    /// A failure that no other attempt can mend: the task is not tried again.
    #[must_use]
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(Verdict::Failed(FailureKind::Permanent), error)
    }

    /// The same with `detail`: data for whoever asks for the result, besides the message for people.
    /// They find it as [`TaskFailed::detail`](crate::TaskFailed::detail), and `--json` shows it as the
    /// `result` of the task. It is kept up to
    /// [256 KiB](umbel_protocol::limits::DETAIL_BYTES_MAX), of the last attempt only.
    ///
    /// ```
    /// use umbel::TaskError;
    /// # #[derive(serde::Serialize)]
    /// # struct Declined { code: u16 }
    /// let error = TaskError::permanent("the card was declined").with_detail(&Declined { code: 51 });
    /// ```
    #[must_use]
    pub fn with_detail(mut self, detail: &impl Serialize) -> Self {
        self.reason.detail = match serde_json::to_vec(detail) {
            Ok(json) => json.into(),
            // The error itself is what matters.
            Err(why) => serde_json::json!({ "left_out": why.to_string() }).to_string().into(),
        };
        self
    }

    /// Whether the task is not tried again, whatever its policy says.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self.reason.verdict {
            Verdict::Failed(kind) => !kind.is_retryable(),
            Verdict::Dropped => true,
            Verdict::RetryAfter(_) | Verdict::Snoozed(_) => false,
        }
    }

    fn of(verdict: Verdict, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason: Reason { verdict, message: chain(&*error.into()), detail: Bytes::new() } }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl From<TaskError> for Box<dyn Error + Send + Sync> {
    fn from(error: TaskError) -> Self {
        Box::new(error.reason)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason.message)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({:?}: {})", self.reason.verdict, self.reason.message)
    }
}

/// The outcome that a handler's error stands for.
pub(super) fn outcome(error: impl Into<Box<dyn Error + Send + Sync>>) -> Outcome {
    let Reason { verdict, message, detail } = match error.into().downcast::<Reason>() {
        Ok(reason) => *reason,
        Err(other) => {
            let verdict = Verdict::Failed(FailureKind::Error);
            Reason { verdict, message: chain(&*other), detail: Bytes::new() }
        }
    };
    let failure = |kind| Failure::new(kind, message).with_detail(detail);
    match verdict {
        Verdict::Failed(kind) => Outcome::Failed(failure(kind)),
        Verdict::RetryAfter(pause) => {
            Outcome::Deferred { failure: failure(FailureKind::Error), pause: span(pause) }
        }
        Verdict::Dropped => Outcome::Dropped(failure(FailureKind::Dropped)),
        Verdict::Snoozed(pause) => Outcome::Snoozed { pause: span(pause) },
    }
}

/// The failure that a panic with `payload` stands for.
pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Failure {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the code panicked without a message");
    let failure = Failure::new(FailureKind::Panicked, message);
    // It is of any type, and may panic in its turn when it is dropped; what that panics with is left
    // alone.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
        tracing::debug!("what some code panicked with panicked when it was dropped");
    }
    failure
}

/// `error` and its sources in one line. A source that the text already ends with is not repeated:
/// many error types print theirs.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // An error may be its own source; the record keeps no more than this anyway.
        if text.len() > ERROR_BYTES_MAX {
            break;
        }
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot charge the card")]
    struct Outer(#[source] std::io::Error);

    fn inner() -> std::io::Error {
        std::io::Error::other("no route to host")
    }

    #[track_caller]
    fn failure(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        match outcome(error) {
            Outcome::Failed(failure) => failure,
            other => panic!("not failed: {other:?}"),
        }
    }

    #[test]
    fn says_what_is_to_become_of_the_task() {
        let pause = Duration::from_millis(1_500);
        let at = span(pause);
        let told = outcome(TaskError::retry_after(pause, Outer(inner())));
        let failure = Failure::new(FailureKind::Error, "cannot charge the card: no route to host");
        assert_eq!(told, Outcome::Deferred { failure, pause: at });
        let told = outcome(TaskError::dropped("the account is gone").with_detail(&7));
        let reason = Failure::new(FailureKind::Dropped, "the account is gone");
        assert_eq!(told, Outcome::Dropped(reason.with_detail("7".into())));
        assert_eq!(outcome(TaskError::snoozed(pause)), Outcome::Snoozed { pause: at });
        assert!(TaskError::dropped("").is_permanent());
        assert!(!TaskError::snoozed(pause).is_permanent());
    }

    #[test]
    fn tells_the_error_with_its_sources() {
        let failure = failure(Outer(inner()));
        assert_eq!(failure.kind, FailureKind::Error);
        assert_eq!(failure.message, "cannot charge the card: no route to host");
    }

    #[test]
    fn keeps_permanence_through_the_box() {
        let failure = failure(TaskError::permanent(Outer(inner())));
        assert_eq!(failure.kind, FailureKind::Permanent);
        assert_eq!(failure.message, "cannot charge the card: no route to host");
    }

    #[test]
    fn carries_data_through_the_box() {
        let error = TaskError::new("declined").with_detail(&serde_json::json!({ "code": 51 }));
        let told = failure(error);
        assert_eq!(told.message, "declined");
        assert_eq!(told.detail().map(|json| &json[..]), Some(&br#"{"code":51}"#[..]));
        // What JSON cannot say costs nothing but itself.
        let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
        let told = failure(TaskError::permanent("declined").with_detail(&odd));
        assert_eq!((told.kind, told.message.as_str()), (FailureKind::Permanent, "declined"));
        let json = String::from_utf8_lossy(told.detail().unwrap()).into_owned();
        assert!(json.starts_with(r#"{"left_out":"key must be a string"#), "{json}");
    }

    #[test]
    fn takes_any_error_with_a_question_mark_and_plain_text() {
        fn read() -> Result<(), TaskError> {
            Err(inner())?;
            Ok(())
        }
        assert_eq!(failure(read().unwrap_err()).message, "no route to host");
        assert_eq!(failure("out of paper").message, "out of paper");
    }
}
