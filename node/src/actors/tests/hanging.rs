//! Blocking handlers that hang: their runs end, and their threads keep their slots.

use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;
use umbel_protocol::task::Options;

use super::*;
use crate::clock::Clock;

/// Of each run, by a clock that goes on as the test says: by itself it is never reached.
const LIMIT: Span = Span::from_millis(600_000);

/// Handlers that are at work, and the most that were at a time.
#[derive(Clone, Default)]
struct AtWork(Arc<(AtomicUsize, AtomicUsize)>);

impl AtWork {
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let (now, most) = &*self.0;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let done = work();
        now.fetch_sub(1, Ordering::SeqCst);
        done
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

fn hang(n: u64, resource: bool) -> Arc<Batch> {
    let name = if resource { "hang-on-ore" } else { "hang" };
    let batch = task(name, n);
    let options = Options { attempts_max: Some(1), time_limit: Some(LIMIT), ..Options::default() };
    let templates = vec![Template { options, ..batch.templates[0].clone() }];
    Arc::new(Batch { templates, rows: batch.rows.clone() })
}

async fn count(node: &Node, tasks: &[TaskId], state: State) -> usize {
    let mut found = 0;
    for task in tasks {
        found += usize::from(state_of(node, *task).await == state);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_hang_take_no_more_threads_than_there_are_slots() {
    for (resource, slots) in [(false, "blocking = 2"), (true, "resources = { ore = 2 }")] {
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!("[slots]\n{slots}\n");
        let config = Config::parse("cluster.toml", &text).expect("it is valid");
        let (gate, at_work) = (Gate::default(), AtWork::default());
        let opener = Opener(gate.clone());
        let (inside, counted) = (gate.clone(), at_work.clone());
        let handler = move |(): ()| {
            counted.during(|| inside.pass());
            Ok::<_, std::io::Error>(())
        };
        let mut definition = crate::Definition::from_blocking("hang", handler.clone());
        if resource {
            definition = crate::Definition::from_blocking("hang-on-ore", handler).resource("ore");
        }
        let (ahead, goes_by) = watch::channel(Duration::ZERO);
        let clock = Clock::start().ahead_by(goes_by);
        let node = builder(dir.path()).config(config).clock(clock).define(definition);
        let node = started(node).await;
        let mut tasks = Vec::new();
        for n in 0..6 {
            let batch = hang(n, resource);
            tasks.push(batch.rows[0].id);
            drop(submit(&node, &batch, false).await);
        }
        // One whose time were over before a thread has taken it would never begin, and keep no slot.
        until("two are at work", async || gate.reached() == 2).await;
        ahead.send_replace(Duration::from_micros(LIMIT.as_micros()));
        until("two are told to have failed", async || count(&node, &tasks, State::Dead).await == 2)
            .await;
        // Slots that became free would be leased anew in the very entry that has the ends.
        assert!(works(&node).await, "others have slots");
        assert_eq!(count(&node, &tasks, State::Ready).await, 4, "the rest is not said to run");
        assert_eq!((gate.reached(), at_work.most()), (2, 2));

        // Nobody waits for its threads when a node leaves; but this one is to have its slots back.
        drop(opener);
        until("all have had a slot", async || {
            count(&node, &tasks, State::Ready).await + count(&node, &tasks, State::Leased).await
                == 0
        })
        .await;
        assert_eq!(at_work.most(), 2);
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_counts_the_threads_of_a_fallen_executor_and_a_node_ends_without_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config::parse("cluster.toml", "[slots]\nblocking = 1\n").expect("it is valid");
    let gate = Gate::default();
    let opener = Opener(gate.clone());
    let inside = gate.clone();
    let node = builder(dir.path()).config(config).register_blocking("hang", move |(): ()| {
        inside.pass();
        Ok::<_, std::io::Error>(())
    });
    let node = started(node).await;
    let batch = task("hang", 1);
    drop(submit(&node, &batch, false).await);
    until("it runs", async || gate.reached() == 1).await;
    let fallen = node.executor().expect("there is one");
    assert!(fallen.send(executor::Panic).await.is_err(), "it falls");
    successor(&node.handles().executor, &fallen).await;
    assert!(works(&node).await);
    until("its run was lost", async || state_of(&node, batch.rows[0].id).await == State::Ready)
        .await;
    assert_eq!(gate.reached(), 1, "it waits for the thread of the run before");
    timeout(PATIENCE, node.stop()).await.expect("it does not wait for the thread");
    drop(opener);
}
