//! Asking for tasks that were submitted: what is known of them, their ends, and to stop them.

use std::time::Duration;

use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Filter, View};
use umbel_protocol::wire::{Answer, Ask, RequestError};

use super::exchange::Until;
use super::{Client, ClientError};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The tasks, newest first. The newest have their results, and what their failures say, as far as
    /// these fit into one answer (2.5 MiB), and their runs before the last one, too; of the others it is said that
    /// they were [left out](View::left_out), and [`Client::show`] tells them.
    pub tasks: Vec<View>,
    /// Partitions whose tasks are missing, because nobody who owns them could tell. With 0 the
    /// listing is complete.
    pub partitions_missing: u16,
    /// Tasks before this one were not looked at, as that took too long: there are too many of them. List on
    /// [from there](Filter::before).
    pub cut_before: Option<TaskId>,
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
    /// ```
    /// # use std::time::Duration;
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("sum", |(a, b): (u64, u64)| async move { Ok::<_, String>(a + b) }).build()?;
    /// # let client = tasks.client();
    /// # let id = client.submit(Call::<u64>::named("sum", &[1, 2])).await?.id();
    /// let view = client.wait(id, Some(Duration::from_secs(30))).await?;
    /// assert_eq!((view.task.as_str(), view.state.as_str(), view.attempts), ("sum", "succeeded", 1));
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

    /// Lists tasks, newest first. To find a few it may have to look through millions: it takes as many requests as
    /// it needs, for as long as this client has [patience](super::ClientBuilder).
    ///
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::{Call, TaskState};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("mail", |_: u64| async { Err::<(), _>(umbel::TaskError::permanent("no server")) }).build()?;
    /// # let client = tasks.client();
    /// # client.submit(Call::<()>::named("mail", &1)).await?;
    /// use umbel::client::Filter;
    ///
    /// let dead = Filter { states: TaskState::Dead.into(), limit: 20, ..Filter::default() };
    /// for view in client.list(dead).await?.tasks {
    ///     println!("{} {}: {:?}", view.id, view.task, view.error);
    ///     # assert_eq!(view.task, "mail");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn list(&self, filter: Filter) -> Result<Listing, ClientError> {
        let until = self.within();
        let mut listing = self.page(&filter, until).await?;
        while let Some(cut) = listing.cut_before {
            let left =
                filter.limit.saturating_sub(u32::try_from(listing.tasks.len()).unwrap_or(u32::MAX));
            let rest = Filter { before: Some(cut), limit: left, ..filter.clone() };
            match self.page(&rest, until).await {
                Ok(Listing { tasks, partitions_missing, cut_before }) => {
                    listing.tasks.extend(tasks);
                    listing.partitions_missing = listing.partitions_missing.max(partitions_missing);
                    listing.cut_before = cut_before;
                }
                // What was found is of use.
                Err(
                    ClientError::NoAnswer { .. } | ClientError::Request(RequestError::TimedOut),
                ) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }

    /// As far as one request gets. Whatever a node answers, the next one goes on further back.
    async fn page(&self, filter: &Filter, until: Until) -> Result<Listing, ClientError> {
        match self.exchange().one(&Ask::List(filter.clone()), until).await? {
            Answer::Tasks { mut tasks, partitions_missing, cut_before, told: _ } => {
                // A node of an older version does not know all that was asked for.
                tasks.retain(|view| filter.includes(view));
                tasks.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
                let is_further = |cut: &TaskId| filter.before.is_none_or(|before| *cut < before);
                Ok(Listing { tasks, partitions_missing, cut_before: cut_before.filter(is_further) })
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
