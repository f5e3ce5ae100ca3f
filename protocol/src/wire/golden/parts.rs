//! What the messages, the log and the snapshots are made of.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::samples::{
    AT, LESSEE, NODE, PARTITION, TOKEN, batch, failure, group_message, join, labels, meta,
    raft_message, rule, task,
};
use super::{
    VECTORS_2, check, check_bytes, check_in, check_struct, encode_for, golden, jobs, read_vectors,
    vectors,
};
use crate::durable::{EntryKind, HardState};
use crate::group::{Body, RaftKind};
use crate::id::TaskId;
use crate::job::Labels;
use crate::membership::{Condition, Liveness};
use crate::meta::{Join, JoinRefusal, Meta, MetaCommand, PartingRefusal, RuleChange, Subject};
use crate::partition::{Command, Grant, Loss, Partition, Proposal, Refusal, Report, Shelves};
use crate::task::{Batch, Row};
use crate::task::{FailureKind, InvalidBatch, Lease, Outcome, Phase, RunEnd, State, Template};
use crate::time::{Span, Wall};

golden! {
    Body { Raft, Sleep, Slept, Gone, Stray, Lost }
    RaftKind {
        Append, AppendResponse, Heartbeat, HeartbeatResponse, PreVote, PreVoteResponse, ReadIndex,
        ReadIndexResponse, Snapshot, TimeoutNow, TransferLeader, Vote, VoteResponse,
    }
    EntryKind { Commands, Membership }
    Command {
        Accept, Lease, Report, Release, Lose, Pardon, Cancel, Expire, Forget, ChangeJob, Fire, RunNow,
        Alert, NoteUnreported, GiveUp, Retry, Delete, ForgetTimed, Withdraw,
    }
    Loss { Restarted, Unheard }
    Refusal { Conflict, Overloaded, TooOld, TooEarly, WrongPartition, TooFar, Exists, NotUnique, TooManyKeys }
    MetaCommand { Join, Drain, Forget, Raise, Label, File, Rule, FileRules }
    JoinRefusal { OtherCluster, NameTaken, Full, Forgotten }
    PartingRefusal { NoMember, LastOne, InUse }
    Liveness { Alive, Suspect, Down }
    Condition { Serving, Leaving, DiskFull, DiskSlow, Starved }
    Outcome { Cancelled, Failed, Succeeded, Deferred, Dropped, Snoozed }
    FailureKind {
        BadArguments, Crashed, Error, Panicked, Permanent, TimedOut, TooLarge, Deadline, Dropped, Lost,
    }
    Phase { Scheduled, Ready, Leased, Succeeded, Dead, Cancelled, Expired }
    State { Scheduled, Ready, Leased, Succeeded, Dead, Cancelled, Expired }
    RunEnd { Cancelled, CutOff, Failed, Lost, NeverHad, Succeeded, Unheard, Dropped, Snoozed }
    InvalidBatch {
        ArgsTooLarge, Name, NoTemplate, Option, TooManyBytes, TooManyTasks, Partition, Derived, Conflicting,
        Misplaced,
    }
}

#[test]
fn between_copies() {
    check(&[
        Body::Raft(Box::new(raft_message())),
        Body::Sleep { term: 3, index: 1_000 },
        Body::Slept { term: 3, index: 1_000 },
        Body::Gone,
        Body::Stray,
        Body::Lost,
    ]);
    check_struct("GroupMessage", &group_message(Body::Gone));
    check(&[
        RaftKind::Append,
        RaftKind::AppendResponse,
        RaftKind::Heartbeat,
        RaftKind::HeartbeatResponse,
        RaftKind::PreVote,
        RaftKind::PreVoteResponse,
        RaftKind::ReadIndex,
        RaftKind::ReadIndexResponse,
        RaftKind::Snapshot,
        RaftKind::TimeoutNow,
        RaftKind::TransferLeader,
        RaftKind::Vote,
        RaftKind::VoteResponse,
    ]);
    check(&[EntryKind::Commands, EntryKind::Membership]);
    check_struct("HardState", &HardState { term: 3, vote: 2, commit: 1_000 });
}

