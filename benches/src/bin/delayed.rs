//! What tasks take that are delayed by long: memory of a node, room on its disk, and the memory that a start with
//! them needs.
//!
//! `delayed [TASKS] [NODES]`
//!
//! The nodes live in this process, so that what is told of one of several is its share; what the client
//! takes is counted, too. It fails if a node takes more than is promised.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints figures and why it fails")]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use umbel::config::HostPort;
use umbel::{Call, Client, Node, Registry};

/// Most that a million of them may take of the memory of one node, in MiB.
const MEMORY_MAX: u64 = 100;
/// Tasks of one request.
const TOGETHER: usize = 10_000;
/// A node that has not found its cluster after so long will not find it.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
/// Memory that has not changed by a MiB for so long is what it takes.
const SETTLED: Duration = Duration::from_secs(5);
/// It is told after so long in any case.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn start(dir: &Path, count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..count {
        let name = format!("node-{n}");
        let node = Node::builder().name(&name).data(dir.join(&name));
        let mut node = node.listen(([127, 0, 0, 1], 0).into());
        if let Some(first) = nodes.first() {
            let first: HostPort = first.address().to_string().parse().expect("it is one");
            node = node.join(first);
        }
        nodes.push(node.start().await.expect("it starts"));
        if n == 0 {
            joined(&nodes).await;
        }
    }
    joined(&nodes).await;
    nodes
}

async fn joined(nodes: &[Node]) {
    for node in nodes {
        let joined = tokio::time::timeout(JOINED_WITHIN, node.joined()).await;
        joined.expect("it finds its cluster in time").expect("it has a cluster");
    }
}

/// Submits `count` tasks with about a hundred bytes of arguments each.
async fn submit(client: &Client, count: usize) {
    for batch in 0..count.div_ceil(TOGETHER) {
        let first = batch * TOGETHER;
        let tasks = (first..count.min(first + TOGETHER)).map(|n| {
            let args = format!("{n:080}");
            let call: Call<()> = Call::named(Registry::NOOP, &("mail", n, args)).delay(HOUR);
            call.into_submission().expect("it is one")
        });
        for answer in client.submit_all(tasks.collect()).await {
            answer.expect("it is taken in");
        }
    }
}

/// A line of what the system tells of this process, in MiB.
fn of_this_process(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

/// Resident memory, once it stays as it is.
async fn settled() -> u64 {
    let (began, mut since) = (Instant::now(), Instant::now());
    let mut last = of_this_process("VmRSS:");
    while since.elapsed() < SETTLED && began.elapsed() < SETTLED_WITHIN {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = of_this_process("VmRSS:");
        if now.abs_diff(last) > 1 {
            (last, since) = (now, Instant::now());
        }
    }
    of_this_process("VmRSS:")
}

/// Bytes of all files below `dir`, and of those without a name that this process has open, in MiB.
fn on_disk(dir: &Path) -> (u64, u64) {
    fn below(dir: &Path) -> u64 {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let size = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(found) if found.is_dir() => below(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        };
        entries.map(size).sum()
    }
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let unnamed = open.filter_map(|entry| {
        let to = std::fs::read_link(entry.path()).ok()?;
        let is_one = to.to_string_lossy().ends_with("cold.tmp (deleted)");
        is_one.then(|| std::fs::metadata(entry.path()).map_or(0, |found| found.len()))
    });
    (below(dir) >> 20, unnamed.sum::<u64>() >> 20)
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let count = numbers.next().unwrap_or(1_000_000);
    let nodes = numbers.next().unwrap_or(1);
    let dir = tempfile::tempdir().expect("a directory");

    let running = start(dir.path(), nodes).await;
    let each = |memory: u64| memory / nodes as u64;
    let idle = settled().await;
    println!("idle: {} MiB a node", each(idle));
    let began = Instant::now();
    submit(&running[0].client(), count).await;
    println!("{count} tasks submitted in {:.2?}", began.elapsed());
    println!("right after: {} MiB a node", each(of_this_process("VmRSS:")));
    let full = settled().await;
    let grown = each(full.saturating_sub(idle));
    println!("settled: {} MiB a node, {grown} MiB more than idle", each(full));
    println!("peak so far: {} MiB a node", each(of_this_process("VmHWM:")));
    let (stored, away) = on_disk(dir.path());
    println!("on disk: {} MiB a node, and {} MiB put away", each(stored), each(away));
    for node in running {
        node.stop().await;
    }
    if nodes == 1 {
        // What was freed is given back late, so that the peak of a start in this process is no less than this.
        println!("stopped: {} MiB", settled().await);
        let began = Instant::now();
        let again = start(dir.path(), nodes).await;
        println!("started with all of them in {:.2?}", began.elapsed());
        println!("settled: {} MiB", settled().await);
        println!("peak: {} MiB", of_this_process("VmHWM:"));
        for node in again {
            node.stop().await;
        }
    }
    if grown * 1_000_000 > MEMORY_MAX * count.max(1) as u64 {
        eprintln!("error: that is more than {MEMORY_MAX} MiB a node for a million");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
