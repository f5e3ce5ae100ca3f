//! The threads that blocking handlers run on.
//!
//! They are the node's own: neither what else blocks in the service around it nor look-ups of names wait
//! for a handler that hangs, and no handler waits for them. Each run that is begun has one, so how many
//! there are is for the slots to say; one that is idle takes the next run, and ends if none comes for a
//! while.
//!
//! A thread cannot be stopped. If its run is given up it *lingers* until its handler returns. Whoever has
//! slots asks for that when a run is over, and is told when it is quiet.
//!
//! ```text
//! waiting --a thread takes it--> at work --handler returns--> over
//!    | given up: never begins       | given up: lingers --handler returns--> quiet
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{Span, info, warn};
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::task::{Failure, FailureKind, Outcome};

use super::context::Context;
use super::error::panicked;

/// What they are called; the system shows no more than 15 letters.
const NAME: &str = "umbel-blocking";
/// How long an idle thread stays: the next burst of runs need not begin threads anew.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The threads of a node. When it is dropped those that are idle end, and the others after their runs.
pub(super) struct Threads {
    pool: Arc<Pool>,
}

/// A run whose code goes on though nobody waits for it.
pub(crate) struct Lingering {
    pub(crate) task: TaskId,
    pub(crate) token: Token,
    /// Its name, and the queue that it is served from unless it was submitted to another.
    pub(crate) name: String,
    pub(crate) queue: String,
}

/// A run that has, or will have, a thread. Dropped before it has begun, it never begins.
pub(super) struct Run {
    pool: Arc<Pool>,
    number: u64,
    outcome: oneshot::Receiver<Outcome>,
}

struct Pool {
    state: Mutex<State>,
    /// Work has come, or the end.
    news: Condvar,
    idle_max: Duration,
}

#[derive(Default)]
struct State {
    /// How many runs there have been.
    runs: u64,
    waiting: VecDeque<Job>,
    at_work: BTreeMap<u64, AtWork>,
    /// Threads that are about to take what waits. Invariant: no fewer than wait.
    idle: usize,
    /// How many of those at work linger.
    lingering: usize,
    is_closed: bool,
}

/// A run that no thread has taken.
struct Job {
    number: u64,
    context: Context,
    work: Box<dyn FnOnce() -> Outcome + Send>,
    done: oneshot::Sender<Outcome>,
}

/// A run that a thread has taken.
struct AtWork {
    context: Context,
    lingers: bool,
    /// Tells whoever asked that it is quiet.
    tell: Option<Box<dyn FnOnce() + Send>>,
}

impl Threads {
    pub(super) fn new() -> Self {
        Self::that_wait(IDLE_MAX)
    }

    fn that_wait(idle_max: Duration) -> Self {
        let (state, news) = (Mutex::default(), Condvar::new());
        Self { pool: Arc::new(Pool { state, news, idle_max }) }
    }

    /// Runs `work`, that of `context`, on a thread. It finds the runtime there and the span that it is
    /// called in. Must be called within a runtime.
    pub(super) fn run(
        &self,
        context: &Context,
        work: impl FnOnce() -> Outcome + Send + 'static,
    ) -> io::Result<Run> {
        let (runtime, span) = (Handle::current(), Span::current());
        let work = Box::new(move || {
            let _runtime = runtime.enter();
            let _within = span.enter();
            catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|payload| Outcome::Failed(panicked(payload)))
        });
        let (done, outcome) = oneshot::channel();
        let mut state = self.pool.lock();
        let number = state.runs;
        state.runs += 1;
        state.waiting.push_back(Job { number, context: context.clone(), work, done });
        if state.waiting.len() <= state.idle {
            self.pool.news.notify_one();
        } else {
            let pool = Arc::clone(&self.pool);
            let thread = std::thread::Builder::new().name(NAME.to_owned());
            let begun = thread.spawn(move || serve(&pool));
            if let Err(error) = begun {
                let job = state.waiting.pop_back();
                drop(state);
                drop(job);
                return Err(error);
            }
            state.idle += 1;
        }
        drop(state);
        Ok(Run { pool: Arc::clone(&self.pool), number, outcome })
    }

    /// Those runs that linger, of those that are meant.
    pub(super) fn lingering(&self, is_meant: impl Fn(TaskId, Token) -> bool) -> Vec<Lingering> {
        let state = self.pool.lock();
        // Hardly ever is there one, and this is asked whenever runs end, of whatever kind.
        if state.lingering == 0 {
            return Vec::new();
        }
        let of_interest =
            |one: &&AtWork| one.lingers && is_meant(one.context.id(), one.context.token());
        state.at_work.values().filter(of_interest).map(AtWork::told).collect()
    }

    /// Has `tell` called when this run, which lingers, does not any more; no longer that of who asked
    /// before. False if it does not linger.
    pub(super) fn when_quiet(
        &self,
        task: TaskId,
        token: Token,
        tell: impl FnOnce() + Send + 'static,
    ) -> bool {
        let mut state = self.pool.lock();
        let is_meant = |one: &&mut AtWork| {
            one.lingers && (one.context.id(), one.context.token()) == (task, token)
        };
        let found = state.at_work.values_mut().find(is_meant);
        found.is_some_and(|one| {
            one.tell = Some(Box::new(tell));
            true
        })
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.pool.lock().is_closed = true;
        self.pool.news.notify_all();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.pool.lock();
        f.debug_struct("Threads")
            .field("idle", &state.idle)
            .field("at_work", &state.at_work.len())
            .finish_non_exhaustive()
    }
}