#[test]
fn in_the_log_of_a_partition() {
    let runs = vec![(task(1), TOKEN)];
    let outcome = Outcome::Succeeded(Bytes::from_static(b"3"));
    let reports = vec![Report { task: task(1), token: TOKEN, outcome }];
    let finished = Shelves { succeeded: 300, stopped: 2, dead: 1 };
    let tasks = [
        Command::Accept { batch: batch(), grants: vec![Grant { lessee: LESSEE, rows: 1 }] },
        Command::Lease { lessee: LESSEE, tasks: vec![task(1), task(2)] },
        Command::Report { lessee: LESSEE, reports },
        Command::Release { runs },
        Command::Lose { lessee: LESSEE, loss: Loss::Unheard, hold: Span::from_millis(600_000) },
        Command::Pardon { lessee: LESSEE },
        Command::Cancel { task: task(1) },
        Command::Expire { tasks: vec![task(1)] },
        Command::Forget { finished, floor: AT },
    ];
    let hold = Span::from_millis(600_000);
    let late = [
        Command::GiveUp { lessee: LESSEE, runs: vec![(task(1), TOKEN)], hold },
        Command::Retry { task: task(1), id: task(2) },
        Command::Delete { task: task(1) },
        Command::ForgetTimed { tasks: 9, until: AT },
        Command::Withdraw { task: task(1) },
    ];
    let commands: Vec<Command> = tasks.into_iter().chain(jobs::commands()).chain(late).collect();
    check(&commands);
    let proposal = Proposal::new(3, AT, commands);
    check_bytes(&BTreeMap::from([("Proposal".to_owned(), proposal.to_bytes())]));
    assert_eq!(Proposal::from_bytes(&vectors()["Proposal"]), Ok(proposal));
    let before = &read_vectors(VECTORS_2)["Proposal"];
    let read = Proposal::from_bytes(before).unwrap();
    assert_eq!((read.version, &read.to_bytes()), (2, before));
    check(&[Loss::Restarted, Loss::Unheard]);
    check(&[
        Refusal::Conflict,
        Refusal::Overloaded,
        Refusal::TooOld,
        Refusal::TooEarly,
        Refusal::WrongPartition,
        Refusal::TooFar,
        Refusal::Exists { task: task(1) },
        Refusal::NotUnique { task: task(1) },
        Refusal::TooManyKeys,
    ]);
}

#[test]
fn in_the_log_of_the_meta_group() {
    let unlabelled = Join { labels: Labels::NONE, ..join() };
    let commands = [
        MetaCommand::Join { join: unlabelled, at: AT },
        MetaCommand::Drain { node: NODE, draining: true },
        MetaCommand::Forget { node: NODE },
        MetaCommand::Raise { version: 2 },
        MetaCommand::Label { node: NODE, labels: labels() },
        MetaCommand::File { hash: 0x1234_5678, deliberate: true },
        MetaCommand::Rule {
            subject: Subject::Queue("mail".into()),
            change: RuleChange::Say(rule()),
        },
        MetaCommand::FileRules { number: 3, rules: [(Subject::Tasks("a*".into()), rule())].into() },
    ];
    check_in(1, &commands);
    for command in commands {
        assert_eq!(command.to_bytes(), encode_for(1, &command));
    }
    check(&[
        PartingRefusal::NoMember { node: NODE },
        PartingRefusal::LastOne { node: NODE },
        PartingRefusal::InUse { node: NODE },
    ]);
    check(&[
        Condition::Serving,
        Condition::Leaving,
        Condition::DiskFull,
        Condition::DiskSlow,
        Condition::Starved,
    ]);
    check(&[
        JoinRefusal::OtherCluster { name: "prod".into() },
        JoinRefusal::NameTaken { name: "a".into() },
        JoinRefusal::Full,
        JoinRefusal::Forgotten,
    ]);
    check(&[Liveness::Alive, Liveness::Suspect, Liveness::Down]);
}

