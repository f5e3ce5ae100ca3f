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

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};
use umbel_protocol::id::TaskId;
use umbel_protocol::task::State;
use umbel_protocol::wire::Ask;

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
pub struct Steered {
    /// So many tasks were done with as was asked.
    pub done: u64,
    /// Those with which nothing was done, and why, at most [`REFUSED_MAX`].
    pub refused: Vec<(TaskId, ClientError)>,
    /// How many those are in all.
    pub refused_count: u64,
    /// Partitions of whose tasks nobody could tell. With 0 all that were meant were found.
    pub partitions_missing: u16,
}

/// So many refusals are told one by one.
pub const REFUSED_MAX: usize = 100;
/// Requests that are under way at a time.
const TOGETHER: usize = 256;
/// How often it is looked at most whether a task was in no state while that was looked through.
const PASSES_MAX: usize = 8;
/// Tasks that are looked up at a time.
const PAGE: u32 = 1_000;

/// How far a steering of many is.
#[derive(Default)]
struct Pass {
    steered: Steered,
    /// So many more are meant.
    left: u64,
    /// What runs and was asked to stop, and what was refused: it is not asked again.
    met: HashSet<TaskId>,
}

impl Steered {
    /// Adds what came of others.
    #[cfg(feature = "cli")]
    pub(crate) fn add(&mut self, others: Self) {
        self.done += others.done;
        self.refused_count += others.refused_count;
        self.refused.extend(others.refused);
        self.refused.truncate(REFUSED_MAX);
        self.partitions_missing = self.partitions_missing.max(others.partitions_missing);
    }
}

impl Steering {
    /// The states in which something can be done with tasks.
    #[must_use]
    pub const fn states(self) -> &'static [State] {
        match self {
            Self::Cancel => &[State::Scheduled, State::Ready, State::Leased],
            Self::Retry => &[State::Dead, State::Cancelled, State::Expired],
            Self::Delete => &[State::Succeeded, State::Dead, State::Cancelled, State::Expired],
        }
    }

    /// Refuses to do it with tasks in a state in which that cannot be.
    pub(crate) fn check(self, state: State) -> Result<(), ClientError> {
        if self.states().contains(&state) {
            return Ok(());
        }
        Err(ClientError::WrongState { steering: self, state })
    }

    /// The words for the states in which something can be done with tasks.
    pub(super) fn state_words(self) -> String {
        self.states().iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What tasks are with which it was done.
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Retry => "tried again",
            Self::Delete => "dropped",
        }
    }

    /// The states of tasks that are meant if none is said: who tries all again means the dead.
    const fn states_meant(self) -> &'static [State] {
        match self {
            Self::Retry => &[State::Dead],
            Self::Cancel | Self::Delete => self.states(),
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
    /// newest. Without a state those are meant with which something can be done; of
    /// [`Retry`](Steering::Retry) the dead. Each is done with by itself, durably: whatever happens meanwhile,
    /// all that is told here is so.
    ///
    /// # Errors
    /// Nobody answers, or tasks in such a state are not to be done with so. Some may have been done with then.
    pub async fn steer_all(
        &self,
        steering: Steering,
        filter: Filter,
    ) -> Result<Steered, ClientError> {
        let chosen = filter.state.map(|state| [state]);
        let states =
            chosen.as_ref().map_or_else(|| steering.states_meant(), <[State; 1]>::as_slice);
        filter.state.map_or(Ok(()), |state| steering.check(state))?;
        let mut pass = Pass { left: u64::from(filter.limit), ..Pass::default() };
        for _ in 0..PASSES_MAX {
            let done_before = pass.steered.done;
            for state in states {
                self.steer_in(
                    steering,
                    Filter { state: Some(*state), ..filter.clone() },
                    &mut pass,
                )
                .await?;
            }
            // One that waited may have begun meanwhile, and one that ran may wait for its next attempt.
            let may_hide = steering == Steering::Cancel && states.len() > 1;
            if pass.steered.done == done_before || !may_hide {
                break;
            }
        }
        Ok(pass.steered)
    }

    /// Does something with all tasks in a state that were not met before.
    async fn steer_in(
        &self,
        steering: Steering,
        filter: Filter,
        pass: &mut Pass,
    ) -> Result<(), ClientError> {
        let mut before = filter.before;
        while pass.left > 0 {
            let limit = PAGE.min(u32::try_from(pass.left).unwrap_or(PAGE));
            let page = Filter { limit, before, ..filter.clone() };
            let Listing { tasks, partitions_missing, cut_before } = self.list(page).await?;
            let steered = &mut pass.steered;
            steered.partitions_missing = steered.partitions_missing.max(partitions_missing);
            let ids: Vec<TaskId> = tasks.iter().map(|view| view.id).collect();
            before = cut_before.or_else(|| ids.last().copied());
            let is_last = cut_before.is_none() && ids.is_empty();
            let fresh: Vec<TaskId> = ids.into_iter().filter(|id| !pass.met.contains(id)).collect();
            pass.left -= fresh.len() as u64;
            // What waits has ended when it is cancelled; what runs is found again.
            if filter.state == Some(State::Leased) {
                pass.met.extend(&fresh);
            }
            let refused = self.steer_each(steering, fresh, &mut pass.steered, false).await;
            pass.met.extend(refused);
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Does something with each of these tasks. Of those that were selected, and not named, one that ends meanwhile is
    /// not meant any more. Returns those that were refused.
    pub(crate) async fn steer_each(
        &self,
        steering: Steering,
        ids: Vec<TaskId>,
        steered: &mut Steered,
        are_named: bool,
    ) -> Vec<TaskId> {
        let mut refused = Vec::new();
        let mut done = stream::iter(ids)
            .map(|id| async move { (id, self.steer(steering, id).await) })
            .buffer_unordered(TOGETHER);
        while let Some((id, result)) = done.next().await {
            match result {
                Ok(()) => steered.done += 1,
                Err(ClientError::HadEnded { .. }) if !are_named => {}
                Err(why) => {
                    steered.refused_count += 1;
                    refused.push(id);
                    if steered.refused.len() < REFUSED_MAX {
                        steered.refused.push((id, why));
                    }
                }
            }
        }
        refused
    }

    async fn steer(&self, steering: Steering, task: TaskId) -> Result<(), ClientError> {
        match steering {
            Steering::Cancel => match self.cancel(task).await?.state {
                State::Succeeded | State::Dead | State::Expired => {
                    Err(ClientError::HadEnded { task })
                }
                State::Scheduled | State::Ready | State::Leased | State::Cancelled => Ok(()),
            },
            Steering::Retry => self.retry(task).await.map(drop),
            Steering::Delete => self.delete(task).await,
        }
    }
}
