//! Submitting tasks to a cluster and waiting for what they return.
//!
//! A [`Client`] is a handle: cheap to clone, usable from many places at once. It has one link at a
//! time, to a node over QUIC or to the node in the same process, on which all of its requests
//! travel side by side. When the link is lost it finds another node and asks everything that is not
//! answered again; that is safe because task ids are made before the first try, so a task that was
//! taken in already is recognised.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use umbel::{Call, Client};
//!
//! let client = Client::connect(["10.0.0.1:7400", "10.0.0.2:7400"], "/etc/umbel/tls").await?;
//! let sum = client.submit(Call::<u64>::named("add", &[1, 2])).await?;
//! println!("{} returned {}", sum.id(), sum.result().await?);
//! # Ok(()) }
//! ```
//!
//! Nothing here decides about tasks: what a client knows of the cluster is a hint for where to ask
//! first, and any node takes any request.

mod builder;
mod bulk;
mod courier;
mod directory;
mod error;
mod exchange;
mod group;
mod handle;
mod inherit;
mod jobs;
mod link;
pub mod local;
mod members;
mod rules;
mod session;
mod steer;
mod submission;
mod submit;
mod tasks;
#[cfg(test)]
mod tests;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
pub use umbel_protocol::task::{Filter, States};
use umbel_protocol::wire::{Answer, Ask};

pub use self::builder::ClientBuilder;
use self::directory::Directory;
pub use self::error::{ClientError, TaskFailed, Tried};
use self::exchange::{Exchange, Limits, Until};
pub use self::group::{Group, GroupCount};
pub use self::handle::Handle;
pub use self::inherit::AsClient;
pub(crate) use self::inherit::PassedOn;
pub use self::jobs::JobListing;
use self::link::Link;
use self::local::LocalRequest;
pub use self::rules::{QueueListing, Rule, Rules, Subject};
pub use self::steer::{REFUSED_MAX, Steered, Steering};
pub use self::submit::{Run, Running, Submit, Submitting};
pub use self::tasks::Listing;
pub use self::watch::{Event, Watch};
use crate::clock::Clock;

/// A handle to a cluster; see the [module](self). Its link ends with the last clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// What tasks take over that do not say it themselves.
    passed_on: Option<Arc<PassedOn>>,
}

struct Inner {
    link: Link,
    directory: Arc<Directory>,
    patience: Duration,
    limits: Limits,
    _guard: DropGuard,
}

impl Client {
    /// Sets up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client of the cluster that has nodes at `addresses`, each `host:port`, with the client
    /// certificate in `tls`.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect<A: Into<String>>(
        addresses: impl IntoIterator<Item = A>,
        tls: impl AsRef<Path>,
    ) -> Result<Self, ClientError> {
        addresses.into_iter().fold(Self::builder(), ClientBuilder::address).tls(tls).connect().await
    }

    /// A client of the node that takes its requests from the other end of `requests`. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn local(requests: mpsc::Sender<LocalRequest>) -> Self {
        Self::local_by(requests, Clock::start())
    }

    /// The same with the clock that the node goes by.
    pub(crate) fn local_by(requests: mpsc::Sender<LocalRequest>, clock: Clock) -> Self {
        let directory = Arc::new(Directory::new(clock));
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(local::keep_informed(
            requests.clone(),
            Arc::clone(&directory),
        )));
        Self::new(Link::Local(requests), directory, PATIENCE, ended.drop_guard())
    }

    fn new(link: Link, directory: Arc<Directory>, patience: Duration, guard: DropGuard) -> Self {
        Self {
            inner: Arc::new(Inner {
                link,
                directory,
                patience,
                limits: Limits::default(),
                _guard: guard,
            }),
            passed_on: None,
        }
    }

    /// Asks for something that is confirmed.
    async fn done(&self, ask: &Ask) -> Result<(), ClientError> {
        match self.exchange().one(ask, self.within()).await? {
            Answer::Done => Ok(()),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            link: &self.inner.link,
            directory: &self.inner.directory,
            limits: self.inner.limits,
        }
    }

    /// Until when an answer is waited for that should come at once.
    fn within(&self) -> Until {
        Until::after(self.inner.patience)
    }

    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.inner.patience
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("link", &self.inner.link).finish_non_exhaustive()
    }
}

/// How long an answer may take that should come at once: a takeover takes a few seconds, and the
/// request is asked again all the while.
const PATIENCE: Duration = Duration::from_secs(10);
