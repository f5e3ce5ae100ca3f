//! The threads that move a node's bytes.
//!
//! They are its own: the code of tasks runs on the runtime of whoever started the node, and may hold
//! that up as long as it likes without a probe going unanswered.

use std::io;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// With one thread a long computation of ours would hold up the rest; more than some move nothing
/// faster.
const THREADS_MIN: usize = 2;
const THREADS_MAX: usize = 4;
/// How long work that was begun on threads that may block is waited for.
const END_WAIT: Duration = Duration::from_secs(2);

/// A runtime that may be dropped anywhere.
pub(super) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(super) fn start() -> io::Result<Self> {
        let threads = available_parallelism().map_or(THREADS_MIN, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.clamp(THREADS_MIN, THREADS_MAX))
            .thread_name("umbel-net")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().expect("it is only taken when this is dropped").handle().clone()
    }

    /// Drops all its tasks, and waits until that is done.
    pub(super) async fn end(mut self) {
        if let Some(runtime) = self.0.take() {
            let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(END_WAIT));
            // It fails only if the caller's runtime ends, too.
            drop(ended.await);
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
