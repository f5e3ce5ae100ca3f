//! Many periodic jobs on one node: how long it takes to define them and to start with them, what memory
//! they take, and how late their ticks are fired and begun.
//!
//! `jobs [JOBS] [TICKS A SECOND] [SECONDS]`

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use umbel::client::JobListing;
use umbel::protocol::job::{Job, JobName, Schedule, TickRecord};
use umbel::protocol::partition::Precondition;
use umbel::protocol::task::Template;
use umbel::protocol::time::{Span, Wall};
use umbel::{Client, Node, Registry};

/// Jobs that are defined at a time.
const TOGETHER: usize = 256;

async fn start(dir: &Path) -> Node {
    let node = Node::builder().name("a").data(dir.join("a"));
    let node = node.listen(([127, 0, 0, 1], 0).into()).start().await.expect("it starts");
    node.joined().await.expect("it forms a cluster");
    node
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

/// Defines `count` jobs whose ticks are spread evenly over `every`.
async fn define(client: &Client, count: usize, every: Span) {
    let first = now() + Span::from_millis(20_000);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for _ in 0..TOGETHER {
        let (client, next) = (client.clone(), Arc::clone(&next));
        workers.push(tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return;
                }
                let mut job = Job::new(Schedule::Every(every), Template::new(Registry::NOOP));
                let share = every.as_millis() * n as u64 / count as u64;
                job.start = Some(first + Span::from_millis(share));
                let name: JobName = format!("job-{n}").parse().expect("it is a name");
                client.define_job(&name, job, Precondition::Absent).await.expect("it is defined");
            }
        }));
    }
    for worker in workers {
        worker.await.expect("it ends");
    }
}

/// Resident memory of this process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

/// How late the last tick of each job was: fired, and begun.
async fn lateness(client: &Client) -> (Vec<Span>, Vec<Span>) {
    let jobs = client.jobs("").await.expect("it lists").jobs;
    let last: Vec<&TickRecord> = jobs.iter().filter_map(|line| line.last.as_ref()).collect();
    let begun = |record: &&TickRecord| Some(record.runs.first()?.started_at?.since(record.tick));
    let mut fired: Vec<Span> = last.iter().map(|record| record.lateness()).collect();
    let mut begun: Vec<Span> = last.iter().filter_map(begun).collect();
    fired.sort_unstable();
    begun.sort_unstable();
    (fired, begun)
}

fn tell(what: &str, sorted: &[Span]) {
    let at = |share: usize| {
        let place = (sorted.len() * share / 1_000).min(sorted.len().saturating_sub(1));
        sorted.get(place).copied().unwrap_or_default().as_millis()
    };
    let (p50, p99, most) = (at(500), at(990), at(1_000));
    println!("{what} late: p50 {p50} ms, p99 {p99} ms, max {most} ms ({} ticks)", sorted.len());
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let count = numbers.next().unwrap_or(100_000);
    let rate = numbers.next().unwrap_or(1_000);
    let seconds = numbers.next().unwrap_or(120);
    let every = Span::from_millis((count * 1_000 / rate.max(1)) as u64);
    let dir = tempfile::tempdir().expect("a directory");

    let node = start(dir.path()).await;
    let before = resident();
    let began = Instant::now();
    define(&node.client(), count, every).await;
    println!("{count} jobs defined in {:.2?}", began.elapsed());
    println!("memory: {before} MiB before, {} MiB after", resident());
    node.stop().await;

    let began = Instant::now();
    let node = start(dir.path()).await;
    let client = node.client();
    let is_there = |listing: &JobListing| listing.partitions_missing == 0;
    while !client.jobs("job-0").await.as_ref().is_ok_and(is_there) {}
    println!("started with them in {:.2?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(20 + seconds as u64)).await;
    println!("memory: {} MiB after {seconds} s of {rate} ticks a second", resident());
    let (fired, begun) = lateness(&client).await;
    tell("fired", &fired);
    tell("begun", &begun);
    node.stop().await;
}
