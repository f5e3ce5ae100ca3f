//! Frames to other nodes: cut where they would be too long, on the lane where they belong.

use bytes::Bytes;
use tracing::{debug, error, trace, warn};
use umbel_protocol::group::{Body, GroupMessage};
use umbel_protocol::id::NodeId;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::wire::{Answer, Envelope, PeerMessage, RequestError, ServerFrame, encode_for};

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
    // Nobody is there to be told: it will be said again.
    let Some(version) = transport.version(to) else { return };
    let lane = if urgent { Lane::Consensus } else { Lane::Work };
    let (bulk, messages) = split_bulk(messages);
    for message in bulk {
        send(transport, (to, version), Lane::Bulk, vec![message]);
    }
    if !messages.is_empty() {
        send(transport, (to, version), lane, messages);
    }
}

fn send(
    transport: &Transport,
    (to, version): (NodeId, u16),
    lane: Lane,
    messages: Vec<PeerMessage>,
) {
    let envelope =
        Envelope { clock: transport.clock().wall(), synced: transport.synced(), messages };
    let frame = encode_for(version, &envelope);
    if frame.len() > FRAME_BYTES_MAX && lane != Lane::Bulk {
        for part in parts(envelope.messages, frame.len()) {
            send(transport, (to, version), lane, part);
        }
        return;
    }
    trace!(?to, version, ?lane, bytes = frame.len(), "sending");
    if let Err(why) = transport.send(to, lane, frame.into()) {
        debug!(?to, ?lane, %why, "a frame was dropped");
    }
}

/// What a client is answered: that the answer is too long, if it is.
pub(crate) fn answer_frame(version: u16, id: u64, answer: Answer) -> Bytes {
    let frame = encode_for(version, &ServerFrame { id, answer });
    if frame.len() <= FRAME_BYTES_MAX {
        return frame.into();
    }
    warn!(id, bytes = frame.len(), "an answer does not fit into a frame");
    encode_for(version, &ServerFrame { id, answer: too_long(frame.len()) }).into()
}

fn too_long(bytes: usize) -> Answer {
    Answer::Failed(RequestError::TooLong { bytes: u64::try_from(bytes).unwrap_or(u64::MAX) })
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

/// Smaller parts of what takes `bytes` and does not fit into one frame. An answer that cannot be
/// made smaller becomes an error that says so.
fn parts(mut messages: Vec<PeerMessage>, bytes: usize) -> Vec<Vec<PeerMessage>> {
    if messages.len() > 1 {
        let second = messages.split_off(messages.len() / 2);
        return vec![messages, second];
    }
    match messages.pop() {
        Some(PeerMessage::Group(mut group)) if group.len() > 1 => {
            let second = group.split_off(group.len() / 2);
            vec![vec![PeerMessage::Group(group)], vec![PeerMessage::Group(second)]]
        }
        Some(PeerMessage::Answer { id, answer }) => {
            warn!(id, bytes, answer = kind(&answer), "an answer does not fit into a frame");
            vec![vec![PeerMessage::Answer { id, answer: too_long(bytes) }]]
        }
        // Whoever makes one of the others keeps it to a batch: this is a bug of ours.
        Some(message) => {
            error!(bytes, message = what(&message), "a message does not fit into a frame");
            Vec::new()
        }
        None => Vec::new(),
    }
}

const fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Claims(_) => "claims",
        Answer::Done => "done",
        Answer::Failed(_) => "failed",
        Answer::File(_) => "file",
        Answer::Job(_) => "job",
        Answer::Jobs { .. } => "jobs",
        Answer::Queues { .. } => "queues",
        Answer::TaskGroup { .. } => "group",
        Answer::TaskGroupParts(_) => "group parts",
        Answer::News(_) => "news",
        Answer::Reloaded(_) => "reloaded",
        Answer::Finished(_) => "finished",
        Answer::Status(_) => "status",
        Answer::Submitted { .. } => "submitted",
        Answer::Tasks { .. } => "tasks",
        Answer::View(_) => "view",
        Answer::Waiting => "waiting",
        Answer::Welcome(_) => "welcome",
    }
}

const fn what(message: &PeerMessage) -> &'static str {
    match message {
        PeerMessage::Answer { .. } => "answer",
        PeerMessage::Ask { .. } => "ask",
        PeerMessage::FromExecutor(_) => "from-executor",
        PeerMessage::Group(_) => "group",
        PeerMessage::Join(_) => "join",
        PeerMessage::Joined(_) => "joined",
        PeerMessage::Meta(_) => "meta",
        PeerMessage::MetaVersion(_) => "meta-version",
        PeerMessage::NoWay { .. } => "no-way",
        PeerMessage::Relay(_) => "relay",
        PeerMessage::ToExecutor(_) => "to-executor",
        PeerMessage::AskPermits(_) => "ask-permits",
        PeerMessage::Permits(_) => "permits",
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::{PartitionId, TaskId};
    use umbel_protocol::task::{Failure, FailureKind, State};
    use umbel_protocol::wire::{Ending, decode, encode};

    use super::*;
    use crate::clock::wall;

    /// The ends of so many tasks that no frame holds them.
    fn long() -> Answer {
        let ending = |n: u64| Ending {
            task: TaskId::new(wall(), PartitionId(1), n),
            state: State::Dead,
            result: None,
            error: Some(Failure::new(FailureKind::Error, "x".repeat(8_000))),
        };
        Answer::Finished((0..1_100).map(ending).collect())
    }

    #[test]
    fn a_client_is_told_that_its_answer_is_too_long() {
        let frame = answer_frame(1, 7, long());
        let ServerFrame { id, answer } = decode(&frame, FRAME_BYTES_MAX).expect("it fits");
        assert_eq!(id, 7);
        assert!(
            matches!(answer, Answer::Failed(RequestError::TooLong { bytes }) if bytes > 8_800_000),
            "{answer:?}"
        );
    }

    #[test]
    fn a_node_is_told_so_too_and_gets_all_else() {
        let others = [PeerMessage::MetaVersion(1), PeerMessage::MetaVersion(2)];
        let [one, two] = others.clone();
        let mut left = vec![vec![one, PeerMessage::Answer { id: 7, answer: long() }, two]];
        let mut sent = Vec::new();
        while let Some(messages) = left.pop() {
            let bytes = encode(&messages).len();
            if bytes > FRAME_BYTES_MAX {
                left.extend(parts(messages, bytes));
            } else {
                sent.extend(messages);
            }
        }
        assert_eq!(sent.len(), 3);
        assert!(others.iter().all(|other| sent.contains(other)));
        let told = |message: &PeerMessage| {
            matches!(message, PeerMessage::Answer { id: 7, answer: Answer::Failed(_) })
        };
        assert!(sent.iter().any(told), "{sent:?}");
    }
}
