//! Asking for the node's file to be read again: a client, or the program that the node is in.

use tokio::sync::oneshot;
use umbel_protocol::scheduler::{Caller, Event};
use umbel_protocol::wire::Reloaded;

use super::{Handles, Happened};
use crate::node::ReloadError;

/// The file is to be read again.
#[derive(Debug)]
pub(crate) struct Reload {
    /// Whom to tell what came of it.
    pub(crate) by: By,
}

/// Who asks for the file to be read again.
#[derive(Debug)]
pub(crate) enum By {
    /// A client, which its scheduler knows.
    Client(Caller),
    /// The program, or whoever sent it a signal.
    Program(oneshot::Sender<Result<Reloaded, ReloadError>>),
}

/// Requests that wait while the file is being read.
pub(crate) const RELOADS_MAX: usize = 16;

impl By {
    /// Tells what came of it.
    pub(crate) fn tell(self, result: Result<Reloaded, ReloadError>, handles: &Handles) {
        match self {
            Self::Client(caller) => {
                let result = result.map_err(|why| crate::work::chain(&why));
                let event = Event::Reloaded { caller, result };
                handles.tell(&handles.scheduler, Happened(vec![event]));
            }
            // Whoever asked may not wait for it.
            Self::Program(answer) => drop(answer.send(result)),
        }
    }
}
