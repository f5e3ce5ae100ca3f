//! Three nodes that find each other, share the work, and lose one.

mod cluster;

use umbel_protocol::membership::Liveness;
use umbel_protocol::task::State;
use umbel_protocol::wire::{Answer, Ask};

use self::cluster::{Cluster, batch, next, request, submit, submit_and_wait, until};

#[tokio::test(flavor = "multi_thread")]
async fn any_node_takes_work_for_any_partition() {
    let cluster = Cluster::start(3).await;
    let mut waiting = Vec::new();
    for partition in 0..16 {
        waiting.push(submit(cluster.node(0), batch("double", 50, partition)).await);
    }
    for answers in &mut waiting {
        match next(answers).await {
            Answer::Finished(endings) => {
                assert_eq!(endings.len(), 50);
                assert!(endings.iter().all(|ending| ending.state == State::Succeeded));
            }
            other => panic!("{other:?}"),
        }
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_and_comes_back_is_missed_by_nobody() {
    let mut cluster = Cluster::start(3).await;
    cluster.stop(1).await;
    for partition in 0..16 {
        let endings = submit_and_wait(cluster.node(0), batch("double", 20, partition)).await;
        assert_eq!(endings.len(), 20);
    }
    cluster.restart(1).await;
    until(cluster.node(1), "it is back and all partitions have owners", |status| {
        status.partitions_owned == 16
            && status.members.iter().all(|member| member.liveness == Liveness::Alive)
    })
    .await;
    for partition in 0..16 {
        let endings = submit_and_wait(cluster.node(1), batch("double", 20, partition)).await;
        assert!(endings.iter().all(|ending| ending.state == State::Succeeded));
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_together_exceed_a_frame_are_all_kept() {
    let cluster = Cluster::start(3).await;
    let mut tasks = Vec::new();
    for partition in 0..4 {
        let work = batch("grow", 8, partition);
        let endings = submit_and_wait(cluster.node(0), work).await;
        assert!(endings.iter().all(|ending| ending.state == State::Succeeded), "{partition}");
        tasks.extend(endings.iter().map(|ending| ending.task));
    }
    assert_eq!(tasks.len(), 32);
    for task in tasks {
        let mut answers = cluster.node(2).ask(request(Ask::Show { task })).await;
        match next(&mut answers).await {
            Answer::View(view) => {
                assert!(view.result.expect("it is kept").len() > 900_000);
                assert_eq!(view.runs.len(), 1, "nothing ran twice");
            }
            other => panic!("{other:?}"),
        }
    }
    cluster.end().await;
}
