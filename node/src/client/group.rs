//! Tasks that belong together: submitted as a group, counted as one, and waited for until all have ended.

use std::fmt;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::de::DeserializeOwned;
use umbel_protocol::id::{NodeId, TaskGroupId, TaskId};
use umbel_protocol::job::{Labels, Target};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{InvalidBatch, Particulars, TaskGroup, TaskGroupView};
use umbel_protocol::wire::{Answer, Ask, RequestError};

use super::exchange::Until;
use super::{Client, ClientError, Filter, Handle, Steered, Steering, TaskFailed};
use crate::work::{Call, Submission};

/// How far the tasks of a group are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupCount {
    /// How many are in which state. What has ended is counted for as long as it is kept.
    pub tasks: TaskGroupView,
    /// Partitions whose tasks are not counted, because nobody who owns them could tell. With 0 the numbers are
    /// complete.
    pub partitions_missing: u16,
}

impl GroupCount {
    /// Tasks of the group of which nothing is known any more, or yet; 0 if nobody said how many it has. A call of
    /// [`submit_group`](Client::submit_group) that was refused, or that got another task, is one of them.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        u64::from(self.tasks.size).saturating_sub(self.tasks.known())
    }

    /// Whether all that were taken in have ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.partitions_missing == 0 && self.tasks.open() == 0
    }
}

/// Tasks that were submitted as a group, each of which returns an `R`. Dropping it changes nothing: the tasks go on,
/// and whoever knows the group's [id](Self::id) can [ask](Client::group) for them.
pub struct Group<R> {
    client: Client,
    id: TaskGroupId,
    tasks: Vec<Result<Handle<R>, ClientError>>,
}

impl<R> Group<R> {
    /// Its id, with which any client can ask for it.
    #[must_use]
    pub const fn id(&self) -> TaskGroupId {
        self.id
    }

    /// Its tasks in the order of their calls, or why one was not taken in.
    pub fn tasks(&self) -> &[Result<Handle<R>, ClientError>] {
        &self.tasks
    }

    /// How far they are.
    ///
    /// # Errors
    /// As [`Client::group`].
    pub async fn count(&self) -> Result<GroupCount, ClientError> {
        self.client.group(self.id).await
    }

    /// Waits until all that were taken in have ended, however long that takes and however they do.
    ///
    /// # Errors
    /// As [`Client::wait_group`].
    pub async fn wait(&self) -> Result<GroupCount, ClientError> {
        self.client.wait_group(self.id).await
    }

    /// Asks all of them to stop that have not ended.
    ///
    /// # Errors
    /// As [`Client::cancel_group`].
    pub async fn cancel(&self) -> Result<Steered, ClientError> {
        self.client.cancel_group(self.id).await
    }
}

impl<R: DeserializeOwned> Group<R> {
    /// Waits until all have ended, for what each returned, in the order of the calls. What a task returned is kept for
    /// an hour, or for as long as its [`retention`](Call::retention) says: of a group that takes longer some may be
    /// [forgotten](TaskFailed::Forgotten) by then.
    pub async fn results(&self) -> Vec<Result<R, TaskFailed>> {
        let result = async |(place, task): (usize, &Result<Handle<R>, ClientError>)| match task {
            Ok(handle) => (place, handle.result().await),
            Err(refused) => (place, Err(refused.clone().into())),
        };
        let tasks = stream::iter(self.tasks.iter().enumerate());
        let mut results: Vec<_> =
            tasks.map(result).buffer_unordered(RESULTS_AT_ONCE).collect().await;
        results.sort_unstable_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

impl<R> fmt::Debug for Group<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("tasks", &self.tasks.len()).finish()
    }
}

