//! What came of the demo, checked task by task.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use umbel_protocol::task::{RunEnd, State, View};

use super::files::Files;
use crate::cli::checksum::sha256;
use crate::cli::names::Names;
use crate::cli::table::facts;
use crate::cli::task_line::outcome;
use crate::cli::time::{count, length};

/// What came of the demo.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    files: usize,
    passes: usize,
    tasks: usize,
    succeeded: usize,
    /// Checksums that are not what they should be.
    wrong: usize,
    killed: String,
    done_before: usize,
    /// Tasks that were started more than once, by how their earlier runs ended.
    ran_twice: usize,
    ran_twice_why: BTreeMap<&'static str, usize>,
    /// Successful runs by node.
    ran_on: BTreeMap<String, usize>,
    seconds: f64,
    tasks_per_s: f64,
    /// Until all partitions had living owners; nothing if that was never seen.
    takeover_ms: Option<u128>,
    /// The longest time without any task ending, after the kill.
    pause_ms: u128,
    #[serde(skip)]
    complaints: Vec<String>,
}

impl Report {
    /// Compares what the tasks returned with what the files hold.
    pub(super) fn check(
        files: &Files,
        passes: usize,
        views: &[View],
        names: &Names,
        killed: String,
        done_before: usize,
    ) -> Self {
        let mut report = Self {
            files: files.sums.len(),
            passes,
            tasks: views.len(),
            killed,
            done_before,
            ..Self::default()
        };
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for view in views {
            report.count_runs(view, names);
            if view.state != State::Succeeded {
                let why = view.error.as_ref().map(|failure| failure.message.as_str());
                let why = why.unwrap_or_default();
                report.complain(format!("{} is {}: {why}", view.id, view.state.as_str()));
                continue;
            }
            report.succeeded += 1;
            let Some((sum, path)) = printed(view) else {
                report.wrong += 1;
                report.complain(format!("{} returned no checksum", view.id));
                continue;
            };
            // A file may have changed since it was summed here.
            let expected = files.sums.get(&path).is_some_and(|known| *known == sum)
                || sha256(Path::new(&path)).is_ok_and(|now| now == sum);
            if !expected {
                report.wrong += 1;
                report.complain(format!("{path}: {sum} is not its checksum"));
            }
            *seen.entry(path).or_default() += 1;
        }
        let missing = files.sums.keys().filter(|path| seen.get(*path) != Some(&passes)).count();
        if missing > 0 {
            report.complain(format!("{missing} files were not summed as often as they should"));
            report.wrong += missing;
        }
        report
    }

    /// Adds how long things took.
    pub(super) fn times(&mut self, took: Duration, pause: Duration, taken_over: Option<Duration>) {
        self.seconds = took.as_secs_f64();
        self.tasks_per_s = (self.tasks as f64 / self.seconds).round();
        self.pause_ms = pause.as_millis();
        self.takeover_ms = taken_over.map(|time| time.as_millis());
        if taken_over.is_none() {
            self.complain("the partitions of the lost node have no new owners".to_owned());
        }
    }

    /// Whether all is as promised.
    pub(super) fn is_good(&self) -> bool {
        self.succeeded == self.tasks && self.wrong == 0 && self.takeover_ms.is_some()
    }

