//! What came of the demo, checked task by task.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use umbel_protocol::task::{RunEnd, State, View};

use super::course::Course;
use super::files::Files;
use crate::cli::checksum::sha256;
use crate::cli::names::Names;
use crate::cli::table::facts;
use crate::cli::task_line::outcome;
use crate::cli::time::{count, count_of, length};

/// What came of the demo.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    files: usize,
    passes: usize,
    tasks: usize,
    succeeded: usize,
    /// Checksums that are not what they should be.
    wrong: usize,
    nodes: u16,
    /// The node that was killed, unless there were too few.
    killed: Option<String>,
    done_before: Option<usize>,
    /// Tasks that were started more than once, by how their earlier runs ended.
    ran_twice: usize,
    ran_twice_why: BTreeMap<&'static str, usize>,
    /// Successful runs by node.
    ran_on: BTreeMap<String, usize>,
    /// From the first submission to the last end.
    seconds: f64,
    /// While all nodes were there.
    tasks_per_s: u64,
    /// From here on, times count from the kill: until all partitions had living owners; nothing if
    /// that was never seen.
    takeover_ms: Option<u64>,
    /// Tasks that ended until then.
    done_meanwhile: Option<usize>,
    /// The longest time without a task that ended.
    pause_ms: Option<u64>,
    /// Until all tasks had ended that were running on the lost node.
    run_again_ms: Option<u64>,
    /// Until all tasks had ended.
    all_done_ms: Option<u64>,
    #[serde(skip)]
    complaints: Vec<String>,
}

impl Report {
    /// Compares what the tasks returned with what the files hold.
    pub(super) fn check(files: &Files, passes: usize, views: &[View], names: &Names) -> Self {
        let (files_summed, tasks) = (files.sums.len(), views.len());
        let mut report = Self { files: files_summed, passes, tasks, ..Self::default() };
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
            let (files, be) = (count_of(missing as u64, "file"), was(missing));
            report.complain(format!("{files} {be} not summed as often as promised"));
            report.wrong += missing;
        }
        report
    }

    /// Adds what happened when, on so many nodes.
    pub(super) fn tell_course(&mut self, nodes: u16, course: &Course) {
        self.nodes = nodes;
        self.seconds = course.took().as_secs_f64();
        self.tasks_per_s = course.rate().round() as u64;
        let Some(aftermath) = course.aftermath() else { return };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.killed = Some(aftermath.name);
        self.done_before = Some(aftermath.done_before);
        self.takeover_ms = aftermath.taken_over.map(millis);
        self.done_meanwhile = Some(aftermath.meanwhile);
        self.pause_ms = Some(millis(aftermath.pause));
        self.run_again_ms = aftermath.run_again.map(millis);
        self.all_done_ms = Some(millis(aftermath.all_done));
        if self.takeover_ms.is_none() {
            self.complain("the partitions of the lost node have no new owners".to_owned());
        }
    }

    /// Whether all is as promised.
    pub(super) fn is_good(&self) -> bool {
        let is_whole = self.killed.is_none() || self.takeover_ms.is_some();
        self.succeeded == self.tasks && self.wrong == 0 && is_whole
    }

    fn count_runs(&mut self, view: &View, names: &Names) {
        let (mut runs, mut why) = (0, None);
        for run in &view.runs {
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
        let times = if self.passes == 1 { "once".into() } else { format!("{} times", self.passes) };
        let mut tasks = format!("{} acknowledged", number(self.tasks));
        if let (Some(killed), Some(done)) = (&self.killed, self.done_before) {
            tasks.push_str(&format!(", {} done when {killed} was killed", number(done)));
        }
        let right = self.succeeded - self.wrong.min(self.succeeded);
        let ran: Vec<_> =
            self.ran_on.iter().map(|(node, n)| format!("{node} {}", number(*n))).collect();
        let nodes = match self.nodes {
            1 => "on one node".to_owned(),
            nodes => format!("with all {nodes} nodes up"),
        };
        let rate =
            format!("{} tasks/s {nodes}, each a process of its own", count(self.tasks_per_s));
        let mut told = vec![
            ("files", format!("{}, each {times}", number(self.files))),
            ("tasks", tasks),
            (
                "finished",
                format!("{}, lost {}", number(self.succeeded), number(self.tasks - self.succeeded)),
            ),
            (
                "checksums",
                format!("{} as computed here, {} wrong", number(right), number(self.wrong)),
            ),
            ("ran on", ran.join(", ")),
            ("throughput", rate),
        ];
        match &self.killed {
            Some(killed) => told.extend(self.loss(killed)),
            None => told.push(("time", length(Duration::from_secs_f64(self.seconds)))),
        }
        let mut lines = facts(&told);
        lines.extend(self.complaints.iter().cloned());
        lines.push(match (self.is_good(), &self.killed) {
            (false, _) => "This is not as it should be.".to_owned(),
            (true, Some(_)) => {
                "A node died in the middle of the work and no task was lost.".to_owned()
            }
            (true, None) => format!(
                "All tasks were done. No node was killed: {}, and work goes on only with a majority \
                 of its copies. See it with --nodes 3.",
                if self.nodes == 1 { "there is only one" } else { "there are only two" }
            ),
        });
        lines
    }

    /// What the loss of a node did.
    fn loss(&self, killed: &str) -> Vec<(&'static str, String)> {
        let number = |n: usize| count(n as u64);
        let after = |ms: Option<u64>| length(Duration::from_millis(ms.unwrap_or_default()));
        let takeover = match self.takeover_ms {
            Some(_) => format!(
                "what {killed} owned had new owners after {}, the others did {} meanwhile",
                after(self.takeover_ms),
                count_of(self.done_meanwhile.unwrap_or_default() as u64, "task")
            ),
            None => "never seen".to_owned(),
        };
        let why: Vec<_> = self
            .ran_twice_why
            .iter()
            .map(|(end, tasks)| match *end {
                "lost" => format!(
                    "{} {} running on {killed} when it was killed, and done elsewhere {} later",
                    number(*tasks),
                    was(*tasks),
                    after(self.run_again_ms)
                ),
                other => format!("{} after {other}", number(*tasks)),
            })
            .collect();
        let why = if why.is_empty() {
            "no task was running there when it was killed".to_owned()
        } else {
            why.join(", ")
        };
        vec![
            ("takeover", takeover),
            ("ran twice", format!("{} ({why})", number(self.ran_twice))),
            (
                "time",
                format!(
                    "{} in all, {} of it after the kill; at most {} without a task that ended",
                    length(Duration::from_secs_f64(self.seconds)),
                    after(self.all_done_ms),
                    after(self.pause_ms)
                ),
            ),
        ]
    }
}

