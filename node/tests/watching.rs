//! Watching tasks: what their runs say comes while they say it, in order, whoever runs them, whoever owns
//! them and whichever node is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;
use umbel::client::{Event, Watch};
use umbel::config::Config;
use umbel::protocol::id::PartitionId;
use umbel::protocol::journal::Live;
use umbel::protocol::limits::{JOURNAL_LINES_MAX, JOURNAL_TAIL_LINES};
use umbel::protocol::time::{Span, Wall};
use umbel::protocol::wire::{Answer, Ask, Request, RequestError};
use umbel::testing::{Cluster, Inline};
use umbel::{
    Call, Client, ClientError, Context, NodeBuilder, Options, Progress, State, TaskError, TaskId,
    TaskState,
};

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets runs say their next line.
type Gate = Arc<Semaphore>;

/// Says `lines` lines, each when it may, and where it is.
async fn talk(ctx: Context, gate: State<Gate>, lines: u64) -> Result<(), TaskError> {
    for line in 0..lines {
        gate.acquire().await.expect("it is never closed").forget();
        ctx.log(format!("{line} on {}", ctx.node()));
        ctx.progress(line + 1, lines);
    }
    Ok(())
}

/// A cluster of so many nodes, of which those from `first` on run the task.
async fn cluster(nodes: usize, first: usize) -> (Cluster, Gate) {
    let gate: Gate = Arc::new(Semaphore::new(0));
    let shared = Arc::clone(&gate);
    let set_up = move |place: usize, node: NodeBuilder| {
        let node = node.state(Arc::clone(&shared));
        if place >= first { node.register("talk", talk) } else { node }
    };
    // So many that each node owns some, however they are drawn.
    let config =
        Config::parse("cluster.toml", "[cluster]\npartitions = 64\n").expect("it is valid");
    let cluster = Cluster::builder().nodes(nodes).config(config).each(set_up).start();
    (cluster.await.expect("it starts"), gate)
}

async fn next(watch: &mut Watch) -> Event {
    let next = timeout(PATIENCE, watch.next()).await.expect("in time");
    next.expect("it is told").expect("it has not ended")
}

/// The next line, or the end.
async fn line(watch: &mut Watch) -> String {
    loop {
        match next(watch).await {
            Event::Log(line) => return line.text.into(),
            Event::Ended(view) => return view.state.as_str().to_owned(),
            Event::Started { .. } | Event::Progress(_) => {}
            Event::Missed(lines) => panic!("{lines} lines are missed"),
        }
    }
}

async fn started(watch: &mut Watch) -> u16 {
    match next(watch).await {
        Event::Started { attempt, .. } => attempt,
        other => panic!("{other:?}"),
    }
}

/// A partition that the node at `place` owns.
async fn owned_by(cluster: &Cluster, place: usize) -> PartitionId {
    let owned = timeout(PATIENCE, async {
        loop {
            let request = Request { deadline: Span::from_millis(30_000), ask: Ask::Welcome };
            match cluster.node(place).ask(request).await.recv().await {
                Some(Answer::Welcome(welcome)) if welcome.owned.is_empty() => {}
                Some(Answer::Welcome(welcome)) => return welcome.owned[0],
                other => panic!("{other:?}"),
            }
            tokio::task::yield_now().await;
        }
    });
    owned.await.expect("it owns its share in time")
}

fn id_in(partition: PartitionId) -> TaskId {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = u64::try_from(since.expect("after 1970").as_millis()).expect("it fits");
    TaskId::new(Wall::from_millis(millis), partition, rand::random())
}

