//! Clients: their sessions, their limits, and what they are told.

use super::*;
use crate::tls::Identity;
use crate::transport::Versions;
use crate::transport::dial::ClientLink;

async fn came(node: &mut Node) -> (u64, Identity, String) {
    node.until(|inbound| match inbound {
        Inbound::ClientCame { session, identity, name, .. } => Some((session, identity, name)),
        _ => None,
    })
    .await
}

async fn client_frame(node: &mut Node) -> (u64, Bytes) {
    node.until(|inbound| match inbound {
        Inbound::ClientFrame { session, frame, .. } => Some((session, frame)),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_asks_is_answered_and_ends() {
    let authority = Authority::new();
    let mut node = start(authority.node(), hello(1));
    let mut link = ClientLink::connect(node.addr(), &authority.client(), "shop").await.unwrap();
    assert_eq!((link.node.node, link.version), (node.id(), Versions::OWN.max));
    let (session, identity, name) = came(&mut node).await;
    assert_eq!((identity.role, name.as_str()), (Role::Client, "shop"));
    link.sender.send(Bytes::from_static(b"question")).await.unwrap();
    assert_eq!(client_frame(&mut node).await, (session, Bytes::from_static(b"question")));
    node.transport.reply(session, Bytes::from_static(b"answer")).unwrap();
    assert_eq!(patiently(link.receiver.recv()).await.unwrap(), "answer");
    // What was sent before hanging up still arrives.
    let large = Bytes::from(vec![1; 3 * 1024 * 1024]);
    link.sender.try_send(large.clone()).unwrap();
    drop(link.sender);
    assert!(client_frame(&mut node).await.1 == large);
    drop(link.receiver);
    let gone = node
        .until(|inbound| match inbound {
            Inbound::ClientGone { session } => Some(session),
            _ => None,
        })
        .await;
    assert_eq!(gone, session);
    assert_eq!(node.transport.reply(session, Bytes::new()), Err(ReplyError::Gone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_bounded() {
    let authority = Authority::new();
    let mut node = start(authority.node(), hello(1));
    let link = ClientLink::connect(node.addr(), &authority.client(), "shop").await.unwrap();
    let (session, ..) = came(&mut node).await;
    let reply = Bytes::from(vec![1; 1024 * 1024]);
    patiently(async {
        while node.transport.reply(session, reply.clone()).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(node.transport.reply(session, reply), Err(ReplyError::Full));
    let mut receiver = link.receiver;
    node.transport.close_session(session, "does not read");
    let lost = patiently(async {
        loop {
            if let Err(lost) = receiver.recv().await {
                return lost;
            }
        }
    })
    .await;
    // The reason itself may be stuck behind what the client does not read.
    assert!(lost.why.contains("does not read") || lost.why.contains("has no memory"), "{lost}");
    assert_eq!(link.sender.try_send(Bytes::new()), Err(SendError::NotConnected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut node = start(authority.node(), hello(1));
    let error = ClientLink::connect(node.addr(), &other.client(), "shop").await.unwrap_err();
    assert!(error.to_string().contains("another authority"), "{error}");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap();
    let error = ClientLink::connect(addr, &authority.client(), "shop").await.unwrap_err();
    assert!(matches!(error, DialError::NoAnswer { .. }), "{error}");
    let link = ClientLink::connect(node.addr(), &authority.client(), "shop").await.unwrap();
    let mut receiver = link.receiver;
    let (session, ..) = came(&mut node).await;
    let last = Bytes::from(vec![1; 2 * 1024 * 1024]);
    node.transport.reply(session, last.clone()).unwrap();
    let (_, got) = tokio::join!(node.transport.close(), patiently(receiver.recv()));
    assert!(got.unwrap() == last, "what was queued is still delivered");
    let lost = patiently(receiver.recv()).await.unwrap_err();
    assert!(lost.to_string().contains("ended the session"), "{lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_sends_comes_back_one_after_the_other_and_all_at_once() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let mut link = ClientLink::connect(node.addr(), &authority.client(), "shop").await.unwrap();
    let Node { transport, mut inbox } = node;
    let replying = transport.clone();
    tokio::spawn(async move {
        while let Some(inbound) = inbox.clients.recv().await {
            if let Inbound::ClientFrame { session, frame, .. } = inbound {
                while let Err(why) = replying.reply(session, frame.clone()) {
                    assert!(matches!(why, ReplyError::Full), "{why}");
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    // Nothing else would wake who waits for one that was forgotten.
    for n in 0..2_000_u64 {
        let frame = Bytes::from([n.to_le_bytes(); 25].concat());
        link.sender.try_send(frame.clone()).unwrap();
        assert!(patiently(link.receiver.recv()).await.unwrap() == frame);
    }
    let batch = |n: u64| Bytes::from(n.to_le_bytes().repeat(150_000 / 8));
    let (sender, count) = (link.sender.clone(), 1_000);
    tokio::spawn(async move {
        for n in 0..count {
            sender.send(batch(n)).await.unwrap();
        }
    });
    for n in 0..count {
        assert!(patiently(link.receiver.recv()).await.unwrap() == batch(n), "batch {n} comes next");
    }
}
