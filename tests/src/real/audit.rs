//! Comparing what was acknowledged, what the cluster tells, and what was seen from outside.
//!
//! A task that was acknowledged and is not on record as ended is *lost*. One that ran more than once
//! is *duplicated*: that is allowed only if the cluster has all runs but one on record as begun in vain, and
//! something was done to their nodes at that time. Runs of tasks that nobody has submitted are
//! *unexpected*. Whatever is none of these, and is not as it should be, is told as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::account::Account;
use super::client::has_ended;
use super::faults::Faults;
use super::ledger::Ledger;

/// The outcome of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Tasks that were acknowledged.
    pub acknowledged: usize,
    /// Tasks that were in doubt and were then found to be taken in.
    pub recovered: usize,
    /// Tasks that ran more than once, each of which is explained unless it stands in `wrong`.
    pub duplicated: usize,
    /// Acknowledged tasks that are not on record as ended.
    pub lost: Vec<String>,
    /// What should not be, in words.
    pub wrong: Vec<String>,
}

impl Audit {
    /// Compares. `faults` is what was done to nodes.
    #[must_use]
    pub fn of(
        account: &Account,
        tasks: &BTreeMap<String, Value>,
        ledger: &Ledger,
        faults: &Faults,
    ) -> Self {
        let acknowledged = account.acknowledged.len();
        let mut audit = Self { acknowledged, recovered: account.recovered, ..Self::default() };
        let starts = ledger.starts();
        for id in &account.acknowledged {
            match tasks.get(id).filter(|task| has_ended(task)) {
                Some(task) if task["state"] == "succeeded" => {}
                Some(task) => audit.wrong.push(format!("{id} did not succeed: {task}")),
                None => audit.lost.push(id.clone()),
            }
        }
        for id in starts.keys().filter(|id| !account.knows(id)) {
            audit.wrong.push(format!("{id} runs and was never submitted"));
        }
        for (id, task) in tasks {
            let starts = starts.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            audit.duplicated += usize::from(starts.len() > 1);
            let tokens: BTreeSet<_> = starts.iter().map(|start| &start.token).collect();
            if tokens.len() < starts.len() {
                audit.wrong.push(format!("{id} used a token twice: {starts:?}"));
            }
            let runs = task["runs"].as_array().map_or(&[][..], Vec::as_slice);
            for node in starts.iter().map(|start| &start.node).collect::<BTreeSet<_>>() {
                let on_record = runs.iter().filter(|run| {
                    run["node"] == node.as_str() && run["outcome"] != "never-started"
                });
                let (on_record, seen) =
                    (on_record.count(), starts.iter().filter(|start| start.node == *node).count());
                if seen > on_record {
                    let why = format!("{id} ran {seen} times on {node}, which is not on record");
                    audit.wrong.push(format!("{why}: {task}"));
                }
            }
            for run in faults.unexplained(runs) {
                let node = run["node"].as_str().unwrap_or_default();
                audit.wrong.push(format!("a run on {node} was in vain for no reason: {task}"));
            }
            if task["state"] == "succeeded" && !ledger.has_end(id) {
                audit.wrong.push(format!("no run of {id} has ended, and yet it succeeded: {task}"));
            }
        }
        audit
    }

    /// Whether nothing is lost and nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.wrong.is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, recovered, duplicated, lost, wrong } = self;
        write!(f, "{acknowledged} acknowledged, {} lost, {duplicated} duplicated", lost.len())?;
        write!(f, ", {recovered} recovered, {} wrong", wrong.len())?;
        for id in lost {
            write!(f, "\n  lost: {id}")?;
        }
        for what in wrong {
            write!(f, "\n  wrong: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ledger::Entry;
    use super::*;

    fn start(task: &str, token: &str, node: &str) -> [Entry; 2] {
        let entry = |is_end| Entry {
            task: task.to_owned(),
            token: token.to_owned(),
            node: node.to_owned(),
            pid: 1,
            is_end,
        };
        [entry(false), entry(true)]
    }

    fn audit(runs: &Value, seen: Vec<[Entry; 2]>) -> Audit {
        let account = Account { acknowledged: ["t".into()].into(), ..Account::default() };
        let task = json!({ "id": "t", "state": "succeeded", "runs": runs });
        let ledger = Ledger(seen.into_iter().flatten().collect());
        let mut faults = Faults::default();
        faults.begin("b");
        Audit::of(&account, &[("t".into(), task)].into(), &ledger, &faults)
    }

    fn ran(node: &str, outcome: &str) -> Value {
        let now = jiff::Timestamp::now().to_string();
        json!({ "node": node, "outcome": outcome, "started_at": now, "finished_at": now })
    }

    #[test]
    fn a_second_run_is_explained_by_a_lost_one_on_a_node_that_something_was_done_to() {
        let runs = json!([ran("b", "lost"), ran("a", "succeeded")]);
        let found = audit(&runs, vec![start("t", "1", "b"), start("t", "2", "a")]);
        assert!(found.is_clean() && found.duplicated == 1, "{found}");
        let runs = json!([ran("c", "lost"), ran("a", "succeeded")]);
        let found = audit(&runs, vec![start("t", "1", "c"), start("t", "2", "a")]);
        assert!(found.to_string().contains("in vain for no reason"), "{found}");
    }

    #[test]
    fn runs_that_are_not_on_record_are_wrong() {
        let once = json!([ran("a", "succeeded")]);
        let found = audit(&once, vec![start("t", "1", "a"), start("t", "2", "a")]);
        assert!(found.to_string().contains("ran 2 times on a"), "{found}");
        let found = audit(&once, vec![start("t", "1", "a"), start("t", "1", "b")]);
        assert!(found.to_string().contains("used a token twice"), "{found}");
        let found = audit(&once, vec![start("t", "1", "a"), start("u", "1", "a")]);
        assert!(found.to_string().contains("u runs and was never submitted"), "{found}");
        assert!(audit(&once, vec![start("t", "1", "a")]).is_clean());
        assert!(!audit(&once, vec![]).is_clean(), "it must have been seen");
    }

    #[test]
    fn what_is_not_on_record_is_lost() {
        let account = Account { acknowledged: ["t".into()].into(), ..Account::default() };
        let none = Audit::of(&account, &BTreeMap::new(), &Ledger::default(), &Faults::default());
        assert_eq!(none.lost, ["t"]);
        let open = [("t".to_owned(), json!({ "state": "leased", "runs": [] }))].into();
        assert!(!Audit::of(&account, &open, &Ledger::default(), &Faults::default()).is_clean());
    }
}
