//! Data directories that were copied: whoever runs on a copy has forgotten what it promised, and must
//! not take the place of the node that it is a copy of.

mod cluster;

use std::path::Path;

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::time::timeout;
use umbel::Node;
use umbel_protocol::membership::Liveness;

use self::cluster::{Cluster, PATIENCE, batch, submit_and_wait, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_beside_a_restarted_node_is_refused() {
    let mut cluster = Cluster::start(3).await;
    cluster.stop(2).await;
    let copy = copy_of(&cluster, 2);
    cluster.restart(2).await;
    all_are_alive(&cluster).await;
    let why = outcome_of(start_on(&cluster, &copy).await).await;
    assert!(why.contains("is running in another process"), "{why}");
    lives_on(&cluster).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_node_is_refused_and_that_node_runs_on() {
    let cluster = Cluster::start(3).await;
    let copy = copy_of(&cluster, 2);
    work(&cluster).await;
    // It counts as a later start, but the earlier one is there and answers.
    let why = outcome_of(start_on(&cluster, &copy).await).await;
    assert!(why.contains("is running in another process"), "{why}");
    lives_on(&cluster).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_directory_is_refused() {
    let mut cluster = Cluster::start(3).await;
    let copy = copy_of(&cluster, 2);
    // Of all this the copy knows nothing, though its node has promised to keep it.
    work(&cluster).await;
    cluster.stop(2).await;
    let why = outcome_of(start_on(&cluster, &copy).await).await;
    assert!(why.contains("was restored from a copy"), "{why}");
    cluster.restart(2).await;
    all_are_alive(&cluster).await;
    lives_on(&cluster).await;
    cluster.end().await;
}

/// Has every partition write something.
async fn work(cluster: &Cluster) {
    for partition in 0..16 {
        let endings = submit_and_wait(cluster.node(0), batch("double", 5, partition)).await;
        assert_eq!(endings.len(), 5);
    }
}

/// None of the nodes has ended, and they work.
async fn lives_on(cluster: &Cluster) {
    work(cluster).await;
    for place in 0..3 {
        assert!(cluster.node(place).failed().now_or_never().is_none(), "node {place} has ended");
    }
}

async fn all_are_alive(cluster: &Cluster) {
    until(cluster.node(0), "all are back", |status| {
        status.members.iter().all(|member| member.liveness == Liveness::Alive)
    })
    .await;
}

/// What a node says that must not run, which ends by that.
async fn outcome_of(node: Node) -> String {
    let why = timeout(PATIENCE, node.failed()).await.expect("it is told in time").to_string();
    node.stop().await;
    why
}

/// Starts the node called `c` on a copy of its directory.
async fn start_on(cluster: &Cluster, copy: &TempDir) -> Node {
    let mut config = cluster.config().clone();
    config.tls.dir = Some(cluster.node(0).tls_dir().to_owned());
    let node = Node::builder()
        .config(config)
        .name("c")
        .listen(([127, 0, 0, 1], 0).into())
        .data(copy.path().join("c"));
    node.start().await.expect("it cannot know yet")
}

fn copy_of(cluster: &Cluster, place: usize) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    copy_all(&cluster.data(place), &copy.path().join("c"));
    copy
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it has one").is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}
