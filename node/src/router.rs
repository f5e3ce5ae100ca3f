//! From the network to the actors: frames are decoded here, on the runtime's threads, and whatever
//! waits together is handed over together, with the room that it takes until it is dealt with.

use tokio::sync::mpsc::Receiver;
use tracing::{debug, info, warn};
use umbel_protocol::id::NodeId;
use umbel_protocol::membership;
use umbel_protocol::scheduler::{Caller, Event};
use umbel_protocol::ways;
use umbel_protocol::wire::hello::{NodeHello, Refusal};
use umbel_protocol::wire::{ClientFrame, Envelope, PeerMessage, Relayed, Said, decode_from};

use crate::actors::{Arrived, Gossiped, Handles, NodeError, OwnerSpoke, OwnersRelayed, Reached};
use crate::transport::{Inbound, Inbox, Lane, Room, Throttle};

/// Frames that are handed over as one message.
const TOGETHER_MAX: usize = 64;

/// Takes everything that comes in to where it belongs, until the transport is closed.
pub(crate) fn route(inbox: Inbox, handles: &Handles) {
    let Inbox { gossip, consensus, work, clients, bulk } = inbox;
    for frames in [gossip, consensus, work, clients, bulk] {
        handles.spawn(pump(frames, handles.clone()));
    }
}

async fn pump(mut inbox: Receiver<Inbound>, handles: Handles) {
    let mut waiting = Vec::with_capacity(TOGETHER_MAX);
    let unreadable = Throttle::default();
    while inbox.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        let events = Vec::with_capacity(waiting.len());
        let mut arrived = Arrived { events, rooms: Vec::new() };
        for inbound in waiting.drain(..) {
            take(inbound, &handles, &unreadable, &mut arrived).await;
        }
        if !arrived.events.is_empty() {
            handles.scheduler.deliver(arrived).await;
        }
    }
}

async fn take(inbound: Inbound, handles: &Handles, unreadable: &Throttle, arrived: &mut Arrived) {
    let events = &mut arrived.events;
    match inbound {
        Inbound::Broken { what } => handles.fail(NodeError::Panicked { what }),
        Inbound::ClientCame { session, name, from, .. } => {
            debug!(session, name, %from, "a client came");
        }
        Inbound::ClientFrame { session, version, frame, room } => {
            client_frame((session, version), &frame, handles, unreadable, events);
            arrived.rooms.push(room);
        }
        Inbound::ClientGone { session } => events.push(Event::CallerGone { session }),
        Inbound::Connected { node, version, hello } => {
            connected(node, version, &hello, handles, events);
        }
        Inbound::Datagram { from, bytes } => {
            let event = membership::Event::Received { from: Some(from), data: bytes };
            if handles.gossip.try_send(Gossiped(event)).is_err() {
                debug!(?from, "a datagram was dropped: gossip is busy");
            }
        }
        Inbound::Disconnected { node, why } => {
            info!(id = %node, why, "disconnected from node {}", handles.transport.called(node));
            handles.ways.note(ways::Event::Disconnected(node));
            handles.tell(&handles.gossip, Gossiped(membership::Event::Silent { node }));
        }
        Inbound::Frame { from, version, lane, frame, room } => {
            match decode_from(version, &frame, lane.bytes_max()) {
                Ok(envelope) => {
                    // What was read takes as much as the frame, which is not needed any more.
                    drop(frame);
                    node_says(from, envelope, room, handles, arrived).await;
                }
                Err(why) => {
                    if let Some(suppressed) = unreadable.pass() {
                        warn!(
                            from = handles.transport.called(from), version, ?lane, %why, suppressed,
                            "a frame of a node cannot be read"
                        );
                    }
                }
            }
        }
        Inbound::Reached { node } => reached(node, handles).await,
        Inbound::Refused { node, addr, refusal } => refused(node, addr, refusal, handles),
    }
}

fn client_frame(
    (session, version): (u64, u16),
    frame: &[u8],
    handles: &Handles,
    unreadable: &Throttle,
    events: &mut Vec<Event>,
) {
    match decode_from::<ClientFrame>(version, frame, Lane::Work.bytes_max()) {
        Ok(ClientFrame { id: request, request: asked }) => {
            let caller = Caller { session, request };
            events.push(Event::Asked { caller, request: asked });
        }
        Err(why) => {
            if let Some(suppressed) = unreadable.pass() {
                warn!(
                    session, version, %why, suppressed,
                    "a client is cut off for a frame that cannot be read"
                );
            }
            handles.transport.close_session(session, "a frame cannot be read");
        }
    }
}

/// Waits for nobody: votes of other nodes may be behind this, and an actor that is just being built
/// hears of it later.
fn connected(
    node: NodeId,
    version: u16,
    hello: &NodeHello,
    handles: &Handles,
    events: &mut Vec<Event>,
) {
    info!(id = %node, address = %hello.listen, version, "connected to node {}", hello.name);
    handles.ways.note(ways::Event::Connected(node));
    let to = membership::Peer { node, address: hello.listen };
    handles.tell(&handles.gossip, Gossiped(membership::Event::Announce { to }));
    handles.tell(&handles.gossip, Gossiped(membership::Event::Heard { node }));
    events.push(Event::Reached { node, version });
}

/// The executor must know of a new connection before it hears anything that came over it. One that is
/// just being built hears of it later, and has forgotten nothing.
async fn reached(node: NodeId, handles: &Handles) {
    if handles.executor.addr().is_some() {
        handles.executor.deliver(Reached(node)).await;
    } else {
        handles.tell(&handles.executor, Reached(node));
    }
}

