//! A member that says what no node of ours would: it costs nobody anything.

use bytes::Bytes;

use super::Effect;
use super::lone_owner::{HOME, LoneOwner, PARTITION, START, batch, lessee, task, template};
use crate::durable::{Copies, EntryKind, LogEntry, Snapshot};
use crate::group::{Body, Change, GroupMessage, RaftKind, RaftMessage};
use crate::id::{GroupId, NodeId, PartitionId, ReplicaId};
use crate::partition::{Command, Grant, Proposal};
use crate::task::State;
use crate::time::Span;
use crate::wire::{ExecutorSays, PeerMessage, encode};

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

/// A leader on another node has had this written and committed.
fn committed(entries: Vec<LogEntry>) -> RaftMessage {
    let commit = entries.last().map_or(0, |last| last.index);
    RaftMessage { term: 9, index: 2, log_term: 2, entries, commit, ..message(RaftKind::Append) }
}

fn say(owner: &mut LoneOwner, group: GroupId, to: ReplicaId, raft: RaftMessage) {
    let body = Body::Raft(Box::new(raft));
    let message = GroupMessage { group, from: ReplicaId(2), to, body };
    owner.peer(FAR, PeerMessage::Group(vec![message]));
}

/// What was passed over since this was last asked: of which groups, which entries.
fn passed_over(owner: &mut LoneOwner) -> Vec<(GroupId, u64)> {
    let said = std::mem::take(&mut owner.said).into_iter();
    let told = said.filter_map(|effect| match effect {
        Effect::PassedOver { group, index, why } => {
            assert!(!why.is_empty());
            Some((group, index))
        }
        _ => None,
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told
}

#[test]
fn entries_that_make_no_sense_have_no_effect_and_are_told() {
    let garbage = |index, kind, data: &'static [u8]| LogEntry {
        kind,
        data: Bytes::from_static(data),
        ..entry(index, 9)
    };
    let nobody = Change { removed: vec![ReplicaId::FIRST], ..Change::default() };
    let nobody =
        LogEntry { kind: EntryKind::Membership, data: encode(&nobody).into(), ..entry(5, 9) };
    // Its own empty entry of term 2 stands before them.
    let entries = vec![
        garbage(3, EntryKind::Commands, b"no proposal"),
        garbage(4, EntryKind::Commands, &[255; 40]),
        nobody,
        // It leaves a joint configuration, and there is none.
        LogEntry { kind: EntryKind::Membership, ..entry(6, 9) },
    ];
    for group in [GroupId::of(PARTITION), GroupId::META] {
        let mut owner = LoneOwner::new(1);
        let applied = |owner: &LoneOwner| owner.scheduler.copy(group).unwrap().applied();
        owner.is_fed_garbage = true;
        assert_eq!(applied(&owner), 2);
        let before = owner.scheduler.copy(group).unwrap().to_bytes();
        say(&mut owner, group, ReplicaId::FIRST, committed(entries.clone()));
        assert_eq!(applied(&owner), 6);
        assert_eq!(passed_over(&mut owner), [3, 4, 5, 6].map(|index| (group, index)));
        assert!(owner.scheduler.copy(group).unwrap().to_bytes() == before);
        // It goes on, once it leads again.
        owner.pass(Span::from_millis(10_000));
        owner.submit(batch(template("add"), [task(1)]));
        assert_eq!(owner.record(task(1)).unwrap().state(), State::Leased);
        assert_eq!(passed_over(&mut owner), []);
    }
}

#[test]
fn slots_without_number_are_no_more_than_can_be_used() {
    let batch = batch(template("add"), [task(1), task(2)]);
    let all = Grant { lessee: lessee(FAR), rows: u32::MAX };
    let accept = Command::Accept { batch: batch.into(), grants: vec![all; 9] };
    let proposal = Proposal::new(9, START, vec![accept]);
    let mut owner = LoneOwner::new(1);
    let entry = LogEntry { data: proposal.to_bytes().into(), ..entry(3, 9) };
    say(&mut owner, GroupId::of(PARTITION), ReplicaId::FIRST, committed(vec![entry]));
    for n in [1, 2] {
        assert_eq!(owner.record(task(n)).unwrap().state(), State::Leased);
    }
}

#[test]
fn a_new_copy_takes_no_entries_before_it_has_a_state() {
    let mut owner = LoneOwner::new(1);
    let (group, copy) = (GroupId::of(PartitionId(1)), ReplicaId(3));
    say(&mut owner, group, copy, RaftMessage { term: 9, ..message(RaftKind::Heartbeat) });
    assert!(owner.scheduler.copy(group).is_some(), "a leader spoke to it");
    let entries = vec![entry(1, 9), LogEntry { data: Bytes::from_static(b"x"), ..entry(2, 9) }];
    let from_nothing = RaftMessage { index: 0, log_term: 0, ..committed(entries) };
    say(&mut owner, group, copy, from_nothing);
    owner.pass(Span::from_millis(1_000));
    assert_eq!(owner.scheduler.copy(group).unwrap().applied(), 0);
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
