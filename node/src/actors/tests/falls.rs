//! Each part of a node is made to panic: a successor takes over what it did, or the node ends.

use std::os::unix::fs::FileExt as _;
use std::panic::panic_any;

use umbel_protocol::durable::{Copies, GroupWrite, Snapshot, WriteBatch};
use umbel_protocol::id::{GroupId, ReplicaId};

use super::*;
use crate::actors::{Health, Held, PartHealth, Which};
use crate::store::{DiskStore, Store};

#[tokio::test(flavor = "multi_thread")]
async fn a_fallen_scheduler_is_built_anew_from_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let (before, held) = (task(Registry::NOOP, 1), task("wait", 2));
    let mut waiting = submit(&node, &before, true).await;
    assert!(matches!(next(&mut waiting).await, Answer::Finished(_)));
    drop(submit(&node, &held, false).await);

    let fallen = node.scheduler().expect("there is one");
    assert!(fallen.send(scheduler::Panic).await.is_err(), "it falls");
    successor(&node.scheduler_post(), &fallen).await;

    assert_eq!(state_of(&node, before.rows[0].id).await, State::Succeeded);
    assert_eq!(state_of(&node, held.rows[0].id).await, State::Leased);
    assert!(works(&node).await, "it goes on");
    node.stop().await;
}

