//! `umbel bench`: how many tasks a cluster does in a second, and how fast it answers one caller.
//!
//! The tasks do nothing; everything else about them is real: they are submitted over the network,
//! written to disk by a majority, run, and their results stored and sent back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::task::JoinSet;
use umbel_protocol::limits::{ARGS_BYTES_MAX, BATCH_BYTES_MAX, BATCH_TASKS_MAX};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Batch, Row, State, Template};

use super::connect::ConnectArgs;
use super::interrupt::Interrupts;
use super::progress::progress;
use super::table::facts;
use super::time::{count, count_of, length};
use super::{Done, out};
use crate::client::Client;
use crate::work::{Call, Registry};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// How many tasks
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    tasks: usize,
    /// Tasks of one submission [default: 1000, or as many as fit]
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=BATCH_TASKS_MAX as i64))]
    batch: Option<u16>,
    /// Bytes of arguments of each task
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    payload: usize,
    /// Tasks that are submitted and waited for one after the other
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    latency: usize,
    /// Submissions on their way at a time to each node
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=1_024))]
    window: u16,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    nodes: usize,
    tasks: usize,
    batch: usize,
    payload: usize,
    seconds: f64,
    tasks_per_s: f64,
    p50_us: Option<u128>,
    p99_us: Option<u128>,
}

pub(super) async fn run(args: BenchArgs) -> anyhow::Result<Done> {
    if args.tasks == 0 && args.latency == 0 {
        bail!("there is nothing to measure: give --tasks or --latency something to do");
    }
    let batch = batch(&args)?;
    let mut interrupts = Interrupts::listen()?;
    let measured = tokio::select! {
        measured = measure(&args, batch) => measured?,
        () = interrupts.any() => {
            out::note("interrupted: nothing is measured; tasks that were submitted go on, which do nothing");
            return Ok(Done::Interrupted);
        }
    };
    let mut results = out::Results::new();
    if args.json {
        results.json(&measured)?;
    } else {
        for line in measured.for_people(args.latency) {
            results.line(line)?;
        }
    }
    results.flush()?;
    Ok(Done::Well)
}

/// How many tasks a submission has.
fn batch(args: &BenchArgs) -> anyhow::Result<usize> {
    if args.payload > ARGS_BYTES_MAX {
        bail!("--payload may be at most {ARGS_BYTES_MAX} bytes, which is what one task may have");
    }
    let fit = (BATCH_BYTES_MAX - OVERHEAD) / (args.payload + OVERHEAD_OF_TASK);
    let batch = args.batch.map_or_else(|| BATCH.min(fit), usize::from);
    if batch > fit {
        bail!(
            "{batch} tasks of {} bytes do not fit one submission, which may have {BATCH_BYTES_MAX} \
             bytes; use --batch {fit} or less",
            args.payload,
        );
    }
    Ok(batch)
}

async fn measure(args: &BenchArgs, batch: usize) -> anyhow::Result<Measured> {
    let target = args.connect.target()?;
    let first = target.client().await?;
    let members = first.members().await.context("cannot ask for the members")?;
    let mut clients = Vec::new();
    for member in members.iter().filter(|member| member.liveness == Liveness::Alive) {
        clients.push(target.client_of(member.address.to_string()).await?);
    }
    if clients.is_empty() {
        clients.push(first);
    }
    // In a task, as in any service: the main thread is woken by others only.
    let (client, tasks) = (clients[0].clone(), args.latency);
    let trips = tokio::spawn(async move { round_trips(&client, tasks).await });
    let mut trips = trips.await.context("the one who measures panicked")??;
    let payload = payload(args.payload);
    let seconds = throughput(&clients, args, batch, payload).await?.as_secs_f64();
    trips.sort_unstable();
    let percentile = |percent: usize| {
        let place = (trips.len() * percent / 100).min(trips.len().saturating_sub(1));
        trips.get(place).map(Duration::as_micros)
    };
    Ok(Measured {
        nodes: clients.len(),
        tasks: args.tasks,
        batch,
        payload: args.payload,
        seconds,
        tasks_per_s: if seconds > 0.0 { (args.tasks as f64 / seconds).round() } else { 0.0 },
        p50_us: percentile(50),
        p99_us: percentile(99),
    })
}

impl Measured {
    fn for_people(&self, latency: usize) -> Vec<String> {
        let micros = |micros: Option<u128>| {
            let micros = u64::try_from(micros.unwrap_or_default()).unwrap_or(u64::MAX);
            length(Duration::from_micros(micros))
        };
        let mut told = Vec::new();
        if self.tasks > 0 {
            told.push((
                "throughput",
                format!(
                    "{} tasks/s, {} in {:.2} s, submitted {} at a time to {}",
                    count(self.tasks_per_s as u64),
                    count_of(self.tasks as u64, "task"),
                    self.seconds,
                    count(self.batch as u64),
                    count_of(self.nodes as u64, "node")
                ),
            ));
        }
        if latency > 0 {
            told.push((
                "round trip",
                format!(
                    "p50 {}, p99 {}, {} one after the other",
                    micros(self.p50_us),
                    micros(self.p99_us),
                    count_of(latency as u64, "task")
                ),
            ));
        }
        facts(&told)
    }
}

