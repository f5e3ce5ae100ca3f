//! Many periodic jobs on one node: how long it takes to define them and to start with them, what memory
//! they take, and how late their ticks are fired and begun.
//!
//! `jobs [JOBS] [TICKS A SECOND] [SECONDS]`
//!
//! Nine of ten fire at an interval, spread evenly, so that lateness is not that of a crowd of ticks at
//! one instant. The others are by cron expressions and do not fire before it is over: that they are
//! read, looked through for their next tick and kept is measured, and is not mixed up with lateness.
//!
//! It fails if one of a hundred ticks is more than a second late, or if there are none.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints figures and why it fails")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use umbel::client::JobListing;
use umbel::protocol::job::{Job, JobLine, JobName, Schedule};
use umbel::protocol::partition::Precondition;
use umbel::protocol::task::Template;
use umbel::protocol::time::{Span, Wall};
use umbel::{Client, Node, Registry};

/// Jobs that are defined at a time.
const TOGETHER: usize = 256;
/// One of so many jobs is by a cron expression.
const CRON_ONE_OF: usize = 10;
/// Later than any run of this ends.
const CRON_START: Span = Span::from_millis(24 * 3_600_000);
/// A node that does not know its jobs after so long will not know them at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// What is promised of 99 of 100 ticks.
const LATE_MAX: Span = Span::from_millis(1_000);

async fn start(dir: &Path) -> Node {
    let node = Node::builder().name("a").data(dir.join("a"));
    let node = node.listen(([127, 0, 0, 1], 0).into()).start().await.expect("it starts");
    let joined = tokio::time::timeout(ANSWER_WITHIN, node.joined()).await;
    joined.expect("it forms a cluster in time").expect("it forms a cluster");
    node
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

/// How many of the first `count` jobs are by cron expressions: the last of each ten.
const fn cron_jobs(count: usize) -> usize {
    count / CRON_ONE_OF
}

/// A job by a cron expression: they are of all kinds, and by the clocks of several places.
fn cron_job(n: usize, start: Wall) -> Job {
    const ZONES: [&str; 5] =
        ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
    let position = n / CRON_ONE_OF;
    let (minute, hour) = (position % 60, position / 60 % 24);
    let text = match position % 7 {
        0 => format!("{minute} {hour} * * *"),
        1 => format!("*/{} 8-18 * * MON-FRI", 5 + position % 20),
        2 => format!("{minute} {hour} 1,15 * *"),
        3 => format!("{minute} {hour} L * *"),
        4 => format!("{minute} {hour} * * FRI#2"),
        5 => format!("{minute} {hour} 29 2 *"),
        _ => "@hourly".to_owned(),
    };
    let mut job = Job::new(Schedule::Cron(text), Template::new(Registry::NOOP));
    ZONES[position % ZONES.len()].clone_into(&mut job.timezone);
    job.start = Some(start + CRON_START);
    job
}

/// The `n`th of `count` jobs; the ticks of those at an interval are spread evenly over it, from `first`.
fn job(n: usize, count: usize, every: Span, first: Wall) -> Job {
    if n % CRON_ONE_OF == CRON_ONE_OF - 1 {
        return cron_job(n, first);
    }
    let (position, of) = (n - cron_jobs(n), count - cron_jobs(count));
    let share = every.as_millis() * position as u64 / of as u64;
    let mut job = Job::new(Schedule::Every(every), Template::new(Registry::NOOP));
    job.start = Some(first + Span::from_millis(share));
    job
}

/// Defines `count` jobs.
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
                let job = job(n, count, every, first);
                let name: JobName = format!("job-{n}").parse().expect("it is a name");
                client.define_job(&name, job, Precondition::Absent).await.expect("it is defined");
            }
        }));
    }
    for worker in workers {
        worker.await.expect("it ends");
    }
}

