//! One connection to another node, and the tasks that move its traffic.
//!
//! Each direction has its own streams, so nothing waits for anything in another class: one for
//! consensus, one for work, one for each bulk message; gossip rides in datagrams. Reading stops
//! while the receiver of a class is full, and then QUIC stops the sender of that stream alone.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, VarInt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{trace, warn};
use umbel_protocol::id::NodeId;
use umbel_protocol::wire::frame::Lane;
use umbel_protocol::wire::hello::NodeHello;

use super::close::{Code, close};
use super::outbox::{Outbox, PushError};
use super::streams::{FrameReader, StreamError, write_frames};
use super::{Inbound, Inner, Room, SendError};

/// One connection to another node.
pub(super) struct Link {
    pub(super) connection: Connection,
    pub(super) hello: NodeHello,
    /// In which frames are written and read.
    pub(super) version: u16,
    /// Who called whom.
    pub(super) dialer: NodeId,
    pub(super) since: Instant,
    consensus: Arc<Outbox>,
    work: Arc<Outbox>,
    bulk: Arc<Outbox>,
    /// The last question whether the other end is there that it has answered.
    heard: watch::Sender<Option<u64>>,
    /// The tasks that write the lanes.
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Link {
    pub(super) fn new(
        connection: Connection,
        hello: NodeHello,
        version: u16,
        dialer: NodeId,
    ) -> Self {
        Self {
            connection,
            hello,
            version,
            dialer,
            since: Instant::now(),
            consensus: Arc::new(Outbox::new(LANE_BYTES_MAX)),
            work: Arc::new(Outbox::new(LANE_BYTES_MAX)),
            bulk: Arc::new(Outbox::new(Lane::Bulk.bytes_max())),
            heard: watch::Sender::new(None),
            writers: Mutex::default(),
        }
    }

    pub(super) fn send(&self, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        if frame.len() > lane.bytes_max() {
            return Err(SendError::TooLong { bytes: frame.len(), bytes_max: lane.bytes_max() });
        }
        let outbox = match lane {
            Lane::Bulk => &self.bulk,
            Lane::Consensus => &self.consensus,
            Lane::Work => &self.work,
        };
        outbox.push(frame).map_err(|error| match error {
            PushError::Closed => SendError::NotConnected,
            PushError::Full => SendError::Full,
        })
    }

    pub(super) fn send_datagram(&self, bytes: Bytes) -> Result<(), SendError> {
        let len = bytes.len();
        self.connection.send_datagram(bytes).map_err(|error| match error {
            quinn::SendDatagramError::TooLarge => SendError::TooLong {
                bytes: len,
                bytes_max: self.connection.max_datagram_size().unwrap_or_default(),
            },
            quinn::SendDatagramError::UnsupportedByPeer
            | quinn::SendDatagramError::Disabled
            | quinn::SendDatagramError::ConnectionLost(_) => SendError::NotConnected,
        })
    }

    /// Whether the process at the other end is there. It is asked under a new number, so what was on
    /// its way before is no answer.
    pub(super) async fn answers(&self) -> bool {
        let number: u64 = rand::random();
        let mut heard = self.heard.subscribe();
        let answered = async {
            loop {
                // Packets get lost.
                if self.send_datagram(probe(ASKS, number)).is_err() {
                    return false;
                }
                let heard = heard.wait_for(|heard| *heard == Some(number));
                if let Ok(heard) = tokio::time::timeout(ASK_AGAIN, heard).await {
                    return heard.is_ok();
                }
            }
        };
        tokio::select! {
            biased;
            _ = self.connection.closed() => false,
            answered = tokio::time::timeout(ANSWER, answered) => answered.unwrap_or(false),
        }
    }

    /// Takes a datagram that is about the connection itself; whether it was one.
    fn is_probe(&self, bytes: &[u8]) -> bool {
        let Some((kind, number)) = read_probe(bytes) else {
            return false;
        };
        if kind == ASKS {
            // Lost ones are asked for again.
            let _ = self.send_datagram(probe(ANSWERS, number));
        } else {
            self.heard.send_replace(Some(number));
        }
        true
    }

    /// Starts moving traffic; all tasks end with the connection.
    pub(super) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        let writers = [Lane::Consensus, Lane::Work]
            .map(|lane| inner.spawn(Arc::clone(self).write_lane(lane)));
        self.writers().extend(writers);
        inner.spawn(Arc::clone(self).write_bulk());
        inner.spawn(Arc::clone(self).read_datagrams(inner.outlet.gossip.clone()));
        inner.spawn(Arc::clone(self).accept_streams(Arc::clone(inner)));
    }

    /// Takes no more frames. The tasks end when those taken have arrived.
    pub(super) fn finish(&self) -> Vec<JoinHandle<()>> {
        self.consensus.close();
        self.work.close();
        std::mem::take(&mut *self.writers())
    }

    fn writers(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.writers.lock().expect("nothing panics while it holds this lock")
    }

    /// The long-lived stream of one lane.
    async fn write_lane(self: Arc<Self>, lane: Lane) {
        let (outbox, priority) = match lane {
            Lane::Consensus => (&self.consensus, 2),
            Lane::Work | Lane::Bulk => (&self.work, 1),
        };
        let Ok(mut send) = self.connection.open_uni().await else { return };
        if send.set_priority(priority).is_ok() && send.write_all(&[lane.first_byte()]).await.is_ok()
        {
            write_frames(self.connection.clone(), send, Arc::clone(outbox)).await;
        }
    }