/// Submits tasks one after the other, and waits for each.
async fn round_trips(client: &Client, tasks: usize) -> anyhow::Result<Vec<Duration>> {
    // The first ones meet cold caches and sleeping groups.
    for _ in 0..WARM_UP.min(tasks) {
        round_trip(client).await?;
    }
    let mut trips = Vec::with_capacity(tasks);
    for _ in 0..tasks {
        trips.push(round_trip(client).await?);
    }
    Ok(trips)
}

async fn round_trip(client: &Client) -> anyhow::Result<Duration> {
    let began = Instant::now();
    client.run(Call::<()>::named(Registry::NOOP, &())).await.context("a task did not succeed")?;
    Ok(began.elapsed())
}

/// Submits all tasks through all clients at once and waits for all.
async fn throughput(
    clients: &[Client],
    args: &BenchArgs,
    batch: usize,
    payload: Bytes,
) -> anyhow::Result<Duration> {
    let left = Arc::new(AtomicUsize::new(args.tasks));
    let bar = progress(Some(args.tasks as u64));
    let mut senders = JoinSet::new();
    let began = Instant::now();
    for client in clients {
        for _ in 0..args.window {
            let sender = Sender {
                client: client.clone(),
                left: Arc::clone(&left),
                batch,
                payload: payload.clone(),
                bar: bar.clone(),
            };
            senders.spawn(sender.run());
        }
    }
    while let Some(sent) = senders.join_next().await {
        sent.context("a sender panicked")??;
    }
    bar.finish_and_clear();
    Ok(began.elapsed())
}

/// Submits one batch after the other, each when the one before it has ended.
struct Sender {
    client: Client,
    /// Tasks that nobody has taken yet.
    left: Arc<AtomicUsize>,
    batch: usize,
    payload: Bytes,
    bar: ProgressBar,
}

impl Sender {
    async fn run(self) -> anyhow::Result<()> {
        loop {
            let take = |left: usize| Some(left.saturating_sub(self.batch));
            let left = self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, take);
            let tasks = left.unwrap_or_default().min(self.batch);
            if tasks == 0 {
                return Ok(());
            }
            let ids = self.client.new_ids(tasks).await?;
            let rows = ids.into_iter().map(|id| Row::new(id, 0, self.payload.clone()));
            let batch =
                Batch { templates: vec![Template::new(Registry::NOOP)], rows: rows.collect() };
            let done = self.client.submit_whole(Arc::new(batch), true).await;
            let done = done.context("a batch was not taken in")?;
            if let Some((_, refusal)) = done.refused.first() {
                bail!("{} tasks were refused: {refusal}", done.refused.len());
            }
            let succeeded = done.endings.iter().filter(|end| end.state == State::Succeeded).count();
            if succeeded != tasks {
                bail!("of {tasks} tasks only {succeeded} succeeded");
            }
            self.bar.inc(tasks as u64);
        }
    }
}

/// Arguments of so many bytes, JSON. No arguments are `null`.
fn payload(bytes: usize) -> Bytes {
    match bytes {
        0 => Bytes::from_static(b"null"),
        1 => Bytes::from_static(b"0"),
        _ => Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2))),
    }
}

const WARM_UP: usize = 50;
/// Tasks of a submission, unless it is said or they do not fit.
const BATCH: usize = 1_000;
/// What a submission takes besides its tasks, and a task besides its payload.
const OVERHEAD: usize = 512;
const OVERHEAD_OF_TASK: usize = 32;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Bench {
        #[command(flatten)]
        args: BenchArgs,
    }

    #[test]
    fn a_submission_has_as_many_tasks_as_fit() {
        let of = |args: &[&str]| {
            let args = [&["bench"], args].concat();
            batch(&Bench::try_parse_from(args).unwrap().args)
        };
        assert_eq!(of(&[]).unwrap(), BATCH);
        assert_eq!(of(&["--batch", "7", "--payload", "5000"]).unwrap(), 7);
        let fit = of(&["--payload", "5000"]).unwrap();
        assert!(fit < BATCH && fit * 5_000 <= BATCH_BYTES_MAX, "{fit}");
        assert!(of(&["--batch", "1000", "--payload", "5000"]).is_err());
        assert!(of(&["--payload", &ARGS_BYTES_MAX.to_string()]).unwrap() > 0);
    }

    #[test]
    fn a_payload_is_json_of_its_length() {
        assert_eq!(payload(0), "null");
        for bytes in [1, 2, 3, 4, 1000] {
            assert_eq!(payload(bytes).len(), bytes);
            serde_json::from_slice::<serde_json::Value>(&payload(bytes)).unwrap();
        }
    }
}