/// Place of the node that runs the task.
async fn runner(cluster: &Cluster, client: &Client, task: TaskId) -> usize {
    let view = timeout(PATIENCE, async {
        loop {
            let view = client.show(task).await.expect("it is known");
            if view.state == TaskState::Leased {
                return view;
            }
            tokio::task::yield_now().await;
        }
    });
    let node = view.await.expect("in time").node;
    let is_meant = |place: &usize| cluster.runs(*place) && Some(cluster.node(*place).id()) == node;
    (0..cluster.len()).find(is_meant).expect("it is one of them")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_the_next_run_when_the_node_of_one_is_lost() {
    // One is asked, another owns the task, and two others may run it.
    let (mut cluster, gate) = cluster(4, 2).await;
    let client = cluster.node(0).client();
    let task = id_in(owned_by(&cluster, 1).await);
    let call = Call::<()>::named("talk", &3).id(task);
    let handle = client.submit(call).await.expect("it is taken in");
    let mut watch = handle.watch();
    assert_eq!(started(&mut watch).await, 1);
    let first = runner(&cluster, &client, task).await;
    gate.add_permits(1);
    assert_eq!(line(&mut watch).await, format!("0 on node-{first}"));
    assert_eq!(next(&mut watch).await, Event::Progress(Progress::new(1, 3)));

    cluster.crash(first).await;
    // Lost runs are no attempts of their own.
    assert_eq!(started(&mut watch).await, 1);
    let second = runner(&cluster, &client, task).await;
    assert_ne!(second, first);
    for expected in 0..3 {
        gate.add_permits(1);
        assert_eq!(line(&mut watch).await, format!("{expected} on node-{second}"));
        assert_eq!(next(&mut watch).await, Event::Progress(Progress::new(expected + 1, 3)));
    }
    assert_eq!(line(&mut watch).await, "succeeded");
    assert_eq!(watch.next().await.expect("it is over"), None);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_goes_on_at_another_node_and_with_another_owner() {
    let (mut cluster, gate) = cluster(3, 2).await;
    let (client, owner) = (cluster.client(), owned_by(&cluster, 0).await);
    let call = Call::<()>::named("talk", &40).id(id_in(owner));
    let mut watch = client.submit(call).await.expect("it is taken in").watch();
    let mut heard = Vec::new();
    for step in 0..40 {
        if step == 20 {
            // It owns the task, and the watcher may be connected to it.
            cluster.crash(0).await;
        }
        gate.add_permits(1);
        heard.push(line(&mut watch).await);
    }
    let expected: Vec<_> = (0..40).map(|line| format!("{line} on node-2")).collect();
    assert_eq!(heard, expected);
    assert_eq!(line(&mut watch).await, "succeeded");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_come_before_the_end_however_soon_that_is() {
    let (cluster, gate) = cluster(1, 0).await;
    let client = cluster.client();
    for _ in 0..30 {
        let handle = client.submit(Call::<()>::named("talk", &3)).await.expect("it is taken in");
        let (mut one, mut other) = (handle.watch(), handle.watch());
        assert_eq!((started(&mut one).await, started(&mut other).await), (1, 1));
        // One has asked on, the other will when all is over.
        gate.add_permits(1);
        assert_eq!(line(&mut one).await, "0 on node-0");
        gate.add_permits(2);
        for expected in ["1 on node-0", "2 on node-0", "succeeded"] {
            assert_eq!(line(&mut one).await, expected);
        }
        for expected in ["0 on node-0", "1 on node-0", "2 on node-0", "succeeded"] {
            assert_eq!(line(&mut other).await, expected);
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talks_too_much_is_heard_in_part_and_the_rest_is_counted() {
    let (cluster, gate) = cluster(1, 0).await;
    let client = cluster.client();
    let said = JOURNAL_LINES_MAX as u64 + 500;
    // It goes on, so that it is not over before it is watched.
    let call = Call::<()>::named("talk", &(said + 1));
    let handle = client.submit(call).await.expect("it is taken in");
    gate.add_permits(usize::try_from(said).expect("a few"));
    let shown = timeout(PATIENCE, async {
        loop {
            let view = client.show(handle.id()).await.expect("it is known");
            if let Some(Live::Says(words)) = view.live
                && words.place().lines == said
            {
                return words;
            }
            tokio::task::yield_now().await;
        }
    });
    let words = shown.await.expect("in time");
    assert_eq!(words.progress, Some(Progress::new(said, said + 1)));
    assert_eq!(words.lines.len(), JOURNAL_TAIL_LINES);

    let mut watch = handle.watch();
    started(&mut watch).await;
    assert_eq!(next(&mut watch).await, Event::Missed(500));
    for expected in 500..said {
        assert_eq!(line(&mut watch).await, format!("{expected} on node-0"));
    }
    gate.add_permits(1);
    assert_eq!(line(&mut watch).await, format!("{said} on node-0"));
    assert_eq!(line(&mut watch).await, "succeeded");
    let view = client.show(handle.id()).await.expect("it is known");
    assert_eq!(view.live, None, "it is gone with its run");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_knows_is_not_waited_for() {
    let (cluster, _gate) = cluster(3, 0).await;
    let client = cluster.client();
    for place in 0..3 {
        let task = id_in(owned_by(&cluster, place).await);
        let began = Instant::now();
        let waited = timeout(PATIENCE, client.wait(task, None)).await.expect("in time");
        let watched = timeout(PATIENCE, client.watch(task).next()).await.expect("in time");
        let shown = timeout(PATIENCE, client.show(task)).await.expect("in time");
        let unknown = RequestError::NotFound { task };
        for error in [waited.err(), watched.err(), shown.err()] {
            match error {
                Some(ClientError::Request(error)) => assert_eq!(error, unknown),
                other => panic!("{other:?}"),
            }
        }
        // Whoever waits for a task that there is waits for ever.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_heard_while_it_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let gate = dir.path().join("gate");
    // It ends once there is the file.
    let tasks = format!(
        "[tasks.build]\nshell = true\ncommand = '''\n\
         echo one; echo '::umbel progress 1/2 half way' >&2; printf 'no end '; printf 'of line\\n' >&2\n\
         until [ -e {gate:?} ]; do sleep 0.01; done\n\
         printf '\\377\\n'; echo '::umbel progress nonsense'; printf last'''\n\
         [tasks.quiet]\nshell = true\ncapture_bytes = \"0\"\ncommand = 'echo secret'\n"
    );
    let config = Config::parse("cluster.toml", &tasks).expect("it is valid");
    let cluster = Cluster::builder()
        .config(config)
        .each(|_, node| node.state(Gate::new(Semaphore::new(0))))
        .start()
        .await
        .expect("it starts");
    let client = cluster.client();
    let submit = |name: &'static str| client.submit_named(name, &(), Options::default());
    let mut watch = client.watch(submit("build").await.expect("it is taken in").id());
    let (mut out, mut err, mut progress) = (Vec::new(), Vec::new(), None);
    let ended = loop {
        match next(&mut watch).await {
            Event::Log(line) if line.is_error => err.push(line.text.to_string()),
            Event::Log(line) => out.push(line.text.to_string()),
            Event::Progress(said) => progress = Some(said),
            Event::Ended(view) => break view,
            Event::Started { .. } | Event::Missed(_) => {}
        }
        if !out.is_empty() && !err.is_empty() && progress.is_some() {
            std::fs::write(&gate, "").expect("it is written");
        }
    };
    assert_eq!(ended.state, TaskState::Succeeded);
    assert_eq!(out, ["one", "no end \u{fffd}", "::umbel progress nonsense", "last"]);
    assert_eq!(err, ["of line"]);
    assert_eq!(progress.expect("it was told").to_string(), "1/2 half way");
    let result = String::from_utf8_lossy(ended.result.as_ref().expect("it has one")).into_owned();
    assert!(result.contains("::umbel progress 1/2 half way"), "all of it is kept: {result}");

    let mut watch = client.watch(submit("quiet").await.expect("it is taken in").id());
    loop {
        match next(&mut watch).await {
            Event::Ended(_) => break,
            Event::Started { .. } => {}
            other => panic!("of whom nothing is kept nothing is told: {other:?}"),
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn tasks_that_are_run_at_once_are_heard_when_they_have_ended() {
    let gate: Gate = Arc::new(Semaphore::new(100));
    let tasks = Inline::builder().state(gate).register("talk", talk).build().expect("it is ready");
    let handle = tasks.client().submit(Call::<()>::named("talk", &2)).await.expect("it has run");
    assert_eq!(tasks.progress(handle.id()), Some(Progress::new(2, 2)));
    assert_eq!(tasks.lines(handle.id()).len(), 2);
    let mut watch = handle.watch();
    assert_eq!(started(&mut watch).await, 1);
    for expected in ["0 on inline", "1 on inline", "succeeded"] {
        assert_eq!(line(&mut watch).await, expected);
    }
    assert_eq!(tasks.progress(id_in(PartitionId(0))), None);
}
