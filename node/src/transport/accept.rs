//! Taking connections: who calls, and what becomes of it.

use std::sync::Arc;

use quinn::{Connection, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};
use umbel_protocol::wire::hello::{Answer, Refusal, Who, judge};

use super::close::{Code, close, words};
use super::settings::{GREETING, UNKNOWN_MAX};
use super::{Inner, clients, greeting, peers};

/// Takes connections until the transport is closed.
pub(super) async fn accept(inner: Arc<Inner>) {
    let unknown = Arc::new(Semaphore::new(UNKNOWN_MAX));
    loop {
        let incoming = tokio::select! {
            () = inner.closing.cancelled() => break,
            incoming = inner.endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        // A caller that gets no answer tries again; so a flood costs nothing but the flood.
        let Ok(place) = Arc::clone(&unknown).try_acquire_owned() else {
            incoming.ignore();
            continue;
        };
        inner.spawn(serve(incoming, Arc::clone(&inner), place));
    }
    inner.endpoint.close(Code::Bye.into(), b"the process ends");
}

async fn serve(incoming: Incoming, inner: Arc<Inner>, place: OwnedSemaphorePermit) {
    let from = incoming.remote_address();
    let handshake = async { incoming.accept()?.await };
    match timeout(GREETING, handshake).await {
        Ok(Ok(connection)) => serve_connection(connection, inner, place).await,
        Ok(Err(error)) => {
            if let Some(suppressed) = inner.warnings.pass() {
                warn!(%from, why = words(&error), suppressed, "a connection was not accepted");
            }
        }
        Err(_) => debug!(%from, "a connection was not completed in time"),
    }
}

async fn serve_connection(connection: Connection, inner: Arc<Inner>, place: OwnedSemaphorePermit) {
    let from = connection.remote_address();
    let Some(identity) = greeting::identity(&connection) else {
        return close(&connection, Code::Refused, "the certificate is not one of umbel's");
    };
    let (hello, mut send, recv) = match timeout(GREETING, greeting::listen(&connection)).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(error)) => {
            if let Some(suppressed) = inner.warnings.pass() {
                warn!(%from, error = %error, suppressed, "a caller did not greet");
            }
            return close(&connection, Code::Violation, &error.to_string());
        }
        Err(_) => return close(&connection, Code::Violation, "no greeting came in time"),
    };
    let own = match &hello.who {
        Who::Client { .. } => inner.own(),
        Who::Node(_) => inner.introduction().await,
    };
    let answer = |verdict| Answer { hello: (*own).clone(), verdict };
    let refusal = match &hello.who {
        Who::Client { name } => match judge(&own, None, &hello, identity.proof()) {
            Ok(version) => match clients::Place::take(&inner, version) {
                Some(session) => {
                    if send.write_all(&answer(Ok(version)).encode()).await.is_ok() {
                        drop(place);
                        let told = name.clone();
                        session.serve(inner, connection, send, recv, identity, told).await;
                    }
                    return;
                }
                None => Refusal::TooMany { limit: clients::SESSIONS_MAX },
            },
            Err(refusal) => refusal,
        },
        Who::Node(_) => {
            match peers::join(&inner, connection.clone(), hello.clone(), identity.proof(), false)
                .await
            {
                Ok(joined) => {
                    // When the caller is gone already, the connection's end will tell.
                    let welcome = answer(Ok(joined.version())).encode();
                    if send.write_all(&welcome).await.is_ok() {
                        drop(send.finish());
                    }
                    drop(place);
                    return joined.tell(&inner).await;
                }
                Err(refusal) => refusal,
            }
        }
    };
    if !matches!(refusal, Refusal::Duplicate | Refusal::Yourself)
        && let Some(suppressed) = inner.warnings.pass()
    {
        warn!(%from, certificate = identity.name, %refusal, suppressed, "refused a caller");
    }
    greeting::refuse(&connection, send, &answer(Err(refusal))).await;
}
