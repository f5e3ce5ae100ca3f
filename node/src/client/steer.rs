//! Stopping, trying again and dropping tasks: one, or all that are selected.
//!
//! ```
//! # use umbel::testing::Inline;
//! # use umbel::Call;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let tasks = Inline::builder().register("mail", |_: u64| async { Err::<(), _>(umbel::TaskError::permanent("no server")) }).build()?;
//! # let client = tasks.client();
//! # let calls = (0..3).map(|n| Call::<()>::named("mail", &n).queue("mail"));
//! # assert!(client.submit_batch(calls).await.iter().all(Result::is_ok));
//! use umbel::client::{Filter, Steering};
//!
//! // All dead tasks of a queue are tried again.
//! let dead =
//!     Filter { queue: Some("mail".to_owned()), limit: u32::MAX, ..Filter::default() };
//! let steered = client.steer_all(Steering::Retry, dead).await?;
//! println!("{} are tried again, {} are not", steered.done, steered.refused_count);
//! # assert!(steered.done >= 3 && steered.refused.is_empty());
//! # Ok(()) }
//! ```

use futures_util::{StreamExt as _, stream};
use umbel_protocol::id::TaskId;
use umbel_protocol::partition::SteerRefusal;
use umbel_protocol::task::{State, States};
use umbel_protocol::wire::{Ask, RequestError};

use super::{Client, ClientError, Filter, Listing};

/// What to do with tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Ask those that have not ended to stop; nothing is done with those that have, but for ones that were cancelled
    /// before.
    Cancel,
    /// Try those again that are dead, were cancelled, or have expired: a new task does the same work.
    Retry,
    /// Drop the records of those that have ended.
    Delete,
}

/// What came of steering many.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Steered {
    /// So many tasks were done with as was asked.
    pub done: u64,
    /// Those with which nothing was done, and why, at most [`REFUSED_MAX`].
    pub refused: Vec<(TaskId, ClientError)>,
    /// How many those are in all.
    pub refused_count: u64,
    /// Partitions of whose tasks nobody could tell. With 0 all that were meant were found.
    pub partitions_missing: u16,
    /// Why it went no further back than to some of them, if it did not.
    pub cut_short: Option<ClientError>,
}

/// So many refusals are told one by one.
pub const REFUSED_MAX: usize = 100;
/// Requests that are under way at a time.
const TOGETHER: usize = 256;
/// Tasks that are looked up at a time.
const PAGE: u32 = 1_000;

impl Steering {
    /// The states in which something can be done with tasks.
    #[must_use]
    pub const fn states(self) -> States {
        match self {
            Self::Cancel => States::OPEN,
            Self::Retry => States::of(&[State::Dead, State::Cancelled, State::Expired]),
            Self::Delete => States::ALL.without(States::OPEN),
        }
    }

    /// In which of `wanted` states tasks are meant: in all of them, as it was not said in which, are those with which
    /// something can be done, and who tries all again means the dead.
    ///
    /// # Errors
    /// Nothing can be done with tasks in one of them.
    pub(crate) fn states_meant(self, wanted: States) -> Result<States, ClientError> {
        let odd = wanted.without(self.states()).iter().next();
        match (self, odd) {
            (Self::Retry, _) if wanted == States::ALL => Ok(State::Dead.into()),
            (Self::Cancel | Self::Delete, _) if wanted == States::ALL => Ok(self.states()),
            (_, None) => Ok(wanted),
            (_, Some(state)) => Err(ClientError::WrongState { steering: self, state }),
        }
    }

    /// The words for the states in which something can be done with tasks.
    pub(super) fn state_words(self) -> String {
        self.states().iter().map(State::as_str).collect::<Vec<_>>().join(", ")
    }

    /// What tasks are with which it was done.
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Retry => "tried again",
            Self::Delete => "dropped",
        }
    }
}

impl Client {
    /// Tries a task again that is dead, was cancelled or has expired: a new task does the same work at once,
    /// with all its attempts, and says of which it is a [retry](crate::View::retry_of). Returns its id. The old
    /// one is dropped.
    ///
    /// # Errors
    /// There is none, it has not ended or has succeeded, it is of a job, another has its unique key, or nobody
    /// answers for it.
    pub async fn retry(&self, task: TaskId) -> Result<TaskId, ClientError> {
        // Made once, so that a try whose answer was lost is recognised.
        let id = TaskId::new(self.inner.directory.now(), task.partition(), rand::random());
        self.done(&Ask::Retry { task, id }).await?;
        Ok(id)
    }

    /// Drops the record of a task that has ended: nothing of it is shown any more.
    ///
    /// # Errors
    /// There is none, it has not ended, or nobody answers for it.
    pub async fn delete(&self, task: TaskId) -> Result<(), ClientError> {
        self.done(&Ask::Delete { task }).await
    }

