//! Whoever does not belong here is told so, each in words of its own, and the node lives on.

use quinn::Connection;
use umbel_protocol::wire::hello::Refusal;

use super::*;
use crate::tls::ca::{self, Validity};
use crate::transport::greeting;

/// Calls `node` with raw QUIC, as a node would.
async fn call(node: &Node, tls: &TlsFiles) -> (Endpoint, Connection) {
    let socket = settings::calling_socket(node.addr()).unwrap();
    let endpoint = settings::endpoint(socket, None).unwrap();
    let config = settings::client(tls).unwrap();
    let calling = endpoint.connect_with(config, node.addr(), crate::tls::SERVER_NAME).unwrap();
    let connection = patiently(calling).await.unwrap();
    (endpoint, connection)
}

/// The node answers and works as if nothing had happened.
async fn lives(node: &Node, authority: &Authority) {
    let visitor = start(authority.node(), hello(99));
    let met = patiently(visitor.transport.greet(node.addr())).await.unwrap();
    assert_eq!(met.node, node.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_is_told_on_both_sides() {
    let (authority, other) = (Authority::new(), Authority::new());
    let node = start(authority.node(), hello(1));
    let stranger = start(other.node(), hello(2));
    let error = stranger.transport.greet(node.addr()).await.unwrap_err();
    let DialError::Certificate { fault, .. } = &error else { panic!("{error}") };
    assert_eq!(*fault, CertificateFault { ours: false, kind: CertificateFaultKind::OtherCa });
    assert!(error.to_string().contains("another authority"), "{error}");

    // One that trusts us but is not trusted by us.
    let mixed = TempDir::new().unwrap();
    for (from, file) in [(&authority, "ca.pem"), (&other, "node.pem"), (&other, "node.key")] {
        std::fs::copy(from.path().join(file), mixed.path().join(file)).unwrap();
    }
    let stranger = start(TlsFiles::read(mixed.path(), "node").unwrap(), hello(3));
    let error = stranger.transport.greet(node.addr()).await.unwrap_err();
    let DialError::Certificate { fault, .. } = &error else { panic!("{error}") };
    assert_eq!(*fault, CertificateFault { ours: true, kind: CertificateFaultKind::OtherCa });
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_certificates_are_told_on_both_sides() {
    let authority = Authority::new();
    let past = Validity { not_before: 1_000_000_000, not_after: 1_500_000_000 };
    ca::issue_for(authority.path(), "old", Role::Node, past).unwrap();
    let load = |name| TlsFiles::load(authority.path(), Role::Node, Some(name)).unwrap();
    let old = start(TlsFiles::read(authority.path(), "old").unwrap(), hello(1));
    let node = start(load("node"), hello(2));
    for (caller, called, ours) in [(&old, &node, true), (&node, &old, false)] {
        let error = caller.transport.greet(called.addr()).await.unwrap_err();
        let DialError::Certificate { fault, .. } = &error else { panic!("{error}") };
        assert_eq!(*fault, CertificateFault { ours, kind: CertificateFaultKind::Expired });
    }
    let visitor = start(load("node"), hello(3));
    visitor.transport.greet(node.addr()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_makes_no_node() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let pretender = start(authority.client(), hello(2));
    let error = pretender.transport.greet(node.addr()).await.unwrap_err();
    assert!(
        matches!(&error, DialError::Refused { refusal: Refusal::NotNodeCertificate { .. }, .. }),
        "{error}"
    );
    let error = node.transport.greet(pretender.addr()).await.unwrap_err();
    let DialError::Certificate { fault, .. } = &error else { panic!("{error}") };
    assert_eq!(*fault, CertificateFault { ours: false, kind: CertificateFaultKind::WrongRole });
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused_with_both_names() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let own = NodeHello { cluster: Some(ClusterId(2)), ..hello(2) };
    let mut stranger = start(authority.node(), own);
    // As a peer, not only once: the reason is told as an event.
    stranger.transport.set_peer(node.id(), node.addr());
    let refusal = stranger
        .until(|inbound| match inbound {
            Inbound::Refused { refusal, .. } => Some(refusal),
            _ => None,
        })
        .await;
    assert_eq!(
        refusal,
        Refusal::AnotherCluster {
            own: ClusterId(1),
            own_name: "test".into(),
            other: ClusterId(2),
            other_name: "test".into()
        }
    );
    let own = NodeHello { cluster_name: "prod".into(), ..hello(3) };
    let error = start(authority.node(), own).transport.greet(node.addr()).await.unwrap_err();
    assert!(
        matches!(&error, DialError::Refused { refusal: Refusal::WrongClusterName { .. }, .. }),
        "{error}"
    );
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_data_directory_is_told_from_a_restart() {
    let authority = Authority::new();
    let (a, b) = pair(&authority).await;
    // The same start in another process, while the first one lives.
    let copy = start(authority.node(), hello(2));
    let error = copy.transport.greet(a.addr()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { refusal: Refusal::InUse { .. }, .. }), "{error}");
    // One that counts as later, too, as long as the first one answers.
    let later = NodeHello { incarnation: Incarnation(2), ..hello(2) };
    let later = start(authority.node(), later);
    let error = later.transport.greet(a.addr()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { refusal: Refusal::InUse { .. }, .. }), "{error}");
    // The first one called by its copy, and the copy of the node that is called.
    let error = copy.transport.greet(b.addr()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { refusal: Refusal::InUse { .. }, .. }), "{error}");
    // A restored one comes with an earlier start than others have heard of.
    a.transport.note_incarnation(NodeId(3), Incarnation(7));
    let restored = start(authority.node(), NodeHello { incarnation: Incarnation(6), ..hello(3) });
    let error = restored.transport.greet(a.addr()).await.unwrap_err();
    assert!(
        matches!(error, DialError::Refused { refusal: Refusal::StaleIncarnation { .. }, .. }),
        "{error}"
    );
    // Or with less on disk than it had.
    a.transport.note_incarnation(NodeId(4), Incarnation(1));
    a.transport.note_synced(NodeId(4), 8);
    let restored = start(authority.node(), NodeHello { incarnation: Incarnation(2), ..hello(4) });
    restored.transport.set_synced(7);
    let error = restored.transport.greet(a.addr()).await.unwrap_err();
    assert!(
        matches!(error, DialError::Refused { refusal: Refusal::RolledBack { .. }, .. }),
        "{error}"
    );
    let error = a.transport.greet(a.addr()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { refusal: Refusal::Yourself, .. }), "{error}");
    assert!(a.transport.peer(b.id()).is_some(), "the pair is not disturbed");
    lives(&a, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_disturbs_nobody() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..500_usize {
        let mut garbage = vec![0; 1 + number * 3];
        rand::fill(&mut garbage[..]);
        if number % 2 == 0 {
            // Looks like the first packet of a connection, as far as one byte and a version go.
            garbage[0] |= 0xc0;
            garbage.resize(1_200, 0);
            garbage[1..5].copy_from_slice(&1_u32.to_be_bytes());
        }
        socket.send_to(&garbage, node.addr()).unwrap();
    }
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let config = Config {
        bind: node.addr(),
        own: hello(2),
        tls: authority.node(),
        runtime: Handle::current(),
    };
    let error = Transport::bind(config).unwrap_err();
    assert!(matches!(error, TransportError::PortTaken { .. }), "{error}");
    assert!(error.to_string().contains(&node.addr().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_over_the_limit_end_the_connection() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let too_long = limits::FRAME_BYTES_MAX + 1;
    let [l0, l1, l2, l3] = u32::try_from(too_long).unwrap().to_le_bytes();
    for (number, (first, expected)) in [
        (vec![Lane::Work.first_byte(), l0, l1, l2, l3], format!("{too_long} bytes")),
        (vec![200], "unknown kind".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let (_endpoint, connection) = call(&node, &authority.node()).await;
        let own = Hello { versions: Versions::OWN, who: Who::Node(hello(10 + number as u128)) };
        let (answer, ..) = greeting::call(&connection, &own).await.unwrap();
        assert_eq!(answer.verdict, Ok(Versions::OWN.max));
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(&first).await.unwrap();
        let why = patiently(connection.closed()).await;
        let quinn::ConnectionError::ApplicationClosed(frame) = &why else { panic!("{why}") };
        assert_eq!(frame.error_code, Code::Violation.into());
        assert!(why.to_string().contains(&expected), "{why}");
    }
    let own = node.transport.own();
    let long = Bytes::from(vec![0; limits::FRAME_BYTES_MAX + 1]);
    assert_eq!(
        node.transport.send(own.node, Lane::Work, long.clone()),
        Err(SendError::NotConnected)
    );
    let (a, b) = pair(&authority).await;
    let refused = a.transport.send(b.id(), Lane::Work, long);
    assert!(matches!(refused, Err(SendError::TooLong { .. })));
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_speaks_something_else_is_hung_up_on() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let (_endpoint, connection) = call(&node, &authority.node()).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let why = patiently(connection.closed()).await;
    assert!(why.to_string().contains("does not speak umbel's protocol"), "{why}");
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_nobody_speaks_is_refused_in_words() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let (_endpoint, connection) = call(&node, &authority.node()).await;
    let versions = Versions { min: 90, max: 91 };
    let own = Hello { versions, who: Who::Node(hello(2)) };
    let (answer, ..) = greeting::call(&connection, &own).await.unwrap();
    let refusal = answer.verdict.unwrap_err();
    assert_eq!(refusal, Refusal::NoCommonVersion { own: Versions::OWN, other: versions });
    lives(&node, &authority).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_only_an_older_version_than_the_cluster_by_now_is_hung_up_on() {
    let authority = Authority::new();
    let node = start(authority.node(), hello(1));
    let (_endpoint, connection) = call(&node, &authority.node()).await;
    let Versions { min, max } = Versions::OWN;
    let versions = Versions { min, max: min };
    let own = Hello { versions, who: Who::Node(hello(2)) };
    let (answer, ..) = greeting::call(&connection, &own).await.unwrap();
    assert_eq!(answer.verdict, Ok(min));
    node.transport.set_oldest(max);
    let why = patiently(connection.closed()).await;
    assert!(why.to_string().contains("the cluster speaks a newer version"), "{why}");
    let (_endpoint, connection) = call(&node, &authority.node()).await;
    let (answer, ..) = greeting::call(&connection, &own).await.unwrap();
    let newer = Versions { min: max, max };
    assert_eq!(answer.verdict, Err(Refusal::NoCommonVersion { own: newer, other: versions }));
}
