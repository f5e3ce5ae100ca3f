//! What nodes and clients say, a vector for each thing that can be said.

use bytes::Bytes;

use super::samples::{
    AT, CLUSTER, LESSEE, NODE, PARTITION, TOKEN, batch, failure, group_message, join, labels,
    member_status, meta, metadata, place, raft_message, rule, task, task_group, template, view,
    words,
};
use super::{check, check_struct, golden, jobs};
use crate::group::Body;
use crate::id::NodeId;
use crate::job::{Declared, InvalidJob, JobLine, JobState, JobView, Source};
use crate::journal::{Follow, Live, News, Seen};
use crate::meta::{FileVerdict, InvalidRule, JoinRefusal, PartingRefusal, RuleChange, Subject};
use crate::partition::{JobChange, JobRefusal, Refusal, SteerRefusal};
use crate::task::{Filter, InvalidBatch, Obstacle, Outcome, State, TaskGroupView, Template};
use crate::time::Span;
use crate::wire::{
    Answer, Ask, AskPermits, Claim, Claims, ClientFrame, Declaration, Dispatch, Ending, Envelope,
    ExecutorSays, OwnerSays, PeerMessage, Permits, Profile, Queue, QueueLine, Relayed, Reloaded,
    Request, RequestError, Said, ServerFrame, Share, Status, TaskGroupPart, Told, Welcome,
};

golden! {
    PeerMessage {
        Answer, Ask, FromExecutor, Group, Join, Joined, Meta, MetaVersion, NoWay, Relay, ToExecutor,
        AskPermits, Permits,
    }
    Said { FromExecutor, ToExecutor }
    OwnerSays { Ask, Closed, Demand, Dispatch, Moved, Return, Stop, GoOn, Follow }
    ExecutorSays { Beat, Grant, Holds, Introduce, NeverHad, Outcomes, Recall, MayGoOn, News }
    Ask {
        Cancel, List, Show, Status, Submit, Wait, Welcome, Drain, Forget, ChangeJob, RunJob, ShowJob,
        ListJobs, OfferFile, Reload, ChangeRule, FileRules, Queues, Retry, Delete,
        Watch, TaskGroup, Withdraw,
    }
    Answer {
        Claims, Failed, Finished, Status, Submitted, Tasks, View, Welcome, Waiting, Done, Job, Jobs, File, Reloaded,
        Queues, News, TaskGroupParts, TaskGroup,
    }
    Obstacle {
        NobodyKnowsIt, NobodyServesItsQueue, NobodySelected, Paused, Limited, KeyLimited, NoResource, Memory, Leaving, Slots, Owner,
    }
    Live { Silent, Says }
    RequestError {
        Invalid, Forming, NoQuorum, NotFound, NotOwner, Overloaded, TimedOut, Unknown, UnknownTask,
        UnknownQueue, TooLong, Parting, NotLeader, NoFacts,
        NotUpgraded, Job, InvalidJob, Reload, Rule, Steer, NotSupported,
    }
}

fn dispatch() -> OwnerSays {
    let args = Bytes::from_static(b"[1]");
    let run = Dispatch {
        task: task(1),
        token: TOKEN,
        attempt: 2,
        template: 0,
        args,
        term: 3,
        time_left: Some(Span::from_millis(4)),
        metadata: Some(metadata()),
    };
    OwnerSays::Dispatch { lessee: LESSEE, templates: vec![template()], runs: vec![run] }
}

fn beat() -> ExecutorSays {
    ExecutorSays::Beat { lessee: LESSEE, runs: vec![(task(1), TOKEN)] }
}

fn relayed() -> Relayed {
    let to = NodeId(LESSEE.node.0 + 1);
    Relayed { from: LESSEE.node, to, said: Said::FromExecutor(beat()) }
}

