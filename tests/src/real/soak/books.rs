//! Keeping account of every task and every run of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::super::account::Account;
use super::super::audit::Audit;
use super::super::faults::{Faults, is_in_vain};
use super::super::ledger::Ledger;
use super::super::sink::Sink;

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
    /// The runs of tasks of which any began and did not succeed: that has to be explained.
    vain: Vec<(String, Vec<Value>)>,
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
    /// Runs that began and did not succeed, by how they ended.
    pub(super) vain: BTreeMap<String, usize>,
    /// Those of them, and those seen from outside, that nothing explains.
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
        if runs.iter().filter(|run| run["outcome"] == "succeeded").count() > 1 {
            entries.wrong.push(format!("succeeded twice: {task}"));
        }
        if runs.iter().any(is_in_vain) {
            entries.vain.push((id.clone(), runs.to_vec()));
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
    pub(super) fn close(self, ledger: &Ledger, sink: &Sink, faults: &Faults) -> Found {
        let entries = self.entries.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut found = Found {
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            ended: entries.ended,
            lost: entries.lost,
            wrong: entries.wrong,
            doubtful: entries.doubtful,
            again: entries.again,
            posts: entries.posts.len(),
            runs: entries.runs.len(),
            ..Found::default()
        };
        for (id, runs) in &entries.vain {
            for run in runs.iter().filter(|run| is_in_vain(run)) {
                let outcome = run["outcome"].as_str().unwrap_or_default().to_owned();
                *found.vain.entry(outcome).or_default() += 1;
            }
            let unexplained = faults.unexplained(runs).into_iter();
            found.unexplained.extend(unexplained.map(|run| format!("a run of {id}: {run}")));
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
        let audit = Audit::of(&account, &entries.runs, ledger, faults);
        found.seen_again += audit.duplicated;
        found.wrong.extend(audit.wrong);
        found.lost.extend(audit.lost);
        found
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
