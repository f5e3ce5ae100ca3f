//! Leaving in order, before the node is stopped.
//!
//! The Supervisor tells the other actors that this node leaves, and their successors if they fall
//! meanwhile: the Executor begins no run any more, the Scheduler hands over what it owns, Gossip tells
//! everybody. Then it waits until nothing is left here, for as long as the node's patience lasts. What
//! is left then is ended when the node is stopped.

use std::mem;
use std::time::{Duration, Instant};

use actix::{Context, Handler, Message};
use tokio::sync::oneshot;
use tracing::{info, warn};
use umbel_protocol::scheduler::Event;

use super::bell::Which;
use super::executor::{Held, Leave as LeaveExecutor};
use super::scheduler::CopiesHere;
use super::{Handles, Happened, Supervisor};

/// How often the log says what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Has the node hand over all that it has. Answered with whether it did before its patience was at
/// its end; not at all if it is stopped meanwhile.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave {
    /// How long that may take; nothing means what the node was set up with.
    pub(crate) patience: Option<Duration>,
    pub(crate) done: oneshot::Sender<bool>,
}

impl Handler<Leave> for Supervisor {
    type Result = ();

    fn handle(&mut self, Leave { patience, done }: Leave, _: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        if !mem::replace(&mut self.leaving, true) {
            Which::ALL.into_iter().for_each(|which| self.tell_if_leaving(which));
        }
        let patience = patience.unwrap_or(self.setup.stop_patience);
        let handles = self.setup.handles.clone();
        self.setup.handles.runtime.spawn(async move {
            let stopping = handles.stopping.clone();
            if let Some(left) = stopping.run_until_cancelled(wait(&handles, patience)).await {
                // Whoever waited may have gone.
                let _ = done.send(left);
            }
        });
    }
}

impl Supervisor {
    /// Tells an actor that this node leaves, if it does: one that was built anew does not know.
    pub(super) fn tell_if_leaving(&self, which: Which) {
        if !self.leaving {
            return;
        }
        let handles = &self.setup.handles;
        match which {
            Which::Executor => handles.tell(&handles.executor, LeaveExecutor),
            // The scheduler tells it.
            Which::Gossip => {}
            Which::Scheduler => handles.tell(&handles.scheduler, Happened(vec![Event::Leave])),
        }
    }
}

/// Waits until all is handed over; whether that was in time.
async fn wait(handles: &Handles, patience: Duration) -> bool {
    let since = Instant::now();
    let mut left = handles.left.subscribe();
    if !patience.is_zero() {
        info!(?patience, "this node hands over what it owns and lets its runs end");
    }
    loop {
        let rest = patience.saturating_sub(since.elapsed());
        let has_left = async { left.wait_for(|left| *left).await.is_ok() };
        if tokio::time::timeout(rest.min(TELL_EVERY), has_left).await == Ok(true) {
            info!("all that this node had is handed over");
            return true;
        }
        let (runs, groups) = rests(handles).await;
        if since.elapsed() >= patience {
            if !patience.is_zero() {
                warn!(runs, groups, "this node waits no longer for what it could not hand over");
            }
            return false;
        }
        let rest = patience.saturating_sub(since.elapsed());
        info!(
            runs,
            groups,
            ?rest,
            "this node waits for its runs to end and its groups to be taken"
        );
    }
}

/// Runs that are held here, and groups that are led here.
async fn rests(handles: &Handles) -> (usize, usize) {
    let runs = match handles.executor.addr() {
        Some(executor) => executor.send(Held).await.unwrap_or_default(),
        None => 0,
    };
    let copies = match handles.scheduler.addr() {
        Some(scheduler) => scheduler.send(CopiesHere).await.unwrap_or_default(),
        None => Vec::new(),
    };
    (runs, copies.iter().filter(|copy| copy.leads).count())
}