impl Client {
    /// Submits many tasks as a group, with few requests. As of [`submit_batch`](Self::submit_batch) each has an
    /// answer of its own: one request of one partition is durable as a whole, and there is room for all of it or
    /// none, but single tasks of it may be refused, and the tasks of many requests are not taken in together. A call of
    /// which another task has the [unique key](Call::unique) gets the handle of that, which is not of the group and not counted in it.
    ///
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("render", |page: u64| async move { Ok::<_, String>(page) }).build()?;
    /// # let client = tasks.client();
    /// let pages = client.submit_group((0..1_000).map(|n| Call::<u64>::named("render", &n))).await?;
    /// println!("umbel task group {}", pages.id());
    /// let count = pages.wait().await?;
    /// assert_eq!((count.tasks.succeeded, count.tasks.size), (1_000, 1_000));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Nothing is known of the cluster yet, or a call [says another group](Call::group); nothing was submitted then.
    pub async fn submit_group<R>(
        &self,
        calls: impl IntoIterator<Item = Call<R>>,
    ) -> Result<Group<R>, ClientError> {
        let calls: Vec<Call<R>> = calls.into_iter().collect();
        let size = u32::try_from(calls.len()).unwrap_or(0);
        let id = self.new_group().await?;
        if calls.iter().any(|call| call.has_group()) {
            return Err(conflicting("a call of a group with a group of its own"));
        }
        let calls = calls.into_iter().map(|call| call.in_group(TaskGroup { id, size }));
        let tasks = self.submit_batch(calls).await;
        Ok(Group { client: self.clone(), id, tasks })
    }

    /// Submits a task for each node that is there, is not about to part, and has all labels that `call`
    /// [selects](Call::select): each runs on its own node and nowhere else, under an id of its own. While one is
    /// away, or does not know the task, its task waits; say when it [expires](Call::expires).
    ///
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("clear_cache", |()| async { Ok::<_, String>(3) }).build()?;
    /// # let client = tasks.client();
    /// // Only of some of them: .select([("role", "web")])
    /// let call = Call::<u64>::named("clear_cache", &());
    /// let (group, nodes) = client.broadcast(call).await?;
    /// let count = group.wait().await?;
    /// assert_eq!(count.tasks.succeeded, nodes.len() as u64);
    /// # Ok(()) }
    /// ```
    ///
    /// Returns the group and the node of each of its tasks.
    ///
    /// # Errors
    /// Nobody tells which nodes there are, or the call is illegal; nothing was submitted then.
    pub async fn broadcast<R>(
        &self,
        call: Call<R>,
    ) -> Result<(Group<R>, Vec<NodeId>), ClientError> {
        let id = self.new_group().await?;
        let (nodes, taken) = self.submit_to_each(&call.into_submission()?, id).await?;
        let handle = |id| Handle::new(self.clone(), id);
        let tasks = taken.into_iter().map(|id| id.map(handle)).collect();
        Ok((Group { client: self.clone(), id, tasks }, nodes))
    }

    /// As [`broadcast`](Self::broadcast), for a task whose result has no type here: the nodes, and what became of the
    /// task of each in the group `id`.
    pub(crate) async fn submit_to_each(
        &self,
        submission: &Submission,
        id: TaskGroupId,
    ) -> Result<Each, ClientError> {
        let said = submission.particulars.as_deref();
        if said.is_some_and(|said| said.unique_key.is_some()) {
            return Err(conflicting(
                "a task for each node with a unique key: of all tasks with one key there is one",
            ));
        }
        if submission.id.is_some() {
            return Err(conflicting("a task for each node with an id: each has one of its own"));
        }
        if said.is_some_and(|said| said.group.is_some()) {
            return Err(conflicting("a task for each node with a group: they are one"));
        }
        let nodes = self.nodes_for(said).await?;
        let group = TaskGroup { id, size: u32::try_from(nodes.len()).unwrap_or(0) };
        let each = nodes.iter().map(|node| on_node(submission, *node, group)).collect();
        Ok((nodes, self.submit_all(each).await))
    }

    /// How far the tasks of a group are: the node at hand asks all owners. A group of which nothing is known has no
    /// tasks.
    ///
    /// # Errors
    /// A node of the cluster is of an older version, or nobody answers.
    pub async fn group(&self, id: TaskGroupId) -> Result<GroupCount, ClientError> {
        self.count_group(id, self.within()).await
    }