/// Writes over all records that nodes with their data below `dir` have put away: the file has no name, and this
/// process has it open.
fn damage_what_is_put_away(dir: &Path) {
    for open in std::fs::read_dir("/proc/self/fd").expect("it lists what is open") {
        let path = open.expect("it can be told").path();
        let Ok(name) = std::fs::read_link(&path) else { continue };
        if name.starts_with(dir) && name.ends_with("cold.tmp (deleted)") {
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("it is a file");
            let length = file.metadata().expect("it is a file").len();
            assert!(length > 0, "there is something in it");
            file.write_all_at(&vec![0xee; usize::try_from(length).expect("it is small")], 0)
                .expect("it is written over");
            return;
        }
    }
    panic!("nothing is put away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_cannot_read_what_it_has_put_away_is_built_anew_from_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let mut late = Batch::clone(&task("wait", 1));
    late.templates[0].options.delay = Span::from_millis(3_600_000);
    let args = format!("{:?}", "x".repeat(10_000));
    late.rows = (1..=40)
        .map(|n| Row { args: args.clone().into(), ..task("wait", n).rows[0].clone() })
        .collect();
    drop(submit(&node, &Arc::new(late.clone()), false).await);

    let fallen = node.scheduler().expect("there is one");
    damage_what_is_put_away(dir.path());
    let request = Ask::Show { task: late.rows[0].id };
    drop(node.ask(Request { deadline: Span::from_millis(20_000), ask: request }).await);
    successor(&node.scheduler_post(), &fallen).await;
    for row in &late.rows {
        assert_eq!(state_of(&node, row.id).await, State::Scheduled);
    }
    assert!(works(&node).await, "it goes on");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_tells_how_the_others_fare() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let health = async || node.supervisor().send(Health).await.expect("it answers");
    let restarts = |parts: &[PartHealth]| -> Vec<(Which, u32)> {
        parts.iter().map(|part| (part.which, part.restarts)).collect()
    };
    let parts = health().await;
    assert_eq!(restarts(&parts), Which::ALL.map(|which| (which, 0)));
    assert!(parts.iter().all(|part| part.running_for.is_some()), "{parts:?}");
    let lived = parts[2].running_for;

    for _ in 0..2 {
        let fallen = node.scheduler().expect("there is one");
        assert!(fallen.send(scheduler::Panic).await.is_err(), "it falls");
        successor(&node.scheduler_post(), &fallen).await;
    }
    let parts = health().await;
    let counted = [(Which::Executor, 0), (Which::Gossip, 0), (Which::Scheduler, 2)];
    assert_eq!(restarts(&parts), counted);
    assert!(parts.iter().all(|part| part.running_for.is_some()), "{parts:?}");
    assert!(parts[0].running_for > lived, "the others went on");
    assert!(parts[2].running_for < parts[0].running_for, "it runs for less long than they do");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallen_executor_gives_its_runs_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let held = task("wait", 1);
    drop(submit(&node, &held, false).await);
    let fallen = node.executor().expect("there is one");
    let running = timeout(PATIENCE, async {
        while fallen.send(Held).await.expect("it answers") == 0 {
            tokio::task::yield_now().await;
        }
    });
    running.await.expect("it runs in time");

    assert!(fallen.send(executor::Panic).await.is_err(), "it falls");
    let present = successor(&node.handles().executor, &fallen).await;
    let running_again = timeout(PATIENCE, async {
        while present.send(Held).await.expect("it answers") == 0 {
            tokio::task::yield_now().await;
        }
    });
    running_again.await.expect("the task runs again");
    assert!(works(&node).await, "it goes on");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallen_gossip_finds_the_others_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let nodes = three(dir.path()).await;
    let node = &nodes[0];
    let fallen = node.gossip().expect("there is one");
    assert!(fallen.send(gossip::Panic).await.is_err(), "it falls");
    let present = successor(&node.handles().gossip, &fallen).await;
    until("it knows all others", async || {
        let members = present.send(Members).await.expect("it answers");
        nodes[1..].iter().all(|other| members.contains(&(other.id(), Liveness::Alive)))
    })
    .await;
    for node in &nodes {
        all_alive(node).await;
        assert!(works(node).await, "work goes on");
    }
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_scheduler_hears_who_is_alive_although_gossip_has_no_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let nodes = three(dir.path()).await;
    let (node, gate) = (&nodes[0], Gate::default());
    let opener = Opener(gate.clone());
    let post = &node.handles().gossip;
    post.try_send(gossip::Hold(gate.clone())).map_err(|(why, _)| why).expect("it is taken");
    until("it stands still", async || gate.reached() == 1).await;
    while post.try_send(gossip::Hold(gate.clone())).is_ok() {}

    let fallen = node.scheduler().expect("there is one");
    assert!(fallen.send(scheduler::Panic).await.is_err(), "it falls");
    successor(&node.scheduler_post(), &fallen).await;
    drop(opener);
    all_alive(node).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_hangs_is_told_from_one_that_is_built_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let (node, gate) = (lone(dir.path()).await, Gate::default());
    let opener = Opener(gate.clone());
    let fallen = node.scheduler().expect("there is one");
    assert!(fallen.send(scheduler::Panic).await.is_err(), "it falls");
    assert_eq!(node.responds(PATIENCE).await, Ok(()), "its successor answers");

    let post = &node.handles().gossip;
    post.try_send(gossip::Hold(gate.clone())).map_err(|(why, _)| why).expect("it is taken");
    let mut within = Duration::from_millis(50);
    let told = loop {
        match node.responds(within).await {
            // It is told before gossip is: on a busy machine it may need longer to answer.
            Err(Which::Executor) if within < PATIENCE => within *= 2,
            told => break told,
        }
    };
    assert_eq!(told, Err(Which::Gossip));
    drop(opener);
    assert_eq!(node.responds(PATIENCE).await, Ok(()));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_supervisor_a_node_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    assert!(node.supervisor().send(Break::Panic).await.is_err(), "it falls");
    let why = falls_with(&node).await;
    assert!(matches!(&*why, NodeError::Panicked { .. }), "{why}");
    node.stop().await;
    lone(dir.path()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_ends_the_node() {
    let dir = tempfile::tempdir().expect("a directory");
    lone(dir.path()).await.stop().await;
    let (mut store, _) = DiskStore::open(&dir.path().join("a/store")).expect("it is there");
    let copies = Copies::default();
    let garbage = Snapshot { index: 5, term: 1, copies, data: "of another version".into() };
    let write = GroupWrite {
        group: GroupId::of(PartitionId(3)),
        replica: ReplicaId(u64::MAX),
        destroy: false,
        snapshot: Some(garbage),
        entries: Vec::new(),
        hard_state: None,
        checkpoint: None,
    };
    store.write(&[WriteBatch { number: 1, groups: vec![write] }]).expect("it is written");
    drop(store);

    let node = builder(dir.path()).start().await.expect("it starts");
    let why = falls_with(&node).await;
    assert!(matches!(&*why, NodeError::Panicked { .. }), "{why}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_without_its_store_ends_the_node() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    node.supervisor().send(Break::Writer).await.expect("it is taken");
    let ask = Ask::Submit { batch: task(Registry::NOOP, 1), wait: false };
    let _answers = node.ask(Request { deadline: Span::from_millis(20_000), ask }).await;
    let why = falls_with(&node).await;
    assert!(matches!(&*why, NodeError::Unwritten(_)), "{why}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_the_node_that_panics_ends_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    node.handles().spawn(async { panic_any("a bug in a pump") });
    let why = falls_with(&node).await;
    assert!(matches!(&*why, NodeError::Panicked { what } if what == "a bug in a pump"), "{why}");
    node.stop().await;
}
