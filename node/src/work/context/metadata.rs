//! What is said of the task that runs besides how it is treated, and the client that passes it on.

use std::sync::Arc;

use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Metadata, Trace};

use super::Context;
use crate::client::{Client, PassedOn};

/// What is said of a task, and the span that this run of it is.
#[derive(Debug)]
pub(in crate::work) struct Said {
    metadata: Arc<Metadata>,
    trace: Option<Trace>,
}

impl Said {
    /// What `metadata` says. A run of a task that is part of a trace is a span of its own in it.
    pub(in crate::work) fn new(metadata: Arc<Metadata>) -> Self {
        let trace = metadata.trace.as_ref().map(|trace| trace.continued(rand::random()));
        Self { metadata, trace }
    }
}

impl Context {
    /// The label `key` of the task.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata()?.labels.get(key)
    }

    /// The labels of the task, by key.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata().into_iter().flat_map(|said| said.labels.iter())
    }

    /// The header `name` of the task.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata()?.headers.get(name)
    }

    /// The headers of the task, by name.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata().into_iter().flat_map(|said| said.headers.iter())
    }

    /// What people call the task, if they call it something else than its [name](Self::name).
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.metadata()?.display_name.as_deref()
    }

    /// The task from within which this one was submitted, if it was from one.
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.metadata()?.parent
    }

    /// The first of the tasks from within which this one was submitted one by one: itself, if it was not
    /// submitted from within any.
    #[must_use]
    pub fn root(&self) -> TaskId {
        self.metadata().and_then(|said| said.root).unwrap_or(self.id)
    }

    /// The span that this run is, if its task is part of a trace: each run has one of its own. Whatever is
    /// called from here is told of it, by [`Trace::traceparent`] and [`Trace::tracestate`].
    #[must_use]
    pub fn trace(&self) -> Option<&Trace> {
        self.said.as_ref()?.trace.as_ref()
    }

    /// The client to submit further tasks with from within this run. They are its children: they have this
    /// task for their [parent](Self::parent), and take over its [labels](Self::labels) and its
    /// [headers](Self::headers), unless their own call says otherwise, and its [trace](Self::trace). Headers
    /// that it never [shows](crate::Call::redact) they never show either. Any other client submits tasks that
    /// stand for themselves.
    ///
    /// A context does for a client wherever a task is submitted:
    ///
    /// ```
    /// use umbel::{Context, TaskError};
    ///
    /// #[umbel::task(name = "example/send-mail")]
    /// async fn send_mail(to: String, locale: String) -> Result<(), TaskError> {
    ///     # drop((to, locale));
    ///     Ok(())
    /// }
    ///
    /// #[umbel::task(name = "example/welcome")]
    /// async fn welcome(ctx: Context, user: String) -> Result<(), TaskError> {
    ///     let locale = ctx.header("locale").unwrap_or("en").to_owned();
    ///     send_mail::submit(&ctx, user, locale).label("step", "mail").await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// It asks the node that runs the task. Where there is none, as in a test that calls a handler as the
    /// function that it is, all that is asked fails with
    /// [`ClientError::Closed`](crate::ClientError::Closed).
    #[must_use]
    pub fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let (said, trace) = (self.metadata(), self.trace().cloned());
            let passed_on = PassedOn::of(self.id, said, trace, &self.redact);
            self.host.client().passing_on(passed_on)
        })
    }

    /// What is said of the task.
    pub(in crate::work) fn metadata(&self) -> Option<&Metadata> {
        self.said.as_ref().map(|said| &*said.metadata)
    }
}
