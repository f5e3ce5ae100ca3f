//! A member that says what no node of ours would: it costs nobody anything.

use bytes::Bytes;

use super::lone_owner::{HOME, LoneOwner, PARTITION, batch, lessee, task, template};
use crate::durable::{Copies, EntryKind, LogEntry, Snapshot};
use crate::group::{Body, GroupMessage, RaftKind, RaftMessage};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::task::State;
use crate::wire::{ExecutorSays, PeerMessage};

const FAR: NodeId = NodeId(9 << 96);

#[test]
fn more_slots_than_can_be_counted_are_as_many_as_can_be() {
    let mut owner = LoneOwner::new(0);
    owner.introduce(lessee(FAR), 1);
    for _ in 0..3 {
        let slots = vec![u32::MAX; 1_000];
        owner.executor(ExecutorSays::Grant { lessee: lessee(FAR), slots });
    }
    owner.submit(batch(template("add"), [task(1)]));
    assert_eq!(owner.record(task(1)).unwrap().state(), State::Leased);
    let (idle, ..) = owner.scheduler.idle();
    let far = idle.iter().find(|(holder, _)| *holder == lessee(FAR)).unwrap();
    assert!(far.1.len() <= 256, "there are no more pools than that");
}

fn message(kind: RaftKind) -> RaftMessage {
    RaftMessage {
        kind,
        term: 2,
        log_term: 1,
        index: 1,
        entries: Vec::new(),
        commit: 0,
        commit_term: 0,
        snapshot: None,
        request_snapshot: 0,
        reject: false,
        reject_hint: 0,
        context: Bytes::new(),
    }
}

fn entry(index: u64, term: u64) -> LogEntry {
    LogEntry { index, term, kind: EntryKind::Commands, data: Bytes::new() }
}

/// What would make the library, or the log beneath it, panic.
fn noise() -> Vec<RaftMessage> {
    let higher = |kind| RaftMessage { term: 9, ..message(kind) };
    let state = |copies| Snapshot {
        index: 100,
        term: 9,
        copies,
        data: Bytes::from_static(b"no state at all"),
    };
    let membership = LogEntry {
        kind: EntryKind::Membership,
        data: Bytes::from_static(&[255; 9]),
        ..entry(2, 9)
    };
    vec![
        higher(RaftKind::ReadIndex),
        higher(RaftKind::ReadIndexResponse),
        higher(RaftKind::TransferLeader),
        RaftMessage { commit: 1_000, ..higher(RaftKind::Heartbeat) },
        RaftMessage { entries: vec![entry(2, 9), entry(4, 9)], ..higher(RaftKind::Append) },
        RaftMessage { entries: vec![entry(9, 9)], ..higher(RaftKind::Append) },
        RaftMessage { entries: vec![entry(2, 10)], ..higher(RaftKind::Append) },
        RaftMessage { index: u64::MAX, entries: vec![entry(0, 9)], ..higher(RaftKind::Append) },
        RaftMessage { entries: vec![membership], commit: 2, ..higher(RaftKind::Append) },
        RaftMessage { term: 0, ..message(RaftKind::Append) },
        RaftMessage { term: 0, ..message(RaftKind::Vote) },
        RaftMessage { index: 1_000, ..message(RaftKind::AppendResponse) },
        RaftMessage {
            request_snapshot: u64::MAX,
            reject: true,
            ..message(RaftKind::AppendResponse)
        },
        RaftMessage { snapshot: Some(state(Copies::default())), ..higher(RaftKind::Snapshot) },
    ]
}

#[test]
fn messages_that_no_copy_sends_change_nothing() {
    for raft in noise() {
        let mut owner = LoneOwner::new(1);
        let shown = format!("{raft:?}");
        let (group, from, to) = (GroupId::of(PARTITION), ReplicaId(2), ReplicaId::FIRST);
        let message = GroupMessage { group, from, to, body: Body::Raft(Box::new(raft)) };
        owner.peer(FAR, PeerMessage::Group(vec![message]));
        owner.submit(batch(template("add"), [task(1)]));
        let record = owner.record(task(1)).unwrap_or_else(|| panic!("{HOME:?} lost it: {shown}"));
        assert_eq!(record.state(), State::Leased, "{shown}");
    }
}
