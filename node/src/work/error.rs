//! How a handler says that it failed, and whether trying again can help.
//!
//! Invariant: whatever a handler returns as its error becomes one [`Failure`] whose message holds the
//! error and all its sources.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use umbel_protocol::limits::ERROR_BYTES_MAX;
use umbel_protocol::task::{Failure, FailureKind};

/// The error of a task.
///
/// Any error converts into it with `?` and is then tried again as the task's policy says;
/// [`TaskError::permanent`] is for failures that another attempt cannot mend. Handlers need not use
/// this type: whatever converts into a boxed error (an error enum, `anyhow::Error`, a `String`) will
/// do. It does not implement [`Error`] itself, because only so can all errors convert into it.
pub struct TaskError {
    reason: Reason,
}

/// What travels inside a boxed error, to be recognised again.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Reason {
    kind: FailureKind,
    message: String,
    detail: Bytes,
}

impl TaskError {
    /// A failure that another attempt may mend.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of_kind(FailureKind::Error, error)
    }

    /// A failure that no other attempt can mend: the task is not tried again.
    #[must_use]
    pub fn permanent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of_kind(FailureKind::Permanent, error)
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

    /// Whether another attempt is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !self.reason.kind.is_retryable()
    }

    fn of_kind(kind: FailureKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { reason: Reason { kind, message: chain(&*error.into()), detail: Bytes::new() } }
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
        write!(f, "TaskError({}: {})", self.reason.kind.as_str(), self.reason.message)
    }
}

/// The failure that a handler's error stands for.
pub(super) fn failure(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    match error.into().downcast::<Reason>() {
        Ok(reason) => Failure::new(reason.kind, reason.message).with_detail(reason.detail),
        Err(other) => Failure::new(FailureKind::Error, chain(&*other)),
    }
}

/// The failure that a panic with `payload` stands for.
pub(crate) fn panicked(payload: &(dyn std::any::Any + Send)) -> Failure {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("the code panicked without a message");
    Failure::new(FailureKind::Panicked, message)
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
