//! What a fake node answers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::mpsc;
use umbel_protocol::id::{ClusterId, TaskId};
use umbel_protocol::journal::{News, Seen};
use umbel_protocol::membership::{Condition, Liveness};
use umbel_protocol::meta::Meta;
use umbel_protocol::partition::{Command, Look, Refusal, SteerRefusal};
use umbel_protocol::task::{Batch, Failure, FailureKind, Outcome, Row, Template, View};
use umbel_protocol::wire::{Answer, Ask, Ending, MemberStatus, RequestError, Status, Welcome};

use super::super::Recorded;
use super::FakeNode;
use super::book::{NODE, PARTITION};
use crate::work::Registry;

/// How a task ends that is waited for where nothing runs it.
const NOTHING_RUNS: &str = "nothing runs tasks here: they are only recorded; take \
                            `umbel::testing::Inline` for a test that waits for one";
/// What is answered to whoever asks for more than tasks.
const NO_CLUSTER: &str = "this stands in for a node and knows of tasks only: take \
                          `umbel::testing::Cluster` for a test with jobs, rules of queues, members or files";

fn steered(result: Result<(), SteerRefusal>) -> Answer {
    result.map_or_else(|why| Answer::Failed(why.into()), |()| Answer::Done)
}

/// A cluster of one.
fn status() -> Status {
    Status {
        node: NODE,
        meta: Meta::new(ClusterId(1), "test".to_owned(), 1, 1, 1),
        members: vec![MemberStatus {
            node: NODE,
            name: "test".to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            liveness: Liveness::Alive,
            pid: std::process::id(),
            condition: Condition::Serving,
        }],
        shares: BTreeMap::new(),
        partitions_owned: 1,
        partitions_whole: 1,
        open: 0,
        running: 0,
    }
}

/// What became of a batch.
struct Taken {
    refused: Vec<(u32, Refusal)>,
    known: u32,
}

impl FakeNode {
    /// Answers as a node does. That nobody listens any more is nothing to it.
    pub(super) async fn serve(&self, ask: Ask, answers: mpsc::Sender<Answer>) {
        let answer = match ask {
            Ask::Submit { batch, wait } => return self.submit(&batch, wait, &answers).await,
            Ask::Wait { task } => self.wait(task).await,
            Ask::Watch { task, seen } => self.watch(task, seen).await,
            Ask::Show { task } => self.shown(task),
            Ask::Cancel { task } => {
                let mut state = self.state();
                state.book.cancel(task);
                if let Some(cancel) = state.running.get(&task) {
                    cancel.cancel();
                }
                drop(state);
                self.shown(task)
            }
            Ask::List(wanted) => {
                let is_meant = |view: &View| wanted.includes(view);
                let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
                let tasks = self.state().book.views().filter(is_meant).take(limit).collect();
                Answer::Tasks { tasks, partitions_missing: 0, cut_before: None, told: Vec::new() }
            }
            Ask::Welcome => Answer::Welcome(Box::new(Welcome {
                node: NODE,
                cluster: ClusterId(1),
                partitions: 1,
                owned: vec![PARTITION],
                members: Vec::new(),
            })),
            Ask::Status => Answer::Status(Box::new(status())),
            Ask::TaskGroup { group } => {
                let view = self.state().book.task_group(group);
                Answer::TaskGroup { view, partitions_missing: 0 }
            }
            Ask::Retry { task, id } => {
                let result = self.retry(task, id);
                self.run_to_end(id).await;
                steered(result)
            }
            Ask::Delete { task } => steered(self.state().book.steer(Command::Delete { task })),
            Ask::Withdraw { task } => steered(self.state().book.steer(Command::Withdraw { task })),
            Ask::Drain { .. }
            | Ask::Forget { .. }
            | Ask::ChangeJob { .. }
            | Ask::RunJob { .. }
            | Ask::ShowJob { .. }
            | Ask::ListJobs { .. }
            | Ask::OfferFile { .. }
            | Ask::ChangeRule { .. }
            | Ask::FileRules { .. }
            | Ask::Queues
            | Ask::Reload => {
                Answer::Failed(RequestError::NotSupported { why: NO_CLUSTER.to_owned() })
            }
        };
        drop(answers.send(answer).await);
    }

    async fn submit(&self, batch: &Batch, wait: bool, answers: &mpsc::Sender<Answer>) {
        let Taken { refused, known } = match self.take_in(batch) {
            Ok(taken) => taken,
            Err(error) => return drop(answers.send(Answer::Failed(error)).await),
        };
        let is_refused = |at: usize| refused.iter().any(|(row, _)| *row as usize == at);
        let rows = batch.rows.iter().enumerate();
        let tasks: Vec<_> =
            rows.filter(|(at, _)| !is_refused(*at)).map(|(_, row)| row.id).collect();
        for task in &tasks {
            self.run_to_end(*task).await;
        }
        drop(answers.send(Answer::Submitted { refused, known }).await);
        if !wait {
            return;
        }
        let mut endings = Vec::new();
        for task in tasks {
            if let Answer::View(view) = self.wait(task).await {
                let View { state, result, error, .. } = *view;
                endings.push(Ending { task, state, result, error });
            }
        }
        drop(answers.send(Answer::Finished(endings)).await);
    }

