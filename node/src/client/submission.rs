//! Submitting tasks: one, one that is waited for, and many.
//!
//! Invariant: ids are there before the first try, so that whatever is asked again is taken in once.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use umbel_protocol::id::TaskId;
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::{Batch, Options, State, Template};
use umbel_protocol::wire::Ending;

use super::exchange::{Submitted, Until};
use super::{Client, ClientError, Handle, TaskFailed, bulk, handle};
use crate::work::{Call, Submission};

impl Client {
    /// Submits a task. When this returns, the task is on the disks of a majority; or another one is that
    /// has the same [unique key](Call::unique), and whose handle this is.
    /// `add::submit(&client, 1, 2).await` does the same in one sentence, see [`Submit`](super::Submit).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("sum", |(a, b): (u64, u64)| async move { Ok::<_, String>(a + b) }).build()?;
    /// # let client = tasks.client();
    /// let call = Call::<u64>::named("sum", &[1, 2]).delay(Duration::from_secs(5));
    /// let handle = client.submit(call).await?;
    /// assert_eq!(handle.result().await?, 3);
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
    /// ```
    /// # use umbel::testing::Inline;
    /// # use serde_json::Value;
    /// use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("sha256", |_: Value| async { Ok::<_, String>(json!({ "stdout": "e3b0c442" })) }).build()?;
    /// # let client = tasks.client();
    /// use umbel::Options;
    ///
    /// let options = Options { priority: Some(9), ..Options::default() };
    /// let handle = client.submit_named("sha256", &json!({ "path": "/etc/hosts" }), options).await?;
    /// assert_eq!(handle.result().await?["stdout"], "e3b0c442");
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
    /// `add::run(&client, 1, 2).await` does the same in one sentence, see [`Run`](super::Run).
    ///
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("sum", |(a, b): (u64, u64)| async move { Ok::<_, String>(a + b) }).build()?;
    /// # let client = tasks.client();
    /// let sum = client.run(Call::<u64>::named("sum", &[1, 2])).await?;
    /// assert_eq!(sum, 3);
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
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("square", |n: u64| async move { Ok::<_, String>(n * n) }).build()?;
    /// # let client = tasks.client();
    /// let calls = (0..10_000).map(|n| Call::<u64>::named("square", &n));
    /// for (n, taken) in client.submit_batch(calls).await.into_iter().enumerate() {
    ///     match taken {
    ///         Ok(handle) => assert_eq!(handle.result().await?, (n * n) as u64),
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
    /// ```
    /// # use umbel::testing::Inline;
    /// # use umbel::Call;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let tasks = Inline::builder().register("sum", |(a, b): (u64, u64)| async move { Ok::<_, String>(a + b) }).build()?;
    /// # let client = tasks.client();
    /// let mut submissions = vec![Call::<u64>::named("sum", &[1, 2]).into_submission()?];
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
    ) -> Result<Submitted, ClientError> {
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
}

/// Batches on their way at a time: enough to keep a node busy over any round trip, few enough that
/// the last one does not wait behind too much.
const BATCHES_IN_FLIGHT: usize = 8;
