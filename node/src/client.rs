//! Submitting tasks to a cluster and waiting for what they return.
//!
//! A [`Client`] is a handle: cheap to clone, usable from many places at once. It has one link at a
//! time, to a node over QUIC or to the node in the same process, on which all of its requests
//! travel side by side. When the link is lost it finds another node and asks everything that is not
//! answered again; that is safe because task ids are made before the first try, so a task that was
//! taken in already is recognised.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use umbel::{Call, Client};
//!
//! let client = Client::connect(["10.0.0.1:7400", "10.0.0.2:7400"], "/etc/umbel/tls").await?;
//! let sum = client.submit(Call::<u64>::named("add", &[1, 2])).await?;
//! println!("{} returned {}", sum.id(), sum.result().await?);
//! # Ok(()) }
//! ```
//!
//! Nothing here decides about tasks: what a client knows of the cluster is a hint for where to ask
//! first, and any node takes any request.

mod builder;
mod bulk;
mod courier;
mod directory;
mod error;
mod exchange;
mod handle;
mod inherit;
mod jobs;
mod link;
pub mod local;
mod session;
mod submit;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use umbel_protocol::id::{NodeId, TaskId};
use umbel_protocol::job::Labels;
use umbel_protocol::limits::LIST_MAX;
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::{Batch, Metadata, Options, State, Template, View};
use umbel_protocol::wire::{Answer, Ask, Ending, MemberStatus, Reloaded, Status, Welcome};

pub use self::builder::ClientBuilder;
use self::directory::Directory;
pub use self::error::{ClientError, TaskFailed, Tried};
use self::exchange::{Exchange, Limits, Until};
pub use self::handle::Handle;
pub use self::inherit::AsClient;
pub use self::jobs::JobListing;
use self::link::Link;
use self::local::LocalRequest;
pub use self::submit::{Run, Running, Submit, Submitting};
use crate::work::{Call, Submission};

/// A handle to a cluster; see the [module](self). Its link ends with the last clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// What tasks take over that do not say it themselves.
    passed_on: Option<Arc<Metadata>>,
}

struct Inner {
    link: Link,
    directory: Arc<Directory>,
    patience: Duration,
    limits: Limits,
    _guard: DropGuard,
}

/// Which tasks to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this queue.
    pub queue: Option<String>,
    /// Only those that have all of these labels.
    pub labels: Labels,
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
        Self { state: None, queue: None, labels: Labels::NONE, limit: LIST_DEFAULT }
    }
}