impl AtWork {
    fn told(&self) -> Lingering {
        let context = &self.context;
        let (name, queue) = (context.name().to_owned(), context.queue().to_owned());
        Lingering { task: context.id(), token: context.token(), name, queue }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of tasks runs while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits for a run any more.
    fn give_up(&self, number: u64) {
        let mut state = self.lock();
        if let Some(place) = state.waiting.iter().position(|job| job.number == number) {
            let job = state.waiting.remove(place);
            drop(state);
            drop(job);
            return;
        }
        let State { at_work, lingering, .. } = &mut *state;
        let Some(one) = at_work.get_mut(&number) else { return };
        one.lingers = true;
        *lingering += 1;
        let (context, lingering) = (one.context.clone(), *lingering);
        drop(state);
        warn!(
            task = %context.id(),
            name = context.name(),
            attempt = context.attempt(),
            lingering,
            "a blocking handler goes on though its run was given up, and keeps its slot until it returns: \
             long ones should ask `Context::is_cancelled` between steps"
        );
    }
}

impl Future for Run {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Outcome> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(cx));
        Poll::Ready(outcome.unwrap_or_else(|_| {
            Outcome::Failed(Failure::new(FailureKind::Crashed, "its thread ended before it did"))
        }))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.pool.give_up(self.number);
    }
}

/// What a thread does.
fn serve(pool: &Pool) {
    let mut state = pool.lock();
    loop {
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
        let waited = pool.news.wait_timeout_while(state, pool.idle_max, is_idle);
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        let Some(Job { number, context, work, done }) = state.waiting.pop_front() else {
            return;
        };
        state.at_work.insert(number, AtWork { context, lingers: false, tell: None });
        drop(state);
        let outcome = work();
        state = pool.lock();
        // Before anybody hears of the end: the run that takes its slot is to find this thread.
        state.idle += 1;
        let over = state.at_work.remove(&number);
        state.lingering -= usize::from(over.as_ref().is_some_and(|over| over.lingers));
        let lingering = state.lingering;
        drop(state);
        // What a handler has left may panic when it is dropped, and the thread is not to end of that.
        let tell = AssertUnwindSafe(|| tell_end(over, lingering, outcome, done));
        if catch_unwind(tell).is_err() {
            tracing::debug!("what a handler has left panicked when it was dropped");
        }
        state = pool.lock();
    }
}

fn tell_end(
    over: Option<AtWork>,
    lingering: usize,
    outcome: Outcome,
    done: oneshot::Sender<Outcome>,
) {
    let mut to_tell = None;
    if let Some(AtWork { context, lingers: true, tell }) = over {
        let (task, name) = (context.id(), context.name());
        info!(%task, name, lingering, "a blocking handler whose run was given up has returned");
        to_tell = tell;
    }
    // Whoever gave it up does not want to know how it ended.
    let _ = done.send(outcome);
    if let Some(tell) = to_tell {
        tell();
    }
}

#[cfg(test)]
mod tests;
