//! Tasks that belong together, over three nodes: submitted as one, counted and waited for from anywhere, and sent to
//! every node.

mod cluster;

use std::collections::BTreeSet;

use tokio::time::timeout;
use umbel::client::{Filter, GroupCount, Subject};
use umbel::{Call, TaskFailed};
use umbel_protocol::task::Obstacle;

use self::cluster::{Cluster, PATIENCE, until};

const NODES: usize = 3;

fn double(n: u64) -> Call<u64> {
    Call::named("double", &n)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_counted_and_waited_for_from_any_node() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    let mut calls: Vec<Call<u64>> = (0..499).map(double).collect();
    calls.push(Call::named("double", &"two"));
    let group = client.submit_group(calls).await.expect("it is taken in");
    assert!(group.tasks().iter().all(Result::is_ok));

    let other = cluster.node(2).client();
    let count = timeout(PATIENCE, other.wait_group(group.id())).await.expect("in time");
    let GroupCount { tasks, partitions_missing, .. } = count.expect("it is counted");
    assert_eq!((tasks.size, tasks.succeeded, tasks.dead), (500, 499, 1));
    assert_eq!((tasks.open(), tasks.awaited, partitions_missing), (0, None, 0));

    let results = timeout(PATIENCE, group.results()).await.expect("in time");
    for (n, result) in (0..).zip(&results[..499]) {
        assert!(matches!(result, Ok(doubled) if *doubled == 2 * n), "{n}: {result:?}");
    }
    assert!(matches!(results[499], Err(TaskFailed::Dead { .. })));

    let nobody = client.new_group().await.expect("an id");
    let nothing = client.group(nobody).await.expect("it is counted");
    assert_eq!((nothing.tasks.known(), nothing.has_ended()), (0, true));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_grows_is_cancelled_as_a_whole() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(1).client();
    client.pause_queue("later").await.expect("it is heard");
    let later = Subject::Queue("later".to_owned());
    for place in 0..NODES {
        let is_heard =
            |status: &umbel::protocol::wire::Status| status.meta.rules.of(&later).is_paused();
        until(cluster.node(place), "the pause is known", is_heard).await;
    }
    let group = client.submit_group((0..60).map(|n| double(n).queue("later"))).await;
    let group = group.expect("it is taken in");
    let added = double(7).queue("later").group(group.id());
    let added = client.submit(added).await.expect("it is taken in");
    let count = group.count().await.expect("it is counted");
    assert_eq!((count.tasks.ready, count.tasks.size, count.has_ended()), (61, 60, false));
    let view = client.show(added.id()).await.expect("it is there");
    assert_eq!((view.group, view.obstacle), (Some(group.id()), Some(Obstacle::Paused(later))));

    let listed = client.list(Filter { group: Some(group.id()), ..Filter::default() }).await;
    let listed = listed.expect("they are listed");
    assert_eq!((listed.tasks.len(), listed.tasks[0].id), (61, added.id()), "the newest first");
    let steered = group.cancel().await.expect("they are asked");
    assert_eq!((steered.done, steered.refused_count), (61, 0), "also what was added");
    let count = timeout(PATIENCE, group.wait()).await.expect("in time").expect("it is counted");
    assert_eq!((count.tasks.stopped, count.tasks.open()), (61, 0));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_waited_for_while_owners_of_its_tasks_go() {
    let mut cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    client.pause_queue("later").await.expect("it is heard");
    let later = Subject::Queue("later".to_owned());
    until(cluster.node(2), "the pause is known", |status| status.meta.rules.of(&later).is_paused())
        .await;
    let group = client.submit_group((0..60).map(|n| double(n).queue("later"))).await;
    let group = group.expect("it is taken in");
    let waits = tokio::spawn({
        let (client, id) = (cluster.node(0).client(), group.id());
        async move { client.wait_group(id).await }
    });
    cluster.stop(2).await;
    client.resume_queue("later").await.expect("it is heard");
    let count = timeout(PATIENCE, waits).await.expect("in time").expect("it goes on");
    let count = count.expect("it is counted");
    assert_eq!((count.tasks.succeeded, count.partitions_missing), (60, 0));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_runs_once_on_each_node() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    let (group, nodes) = client.broadcast(double(4)).await.expect("it is taken in");
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), NODES);
    let count = timeout(PATIENCE, group.wait()).await.expect("in time").expect("it is counted");
    assert_eq!((count.tasks.succeeded, count.tasks.size), (3, 3));
    for (node, task) in nodes.iter().zip(group.tasks()) {
        let view = task.as_ref().expect("it is taken in").wait().await.expect("it has ended");
        assert_eq!(view.node, Some(*node), "each runs where it is meant to");
    }
    let nowhere = double(4).select([("role", "nobody")]);
    let (group, nodes) = client.broadcast(nowhere).await.expect("there is none");
    assert!(nodes.is_empty() && group.tasks().is_empty());
    let id = client.new_group().await.expect("an id");
    let one = client.submit(double(4)).await.expect("it is taken in").id();
    for (call, told) in [
        (double(4).unique("one"), "a unique key"),
        (double(4).id(one), "with an id"),
        (double(4).group(id), "with a group"),
    ] {
        let refused = client.broadcast(call).await.expect_err("it cannot be meant");
        assert!(refused.to_string().contains(told), "{refused}");
    }
    let refused = client.submit_group([double(4).group(id)]).await.expect_err("it has a group");
    assert!(refused.to_string().contains("a group of its own"), "{refused}");
    cluster.end().await;
}
