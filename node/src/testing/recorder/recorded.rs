//! A task that was submitted in a test.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use umbel_protocol::id::TaskId;
use umbel_protocol::job::Target;
use umbel_protocol::task::{Metadata, Options, Particulars, Row, Template, redacted};

use crate::work::{Submission, duration};

/// A task that was submitted, and all that was said of it: by its caller, and for what that left out by
/// its declaration.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    id: Option<TaskId>,
    template: Template,
    args: Bytes,
    particulars: Particulars,
}

impl Recorded {
    pub(in super::super) fn new(row: &Row, template: &Template) -> Self {
        Self {
            id: Some(row.id),
            template: template.clone(),
            args: row.args.clone(),
            particulars: row.particulars.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// One that a test expects.
    pub(super) fn expected(submission: &Submission) -> Self {
        Self {
            id: submission.id,
            template: submission.template.clone(),
            args: submission.args.clone(),
            particulars: submission.particulars.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// Its arguments, as far as they may be shown.
    fn shown(&self) -> Bytes {
        redacted(&self.args, self.template.options.redact())
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id.expect("all that was taken in has one")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.template.name
    }

    /// The queue in which it waits.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.template.queue
    }

    /// Its arguments: an object with their names if there are several.
    ///
    /// # Errors
    /// When they are no `A`.
    pub fn args<A: DeserializeOwned>(&self) -> Result<A, serde_json::Error> {
        serde_json::from_slice(&self.args)
    }

    /// How it is treated.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.template.options
    }

    /// How much later it may start at the earliest.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        duration(self.template.options.delay)
    }

    /// When it may start at the earliest, if a time was said.
    #[must_use]
    pub fn at(&self) -> Option<SystemTime> {
        let at = self.particulars.not_before?;
        Some(UNIX_EPOCH + Duration::from_millis(at.as_millis()))
    }

    /// Its priority, 0 to 9.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.template.options.priority()
    }

    /// The key of which there is one task at a time, if it has one.
    #[must_use]
    pub fn unique_key(&self) -> Option<&str> {
        self.particulars.unique_key.as_deref()
    }

    /// On whose behalf it is, if that was said.
    #[must_use]
    pub fn fairness_key(&self) -> Option<&str> {
        self.particulars.fairness_key.as_deref()
    }

    /// The key of the tasks that are limited together, if it has one. How they are is in its
    /// [options](Self::options):
    ///
    /// ```standalone_crate
    /// # use umbel::testing::Recorder;
    /// # use umbel::ClientError;
    /// #[umbel::task(limit_by = "account", concurrency = 2, rate = "10/min", fair_by = "tenant")]
    /// async fn import(tenant: String, account: u64) -> Result<(), String> {
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), ClientError> {
    /// let recorder = Recorder::new();
    /// import::submit(&recorder.client(), "acme".to_owned(), 7).await?;
    ///
    /// let recorded = recorder.assert_submitted(import::call("acme".to_owned(), 7));
    /// assert_eq!(recorded.limit_key(), Some("7"));
    /// assert_eq!(recorded.options().concurrency(), Some(2));
    /// assert_eq!(recorded.fairness_key(), Some("acme"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn limit_key(&self) -> Option<&str> {
        self.particulars.limit_key.as_deref()
    }

    /// Which nodes may run it.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.particulars.target
    }

    /// Its labels, headers and the like, if there are any.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.particulars.metadata.as_deref()
    }
}

/// Without the arguments that it never shows, and without its keys, which may be made of them.
impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, template, args: _, particulars } = self;
        f.debug_struct("Recorded")
            .field("id", id)
            .field("template", template)
            .field("args", &self.shown())
            .field("particulars", particulars)
            .finish()
    }
}

/// Without the arguments that it never shows.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), String::from_utf8_lossy(&self.shown()))
    }
}
