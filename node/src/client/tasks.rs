//! Asking for tasks that were submitted: what is known of them, their ends, and to stop them.

use std::time::Duration;

use umbel_protocol::id::TaskId;
use umbel_protocol::job::Labels;
use umbel_protocol::limits::LIST_MAX;
use umbel_protocol::task::{State, View};
use umbel_protocol::wire::{Answer, Ask};

use super::exchange::Until;
use super::{Client, ClientError};

/// Which tasks to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this queue.
    pub queue: Option<String>,
    /// Only those that have all of these labels.
    pub labels: Labels,
    /// Only those that are called so.
    pub name: Option<String>,
    /// Only those whose ids come before this one: with that of the last of a listing the next begins.
    pub before: Option<TaskId>,
    /// At most so many, the newest.
    pub limit: u32,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The tasks, newest first. The newest have their results, and what their failures say, as far as
    /// these fit into one answer (3 MiB); of the others it is said that they were
    /// [left out](View::left_out), and [`Client::show`] tells them.
    pub tasks: Vec<View>,
    /// Partitions whose tasks are missing, because nobody who owns them could tell. With 0 the
    /// listing is complete.
    pub partitions_missing: u16,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            state: None,
            queue: None,
            labels: Labels::NONE,
            name: None,
            before: None,
            limit: LIST_DEFAULT,
        }
    }
}

impl Client {
    /// All that is known of a task.
    ///
    /// # Errors
    /// There is none, or nobody answers for it.
    pub async fn show(&self, task: TaskId) -> Result<View, ClientError> {
        self.view(Ask::Show { task }, self.within()).await
    }

    /// Waits until a task has ended; without `timeout`, however long that takes.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use umbel::{Client, ClientError, TaskId};
    /// # async fn example(client: Client, id: TaskId) -> Result<(), ClientError> {
    /// let view = client.wait(id, Some(Duration::from_secs(30))).await?;
    /// println!("{} is {} after {} attempts", view.task, view.state.as_str(), view.attempts);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// It has not ended in time (it goes on), there is none, or nobody answers for it.
    pub async fn wait(&self, task: TaskId, timeout: Option<Duration>) -> Result<View, ClientError> {
        let until = timeout.map_or(Until::Answered, Until::after);
        self.view(Ask::Wait { task }, until).await
    }

    /// Asks a task to stop. It has ended when its view says so: one that runs needs a moment.
    ///
    /// # Errors
    /// There is none, or nobody answers for it.
    pub async fn cancel(&self, task: TaskId) -> Result<View, ClientError> {
        self.view(Ask::Cancel { task }, self.within()).await
    }

    /// Lists tasks, newest first.
    ///
    /// ```no_run
    /// # use umbel::{Client, ClientError, TaskState};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// use umbel::client::Filter;
    ///
    /// let dead = Filter { state: Some(TaskState::Dead), limit: 20, ..Filter::default() };
    /// for view in client.list(dead).await?.tasks {
    ///     println!("{} {}: {:?}", view.id, view.task, view.error);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn list(&self, filter: Filter) -> Result<Listing, ClientError> {
        let limit = filter.limit.min(u32::try_from(LIST_MAX).unwrap_or(u32::MAX));
        let Filter { state, queue, labels, name, before, .. } = filter;
        let (with, called) = (labels.clone(), name.clone());
        let ask = Ask::List { state, queue, limit, labels: with, name: called, before };
        match self.exchange().one(&ask, self.within()).await? {
            Answer::Tasks { mut tasks, partitions_missing } => {
                // A node of an older version does not know all that was asked for.
                tasks.retain(|view| {
                    view.has_labels(&labels)
                        && name.as_ref().is_none_or(|name| view.task == *name)
                        && before.is_none_or(|before| view.id < before)
                });
                Ok(Listing { tasks, partitions_missing })
            }
            other => Err(ClientError::unexpected(&other)),
        }
    }

    async fn view(&self, ask: Ask, until: Until) -> Result<View, ClientError> {
        match self.exchange().one(&ask, until).await? {
            Answer::View(view) => Ok(*view),
            other => Err(ClientError::unexpected(&other)),
        }
    }
}

/// As many tasks as a listing shows unless asked otherwise.
const LIST_DEFAULT: u32 = 100;