impl Client {
    /// Sets up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client of the cluster that has nodes at `addresses`, each `host:port`, with the client
    /// certificate in `tls`.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
        tls: impl AsRef<Path>,
    ) -> Result<Self, ClientError> {
        addresses.into_iter().fold(Self::builder(), ClientBuilder::address).tls(tls).connect().await
    }

    /// A client of the node that takes its requests from the other end of `requests`. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn local(requests: mpsc::Sender<LocalRequest>) -> Self {
        let directory = Arc::new(Directory::default());
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(local::keep_informed(
            requests.clone(),
            Arc::clone(&directory),
        )));
        Self::new(Link::Local(requests), directory, PATIENCE, ended.drop_guard())
    }

    fn new(link: Link, directory: Arc<Directory>, patience: Duration, guard: DropGuard) -> Self {
        Self {
            inner: Arc::new(Inner {
                link,
                directory,
                patience,
                limits: Limits::default(),
                _guard: guard,
            }),
            passed_on: None,
        }
    }

    /// Submits a task. When this returns, the task is on the disks of a majority; or another one is that
    /// has the same [unique key](Call::unique), and whose handle this is.
    /// `add::submit(&client, 1, 2).await` does the same in one sentence, see [`Submit`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use umbel::{Call, Client, ClientError};
    /// # async fn example(client: Client) -> Result<(), ClientError> {
    /// let call = Call::<u64>::named("add", &[1, 2]).delay(Duration::from_secs(5));
    /// let handle = client.submit(call).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The task was not taken in, or, with [`ClientError::NoAnswer`], that is not known.
    pub async fn submit<R>(&self, call: Call<R>) -> Result<Handle<R>, ClientError> {
        Ok(Handle::new(self.clone(), self.submit_one(call.into_submission()?).await?))
    }

    /// Submits a task by its name, with arguments and options that this program knows nothing of.
    ///
    /// ```no_run
    /// # use umbel::{Client, TaskFailed};
    /// # async fn example(client: Client) -> Result<(), TaskFailed> {
    /// use serde_json::json;
    /// use umbel::Options;
    ///
    /// let options = Options { priority: Some(9), ..Options::default() };
    /// let handle = client.submit_named("sha256", &json!({ "path": "/etc/hosts" }), options).await?;
    /// println!("{}", handle.result().await?["stdout"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_named(
        &self,
        name: impl Into<String>,
        args: &impl Serialize,
        options: Options,
    ) -> Result<Handle<serde_json::Value>, ClientError> {
        let template = Template { options, ..Template::new(name) };
        self.submit(Call::with_template(template, args)).await
    }

    /// Submits a task, waits for its end and returns what it returned, in one round trip.
    /// `add::run(&client, 1, 2).await` does the same in one sentence, see [`Run`].
    ///
    /// ```no_run
    /// # use umbel::{Call, Client, TaskFailed};
    /// # async fn example(client: Client) -> Result<(), TaskFailed> {
    /// let sum = client.run(Call::<u64>::named("add", &[1, 2])).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The task was not taken in, or it failed.
    pub async fn run<R: DeserializeOwned>(&self, call: Call<R>) -> Result<R, TaskFailed> {
        let submission = call.into_submission().map_err(ClientError::from)?;
        let (id, batch) = self.batch_of_one(submission).await?;
        let submitted = self.exchange().submit(Arc::new(batch), true, Until::Answered).await?;
        match submitted.refused.first() {
            // That one is what its caller gets.
            Some((_, Refusal::Exists { task })) => {
                return Handle::<R>::new(self.clone(), *task).result().await;
            }
            Some((_, refusal)) => {
                return Err(ClientError::Refused { task: id, refusal: *refusal }.into());
            }
            None => {}
        }
        match submitted.endings.into_iter().find(|ending| ending.task == id) {
            Some(ending) => self.result_of(ending).await,
            None => Handle::<R>::new(self.clone(), id).result().await,
        }
    }

    /// Submits many tasks, with few requests. The answers are in the order of the calls, each its
    /// own: some may be refused while others are taken in.
    ///
    /// ```no_run
    /// # use umbel::{Call, Client, TaskFailed};
    /// # async fn example(client: Client) -> Result<(), TaskFailed> {
    /// let calls = (0..10_000).map(|n| Call::<u64>::named("square", &n));
    /// for (n, taken) in client.submit_batch(calls).await.into_iter().enumerate() {
    ///     match taken {
    ///         Ok(handle) => println!("{n} squared is {}", handle.result().await?),
    ///         Err(why) => println!("{n} was not taken in: {why}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn submit_batch<R>(
        &self,
        calls: impl IntoIterator<Item = Call<R>>,
    ) -> Vec<Result<Handle<R>, ClientError>> {
        let submissions: Vec<_> = calls.into_iter().map(Call::into_submission).collect();
        let mut whole = Vec::with_capacity(submissions.len());
        let mut broken = Vec::new();
        for (position, submission) in submissions.into_iter().enumerate() {
            match submission {
                Ok(submission) => whole.push(submission),
                Err(invalid) => broken.push((position, ClientError::from(invalid))),
            }
        }
        let submitted = self.submit_all(whole).await;
        let mut answers: Vec<_> =
            submitted.into_iter().map(|id| id.map(|id| Handle::new(self.clone(), id))).collect();
        // Ascending positions: each is where the final vector has it.
        for (position, error) in broken {
            answers.insert(position, Err(error));
        }
        answers
    }

    /// Gives ids to those of `submissions` that have none: with them whoever submits can find out
    /// what became of tasks whose acknowledgement was lost.
    ///
    /// ```no_run
    /// # use umbel::{Call, Client, TaskError};
    /// # async fn example(client: Client) -> Result<(), TaskError> {
    /// let mut submissions = vec![Call::<u64>::named("add", &[1, 2]).into_submission()?];
    /// client.number(&mut submissions).await?;
    /// let id = submissions[0].id.expect("it has one now");
    /// // Submitted once more under the same id, a task is still taken in only once.
    /// for taken in client.submit_all(submissions).await {
    ///     assert_eq!(taken?, id);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Nothing is known of the cluster yet.
    pub async fn number(&self, submissions: &mut [Submission]) -> Result<(), ClientError> {
        bulk::number(&self.inner.directory, submissions, self.deadline()).await
    }

    /// As [`Client::submit_batch`], for tasks whose results have no type here.
    pub async fn submit_all(
        &self,
        mut submissions: Vec<Submission>,
    ) -> Vec<Result<TaskId, ClientError>> {
        submissions.iter_mut().for_each(|submission| self.pass_on(submission));
        let mut answers: Vec<_> = submissions.iter().map(|_| Err(ClientError::Closed)).collect();
        let cuts = match bulk::cut(&self.inner.directory, submissions, self.deadline()).await {
            Ok(cuts) => cuts,
            Err(error) => return answers.iter().map(|_| Err(error.clone())).collect(),
        };
        for (position, error) in cuts.refused {
            answers[position] = Err(error);
        }
        let mut sent = stream::iter(cuts.batches)
            .map(|batch| bulk::submit(self, batch))
            .buffer_unordered(BATCHES_IN_FLIGHT);
        while let Some(rows) = sent.next().await {
            for (position, answer) in rows {
                answers[position] = answer;
            }
        }
        answers
    }

    /// Submits a batch of one partition as it is, and if `wait` is set, waits for the ends of its
    /// tasks. The ids are the caller's business.
    pub(crate) async fn submit_whole(
        &self,
        batch: Arc<Batch>,
        wait: bool,
    ) -> Result<exchange::Submitted, ClientError> {
        let until = if wait { Until::Answered } else { self.within() };
        self.exchange().submit(batch, wait, until).await
    }

    /// An id for a task that is about to be made, where the node at hand needs no other to take it.
    ///
    /// # Errors
    /// Nothing is known of the cluster yet.
    pub async fn new_id(&self) -> Result<TaskId, ClientError> {
        self.inner.directory.new_id(self.deadline()).await
    }

    /// Ids for tasks that are about to be submitted together: all of one partition, so that they
    /// share a write to disk.
    ///
    /// # Errors
    /// Nothing is known of the cluster yet.
    pub async fn new_ids(&self, count: usize) -> Result<Vec<TaskId>, ClientError> {
        self.inner.directory.new_ids(count, self.deadline()).await
    }

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
        let Filter { state, queue, labels, .. } = filter;
        let ask = Ask::List { state, queue, limit, labels: labels.clone() };
        match self.exchange().one(&ask, self.within()).await? {
            Answer::Tasks { mut tasks, partitions_missing } => {
                // A node of an older version does not know that labels were asked for.
                tasks.retain(|view| view.has_labels(&labels));
                Ok(Listing { tasks, partitions_missing })
            }
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Tells who belongs to the cluster, as the node at hand sees it, which asks nobody for it.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn members(&self) -> Result<Vec<MemberStatus>, ClientError> {
        Ok(self.welcome().await?.members)
    }

    /// What the node at hand tells whoever connects.
    pub(crate) async fn welcome(&self) -> Result<Welcome, ClientError> {
        match self.exchange().one(&Ask::Welcome, self.within()).await? {
            Answer::Welcome(welcome) => Ok(*welcome),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Tells about the cluster: the node at hand asks all others, and waits a second for those that
    /// do not answer.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.exchange().one(&Ask::Status, self.within()).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Has a member part with all that it has, or serve again. It has begun when this returns;
    /// [`status`](Self::status) tells how far it is.
    ///
    /// # Errors
    /// There is no such member, it is the last one that is not drained, or nobody who decides that
    /// answers.
    pub async fn drain(&self, node: NodeId, draining: bool) -> Result<(), ClientError> {
        self.done(&Ask::Drain { node, draining }).await
    }

    /// Has the cluster forget a member for good.
    ///
    /// # Errors
    /// As for [`drain`](Self::drain); and if it lives and was not drained.
    pub async fn forget(&self, node: NodeId) -> Result<(), ClientError> {
        self.done(&Ask::Forget { node }).await
    }

    /// Has the node that this client is linked to read its file again; what there is to tell of that.
    ///
    /// # Errors
    /// The node has no file, or it cannot be used: then nothing has changed. Or the cluster does not take
    /// some of its jobs: then all else is as the file says.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        match self.exchange().one(&Ask::Reload, self.within()).await? {
            Answer::Reloaded(reloaded) => Ok(reloaded),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Asks for something that is confirmed.
    async fn done(&self, ask: &Ask) -> Result<(), ClientError> {
        match self.exchange().one(ask, self.within()).await? {
            Answer::Done => Ok(()),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// The node that this client is linked to, as far as is known at this moment.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.inner.directory.node()
    }

    async fn submit_one(&self, submission: Submission) -> Result<TaskId, ClientError> {
        let (id, batch) = self.batch_of_one(submission).await?;
        let submitted = self.exchange().submit(Arc::new(batch), false, self.within()).await?;
        match submitted.refused.first() {
            Some((_, Refusal::Exists { task })) => Ok(*task),
            Some((_, refusal)) => Err(ClientError::Refused { task: id, refusal: *refusal }),
            None => Ok(id),
        }
    }

    async fn batch_of_one(
        &self,
        mut submission: Submission,
    ) -> Result<(TaskId, Batch), ClientError> {
        self.pass_on(&mut submission);
        let id = match submission.id {
            Some(id) => id,
            None => {
                let directory = &self.inner.directory;
                match directory.new_id_for_key(&submission, self.deadline()).await? {
                    Some(id) => id,
                    None => self.new_id().await?,
                }
            }
        };
        let Submission { template, args, particulars, id: _ } = submission;
        let mut batch = Batch::one(id, template, args);
        if let [row] = batch.rows.as_mut_slice() {
            row.particulars = particulars;
        }
        batch.check().map_err(|invalid| ClientError::Request(invalid.into()))?;
        Ok((id, batch))
    }

    async fn result_of<R: DeserializeOwned>(&self, ending: Ending) -> Result<R, TaskFailed> {
        // Results are kept for a while, but not always sent along with the end.
        if ending.state == State::Succeeded && ending.result.is_none() {
            return handle::result(self.show(ending.task).await?);
        }
        handle::decode(ending.task, ending.state, ending.result, ending.error)
    }

    async fn view(&self, ask: Ask, until: Until) -> Result<View, ClientError> {
        match self.exchange().one(&ask, until).await? {
            Answer::View(view) => Ok(*view),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            link: &self.inner.link,
            directory: &self.inner.directory,
            limits: self.inner.limits,
        }
    }

    /// Until when an answer is waited for that should come at once.
    fn within(&self) -> Until {
        Until::after(self.inner.patience)
    }

    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.inner.patience
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("link", &self.inner.link).finish_non_exhaustive()
    }
}

/// How long an answer may take that should come at once: a takeover takes a few seconds, and the
/// request is asked again all the while.
const PATIENCE: Duration = Duration::from_secs(10);
/// Batches on their way at a time: enough to keep a node busy over any round trip, few enough that
/// the last one does not wait behind too much.
const BATCHES_IN_FLIGHT: usize = 8;
/// As many tasks as a listing shows unless asked otherwise.
const LIST_DEFAULT: u32 = 100;