#[test]
fn of_a_task() {
    check(&[
        Outcome::Cancelled,
        Outcome::Failed(failure()),
        Outcome::Succeeded(Bytes::from_static(b"3")),
        Outcome::Deferred { failure: failure(), pause: Span::from_millis(7) },
        Outcome::Dropped(failure()),
        Outcome::Snoozed { pause: Span::from_millis(7) },
    ]);
    check(&[
        FailureKind::BadArguments,
        FailureKind::Crashed,
        FailureKind::Error,
        FailureKind::Panicked,
        FailureKind::Permanent,
        FailureKind::TimedOut,
        FailureKind::TooLarge,
        FailureKind::Deadline,
        FailureKind::Dropped,
        FailureKind::Lost,
    ]);
    let lease = Lease { lessee: LESSEE, token: TOKEN, since: AT, cancelling: true };
    check(&[
        Phase::Scheduled { not_before: AT },
        Phase::Ready,
        Phase::Leased(Box::new(lease)),
        Phase::Succeeded(Bytes::from_static(b"3")),
        Phase::Dead(Box::new(failure())),
        Phase::Cancelled,
        Phase::Expired,
    ]);
    check(&State::ALL);
    check(&[
        RunEnd::Cancelled,
        RunEnd::CutOff,
        RunEnd::Failed(FailureKind::Panicked),
        RunEnd::Lost,
        RunEnd::NeverHad,
        RunEnd::Succeeded,
        RunEnd::Unheard,
        RunEnd::Dropped,
        RunEnd::Snoozed,
    ]);
    check(&[
        InvalidBatch::ArgsTooLarge { row: task(1), bytes: 2_000_000 },
        InvalidBatch::Name { what: "queue".into(), name: "a b".into() },
        InvalidBatch::NoTemplate { row: task(1) },
        InvalidBatch::Option { what: "priority".into(), range: "0 to 9".into() },
        InvalidBatch::TooManyBytes { bytes: 5_000_000 },
        InvalidBatch::TooManyTasks { tasks: 5_000 },
        InvalidBatch::Partition { partition: PARTITION, partitions: 256 },
        InvalidBatch::Derived { row: TaskId::derived(AT, PARTITION, 1) },
        InvalidBatch::Misplaced { row: task(1), partition: PARTITION },
        InvalidBatch::Conflicting { what: "delay and at".into(), why: "give one".into() },
    ]);
}

/// One ready, one scheduled, one leased, one finished, one forgotten task, and one that has failed.
fn partition() -> Partition {
    let mut later = Template::new("later");
    later.options.delay = Span::from_millis(60_000);
    let row = |n: u64, template| Row::new(task(n), template, Bytes::from_static(b"[]"));
    let rows = vec![row(1, 0), row(2, 0), row(3, 0), row(4, 0), row(5, 1), row(6, 0)];
    let batch = Batch { templates: vec![Template::new("add"), later], rows };
    let grants = vec![Grant { lessee: LESSEE, rows: 4 }];
    let token = |position| crate::id::Token { term: 1, index: 5, position };
    let report = |n, position, outcome| Report { task: task(n), token: token(position), outcome };
    let success = || Outcome::Succeeded(Bytes::from_static(b"3"));
    let failed = report(4, 3, Outcome::Failed(failure()));
    let reports = vec![report(1, 0, success()), report(2, 1, success()), failed];
    let finished = Shelves { succeeded: 1, ..Shelves::default() };
    let entries = [
        Command::Accept { batch: batch.into(), grants },
        Command::Report { lessee: LESSEE, reports },
        Command::Forget { finished, floor: Wall::EPOCH },
    ];
    let mut partition = Partition::new(PARTITION);
    for (index, command) in (5..).zip(entries) {
        let at = AT + Span::from_millis(index);
        let proposal = Proposal::new(1, at, vec![command]);
        partition.apply(index, 1, proposal, &mut Vec::new());
    }
    partition
}

#[test]
fn in_snapshots() {
    let state = partition();
    let states: Vec<_> = state.records().map(|(_, record)| record.state()).collect();
    use State::{Leased, Ready, Scheduled, Succeeded};
    assert_eq!(states, [Succeeded, Leased, Scheduled, Scheduled, Ready]);
    assert_eq!(state.stub(task(1)), Some(Succeeded));
    check_bytes(&BTreeMap::from([
        ("Snapshot.Meta".to_owned(), meta().to_bytes()),
        ("Snapshot.Partition".to_owned(), state.to_bytes()),
    ]));
    let committed = &vectors()["Snapshot.Partition"];
    let read = Partition::from_bytes(committed).expect("ours");
    assert_eq!(&read.to_bytes(), committed);
    assert_eq!(read.fill(), state.fill());
    assert_eq!(Meta::from_bytes(&vectors()["Snapshot.Meta"]), Ok(meta()));
    let before = read_vectors(VECTORS_2);
    let read = Partition::from_bytes(&before["Snapshot.Partition"]).unwrap();
    assert_eq!(read.to_bytes(), before["Snapshot.Partition"], "as long as nothing newer is in it");
    let known = Meta::from_bytes(&before["Snapshot.Meta"]).unwrap();
    assert_eq!(known.spoken, 2);
    assert_eq!(known.to_bytes(), before["Snapshot.Meta"], "as long as not all understand more");
}
