//! What runs have written down themselves: that they began, for which job, on which node.
//!
//! A line is written by one append of a few bytes, which is whole or not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Tick;

/// The variable in the environment of the nodes that says where they are written.
pub(super) const VARIABLE: &str = "TICKS";

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) tick: Tick,
    pub(super) task: String,
    pub(super) token: String,
    pub(super) node: String,
    pub(super) began_at: u64,
}

/// All of them, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(pub(super) Vec<Run>);

/// Where they are written.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("ticks")
}

/// The shell text that writes one down.
pub(super) fn line() -> String {
    format!(
        r#"echo "$UMBEL_TASK $UMBEL_TASK_ID $UMBEL_TOKEN $STALK $(date +%s%3N)" >> "${VARIABLE}""#
    )
}

impl Runs {
    /// Reads what is there by now.
    ///
    /// # Panics
    /// When a line is none of those that runs write.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        Self(text.lines().map(Run::read).collect())
    }

    /// Tasks that ran more than once.
    pub(super) fn twice_under_one_id(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let again = self.0.iter().filter(|run| !seen.insert(run.task.as_str()));
        again.map(|run| run.task.clone()).collect()
    }

    /// Tasks that ran more than once with the same token: one dispatch, two runs.
    pub(super) fn twice_under_one_token(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let again = self.0.iter().filter(|run| !seen.insert((&run.task, &run.token)));
        again.map(|run| run.task.clone()).collect()
    }

    /// What ran for each tick.
    pub(super) fn by_tick(&self) -> BTreeMap<&Tick, Vec<&Run>> {
        let mut runs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for run in &self.0 {
            runs.entry(&run.tick).or_default().push(run);
        }
        runs
    }
}

impl Run {
    fn read(line: &str) -> Self {
        let words: Vec<_> = line.split(' ').collect();
        let [job, task, token, node, began_at] = words[..] else {
            panic!("not a line that runs write: {line:?}")
        };
        let job = job.strip_prefix("job:").expect("only jobs run this").to_owned();
        Self {
            tick: Tick { job, at: time_of(task) },
            task: task.to_owned(),
            token: token.to_owned(),
            node: node.to_owned(),
            began_at: began_at.parse().expect("a time"),
        }
    }
}

/// The tick for which a task was made: the first 48 bits of its id.
fn time_of(task: &str) -> u64 {
    let digits: String = task.chars().filter(|digit| *digit != '-').take(12).collect();
    u64::from_str_radix(&digits, 16).expect("the id of a task")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_its_tick() {
        let line = "job:tick-07 018bcfe5-6800-83ff-8000-000000000007 2.10.0 b 1700000000012";
        let run = Run::read(line);
        let tick = Tick { job: "tick-07".to_owned(), at: 1_700_000_000_000 };
        assert_eq!((&run.tick, run.began_at, run.node.as_str()), (&tick, 1_700_000_000_012, "b"));
        let runs = Runs(vec![run.clone(), Run { token: "3.1.0".to_owned(), ..run.clone() }]);
        assert_eq!(runs.by_tick()[&tick].len(), 2);
        assert_eq!((runs.twice_under_one_id().len(), runs.twice_under_one_token().len()), (1, 0));
        let runs = Runs(vec![run.clone(), run]);
        assert_eq!(runs.twice_under_one_token().len(), 1);
    }
}
