//! Keeps a client connected: finds a node that answers, reads what it says, and when it is lost or
//! silent, finds another.

use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::Tried;
use super::directory::{Directory, PAUSE, REFRESH};
use super::link::Connection;
use super::session::Session;
use crate::tls::TlsFiles;
use crate::transport::DialError;
use crate::transport::dial::{ClientLink, ClientReceiver};

/// Keeps a client connected.
pub(super) struct Courier {
    /// As the client was given them.
    addresses: Vec<String>,
    tls: Arc<TlsFiles>,
    name: String,
    directory: Arc<Directory>,
    connection: watch::Sender<Connection>,
}

impl Courier {
    pub(super) fn new(
        addresses: Vec<String>,
        tls: Arc<TlsFiles>,
        name: String,
        directory: Arc<Directory>,
    ) -> (Self, watch::Receiver<Connection>) {
        let (connection, seen) = watch::channel(Connection::Down(Arc::from([])));
        (Self { addresses, tls, name, directory, connection }, seen)
    }

    /// Serves the first link and those after it, until it is dropped.
    pub(super) async fn run(self, first: Dialled) {
        let mut dialled = first;
        loop {
            let Dialled { address, link, at } = dialled;
            let ClientLink { version, sender, receiver, .. } = link;
            let session = Session::new(at, version, sender);
            self.connection.send_replace(Connection::Up(Arc::clone(&session)));
            let why = self.serve(&session, receiver).await;
            tracing::info!(%address, why, "lost the connection to the node");
            let tried = Tried { address: address.clone(), why, is_silent: true };
            self.connection.send_replace(Connection::Down(Arc::from([tried])));
            session.lose();
            dialled = self.find(&address).await;
            tracing::info!(address = dialled.address, "connected to another node");
        }
    }

    /// Reads until the link is lost, and tells why it was.
    async fn serve(&self, session: &Session, mut receiver: ClientReceiver) -> String {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut life, mut alive_at) = (session.life(), Instant::now());
        let mut asked = Instant::now();
        session.ask_welcome();
        loop {
            tokio::select! {
                biased;
                frame = receiver.recv() => {
                    let frame = frame.map_err(|lost| lost.why);
                    match frame.and_then(|frame| session.hear(&frame)) {
                        Ok(None) => {}
                        Ok(Some(answer)) => self.directory.hear(answer),
                        Err(why) => return why,
                    }
                }
                () = self.directory.doubted() => if asked.elapsed() >= PAUSE {
                    session.ask_welcome();
                    asked = Instant::now();
                },
                _ = beat.tick() => {
                    if session.life() != life {
                        (life, alive_at) = (session.life(), Instant::now());
                    }
                    if alive_at.elapsed() > SILENCE {
                        return format!("silent for {:.1} s", alive_at.elapsed().as_secs_f64());
                    }
                    let age = if self.directory.is_known() { REFRESH } else { PAUSE };
                    if asked.elapsed() >= age && self.directory.take_used() {
                        session.ask_welcome();
                        asked = Instant::now();
                    }
                }
            }
        }
    }

    /// Finds a node that answers, however long that takes. The one that was lost comes last.
    async fn find(&self, lost: &str) -> Dialled {
        let mut pause = PAUSE_MIN;
        loop {
            let mut candidates = VecDeque::new();
            let learned = self.directory.addresses().into_iter().take(LEARNED_MAX);
            for address in self.addresses.iter().cloned().chain(learned) {
                if !candidates.contains(&address) {
                    candidates.push_back(address);
                }
            }
            if let Some(place) = candidates.iter().position(|address| address == lost) {
                candidates.swap(place, 0);
                candidates.rotate_left(1);
            }
            match dial(candidates.into(), &self.tls, &self.name).await {
                Ok(link) => return link,
                Err(tried) => self.connection.send_replace(Connection::Down(tried.into())),
            };
            // Many clients that lost the same node do not come back in one moment.
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// A link, and by which address it was made.
pub(super) struct Dialled {
    address: String,
    at: SocketAddr,
    link: ClientLink,
}

/// Calls all of `addresses`, one shortly after the other, and keeps the first that answers.
pub(super) async fn dial(
    addresses: Vec<String>,
    tls: &Arc<TlsFiles>,
    name: &str,
) -> Result<Dialled, Vec<Tried>> {
    let mut calls = JoinSet::new();
    for (place, address) in (0_u32..).zip(addresses) {
        let (tls, name) = (Arc::clone(tls), name.to_owned());
        calls.spawn(async move {
            sleep(STAGGER * place).await;
            match call(&address, &tls, &name).await {
                Ok((at, link)) => Ok(Dialled { address, at, link }),
                Err((why, is_silent)) => Err((place, Tried { address, why, is_silent })),
            }
        });
    }
    let mut tried = Vec::new();
    while let Some(called) = calls.join_next().await {
        match called {
            Ok(Ok(dialled)) => return Ok(dialled),
            Ok(Err(failed)) => tried.push(failed),
            Err(error) => tracing::error!(%error, "a call panicked"),
        }
    }
    tried.sort_by_key(|(place, _)| *place);
    Err(tried.into_iter().map(|(_, tried)| tried).collect())
}

/// Calls the addresses that a name stands for, in turn. An error tells whether nobody has answered.
async fn call(
    address: &str,
    tls: &TlsFiles,
    name: &str,
) -> Result<(SocketAddr, ClientLink), (String, bool)> {
    let found = timeout(LOOKUP, tokio::net::lookup_host(address)).await;
    let found = found.map_err(|_| ("its name could not be looked up in time".to_owned(), true))?;
    let found = found.map_err(|error| (format!("its name cannot be looked up: {error}"), true))?;
    let mut why = ("its name stands for no address".to_owned(), true);
    for at in found {
        match ClientLink::connect(at, tls, name).await {
            Ok(link) => return Ok((at, link)),
            Err(error) => {
                why = (with_sources(&error), matches!(error, DialError::NoAnswer { .. }));
            }
        }
    }
    Err(why)
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// How often a link is looked after.
const BEAT: Duration = Duration::from_millis(200);
/// A node of which not one packet came for so long is taken to be gone: they come once a second at
/// the least. That is less than QUIC waits, but a client may always go elsewhere.
const SILENCE: Duration = Duration::from_millis(2_500);
/// Between the calls of several addresses: most nodes answer faster, and then only one is called.
const STAGGER: Duration = Duration::from_millis(200);
/// A name that takes longer to look up will not do now.
const LOOKUP: Duration = Duration::from_secs(4);
/// Learned members that are called at a time, besides the given addresses.
const LEARNED_MAX: usize = 16;
const PAUSE_MIN: Duration = PAUSE;
const PAUSE_MAX: Duration = Duration::from_secs(2);
