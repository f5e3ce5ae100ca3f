//! Sessions of clients: one stream of frames each way on the connection that they opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use dashmap::DashMap;
use quinn::{Connection, RecvStream, SendStream};
use tokio::task::JoinHandle;
use tracing::{debug, warn};
use umbel_protocol::limits::FRAME_BYTES_MAX;

use super::close::{Code, close, words};
use super::outbox::{Outbox, PushError};
use super::streams::{FrameReader, StreamError, write_frames};
use super::{Inbound, Inner, ReplyError};
use crate::tls::Identity;

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: DashMap<u64, Session>,
    last: AtomicU64,
}

struct Session {
    /// In which frames are written and read.
    version: u16,
    connection: Connection,
    outbox: Arc<Outbox>,
    writer: JoinHandle<()>,
}

impl Sessions {
    /// Takes no more replies. The tasks end when those taken have arrived.
    pub(super) fn finish(&self) -> Vec<JoinHandle<()>> {
        let ids: Vec<u64> = self.by_id.iter().map(|session| *session.key()).collect();
        let sessions = ids.iter().filter_map(|id| self.by_id.remove(id));
        sessions
            .map(|(_, session)| {
                session.outbox.close();
                session.writer
            })
            .collect()
    }

    pub(super) fn reply(&self, session: u64, frame: Bytes) -> Result<(), ReplyError> {
        Ok(self.outbox(session, &frame)?.push(frame)?)
    }

    /// Where `frame` would go; nothing of the table is held afterwards.
    fn outbox(&self, session: u64, frame: &Bytes) -> Result<Arc<Outbox>, ReplyError> {
        if frame.len() > FRAME_BYTES_MAX {
            let bytes_max = FRAME_BYTES_MAX;
            return Err(ReplyError::TooLong { bytes: frame.len(), bytes_max });
        }
        let session = self.by_id.get(&session).ok_or(ReplyError::Gone)?;
        Ok(Arc::clone(&session.outbox))
    }

    /// The version that a session speaks.
    pub(super) fn version(&self, session: u64) -> Option<u16> {
        self.by_id.get(&session).map(|session| session.version)
    }

    pub(super) fn close_all(&self, why: &str) {
        for session in &self.by_id {
            close(&session.connection, Code::Dropped, why);
        }
    }

    pub(super) fn close(&self, session: u64, why: &str) {
        if let Some(session) = self.by_id.get(&session) {
            close(&session.connection, Code::Dropped, why);
        }
    }
}

impl From<PushError> for ReplyError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Closed => Self::Gone,
            PushError::Full => Self::Full,
        }
    }
}

/// Room for one session.
pub(super) struct Place {
    session: u64,
    version: u16,
}

impl Place {
    /// The next session, if there is room for it.
    pub(super) fn take(inner: &Inner, version: u16) -> Option<Self> {
        let sessions = &inner.sessions;
        // Callers at the very same time may exceed the limit by their number, which is bounded too.
        (sessions.by_id.len() < SESSIONS_MAX as usize)
            .then(|| Self { session: sessions.last.fetch_add(1, Ordering::Relaxed) + 1, version })
    }

    /// Moves the session's frames until it ends.
    pub(super) async fn serve(
        self,
        inner: Arc<Inner>,
        connection: Connection,
        send: SendStream,
        recv: RecvStream,
        identity: Identity,
        told_name: String,
    ) {
        let Self { session, version } = self;
        let outbox = Arc::new(Outbox::new(SESSION_BYTES_MAX));
        let writing = write_frames(connection.clone(), send, Arc::clone(&outbox));
        let writer = inner.spawn(writing);
        let (connected, queued) = (connection.clone(), Arc::clone(&outbox));
        let entry = Session { version, connection: connected, outbox: queued, writer };
        inner.sessions.by_id.insert(session, entry);
        let from = connection.remote_address();
        debug!(session, certificate = identity.name, name = told_name, %from, "client came");
        let clients = &inner.outlet.clients;
        let came = Inbound::ClientCame { session, identity, name: told_name, from };
        if clients.send(came).await.is_ok() {
            read((session, version), &connection, recv, &inner).await;
        }
        inner.sessions.by_id.remove(&session);
        outbox.close();
        debug!(session, "client gone");
        // An error means that nobody listens any more.
        drop(clients.send(Inbound::ClientGone { session }).await);
    }
}

/// Returns when the client has ended its stream and taken what is on its way to it, or is gone.
async fn read(
    (session, version): (u64, u16),
    connection: &Connection,
    recv: RecvStream,
    inner: &Inner,
) {
    let mut reader = FrameReader::new(recv, FRAME_BYTES_MAX);
    loop {
        match reader.next().await {
            Ok(Some(frame)) => {
                let room = inner.outlet.clients_rooms.take(frame.len()).await;
                let frame = Inbound::ClientFrame { session, version, frame, room };
                if inner.outlet.clients.send(frame).await.is_err() {
                    return;
                }
            }
            // It sends no more, but waits for replies until it hangs up.
            Ok(None) => {
                let error = connection.closed().await;
                debug!(session, why = words(&error), "client hung up");
                return;
            }
            Err(StreamError::Lost(_)) => return,
            Err(error @ (StreamError::TooLong(_) | StreamError::CutOff)) => {
                if let Some(suppressed) = inner.warnings.pass() {
                    warn!(session, why = %error, suppressed, "closing the connection of a client");
                }
                return close(connection, Code::Violation, &error.to_string());
            }
        }
    }
}

/// Sessions at a time.
pub(super) const SESSIONS_MAX: u32 = 1_024;
/// Replies that wait for one client: several full frames. A client that does not read them gets no
/// more.
const SESSION_BYTES_MAX: usize = 16 * 1024 * 1024;
