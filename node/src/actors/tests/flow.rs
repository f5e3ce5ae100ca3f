//! What one part does too much of, or too long, holds up no other.

use umbel_protocol::membership::Condition;

use super::*;
use crate::Client;

/// A handler that blocks its thread at a gate, and one that waits for something for a moment.
fn with_gate(node: NodeBuilder, gate: &Gate) -> NodeBuilder {
    let gate = gate.clone();
    let node = node.register("yield", |(): ()| async {
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(())
    });
    node.register("block", move |(): ()| {
        let gate = gate.clone();
        async move {
            gate.pass();
            Ok::<_, std::io::Error>(())
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_block_all_their_threads_do_not_cut_the_node_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut theirs = tokio::runtime::Builder::new_multi_thread();
    let theirs = theirs.worker_threads(2).enable_all().build().expect("a runtime");
    let gate = Gate::default();
    let opener = Opener(gate.clone());
    let node = theirs.spawn(started(with_gate(builder(dir.path()), &gate)));
    let node = node.await.expect("it starts");
    for n in 0..2 {
        drop(submit(&node, &task("block", n), false).await);
    }
    until("both threads are blocked", async || gate.reached() == 2).await;

    let client = Client::builder().address(node.address().to_string()).tls(node.tls_dir());
    let client = timeout(PATIENCE, client.connect()).await.expect("in time").expect("a client");
    let status = timeout(PATIENCE, client.status()).await.expect("an answer in time");
    assert_eq!(status.expect("it is told").node, node.id());
    let is_in = async |condition| {
        let status = client.status().await.expect("it is told");
        status.members.iter().any(|member| member.condition == condition)
    };
    until("it says so", async || is_in(Condition::Starved).await).await;
    drop(opener);
    until("it has got over it", async || is_in(Condition::Serving).await).await;
    node.stop().await;
    theirs.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_computes_before_it_waits_holds_up_no_stranger() {
    let dir = tempfile::tempdir().expect("a directory");
    let gate = Gate::default();
    let opener = Opener(gate.clone());
    let node = started(with_gate(builder(dir.path()), &gate)).await;
    let mut rows = task("block", 0).rows.clone();
    for n in 1..40 {
        // Some end at once, some wait for something first.
        let row = task("", n).rows[0].clone();
        rows.push(Row { template: 1 + u16::try_from(n % 2).expect("it fits"), ..row });
    }
    let names = ["block", Registry::NOOP, "yield"];
    let templates = names.map(Template::new).to_vec();
    let batch = Arc::new(Batch { templates, rows });
    let mut waiting = submit(&node, &batch, true).await;
    for row in &batch.rows[1..] {
        until("it ends", async || state_of(&node, row.id).await == State::Succeeded).await;
    }
    assert_eq!(gate.reached(), 1);
    drop(opener);
    assert!(matches!(next(&mut waiting).await, Answer::Finished(_)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_scheduler_leaves_time_for_the_executor() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let scheduler = node.scheduler().expect("there is one");
    let flood = Arc::new(());
    scheduler.send(scheduler::Flood(Arc::downgrade(&flood))).await.expect("it is taken");
    assert!(works(&node).await);
    drop(flood);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_stopped_by_itself_answers_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let client = node.client();
    node.handles().fail(NodeError::Outdated("a test".to_owned()));
    let request = || Request { deadline: Span::from_millis(1_000), ask: Ask::Status };
    until("nobody answers", async || {
        let asked = async { node.ask(request()).await.recv().await };
        timeout(PATIENCE, asked).await.expect("it does not hang").is_none()
    })
    .await;
    let told = timeout(PATIENCE, client.status()).await.expect("it does not hang");
    assert!(told.is_err(), "{told:?}");
    node.stop().await;
}

#[cfg(feature = "cli")]
#[tokio::test(flavor = "multi_thread")]
async fn why_a_node_stops_is_told_with_what_is_behind_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let log = crate::log_capture::LogCapture::begin();
    let source = std::io::Error::other("the disk is on fire");
    let why = crate::store::StoreError::Io { action: "write", path: "log".into(), source };
    node.handles().fail(why.into());
    node.handles().fail(NodeError::Outdated("a test".to_owned()));
    let told = log.lines("this node stops");
    assert!(matches!(&told[..], [line] if line.contains("the disk is on fire")), "{told:?}");
    node.stop().await;
}
