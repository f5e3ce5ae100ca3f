//! What can go wrong with a request, and with a task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use umbel_protocol::id::TaskId;
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::{Failure, State};
use umbel_protocol::wire::{Answer, RequestError};

use super::Steering;
use crate::config::InvalidAddress;
use crate::tls::TlsError;
use crate::work::InvalidCall;

/// A request that failed. Unless the variant says otherwise nothing was taken in; asking again,
/// under the same id, is always safe.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A text is not the address of a node.
    #[error("{address:?} is not the address of a node")]
    Address {
        /// The text.
        address: String,
        /// Why not.
        #[source]
        source: InvalidAddress,
    },
    /// The arguments of a call cannot be written as JSON; the program has to change.
    #[error(transparent)]
    Call(Arc<InvalidCall>),
    /// The node in this process has stopped.
    #[error("the node in this process has stopped; start another, or connect to a cluster")]
    Closed,
    /// A task that was to be stopped had ended: told by whoever stops several at a time, not by
    /// [`Client::cancel`](super::Client::cancel), which returns it as it is.
    #[error("the task {task} had ended before it could be cancelled; `umbel task show` tells how")]
    HadEnded {
        /// The task.
        task: TaskId,
    },
    /// No address was given.
    #[error("no node to connect to; give at least one address")]
    NoAddress,
    /// The request was sent and no answer came. Whether it was carried out is not known.
    #[error(
        "no answer within {} s; whether the request was carried out is not known: ask again, for a \
         submission under the same id", after.as_secs_f64()
    )]
    NoAnswer {
        /// How long it was waited for.
        after: Duration,
    },
    /// No node could be reached.
    #[error("no node can be reached{}", Trials(.tried))]
    NoNode {
        /// Who was tried last, and why they would not do.
        tried: Vec<Tried>,
    },
    /// No directory with certificates was given.
    #[error("no certificates; name a directory that holds ca.pem and a client certificate")]
    NoTls,
    /// A task was not taken in.
    #[error("task {task} was not taken in: {refusal}")]
    Refused {
        /// The task.
        task: TaskId,
        /// Why not.
        refusal: Refusal,
    },
    /// The cluster answered with an error.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(Arc<TlsError>),
    /// The answer is not one to the question: the node speaks another version.
    #[error(
        "the node answered with {answer}, which is no answer to the question; update this program or the node"
    )]
    Unexpected {
        /// What kind of answer came.
        answer: &'static str,
    },
    /// Nothing can be done so with tasks in this state. Nothing was done.
    #[error(
        "no task is {} that is {}; ask for one of: {}", .steering.done(), .state.as_str(), .steering.state_words()
    )]
    WrongState {
        /// What was to be done.
        steering: Steering,
        /// In which state.
        state: State,
    },
}

impl ClientError {
    pub(super) fn unexpected(answer: &Answer) -> Self {
        let answer = match answer {
            Answer::Claims(_) | Answer::TaskGroupParts(_) | Answer::Waiting => {
                "a note to other nodes"
            }
            Answer::Done => "a confirmation",
            Answer::Failed(_) => "an error",
            Answer::File(_) => "a word about a file",
            Answer::Job(_) => "a job",
            Answer::Jobs { .. } => "jobs",
            Answer::Queues { .. } => "queues",
            Answer::TaskGroup { .. } => "a group",
            Answer::News(_) => "what a task says",
            Answer::Reloaded(_) => "word of a file that was read again",
            Answer::Finished(_) => "the ends of tasks",
            Answer::Status(_) => "its status",
            Answer::Submitted { .. } => "a receipt",
            Answer::Tasks { .. } => "tasks",
            Answer::View(_) => "a task",
            Answer::Welcome(_) => "a welcome",
        };
        Self::Unexpected { answer }
    }
}

impl From<InvalidCall> for ClientError {
    fn from(error: InvalidCall) -> Self {
        match error {
            // The cluster would answer the same.
            InvalidCall::Said(invalid) => Self::Request(invalid.into()),
            error @ InvalidCall::Args { .. } => Self::Call(Arc::new(error)),
        }
    }
}

impl From<TlsError> for ClientError {
    fn from(error: TlsError) -> Self {
        Self::Tls(Arc::new(error))
    }
}

/// A node that was tried in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its address.
    pub address: String,
    /// Why it will not do.
    pub why: String,
    /// Whether nobody has answered there; otherwise somebody did, and that was the trouble.
    pub is_silent: bool,
}

struct Trials<'a>(&'a [Tried]);

impl fmt::Display for Trials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Tried { address, why, .. }) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { "; " })?;
            // Most reasons begin with the address themselves.
            if why.contains(address.as_str()) {
                f.write_str(why)?;
            } else {
                write!(f, "{address}: {why}")?;
            }
        }
        Ok(())
    }
}

/// There is no result: the task ended otherwise, or its end could not be learned.
///
/// ```
/// # use umbel::TaskFailed;
/// #[derive(serde::Deserialize)]
/// struct Printed {
///     exit_code: Option<i32>,
///     stderr: String,
/// }
///
/// /// What a command said before it failed for the last time.
/// fn last_words(failed: &TaskFailed) -> Option<String> {
///     let printed: Printed = failed.detail()?;
///     Some(format!("{:?}: {}", printed.exit_code, printed.stderr))
/// }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskFailed {
    /// It was stopped by request.
    #[error("task {task} was cancelled")]
    Cancelled {
        /// The task.
        task: TaskId,
    },
    /// Its end could not be learned; the task may go on.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It used up its attempts, or its failure was final. What the failure carries as data, say the
    /// exit code and the output of a command, is its [detail](TaskFailed::detail).
    #[error("task {task} failed ({}): {}", failure.kind.as_str(), failure.message)]
    Dead {
        /// The task.
        task: TaskId,
        /// Why.
        failure: Failure,
    },
    /// It was given up: a run of it found that there is nothing to be done
    /// ([`TaskError::dropped`](crate::TaskError::dropped)), or a later task with its unique key took its
    /// place before it started.
    #[error("task {task} was dropped: {}", reason.message)]
    Dropped {
        /// The task.
        task: TaskId,
        /// Why.
        reason: Failure,
    },
    /// It did not start in time.
    #[error("task {task} expired before it could start")]
    Expired {
        /// The task.
        task: TaskId,
    },
    /// It succeeded, but its result is no longer kept.
    #[error("task {task} succeeded, but its result is no longer kept")]
    Forgotten {
        /// The task.
        task: TaskId,
    },
    /// It succeeded with a result of another type than the caller expects.
    #[error("task {task} returned something else than expected")]
    Result {
        /// The task.
        task: TaskId,
        /// What does not fit.
        #[source]
        source: Arc<serde_json::Error>,
    },
}

impl TaskFailed {
    /// Why the task is dead, or was dropped, if it is that.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Dead { failure, .. } | Self::Dropped { reason: failure, .. } => Some(failure),
            Self::Cancelled { .. }
            | Self::Client(_)
            | Self::Expired { .. }
            | Self::Forgotten { .. }
            | Self::Result { .. } => None,
        }
    }

    /// What the task told about its failure besides the message, if that is a `T`: of a command
    /// `{"exit_code", "signal", "stdout", "stderr"}`, where exit code or signal is missing as the case
    /// may be; of a webhook that was answered `{"status", "body"}`; of a handler what it gave to
    /// [`TaskError::with_detail`](crate::TaskError::with_detail). Only the last attempt's is kept.
    #[must_use]
    pub fn detail<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.failure()?.detail()?).ok()
    }
}
