//! What the cluster tells of the ticks of its jobs. It remembers only the last of them, so it is asked
//! again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::client::Client;
use super::{Tick, jobs};

/// A round of questions begins so often: a job's history spans four of them.
const ROUND: Duration = Duration::from_secs(5);

/// What was told of one tick, by all answers together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// When it was decided about; more than one time if answers differ.
    pub(super) decided_at: BTreeSet<u64>,
    pub(super) verdicts: BTreeSet<String>,
    pub(super) tasks: BTreeSet<String>,
}

/// Whoever asks.
#[derive(Debug)]
pub(super) struct Watch {
    client: Client,
    told: Mutex<BTreeMap<Tick, Told>>,
    stopping: AtomicBool,
}

impl Watch {
    pub(super) const fn new(client: Client) -> Self {
        Self { client, told: Mutex::new(BTreeMap::new()), stopping: AtomicBool::new(false) }
    }

    /// Asks until it is stopped.
    pub(super) fn start(self: Arc<Self>) -> JoinHandle<()> {
        thread::spawn(move || {
            while !self.stopping.load(Ordering::Relaxed) {
                let next = Instant::now() + ROUND;
                self.look();
                while Instant::now() < next && !self.stopping.load(Ordering::Relaxed) {
                    thread::park_timeout(Duration::from_millis(50));
                }
            }
        })
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Asks about all jobs once. Nobody may answer while a node is away; the next round asks again.
    pub(super) fn look(&self) {
        for job in jobs::names() {
            let ran = self.client.ask(&["job", "history", &job, "--json"]);
            for record in ran.json() {
                self.note(&job, &record);
            }
        }
    }

    /// All that was told.
    pub(super) fn told(&self) -> BTreeMap<Tick, Told> {
        self.lock().clone()
    }

    fn note(&self, job: &str, record: &Value) {
        let Some((at, decided_at)) = time(&record["tick"]).zip(time(&record["decided_at"])) else {
            return;
        };
        let mut all = self.lock();
        let told = all.entry(Tick { job: job.to_owned(), at }).or_default();
        told.decided_at.insert(decided_at);
        told.verdicts.extend(record["verdict"].as_str().map(str::to_owned));
        let runs = record["runs"].as_array().into_iter().flatten();
        told.tasks.extend(runs.filter_map(|run| run["task"].as_str()).map(str::to_owned));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Tick, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn time(stamp: &Value) -> Option<u64> {
    let stamp = stamp.as_str()?.parse::<jiff::Timestamp>().ok()?;
    u64::try_from(stamp.as_millisecond()).ok()
}
