//! Setting up a client: where its nodes are, and what it proves itself with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::courier::{Courier, dial};
use super::directory::Directory;
use super::link::Link;
use super::{Client, ClientError, PATIENCE};
use crate::clock::Clock;
use crate::config::HostPort;
use crate::tls::{Role, TlsFiles};

/// Sets up a [`Client`].
///
/// ```no_run
/// # use std::time::Duration;
/// # use umbel::{Client, ClientError};
/// # async fn example() -> Result<Client, ClientError> {
/// Client::builder()
///     .address("a.example.net:7400")
///     .address("b.example.net:7400")
///     .tls("/etc/umbel/tls")
///     .name("shop")
///     .patience(Duration::from_secs(3))
///     .connect()
///     .await
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    addresses: Vec<String>,
    tls: Option<PathBuf>,
    certificate: Option<String>,
    name: Option<String>,
    patience: Option<Duration>,
    clock: Clock,
}

impl ClientBuilder {
    /// A node, as `host:port`. One that answers is enough, several are tried in turn; the others of
    /// the cluster are learned from it.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// The directory with `ca.pem` and a client certificate, as `umbel ca issue NAME --client`
    /// makes it.
    pub fn tls(mut self, dir: impl AsRef<Path>) -> Self {
        self.tls = Some(dir.as_ref().to_owned());
        self
    }

    /// Which certificate of that directory to use; it need not be said if there is only one for
    /// clients.
    pub fn certificate(mut self, name: impl Into<String>) -> Self {
        self.certificate = Some(name.into());
        self
    }

    /// What the client calls itself in the logs of nodes; default: the name in its certificate.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long to wait for answers that should come at once, a takeover included; default 10 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Makes ids by `clock`.
    #[cfg(feature = "testing")]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Connects to the first node that answers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No address is given or legal, the certificate will not do, or no node answers.
    pub async fn connect(self) -> Result<Client, ClientError> {
        if self.addresses.is_empty() {
            return Err(ClientError::NoAddress);
        }
        for address in &self.addresses {
            address
                .parse::<HostPort>()
                .map_err(|source| ClientError::Address { address: address.clone(), source })?;
        }
        let dir = self.tls.ok_or(ClientError::NoTls)?;
        let tls = Arc::new(TlsFiles::load(&dir, Role::Client, self.certificate.as_deref())?);
        let name = self.name.unwrap_or_else(|| tls.identity().name.clone());
        let first = dial(self.addresses.clone(), &tls, &name)
            .await
            .map_err(|tried| ClientError::NoNode { tried })?;
        let directory = Arc::new(Directory::new(self.clock));
        let (courier, link) = Courier::new(self.addresses, tls, name, Arc::clone(&directory));
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(courier.run(first)));
        let patience = self.patience.unwrap_or(PATIENCE);
        Ok(Client::new(Link::Remote(link), directory, patience, ended.drop_guard()))
    }
}
