//! Frames to other nodes: cut where they would be too long, on the lane where they belong.

use tracing::{debug, error, trace};
use umbel_protocol::group::{Body, GroupMessage};
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::wire::{Envelope, PeerMessage, encode};

use crate::clock::wall;
use crate::transport::{Lane, Transport};

/// A state larger than this travels alone, so that votes need not wait behind it.
const BULK_BYTES_MIN: usize = 64 * 1024;

/// Sends `messages` to `to`. What cannot be sent is dropped: everything said between nodes is
/// repeated until it is answered.
pub(crate) fn send_envelopes(
    transport: &Transport,
    to: NodeId,
    urgent: bool,
    messages: Vec<PeerMessage>,
) {
    let lane = if urgent { Lane::Consensus } else { Lane::Work };
    let (bulk, messages) = split_bulk(messages);
    for message in bulk {
        send(transport, to, Lane::Bulk, vec![message]);
    }
    if !messages.is_empty() {
        send(transport, to, lane, messages);
    }
}

fn send(transport: &Transport, to: NodeId, lane: Lane, messages: Vec<PeerMessage>) {
    let envelope = Envelope { clock: wall(), messages };
    let frame = encode(&envelope);
    if frame.len() > FRAME_BYTES_MAX && lane != Lane::Bulk {
        let parts = halves(envelope.messages);
        if parts.is_empty() {
            // It would be dropped again each time it is repeated.
            error!(?to, ?lane, bytes = frame.len(), "a message that fits no frame was dropped");
        }
        for half in parts {
            send(transport, to, lane, half);
        }
        return;
    }
    trace!(?to, ?lane, bytes = frame.len(), "sending");
    if let Err(why) = transport.send(to, lane, frame.into()) {
        debug!(?to, ?lane, %why, "a frame was dropped");
    }
}

/// Takes out what travels alone.
fn split_bulk(messages: Vec<PeerMessage>) -> (Vec<PeerMessage>, Vec<PeerMessage>) {
    let mut bulk = Vec::new();
    let mut rest = Vec::with_capacity(messages.len());
    for message in messages {
        match message {
            PeerMessage::Group(group) => {
                let (large, small): (Vec<_>, Vec<_>) = group.into_iter().partition(is_bulk);
                bulk.extend(large.into_iter().map(|message| PeerMessage::Group(vec![message])));
                if !small.is_empty() {
                    rest.push(PeerMessage::Group(small));
                }
            }
            other => rest.push(other),
        }
    }
    (bulk, rest)
}

fn is_bulk(message: &GroupMessage) -> bool {
    matches!(&message.body, Body::Raft(raft)
        if raft.snapshot.as_ref().is_some_and(|state| state.data.len() > BULK_BYTES_MIN))
}

/// Two parts of what does not fit into one frame. One message alone always fits: whoever makes one
/// keeps it to a batch.
fn halves(mut messages: Vec<PeerMessage>) -> Vec<Vec<PeerMessage>> {
    if messages.len() > 1 {
        let second = messages.split_off(messages.len() / 2);
        return vec![messages, second];
    }
    match messages.pop() {
        Some(PeerMessage::Group(mut group)) if group.len() > 1 => {
            let second = group.split_off(group.len() / 2);
            vec![vec![PeerMessage::Group(group)], vec![PeerMessage::Group(second)]]
        }
        _ => Vec::new(),
    }
}
