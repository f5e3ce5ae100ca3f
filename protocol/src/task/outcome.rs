//! How a run ended, as its executor tells it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits::{ERROR_BYTES_MAX, RESULT_BYTES_MAX};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It stopped because it was asked to.
    Cancelled,
    /// It failed; whether it is tried again is for its policy to say.
    Failed(Failure),
    /// It returned this, JSON.
    Succeeded(Bytes),
}

/// Why a run, or a task, failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What the code, the command or the node said about it.
    pub message: String,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
}

impl FailureKind {
    /// Whether another attempt may end otherwise.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::BadArguments | Self::Permanent | Self::TooLarge => false,
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
        Self { kind, message }
    }
}

impl Outcome {
    /// How many bytes it carries.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Cancelled => 0,
            Self::Failed(failure) => failure.message.len(),
            Self::Succeeded(result) => result.len(),
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
