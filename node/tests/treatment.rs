//! How tasks are treated, as callers ask for it and as handlers say: on one node, with its own clock.

mod cluster;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::time::timeout;
use umbel::{
    Call, Client, ClientError, Context, Handle, Node, TaskError, TaskFailed, TaskId, UniquePolicy,
    View,
};
use umbel_protocol::id::PartitionId;
use umbel_protocol::task::{FailureKind, Obstacle, RunEnd, State};
use umbel_protocol::wire::RequestError;

use self::cluster::PATIENCE;

const SOON: Duration = Duration::from_millis(40);

/// A node whose tasks say what is to become of them, and where it keeps what it has.
async fn node() -> (Node, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let asked = AtomicU32::new(0);
    let node =
        Node::builder()
            .name("a")
            .listen("127.0.0.1:0".parse().expect("an address"))
            .data(dir.path().join("a"))
            .register("attempt", |context: Context, (): ()| async move {
                Ok::<_, TaskError>(context.attempt())
            })
            .register("third", move |context: Context, (): ()| {
                let asked = asked.fetch_add(1, Ordering::Relaxed);
                async move {
                    if asked < 2 { Err(TaskError::snoozed(SOON)) } else { Ok(context.attempt()) }
                }
            })
            .register("drop", |(): ()| async {
                Err::<u16, _>(TaskError::dropped("the account is gone"))
            })
            .register("later", |context: Context, (): ()| async move {
                match context.attempt() {
                    1 => Err(TaskError::retry_after(SOON, "the server is busy")),
                    attempt => Ok(attempt),
                }
            })
            .register("fail", |(): ()| async { Err::<u16, _>("no") })
            .register("hang", |(): ()| std::future::pending::<Result<u16, TaskError>>())
            .start()
            .await
            .expect("it starts");
    timeout(PATIENCE, node.joined()).await.expect("in time").expect("it forms a cluster");
    (node, dir)
}

async fn submit(
    client: &Client,
    name: &str,
    with: impl FnOnce(Call<u16>) -> Call<u16>,
) -> Handle<u16> {
    client.submit(with(Call::named(name, &()))).await.expect("it is taken in")
}

async fn result(handle: &Handle<u16>) -> Result<u16, TaskFailed> {
    timeout(PATIENCE, handle.result()).await.expect("in time")
}

async fn ended(handle: &Handle<u16>) -> View {
    timeout(PATIENCE, handle.wait()).await.expect("in time").expect("it ends")
}