async fn node_says(
    from: NodeId,
    envelope: Envelope,
    room: Room,
    handles: &Handles,
    arrived: &mut Arrived,
) {
    let Envelope { clock, synced, messages } = envelope;
    handles.transport.note_synced(from, synced);
    let mut for_executor = Vec::new();
    let mut for_scheduler = Vec::with_capacity(messages.len());
    let mut for_relay = Vec::new();
    for message in messages {
        match message {
            PeerMessage::NoWay { to } => handles.ways.note(ways::Event::NoWay { via: from, to }),
            PeerMessage::Relay(relayed) => for_relay.push(*relayed),
            PeerMessage::ToExecutor(says) => for_executor.push(says),
            other => for_scheduler.push(other),
        }
    }
    // It was said to an executor that is no more, if there is none: its successor introduces itself.
    if !for_executor.is_empty() && handles.executor.addr().is_some() {
        let room = Some(room.clone());
        handles.executor.deliver(OwnerSpoke { from, says: for_executor, room }).await;
    }
    if !for_scheduler.is_empty() {
        let envelope = Envelope { clock, synced, messages: for_scheduler };
        arrived.events.push(Event::Peer { from, envelope });
        arrived.rooms.push(room.clone());
    }
    if !for_relay.is_empty() {
        relay(from, for_relay, room, handles, arrived).await;
    }
}

/// Takes what came through others, and gives others what goes on.
async fn relay(
    sender: NodeId,
    relayed: Vec<Relayed>,
    room: Room,
    handles: &Handles,
    arrived: &mut Arrived,
) {
    let mut for_executor = Vec::new();
    for (from, said) in handles.ways.relay(sender, relayed) {
        match said {
            Said::FromExecutor(says) => {
                arrived.events.push(Event::Executor(says));
                arrived.rooms.push(room.clone());
            }
            Said::ToExecutor(says) => for_executor.push((from, says)),
        }
    }
    if !for_executor.is_empty() && handles.executor.addr().is_some() {
        handles.executor.deliver(OwnersRelayed { relayed: for_executor, room }).await;
    }
}

/// Some refusals mean that this very process must not go on. Not if a namesake says so: the word of
/// others decides which of the two is the copy.
fn refused(by: NodeId, addr: std::net::SocketAddr, refusal: Refusal, handles: &Handles) {
    let me = handles.transport.own().node;
    match refusal {
        Refusal::StaleIncarnation { node, .. }
        | Refusal::InUse { node, .. }
        | Refusal::RolledBack { node, .. }
            if node == me && by != me =>
        {
            handles.fail(NodeError::Outdated(refusal.to_string()));
        }
        _ => debug!(by = handles.transport.called(by), %addr, %refusal, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use umbel_protocol::id::Incarnation;

    use super::*;
    use crate::Node;

    async fn lone(dir: &std::path::Path) -> Node {
        let node = Node::builder().name("a").data(dir.join("a"));
        node.listen(([127, 0, 0, 1], 0).into()).start().await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_connection_waits_for_no_actor_that_is_being_built() {
        let dir = tempfile::tempdir().unwrap();
        let node = lone(dir.path()).await;
        let handles = node.handles();
        handles.executor.empty();
        handles.gossip.empty();
        let hello = NodeHello {
            node: NodeId(7),
            incarnation: Incarnation(1),
            start: 1,
            synced: 0,
            name: "b".to_owned(),
            listen: node.address(),
            cluster: None,
            cluster_name: "test".to_owned(),
        };
        let (node, hello) = (NodeId(7), Box::new(hello));
        let mut arrived = Arrived { events: Vec::new(), rooms: Vec::new() };
        for inbound in [
            Inbound::Connected { node, version: 1, hello },
            Inbound::Reached { node },
            Inbound::Disconnected { node, why: "a test".to_owned() },
        ] {
            let unreadable = Throttle::default();
            let taken = take(inbound, handles, &unreadable, &mut arrived).now_or_never();
            assert!(taken.is_some(), "what comes behind it waits");
        }
        assert!(matches!(arrived.events[..], [Event::Reached { node: NodeId(7), version: 1 }]));
    }

    #[cfg(feature = "cli")]
    #[tokio::test(flavor = "multi_thread")]
    async fn frames_that_cannot_be_read_are_told_of_once() {
        let dir = tempfile::tempdir().unwrap();
        let node = lone(dir.path()).await;
        let log = crate::log_capture::LogCapture::begin();
        let unreadable = Throttle::default();
        let mut arrived = Arrived { events: Vec::new(), rooms: Vec::new() };
        for _ in 0..100 {
            let (from, lane, frame) = (NodeId(7), Lane::Work, vec![255; 3].into());
            let inbound = Inbound::Frame { from, version: 1, lane, frame, room: Room::NONE };
            take(inbound, node.handles(), &unreadable, &mut arrived).await;
        }
        assert_eq!(log.lines("a frame of a node cannot be read").len(), 1);
        // Lanes of clients and of nodes are not the same, so they do not share one.
        let unreadable = Throttle::default();
        for session in 0..100 {
            let (frame, room) = (vec![255; 3].into(), Room::NONE);
            let inbound = Inbound::ClientFrame { session, version: 1, frame, room };
            take(inbound, node.handles(), &unreadable, &mut arrived).await;
        }
        assert_eq!(log.lines("a client is cut off").len(), 1);
        assert!(arrived.events.is_empty());
        node.stop().await;
    }
}