    /// One message after the other, each on a stream of its own.
    async fn write_bulk(self: Arc<Self>) {
        loop {
            let messages = tokio::select! {
                biased;
                _ = self.connection.closed() => return,
                messages = self.bulk.take() => messages,
            };
            let Some(messages) = messages else { return };
            for message in messages {
                let bytes = super::outbox::costs(std::slice::from_ref(&message));
                let Ok(mut send) = self.connection.open_uni().await else { return };
                let first = Bytes::copy_from_slice(&[Lane::Bulk.first_byte()]);
                let mut pieces = [first, message];
                if send.set_priority(0).is_err()
                    || send.write_all_chunks(&mut pieces).await.is_err()
                    || send.finish().is_err()
                    || send.stopped().await.is_err()
                {
                    return;
                }
                self.bulk.written(bytes);
            }
        }
    }

    async fn read_datagrams(self: Arc<Self>, gossip: mpsc::Sender<Inbound>) {
        while let Ok(bytes) = self.connection.read_datagram().await {
            if self.is_probe(&bytes) {
                continue;
            }
            let datagram = Inbound::Datagram { from: self.hello.node, bytes };
            if gossip.send(datagram).await.is_err() {
                return;
            }
        }
    }

    async fn accept_streams(self: Arc<Self>, inner: Arc<Inner>) {
        let mut open = Vec::new();
        while let Ok(mut recv) = self.connection.accept_uni().await {
            // The first byte comes with the stream itself: peers write it before anything else.
            let mut first = [0];
            if recv.read_exact(&mut first).await.is_err() {
                continue;
            }
            match Lane::from_first_byte(first[0]) {
                Some(Lane::Bulk) => {
                    inner.spawn(Arc::clone(&self).read_bulk(recv, Arc::clone(&inner)));
                }
                Some(lane) if !open.contains(&lane) => {
                    open.push(lane);
                    let reading = Arc::clone(&self).read_lane(recv, lane, Arc::clone(&inner));
                    inner.spawn(reading);
                }
                Some(_) => {
                    return self.violated(&inner, "it opened a second stream of the same kind");
                }
                None => return self.violated(&inner, "it opened a stream of an unknown kind"),
            }
        }
    }

    async fn read_lane(self: Arc<Self>, recv: RecvStream, lane: Lane, inner: Arc<Inner>) {
        if lane == Lane::Work {
            // Peers open this stream before they have anything to say.
            let reached = Inbound::Reached { node: self.hello.node };
            if inner.outlet.of(lane).send(reached).await.is_err() {
                return;
            }
        }
        let mut reader = FrameReader::new(recv, lane.bytes_max());
        loop {
            match reader.next().await {
                Ok(Some(frame)) => {
                    trace!(from = ?self.hello.node, ?lane, bytes = frame.len(), "frame");
                    let room = inner.outlet.rooms(lane).take(frame.len()).await;
                    let frame = self.inbound(lane, frame, room);
                    if inner.outlet.of(lane).send(frame).await.is_err() {
                        return;
                    }
                }
                Ok(None) | Err(StreamError::Lost(_)) => return,
                Err(error @ (StreamError::TooLong(_) | StreamError::CutOff)) => {
                    return self.violated(&inner, &error.to_string());
                }
            }
        }
    }

    async fn read_bulk(self: Arc<Self>, mut recv: RecvStream, inner: Arc<Inner>) {
        // Until there is a place, QUIC holds the sender back after one window.
        let room = inner.outlet.rooms(Lane::Bulk).take_place().await;
        let mut message = BytesMut::new();
        loop {
            let chunk = match recv.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => chunk.bytes,
                Ok(None) => break,
                // Cut off: its sender gave up or is gone.
                Err(_) => return,
            };
            if message.len() + chunk.len() > Lane::Bulk.bytes_max() {
                drop(recv.stop(VarInt::from(Code::Violation)));
                return self.violated(&inner, "a bulk message is longer than allowed");
            }
            message.extend_from_slice(&chunk);
        }
        let frame = message.freeze();
        let bulk = self.inbound(Lane::Bulk, frame, room);
        // An error means that nobody listens any more.
        drop(inner.outlet.of(Lane::Bulk).send(bulk).await);
    }

    const fn inbound(&self, lane: Lane, frame: Bytes, room: Room) -> Inbound {
        Inbound::Frame { from: self.hello.node, version: self.version, lane, frame, room }
    }

    /// Ends the connection with a peer that breaks the rules: what else it says cannot be trusted.
    fn violated(&self, inner: &Inner, why: &str) {
        if let Some(suppressed) = inner.warnings.pass() {
            let (node, name) = (self.hello.node, &self.hello.name);
            warn!(%node, name, why, suppressed, "closing the connection of a node");
        }
        close(&self.connection, Code::Violation, why);
    }
}

/// A process that lives answers within milliseconds; a loaded one, or a lossy network, may need
/// longer. Whoever waits for this calls for [two seconds](super::settings::CALL_AGAIN).
const ANSWER: Duration = Duration::from_millis(1_200);
/// Several times within [`ANSWER`].
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// First byte of a datagram that asks whether a process is there, and of the answer to it. The
/// number that identifies the question follows; no gossip is as short as that.
const ASKS: u8 = 0;
const ANSWERS: u8 = 1;
const PROBE_BYTES: usize = 9;

fn probe(kind: u8, number: u64) -> Bytes {
    let mut bytes = [kind; PROBE_BYTES];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    Bytes::copy_from_slice(&bytes)
}

fn read_probe(bytes: &[u8]) -> Option<(u8, u64)> {
    let [kind @ (ASKS | ANSWERS), number @ ..] = *<&[u8; PROBE_BYTES]>::try_from(bytes).ok()?
    else {
        return None;
    };
    Some((kind, u64::from_le_bytes(number)))
}

/// Frames that wait for one lane of one peer: many full batches. Beyond it the peer is slower than
/// its work, and the caller must know.
const LANE_BYTES_MAX: usize = 32 * 1024 * 1024;
