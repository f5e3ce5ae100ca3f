//! What has happened to jobs is told: each notice becomes a task, whose arguments say what it is.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::id::NodeId;
use crate::job::{JobName, JobState, Notice};
use crate::partition::{AlertTask, Command};
use crate::scheduler::Scheduler;
use crate::time::Wall;

impl Scheduler {
    /// Puts what there is to tell into line: of each job one notice at a time, so that they stay in
    /// order.
    pub(super) fn tell_notices(&mut self) {
        if !self.has_memory_for_more() {
            // It is not forgotten: there is a next round.
            return;
        }
        for name in std::mem::take(&mut self.plans.notices) {
            let Some(partition) = self.partition_of_job(&name) else {
                continue;
            };
            let Some(state) = self.owned_job(&name) else {
                continue;
            };
            let alert = state.job.alert.as_ref();
            let is_declared = alert.is_none_or(|alert| self.declared(&alert.template).is_ok());
            if !is_declared && self.profiles_missing() {
                // Whoever has just become the owner has not heard yet how it is treated: there is a next
                // round.
                self.plans.notices.insert(name);
                continue;
            }
            let Some(alert) = self.alert_of(&name, state) else {
                continue;
            };
            if let Some(line) = self.line(partition) {
                line.commands.push(Command::Alert(Box::new(alert)));
            }
        }
    }

    /// A job has something to tell.
    pub(in crate::scheduler) fn index_notice(&mut self, job: JobName) {
        self.plans.notices.insert(job);
    }

    /// What nodes are called, as far as is known.
    fn called(&self, nodes: &[NodeId]) -> String {
        let members = self.meta.as_ref().map(|meta| &meta.members);
        let called = nodes.iter().map(|node| {
            let member = members.and_then(|members| members.get(node));
            member.map_or_else(|| node.to_string(), |member| member.name.clone())
        });
        called.collect::<Vec<_>>().join(", ")
    }

    fn alert_of(&self, name: &JobName, state: &JobState) -> Option<AlertTask> {
        let notice = state.alerts.front().filter(|_| state.may_tell())?;
        let alert = state.job.alert.as_ref()?;
        Some(AlertTask {
            job: name.clone(),
            born: state.born,
            number: state.alert_next,
            template: self.template_of(&alert.template),
            args: args_of(name, notice, &self.called(&notice.nodes), state.counts.failures_in_row),
        })
    }
}

/// What a notice says, as JSON, all of it strings that a command can be given, but for a count: `job`,
/// `event`, `tick` and `at` (RFC 3339), `task` and the name of its `node`, or of those that missed the
/// tick, both empty if there is none, `failures_in_row` and `output`.
fn args_of(name: &JobName, notice: &Notice, node: &str, failures_in_row: u64) -> Bytes {
    let Notice { event, tick, at, task, nodes: _, output } = notice;
    let (event, tick, at) = (event.as_str(), rfc_3339(*tick), rfc_3339(*at));
    let task = task.map(|task| task.to_string()).unwrap_or_default();
    let mut json = format!(
        r#"{{"job":"{name}","event":"{event}","tick":"{tick}","at":"{at}","task":"{task}","#
    );
    json.push_str("\"node\":");
    write_string(&mut json, node);
    write!(json, ",\"failures_in_row\":{failures_in_row},\"output\":").expect(WRITTEN);
    write_string(&mut json, output);
    json.push('}');
    json.into()
}

fn rfc_3339(at: Wall) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    // What is beyond the calendar is no time that anybody could read.
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// Why nothing goes wrong.
const WRITTEN: &str = "a string takes all";

/// Writes `text` as a JSON string (RFC 8259, section 7).
fn write_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            c if u32::from(c) < 0x20 => {
                write!(json, "\\u{:04x}", u32::from(c)).expect(WRITTEN);
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::AlertEvent;

    #[test]
    fn a_notice_is_json_whatever_the_run_printed() {
        let notice = Notice {
            event: AlertEvent::Failure,
            tick: Wall::from_millis(1_000),
            at: Wall::from_millis(1_500),
            task: None,
            nodes: Vec::new(),
            output: "say \"no\" \\ \n\u{1}ä".to_owned(),
        };
        let args = args_of(&"backup".parse().unwrap(), &notice, "a", 3);
        let expected = concat!(
            r#"{"job":"backup","event":"failure","tick":"1970-01-01T00:00:01.000Z","#,
            r#""at":"1970-01-01T00:00:01.500Z","task":"","node":"a","failures_in_row":3,"#,
            r#""output":"say \"no\" \\ \n\u0001ä"}"#
        );
        assert_eq!(std::str::from_utf8(&args).unwrap(), expected);
    }
}
