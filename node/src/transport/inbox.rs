//! What comes in, class by class.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::mpsc;
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::wire::frame::Lane;
use umbel_protocol::wire::hello::{NodeHello, Refusal};

use super::room::{Room, Rooms};
use crate::tls::Identity;

/// What came in, or happened.
#[derive(Debug)]
pub enum Inbound {
    /// A task of the transport panicked: a part of it does nothing any more.
    Broken {
        /// What was said.
        what: String,
    },
    /// A client opened a session.
    ClientCame {
        /// Its number, never used again by this process.
        session: u64,
        /// What its certificate proves.
        identity: Identity,
        /// What it calls itself.
        name: String,
        /// Where it calls from.
        from: SocketAddr,
    },
    /// A client sent a frame.
    ClientFrame {
        /// Which session.
        session: u64,
        /// In which version it is written.
        version: u16,
        /// Its bytes.
        frame: Bytes,
        /// What it takes of the memory for frames of clients; to be kept until it is dealt with.
        room: Room,
    },
    /// A session has ended; the last that is heard of it.
    ClientGone {
        /// Which one.
        session: u64,
    },
    /// A node is connected.
    Connected {
        /// Which one.
        node: NodeId,
        /// What both speak.
        version: u16,
        /// What it says of itself.
        hello: Box<NodeHello>,
    },
    /// A node sent a datagram.
    Datagram {
        /// Which one.
        from: NodeId,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A node is no longer connected. Frames that it sent before may still come.
    Disconnected {
        /// Which one.
        node: NodeId,
        /// Why.
        why: String,
    },
    /// A node sent a frame.
    Frame {
        /// Which one.
        from: NodeId,
        /// In which version it is written.
        version: u16,
        /// On which lane.
        lane: Lane,
        /// Its bytes.
        frame: Bytes,
        /// What it takes of the memory for its lane; to be kept until it is dealt with.
        room: Room,
    },
    /// A node is connected: told once more, before the first frame of work that comes over the new
    /// connection.
    Reached {
        /// Which one.
        node: NodeId,
    },
    /// A peer and this node refused each other. Told again when the reason changes.
    Refused {
        /// Whom we called.
        node: NodeId,
        /// Where.
        addr: SocketAddr,
        /// Why. Some reasons mean that this very process must not go on.
        refusal: Refusal,
    },
}

/// What comes in, one bounded queue for each class, so that a flood of one delays no other. Whoever
/// does not mind may use [`recv`](Self::recv) for all.
#[derive(Debug)]
pub struct Inbox {
    /// Datagrams only.
    pub gossip: mpsc::Receiver<Inbound>,
    /// Frames of consensus, and what happens to connections.
    pub consensus: mpsc::Receiver<Inbound>,
    /// Frames of work.
    pub work: mpsc::Receiver<Inbound>,
    /// Sessions and their frames.
    pub clients: mpsc::Receiver<Inbound>,
    /// Bulk messages.
    pub bulk: mpsc::Receiver<Inbound>,
}

impl Inbox {
    /// The next of any class, in the order of the fields; `None` once the transport is closed.
    pub async fn recv(&mut self) -> Option<Inbound> {
        tokio::select! {
            biased;
            Some(inbound) = self.gossip.recv() => Some(inbound),
            Some(inbound) = self.consensus.recv() => Some(inbound),
            Some(inbound) = self.work.recv() => Some(inbound),
            Some(inbound) = self.clients.recv() => Some(inbound),
            Some(inbound) = self.bulk.recv() => Some(inbound),
            else => None,
        }
    }
}

/// The sending ends of an [`Inbox`].
pub(super) struct Outlet {
    pub(super) gossip: mpsc::Sender<Inbound>,
    consensus: mpsc::Sender<Inbound>,
    work: mpsc::Sender<Inbound>,
    pub(super) clients: mpsc::Sender<Inbound>,
    bulk: mpsc::Sender<Inbound>,
    consensus_rooms: Rooms,
    work_rooms: Rooms,
    /// For frames of all clients.
    pub(super) clients_rooms: Rooms,
    /// Counts bulk messages: how long one is shows only when it has been read.
    bulk_places: Rooms,
}

impl Outlet {
    pub(super) const fn of(&self, lane: Lane) -> &mpsc::Sender<Inbound> {
        match lane {
            Lane::Bulk => &self.bulk,
            Lane::Consensus => &self.consensus,
            Lane::Work => &self.work,
        }
    }

    pub(super) const fn rooms(&self, lane: Lane) -> &Rooms {
        match lane {
            Lane::Bulk => &self.bulk_places,
            Lane::Consensus => &self.consensus_rooms,
            Lane::Work => &self.work_rooms,
        }
    }
}

/// The two ends of all queues.
pub(super) fn channels() -> (Outlet, Inbox) {
    let (gossip, gossip_inbox) = mpsc::channel(INBOX_MAX);
    let (consensus, consensus_inbox) = mpsc::channel(INBOX_MAX);
    let (work, work_inbox) = mpsc::channel(INBOX_MAX);
    let (clients, clients_inbox) = mpsc::channel(INBOX_MAX);
    // Snapshots are large: those on their way in are few, and at most one waits to be taken.
    let (bulk, bulk_inbox) = mpsc::channel(1);
    let inbox = Inbox {
        gossip: gossip_inbox,
        consensus: consensus_inbox,
        work: work_inbox,
        clients: clients_inbox,
        bulk: bulk_inbox,
    };
    let outlet = Outlet {
        gossip,
        consensus,
        work,
        clients,
        bulk,
        consensus_rooms: Rooms::new(INBOX_BYTES_MAX),
        work_rooms: Rooms::new(INBOX_BYTES_MAX),
        clients_rooms: Rooms::new(INBOX_BYTES_MAX),
        bulk_places: Rooms::new(BULK_PLACES),
    };
    (outlet, inbox)
}

/// What waits in one queue of an inbox. An element is a batch; behind it QUIC holds senders back.
const INBOX_MAX: usize = 128;
/// Bytes of frames of one class that were read and are not dealt with: many full batches, so that a
/// scheduler never waits for the network, and little beside what it holds for good.
const INBOX_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Bulk messages that are being read, or were read and are not dealt with: snapshots are rare and may
/// be hundreds of megabytes.
const BULK_PLACES: u32 = 2;
const _: () = assert!(INBOX_BYTES_MAX as usize >= 4 * FRAME_BYTES_MAX);
