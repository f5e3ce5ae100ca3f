//! How a run ended, as its executor tells it.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{DETAIL_BYTES_MAX, ERROR_BYTES_MAX, RESULT_BYTES_MAX, RUN_ERROR_BYTES_MAX};
use crate::time::Span;
use crate::wire::grown_enum;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum Outcome {
    /// It stopped because it was asked to.
    Cancelled,
    /// It failed; whether it is tried again is for its policy to say.
    Failed(Failure),
    /// It returned this, JSON.
    Succeeded(Bytes),
    /// It failed, and says after which pause another attempt makes sense, if its policy has one left.
    /// Since version 3, as all that follows.
    Deferred {
        /// Why.
        failure: Failure,
        /// In place of the pause of its policy.
        pause: Span,
    },
    /// There is nothing to be done, for this reason: the task ends without a result, and is not dead.
    Dropped(Failure),
    /// It is not time yet. The task is tried again after this pause, and this was no attempt.
    Snoozed {
        /// How long.
        pause: Span,
    },
}

grown_enum!(Outcome since 3, before that before_3);

/// Why a run, or a task, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What the code, the command or the node said about it, for people.
    pub message: String,
    /// The same as data, JSON; empty if there is none. Never longer than [`DETAIL_BYTES_MAX`].
    #[serde(deserialize_with = "bounded")]
    detail: Bytes,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub enum FailureKind {
    /// The arguments do not fit the code; trying again cannot help.
    BadArguments,
    /// The node that ran it was lost.
    Crashed,
    /// The code or command said so.
    Error,
    /// The code panicked.
    Panicked,
    /// The code said that trying again cannot help.
    Permanent,
    /// It took longer than its time limit and was stopped.
    TimedOut,
    /// The result is longer than [`RESULT_BYTES_MAX`].
    TooLarge,
    /// It had not ended by its [deadline](super::Options::deadline). Since version 3, as all that follows.
    Deadline,
    /// The code said that there is nothing to be done.
    Dropped,
    /// It is never started twice, and its only run was lost.
    Lost,
}

grown_enum!(FailureKind since 3, before that before_3);

impl FailureKind {
    /// Whether another attempt may end otherwise.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::BadArguments
            | Self::Deadline
            | Self::Dropped
            | Self::Lost
            | Self::Permanent
            | Self::TooLarge => false,
            Self::Crashed | Self::Error | Self::Panicked | Self::TimedOut => true,
        }
    }

    /// The word for it in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadArguments => "bad-arguments",
            Self::Crashed => "crashed",
            Self::Error => "error",
            Self::Panicked => "panicked",
            Self::Permanent => "permanent",
            Self::TimedOut => "timed-out",
            Self::TooLarge => "too-large",
            Self::Deadline => "deadline",
            Self::Dropped => "dropped",
            Self::Lost => "lost",
        }
    }

    /// The nearest of those that there were before version 3.
    const fn before_3(self) -> Self {
        match self {
            Self::Deadline => Self::TimedOut,
            Self::Dropped => Self::Permanent,
            Self::Lost => Self::Crashed,
            Self::BadArguments
            | Self::Crashed
            | Self::Error
            | Self::Panicked
            | Self::Permanent
            | Self::TimedOut
            | Self::TooLarge => self,
        }
    }
}

impl Failure {
    /// A failure with `message`, cut at a character if it is longer than a record keeps.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > ERROR_BYTES_MAX {
            let mut end = ERROR_BYTES_MAX;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push_str(" [cut]");
        }
        Self { kind, message, detail: Bytes::new() }
    }

    /// The same with `detail`, JSON. An outcome is never refused: a detail that is longer than
    /// [`DETAIL_BYTES_MAX`] is replaced by one that says so.
    #[must_use]
    pub fn with_detail(mut self, detail: Bytes) -> Self {
        self.detail = kept(detail);
        self
    }

    /// What the failure carries besides its message, JSON: of a command its exit code and what it
    /// printed, of a webhook the answer, of a handler what it chose to tell.
    #[must_use]
    pub fn detail(&self) -> Option<&Bytes> {
        Some(&self.detail).filter(|detail| !detail.is_empty())
    }

    /// The same with a word in place of its detail, where there is no room for that.
    #[must_use]
    pub fn without_detail(self) -> Self {
        let Some(bytes) = self.detail().map(Bytes::len) else { return self };
        let left_out = format!(r#"{{"left_out":"{bytes} bytes, too many tasks fail at present"}}"#);
        Self { detail: left_out.into(), ..self }
    }

    /// The same with what else there is to say of it.
    #[must_use]
    pub fn and_then(self, said: &str) -> Self {
        let Self { kind, message, detail } = self;
        Self { detail, ..Self::new(kind, format!("{message} ({said})")) }
    }

    /// The beginning of its message, for a list of runs.
    #[must_use]
    pub fn excerpt(&self) -> Box<str> {
        let mut end = self.message.len().min(RUN_ERROR_BYTES_MAX);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        self.message.get(..end).unwrap_or_default().into()
    }

    /// Takes the detail out.
    pub fn strip(&mut self) -> Option<Bytes> {
        Some(std::mem::take(&mut self.detail)).filter(|detail| !detail.is_empty())
    }

    /// How many bytes it carries.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.message.len() + self.detail.len()
    }
}

