//! Keeping account of every task and every run of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

use super::super::account::Account;
use super::super::audit::Audit;
use super::super::ledger::Ledger;
use super::super::sink::Sink;
use super::trouble::Trouble;

/// Kept of what should not be: the first so many are told.
const TOLD_MAX: usize = 50;

/// What is known of all tasks by now.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) acknowledged: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    ended: usize,
    doubtful: usize,
    /// Runs on record of each task that was posted.
    posts: HashMap<String, u8>,
    /// Tasks that are commands.
    runs: BTreeMap<String, Value>,
    /// Runs that were lost or cut off, and have to be explained.
    lost_runs: Vec<(String, Value)>,
    /// Tasks that have more than one run on record.
    again: usize,
    lost: Vec<String>,
    wrong: Vec<String>,
}

/// What is found when all has ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) acknowledged: usize,
    pub(super) ended: usize,
    pub(super) lost: Vec<String>,
    pub(super) wrong: Vec<String>,
    pub(super) doubtful: usize,
    /// Tasks with more than one run on record.
    pub(super) again: usize,
    /// Tasks of which a second run was seen from outside.
    pub(super) seen_again: usize,
    /// Runs that were lost or cut off, all of them, and those that nothing explains.
    pub(super) lost_runs: usize,
    pub(super) unexplained: Vec<String>,
    pub(super) posts: usize,
    pub(super) runs: usize,
}

impl Books {
    /// A task was acknowledged and has ended.
    pub(super) fn ended(&self, task: &Value) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.ended_late(task);
    }

    /// A task whose acknowledgement is booked has ended.
    pub(super) fn ended_late(&self, task: &Value) {
        let mut entries = self.entries();
        entries.ended += 1;
        let id = task["id"].as_str().unwrap_or_default().to_owned();
        if task["state"] != "succeeded" {
            entries.wrong.push(format!("did not succeed: {task}"));
        }
        let runs = task["runs"].as_array().map_or(&[][..], Vec::as_slice);
        let started = runs.iter().filter(|run| run["outcome"] != "never-started").count();
        entries.again += usize::from(started > 1);
        for run in runs.iter().filter(|run| run["outcome"] == "lost" || run["outcome"] == "cut-off")
        {
            entries.lost_runs.push((id.clone(), run.clone()));
        }
        if task["task"] == "post" {
            entries.posts.insert(id, u8::try_from(started).unwrap_or(u8::MAX));
        } else if task["task"] == "run" {
            entries.runs.insert(id, task.clone());
        }
    }

    /// Nobody knows whether a task was taken in: it is submitted again.
    pub(super) fn doubtful(&self) {
        self.entries().doubtful += 1;
    }

    pub(super) fn lost(&self, what: String) {
        self.entries().lost.push(what);
    }

    pub(super) fn wrong(&self, what: String) {
        let wrong = &mut self.entries().wrong;
        if wrong.len() < TOLD_MAX {
            wrong.push(what);
        }
    }

    pub(super) fn summary(&self) -> String {
        let entries = self.entries();
        format!(
            "{} acknowledged, {} ended, {} lost, {:?}",
            self.acknowledged.load(Ordering::Relaxed),
            entries.ended,
            entries.lost.len(),
            entries.wrong
        )
    }

    /// Compares all of it with what was seen from outside.
    pub(super) fn close(self, ledger: &Ledger, sink: &Sink, trouble: &Trouble) -> Found {
        let entries = self.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut found = Found {
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            ended: entries.ended,
            lost: entries.lost,
            wrong: entries.wrong,
            doubtful: entries.doubtful,
            again: entries.again,
            lost_runs: entries.lost_runs.len(),
            posts: entries.posts.len(),
            runs: entries.runs.len(),
            ..Found::default()
        };
        for (id, run) in &entries.lost_runs {
            let time = |key: &str| {
                let stamp = run[key].as_str()?.parse::<jiff::Timestamp>().ok()?;
                Some(SystemTime::from(stamp))
            };
            let times = time("started_at").zip(time("finished_at"));
            let node = run["node"].as_str().unwrap_or_default();
            if !times.is_some_and(|(began, ended)| trouble.explains(node, began, ended)) {
                found.unexplained.push(format!("a run of {id}: {run}"));
            }
        }
        sink.posts(|posts| {
            for (id, on_record) in &entries.posts {
                let tokens = posts.get(id).map_or(&[][..], Vec::as_slice);
                let mut apart = tokens.to_vec();
                apart.sort_unstable();
                apart.dedup();
                found.seen_again += usize::from(tokens.len() > 1);
                if tokens.is_empty() || apart.len() < tokens.len() {
                    found.wrong.push(format!("{id} was posted with {tokens:?}"));
                }
                if tokens.len() > usize::from(*on_record) {
                    let why = format!("{id} was posted with {tokens:?}, {on_record} on record");
                    found.unexplained.push(why);
                }
            }
            for id in posts.keys().filter(|id| !entries.posts.contains_key(*id)) {
                found.wrong.push(format!("{id} was posted and is not known to have ended"));
            }
        });
        let acknowledged = entries.runs.keys().cloned().collect();
        let account = Account { acknowledged, ..Account::default() };
        // Whether what was lost is explained has been looked at more closely.
        let all = ["a", "b", "c"].map(str::to_owned).into();
        let audit = Audit::of(&account, &entries.runs, ledger, &all);
        found.seen_again += audit.duplicated;
        found.wrong.extend(audit.wrong);
        found.lost.extend(audit.lost);
        found
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
