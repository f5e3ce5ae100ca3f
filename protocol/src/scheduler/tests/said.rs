//! What tests speak of: nodes, tasks and executors by number, and the effects that are about them.

use std::sync::Arc;

use bytes::Bytes;

use super::node::{SESSION, Step};
use crate::id::{ClusterId, Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::job::Labels;
use crate::meta::Join;
use crate::partition::{Command, Grant, Refusal, Report};
use crate::scheduler::{Caller, Effect};
use crate::task::{
    Batch, Failure, FailureKind, Options, Outcome, Particulars, Row, State, Template, Treatment,
    View,
};
use crate::time::{Span, Wall};
use crate::wire::{
    Answer, Ask, Declaration, Dispatch, ExecutorSays, OwnerSays, PeerMessage, Profile, Queue,
    RequestError,
};

pub(super) const CLUSTER: ClusterId = ClusterId(0xc1);
/// 2027-01-15, as good as any.
pub(super) const START: Wall = Wall::from_millis(1_800_000_000_000);
/// The term of the first owner of a group: it is formed in the one before.
pub(super) const TERM: u64 = 2;

pub(super) const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

/// Random enough that each partition ranks the nodes in another order.
pub(super) const fn id(n: u16) -> NodeId {
    let n = n as u128 + 1;
    NodeId((n << 96) | (n * 0x9e37_79b9_7f4a_7c15))
}

/// The first executor of the first start of node `n`.
pub(super) const fn lessee(n: u16) -> Lessee {
    Lessee { node: id(n), incarnation: Incarnation(1), executor: 1 }
}

pub(super) fn join(n: u16) -> Join {
    Join {
        node: id(n),
        name: format!("node-{n}"),
        address: ([10, 0, 0, 1], 7_000 + n).into(),
        cluster_name: "test".to_owned(),
        labels: Labels::NONE,
    }
}

/// What every executor can run.
pub(super) fn profile(slots: u32) -> Profile {
    let declaration = |name: &str| Declaration {
        name: name.to_owned(),
        pool: 0,
        queue: "default".to_owned(),
        options: Options::default(),
        takes_resource: false,
    };
    let queue = |name: &str| Queue { name: name.to_owned(), pool: None, priority: None };
    Profile {
        pools: vec![slots],
        tasks: vec![declaration("add"), declaration("zip")],
        queues: vec![queue("default"), queue("mail")],
        pid: 77,
        serves_all: false,
    }
}

/// The partition of task 1.
pub(super) const HERE: PartitionId = PartitionId(0);

/// Tasks up to 99 live in the first partition, those up to 199 in the second.
pub(super) fn partition(n: u64) -> PartitionId {
    PartitionId(u16::try_from(n / 100).unwrap())
}

pub(super) fn task(n: u64) -> TaskId {
    TaskId::new(START, partition(n), n)
}

/// The run whose lease is the first of the `nth` entry that the first owner proposed.
pub(super) const fn token(nth: u64) -> Token {
    // A state, and the entry that begins the term, stand before it.
    Token { term: TERM, index: nth + 2, position: 0 }
}

pub(super) fn template() -> Template {
    Template { queue: "default".to_owned(), ..Template::new("add") }
}

pub(super) fn args(n: u64) -> Bytes {
    format!("[{n}]").into()
}

pub(super) fn batch_of(template: Template, tasks: &[u64]) -> Arc<Batch> {
    let row = |n: &u64| Row::new(task(*n), 0, args(*n));
    Arc::new(Batch { templates: vec![template], rows: tasks.iter().map(row).collect() })
}

pub(super) fn batch(tasks: &[u64]) -> Arc<Batch> {
    batch_of(template(), tasks)
}

pub(super) fn submit(tasks: &[u64]) -> Ask {
    Ask::Submit { batch: batch(tasks), wait: false }
}

pub(super) fn submit_and_wait(tasks: &[u64]) -> Ask {
    Ask::Submit { batch: batch(tasks), wait: true }
}

/// One task with options.
pub(super) fn submit_with(options: Options, n: u64) -> Ask {
    let template = Template { options, ..template() };
    Ask::Submit { batch: batch_of(template, &[n]), wait: false }
}

/// The command that takes tasks in, of which the first `granted` find slots at `lessee`.
pub(super) fn accept(tasks: &[u64], lessee: Lessee, granted: u32) -> Command {
    let grants = (granted > 0).then_some(Grant { lessee, rows: granted });
    Command::Accept { batch: batch(tasks), grants: grants.into_iter().collect() }
}

pub(super) fn lease(lessee: Lessee, tasks: &[u64]) -> Command {
    Command::Lease { lessee, tasks: tasks.iter().map(|n| task(*n)).collect() }
}

pub(super) fn report(lessee: Lessee, n: u64, token: Token, outcome: Outcome) -> Command {
    Command::Report { lessee, reports: vec![Report { task: task(n), token, outcome }] }
}

pub(super) fn success() -> Outcome {
    Outcome::Succeeded(Bytes::from_static(b"42"))
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureKind::Error, "no luck")
}