fn ends(view: &View) -> Vec<RunEnd> {
    view.runs.iter().filter_map(|run| run.end).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_say_what_is_to_become_of_their_task() {
    let (node, _dir) = node().await;
    let client = node.client();

    let snoozed = submit(&client, "third", |call| call.attempts(1)).await;
    assert_eq!(result(&snoozed).await.expect("in the end"), 1, "the first attempt still");
    let view = ended(&snoozed).await;
    assert_eq!(ends(&view), [RunEnd::Snoozed, RunEnd::Snoozed, RunEnd::Succeeded]);

    let dropped = submit(&client, "drop", |call| call).await;
    let error = result(&dropped).await.expect_err("nothing is to be done");
    assert_eq!(
        error.to_string(),
        format!("task {} was dropped: the account is gone", dropped.id())
    );
    assert_eq!(ended(&dropped).await.state, State::Cancelled);
    let error = client.run(Call::<u16>::named("drop", &())).await.expect_err("in one round trip");
    assert!(matches!(error, TaskFailed::Dropped { .. }), "{error}");

    // The pause of its policy would be too long for this test.
    let patient = |call: Call<u16>| call.backoff(Duration::from_secs(86_400));
    let later = submit(&client, "later", patient).await;
    assert_eq!(result(&later).await.expect("the second time"), 2);
    let [first, _] = &ended(&later).await.runs[..] else { panic!("it ran twice") };
    assert_eq!(first.error.as_deref(), Some("the server is busy"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_say_when_and_how_often_and_for_how_long() {
    let (node, _dir) = node().await;
    let client = node.client();

    let at = SystemTime::now() + Duration::from_millis(300);
    let timed = submit(&client, "attempt", |call| call.at(at)).await;
    result(&timed).await.expect("at its time");
    assert!(SystemTime::now() >= at, "not before that");

    let list = [Duration::ZERO, SOON];
    let listed = submit(&client, "fail", |call| call.backoff_list(list)).await;
    let view = ended(&listed).await;
    assert_eq!((view.state, view.runs.len()), (State::Dead, 3));

    let once = submit(&client, "fail", Call::at_most_once).await;
    assert_eq!(ends(&ended(&once).await), [RunEnd::Failed(FailureKind::Error)]);

    let late = submit(&client, "hang", |call| call.deadline(SOON)).await;
    let error = result(&late).await.expect_err("it never ends by itself");
    assert_eq!(error.failure().map(|failure| failure.kind), Some(FailureKind::Deadline));

    // Between its attempts it waits far longer than it may.
    let waits = |call: Call<u16>| call.backoff(Duration::from_secs(3_600)).expires(SOON * 10);
    let expired = submit(&client, "fail", waits).await;
    assert_eq!(ended(&expired).await.state, State::Expired);

    let both = Call::<u16>::named("attempt", &()).at(at).delay(SOON);
    let error = client.submit(both).await.expect_err("which of the two?");
    assert!(error.to_string().contains("`delay` and `at`"), "{error}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_key_there_is_one_task_at_a_time() {
    let (node, _dir) = node().await;
    let client = node.client();
    let later = |call: Call<u16>| call.delay(Duration::from_secs(3_600)).unique("a");

    let first = submit(&client, "attempt", later).await;
    assert_eq!(submit(&client, "attempt", later).await.id(), first.id(), "it is that one");
    let many: Vec<_> = (0..3).map(|_| later(Call::<u16>::named("attempt", &()))).collect();
    for handle in client.submit_batch(many).await {
        assert_eq!(handle.expect("it is that one").id(), first.id());
    }
    let refused = later(Call::<u16>::named("attempt", &())).if_exists(UniquePolicy::Refuse);
    let error = client.submit(refused).await.expect_err("it is not the only one");
    assert!(error.to_string().contains(&first.id().to_string()), "{error}");

    let replaces = |call: Call<u16>| later(call).if_exists(UniquePolicy::Replace);
    let second = submit(&client, "attempt", replaces).await;
    assert_ne!(second.id(), first.id());
    let error = result(&first).await.expect_err("it was replaced");
    assert!(
        matches!(&error, TaskFailed::Dropped { reason, .. }
        if reason.message.contains(&second.id().to_string())),
        "{error}"
    );

    second.cancel().await.expect("it waits");
    let third = client.run(Call::<u16>::named("attempt", &()).unique("a"));
    assert_eq!(timeout(PATIENCE, third).await.expect("in time").expect("its key is free"), 1);

    let misplaced = Call::<u16>::named("attempt", &()).unique("a").id(elsewhere(second.id()));
    let error = client.submit(misplaced).await.expect_err("who decides would not know it");
    assert!(error.to_string().contains("does not go with the key"), "{error}");
    node.stop().await;
}

/// An id of another partition.
fn elsewhere(id: TaskId) -> TaskId {
    let other = PartitionId(u16::from(id.partition() == PartitionId(0)));
    TaskId::new(id.made_at(), other, 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_ignored_is_not_kept_and_a_task_goes_when_it_says() {
    let (node, _dir) = node().await;
    let client = node.client();
    let is_ignored = |view: &View| {
        let found = (view.state, view.result.as_deref());
        assert_eq!(found, (State::Succeeded, Some(&b"null"[..])), "{view:?}");
    };
    let ignored = submit(&client, "attempt", Call::ignore_result).await;
    is_ignored(&ended(&ignored).await);
    let kept = submit(&client, "attempt", |call| call).await;
    ended(&kept).await;
    // Waited for by the very request that submits it: when another comes it may be gone.
    let id = elsewhere(kept.id());
    let brief = Call::<()>::named("attempt", &()).id(id).ignore_result();
    let ran = client.run(brief.retention(Duration::from_secs(1)));
    timeout(PATIENCE, ran).await.expect("in time").expect("it ends");
    // Nobody tells when that is.
    let is_gone = async {
        loop {
            match client.show(id).await {
                Ok(view) => is_ignored(&view),
                Err(ClientError::Request(RequestError::NotFound { .. })) => break,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(PATIENCE, is_gone).await.expect("it goes");
    assert!(client.show(kept.id()).await.expect("it is kept").result.is_some());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_can_run_waits_and_says_why() {
    let (node, _dir) = node().await;
    let client = node.client();
    let handle = submit(&client, "attempt", |call| call.select([("gpu", "yes")])).await;
    let view = client.show(handle.id()).await.expect("it is there");
    assert_eq!((view.state, view.obstacle), (State::Ready, Some(Obstacle::NobodySelected(None))));
    node.stop().await;
}