const fn was(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// The checksum and the path that a task printed.
fn printed(view: &View) -> Option<(String, String)> {
    let result: Value = serde_json::from_slice(view.result.as_deref()?).ok()?;
    let (sum, path) = result.get("stdout")?.as_str()?.trim_end_matches('\n').split_once("  ")?;
    Some((sum.to_owned(), path.to_owned()))
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
            error: None,
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
            metadata: None,
            args: None,
            live: None,
            retry_of: None,
            group: None,
            obstacle: None,
            treatment: None,
            finished_at: Some(Wall::from_millis(3)),
        }
    }

    fn check(views: &[View]) -> Report {
        check_with(views, true)
    }

    fn check_with(views: &[View], killed: bool) -> Report {
        let mut files = Files::default();
        files.sums.insert("/a".into(), "abc".into());
        let mut report = Report::check(&files, 2, views, &Names::default());
        let mut course = Course::begin();
        for (place, view) in views.iter().enumerate() {
            if place == 1 && killed {
                course.lost("node-1".into());
                course.taken_over(Some(Duration::from_secs(3)));
            }
            course.ended(view);
        }
        report.tell_course(if killed { 3 } else { 1 }, &course);
        report
    }

    #[test]
    fn what_is_as_promised_is_good() {
        let good =
            [view("abc", &[RunEnd::Succeeded]), view("abc", &[RunEnd::Unheard, RunEnd::Succeeded])];
        let report = check(&good);
        assert!(report.is_good());
        assert_eq!((report.ran_twice, report.done_before), (1, Some(1)));
        let text = report.for_people().join("\n");
        assert!(text.contains("1 (1 was running on node-1 when it was killed, and done"), "{text}");
        assert!(
            text.contains("new owners after 3.00 s, the others did 1 task meanwhile"),
            "{text}"
        );
        assert!(text.contains("no task was lost"), "{text}");
    }

    #[test]
    fn that_no_node_could_be_killed_is_told() {
        let good = [view("abc", &[RunEnd::Succeeded]), view("abc", &[RunEnd::Succeeded])];
        let report = check_with(&good, false);
        assert!(report.is_good());
        let text = report.for_people().join("\n");
        assert!(text.contains("No node was killed: there is only one"), "{text}");
        assert!(!text.contains("takeover"), "{text}");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (views, told) in [
            (vec![view("abc", &[]), view("xyz", &[])], "/a: xyz is not its checksum"),
            (vec![view("abc", &[])], "1 file was not summed as often"),
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
