//! What runs have written down themselves: every start and every end, seen from outside.
//!
//! A line is written by one append of a few bytes, which is whole or not there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id of the task.
    pub task: String,
    /// The token of the run.
    pub token: String,
    /// On which node it runs.
    pub node: String,
    /// The process that leads its group.
    pub pid: u32,
    /// Whether it is its end, and not its start.
    pub is_end: bool,
}

/// All of them, in the order in which they happened.
#[derive(Clone, Debug, Default)]
pub struct Ledger(pub Vec<Entry>);

/// The shell text that writes `word` down; `$STALK` and `$LEDGER` are in the environment of the node.
#[must_use]
pub fn line(word: &str) -> String {
    format!(r#"echo "$UMBEL_TASK_ID $UMBEL_TOKEN $STALK $$ {word}" >> "$LEDGER""#)
}

impl Ledger {
    /// Reads what is there by now.
    ///
    /// # Panics
    /// When a line is none of those that runs write.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let entry = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let [task, token, node, pid, word @ ("start" | "end")] = words[..] else {
                panic!("not a line of the ledger: {line:?}")
            };
            Entry {
                task: task.to_owned(),
                token: token.to_owned(),
                node: node.to_owned(),
                pid: pid.parse().expect("the number of a process"),
                is_end: word == "end",
            }
        };
        Self(text.lines().map(entry).collect())
    }

    /// The starts of each task, in their order.
    #[must_use]
    pub fn starts(&self) -> BTreeMap<&str, Vec<&Entry>> {
        let mut starts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in self.0.iter().filter(|entry| !entry.is_end) {
            starts.entry(entry.task.as_str()).or_default().push(entry);
        }
        starts
    }

    /// Whether a run of `task` has written its end.
    #[must_use]
    pub fn has_end(&self, task: &str) -> bool {
        self.0.iter().any(|entry| entry.is_end && entry.task == task)
    }

    /// Runs that have begun on `node` and not ended.
    #[must_use]
    pub fn running_on(&self, node: &str) -> usize {
        let is_open = |start: &&Entry| {
            let ends = |entry: &Entry| {
                entry.is_end && (&entry.task, &entry.token) == (&start.task, &start.token)
            };
            !start.is_end && start.node == node && !self.0.iter().any(ends)
        };
        self.0.iter().filter(is_open).count()
    }
}