    /// Takes tasks in, as the owner of their partition does.
    fn take_in(&self, batch: &Batch) -> Result<Taken, RequestError> {
        batch.check()?;
        let templates = batch.templates.iter().map(|template| self.completed(template));
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        let batch = Arc::new(Batch { templates, rows: batch.rows.clone() });
        if batch.templates.iter().any(|template| template.options.is_limited()) {
            // Whether its tasks are limited may be for their declarations to say.
            batch.check()?;
        }
        for row in &batch.rows {
            if let (Some(said), Some(template)) = (&row.particulars, batch.template(row)) {
                said.check_limited(template)?;
            }
        }
        let mut state = self.state();
        let is_new: Vec<_> =
            batch.rows.iter().map(|row| state.book.record(row.id).is_none()).collect();
        let (refused, known) = state.book.accept(Arc::clone(&batch));
        for (row, is_new) in batch.rows.iter().zip(is_new) {
            if is_new
                && state.book.record(row.id).is_some()
                && let Some(template) = batch.template(row)
            {
                state.recorded.push(Recorded::new(row, template));
            }
        }
        Ok(Taken { refused, known })
    }

    /// Begins a task anew, which is one more that was submitted.
    fn retry(&self, task: TaskId, id: TaskId) -> Result<(), SteerRefusal> {
        let mut state = self.state();
        state.book.steer(Command::Retry { task, id })?;
        let record = state.book.record(id).map(Look::into_owned);
        if let Some(record) = record {
            let row = Row { particulars: record.particulars, ..Row::new(id, 0, record.args) };
            state.recorded.push(Recorded::new(&row, &record.template));
        }
        Ok(())
    }

    /// A template with what it leaves to the declaration of its task.
    fn completed(&self, template: &Template) -> Result<Template, RequestError> {
        let declared = match &self.0.kitchen {
            Some(kitchen) => {
                let name = &template.name;
                let unknown =
                    || RequestError::UnknownTask { name: name.clone(), known: Vec::new() };
                Some(kitchen.registry.get(name).ok_or_else(unknown)?.template().clone())
            }
            // Somebody else's program may know it.
            None => Registry::declared()
                .ok()
                .and_then(|tasks| tasks.get(&template.name).map(|task| task.template().clone())),
        };
        let declared = declared.unwrap_or_else(|| Template {
            queue: Template::QUEUE_DEFAULT.to_owned(),
            ..Template::new(template.name.clone())
        });
        let whole = template.completed(&declared.queue, &declared.options);
        whole.options.check_times(&declared.options)?;
        Ok(whole)
    }

    /// Waits until a task has ended; where nothing runs it, it has failed.
    async fn wait(&self, task: TaskId) -> Answer {
        let mut ended = self.0.ended.subscribe();
        loop {
            {
                let mut state = self.state();
                let is_open = |state: &super::State| {
                    state.book.record(task).is_some_and(|record| !record.state().is_final())
                };
                if is_open(&state) && self.0.kitchen.is_none() {
                    let due = state.book.record(task).map(|record| record.due_at());
                    if let Some(due) = due {
                        state.book.skip_to(due);
                    }
                    match state.book.lease(task) {
                        Some(token) => {
                            let failure = Failure::new(FailureKind::Permanent, NOTHING_RUNS);
                            state.book.report(task, token, Outcome::Failed(failure));
                        }
                        None => state.book.expire(task),
                    }
                }
                if !is_open(&state) {
                    drop(state);
                    return self.shown(task);
                }
            }
            if ended.changed().await.is_err() {
                return self.shown(task);
            }
        }
    }

    /// Waits until a task has ended, and tells what its last run has said before that is shown.
    async fn watch(&self, task: TaskId, seen: Option<Seen>) -> Answer {
        let ended = self.wait(task).await;
        let state = self.state();
        let Some((token, attempt, voice)) = state.said.get(&task) else { return ended };
        let known = seen.filter(|seen| seen.token == *token).map(|seen| seen.place);
        let words = voice.words(Some(known.map_or(0, |place| place.lines)));
        if known.is_some_and(|known| !words.is_news_to(known)) {
            return ended;
        }
        Answer::News(Box::new(News { token: *token, attempt: *attempt, node: NODE, words }))
    }

    fn shown(&self, task: TaskId) -> Answer {
        match self.state().book.view(task) {
            Some(view) => Answer::View(Box::new(view)),
            None => Answer::Failed(RequestError::NotFound { task }),
        }
    }
}
