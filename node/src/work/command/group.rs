//! The process group of a run: asked to end, then made to.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::process::Child;

use super::super::ledger::{Entry, LedgerError};
use super::super::process_group;

/// The process group of a run. Dropped before it is gone, it is killed.
pub(super) struct Group {
    pub(super) id: Pid,
    entry: Option<Entry>,
    /// Whether it was killed and goes on.
    is_stuck: bool,
}

impl Group {
    /// A group that was just started, for which `entry` was made.
    pub(super) const fn new(id: Pid, entry: Entry) -> Self {
        Self { id, entry: Some(entry), is_stuck: false }
    }

    pub(super) fn remember(&mut self) -> Result<(), LedgerError> {
        self.entry.as_mut().map_or(Ok(()), |entry| entry.started(self.id))
    }

    /// Asks the group to end, then makes it; over when it is gone, or hangs in the kernel.
    pub(super) async fn stop(&mut self, child: &mut Child, grace: Duration) {
        process_group::signal(self.id, Signal::SIGTERM);
        if tokio::time::timeout(grace, self.gone(child)).await.is_err() {
            process_group::signal(self.id, Signal::SIGKILL);
            self.is_stuck = !process_group::killed(self.id, self.gone(child)).await;
        }
    }

    async fn gone(&self, child: &mut Child) {
        if let Err(error) = child.wait().await {
            tracing::debug!(group = %self.id, %error, "cannot wait for a program");
        }
        process_group::gone(self.id).await;
    }

    /// Forgets the group, if it is gone. One that is not is left to the next start.
    pub(super) fn close(&mut self) {
        if let Some(entry) = self.entry.take_if(|_| !self.is_stuck) {
            entry.close();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its entry stays in the ledger: whether the group is gone will only be known later.
        if self.entry.is_some() {
            process_group::signal(self.id, Signal::SIGKILL);
        }
    }
}
