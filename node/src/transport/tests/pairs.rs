//! Traffic between two nodes, and what becomes of it when connections come and go.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_arrives() {
    let authority = Authority::new();
    let (mut a, mut b) = pair(&authority).await;
    for lane in [Lane::Consensus, Lane::Work, Lane::Bulk] {
        let there = Bytes::from(format!("there on {lane:?}"));
        a.transport.send(b.id(), lane, there.clone()).unwrap();
        assert_eq!(b.frame().await, (a.id(), lane, there));
        let back = Bytes::from(format!("back on {lane:?}"));
        b.transport.send(a.id(), lane, back.clone()).unwrap();
        assert_eq!(a.frame().await, (b.id(), lane, back));
    }
    let gossip = Bytes::from(vec![7; limits::DATAGRAM_BYTES_MAX]);
    b.transport.send_datagram(a.id(), gossip.clone()).unwrap();
    let got = a
        .until(|inbound| match inbound {
            Inbound::Datagram { from, bytes } => Some((from, bytes)),
            _ => None,
        })
        .await;
    assert_eq!(got, (b.id(), gossip));
    assert!(a.transport.peer(b.id()).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_keeps_its_order_and_waits_for_its_receiver() {
    let authority = Authority::new();
    let (a, mut b) = pair(&authority).await;
    let to = b.id();
    let frame = |number: u64| {
        let mut frame = vec![0; (number as usize % 7) * 9_000 + 8];
        frame[..8].copy_from_slice(&number.to_le_bytes());
        Bytes::from(frame)
    };
    // Nobody reads yet: the sender is told when all queues on the way are full.
    let mut sent = 0;
    patiently(async {
        while a.transport.send(to, Lane::Work, frame(sent)) == Ok(()) {
            sent += 1;
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(a.transport.send(to, Lane::Work, frame(sent)), Err(SendError::Full));
    // Consensus passes all the same.
    a.transport.send(to, Lane::Consensus, Bytes::from_static(b"vote")).unwrap();
    assert!(matches!(
        patiently(b.inbox.consensus.recv()).await,
        Some(Inbound::Frame { lane: Lane::Consensus, .. })
    ));
    for number in 0..sent {
        assert_eq!(b.frame().await.2, frame(number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_bulk_message_delays_no_consensus() {
    let authority = Authority::new();
    let (a, mut b) = pair(&authority).await;
    let to = b.id();
    let snapshot = Bytes::from(vec![5; 128 * 1024 * 1024]);
    a.transport.send(to, Lane::Bulk, snapshot.clone()).unwrap();
    let (consensus, bulk) = (&mut b.inbox.consensus, &mut b.inbox.bulk);
    let vote = async {
        a.transport.send(to, Lane::Consensus, Bytes::from_static(b"vote")).unwrap();
        let arrived = patiently(consensus.recv()).await;
        assert!(matches!(arrived, Some(Inbound::Frame { lane: Lane::Consensus, .. })));
        Instant::now()
    };
    let whole = async {
        let arrived = patiently(bulk.recv()).await;
        let Some(Inbound::Frame { frame, .. }) = arrived else { panic!("{arrived:?}") };
        assert!(frame == snapshot);
        Instant::now()
    };
    // A window of the snapshot that is on its way cannot be overtaken, a whole snapshot can.
    let (voted, filled) = tokio::join!(vote, whole);
    assert!(voted < filled, "it overtakes the snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_is_found_again_at_its_address() {
    let authority = Authority::new();
    let (mut a, b) = pair(&authority).await;
    let (node, addr) = (b.id(), b.addr());
    b.transport.close().await;
    drop(b);
    let gone = a
        .until(|inbound| match inbound {
            Inbound::Disconnected { node, .. } => Some(node),
            _ => None,
        })
        .await;
    assert_eq!(gone, node);
    assert_eq!(a.transport.send(node, Lane::Work, Bytes::new()), Err(SendError::NotConnected));
    let own = NodeHello { incarnation: Incarnation(2), listen: addr, ..hello(2) };
    let mut bound = None;
    becomes(|| {
        let (own, tls) = (own.clone(), authority.node());
        let config = Config { bind: addr, own, tls, runtime: Handle::current() };
        bound = Transport::bind(config).ok().inspect(|(bound, _)| bound.set_synced(0));
        bound.is_some()
    })
    .await;
    assert_eq!(a.connected().await, node);
    let (hello, _) = a.transport.peer(node).unwrap();
    assert_eq!(hello.incarnation, Incarnation(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_vanished_and_comes_back_elsewhere_replaces_its_earlier_start() {
    let authority = Authority::new();
    let mut a = start(authority.node(), hello(1));
    // The earlier process ends without a word: as if it was killed and nobody noticed yet.
    let process = tokio::runtime::Runtime::new().unwrap();
    let b = start_on(process.handle(), authority.node(), hello(2));
    b.transport.greet(a.addr()).await.unwrap();
    assert_eq!(a.connected().await, b.id());
    process.shutdown_background();
    let later = start(authority.node(), NodeHello { incarnation: Incarnation(2), ..hello(2) });
    later.transport.greet(a.addr()).await.unwrap();
    let why = a
        .until(|inbound| match inbound {
            Inbound::Disconnected { why, .. } => Some(why),
            _ => None,
        })
        .await;
    assert_eq!(why, "it was started again");
    assert_eq!(a.connected().await, b.id());
    assert_eq!(a.transport.peer(b.id()).unwrap().0.incarnation, Incarnation(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_call_each_other_end_with_one_connection() {
    let authority = Authority::new();
    for _ in 0..5 {
        let mut a = start(authority.node(), hello(1));
        let mut b = start(authority.node(), hello(2));
        let (greeted_b, greeted_a) =
            tokio::join!(a.transport.greet(b.addr()), b.transport.greet(a.addr()));
        // One call may lose against the other while it is under way; the pair is connected anyway.
        assert!(greeted_a.is_ok() || greeted_b.is_ok(), "{greeted_a:?} {greeted_b:?}");
        a.transport.set_peer(b.id(), b.addr());
        b.transport.set_peer(a.id(), a.addr());
        a.connected().await;
        b.connected().await;
        let open = |node: &Node| node.transport.inner.endpoint.open_connections();
        becomes(|| open(&a) == 1 && open(&b) == 1).await;
        a.transport.send(b.id(), Lane::Work, Bytes::from_static(b"1")).unwrap();
        b.frame().await;
        b.transport.send(a.id(), Lane::Work, Bytes::from_static(b"2")).unwrap();
        a.frame().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_node_greets_a_cluster_and_then_belongs_to_it() {
    let authority = Authority::new();
    let mut member = start(authority.node(), hello(1));
    let blank = start(authority.node(), NodeHello { cluster: None, ..hello(2) });
    let met = blank.transport.greet(member.addr()).await.unwrap();
    assert_eq!(met.cluster, Some(ClusterId(1)));
    assert_eq!(member.connected().await, blank.id());
    blank.transport.set_own(NodeHello { cluster: met.cluster, ..blank.transport.own() });
    assert!(blank.transport.peer(member.id()).is_some());
    blank.transport.set_own(NodeHello { cluster: Some(ClusterId(9)), ..blank.transport.own() });
    becomes(|| blank.transport.peer(member.id()).is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_come_back_one_after_the_other() {
    let authority = Authority::new();
    let (mut a, mut b) = pair(&authority).await;
    let echo = b.transport.clone();
    tokio::spawn(async move {
        while let Some(inbound) = b.inbox.work.recv().await {
            if let Inbound::Frame { from, lane, frame, .. } = inbound {
                echo.send(from, lane, frame).unwrap();
            }
        }
    });
    let to = NodeId(2);
    // Nothing else would wake who waits for one that was forgotten.
    for n in 0..2_000_u64 {
        let sent = Bytes::from([n.to_le_bytes(); 25].concat());
        a.transport.send(to, Lane::Work, sent.clone()).unwrap();
        let back = a.until(|inbound| match inbound {
            Inbound::Frame { frame, .. } => Some(frame),
            _ => None,
        });
        assert_eq!(back.await, sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_the_transport_that_panics_is_noticed() {
    let mut a = start(Authority::new().node(), hello(1));
    a.transport.inner.spawn(async { std::panic::panic_any("a bug") });
    let what = a
        .until(|inbound| match inbound {
            Inbound::Broken { what } => Some(what),
            _ => None,
        })
        .await;
    assert_eq!(what, "a bug");
}
