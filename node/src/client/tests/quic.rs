//! Losing nodes, over the real transport.

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::runtime::Handle as Runtime;
use umbel_protocol::id::Incarnation;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::wire::hello::NodeHello;
use umbel_protocol::wire::{ClientFrame, ServerFrame, decode, encode};

use super::*;
use crate::tls::{Role, TlsFiles, ensure_local};
use crate::transport::{Config, Inbound, Transport};

/// A node on a port of its own, and its script.
struct Remote {
    transport: Transport,
    script: Scripted,
}

fn authority() -> TempDir {
    let dir = TempDir::new().unwrap();
    ensure_local(dir.path()).unwrap();
    dir
}

fn start(tls: &Path, id: u128, members: Vec<MemberStatus>) -> Remote {
    let bind = "127.0.0.1:0".parse().unwrap();
    let own = NodeHello {
        node: NodeId(id),
        incarnation: Incarnation(1),
        start: rand::random(),
        synced: 0,
        name: format!("node-{id}"),
        listen: bind,
        cluster: Some(ClusterId(1)),
        cluster_name: "test".into(),
    };
    let tls = TlsFiles::load(tls, Role::Node, None).unwrap();
    let (transport, mut inbox) =
        Transport::bind(Config { bind, own, tls, runtime: Runtime::current() }).unwrap();
    transport.set_synced(0);
    let (requests, taken) = mpsc::channel(64);
    let welcome = welcome(members);
    let (replying, welcoming) = (transport.clone(), welcome.clone());
    tokio::spawn(async move {
        while let Some(inbound) = inbox.recv().await {
            let Inbound::ClientFrame { session, frame, .. } = inbound else { continue };
            let ClientFrame { id, request } = decode(&frame, FRAME_BYTES_MAX).unwrap();
            let reply = move |replying: &Transport, answer| {
                let frame = encode(&ServerFrame { id, answer });
                let _ = replying.reply(session, frame.into());
            };
            // A node tells where to submit whatever else its script says.
            if request.ask == Ask::Welcome {
                reply(&replying, welcoming.clone());
                continue;
            }
            let (answers, mut answered) = mpsc::channel(2);
            let replying = replying.clone();
            tokio::spawn(async move {
                while let Some(answer) = answered.recv().await {
                    reply(&replying, answer);
                }
            });
            drop(requests.send(LocalRequest { request, answers }).await);
        }
    });
    Remote { transport, script: Scripted { requests: taken, welcome } }
}

impl Remote {
    fn address(&self) -> SocketAddr {
        self.transport.own().listen
    }
}

async fn client(tls: &Path, nodes: &[&Remote]) -> Client {
    let addresses = nodes.iter().map(|node| node.address().to_string());
    patiently(Client::connect(addresses, tls)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_node_owes_is_asked_of_another() {
    let tls = authority();
    let (mut a, mut b) = (start(tls.path(), 1, Vec::new()), start(tls.path(), 2, Vec::new()));
    let client = client(tls.path(), &[&a, &b]).await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.run(add()).await }
    });
    let (batch, _, answers) = a.script.submission().await;
    answers.send(receipt()).await.unwrap();
    a.transport.close().await;
    let (again, wait, answers) = b.script.submission().await;
    assert_eq!((&batch, wait), (&again, true));
    answers.send(Answer::Submitted { refused: Vec::new(), known: 1 }).await.unwrap();
    answers.send(Answer::Finished(vec![ending(batch.rows[0].id, "3")])).await.unwrap();
    assert_eq!(patiently(asking).await.unwrap().unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_learned_and_used() {
    let tls = authority();
    let mut b = start(tls.path(), 2, Vec::new());
    let mut a = start(tls.path(), 1, vec![member(2, b.address())]);
    let client = client(tls.path(), &[&a]).await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.submit(add()).await.map(|handle| handle.id()) }
    });
    a.script.accept().await;
    patiently(asking).await.unwrap().unwrap();
    a.transport.close().await;
    let asking = tokio::spawn(async move { client.submit(add()).await.map(|handle| handle.id()) });
    let batch = b.script.accept().await;
    assert_eq!(patiently(asking).await.unwrap().unwrap(), batch.rows[0].id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_of_many_is_enough_and_none_is_told() {
    let (tls, other) = (authority(), authority());
    // Nobody reads there: whoever calls hears nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let mut a = start(tls.path(), 1, Vec::new());
    let there = a.address().to_string();
    let client = patiently(Client::connect([silent.as_str(), &there], tls.path())).await.unwrap();
    let asking = tokio::spawn(async move { client.submit(add()).await.map(|handle| handle.id()) });
    let batch = a.script.accept().await;
    assert_eq!(patiently(asking).await.unwrap().unwrap(), batch.rows[0].id);

    let error = patiently(Client::connect([&there], other.path())).await.unwrap_err();
    let ClientError::NoNode { tried } = &error else { panic!("{error}") };
    assert_eq!(tried[0].address, there);
    assert!(error.to_string().contains("another authority"), "{error}");

    let error = Client::connect(["umbel"], tls.path()).await.unwrap_err();
    assert!(matches!(error, ClientError::Address { .. }), "{error}");
    let error = Client::connect(Vec::<String>::new(), tls.path()).await.unwrap_err();
    assert!(matches!(error, ClientError::NoAddress), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_gone_is_told_with_what_was_tried() {
    let tls = authority();
    let a = start(tls.path(), 1, Vec::new());
    let client = patiently(
        Client::builder()
            .address(a.address().to_string())
            .tls(tls.path())
            .patience(Duration::from_millis(200))
            .connect(),
    )
    .await
    .unwrap();
    patiently(client.new_id()).await.unwrap();
    a.transport.close().await;
    let error = patiently(client.status()).await.unwrap_err();
    let ClientError::NoNode { tried } = &error else { panic!("{error}") };
    assert_eq!(tried[0].address, a.address().to_string());
}
