//! Two nodes that are cut from each other and not from the third.

use umbel_protocol::id::PartitionId;

use super::*;

async fn owned(node: &Node) -> Vec<PartitionId> {
    match ask(node, Ask::Welcome).await {
        Answer::Welcome(welcome) => welcome.owned,
        other => panic!("not told: {other:?}"),
    }
}

/// Submits a task to a partition, and waits for its end.
async fn run(node: &Node, name: &str, id: TaskId) {
    let row = Row::new(id, 0, "null".into());
    let batch = Arc::new(Batch { templates: vec![Template::new(name)], rows: vec![row] });
    let mut answers = submit(node, &batch, true).await;
    match next(&mut answers).await {
        Answer::Finished(endings) => assert_eq!(endings[0].state, State::Succeeded),
        other => panic!("it has not ended: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_and_executor_speak_through_the_third() {
    let dir = tempfile::tempdir().expect("a directory");
    // Only one of the nodes can run it.
    let [owner, third, executor] = three_with(dir.path(), |name, node| match name {
        "c" => node.register("far", |(): ()| async { Ok::<_, std::io::Error>(7) }),
        _ => node,
    })
    .await;
    until("it owns a partition", async || !owned(&owner).await.is_empty()).await;
    let partition = owned(&owner).await[0];
    // Nothing is acknowledged before all copies are where they belong.
    run(&owner, Registry::NOOP, TaskId::new(wall(), partition, 1)).await;

    let ways = [&owner, &executor].map(|node| node.handles().transport.clone());
    ways[0].cut(executor.id());
    ways[1].cut(owner.id());
    let is_cut = || ways[0].peer(executor.id()).is_none() && ways[1].peer(owner.id()).is_none();
    until("they have no connection", async || is_cut()).await;

    let id = TaskId::new(wall(), partition, 2);
    run(&owner, "far", id).await;
    assert!(is_cut(), "they had no other way");
    assert!(owned(&owner).await.contains(&partition), "and nobody else decided");
    match ask(&owner, Ask::Show { task: id }).await {
        Answer::View(view) => {
            let nodes: Vec<_> = view.runs.iter().map(|run| run.node).collect();
            assert_eq!(nodes, [executor.id()], "one run, and there");
        }
        other => panic!("not shown: {other:?}"),
    }
    for node in [owner, third, executor] {
        node.stop().await;
    }
}
