//! How exactly a rate is kept to that several nodes share.
//!
//! `rate [RATE] [NODES] [SECONDS]`
//!
//! More tasks of one queue are submitted, spread over all partitions, than may begin in that time. It is counted how
//! many began within it, from the first on. It fails if that is off by more than 3 %.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints figures and why it fails")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use umbel::client::{Rule, Subject};
use umbel::config::HostPort;
use umbel::{Call, Client, Node, Rate, State, TaskError};

/// When each run began.
type Begun = Arc<Mutex<Vec<Instant>>>;

/// By so much it may be off.
const OFF_MAX: f64 = 0.03;
const QUEUE: &str = "limited";
/// Tasks of one request.
const TOGETHER: usize = 5_000;
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// What is said of a queue is heeded everywhere within a second; the first home of a limit waits for two more.
const HEEDED: Duration = Duration::from_secs(5);

async fn start(dir: &Path, count: usize, begun: &Begun) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..count {
        let name = format!("node-{n}");
        let node = Node::builder().name(&name).data(dir.join(&name)).state(Arc::clone(begun));
        let mut node = node.listen(([127, 0, 0, 1], 0).into()).register(
            "begin",
            |begun: State<Begun>, (): ()| async move {
                let now = Instant::now();
                begun.lock().expect("nothing panics while it holds it").push(now);
                Ok::<_, TaskError>(())
            },
        );
        if let Some(first) = nodes.first() {
            let first: HostPort = first.address().to_string().parse().expect("it is one");
            node = node.join(first);
        }
        let node = node.start().await.expect("it starts");
        let joined = tokio::time::timeout(JOINED_WITHIN, node.joined()).await;
        joined.expect("it finds its cluster in time").expect("it has a cluster");
        nodes.push(node);
    }
    nodes
}

async fn submit(client: &Client, mut count: usize) {
    while count > 0 {
        let together = count.min(TOGETHER);
        let calls = (0..together).map(|_| Call::<()>::named("begin", &()).queue(QUEUE));
        for taken in client.submit_batch(calls).await {
            taken.expect("it is taken in");
        }
        count -= together;
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().and_then(|arg| arg.parse().ok()).unwrap_or(default);
    let (per_second, count, seconds) = (number(1_000), number(3), number(20));
    let rate: Rate = format!("{per_second}/s").parse().expect("it is a rate");
    let count = usize::try_from(count).expect("few nodes");
    let dir = tempfile::tempdir().expect("a directory");
    let begun = Begun::default();
    let nodes = start(dir.path(), count, &begun).await;
    let client = nodes[0].client();
    let rule = Rule { rate: Some(Some(rate)), ..Rule::default() };
    client.set_rule(Subject::Queue(QUEUE.to_owned()), rule).await.expect("it is heard");
    tokio::time::sleep(HEEDED).await;
    let wanted = per_second * seconds;
    submit(&client, usize::try_from(wanted * 3 / 2).expect("few tasks")).await;
    tokio::time::sleep(Duration::from_secs(seconds + 6)).await;
    for node in nodes {
        node.stop_within(Duration::ZERO).await;
    }
    let mut begun = begun.lock().expect("nothing panics while it holds it").clone();
    begun.sort_unstable();
    let Some(first) = begun.first().copied() else {
        eprintln!("nothing has begun");
        return ExitCode::FAILURE;
    };
    let within = begun.iter().filter(|at| **at - first < Duration::from_secs(seconds)).count();
    let each: Vec<usize> = (0..seconds)
        .map(|n| {
            let from = first + Duration::from_secs(n);
            let until = from + Duration::from_secs(1);
            begun.iter().filter(|at| (from..until).contains(*at)).count()
        })
        .collect();
    #[allow(clippy::cast_precision_loss, reason = "few enough to be told apart")]
    let off = within as f64 / wanted as f64 - 1.0;
    println!("{rate} over {count} nodes for {seconds} s: {within} began, {:+.2} %", off * 100.0);
    println!("in each second: {each:?}");
    if off.abs() > OFF_MAX { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