/// `detail`, if it is not too long. What is read is cut as what is made: all copies agree on it.
fn kept(detail: Bytes) -> Bytes {
    if detail.len() <= DETAIL_BYTES_MAX {
        return detail;
    }
    let bytes = detail.len();
    Bytes::from(format!(r#"{{"left_out":"{bytes} bytes, {DETAIL_BYTES_MAX} are kept"}}"#))
}

fn bounded<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    Bytes::deserialize(from).map(kept)
}

impl Outcome {
    /// How many bytes it carries.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Cancelled | Self::Snoozed { .. } => 0,
            Self::Deferred { failure, .. } | Self::Dropped(failure) | Self::Failed(failure) => {
                failure.weight()
            }
            Self::Succeeded(result) => result.len(),
        }
    }

    /// What an owner that knows no other ends is told instead.
    fn before_3(&self) -> Self {
        match self {
            Self::Deferred { failure, pause: _ } => Self::Failed(failure.clone()),
            Self::Dropped(failure) => Self::Failed(failure.clone()),
            Self::Snoozed { pause: _ } => {
                let message =
                    "it is not time yet, it says; its owner is older and counts that as a failure";
                Self::Failed(Failure::new(FailureKind::Error, message))
            }
            Self::Cancelled | Self::Failed(_) | Self::Succeeded(_) => self.clone(),
        }
    }

    /// A success with `result`, or the failure of having returned too much.
    #[must_use]
    pub fn of_result(result: Bytes) -> Self {
        if result.len() > RESULT_BYTES_MAX {
            return Self::Failed(Failure::new(
                FailureKind::TooLarge,
                format!(
                    "the result takes {} bytes, {RESULT_BYTES_MAX} are allowed; store it elsewhere \
                     and return a reference",
                    result.len()
                ),
            ));
        }
        Self::Succeeded(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_BYTES_MAX;
    use crate::wire::{decode, encode};

    fn failure() -> Failure {
        Failure::new(FailureKind::Error, "exited with code 3")
    }

    #[test]
    fn a_detail_weighs_and_travels() {
        let bare = failure();
        assert_eq!((bare.detail(), bare.weight()), (None, 18));
        let mut whole = failure().with_detail(Bytes::from_static(br#"{"exit_code":3}"#));
        assert_eq!(whole.weight(), 18 + 15);
        assert_eq!(Outcome::Failed(whole.clone()).weight(), whole.weight());
        assert_eq!(decode::<Failure>(&encode(&whole), FRAME_BYTES_MAX).as_ref(), Ok(&whole));
        assert_eq!(whole.strip().as_deref(), Some(&br#"{"exit_code":3}"#[..]));
        assert_eq!(whole, bare);
    }

    #[test]
    fn a_detail_that_is_too_long_is_cut_when_made_and_when_read() {
        let longest = Bytes::from(vec![b'1'; DETAIL_BYTES_MAX]);
        assert_eq!(failure().with_detail(longest.clone()).detail(), Some(&longest));
        let longer = Bytes::from(vec![b'1'; DETAIL_BYTES_MAX + 1]);
        let cut = failure().with_detail(longer.clone());
        let told = cut.detail().map(|detail| String::from_utf8_lossy(detail).into_owned());
        assert_eq!(told.as_deref(), Some(r#"{"left_out":"262145 bytes, 262144 are kept"}"#));
        // Whoever does not keep to the limit: the outcome is read all the same.
        let liar = Failure { detail: longer, ..failure() };
        assert_eq!(decode::<Failure>(&encode(&liar), FRAME_BYTES_MAX), Ok(cut));
    }
}