pub(super) fn granted(lessee: Lessee, slots: u32) -> ExecutorSays {
    ExecutorSays::Grant { lessee, slots: vec![slots] }
}

pub(super) fn ended(lessee: Lessee, n: u64, token: Token, outcome: Outcome) -> ExecutorSays {
    ExecutorSays::Outcomes { lessee, outcomes: vec![(task(n), token, outcome)] }
}

pub(super) const fn answer(request: u64, answer: Answer) -> Effect {
    Effect::Answer { caller: Caller { session: SESSION, request }, answer, is_last: true }
}

pub(super) const fn failed(request: u64, error: RequestError) -> Effect {
    answer(request, Answer::Failed(error))
}

pub(super) const fn submitted(request: u64) -> Effect {
    answer(request, Answer::Submitted { refused: Vec::new(), known: 0 })
}

pub(super) fn refused(request: u64, refused: &[(u32, Refusal)]) -> Effect {
    answer(request, Answer::Submitted { refused: refused.to_vec(), known: 0 })
}

pub(super) fn run(n: u64, token: Token) -> Dispatch {
    Dispatch {
        task: task(n),
        token,
        attempt: 1,
        template: 0,
        args: args(n),
        term: token.term,
        time_left: None,
        metadata: None,
    }
}

pub(super) fn dispatch_of(lessee: Lessee, template: Template, runs: Vec<Dispatch>) -> OwnerSays {
    OwnerSays::Dispatch { lessee, templates: vec![template], runs }
}

pub(super) fn dispatch(lessee: Lessee, runs: &[(u64, Token)]) -> OwnerSays {
    dispatch_of(lessee, template(), runs.iter().map(|(n, token)| run(*n, *token)).collect())
}

pub(super) fn closed(runs: &[(u64, Token)]) -> OwnerSays {
    OwnerSays::Closed { runs: runs.iter().map(|(n, token)| (task(*n), *token)).collect() }
}

pub(super) fn stop(n: u64, token: Token) -> OwnerSays {
    OwnerSays::Stop { runs: vec![(task(n), token)] }
}

pub(super) fn demand(lessee: Lessee, wanted: u32) -> OwnerSays {
    OwnerSays::Demand { lessee, wanted: vec![wanted] }
}

pub(super) fn send(to: NodeId, message: PeerMessage) -> Effect {
    Effect::Send { to, urgent: false, messages: vec![message] }
}

/// As [`Effect::Execute`], for the executor of another node.
pub(super) fn execute_at(to: NodeId, says: OwnerSays) -> Effect {
    send(to, PeerMessage::ToExecutor(says))
}

pub(super) fn release(n: u64, token: Token) -> Command {
    Command::Release { runs: vec![(task(n), token)] }
}

/// A task that has just been taken in.
pub(super) fn view(n: u64) -> View {
    View {
        id: task(n),
        task: "add".to_owned(),
        queue: "default".to_owned(),
        state: State::Ready,
        attempts: 0,
        runs: Vec::new(),
        node: None,
        result: None,
        error: None,
        submitted_at: START,
        not_before: None,
        left_out: false,
        metadata: None,
        args: None,
        retry_of: None,
        live: None,
        group: None,
        obstacle: None,
        treatment: None,
        finished_at: None,
    }
}

/// The same as it is shown by itself.
pub(super) fn shown(n: u64) -> View {
    let (options, particulars) = (template().options, Particulars::NONE);
    let treatment = Some(Box::new(Treatment { options, particulars }));
    View { args: Some(args(n)), treatment, ..view(n) }
}

/// What callers are answered.
pub(super) fn answers(step: &Step) -> Vec<Effect> {
    step.said.iter().filter(|effect| matches!(effect, Effect::Answer { .. })).cloned().collect()
}

/// Runs that are dispatched to the executor of the same node.
pub(super) fn started(step: &Step) -> Vec<(TaskId, Token)> {
    let dispatched = step.said.iter().flat_map(|effect| match effect {
        Effect::Execute(OwnerSays::Dispatch { runs, .. }) => runs.as_slice(),
        _ => &[],
    });
    dispatched.map(|run| (run.task, run.token)).collect()
}
