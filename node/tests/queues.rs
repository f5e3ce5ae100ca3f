//! What people say of queues and of tasks by name, and what they do with many tasks, over three nodes.

mod cluster;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use umbel::client::{Filter, Rule, Steering, Subject};
use umbel::{Call, Client, ClientError, Handle, TaskState};
use umbel_protocol::partition::SteerRefusal;
use umbel_protocol::wire::RequestError;

use self::cluster::{Cluster, PATIENCE, until};

const NODES: usize = 3;

fn queue(name: &str) -> Subject {
    Subject::Queue(name.to_owned())
}

fn double(n: u64) -> Call<u64> {
    Call::named("double", &n)
}

/// One that fails at once and for good.
fn broken() -> Call<u64> {
    Call::named("double", &"two")
}

async fn all(client: &Client, calls: impl IntoIterator<Item = Call<u64>>) -> Vec<Handle<u64>> {
    let taken = client.submit_batch(calls.into_iter().collect::<Vec<_>>()).await;
    taken.into_iter().collect::<Result<_, _>>().expect("all are taken in")
}

async fn result(handle: &Handle<u64>) -> u64 {
    timeout(PATIENCE, handle.result()).await.expect("in time").expect("it succeeds")
}

async fn ended(handle: &Handle<u64>) -> TaskState {
    timeout(PATIENCE, handle.wait()).await.expect("in time").expect("it ends").state
}

