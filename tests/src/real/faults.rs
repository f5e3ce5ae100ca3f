//! What was done to nodes, and when: nothing else may cost them a run.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// For how long after it something may still cost a run that begins: it takes a while until all have
/// noticed.
const AFTER: Duration = Duration::from_secs(3);
/// And for how long after it a run that began before may be found to be lost.
const FOUND_AFTER: Duration = Duration::from_secs(10);
/// Before it nothing may, but for how exactly times are told.
const BEFORE: Duration = Duration::from_millis(500);

/// All that was done, in the order in which it was.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

/// Something that was done to a node, or still is.
#[derive(Clone, Debug)]
struct Fault {
    node: String,
    from: SystemTime,
    to: Option<SystemTime>,
}

impl Faults {
    /// Something begins that may cost `node` its runs.
    pub fn begin(&mut self, node: &str) {
        self.0.push(Fault { node: node.to_owned(), from: SystemTime::now(), to: None });
    }

    /// All that was done to `node` is over, and it takes part again.
    pub fn end(&mut self, node: &str) {
        for fault in self.0.iter_mut().filter(|fault| fault.node == node) {
            fault.to.get_or_insert_with(SystemTime::now);
        }
    }

    /// Those of `runs`, which are all of one task, that began in vain though nothing was done to their
    /// nodes. One that was cancelled stood in for another that was taken for lost and succeeded late. The
    /// tasks of these clients neither fail by themselves nor are they stopped.
    #[must_use]
    pub fn unexplained<'a>(&self, runs: &'a [Value]) -> Vec<&'a Value> {
        let came_late = runs.iter().any(|run| run["outcome"] == "succeeded" && self.explain(run));
        let is_explained =
            |run: &Value| self.explain(run) || (came_late && run["outcome"] == "cancelled");
        runs.iter().filter(|run| is_in_vain(run) && !is_explained(run)).collect()
    }

    /// Whether something was done to the node of `run`, as the cluster has it on record, that may have
    /// cost it: after it was given to that node and before it was taken for lost.
    #[must_use]
    pub fn explain(&self, run: &Value) -> bool {
        let time = |key: &str| {
            let stamp = run[key].as_str()?.parse::<jiff::Timestamp>().ok()?;
            Some(SystemTime::from(stamp))
        };
        let Some((began, ended)) = time("started_at").zip(time("finished_at")) else {
            return false;
        };
        self.0.iter().filter(|fault| run["node"] == *fault.node).any(|fault| {
            let is_after =
                fault.to.is_some_and(|to| began > to + AFTER || ended > to + FOUND_AFTER);
            !is_after && ended + BEFORE >= fault.from
        })
    }
}

/// Whether a run that the cluster has on record began and did not succeed.
#[must_use]
pub fn is_in_vain(run: &Value) -> bool {
    run["outcome"] != "succeeded" && run["outcome"] != "never-started"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_done_explains_what_ran_then_and_there() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fault = |to| Faults(vec![Fault { node: "b".into(), from: at(100), to }]);
        let over = fault(Some(at(105)));
        let run = |node: &str, from: u64, to: u64| {
            let stamp = |seconds| jiff::Timestamp::from_second(seconds).unwrap().to_string();
            let (from, to) = (from.try_into().unwrap(), to.try_into().unwrap());
            json!({ "node": node, "started_at": stamp(from), "finished_at": stamp(to) })
        };
        assert!(over.explain(&run("b", 90, 102)));
        assert!(over.explain(&run("b", 103, 106)));
        assert!(!over.explain(&run("b", 80, 99)));
        assert!(!over.explain(&run("b", 120, 122)));
        assert!(over.explain(&run("b", 90, 115)));
        assert!(!over.explain(&run("b", 90, 116)), "it was found too late");
        assert!(!over.explain(&run("a", 90, 102)));
        assert!(fault(None).explain(&run("b", 120, 122)), "it goes on");
        assert!(!over.explain(&json!({ "node": "b" })), "it needs times");
    }

    #[test]
    fn a_run_that_was_cancelled_needs_another_that_was_taken_for_lost_and_succeeded() {
        let mut faults = Faults::default();
        faults.begin("b");
        let now = jiff::Timestamp::now().to_string();
        let run = |node: &str, outcome: &str| {
            let (began, ended) = (&now, &now);
            json!({ "node": node, "outcome": outcome, "started_at": began, "finished_at": ended })
        };
        let late = [run("b", "succeeded"), run("a", "cancelled")];
        assert!(faults.unexplained(&late).is_empty());
        for in_vain in [
            [run("c", "succeeded"), run("a", "cancelled")],
            [run("b", "succeeded"), run("a", "lost")],
            [run("b", "lost"), run("a", "cancelled")],
        ] {
            assert_eq!(faults.unexplained(&in_vain), [&in_vain[1]]);
        }
    }

    #[test]
    fn what_is_over_begins_anew_when_it_is_done_again() {
        let mut faults = Faults::default();
        faults.begin("a");
        faults.begin("b");
        faults.end("a");
        faults.begin("a");
        let open: Vec<_> = faults.0.iter().map(|fault| fault.to.is_none()).collect();
        assert_eq!(open, [false, true, true]);
    }
}
