//! A client's connection to a node: for the SDK and the command line.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use quinn::{Connection, Endpoint};
use tokio::time::timeout;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::wire::hello::{Hello, NodeHello, Proof, Role, Versions, Who, judge};

use super::close::{Code, DialError, close, words};
use super::outbox::{Outbox, PushError};
use super::streams::{FrameReader, StreamError, write_frames};
use super::{SendError, greeting, settings};
use crate::tls::{Identity, SERVER_NAME, TlsFiles};

/// A connection of a client to a node, as it was made: who answered, and its two halves.
#[derive(Debug)]
pub struct ClientLink {
    /// The node that answered.
    pub node: NodeHello,
    /// The version that both speak.
    pub version: u16,
    /// To the node. Cheap to clone; when the last one is dropped, what was sent is still delivered.
    pub sender: ClientSender,
    /// From the node. When it is dropped, the connection ends.
    pub receiver: ClientReceiver,
}

impl ClientLink {
    /// Calls the node at `addr`. Must run within a tokio runtime; `name` is for the node's log.
    ///
    /// # Errors
    /// When nobody answers, a certificate will not do, or one of the two refuses the other.
    pub async fn connect(addr: SocketAddr, tls: &TlsFiles, name: &str) -> Result<Self, DialError> {
        let socket_failed = |source| DialError::Socket { addr, source };
        let socket = settings::calling_socket(addr).map_err(socket_failed)?;
        let endpoint = settings::endpoint(socket, None).map_err(socket_failed)?;
        let config = settings::client(tls)?;
        timeout(settings::CALL, Self::greet(endpoint, config, addr, name))
            .await
            .unwrap_or(Err(DialError::NoAnswer { addr }))
    }

    async fn greet(
        endpoint: Endpoint,
        config: quinn::ClientConfig,
        addr: SocketAddr,
        name: &str,
    ) -> Result<Self, DialError> {
        let connection = endpoint
            .connect_with(config, addr, SERVER_NAME)
            .map_err(|error| DialError::Lost { addr, why: error.to_string() })?
            .await
            .map_err(|error| DialError::lost(addr, error))?;
        let own = Hello { versions: Versions::OWN, who: Who::Client { name: name.to_owned() } };
        let (answer, send, recv) = greeting::call(&connection, &own).await?;
        let identity = greeting::identity(&connection);
        let nobody = Proof { name: "", role: Role::Client };
        let proof = identity.as_ref().map_or(nobody, Identity::proof);
        let judged = answer
            .verdict
            .and_then(|version| judge(&own, None, &answer.hello, proof).map(|_| version));
        let version = judged.map_err(|refusal| {
            close(&connection, Code::Refused, &refusal.to_string());
            DialError::Refused { addr, refusal }
        })?;
        let Who::Node(node) = answer.hello.who else {
            return Err(DialError::NotUmbel { addr, why: "a client answered".to_owned() });
        };
        let outbox = Arc::new(Outbox::new(OUTBOX_BYTES_MAX));
        tokio::spawn(write_frames(connection.clone(), send, Arc::clone(&outbox)));
        let sender =
            ClientSender { shared: Arc::new(Shared { outbox }), connection: connection.clone() };
        let reader = FrameReader::new(recv, FRAME_BYTES_MAX);
        let receiver = ClientReceiver { reader, connection, _endpoint: endpoint };
        Ok(Self { node, version, sender, receiver })
    }
}

/// Sends frames to the node.
#[derive(Clone, Debug)]
pub struct ClientSender {
    shared: Arc<Shared>,
    connection: Connection,
}

#[derive(Debug)]
struct Shared {
    outbox: Arc<Outbox>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl ClientSender {
    /// Takes `frame` for sending if there is room.
    ///
    /// # Errors
    /// When there is none, the connection is gone, or the frame is too long.
    pub fn try_send(&self, frame: Bytes) -> Result<(), SendError> {
        self.check(&frame)?;
        self.shared.outbox.push(frame).map_err(SendError::from)
    }

    /// Waits for room and takes `frame` for sending.
    ///
    /// # Errors
    /// When the connection is gone, or the frame is too long.
    pub async fn send(&self, frame: Bytes) -> Result<(), SendError> {
        self.check(&frame)?;
        tokio::select! {
            biased;
            _ = self.connection.closed() => Err(SendError::NotConnected),
            pushed = self.shared.outbox.push_wait(frame) => pushed.map_err(SendError::from),
        }
    }

    /// Packets that have come from the node. While it lives they keep coming, also when nobody has
    /// anything to say.
    #[must_use]
    pub fn packets_received(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    fn check(&self, frame: &Bytes) -> Result<(), SendError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(SendError::TooLong { bytes: frame.len(), bytes_max: FRAME_BYTES_MAX });
        }
        match self.connection.close_reason() {
            Some(_) => Err(SendError::NotConnected),
            None => Ok(()),
        }
    }
}

impl From<PushError> for SendError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Closed => Self::NotConnected,
            PushError::Full => Self::Full,
        }
    }
}

/// Receives frames from the node. Not reading holds the node back.
pub struct ClientReceiver {
    reader: FrameReader,
    connection: Connection,
    /// The socket lives as long as somebody reads.
    _endpoint: Endpoint,
}

impl ClientReceiver {
    /// The next frame. Cancelling loses nothing.
    ///
    /// # Errors
    /// When the connection has ended: what was asked and not answered has an unknown outcome.
    pub async fn recv(&mut self) -> Result<Bytes, LinkLost> {
        match self.reader.next().await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(LinkLost { why: "the node ended the session".to_owned() }),
            Err(StreamError::Lost(quinn::ReadError::ConnectionLost(error))) => {
                Err(LinkLost { why: words(&error) })
            }
            Err(error) => Err(LinkLost { why: error.to_string() }),
        }
    }
}

impl Drop for ClientReceiver {
    fn drop(&mut self) {
        close(&self.connection, Code::Bye, "the client hangs up");
    }
}

impl std::fmt::Debug for ClientReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientReceiver").finish_non_exhaustive()
    }
}

/// The connection to the node has ended; connect again, to this node or another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the node is lost: {why}")]
pub struct LinkLost {
    /// Why, as far as it is known.
    pub why: String,
}

/// Frames that wait to be sent: a few full batches.
const OUTBOX_BYTES_MAX: usize = 16 * 1024 * 1024;