pub(super) fn envelope() -> Envelope {
    let messages = vec![
        PeerMessage::Group(vec![group_message(Body::Raft(Box::new(raft_message())))]),
        PeerMessage::ToExecutor(dispatch()),
        PeerMessage::Relay(Box::new(relayed())),
        PeerMessage::MetaVersion(1),
        PeerMessage::FromExecutor(outcomes()),
    ];
    Envelope { clock: AT, synced: 5, messages }
}

fn outcomes() -> ExecutorSays {
    let outcomes = vec![
        (task(1), TOKEN, Outcome::Succeeded(Bytes::from_static(b"3"))),
        (task(2), TOKEN, Outcome::Failed(failure())),
    ];
    ExecutorSays::Outcomes { lessee: LESSEE, outcomes }
}

pub(super) fn client_frame() -> ClientFrame {
    let ask = Ask::Submit { batch: batch(), wait: true };
    ClientFrame { id: 300, request: Request { deadline: Span::from_millis(5_000), ask } }
}

fn status() -> Status {
    let share = Share { has_told: true, owned: 86, open: 600, running: 5, copies: 257 };
    Status {
        node: NODE,
        meta: meta(),
        members: vec![member_status()],
        shares: [(NODE, share)].into(),
        partitions_owned: 255,
        partitions_whole: 254,
        open: 1_000,
        running: 12,
    }
}

fn claims() -> Claims {
    let claim = Claim { partition: PARTITION, term: 3, is_whole: true, open: 300 };
    Claims { owned: vec![claim], running: vec![(NODE, 5)], copies: 257 }
}

fn welcome() -> Welcome {
    Welcome {
        node: NODE,
        cluster: CLUSTER,
        partitions: 256,
        owned: vec![PARTITION],
        members: vec![member_status()],
    }
}

#[test]
fn between_nodes() {
    let ask = Ask::Show { task: task(1) };
    check(&[
        PeerMessage::Answer { id: 5, answer: Answer::Failed(RequestError::Unknown) },
        PeerMessage::Ask { id: 5, deadline: Span::from_millis(20), ask },
        PeerMessage::FromExecutor(beat()),
        PeerMessage::Group(vec![group_message(Body::Gone)]),
        PeerMessage::Join(join()),
        PeerMessage::Joined(Err(JoinRefusal::Full)),
        PeerMessage::Meta(Box::new(meta())),
        PeerMessage::MetaVersion(300),
        PeerMessage::NoWay { to: NODE },
        PeerMessage::Relay(Box::new(relayed())),
        PeerMessage::ToExecutor(OwnerSays::Stop { runs: vec![(task(1), TOKEN)] }),
        PeerMessage::AskPermits(AskPermits {
            subject: Subject::Queue("mail".into()),
            number: 5,
            holds: 2,
            wants: 300,
            seen: (3, 9),
        }),
        PeerMessage::Permits(Permits {
            subject: Subject::Tasks("mail.*".into()),
            number: (3, 10),
            asked: 5,
            starts: 7,
            runs: 4,
            is_contended: true,
            again: Span::from_millis(20),
        }),
    ]);
    check_struct("Envelope", &envelope());
}

#[test]
fn by_way_of_a_third() {
    check(&[
        Said::FromExecutor(beat()),
        Said::ToExecutor(OwnerSays::Stop { runs: vec![(task(1), TOKEN)] }),
    ]);
    check_struct("Relayed", &relayed());
}

#[test]
fn from_owners_to_executors() {
    let runs = vec![(task(1), TOKEN), (task(2), TOKEN)];
    check(&[
        OwnerSays::Ask { lessee: LESSEE, partition: PARTITION, term: 3 },
        OwnerSays::Closed { runs: runs.clone() },
        OwnerSays::Demand { lessee: LESSEE, wanted: vec![1, 300] },
        dispatch(),
        OwnerSays::Moved { partition: PARTITION, owner: LESSEE.node },
        OwnerSays::Return { lessee: LESSEE, slots: vec![1, 0] },
        OwnerSays::Stop { runs: runs.clone() },
        OwnerSays::GoOn { lessee: LESSEE, number: 7, runs },
        OwnerSays::Follow {
            lessee: LESSEE,
            runs: vec![Follow { task: task(1), token: TOKEN, place: Some(place()) }],
        },
    ]);
}

