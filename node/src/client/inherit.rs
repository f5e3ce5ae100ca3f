//! Who submits tasks, and what those take over that are submitted from within a run.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use umbel_protocol::id::{ClusterId, NodeId, TaskId};
use umbel_protocol::task::{Metadata, Particulars, REDACT_ALL, Trace};
use umbel_protocol::wire::{Answer, Welcome};

use super::directory::Directory;
use super::link::Link;
use super::{Client, PATIENCE};
use crate::clock::Clock;
use crate::work::{Context, Submission};

/// What tasks take over that are submitted from within a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PassedOn {
    /// What is said of them besides how they are treated.
    pub(crate) metadata: Metadata,
    /// The names of headers in it that are never shown.
    pub(crate) redact: Vec<Box<str>>,
}

impl PassedOn {
    /// What the task `parent` passes on, of which `said` is said and which never shows what is called by one of
    /// `redact`; they become part of `trace`.
    pub(crate) fn of(
        parent: TaskId,
        said: Option<&Metadata>,
        trace: Option<Trace>,
        redact: &[Box<str>],
    ) -> Self {
        let metadata = Metadata::passed_on(parent, said, trace);
        let headers = &metadata.headers;
        let goes_along =
            |name: &str| headers.get(name).is_some() || name == REDACT_ALL && !headers.is_empty();
        let redact = redact.iter().filter(|name| goes_along(name)).cloned().collect();
        Self { metadata, redact }
    }
}

impl Client {
    /// The same, whose submissions take over what `passed_on` says and they do not.
    pub(crate) fn passing_on(&self, passed_on: PassedOn) -> Self {
        Self { inner: Arc::clone(&self.inner), passed_on: Some(Arc::new(passed_on)) }
    }

    /// A client of a node that has stopped: there is none.
    pub(crate) fn of_nobody() -> Self {
        let (requests, _) = mpsc::channel(1);
        let guard = CancellationToken::new().drop_guard();
        let directory = Directory::new(Clock::start());
        // So that nobody waits to learn where to submit.
        directory.hear(Answer::Welcome(Box::new(Welcome {
            node: NodeId(0),
            cluster: ClusterId(0),
            partitions: 1,
            owned: Vec::new(),
            members: Vec::new(),
        })));
        Self::new(Link::Local(requests), Arc::new(directory), PATIENCE, guard)
    }

    /// Adds to `submission` what it takes over.
    pub(super) fn pass_on(&self, submission: &mut Submission) {
        let Some(passed_on) = &self.passed_on else {
            return;
        };
        let particulars = submission.particulars.take().map_or(Particulars::NONE, |said| *said);
        let own = particulars.metadata.as_deref().cloned().unwrap_or_default();
        submission.particulars = particulars.with_metadata(own.or(&passed_on.metadata)).boxed();
        submission.template.options.hide(&passed_on.redact);
    }
}

/// Who can submit tasks: a [`Client`], the [`Context`] of a run, whose children they are then, and whatever
/// points to either, as an `Arc` or the state of a web framework does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot submit tasks",
    note = "a task is submitted by a `Client`, by the `Context` of a run, or by what points to either"
)]
pub trait AsClient {
    /// The client that submits them.
    fn as_client(&self) -> &Client;
}

impl AsClient for Client {
    fn as_client(&self) -> &Client {
        self
    }
}

impl AsClient for Context {
    fn as_client(&self) -> &Client {
        self.client()
    }
}

impl<T: Deref<Target: AsClient> + ?Sized> AsClient for T {
    fn as_client(&self) -> &Client {
        (**self).as_client()
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::PartitionId;
    use umbel_protocol::time::Wall;

    use super::*;

    #[test]
    fn what_is_hidden_goes_along_with_the_headers_that_it_hides() {
        let parent = TaskId::new(Wall::from_millis(1), PartitionId(3), 7);
        let names = ["password", "token", "*"].map(Box::from);
        let passed_on = |said: &Metadata| PassedOn::of(parent, Some(said), None, &names);
        let mut said = Metadata::default();
        assert_eq!(passed_on(&said).redact, [], "there is nothing to be hidden");
        said.headers.insert("locale", "de").expect("a header");
        assert_eq!(passed_on(&said).redact, ["*".into()]);
        said.headers.insert("token", "t-1").expect("a header");
        assert_eq!(passed_on(&said).redact, ["token".into(), "*".into()]);
        assert_eq!(passed_on(&said).metadata.headers, said.headers);
    }
}
