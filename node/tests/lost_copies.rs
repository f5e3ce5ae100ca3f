//! A node whose disk lost something: its copies are replaced while it lives, and nothing that was
//! acknowledged is lost.

mod cluster;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tokio::time::timeout;
use umbel::actors::{CopiesHere, CopyStatus, NodeError};
use umbel_protocol::id::{GroupId, ReplicaId, TaskId};
use umbel_protocol::membership::Liveness;
use umbel_protocol::scheduler::Loss;
use umbel_protocol::task::State;
use umbel_protocol::wire::{Answer, Ask};

use self::cluster::{Cluster, PATIENCE, batch, next, request, submit_and_wait, until};

/// The partitions of the cluster, and the group of its members.
const GROUPS: usize = 17;

#[tokio::test(flavor = "multi_thread")]
async fn copies_on_a_damaged_disk_are_replaced_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3).await;
    let mut tasks = Vec::new();
    for partition in 0..16 {
        let endings = submit_and_wait(cluster.node(0), batch("double", 5, partition)).await;
        tasks.extend(endings.iter().map(|ending| ending.task));
    }
    let before = whole(&cluster, &BTreeMap::new()).await;

    cluster.stop(2).await;
    cut_log(&cluster.data(2));
    cluster.restart(2).await;
    let after = whole(&cluster, &before).await;
    assert_eq!(after.len(), GROUPS);

    // Each of the others goes in turn: the new copies are needed, and have all.
    for gone in [0, 1] {
        cluster.stop(gone).await;
        until(cluster.node(2), "all partitions have owners", |status| {
            status.partitions_owned == 16
                && status.members.iter().filter(|m| m.liveness == Liveness::Down).count() == 1
        })
        .await;
        for task in &tasks {
            assert_eq!(state_of(&cluster, *task).await, State::Succeeded, "{task}");
        }
        cluster.restart(gone).await;
        whole(&cluster, &before).await;
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_node_that_lost_its_only_copies_says_so() {
    let mut cluster = Cluster::start(1).await;
    submit_and_wait(cluster.node(0), batch("double", 5, 3)).await;
    cluster.stop(0).await;
    cut_log(&cluster.data(0));
    for _ in 0..2 {
        // Now, and at every later start.
        cluster.restart(0).await;
        let why = timeout(PATIENCE, cluster.node(0).failed()).await.expect("it says so in time");
        assert!(matches!(*why, NodeError::Lost(Loss::Cluster)), "{why}");
        assert!(why.to_string().contains("no other node has a copy"), "{why}");
        cluster.stop(0).await;
    }
}

/// Cuts the second half of the log off, as a disk does that had promised more than it held.
fn cut_log(data: &Path) {
    let files = fs::read_dir(data.join("store").join("log")).expect("there is a log");
    let mut logs: Vec<_> = files.map(|file| file.expect("it can be read").path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "raftlog"));
    logs.sort();
    let last = logs.last().expect("a file of the log");
    let file = fs::OpenOptions::new().write(true).open(last).expect("it can be opened");
    let bytes = file.metadata().expect("it has a length").len();
    file.set_len(bytes / 2).expect("it can be cut");
}

async fn state_of(cluster: &Cluster, task: TaskId) -> State {
    match next(&mut cluster.node(2).ask(request(Ask::Show { task })).await).await {
        Answer::View(view) => view.state,
        other => panic!("not shown: {other:?}"),
    }
}

/// Waits until every group has three voters that are all there and have all that their leader has,
/// none of them the copy that stood on the third node `before`; which copies stand there now.
async fn whole(
    cluster: &Cluster,
    before: &BTreeMap<GroupId, ReplicaId>,
) -> BTreeMap<GroupId, ReplicaId> {
    let waited = timeout(PATIENCE, async {
        loop {
            let mut nodes = Vec::new();
            for place in 0..3 {
                // One that was just started may not have opened its store yet.
                if let Some(scheduler) = cluster.node(place).scheduler() {
                    nodes.push(scheduler.send(CopiesHere).await.expect("it answers"));
                }
            }
            if nodes.len() == 3 && is_whole(&nodes, before) {
                return nodes[2].iter().map(|copy| (copy.group, copy.replica)).collect();
            }
            tokio::task::yield_now().await;
        }
    });
    waited.await.expect("all groups are whole in time")
}

fn is_whole(nodes: &[Vec<CopyStatus>], before: &BTreeMap<GroupId, ReplicaId>) -> bool {
    let all: Vec<&CopyStatus> = nodes.iter().flatten().collect();
    let leaders: Vec<&CopyStatus> = all.iter().copied().filter(|copy| copy.leads).collect();
    leaders.len() == GROUPS
        && leaders.iter().all(|leader| {
            let copies = all.iter().filter(|copy| copy.group == leader.group);
            let mut there: Vec<ReplicaId> =
                copies.clone().filter(|c| c.applied == leader.applied).map(|c| c.replica).collect();
            there.sort_unstable();
            let copies_are_all = copies.count() == 3 && there.len() == 3;
            // While two configurations hold, the lost copy still counts in one of them.
            let is_settled = leader.copies.voters_outgoing.is_empty();
            copies_are_all && is_settled && there == leader.copies.voters
        })
        && nodes[2].iter().all(|copy| before.get(&copy.group) != Some(&copy.replica))
}
