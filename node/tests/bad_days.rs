//! What goes wrong around a node: each gets its own error, and the node lives on.

mod cluster;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use umbel::Node;
use umbel::config::Config;
use umbel::data_dir::DataDirError;
use umbel::node::StartError;
use umbel::transport::TransportError;
use umbel_protocol::id::TaskId;
use umbel_protocol::limits::ARGS_BYTES_MAX;
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Batch, InvalidBatch, State};
use umbel_protocol::wire::{Answer, Ask, RequestError, Status};

use self::cluster::{
    Cluster, PATIENCE, batch, next, request, request_within, submit_and_wait, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_acknowledged_and_with_one_again_work_goes_on() {
    let mut cluster = Cluster::start(3).await;
    let mut acknowledged = Vec::new();
    for partition in 0..16 {
        let endings = submit_and_wait(cluster.node(0), batch("double", 10, partition)).await;
        acknowledged.extend(endings.iter().map(|ending| ending.task));
    }
    // These are acknowledged and run on: they end once there is a majority again.
    let open = batch("double", 500, 3);
    let ask = Ask::Submit { batch: Arc::clone(&open), wait: true };
    let mut open_ends = cluster.node(0).ask(request_within(ask, 300_000)).await;
    let answer = next(&mut open_ends).await;
    assert!(matches!(answer, Answer::Submitted { .. }), "{answer:?}");
    cluster.stop(1).await;
    cluster.stop(2).await;
    let alone = cluster.node(0);
    until(alone, "the others are known to be down", |status| {
        status.members.iter().filter(|member| member.liveness == Liveness::Down).count() == 2
    })
    .await;

    let work = batch("double", 1, 3);
    let ask = Ask::Submit { batch: Arc::clone(&work), wait: false };
    let mut answers = alone.ask(request_within(ask, 3_000)).await;
    let answer = next(&mut answers).await;
    assert!(
        matches!(answer, Answer::Failed(RequestError::NoQuorum { .. } | RequestError::Unknown)),
        "{answer:?}"
    );

    cluster.restart(1).await;
    // Whoever does not know yet that there is a majority again says at once that there is none.
    until(cluster.node(0), "one of them is back", |status| {
        status.members.iter().filter(|member| member.liveness == Liveness::Down).count() == 1
    })
    .await;
    let endings = submit_and_wait(cluster.node(0), work).await;
    assert_eq!(endings.len(), 1, "the same submission is taken once a majority is back");
    assert_eq!(endings[0].state, State::Succeeded);
    match next(&mut open_ends).await {
        Answer::Finished(endings) => assert_eq!(endings.len(), open.rows.len()),
        other => panic!("what was acknowledged before is lost: {other:?}"),
    }
    acknowledged.extend(open.rows.iter().map(|row| row.id));
    // Not even by the loss of the node that lived on.
    cluster.restart(2).await;
    until(cluster.node(1), "all are back", |status| {
        status.members.iter().all(|member| member.liveness == Liveness::Alive)
    })
    .await;
    cluster.stop(0).await;
    all_succeeded(cluster.node(1), &acknowledged).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_of_a_node_disturbs_neither_it_nor_its_work() {
    let cluster = Cluster::start(3).await;
    let targets: Vec<_> = (0..3).map(|place| cluster.node(place).address()).collect();
    let thrower = std::thread::spawn(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        for number in 0..6_000_usize {
            let mut garbage = vec![0; 1 + number % 1_400];
            rand::fill(&mut garbage[..]);
            if number % 3 == 0 {
                // What looks like the first packet of a connection, up to a point.
                garbage.resize(1_200, 0);
                garbage[0] |= 0xc0;
                garbage[1..5].copy_from_slice(&1_u32.to_be_bytes());
            }
            // A full buffer of the receiver is no concern of ours.
            drop(socket.send_to(&garbage, targets[number % 3]));
        }
    });
    let mut acknowledged = Vec::new();
    for partition in 0..16 {
        let endings = submit_and_wait(cluster.node(0), batch("double", 20, partition)).await;
        acknowledged.extend(endings.iter().map(|ending| ending.task));
    }
    thrower.join().expect("all is thrown");
    until(cluster.node(1), "all live on", |status| {
        status.partitions_owned == 16
            && status.members.iter().all(|member| member.liveness == Liveness::Alive)
    })
    .await;
    all_succeeded(cluster.node(2), &acknowledged).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_have_all_moved_find_each_other_by_a_seed_that_answers_late() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!("node.data = {:?}\n", dir.path());
    let config = Config::parse("cluster.toml", &text).expect("it is valid");
    let start = |name: &str, listen: SocketAddr, seed: Option<SocketAddr>| {
        let node = Node::builder().config(config.clone()).name(name).listen(listen);
        match seed {
            Some(seed) => node.join(seed.to_string().parse().expect("an address")).start(),
            None => node.start(),
        }
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let both = |status: &Status| {
        status.members.len() == 2
            && status.members.iter().all(|member| member.liveness == Liveness::Alive)
    };
    let a = start("a", any, None).await.expect("it starts");
    let b = start("b", any, Some(a.address())).await.expect("it starts");
    until(&a, "both are there", both).await;
    a.stop().await;
    b.stop().await;

    // Held for a while by somebody who does not answer.
    let held = std::net::UdpSocket::bind(any).expect("a port");
    let seed = held.local_addr().expect("it is bound");
    let a = start("a", any, Some(seed)).await.expect("it starts");
    held.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let asked = tokio::task::spawn_blocking(move || {
        let (mut calls, mut packet) = (BTreeSet::new(), [0; 1_500]);
        while calls.len() < 2 {
            let bytes = held.recv(&mut packet).expect("it is asked again in time");
            // The first packets of a connection begin so; the id is drawn for each anew.
            let [kind, _, _, _, _, id_bytes, rest @ ..] = &packet[..bytes] else { continue };
            if kind & 0x80 != 0 {
                calls.extend(rest.get(..usize::from(*id_bytes)).map(<[u8]>::to_vec));
            }
        }
    });
    asked.await.expect("it is asked twice");
    let b = start("b", seed, None).await.expect("it starts where the seed is");
    until(&a, "both are there again", both).await;
    a.stop().await;
    b.stop().await;
}

/// Each of `tasks` is on record as succeeded.
async fn all_succeeded(node: &Node, tasks: &[TaskId]) {
    for task in tasks {
        match next(&mut node.ask(request(Ask::Show { task: *task })).await).await {
            Answer::View(view) => assert_eq!(view.state, State::Succeeded, "{task}"),
            other => panic!("{task} is lost: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_over_the_limit_is_refused_and_the_next_is_taken() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(0);
    let mut rows = batch("double", 1, 3).rows.clone();
    rows[0].args = vec![b'1'; ARGS_BYTES_MAX + 1].into();
    let large = Batch { rows, ..(*batch("double", 1, 3)).clone() };
    let ask = Ask::Submit { batch: Arc::new(large), wait: false };
    let answer = next(&mut node.ask(request(ask)).await).await;
    assert!(
        matches!(answer, Answer::Failed(RequestError::Invalid(InvalidBatch::ArgsTooLarge { .. }))),
        "{answer:?}"
    );
    assert_eq!(submit_and_wait(node, batch("double", 1, 3)).await.len(), 1);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_and_a_directory_in_use_are_told_apart() {
    let cluster = Cluster::start(1).await;
    let address = cluster.node(0).address();
    let other = tempfile::tempdir().expect("a directory");

    let taken = Node::builder().name("x").listen(address).data(other.path().join("x")).start();
    let error = taken.await.map(drop).expect_err("the port is taken");
    assert!(matches!(error, StartError::Transport(TransportError::PortTaken { .. })), "{error:?}");

    let free = ([127, 0, 0, 1], 0).into();
    let used = Node::builder().name("a").listen(free).data(cluster.data(0)).start();
    let error = used.await.map(drop).expect_err("the directory is in use");
    assert!(matches!(error, StartError::DataDir(DataDirError::InUse { .. })), "{error:?}");

    assert_eq!(submit_and_wait(cluster.node(0), batch("double", 1, 3)).await.len(), 1);
    let data = cluster.data(0);
    cluster
        .end_but_keep(|| async move {
            let foreign = Node::builder().name("b").listen(free).data(data).start();
            let error = foreign.await.map(drop).expect_err("the directory is another node's");
            assert!(
                matches!(error, StartError::DataDir(DataDirError::OtherNode { .. })),
                "{error:?}"
            );
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_refused() {
    let cluster = Cluster::start(1).await;
    let seed = cluster.node(0).address();
    let dir = tempfile::tempdir().expect("a directory");
    let tls = cluster.node(0).tls_dir().display().to_string();
    let text = format!("cluster.name = \"other\"\ntls.dir = {tls:?}\n");
    let config = Config::parse("cluster.toml", &text).expect("it is valid");
    let stranger = Node::builder()
        .config(config)
        .name("stranger")
        .listen(([127, 0, 0, 1], 0).into())
        .data(dir.path().join("stranger"))
        .join(seed.to_string().parse().expect("an address"));
    let stranger = stranger.start().await.expect("it starts");
    let early = timeout(Duration::from_secs(2), stranger.joined()).await;
    assert!(!matches!(early, Ok(Ok(()))), "it is not let in");
    until(cluster.node(0), "nobody joined", |status| status.members.len() == 1).await;
    stranger.stop().await;
    cluster.end().await;
}
