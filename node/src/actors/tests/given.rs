//! What a node was given reaches its runs.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::Definition;
use crate::middleware::{after, before};
use crate::work::{Context, State as Shared};

#[tokio::test(flavor = "multi_thread")]
async fn values_and_middleware_reach_the_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let sum = Arc::new(AtomicU64::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let add = |ctx: Context, sum: Shared<Arc<AtomicU64>>, (): ()| async move {
        Ok::<_, String>(sum.fetch_add(ctx.attempt().into(), Ordering::SeqCst))
    };
    let refused = Definition::from_async("refused", |(): ()| async { Ok::<_, String>(()) });
    let node = builder(dir.path())
        .state(Arc::clone(&sum))
        .middleware(after(move |context, _, _| {
            note.lock().expect("nobody panics here").push(context.name().to_owned());
        }))
        .middleware(before(|context| match context.name() {
            "refused" => Err("not here"),
            _ => Ok(()),
        }))
        .register("add", add)
        .define(refused.attempts(1));
    let node = started(node).await;
    let mut answers = Vec::new();
    for name in ["add", "refused"] {
        let mut waiting = submit(&node, &task(name, rand::random()), true).await;
        answers.push(next(&mut waiting).await);
    }
    assert_eq!(sum.load(Ordering::SeqCst), 1);
    assert_eq!(*seen.lock().expect("nobody panics here"), ["add", "refused"]);
    let answers = format!("{answers:?}");
    assert!(answers.contains("not here"), "{answers}");
    node.stop().await;
}
