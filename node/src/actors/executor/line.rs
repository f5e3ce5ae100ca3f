//! Starting runs, and telling the executor how they ended.
//!
//! Invariant: of each run that is taken from the line its end is told, once, unless its executor is gone.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use umbel_protocol::executor::Start;
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::task::{Failure, FailureKind, Outcome};

use super::control::Control;
use super::{Executor, RunnersEnded};
use crate::actors::runs::Tie;
use crate::work::{Registry, RunRequest, Runner, Started, duration, panicked};

/// Runs that ended at once and are told together; also how many are started before other tasks of
/// the thread have their turn.
const TOGETHER_MAX: usize = 64;

/// Runs that are to be started, by any thread that is free: one that computes before it first waits
/// holds up its own thread and none of the others in line.
pub(super) struct Line {
    waiting: Vec<(Start, Control)>,
    /// The first that nobody has taken.
    next: AtomicUsize,
    /// Those that ended at once and are not told yet. Whoever comes to the end of the line tells of
    /// all, because others may be held up.
    ended: Mutex<Vec<(TaskId, Token, Outcome)>>,
}

impl Line {
    pub(super) fn new(waiting: Vec<(Start, Control)>) -> Self {
        Self { waiting, next: AtomicUsize::new(0), ended: Mutex::default() }
    }

    /// Keeps an end; all of them, when there are enough to be told.
    fn keep(&self, end: (TaskId, Token, Outcome)) -> Option<Vec<(TaskId, Token, Outcome)>> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push(end);
        (ended.len() >= TOGETHER_MAX).then(|| mem::take(&mut *ended))
    }

    fn rest(&self) -> Vec<(TaskId, Token, Outcome)> {
        mem::take(&mut *self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts runs. Those that end at once are told together, the others each by itself.
pub(super) async fn run(
    line: Arc<Line>,
    registry: Arc<Registry>,
    runner: Runner,
    to: actix::Addr<Executor>,
    tie: Tie,
) {
    while !tie.is_cut() {
        let Some((start, control)) = line.waiting.get(line.next.fetch_add(1, Ordering::Relaxed))
        else {
            break;
        };
        let (task, token) = (start.task, start.token);
        match begin(start, &registry, &runner, control.cancel.clone()) {
            Started::Ready(outcome) => {
                if let Some(ended) = line.keep((task, token, outcome)) {
                    report(&to, ended).await;
                    tokio::task::yield_now().await;
                }
            }
            Started::Running(run) => {
                let (to, tie, control) = (to.clone(), tie.clone(), control.clone());
                let runner = runner.clone();
                tokio::spawn(async move {
                    let held = tie.clone();
                    let ended = end(control.until_killed(run, runner.gone(task, token)));
                    if let Some(outcome) = tie.hold(ended).await {
                        report(&to, vec![(task, token, outcome)]).await;
                    }
                    drop(held);
                });
                // What was spawned last cannot be taken over by another thread: it goes first, in
                // case that the next run computes for long.
                tokio::task::yield_now().await;
            }
        }
    }
    let ended = line.rest();
    if !ended.is_empty() {
        report(&to, ended).await;
    }
}

/// Starts one run. Whatever goes wrong is its outcome: a run that is never told of is held for ever.
fn begin(
    start: &Start,
    registry: &Registry,
    runner: &Runner,
    cancel: CancellationToken,
) -> Started {
    catch_unwind(AssertUnwindSafe(|| try_begin(start, registry, runner, cancel)))
        .unwrap_or_else(|payload| Started::Ready(Outcome::Failed(panicked(payload))))
}

/// How a run ends that goes on. As when it was started: whatever goes wrong is its outcome.
async fn end(run: impl Future<Output = Outcome>) -> Outcome {
    let ended = AssertUnwindSafe(run).catch_unwind().await;
    ended.unwrap_or_else(|payload| Outcome::Failed(panicked(payload)))
}

fn try_begin(
    start: &Start,
    registry: &Registry,
    runner: &Runner,
    cancel: CancellationToken,
) -> Started {
    let options = &start.template.options;
    let Some(definition) = registry.get(&start.template.name) else {
        // A file that was read again has it no more, since the run was taken on. It is given back, for a node
        // that knows it.
        if !options.is_at_most_once() {
            return Started::Ready(Outcome::Cancelled);
        }
        let message = format!("this node does not know the task {:?}", start.template.name);
        let failure = Failure::new(FailureKind::Permanent, message);
        return Started::Ready(Outcome::Failed(failure));
    };
    let request = RunRequest {
        id: start.task,
        token: start.token,
        attempt: start.attempt,
        args: start.args.clone(),
        time_limit: options.time_limit.map(duration),
        soft_limit: options.soft_limit.map(duration),
        time_left: start.time_left.map(duration),
        metadata: start.metadata.clone(),
        redact: options.redact().to_vec(),
    };
    runner.start(definition, request, cancel)
}

async fn report(to: &actix::Addr<Executor>, ended: Vec<(TaskId, Token, Outcome)>) {
    // Nobody need wait until it was handled, unless there is no room.
    let told = match to.try_send(RunnersEnded(ended)) {
        Err(actix::prelude::SendError::Full(message)) => to.send(message).await.is_ok(),
        told => told.is_ok(),
    };
    if !told {
        // The executor that started them is gone, and its leases with it.
        debug!("runs ended after their executor");
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::task::Template;

    use super::*;
    use crate::work::Ledger;

    fn start(template: Template) -> Start {
        Start {
            task: "018bcfe5-687b-7003-8000-000000000001".parse().unwrap(),
            token: Token { term: 1, index: 2, position: 3 },
            attempt: 1,
            template: Arc::new(template),
            args: "null".into(),
            time_left: None,
            metadata: None,
        }
    }

    #[test]
    fn a_run_that_its_node_knows_no_more_is_for_another_to_begin() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new("a", Ledger::open(dir.path()).unwrap());
        let mut template = Template::new("gone");
        let begin = |template: &Template| {
            begin(&start(template.clone()), &Registry::new(), &runner, CancellationToken::new())
        };
        let started = begin(&template);
        assert!(matches!(started, Started::Ready(Outcome::Cancelled)), "{started:?}");
        // Of one that is never started twice nobody would begin another.
        template.options.at_most_once = Some(true);
        let Started::Ready(Outcome::Failed(failure)) = begin(&template) else { panic!("it began") };
        assert_eq!(failure.message, "this node does not know the task \"gone\"");
    }

    #[test]
    fn a_run_that_cannot_be_begun_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new("a", Ledger::open(dir.path()).unwrap());
        let mut registry = Registry::declared().unwrap();
        registry.register_blocking("block", |(): ()| Ok::<_, std::io::Error>(())).unwrap();
        let start = start(Template::new("block"));
        // There is no runtime that could have a thread for it.
        let started = begin(&start, &registry, &runner, CancellationToken::new());
        let Started::Ready(Outcome::Failed(failure)) = started else { panic!("{started:?}") };
        assert_eq!(failure.kind, FailureKind::Panicked);
    }

    #[tokio::test]
    async fn a_run_that_goes_on_has_an_end_whatever_it_panics_with() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let run = async {
            tokio::task::yield_now().await;
            if true {
                std::panic::panic_any(Bomb);
            }
            Outcome::Cancelled
        };
        let Outcome::Failed(failure) = end(run).await else { panic!("it has not failed") };
        assert_eq!(failure.kind, FailureKind::Panicked);
    }
}