#[test]
fn from_executors_to_owners() {
    let runs = vec![(task(1), TOKEN)];
    let Template { name, queue, options, .. } = template();
    let declaration = Declaration { name, pool: 1, queue, options, takes_resource: true };
    let queue = |name: &str, pool, priority| Queue { name: name.to_owned(), pool, priority };
    let profile = Profile {
        pools: vec![1_024, 2],
        tasks: vec![declaration],
        queues: vec![queue("default", None, None), queue("reports", Some(1), Some(5))],
        pid: 4_321,
        serves_all: true,
    };
    check(&[
        beat(),
        ExecutorSays::Grant { lessee: LESSEE, slots: vec![4, 0] },
        ExecutorSays::Holds { lessee: LESSEE, partition: PARTITION, term: 3, runs: runs.clone() },
        ExecutorSays::Introduce { lessee: LESSEE, profile },
        ExecutorSays::NeverHad { lessee: LESSEE, runs: runs.clone() },
        outcomes(),
        ExecutorSays::Recall { lessee: LESSEE, wanted: vec![0, 9] },
        ExecutorSays::MayGoOn { lessee: LESSEE, number: 7, runs },
        ExecutorSays::News {
            lessee: LESSEE,
            task: task(1),
            token: TOKEN,
            words: words(),
            is_last: true,
        },
    ]);
}

#[test]
fn asked_by_callers() {
    check(&[
        Ask::Cancel { task: task(1) },
        Ask::List(Filter {
            states: State::Dead.into(),
            queue: Some("reports".into()),
            limit: 50,
            labels: labels(),
            name: Some("add".into()),
            before: Some(task(9)),
            group: Some(task_group()),
        }),
        Ask::Show { task: task(2) },
        Ask::Status,
        Ask::Submit { batch: batch(), wait: true },
        Ask::Wait { task: task(3) },
        Ask::Welcome,
        Ask::Drain { node: NODE, draining: true },
        Ask::Forget { node: NODE },
        Ask::ChangeJob { job: jobs::name(), change: JobChange::Enable { enabled: true } },
        Ask::RunJob { job: jobs::name(), at: AT },
        Ask::ShowJob { job: jobs::name() },
        Ask::ListJobs { prefix: "ba".into(), after: Some(jobs::name()), limit: 300 },
        Ask::OfferFile { hash: 0x1234_5678, deliberate: true },
        Ask::Reload,
        Ask::ChangeRule { subject: Subject::Queue("mail".into()), change: RuleChange::Say(rule()) },
        Ask::FileRules { number: 3, rules: [(Subject::Tasks("a*".into()), rule())].into() },
        Ask::Queues,
        Ask::TaskGroup { group: task_group() },
        Ask::Retry { task: task(1), id: task(2) },
        Ask::Delete { task: task(1) },
        Ask::Watch { task: task(1), seen: Some(Seen { token: TOKEN, place: place() }) },
        Ask::Withdraw { task: task(1) },
    ]);
    check_struct("ClientFrame", &client_frame());
}

fn queue_line() -> QueueLine {
    QueueLine {
        name: "mail".into(),
        ready: 300,
        scheduled: 2,
        running: 4,
        dead: 1,
        oldest: Some(Span::from_millis(5_000)),
        begun: 20,
        ended: 16,
    }
}

