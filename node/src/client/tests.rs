//! Clients against nodes that follow a script: in the same process, and over real QUIC.

mod bulk;
mod jobs;
mod local;
mod quic;
mod steer;

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use umbel_protocol::id::{ClusterId, NodeId, PartitionId, TaskId};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Batch, State, Template, View};
use umbel_protocol::time::Wall;
use umbel_protocol::wire::{Answer, Ask, Ending, MemberStatus, Request, Welcome};

use super::local::LocalRequest;
use super::*;
use crate::work::Call;

/// Far more than anything here takes, also on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this happens soon")
}

/// A node that answers as the test says, but welcomes everybody by itself.
struct Scripted {
    requests: mpsc::Receiver<LocalRequest>,
    welcome: Answer,
}

/// Where the scripted node takes new tasks: with one partition less than it owns it would take
/// tests long to see that all are used.
const OWNED: [u16; 3] = [3, 5, 8];

fn welcome(members: Vec<MemberStatus>) -> Answer {
    Answer::Welcome(Box::new(Welcome {
        node: NodeId(1),
        cluster: ClusterId(1),
        partitions: 16,
        owned: OWNED.map(PartitionId).to_vec(),
        members,
    }))
}

fn member(node: u128, address: std::net::SocketAddr) -> MemberStatus {
    let (name, liveness) = (format!("node-{node}"), Liveness::Alive);
    let condition = umbel_protocol::membership::Condition::Serving;
    MemberStatus { node: NodeId(node), name, address, liveness, pid: 0, condition }
}

impl Scripted {
    /// The next request that is not about where to submit.
    async fn next(&mut self) -> (Request, mpsc::Sender<Answer>) {
        patiently(async {
            loop {
                let LocalRequest { request, answers } =
                    self.requests.recv().await.expect("the client lives");
                if request.ask != Ask::Welcome {
                    return (request, answers);
                }
                answers.try_send(self.welcome.clone()).ok();
            }
        })
        .await
    }

    /// The next request, which must be a submission.
    async fn submission(&mut self) -> (Arc<Batch>, bool, mpsc::Sender<Answer>) {
        let (request, answers) = self.next().await;
        match request.ask {
            Ask::Submit { batch, wait } => (batch, wait, answers),
            other => panic!("{other:?}"),
        }
    }

    /// Answers the next request, which must be a submission, with a receipt.
    async fn accept(&mut self) -> Arc<Batch> {
        let (batch, _, answers) = self.submission().await;
        answers.send(receipt()).await.unwrap();
        batch
    }
}

fn receipt() -> Answer {
    Answer::Submitted { refused: Vec::new(), known: 0 }
}

fn ending(task: TaskId, result: &'static str) -> Ending {
    Ending { task, state: State::Succeeded, result: Some(result.into()), error: None }
}

fn view(id: TaskId, result: &'static str) -> Answer {
    Answer::View(Box::new(View {
        id,
        task: "add".to_owned(),
        queue: "default".to_owned(),
        state: State::Succeeded,
        attempts: 1,
        runs: Vec::new(),
        node: None,
        result: Some(result.into()),
        error: None,
        submitted_at: Wall::from_millis(1),
        not_before: None,
        left_out: false,
        metadata: None,
        args: None,
        live: None,
        retry_of: None,
        group: None,
        obstacle: None,
        treatment: None,
        finished_at: Some(Wall::from_millis(2)),
    }))
}

fn add() -> Call<u64> {
    Call::named("add", &[1, 2])
}
