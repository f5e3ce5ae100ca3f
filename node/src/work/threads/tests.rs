//! Threads that are used again, end when nobody needs them, and bear whatever handlers do.

use std::convert::Infallible;
use std::panic::panic_any;
use std::thread;

use super::*;
use crate::work::Definition;
use crate::work::run::tests::{Bench, failure, running, succeeded};

const PATIENCE: Duration = Duration::from_secs(30);

fn bench(threads: Threads) -> Bench {
    let mut bench = Bench::new();
    bench.runner.threads = Arc::new(threads);
    bench
}

/// Tells its thread.
fn who() -> Definition {
    let me = |(): ()| Ok::<_, Infallible>(format!("{:?}", thread::current().id()));
    Definition::from_blocking("who", me)
}

#[tokio::test]
async fn a_thread_that_is_idle_serves_the_next_run() {
    let bench = bench(Threads::that_wait(PATIENCE));
    let first = bench.run(who(), "null").await;
    for _ in 0..100 {
        assert_eq!(bench.run(who(), "null").await, first);
    }
}

#[tokio::test]
async fn a_thread_ends_when_it_is_idle_for_long_or_its_node_is_gone() {
    let hasty = bench(Threads::that_wait(Duration::from_millis(1)));
    let patient = bench(Threads::that_wait(PATIENCE * 10));
    let pools = [&hasty, &patient].map(|bench| Arc::clone(&bench.runner.threads.pool));
    for bench in [&hasty, &patient] {
        bench.run(who(), "null").await;
    }
    drop(patient);
    let are_gone = async {
        // Each thread holds on to its pool.
        while Arc::strong_count(&pools[0]) > 2 || Arc::strong_count(&pools[1]) > 1 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, are_gone).await.is_ok());
    assert_eq!(pools.map(|pool| pool.lock().idle), [0, 0]);
    assert!(matches!(hasty.run(who(), "null").await, Outcome::Succeeded(_)), "another one begins");
}

#[tokio::test]
async fn a_handler_finds_its_runtime_and_a_thread_with_a_name() {
    let handler = |(): ()| {
        let name = thread::current().name().map(str::to_owned);
        Ok::<_, Infallible>((name, Handle::current().block_on(async { 7 })))
    };
    let outcome = bench(Threads::new()).run(Definition::from_blocking("h", handler), "null").await;
    assert_eq!(outcome, succeeded(r#"["umbel-blocking",7]"#));
}

#[tokio::test]
async fn whatever_a_handler_panics_with_its_thread_serves_the_next() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let bench = bench(Threads::that_wait(PATIENCE));
    let first = bench.run(who(), "null").await;
    let bad = Definition::from_blocking("bad", |(): ()| -> Result<(), String> { panic_any(Bomb) });
    assert_eq!(failure(bench.run(bad, "null").await).kind, FailureKind::Panicked);
    assert_eq!(bench.run(who(), "null").await, first);
}

#[tokio::test]
async fn a_run_that_is_dropped_before_it_has_begun_never_begins() {
    let bench = bench(Threads::new());
    // As if there were a thread that is about to take it.
    bench.runner.threads.pool.lock().idle = 1;
    let never = Definition::from_blocking("n", |(): ()| -> Result<(), String> { unreachable!() });
    let run = running(bench.start(never, "null"));
    assert_eq!(bench.runner.threads.pool.lock().waiting.len(), 1);
    drop(run);
    assert_eq!(bench.runner.threads.pool.lock().waiting.len(), 0);
    assert!(bench.runner.lingering(|_, _| true).is_empty(), "nothing of it goes on");
}