#[test]
fn answered_to_callers() {
    let verdict = FileVerdict { number: 300, is_current: true };
    let ending = Ending {
        task: task(1),
        state: State::Succeeded,
        result: Some(Bytes::from_static(b"3")),
        error: Some(failure()),
    };
    let state = JobState::new(jobs::job(), Source::Live, 300, AT, AT);
    let shown = JobView::of(&jobs::name(), &state, Declared { task: true, alert: false }, Some(AT));
    let line = JobLine::of(&jobs::name(), &state, Declared::ALL, None);
    let told = vec![Told { partition: PARTITION, term: 7 }];
    check(&[
        Answer::Claims(Box::new(claims())),
        Answer::Failed(RequestError::TimedOut),
        Answer::Finished(vec![ending]),
        Answer::Status(Box::new(status())),
        Answer::Submitted { refused: vec![(1, Refusal::TooOld)], known: 2 },
        Answer::Tasks {
            tasks: vec![view()],
            partitions_missing: 2,
            cut_before: Some(task(4)),
            told: told.clone(),
        },
        Answer::View(Box::new(view())),
        Answer::Welcome(Box::new(welcome())),
        Answer::Waiting,
        Answer::Done,
        Answer::Job(Box::new(shown)),
        Answer::Jobs {
            jobs: vec![line],
            has_more: true,
            partitions_missing: 2,
            told: told.clone(),
        },
        Answer::File(verdict),
        Answer::Reloaded(Reloaded { notes: vec!["1 job".into()], jobs: Some(verdict) }),
        Answer::Queues {
            queues: vec![queue_line()],
            rules: Box::new(meta().rules),
            partitions_missing: 2,
            told: told.clone(),
        },
        Answer::TaskGroupParts(vec![TaskGroupPart {
            told: told[0],
            view: TaskGroupView { ready: 3, ..TaskGroupView::default() },
        }]),
        Answer::TaskGroup {
            view: TaskGroupView {
                size: 1,
                scheduled: 2,
                ready: 3,
                running: 4,
                succeeded: 5,
                dead: 6,
                stopped: 7,
                awaited: Some(task(8)),
            },
            partitions_missing: 9,
        },
        Answer::News(Box::new(News { token: TOKEN, attempt: 2, node: NODE, words: words() })),
    ]);
    check(&[Live::Silent, Live::Says(words())]);
    let answer = Answer::Submitted { refused: Vec::new(), known: 0 };
    check_struct("ServerFrame", &ServerFrame { id: 300, answer });
}

#[test]
fn refused_to_callers() {
    let known = vec!["add".to_owned(), "sub".to_owned()];
    check(&[
        RequestError::Invalid(InvalidBatch::TooManyTasks { tasks: 9_999 }),
        RequestError::Forming { missing: "b".into() },
        RequestError::NoQuorum { partition: PARTITION },
        RequestError::NotFound { task: task(1) },
        RequestError::NotOwner { partition: PARTITION, owner: Some(NODE) },
        RequestError::Overloaded { what: "callers".into() },
        RequestError::TimedOut,
        RequestError::Unknown,
        RequestError::UnknownTask { name: "ad".into(), known: known.clone() },
        RequestError::UnknownQueue { name: "report".into(), known },
        RequestError::TooLong { bytes: 9_000_000 },
        RequestError::Parting(PartingRefusal::InUse { node: NODE }),
        RequestError::NotLeader { leader: Some(NODE) },
        RequestError::NoFacts,
        RequestError::NotUpgraded,
        RequestError::Job(JobRefusal::Full),
        RequestError::InvalidJob(InvalidJob::Args { bytes: 70_000 }),
        RequestError::Reload { why: "no".into() },
        RequestError::Rule(InvalidRule::TooMany),
        RequestError::Steer(SteerRefusal::NotUnique { holder: task(3) }),
        RequestError::NotSupported { why: "it is a fake".into() },
    ]);
}

#[test]
fn why_tasks_wait() {
    check(&[
        Obstacle::NobodyKnowsIt,
        Obstacle::NobodyServesItsQueue,
        Obstacle::NobodySelected(Some(Subject::Queue("mail".into()))),
        Obstacle::Paused(Subject::Queue("mail".into())),
        Obstacle::Limited(Subject::Tasks("a*".into())),
        Obstacle::KeyLimited,
        Obstacle::NoResource,
        Obstacle::Memory,
        Obstacle::Leaving,
        Obstacle::Slots,
        Obstacle::Owner,
    ]);
}
