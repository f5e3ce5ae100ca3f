//! Running a task to its end at once, with all its attempts.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::partition::KeyRoom;
use umbel_protocol::task::{Failure, FailureKind, Outcome, Phase, State};
use umbel_protocol::time::Wall;

use super::FakeNode;
use crate::work::{Definition, Registry, RunRequest, Runner, Voice, duration};

/// Runs of one task, after which it will hardly ever end: each asks for a pause in which nothing happens.
const RUNS_MAX: usize = 2_000;

/// What a fake node runs tasks with.
pub(in super::super) struct Kitchen {
    pub(in super::super) registry: Registry,
    pub(in super::super) runner: Runner,
    /// Where commands are noted; there until this is dropped.
    pub(in super::super) _dir: TempDir,
}

/// What is to be done about a task.
enum Step {
    /// It has ended, or is not known.
    Nothing,
    /// Another request runs it.
    Wait,
    Run {
        definition: Arc<Definition>,
        request: RunRequest,
        cancel: CancellationToken,
    },
}

/// Why a task is given up that goes on and on.
fn endless() -> Failure {
    let message = format!("it has not ended after {RUNS_MAX} runs: nothing changes between them");
    Failure::new(FailureKind::Permanent, message)
}

impl FakeNode {
    /// How far the clock has been moved so that attempts were due.
    pub(in super::super) fn skipped(&self) -> Duration {
        self.state().book.skipped()
    }

    /// Runs a task until it has ended, if tasks are run here. The clock moves on to when it is due.
    pub(super) async fn run_to_end(&self, task: TaskId) {
        let Some(kitchen) = &self.0.kitchen else { return };
        let mut ended = self.0.ended.subscribe();
        let mut runs = 0;
        loop {
            match self.begin(task, kitchen) {
                Step::Nothing => return,
                Step::Wait => drop(ended.changed().await),
                Step::Run { definition, request, cancel } => {
                    let (token, attempt) = (request.token, request.attempt);
                    let outcome = if runs < RUNS_MAX {
                        kitchen.runner.run(&definition, request, cancel).await
                    } else {
                        Outcome::Failed(endless())
                    };
                    let voice = kitchen.runner.journals().end(task, token);
                    self.end(task, token, outcome, voice.map(|voice| (token, attempt, voice)));
                    runs += 1;
                }
            }
        }
    }

    fn begin(&self, task: TaskId, kitchen: &Kitchen) -> Step {
        let mut state = self.state();
        let Some(record) = state.book.record(task) else { return Step::Nothing };
        let due: Option<Wall> = match record.phase() {
            Phase::Scheduled { not_before } => Some(*not_before),
            Phase::Ready => None,
            Phase::Leased(_) => return Step::Wait,
            Phase::Succeeded(_) | Phase::Dead(_) | Phase::Cancelled | Phase::Expired => {
                return Step::Nothing;
            }
        };
        let given_up_at = record.given_up_at();
        if let Some(due) = due {
            state.book.skip_to(given_up_at.map_or(due, |at| at.min(due)));
        }
        match state.book.key_room(task) {
            Some(KeyRoom::At(at)) => state.book.skip_to(at),
            Some(KeyRoom::AfterAnother) => return Step::Wait,
            Some(KeyRoom::For(_)) | None => {}
        }
        let Some(token) = state.book.lease(task) else {
            // Only what comes too late is not given out.
            state.book.expire(task);
            return Step::Nothing;
        };
        let cancel = CancellationToken::new();
        state.running.insert(task, cancel.clone());
        let now = state.book.now();
        let record = state.book.record(task).expect("it was leased");
        let options = &record.template.options;
        let failures = record.history.as_ref().map_or(0, |history| history.failures);
        let request = RunRequest {
            id: task,
            token,
            attempt: failures.saturating_add(1),
            args: record.args.clone(),
            time_limit: options.time_limit.map(duration),
            soft_limit: options.soft_limit.map(duration),
            time_left: record.deadline().map(|deadline| duration(deadline.since(now))),
            metadata: record.metadata().cloned(),
            redact: options.redact().to_vec(),
        };
        let definition = kitchen.registry.get(&record.template.name);
        let definition = Arc::clone(definition.expect("others are refused"));
        Step::Run { definition, request, cancel }
    }

    fn end(
        &self,
        task: TaskId,
        token: Token,
        outcome: Outcome,
        said: Option<(Token, u16, Arc<Voice>)>,
    ) {
        let mut state = self.state();
        if let Some(said) = said {
            state.said.insert(task, said);
        }
        state.running.remove(&task);
        state.book.report(task, token, outcome);
        debug_assert_ne!(state.book.record(task).map(|r| r.state()), Some(State::Leased));
        drop(state);
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}
