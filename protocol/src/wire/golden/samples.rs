//! Values that the vectors are made of: each field another, so that two that are swapped show.

use std::sync::Arc;

use bytes::Bytes;

use crate::durable::{Copies, EntryKind, LogEntry, Snapshot};
use crate::group::{Body, GroupMessage, RaftKind, RaftMessage};
use crate::id::{
    ClusterId, GroupId, Incarnation, Lessee, NodeId, PartitionId, ReplicaId, TaskGroupId, TaskId,
    Token,
};
use crate::job::{Labels, Target};
use crate::journal::{Live, LogLine, Place, Progress, Words};
use crate::membership::{Condition, Liveness};
use crate::meta::{JobsFile, Join, Member, Meta, Rule, Subject};
use crate::task::{
    Batch, Failure, FailureKind, FilledIn, Headers, Metadata, Obstacle, Options, Particulars, Rate,
    Row, RunEnd, RunView, State, TaskGroup, Template, Trace, Treatment, UniquePolicy, UniqueScope,
    View,
};
use crate::time::{Span, Wall};
use crate::wire::MemberStatus;

pub(super) const NODE: NodeId = NodeId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
pub(super) const CLUSTER: ClusterId = ClusterId(0xc0ff_ee00_0000_0000_0000_0000_0000_0001);
pub(super) const PARTITION: PartitionId = PartitionId(300);
pub(super) const LESSEE: Lessee = Lessee { node: NODE, incarnation: Incarnation(7), executor: 2 };
pub(super) const TOKEN: Token = Token { term: 3, index: 1_000, position: 70_000 };
pub(super) const AT: Wall = Wall::from_millis(1_700_000_000_123);

pub(super) const fn task(random: u64) -> TaskId {
    TaskId::new(AT, PARTITION, random)
}

pub(super) const fn task_group() -> TaskGroupId {
    TaskGroupId::new(AT, 9)
}

pub(super) fn template() -> Template {
    Template {
        name: "add".into(),
        queue: "reports".into(),
        options: Options {
            priority: Some(4),
            delay: Span::from_millis(5),
            attempts_max: Some(6),
            backoff_first: Some(Span::from_millis(7)),
            backoff_max: Some(Span::from_millis(8)),
            time_limit: Some(Span::from_millis(9)),
            expires_at: Some(AT),
            expires: Some(Span::from_millis(10)),
            deadline: Some(Span::from_millis(11)),
            soft_limit: Some(Span::from_millis(12)),
            backoff_list: Some(vec![Span::from_millis(13), Span::from_millis(14)]),
            crashes_max: Some(15),
            at_most_once: Some(true),
            unique_scope: Some(UniqueScope::For(Span::from_millis(16))),
            unique_policy: Some(UniquePolicy::Replace),
            concurrency: Some(17),
            rate: Some(Rate { count: 18, per: Span::from_millis(19_000) }),
            exclusive: Some(true),
            lost_after: Some(Span::from_millis(20)),
            redact: Some(vec!["password".into(), "token".into()]),
            retention: Some(Span::from_millis(21_000)),
            ignore_result: Some(false),
        },
        filled_in: FilledIn { priority: true, backoff_max: true, redact: 1, ..FilledIn::default() },
    }
}

pub(super) fn batch() -> Arc<Batch> {
    let rows = vec![Row {
        particulars: particulars().boxed(),
        ..Row::new(task(1), 0, Bytes::from_static(b"[1,2]"))
    }];
    Arc::new(Batch { templates: vec![template()], rows })
}

fn treatment() -> Treatment {
    Treatment { options: template().options, particulars: particulars() }
}

fn particulars() -> Particulars {
    Particulars {
        not_before: Some(AT),
        unique_key: Some("user 7".into()),
        fairness_key: Some("tenant 3".into()),
        limit_key: Some("account 5".into()),
        metadata: Some(metadata()),
        target: Target::Labels(labels()),
        fairness_weight: Some(300),
        retry_of: Some(task(7)),
        group: Some(TaskGroup { id: task_group(), size: 4 }),
    }
}

