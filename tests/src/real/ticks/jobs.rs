//! The jobs: how they are defined, stopped, and asked about.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::client::Client;
use super::super::cluster::Cluster;
use super::super::patience::{so, until};
use super::runs;

/// How many there are.
const JOBS: usize = 20;
/// From one tick to the next of each, in milliseconds.
pub(super) const EVERY: u64 = 1_000;
/// A tick that is noticed later than this is late: less than a takeover takes, so that there are some.
pub(super) const GRACE: u64 = 500;

/// Their names.
pub(super) fn names() -> impl Iterator<Item = String> {
    (0..JOBS).map(|number| format!("tick-{number:02}"))
}

/// All of them, as the configuration says it: half count from when they were defined, half go by the
/// clock. What is late is fired late, all of it.
pub(super) fn declaration() -> String {
    let mut text = String::new();
    for (number, name) in names().enumerate() {
        let schedule = if number % 2 == 0 { "every = \"1s\"" } else { "cron = \"* * * * * *\"" };
        let line = runs::line();
        let written = write!(
            text,
            "[jobs.{name}]\n{schedule}\nrun = '{line}'\nshell = true\n\
             misfire = \"all\"\nmisfire_max = 100\nmisfire_grace = \"{GRACE}ms\"\n"
        );
        written.expect("a string takes all");
    }
    text
}

/// Has the cluster read its file, and waits until it knows all jobs.
pub(super) fn reload(cluster: &Cluster) {
    until("all jobs are defined", || {
        let ran = cluster.client().ask(&["config", "reload"]);
        so(ran.ok, || ran.err.clone())?;
        let known = list(&cluster.client())?.len();
        so(known == JOBS, || format!("{known} jobs"))
    });
}

/// Has all of them fire no more.
pub(super) fn stop(client: &Client) {
    for name in names() {
        until(&format!("{name} is disabled"), || {
            let ran = client.ask(&["job", "disable", &name]);
            so(ran.ok, || ran.err)
        });
    }
}

/// How often what has happened to each job, by the cluster's own count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) job: String,
    pub(super) fired: u64,
    pub(super) succeeded: u64,
    /// All else: failed, cancelled, missed, skipped.
    pub(super) other: u64,
}

/// Waits until nothing of them runs any more; their counts.
pub(super) fn rest(client: &Client) -> Vec<Counts> {
    until("all runs have ended", || {
        let counts: Vec<_> = list(client)?.iter().map(counts_of).collect();
        let open = counts.iter().find(|counts| counts.fired > counts.succeeded + counts.other);
        so(counts.len() == JOBS && open.is_none(), || format!("{open:?}"))?;
        Ok(counts)
    })
}

fn list(client: &Client) -> Result<Vec<Value>, String> {
    let ran = client.ask(&["job", "list", "--prefix", "tick-", "--json"]);
    so(ran.ok, || ran.err.clone())?;
    Ok(ran.json())
}

fn counts_of(job: &Value) -> Counts {
    let count = |key: &str| job["counts"][key].as_u64().unwrap_or(0);
    let other = ["failed", "cancelled", "missed", "skipped"].iter().map(|key| count(key)).sum();
    Counts {
        job: job["name"].as_str().unwrap_or_default().to_owned(),
        fired: count("fired"),
        succeeded: count("succeeded"),
        other,
    }
}

/// What is on record of a task whose first run was not lost with its node.
pub(super) fn unexplained(cluster: &Cluster, task: &str) -> Option<String> {
    let Some(shown) = cluster.client().show(task) else {
        return Some(format!("{task} ran twice, and is not on record"));
    };
    let runs = shown["runs"].as_array().map_or(&[][..], Vec::as_slice);
    let is_explained = runs.len() > 1 && cluster.faults.unexplained(runs).is_empty();
    (!is_explained).then(|| format!("{task} ran twice: {}", shown["runs"]))
}
