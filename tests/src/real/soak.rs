//! A long run of three nodes to which something is done all the time: see the program of that name.

mod books;
mod feeder;
mod report;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use self::books::Books;
use self::feeder::Feeding;
pub use self::report::Report;
use self::report::Sample;
use self::trouble::Trouble;
use super::cluster::{Cluster, Setting};
use super::namespace::Namespace;
use super::patience::PATIENCE;
use super::program::Program;
use super::sink::Sink;
use super::switch::{FIRST_CLIENT, address};

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that the nodes run.
    pub bin: PathBuf,
    /// For how long tasks come.
    pub minutes: f64,
    /// How many come.
    pub tasks: usize,
    /// What decides about trouble.
    pub seed: u64,
}

impl Options {
    /// Reads a command line.
    ///
    /// # Errors
    /// It says something else.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let bin = PathBuf::from("target/release/umbel");
        let mut options = Self { bin, minutes: 30.0, tasks: 1_000_000, seed: 1 };
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            let bad = || format!("{arg} {value}: not a number");
            match arg.as_str() {
                "--bin" => options.bin = value.into(),
                "--minutes" => options.minutes = value.parse().map_err(|_| bad())?,
                "--tasks" => options.tasks = value.parse().map_err(|_| bad())?,
                "--seed" => options.seed = value.parse().map_err(|_| bad())?,
                _ => return Err(format!("{arg}: there are --bin, --minutes, --tasks, --seed")),
            }
        }
        let found = options.bin.canonicalize();
        options.bin = found.map_err(|why| format!("{}: {why}", options.bin.display()))?;
        Ok(options)
    }
}

/// Something is done so often.
const TROUBLE_EVERY: Duration = Duration::from_secs(20);
/// Memory and disk are looked at so often.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// Those who submit: while one waits for tasks of a node that was stopped, others go on.
const FEEDERS: usize = 8;
/// The port of the server that counts posts.
const SINK: u16 = 8_080;

/// Runs it all.
///
/// # Panics
/// When a node does not come back.
#[must_use]
pub fn run(options: &Options) -> Report {
    // What is kept of tasks that ended, and the log, reach their limits early on: from then on nothing
    // may grow.
    let setting = Setting {
        seed: options.seed,
        slots: 16,
        partitions: 4,
        disk_log: "32 MiB".to_owned(),
        ..Setting::of(Program::at(&options.bin))
    };
    let mut cluster = Cluster::prepared(setting.clone(), true).unwrap_or_else(|why| {
        super::skipped(&format!("no cuts: {why}"));
        Cluster::prepared(setting, false).expect("loopback is there")
    });
    let network = cluster.has_switch().then(|| cluster.namespace(3));
    let sink = listen(network);
    cluster.declare(&sink.declaration("post"));
    cluster.start_all();
    cluster.is_whole();

    let feeding = Arc::new(Feeding::new(options.tasks, options.minutes));
    let books = Arc::new(Books::default());
    let feeders: Vec<_> = (0..FEEDERS)
        .map(|_| {
            let (client, feeding) = (cluster.client(), Arc::clone(&feeding));
            let books = Arc::clone(&books);
            thread::spawn(move || feeding.feed(&client, &books))
        })
        .collect();
    let mut trouble = Trouble::new(options.seed, TROUBLE_EVERY);
    let mut samples = vec![Sample::of(&cluster, Duration::ZERO, 0)];
    let began = Instant::now();
    let mut sampled = began;
    while feeders.iter().any(|feeder| !feeder.is_finished()) {
        let is_over = feeding.is_over();
        trouble.look(&mut cluster, is_over);
        if sampled.elapsed() >= SAMPLE_EVERY {
            sampled = Instant::now();
            let acknowledged = books.acknowledged.load(Ordering::Relaxed);
            samples.push(Sample::of(&cluster, began.elapsed(), acknowledged));
        }
        assert!(feeding.late() < PATIENCE * 4, "the end does not come: {}", books.summary());
        thread::park_timeout(Duration::from_millis(50));
    }
    for feeder in feeders {
        feeder.join().expect("it submits and asks");
    }
    trouble.end(&mut cluster);
    cluster.is_whole();
    samples.push(Sample::of(&cluster, began.elapsed(), books.acknowledged.load(Ordering::Relaxed)));
    let books = Arc::into_inner(books).expect("all others have ended");
    let found = books.close(&cluster.ledger(), &sink, &cluster.faults);
    Report::new(options, began.elapsed(), trouble, samples, found)
}

fn listen(network: Option<&Namespace>) -> Sink {
    match network {
        Some(network) => Sink::listen((address(FIRST_CLIENT, 1), SINK).into(), Some(network)),
        None => Sink::listen(([127, 0, 0, 1], 0).into(), None),
    }
}