    fn count_runs(&mut self, view: &View, names: &Names) {
        // A run that no executor ever had is none.
        let started = view.runs.iter().filter(|run| run.end != Some(RunEnd::NeverHad));
        let (mut runs, mut why) = (0, None);
        for run in started {
            runs += 1;
            match run.end {
                Some(RunEnd::Succeeded) => {
                    *self.ran_on.entry(names.name(run.node)).or_default() += 1
                }
                Some(end) => why = Some(outcome(end)),
                None => {}
            }
        }
        if runs > 1 {
            self.ran_twice += 1;
            *self.ran_twice_why.entry(why.unwrap_or("unknown")).or_default() += 1;
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }

    pub(super) fn for_people(&self) -> Vec<String> {
        let number = |n: usize| count(n as u64);
        let mut why: Vec<_> = self
            .ran_twice_why
            .iter()
            .map(|(end, tasks)| match *end {
                "lost" => {
                    format!("{} were running on {} when it was killed", number(*tasks), self.killed)
                }
                other => format!("{} after {other}", number(*tasks)),
            })
            .collect();
        if why.is_empty() {
            why.push("no task was running there when it was killed".to_owned());
        }
        let ran: Vec<_> =
            self.ran_on.iter().map(|(node, n)| format!("{node} {}", number(*n))).collect();
        let takeover = match self.takeover_ms {
            Some(ms) => format!(
                "all partitions had new owners after {}, no task ended for {}",
                length(millis(ms)),
                length(millis(self.pause_ms))
            ),
            None => "never seen".to_owned(),
        };
        let mut lines = facts(&[
            ("files", format!("{}, each {} times", number(self.files), self.passes)),
            (
                "tasks",
                format!(
                    "{} acknowledged, {} done when {} was killed",
                    number(self.tasks),
                    number(self.done_before),
                    self.killed
                ),
            ),
            (
                "finished",
                format!("{}, lost {}", number(self.succeeded), number(self.tasks - self.succeeded)),
            ),
            (
                "checksums",
                format!(
                    "{} as computed here, {} wrong",
                    number(self.succeeded - self.wrong.min(self.succeeded)),
                    number(self.wrong)
                ),
            ),
            ("ran twice", format!("{} ({})", number(self.ran_twice), why.join(", "))),
            ("ran on", ran.join(", ")),
            ("takeover", takeover),
            (
                "throughput",
                format!(
                    "{} tasks/s over {:.2} s, each a process of its own",
                    count(self.tasks_per_s as u64),
                    self.seconds
                ),
            ),
        ]);
        lines.extend(self.complaints.iter().cloned());
        lines.push(if self.is_good() {
            "A node died in the middle of the work and no task was lost.".to_owned()
        } else {
            "This is not as it should be.".to_owned()
        });
        lines
    }
}

/// The checksum and the path that a task printed.
fn printed(view: &View) -> Option<(String, String)> {
    let result: Value = serde_json::from_slice(view.result.as_deref()?).ok()?;
    let (sum, path) = result.get("stdout")?.as_str()?.trim_end_matches('\n').split_once("  ")?;
    Some((sum.to_owned(), path.to_owned()))
}

fn millis(millis: u128) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Complaints that are shown.
const COMPLAINTS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use umbel_protocol::id::{NodeId, PartitionId, TaskId};
    use umbel_protocol::task::RunView;
    use umbel_protocol::time::Wall;

    use super::*;

    fn view(sum: &str, ends: &[RunEnd]) -> View {
        let runs = ends.iter().map(|end| RunView {
            node: NodeId(1),
            started_at: Wall::from_millis(1),
            finished_at: Some(Wall::from_millis(2)),
            end: Some(*end),
        });
        let result = serde_json::json!({ "exit_code": 0, "stdout": format!("{sum}  /a\n") });
        View {
            id: TaskId::new(Wall::from_millis(1), PartitionId(0), 1),
            task: "checksum".into(),
            queue: "default".into(),
            state: State::Succeeded,
            attempts: 1,
            runs: runs.collect(),
            node: None,
            result: Some(result.to_string().into()),
            error: None,
            submitted_at: Wall::from_millis(1),
            not_before: None,
            left_out: false,
            finished_at: Some(Wall::from_millis(3)),
        }
    }

    fn check(views: &[View]) -> Report {
        let mut files = Files::default();
        files.sums.insert("/a".into(), "abc".into());
        let mut report = Report::check(&files, 2, views, &Names::default(), "node-1".into(), 1);
        report.times(Duration::from_secs(1), Duration::ZERO, Some(Duration::from_secs(1)));
        report
    }

    #[test]
    fn what_is_as_promised_is_good() {
        let good = [
            view("abc", &[RunEnd::Succeeded]),
            view("abc", &[RunEnd::NeverHad, RunEnd::Unheard, RunEnd::Succeeded]),
        ];
        let report = check(&good);
        assert!(report.is_good());
        assert_eq!((report.ran_twice, report.tasks_per_s), (1, 2.0));
        let text = report.for_people().join("\n");
        assert!(text.contains("1 (1 were running on node-1 when it was killed)"), "{text}");
        assert!(text.contains("no task was lost"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (views, told) in [
            (vec![view("abc", &[]), view("xyz", &[])], "/a: xyz is not its checksum"),
            (vec![view("abc", &[])], "1 files were not summed as often"),
        ] {
            let report = check(&views);
            assert!(!report.is_good());
            let text = report.for_people().join("\n");
            assert!(text.contains(told), "{text}");
        }
        let mut dead = view("abc", &[]);
        dead.state = State::Dead;
        assert!(!check(&[dead, view("abc", &[])]).is_good());
    }
}