/// All nodes have heard of the rule for `subject`.
async fn heeded(cluster: &Cluster, subject: &Subject, is_meant: impl Fn(&Rule) -> bool) {
    for place in 0..NODES {
        until(cluster.node(place), "the rule is known", |status| {
            is_meant(&status.meta.rules.of(subject))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_begins_with_its_first_task_and_waits_while_it_is_paused() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    let first = client.submit(double(4).queue("fresh")).await.expect("it is taken in");
    assert_eq!(result(&first).await, 8);

    client.pause_queue("fresh").await.expect("it is heard");
    heeded(&cluster, &queue("fresh"), Rule::is_paused).await;
    let waiting = all(&client, (0..30).map(|n| double(n).queue("fresh"))).await;
    // Others are not held up by them, whatever came first.
    for handle in &all(&client, (0..30).map(double)).await {
        result(handle).await;
    }
    let listing = cluster.node(1).client().queues().await.expect("they tell");
    let fresh = listing.queues.iter().find(|line| line.name == "fresh").expect("it is there");
    assert_eq!((fresh.ready, fresh.running, listing.partitions_missing), (30, 0, 0));
    assert!(fresh.oldest.is_some() && listing.rules.of(&queue("fresh")).is_paused());

    client.resume_queue("fresh").await.expect("it is heard");
    for (n, handle) in (0..).zip(&waiting) {
        assert_eq!(result(handle).await, 2 * n);
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_all_nodes() {
    let mut cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    client.pause_queue("late").await.expect("it is heard");
    heeded(&cluster, &queue("late"), Rule::is_paused).await;
    let waiting = client.submit(double(6).queue("late")).await.expect("it is taken in").id();
    for place in 0..NODES {
        cluster.stop(place).await;
    }
    for place in 0..NODES {
        cluster.restart(place).await;
    }
    heeded(&cluster, &queue("late"), Rule::is_paused).await;
    let client = cluster.node(1).client();
    for handle in &all(&client, (0..30).map(double)).await {
        result(handle).await;
    }
    assert_eq!(client.show(waiting).await.expect("it is kept").state, TaskState::Ready);
    client.resume_queue("late").await.expect("it is heard");
    let end = timeout(PATIENCE, client.wait(waiting, None)).await.expect("in time");
    assert_eq!(end.expect("it ends").state, TaskState::Succeeded);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_queue_can_be_purged() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(2).client();
    client.pause_queue("bulk").await.expect("it is heard");
    heeded(&cluster, &queue("bulk"), Rule::is_paused).await;
    // Kept however many of one partition end so.
    let kept = |n| double(n).queue("bulk").retention(Duration::from_secs(600));
    let waiting = all(&client, (0..2_500).map(kept)).await;
    let filter = || Filter { queue: Some("bulk".to_owned()), limit: u32::MAX, ..Filter::default() };
    let steered = client.purge_queue("bulk").await.expect("they are told");
    assert_eq!((steered.done, steered.refused_count, steered.partitions_missing), (2_500, 0, 0));
    for handle in &waiting {
        assert_eq!(ended(handle).await, TaskState::Cancelled);
    }
    let steered = client.steer_all(Steering::Delete, filter()).await.expect("they are told");
    assert_eq!(steered.done, 2_500);
    assert!(client.list(filter()).await.expect("they tell").tasks.is_empty());
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_tried_again_as_another_once() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(1).client();
    let handle = client.submit(broken().label("team", "ops")).await.expect("it is taken in");
    assert_eq!(ended(&handle).await, TaskState::Dead);
    let again = client.retry(handle.id()).await.expect("it is tried again");
    let view =
        timeout(PATIENCE, client.wait(again, None)).await.expect("in time").expect("it ends");
    assert_eq!((view.state, view.retry_of), (TaskState::Dead, Some(handle.id())));
    assert!(view.has_labels(&"team=ops".parse().expect("a label")), "it is the same work");

    let refused = client.retry(handle.id()).await;
    let task = handle.id();
    let gone = RequestError::Steer(SteerRefusal::NotFound { task });
    assert!(matches!(refused, Err(ClientError::Request(why)) if why == gone));
    let well = client.submit(double(1)).await.expect("it is taken in");
    result(&well).await;
    let refused = client.retry(well.id()).await;
    assert!(matches!(
        refused,
        Err(ClientError::Request(RequestError::Steer(SteerRefusal::Succeeded { .. })))
    ));

    let many = all(&client, (0..40).map(|_| broken().queue("mail"))).await;
    for handle in &many {
        assert_eq!(ended(handle).await, TaskState::Dead);
    }
    let filter = Filter { queue: Some("mail".to_owned()), limit: u32::MAX, ..Filter::default() };
    let steered = client.steer_all(Steering::Retry, filter).await.expect("they are told");
    assert_eq!((steered.done, steered.refused_count), (40, 0));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_on_the_node_that_is_chosen_or_waits_for_one() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    for member in client.members().await.expect("they tell") {
        let handle = client.submit(double(3).on_node(member.node)).await.expect("it is taken in");
        assert_eq!(result(&handle).await, 6);
        let view = client.show(handle.id()).await.expect("it is known");
        assert_eq!((view.node, view.runs[0].node), (Some(member.node), member.node));
        // Each has its name for a label.
        let selected = double(4).select([("host", &member.name)]);
        let handle = client.submit(selected).await.expect("it is taken in");
        assert_eq!(result(&handle).await, 8);
        let view = client.show(handle.id()).await.expect("it is known");
        assert_eq!(view.runs.iter().map(|run| run.node).collect::<Vec<_>>(), [member.node]);
    }
    let nowhere = double(3).select([("role", "db")]);
    let nowhere = client.submit(nowhere).await.expect("it is taken in");
    for handle in &all(&client, (0..30).map(double)).await {
        result(handle).await;
    }
    assert_eq!(client.show(nowhere.id()).await.expect("it is known").state, TaskState::Ready);
    let refused = client.submit(double(3).select([("no label", "a")])).await;
    assert!(refused.expect_err("it is none").to_string().contains("select must be labels"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_say_where_tasks_go_and_how_many_run_in_the_whole_cluster() {
    let cluster = Cluster::start(NODES).await;
    let client = cluster.node(0).client();
    let tasks = |pattern: &str| Subject::Tasks(pattern.to_owned());
    let routed = Rule { queue: Some("sums".to_owned()), priority: Some(7), ..Rule::default() };
    client.set_rule(tasks("dou*"), routed).await.expect("it is heard");
    heeded(&cluster, &tasks("dou*"), |rule| rule.queue.is_some()).await;
    let sum = client.submit(double(5)).await.expect("it is taken in");
    assert_eq!(result(&sum).await, 10);
    assert_eq!(client.show(sum.id()).await.expect("it is known").queue, "sums");

    let two = Rule { concurrency: Some(Some(2)), ..Rule::default() };
    client.set_rule(tasks("inside"), two).await.expect("it is heard");
    heeded(&cluster, &tasks("inside"), |rule| rule.concurrency() == Some(2)).await;
    let calls = (0..200).map(|_| Call::<u64>::named("inside", &()));
    for handle in &all(&client, calls).await {
        result(handle).await;
    }
    let most = cluster::MOST_INSIDE.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} at once");

    let nonsense = Rule { weight: Some(0), ..Rule::default() };
    let refused = client.set_rule(queue("a"), nonsense).await;
    assert!(matches!(refused, Err(ClientError::Request(RequestError::Rule(_)))));
    cluster.end().await;
}
