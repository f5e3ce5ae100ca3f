//! Calling other nodes: once when asked, and again and again those that are peers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::time::timeout;
use tracing::{debug, warn};
use umbel_protocol::wire::hello::{NodeHello, Proof, Refusal, Role, Who};

use super::close::{Code, DialError, close};
use super::peers::{Joined, Peer, join};
use super::settings::CALL_AGAIN;
use super::{Inbound, Inner, greeting};
use crate::tls::{Identity, SERVER_NAME};

/// Calls `addr` and keeps the connection, unless there is one already. Who answered is told in both
/// cases.
pub(super) async fn reach(
    inner: &Arc<Inner>,
    addr: SocketAddr,
    patience: Duration,
) -> Result<NodeHello, DialError> {
    let attempt = async {
        tokio::select! {
            () = inner.closing.cancelled() => Err(DialError::Closed),
            reached = timeout(patience, try_reach(inner, addr)) => {
                reached.unwrap_or(Err(DialError::NoAnswer { addr }))
            }
        }
    };
    let (hello, joined) = attempt.await?;
    if let Some(joined) = joined {
        joined.tell(inner).await;
    }
    Ok(hello)
}

async fn try_reach(
    inner: &Inner,
    addr: SocketAddr,
) -> Result<(NodeHello, Option<Joined>), DialError> {
    let calling = inner.calling.clone();
    let connection = inner
        .endpoint
        .connect_with(calling, addr, SERVER_NAME)
        .map_err(|error| match error {
            quinn::ConnectError::EndpointStopping => DialError::Closed,
            error => DialError::Lost { addr, why: error.to_string() },
        })?
        .await
        .map_err(|error| DialError::lost(addr, error))?;
    let (answer, _, _) = greeting::call(&connection, &*inner.introduction().await).await?;
    let Who::Node(hello) = answer.hello.who.clone() else {
        return Err(DialError::NotUmbel { addr, why: "a client answered".to_owned() });
    };
    let identity = greeting::identity(&connection);
    let nobody = Proof { name: "", role: Role::Client };
    let proof = identity.as_ref().map_or(nobody, Identity::proof);
    let joined = match answer.verdict {
        Ok(_) => join(inner, connection.clone(), answer.hello, proof, true).await,
        Err(refusal) => Err(refusal),
    };
    match joined {
        Ok(joined) => Ok((hello, Some(joined))),
        Err(refusal @ Refusal::Duplicate) => {
            close(&connection, Code::Duplicate, &refusal.to_string());
            Ok((hello, None))
        }
        Err(refusal) => {
            close(&connection, Code::Refused, &refusal.to_string());
            let told = refusal.clone();
            inner.tell(Inbound::Refused { node: hello.node, addr, refusal: told }).await;
            Err(DialError::Refused { addr, refusal })
        }
    }
}

/// Keeps `peer` connected for as long as it has an address.
pub(super) async fn keep_connected(peer: Arc<Peer>, inner: Arc<Inner>) {
    let mut failures = 0;
    let mut told = None;
    // The lower id calls at once, and usually its call has arrived before the higher one begins.
    let mut pause = if inner.own_node() < peer.node { Duration::ZERO } else { SECOND_CALLER };
    loop {
        let addr = {
            let mut state = peer.state();
            if inner.closing.is_cancelled() {
                state.dialing = false;
                return;
            }
            if state.link.is_some() { None } else { state.addr }
        };
        let Some(addr) = addr else {
            (failures, told) = (0, None);
            tokio::select! {
                () = peer.changed.notified() => {}
                () = inner.closing.cancelled() => {}
            }
            continue;
        };
        // A change of the address or a connection from the other side ends the pause early.
        let paused = timeout(pause, peer.changed.notified());
        let woken = tokio::select! {
            paused = paused => paused.is_ok(),
            () = inner.closing.cancelled() => true,
        };
        if woken {
            pause = Duration::ZERO;
            continue;
        }
        let error = match reach(&inner, addr, CALL_AGAIN).await {
            Ok(hello) if hello.node == peer.node => None,
            Ok(hello) => Some(DialError::Lost {
                addr,
                why: format!(
                    "node {} ({}) answers there, not {}",
                    hello.node, hello.name, peer.node
                ),
            }),
            Err(error) => Some(error),
        };
        failures += 1;
        pause = backoff(failures);
        if let Some(error) = error {
            log_failure(&peer, addr, &error, &mut told);
        }
    }
}

/// Says once what keeps failing in the same way, and often what changes.
fn log_failure(peer: &Peer, addr: SocketAddr, error: &DialError, told: &mut Option<String>) {
    let text = error.to_string();
    if told.as_ref() == Some(&text) {
        debug!(node = %peer.node, %addr, error = text, "still not connected");
        return;
    }
    // A node that is down is gossip's business; all else needs somebody's attention.
    if matches!(error, DialError::NoAnswer { .. } | DialError::Lost { .. } | DialError::Closed) {
        debug!(node = %peer.node, %addr, error = text, "cannot connect");
    } else {
        warn!(node = %peer.node, %addr, error = text, "cannot connect");
    }
    *told = Some(text);
}

/// Doubles up to about a second; half of it is random, so that a restarted node is not called by
/// all others at once.
fn backoff(failures: u32) -> Duration {
    let longest = BACKOFF_FIRST.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
    longest.mul_f64(rand::rng().random_range(0.5..1.0))
}

const BACKOFF_FIRST: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How long the higher id leaves the first call to the lower one.
const SECOND_CALLER: Duration = Duration::from_millis(30);