pub(super) fn metadata() -> Arc<Metadata> {
    let mut headers = Headers::NONE;
    headers.insert("request-id", "r7").expect("it is a header");
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = Trace::parse(traceparent, Some("rojo=1,congo=2")).expect("it is one");
    Arc::new(Metadata {
        labels: labels(),
        headers,
        display_name: Some("Invoice 7".into()),
        parent: Some(task(8)),
        root: Some(task(9)),
        trace: Some(trace),
    })
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureKind::TimedOut, "too slow")
        .with_detail(Bytes::from_static(br#"{"exit_code":3}"#))
}

pub(super) fn meta() -> Meta {
    let mut meta = Meta::new(CLUSTER, "prod".into(), 256, 3, 2);
    let member = Member {
        name: "a".into(),
        address: ([127, 0, 0, 1], 7401).into(),
        joined_at: AT,
        joined_in: 1,
        draining: true,
        labels: labels(),
    };
    meta.members.insert(NODE, member);
    meta.version = 1;
    meta.forgotten.push(LESSEE.node);
    meta.jobs_file = JobsFile { number: 2, hash: 0x1234_5678, former: vec![9] };
    meta.rules.said.insert(Subject::Queue("mail".into()), rule());
    meta.rules.file.insert(Subject::Tasks("mail.*".into()), Rule::default());
    meta.rules.file_number = 2;
    meta
}

/// All that can be said, whatever of it fits together.
pub(super) fn rule() -> Rule {
    Rule {
        paused: Some(true),
        rate: Some(Some(Rate { count: 100, per: Span::from_millis(1_000) })),
        concurrency: Some(None),
        select: Some(labels()),
        weight: Some(300),
        rank: Some(8),
        queue: Some("reports".into()),
        priority: Some(5),
    }
}

pub(super) fn labels() -> Labels {
    "role=db,zone=a".parse().expect("these are labels")
}

pub(super) fn join() -> Join {
    Join {
        node: NODE,
        name: "a".into(),
        address: (std::net::Ipv6Addr::LOCALHOST, 7402).into(),
        cluster_name: "prod".into(),
        labels: labels(),
    }
}

pub(super) fn member_status() -> MemberStatus {
    MemberStatus {
        node: NODE,
        name: "a".into(),
        address: ([127, 0, 0, 1], 7401).into(),
        liveness: Liveness::Suspect,
        pid: 4_321,
        condition: Condition::Starved,
    }
}

pub(super) fn view() -> View {
    View {
        id: task(1),
        task: "add".into(),
        queue: "reports".into(),
        state: State::Dead,
        attempts: 2,
        runs: vec![RunView {
            node: NODE,
            started_at: AT,
            finished_at: Some(AT),
            end: Some(RunEnd::Failed(FailureKind::Error)),
            error: Some("too slow".into()),
        }],
        node: Some(NODE),
        result: Some(Bytes::from_static(b"3")),
        error: Some(failure()),
        submitted_at: AT,
        not_before: Some(AT),
        left_out: true,
        finished_at: Some(AT),
        metadata: Some(metadata()),
        args: Some(Bytes::from_static(b"[1,2]")),
        retry_of: Some(task(7)),
        live: Some(Live::Says(words())),
        group: Some(task_group()),
        obstacle: Some(Obstacle::Slots),
        treatment: Some(Box::new(treatment())),
    }
}

pub(super) fn words() -> Words {
    let progress = Progress { message: Some("pictures".into()), ..Progress::new(3, 10) };
    let lines = vec![LogLine { at: AT, is_error: true, text: "one was broken".into() }];
    Words { changes: 4, progress: Some(progress), after: 5, first: 6, lines }
}

pub(super) const fn place() -> Place {
    Place { changes: 4, lines: 300 }
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        index: 9,
        term: 2,
        copies: Copies {
            voters: vec![ReplicaId(1), ReplicaId(2)],
            learners: vec![ReplicaId(3)],
            voters_outgoing: vec![ReplicaId(4)],
            learners_next: vec![ReplicaId(5)],
            auto_leave: true,
        },
        data: Bytes::from_static(b"state"),
    }
}

pub(super) fn raft_message() -> RaftMessage {
    let data = Bytes::from_static(b"commands");
    RaftMessage {
        kind: RaftKind::Append,
        term: 3,
        log_term: 2,
        index: 1_000,
        entries: vec![LogEntry { index: 1_001, term: 3, kind: EntryKind::Commands, data }],
        commit: 999,
        commit_term: 1,
        snapshot: Some(snapshot()),
        request_snapshot: 4,
        reject: true,
        reject_hint: 5,
        context: Bytes::from_static(b"read"),
    }
}

pub(super) fn group_message(body: Body) -> GroupMessage {
    GroupMessage { group: GroupId::of(PARTITION), from: ReplicaId(1), to: ReplicaId(2), body }
}
