//! From the network to the actors: frames are decoded here, on the runtime's threads, and whatever
//! waits together is handed over together.

use tokio::sync::mpsc::Receiver;
use tracing::{debug, info, warn};
use umbel_protocol::id::NodeId;
use umbel_protocol::membership;
use umbel_protocol::scheduler::{Caller, Event};
use umbel_protocol::wire::hello::{NodeHello, Refusal};
use umbel_protocol::wire::{ClientFrame, Envelope, PeerMessage, decode};

use crate::actors::{Gossiped, Handles, Happened, NodeError, OwnerSpoke, Reached};
use crate::transport::{Inbound, Inbox, Lane};

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
    while inbox.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        let mut events = Vec::with_capacity(waiting.len());
        for inbound in waiting.drain(..) {
            take(inbound, &handles, &mut events).await;
        }
        if !events.is_empty() {
            handles.scheduler.deliver(Happened(events)).await;
        }
    }
}

async fn take(inbound: Inbound, handles: &Handles, events: &mut Vec<Event>) {
    match inbound {
        Inbound::ClientCame { session, name, from, .. } => {
            debug!(session, name, %from, "a client came");
        }
        Inbound::ClientFrame { session, frame } => client_frame(session, &frame, handles, events),
        Inbound::ClientGone { session } => events.push(Event::CallerGone { session }),
        Inbound::Connected { node, hello } => connected(node, &hello, handles, events).await,
        Inbound::Datagram { from, bytes } => {
            let event = membership::Event::Received { from: Some(from), data: bytes };
            if handles.gossip.try_send(Gossiped(event)).is_err() {
                debug!(?from, "a datagram was dropped: gossip is busy");
            }
        }
        Inbound::Disconnected { node, why } => {
            info!(?node, why, "a connection ended");
            handles.gossip.deliver(Gossiped(membership::Event::Silent { node })).await;
        }
        Inbound::Frame { from, lane, frame } => {
            node_frame(from, lane, &frame, handles, events).await;
        }
        Inbound::Refused { node, addr, refusal } => refused(node, addr, refusal, handles),
    }
}

fn client_frame(session: u64, frame: &[u8], handles: &Handles, events: &mut Vec<Event>) {
    match decode::<ClientFrame>(frame, Lane::Work.bytes_max()) {
        Ok(ClientFrame { id: request, request: asked }) => {
            let caller = Caller { session, request };
            events.push(Event::Asked { caller, request: asked });
        }
        Err(why) => {
            warn!(session, %why, "a client is cut off for a frame that cannot be read");
            handles.transport.close_session(session, "a frame cannot be read");
        }
    }
}

async fn connected(node: NodeId, hello: &NodeHello, handles: &Handles, events: &mut Vec<Event>) {
    info!(?node, name = hello.name, address = %hello.listen, "connected");
    let to = membership::Peer { node, address: hello.listen };
    handles.gossip.deliver(Gossiped(membership::Event::Announce { to })).await;
    handles.gossip.deliver(Gossiped(membership::Event::Heard { node })).await;
    handles.executor.deliver(Reached(node)).await;
    events.push(Event::Reached(node));
}

async fn node_frame(
    from: NodeId,
    lane: Lane,
    frame: &[u8],
    handles: &Handles,
    events: &mut Vec<Event>,
) {
    let envelope: Envelope = match decode(frame, lane.bytes_max()) {
        Ok(envelope) => envelope,
        Err(why) => {
            warn!(?from, ?lane, %why, "a frame of a node cannot be read; is it another version?");
            return;
        }
    };
    let Envelope { clock, messages } = envelope;
    let mut for_executor = Vec::new();
    let mut for_scheduler = Vec::with_capacity(messages.len());
    for message in messages {
        match message {
            PeerMessage::ToExecutor(says) => for_executor.push(says),
            other => for_scheduler.push(other),
        }
    }
    if !for_executor.is_empty() {
        handles.executor.deliver(OwnerSpoke { from, says: for_executor }).await;
    }
    if !for_scheduler.is_empty() {
        let envelope = Envelope { clock, messages: for_scheduler };
        events.push(Event::Peer { from, envelope });
    }
}

/// Some refusals mean that this very process must not go on.
fn refused(node: NodeId, addr: std::net::SocketAddr, refusal: Refusal, handles: &Handles) {
    match refusal {
        Refusal::StaleIncarnation { .. } | Refusal::InUse { .. } => {
            handles.fail(NodeError::Outdated(refusal.to_string()));
        }
        _ => warn!(?node, %addr, %refusal, "refused"),
    }
}