/// Waits until a node that has been started knows its jobs, for `patience` and one more request at most.
async fn answers(client: &Client, patience: Duration) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let why = match client.jobs("job-0").await {
            Ok(JobListing { partitions_missing: 0, .. }) => return Ok(()),
            Ok(listing) => format!("{} partitions are missing", listing.partitions_missing),
            Err(error) => error.to_string(),
        };
        if began.elapsed() > patience {
            return Err(format!("the node does not tell its jobs after {patience:?}: {why}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Resident memory of this process, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

/// How late ticks are, sorted.
struct Lateness {
    what: &'static str,
    sorted: Vec<Span>,
}

impl Lateness {
    fn new(what: &'static str, ticks: impl Iterator<Item = Span>) -> Self {
        let mut sorted: Vec<Span> = ticks.collect();
        sorted.sort_unstable();
        Self { what, sorted }
    }

    /// How late the last tick of each job was fired. One that is due at `now` and was not fired is as
    /// late as that is.
    fn of_fired(jobs: &[JobLine], now: Wall) -> Self {
        let fired = jobs.iter().filter_map(|line| Some(line.last.as_ref()?.lateness(Span::ZERO)));
        let due = jobs.iter().filter_map(|line| line.next.filter(|next| *next <= now));
        Self::new("fired", fired.chain(due.map(|next| now.since(next))))
    }

    /// The same for when its task began.
    fn of_begun(jobs: &[JobLine], now: Wall) -> Self {
        let last = jobs.iter().filter_map(|line| line.last.as_ref());
        let begun = last.map(|record| {
            let began = record.runs.first().and_then(|run| run.started_at);
            began.unwrap_or(now).since(record.tick)
        });
        Self::new("begun", begun)
    }

    /// That of which so many thousandths are less late.
    fn at(&self, share: usize) -> Span {
        let place = (self.sorted.len() * share / 1_000).min(self.sorted.len().saturating_sub(1));
        self.sorted.get(place).copied().unwrap_or_default()
    }

    fn tell(&self) {
        let Self { what, sorted } = self;
        let [p50, p99, most] = [500, 990, 1_000].map(|share| self.at(share).as_millis());
        println!("{what} late: p50 {p50} ms, p99 {p99} ms, max {most} ms ({} ticks)", sorted.len());
    }

    /// Why that is not what is promised, if it is not.
    fn check(&self) -> Result<(), String> {
        let (what, p99) = (self.what, self.at(990));
        if self.sorted.is_empty() {
            return Err(format!("no tick was {what}: nothing is measured"));
        }
        if p99 > LATE_MAX {
            let (p99, most) = (p99.as_millis(), LATE_MAX.as_millis());
            return Err(format!("ticks are {what} {p99} ms late (p99), more than {most} ms"));
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), String> {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let count = numbers.next().unwrap_or(100_000);
    let rate = numbers.next().unwrap_or(1_000);
    let seconds = numbers.next().unwrap_or(120);
    let crons = cron_jobs(count);
    let every = Span::from_millis(((count - crons) * 1_000 / rate.max(1)) as u64);
    let dir = tempfile::tempdir().expect("a directory");

    let node = start(dir.path()).await;
    let before = resident();
    let began = Instant::now();
    define(&node.client(), count, every).await;
    println!("{count} jobs defined in {:.2?}", began.elapsed());
    println!("of them by cron expressions, which do not fire: {crons} (one of {CRON_ONE_OF})");
    println!("memory: {before} MiB before, {} MiB after", resident());
    node.stop().await;

    let began = Instant::now();
    let node = start(dir.path()).await;
    let client = node.client();
    answers(&client, ANSWER_WITHIN).await?;
    println!("started with them in {:.2?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(20 + seconds as u64)).await;
    println!("memory: {} MiB after {seconds} s of {rate} ticks a second", resident());
    let asked_at = now();
    let jobs = client.jobs("").await.map_err(|error| format!("no jobs are listed: {error}"))?.jobs;
    if jobs.len() < count {
        return Err(format!("only {} of {count} jobs are listed", jobs.len()));
    }
    let (fired, begun) = (Lateness::of_fired(&jobs, asked_at), Lateness::of_begun(&jobs, asked_at));
    fired.tell();
    begun.tell();
    node.stop().await;
    fired.check()?;
    begun.check()
}

#[cfg(test)]
mod tests {
    use umbel::protocol::job::Zones;

    use super::*;

    #[test]
    fn one_of_ten_jobs_is_by_a_cron_expression_that_is_good_and_does_not_fire() {
        let (zones, first, every) =
            (Zones::bundled(), Wall::from_millis(1_700_000_000_000), Span::from_millis(90_000));
        let jobs: Vec<Job> = (0..1_000).map(|n| job(n, 1_000, every, first)).collect();
        let (crons, others): (Vec<&Job>, Vec<&Job>) =
            jobs.iter().partition(|job| matches!(job.schedule, Schedule::Cron(_)));
        assert_eq!((crons.len(), others.len()), (cron_jobs(1_000), 900));
        for job in &crons {
            assert!(job.check(&zones).is_ok(), "{job:?}");
            assert_eq!(job.start, Some(first + CRON_START));
        }
        // The others are as far apart as they can be.
        let starts: Vec<u64> =
            others.iter().filter_map(|job| job.start).map(Wall::as_millis).collect();
        assert!(starts.windows(2).all(|two| two[1] - two[0] == 100), "{starts:?}");
    }

    #[test]
    fn what_is_promised_is_that_99_of_100_ticks_are_in_time() {
        let of = |late: u64| {
            let ticks = (0..1_000).map(|n| Span::from_millis(if n < late { 1_001 } else { 1_000 }));
            Lateness::new("fired", ticks).check()
        };
        assert_eq!(of(9), Ok(()));
        assert_eq!(of(10), Err("ticks are fired 1001 ms late (p99), more than 1000 ms".to_owned()));
        let none = Lateness::new("begun", std::iter::empty()).check();
        assert_eq!(none, Err("no tick was begun: nothing is measured".to_owned()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_does_not_answer_is_not_asked_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        let node = start(dir.path()).await;
        let client = node.client();
        assert_eq!(answers(&client, ANSWER_WITHIN).await, Ok(()));
        node.stop().await;
        let why = answers(&client, Duration::ZERO).await.expect_err("it is gone");
        assert!(why.starts_with("the node does not tell its jobs after 0ns: "), "{why}");
    }
}
