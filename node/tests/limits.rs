//! Tasks that share a limit: how many run at once, how many start in a time, and one alone, on one node.

mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::timeout;
use umbel::config::Config;
use umbel::{Call, Client, ClientError, Handle, Node, State, TaskError};

use self::cluster::PATIENCE;

/// Far fewer than there are tasks that wait.
const SLOTS: usize = 8;

/// Who runs, and who ever did at once.
#[derive(Default)]
struct Doors {
    inside: AtomicU32,
    most: AtomicU32,
    free: Notify,
}

async fn node() -> (Node, Arc<Doors>, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let doors = Arc::new(Doors::default());
    let slots = format!("[slots]\nasync = {SLOTS}\n");
    let node = Node::builder()
        .config(Config::parse("cluster.toml", &slots).expect("it is valid"))
        .name("a")
        .listen("127.0.0.1:0".parse().expect("an address"))
        .data(dir.path().join("a"))
        .state(Arc::clone(&doors))
        .register("pass", |doors: State<Arc<Doors>>, (): ()| async move {
            let inside = doors.inside.fetch_add(1, Ordering::SeqCst) + 1;
            doors.most.fetch_max(inside, Ordering::SeqCst);
            // Whoever comes in meanwhile is seen.
            tokio::task::yield_now().await;
            doors.inside.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, TaskError>(())
        })
        .register("stay", |doors: State<Arc<Doors>>, (): ()| async move {
            doors.free.notified().await;
            Ok::<_, TaskError>(())
        })
        .start()
        .await
        .expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    (node, doors, dir)
}

fn call(name: &str) -> Call<()> {
    Call::named(name, &())
}

async fn all(client: &Client, calls: impl IntoIterator<Item = Call<()>>) -> Vec<Handle<()>> {
    let taken = client.submit_batch(calls.into_iter().collect::<Vec<_>>()).await;
    taken.into_iter().collect::<Result<_, _>>().expect("all are taken in")
}

async fn results(handles: &[Handle<()>]) {
    for handle in handles {
        timeout(PATIENCE, handle.result()).await.expect("in time").expect("it succeeds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_run_at_once_as_their_key_allows() {
    let (node, doors, _dir) = node().await;
    let client = node.client();
    let two = |_| call("pass").limit_key("account 7").concurrency(2);
    results(&all(&client, (0..200).map(two)).await).await;
    assert!((1..=2).contains(&doors.most.load(Ordering::SeqCst)));
    let alone = |_| call("pass").limit_key("account 7").exclusive();
    doors.most.store(0, Ordering::SeqCst);
    results(&all(&client, (0..50).map(alone)).await).await;
    assert_eq!(doors.most.load(Ordering::SeqCst), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_its_limit_is_in_nobodys_way() {
    let (node, doors, _dir) = node().await;
    let client = node.client();
    let one = || call("stay").limit_key("a").concurrency(1);
    // Far more than there are slots: if they took any, nobody else would come to run.
    let held = all(&client, (0..500).map(|_| one())).await;
    results(&all(&client, (0..100).map(|_| call("pass"))).await).await;
    for handle in &held {
        handle.cancel().await.expect("it is there");
    }
    doors.free.notify_waiters();
    for handle in &held {
        let end = timeout(PATIENCE, handle.wait()).await.expect("in time").expect("it ends");
        assert!(end.state.is_final());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_start_in_a_time() {
    let (node, _doors, _dir) = node().await;
    let client = node.client();
    let begun = Instant::now();
    let rated = |_| call("pass").limit_key("api").rate("100/s".parse().expect("a rate"));
    results(&all(&client, (0..60).map(rated)).await).await;
    // Ten may start at once, the others ten milliseconds apart.
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_make_no_sense_are_refused() {
    let (node, _doors, _dir) = node().await;
    let client = node.client();
    let refused = async |call: Call<()>| match client.submit(call).await {
        Err(ClientError::Request(why)) => why.to_string(),
        other => panic!("{other:?}"),
    };
    let told = refused(call("pass").concurrency(2)).await;
    assert!(told.contains("without `limit_key`"), "{told}");
    let told = refused(call("pass").limit_key("a")).await;
    assert!(told.contains("`limit_key` without a limit"), "{told}");
    let told = refused(call("pass").limit_key("a").exclusive().concurrency(2)).await;
    assert!(told.contains("`exclusive` and `concurrency`"), "{told}");
    let told = refused(call("pass").limit_key("a").concurrency(0)).await;
    assert!(told.contains("concurrency must be 1 to 10000"), "{told}");
    let told = refused(call("pass").limit_key("").exclusive()).await;
    assert!(told.contains("limit_key must be 1 to 256 bytes long"), "{told}");
    let told = refused(call("pass").lost_after(Duration::from_secs(1))).await;
    assert!(told.contains("lost_after must be 5 s to 1 day"), "{told}");
    node.stop().await;
}
