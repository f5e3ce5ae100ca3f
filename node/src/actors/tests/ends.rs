//! Nothing outlives what it was started by: no run, no process, no lock.

use std::sync::atomic::AtomicUsize;

use umbel_protocol::limits::LOST_AFTER_MIN;
use umbel_protocol::task::{Options, Particulars};

use super::*;
use crate::data_dir::DataDirError;
use crate::node::StartError;

/// A command that does not listen to TERM, and tells its process by a file in `dir`.
fn stubborn(dir: &Path) -> Config {
    let text = format!(
        "[tasks.stubborn]\nshell = true\ncwd = {:?}\ncommand = \"trap '' TERM; \
         echo $$ > new; mv new pid-$UMBEL_TOKEN; while true; do sleep 600; done\"\n",
        dir.display().to_string()
    );
    Config::parse("cluster.toml", &text).expect("it is valid")
}

/// The processes that have told so.
fn pids(dir: &Path) -> Vec<i32> {
    let entries = dir.read_dir().expect("it is there").filter_map(|entry| {
        let path = entry.ok()?.path();
        path.file_name()?.to_str()?.starts_with("pid-").then_some(path)
    });
    let read = |path| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    entries.filter_map(read).collect()
}

/// Whether a process is there, and not only waits to be waited for.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Counts runs of a handler that never ends: those that go on, and the most at a time.
#[derive(Clone, Default)]
struct Going(Arc<AtomicUsize>, Arc<AtomicUsize>);

struct Counted(Going);

impl Going {
    fn begin(&self) -> Counted {
        let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.1.fetch_max(now, Ordering::SeqCst);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn with_endless(node: NodeBuilder, going: &Going) -> NodeBuilder {
    let going = going.clone();
    node.register("endless", move |(): ()| {
        let going = going.clone();
        async move {
            let _counted = going.begin();
            std::future::pending::<Result<(), std::io::Error>>().await
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_fallen_executor_goes_on_beside_its_successor() {
    let dir = tempfile::tempdir().expect("a directory");
    let going = Going::default();
    let node = with_endless(builder(dir.path()), &going).config(stubborn(dir.path()));
    let node = started(node).await;
    drop(submit(&node, &task("stubborn", 1), false).await);
    drop(submit(&node, &task("endless", 2), false).await);
    let count = || going.0.load(Ordering::SeqCst);
    until("both run", async || pids(dir.path()).len() == 1 && count() == 1).await;
    let before = pids(dir.path())[0];
    assert!(lives(before));

    let fallen = node.executor().expect("there is one");
    assert!(fallen.send(executor::Panic).await.is_err(), "it falls");
    until("it runs again", async || pids(dir.path()).len() == 2).await;
    assert!(!lives(before), "two runs of the task go on at once");
    until("the other runs again", async || count() == 1).await;
    assert_eq!(going.1.load(Ordering::SeqCst), 1, "two runs of the handler went on at once");
    drop(node);
    until("they go with the node", async || {
        count() == 0 && !pids(dir.path()).into_iter().any(lives)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_leaves_no_process_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(builder(dir.path()).config(stubborn(dir.path()))).await;
    drop(submit(&node, &task("stubborn", 1), false).await);
    until("it runs", async || pids(dir.path()).len() == 1).await;
    assert!(lives(pids(dir.path())[0]));
    node.stop().await;
    assert!(!lives(pids(dir.path())[0]), "it runs on without its node");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_overlap_is_killed_in_time_when_its_node_ends_whatever_its_grace() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = stubborn(dir.path());
    let task = config.tasks.get_mut("stubborn").expect("it is there");
    let crate::config::Work::Command(command) = &mut task.work else { panic!("a command") };
    command.grace = Some(Span::from_millis(300_000));
    let partitions = config.cluster.partitions;
    let node = started(builder(dir.path()).config(config)).await;
    let options =
        Options { exclusive: Some(true), lost_after: Some(LOST_AFTER_MIN), ..Options::default() };
    let template = Template { options, ..Template::new("stubborn") };
    let key = Particulars { limit_key: Some("one".into()), ..Particulars::default() };
    let place = key.partition("stubborn", partitions).expect("it has a key");
    let mut row = Row::new(TaskId::new(wall(), place, 1), 0, "null".into());
    row.particulars = Some(Box::new(key));
    let batch = Arc::new(Batch { templates: vec![template], rows: vec![row] });
    drop(submit(&node, &batch, false).await);
    until("it runs", async || pids(dir.path()).len() == 1).await;
    timeout(PATIENCE, node.stop()).await.expect("it ends as soon as another might begin");
    assert!(!lives(pids(dir.path())[0]), "it runs on without its node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_may_have_a_patience_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(builder(dir.path()).stop_patience(Duration::MAX)).await;
    drop(submit(&node, &task("wait", 1), false).await);
    let executor = node.executor().expect("there is one");
    until("it runs", async || executor.send(executor::Held).await == Ok(1)).await;
    let stopped = timeout(PATIENCE, node.stop_within(Duration::from_millis(1))).await;
    assert_eq!(stopped, Ok(false), "its run never ends");

    // It has more than it was set up with.
    let dir = tempfile::tempdir().expect("a directory");
    let node = started(builder(dir.path()).stop_patience(Duration::ZERO)).await;
    let stopped = timeout(PATIENCE, node.stop_within(PATIENCE)).await;
    assert_eq!(stopped, Ok(true), "nothing is left to be waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_free_when_its_store_is_closed_and_not_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = lone(dir.path()).await;
    let gate = Gate::default();
    let opener = Opener(gate.clone());
    // The store's owner stands still, so that the store stays open.
    node.supervisor().try_send(Break::Hold(gate.clone())).expect("it is taken");
    until("it stands still", async || gate.reached() == 1).await;
    drop(node);
    let again = builder(dir.path()).start().await.map(drop);
    let in_use = matches!(&again, Err(StartError::DataDir(DataDirError::InUse { .. })));
    assert!(in_use, "{again:?}");
    drop(opener);
    let mut node = None;
    until("it is free", async || match builder(dir.path()).start().await {
        Ok(started) => node.replace(started).is_none(),
        Err(StartError::DataDir(DataDirError::InUse { .. })) => false,
        Err(other) => panic!("{other}"),
    })
    .await;
    let node = node.expect("it was started");
    assert!(works(&node).await);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_be_stopped_while_it_opens_its_store() {
    let dir = tempfile::tempdir().expect("a directory");
    for _ in 0..10 {
        builder(dir.path()).start().await.expect("it starts").stop().await;
    }
    let node = lone(dir.path()).await;
    assert!(works(&node).await);
    node.stop().await;
}
