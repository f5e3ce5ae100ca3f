//! A submitted task.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Failure, FailureKind, State, View};

use super::{Client, ClientError, TaskFailed, Watch};

/// A submitted task that returns an `R`. Dropping it changes nothing: the task goes on.
///
/// ```
/// # use umbel::testing::Inline;
/// # use umbel::{Call, TaskFailed};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tasks = Inline::builder().register("report", |()| async { Err::<String, _>(umbel::TaskError::permanent("no data")) }).build()?;
/// # let client = tasks.client();
/// # let report = client.submit(Call::<String>::named("report", &())).await?;
/// println!("umbel task show {}", report.id());
/// match report.result().await {
///     Ok(text) => println!("{text}"),
///     Err(TaskFailed::Dead { failure, .. }) => println!("there is no report: {failure:?}"),
///     // Cancelled, expired, or nobody answers: the error says which.
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(()) }
/// ```
pub struct Handle<R> {
    client: Client,
    id: TaskId,
    output: PhantomData<fn() -> R>,
}

impl<R> Handle<R> {
    pub(super) const fn new(client: Client, id: TaskId) -> Self {
        Self { client, id, output: PhantomData }
    }

    /// Its id, with which any client can ask for it.
    #[must_use]
    pub const fn id(&self) -> TaskId {
        self.id
    }

    /// Waits until it has ended, however long that takes, and tells all that is known of it.
    ///
    /// # Errors
    /// Its end could not be learned.
    pub async fn wait(&self) -> Result<View, ClientError> {
        self.client.wait(self.id, None).await
    }

    /// As [`Handle::wait`], but for so long at most.
    ///
    /// # Errors
    /// It has not ended in time and goes on, or its end could not be learned.
    pub async fn wait_for(&self, timeout: Duration) -> Result<View, ClientError> {
        self.client.wait(self.id, Some(timeout)).await
    }

    /// Watches it: what its runs [say](crate::Context::log) while they go on, and its end.
    ///
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("report", |()| async { Ok::<_, String>("all is well") }).build()?;
    /// # let client = tasks.client();
    /// # let report = client.submit(Call::<String>::named("report", &())).await?;
    /// use umbel::client::Event;
    ///
    /// let mut watch = report.watch();
    /// while let Some(event) = watch.next().await? {
    ///     match event {
    ///         Event::Progress(progress) => println!("{progress}"),
    ///         Event::Log(line) => println!("{}", line.text),
    ///         Event::Ended(view) => println!("it has {}", view.state.as_str()),
    ///         Event::Started { .. } | Event::Missed(_) => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.client.watch(self.id)
    }

    /// Asks it to stop. One that runs needs a moment.
    ///
    /// # Errors
    /// The wish could not be recorded.
    pub async fn cancel(&self) -> Result<View, ClientError> {
        self.client.cancel(self.id).await
    }
}

impl<R: DeserializeOwned> Handle<R> {
    /// Waits until it has ended, however long that takes, for what it returned.
    ///
    /// # Errors
    /// It ended otherwise, or its end could not be learned.
    pub async fn result(&self) -> Result<R, TaskFailed> {
        result(self.wait().await?)
    }
}

impl<R> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone(), self.id)
    }
}

impl<R> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}

/// What a task returned that has ended.
pub(super) fn result<R: DeserializeOwned>(view: View) -> Result<R, TaskFailed> {
    decode(view.id, view.state, view.result, view.error)
}

pub(super) fn decode<R: DeserializeOwned>(
    task: TaskId,
    state: State,
    result: Option<Bytes>,
    error: Option<Failure>,
) -> Result<R, TaskFailed> {
    match (state, result) {
        (State::Succeeded, Some(json)) => serde_json::from_slice(&json)
            .map_err(|source| TaskFailed::Result { task, source: Arc::new(source) }),
        (State::Succeeded, None) => Err(TaskFailed::Forgotten { task }),
        (State::Cancelled, _) => match error {
            Some(reason) if reason.kind == FailureKind::Dropped => {
                Err(TaskFailed::Dropped { task, reason })
            }
            Some(_) | None => Err(TaskFailed::Cancelled { task }),
        },
        (State::Expired, _) => Err(TaskFailed::Expired { task }),
        (State::Dead, _) => {
            let failure =
                error.unwrap_or_else(|| Failure::new(FailureKind::Error, "no longer kept"));
            Err(TaskFailed::Dead { task, failure })
        }
        (State::Scheduled | State::Ready | State::Leased, _) => {
            Err(ClientError::Unexpected { answer: "a task that has not ended" }.into())
        }
    }
}