    /// Does something with all tasks that are there now and match `filter`, whose limit is how many at most, the
    /// newest. If it says no states those are meant with which something can be done; of [`Retry`](Steering::Retry)
    /// the dead. Of those that are to be cancelled only if they wait, none is stopped that has begun meanwhile. Each
    /// is done with by itself, durably: whatever happens then, all that is told here is so.
    ///
    /// # Errors
    /// Tasks in such a state are not to be done with so, or nobody answers before any was: what stops it
    /// [later](Steered::cut_short) is told beside what was done.
    pub async fn steer_all(
        &self,
        steering: Steering,
        filter: Filter,
    ) -> Result<Steered, ClientError> {
        let states = steering.states_meant(filter.states)?;
        let how = match How::from(steering) {
            How::Cancel if !states.contains(State::Leased) => How::Withdraw,
            how => how,
        };
        let mut steered = Steered::default();
        // From the newest on back, so that none is met twice, and none that comes meanwhile.
        let (mut left, mut before) = (filter.limit, filter.before);
        while left > 0 {
            let page = Filter { states, limit: PAGE.min(left), before, ..filter.clone() };
            let Listing { tasks, partitions_missing, cut_before } = match self.list(page).await {
                Ok(listing) => listing,
                Err(error) if before == filter.before => return Err(error),
                Err(error) => {
                    steered.cut_short = Some(error);
                    break;
                }
            };
            steered.partitions_missing = steered.partitions_missing.max(partitions_missing);
            let ids: Vec<TaskId> = tasks.iter().map(|view| view.id).collect();
            left = left.saturating_sub(u32::try_from(ids.len()).unwrap_or(u32::MAX));
            before = cut_before.or_else(|| ids.last().copied());
            let is_last = cut_before.is_none() && ids.is_empty();
            self.steer_each(how, ids, &mut steered, false).await;
            if is_last {
                break;
            }
        }
        Ok(steered)
    }

    /// Cancels all tasks of a queue that wait, whoever submitted them; what runs goes on.
    ///
    /// # Errors
    /// As [`steer_all`](Self::steer_all).
    pub async fn purge_queue(&self, name: &str) -> Result<Steered, ClientError> {
        let waiting = Filter {
            states: States::WAITING,
            queue: Some(name.to_owned()),
            limit: u32::MAX,
            ..Filter::default()
        };
        self.steer_all(Steering::Cancel, waiting).await
    }

    /// Does something with each of these tasks. Of those that were selected, and not named, one that ends, starts or
    /// is dropped meanwhile is not meant any more.
    pub(crate) async fn steer_each(
        &self,
        how: How,
        ids: Vec<TaskId>,
        steered: &mut Steered,
        are_named: bool,
    ) {
        let mut done = stream::iter(ids)
            .map(|id| async move { (id, self.steer(how, id).await) })
            .buffer_unordered(TOGETHER);
        while let Some((id, result)) = done.next().await {
            match result {
                Ok(()) => steered.done += 1,
                Err(why) if !are_named && is_meant_no_more(&why) => {}
                Err(why) => {
                    steered.refused_count += 1;
                    if steered.refused.len() < REFUSED_MAX {
                        steered.refused.push((id, why));
                    }
                }
            }
        }
    }

    async fn steer(&self, how: How, task: TaskId) -> Result<(), ClientError> {
        match how {
            How::Cancel => match self.cancel(task).await?.state {
                State::Succeeded | State::Dead | State::Expired => {
                    Err(ClientError::HadEnded { task })
                }
                State::Scheduled | State::Ready | State::Leased | State::Cancelled => Ok(()),
            },
            How::Withdraw => self.done(&Ask::Withdraw { task }).await,
            How::Retry => self.retry(task).await.map(drop),
            How::Delete => self.delete(task).await,
        }
    }
}

/// What is done with each of many tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It is cancelled.
    Cancel,
    /// It is cancelled unless it runs.
    Withdraw,
    /// It is tried again.
    Retry,
    /// Its record is dropped.
    Delete,
}

impl From<Steering> for How {
    fn from(steering: Steering) -> Self {
        match steering {
            Steering::Cancel => Self::Cancel,
            Steering::Retry => Self::Retry,
            Steering::Delete => Self::Delete,
        }
    }
}

/// Whether a task is not what it was when it was selected.
const fn is_meant_no_more(why: &ClientError) -> bool {
    matches!(
        why,
        ClientError::HadEnded { .. }
            | ClientError::Request(
                RequestError::NotFound { .. }
                    | RequestError::Steer(
                        SteerRefusal::NotFound { .. } | SteerRefusal::NotWaiting { .. }
                    )
            )
    )
}
