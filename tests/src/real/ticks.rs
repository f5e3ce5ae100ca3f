//! Jobs that fire every second while nodes are killed: see the program of that name.

mod findings;
mod jobs;
mod kills;
mod report;
mod runs;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::findings::Findings;
use self::kills::Kills;
pub use self::report::Report;
use self::runs::Runs;
use self::told::Watch;
use super::cluster::{Cluster, Setting};
use super::program::Program;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that the nodes run.
    pub bin: PathBuf,
    /// For how long jobs fire.
    pub minutes: f64,
}

impl Options {
    /// Reads a command line.
    ///
    /// # Errors
    /// It says something else.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { bin: PathBuf::from("target/release/umbel"), minutes: 3.0 };
        while let Some(arg) = args.next() {
            let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            match arg.as_str() {
                "--bin" => options.bin = value.into(),
                "--minutes" => {
                    options.minutes =
                        value.parse().map_err(|_| format!("{arg} {value}: not a number"))?;
                }
                _ => return Err(format!("{arg}: there are --bin PATH and --minutes N")),
            }
        }
        let found = options.bin.canonicalize();
        options.bin = found.map_err(|why| format!("{}: {why}", options.bin.display()))?;
        Ok(options)
    }
}

/// A tick of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick {
    job: String,
    /// Its nominal time, in milliseconds since 1970, as all times here.
    at: u64,
}

/// Nodes: with three copies, one can be away and the others still move copies to where they belong.
const NODES: usize = 5;

/// Runs it all.
///
/// # Panics
/// When a node does not come back, or jobs do not come to rest.
#[must_use]
pub fn run(options: &Options) -> Report {
    // More partitions than jobs, so that each node owns some of the jobs.
    let setting = Setting {
        nodes: NODES,
        partitions: 64,
        slots: 16,
        environment: |_, dir| {
            vec![(runs::VARIABLE.to_owned(), runs::path(dir).to_string_lossy().into_owned())]
        },
        ..Setting::of(Program::at(&options.bin))
    };
    let mut cluster = Cluster::prepared(setting, false).expect("loopback is there");
    // Defined once all nodes are there: what takes long is their start, and is not what is measured.
    cluster.start_all();
    cluster.is_whole();
    cluster.declare(&jobs::declaration());
    jobs::reload(&cluster);

    let began = Instant::now();
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let watch = Arc::new(Watch::new(cluster.client()));
    let watching = Arc::clone(&watch).start();
    let mut kills = Kills::default();
    kills.go_on(&mut cluster, began, length);
    jobs::stop(&cluster.client());
    let counts = jobs::rest(&cluster.client());
    watch.stop();
    watching.join().expect("it asks and asks");
    watch.look();
    let runs = Runs::read(&runs::path(cluster.dir()));
    let told = watch.told();
    let again = runs.twice_under_one_id();
    let unexplained = again.iter().filter_map(|id| jobs::unexplained(&cluster, id)).collect();
    let findings = Findings::of(&runs, &told, &counts, &kills, unexplained);
    Report::new(options.clone(), kills, findings)
}