    /// Asks all tasks of a group to stop that have not ended, whoever submitted them; those that are submitted
    /// afterwards are not.
    ///
    /// # Errors
    /// As [`steer_all`](Self::steer_all).
    pub async fn cancel_group(&self, id: TaskGroupId) -> Result<Steered, ClientError> {
        let all = Filter { group: Some(id), limit: u32::MAX, ..Filter::default() };
        self.steer_all(Steering::Cancel, all).await
    }

    async fn count_group(&self, id: TaskGroupId, until: Until) -> Result<GroupCount, ClientError> {
        match self.exchange().one(&Ask::TaskGroup { group: id }, until).await? {
            Answer::TaskGroup { view, partitions_missing } => {
                Ok(GroupCount { tasks: view, partitions_missing })
            }
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Waits until all tasks of a group have ended that were taken in so far, however long that takes and however
    /// they do. It waits for the last in line and then counts again, so it is told of the end, and asks nobody
    /// meanwhile; but while nobody tells of a partition, or the task in question is gone, five times a second.
    ///
    /// # Errors
    /// As [`group`](Self::group), and if for 15 seconds nobody answers for a task that is waited for: what was
    /// submitted goes on, and can be waited for again.
    pub async fn wait_group(&self, id: TaskGroupId) -> Result<GroupCount, ClientError> {
        loop {
            let count = self.count_group(id, Until::Answered).await?;
            match count.tasks.awaited {
                Some(task) => match self.wait(task, None).await {
                    Ok(_) => {}
                    // It was forgotten meanwhile, or dropped; or too many wait there.
                    Err(ClientError::Request(
                        RequestError::NotFound { .. } | RequestError::Overloaded { .. },
                    )) => {
                        tokio::time::sleep(COUNT_AGAIN).await;
                    }
                    Err(error) => return Err(error),
                },
                None if count.partitions_missing == 0 => return Ok(count),
                // A partition without an owner has one again soon.
                None => tokio::time::sleep(COUNT_AGAIN).await,
            }
        }
    }

    /// An id for a group whose tasks are submitted one by one, with [`Call::group`].
    ///
    /// # Errors
    /// Nothing is known of the cluster yet.
    pub async fn new_group(&self) -> Result<TaskGroupId, ClientError> {
        // Ids are made by the cluster's clock.
        let made_at = self.new_id().await?.made_at();
        Ok(TaskGroupId::new(made_at, rand::random()))
    }

    async fn nodes_for(&self, said: Option<&Particulars>) -> Result<Vec<NodeId>, ClientError> {
        let target = said.map_or(&Target::Anywhere, |said| &said.target);
        let status = self.status().await?;
        let nodes = status.members.iter().filter(|member| {
            let labels: &Labels = status.meta.labels(member.node);
            member.liveness != Liveness::Down
                && !status.meta.is_draining(member.node)
                && target.includes(member.node, labels)
        });
        Ok(nodes.map(|member| member.node).collect())
    }
}

/// Nodes, and what became of the task of each of them.
type Each = (Vec<NodeId>, Vec<Result<TaskId, ClientError>>);

/// The same task, on one node.
fn on_node(submission: &Submission, node: NodeId, group: TaskGroup) -> Submission {
    let said = submission.particulars.as_deref().unwrap_or(&Particulars::NONE).clone();
    let particulars = Particulars { target: Target::Node(node), group: Some(group), ..said };
    Submission { particulars: particulars.boxed(), ..submission.clone() }
}

/// What cannot be said of tasks that are submitted together.
fn conflicting(what: &str) -> ClientError {
    let (what, why) = (what.to_owned(), "leave that out".to_owned());
    ClientError::Request(InvalidBatch::Conflicting { what, why }.into())
}

/// So many of them are waited for at a time.
const RESULTS_AT_ONCE: usize = 1_024;
/// After so long a group is counted again of which nobody could tell all.
const COUNT_AGAIN: Duration = Duration::from_millis(200);
