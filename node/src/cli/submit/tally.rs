//! What became of the lines of a file of tasks, and how that is told.

use anyhow::anyhow;
use umbel_protocol::id::TaskId;
use umbel_protocol::wire::RequestError;

use crate::cli::out::{self, Unwritten};
use crate::cli::task_line::IdLine;
use crate::cli::time::{count, count_of, length};
use crate::client::ClientError;

/// What is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) json: bool,
    /// Whether the ends are waited for.
    pub(super) wait: bool,
}

/// What became of one line.
pub(super) struct Row {
    pub(super) line: u64,
    /// Its id, unless not even that could be made.
    pub(super) id: Option<TaskId>,
    pub(super) answer: Result<Fate, ClientError>,
}

pub(super) enum Fate {
    /// It was taken in. How it ends was not waited for.
    Acknowledged,
    /// It has ended, and this is to be printed.
    Ended { line: String, succeeded: bool },
    /// It was acknowledged, but its end could not be learned.
    Unknown(ClientError),
}

/// What became of all lines so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    ended: u64,
    /// Lines that were not taken in because the cluster was lost.
    left_out: Lines,
    /// Lines that may have been taken in or not.
    unknown: Lines,
    last_line: u64,
    broken: Option<ClientError>,
    told: u64,
}

/// How many lines, the first and the last.
#[derive(Clone, Copy, Default)]
struct Lines {
    tasks: u64,
    first: u64,
    last: u64,
}

impl Lines {
    fn add(&mut self, line: u64) {
        if self.tasks == 0 {
            self.first = line;
        }
        self.tasks += 1;
        self.last = line;
    }

    fn told(self) -> String {
        let Self { tasks, first, last } = self;
        match tasks {
            1 => format!("1 task in line {first}"),
            _ => format!("{} between lines {first} and {last}", count_tasks(tasks)),
        }
    }
}

impl Tally {
    /// What is to be done when the cluster was lost, if it was.
    pub(super) fn lost(&self, report: Report) -> Option<anyhow::Error> {
        let error = self.broken.clone()?;
        let mut text =
            format!("{} acknowledged, then the cluster was lost", count_tasks(self.acknowledged));
        if self.left_out.tasks > 0 {
            text.push_str(&format!("; {} not taken in", self.left_out.told()));
        }
        text.push_str(&self.doubt(report));
        text.push_str(&format!("; nothing after line {} was submitted", self.last_line));
        Some(anyhow!(error).context(text))
    }

    /// What is to be said to one who waits no longer.
    pub(super) fn interrupted(&self, report: Report) -> String {
        let mut text = format!("interrupted: {} acknowledged", count_tasks(self.acknowledged));
        let going = self.acknowledged - self.ended;
        if self.ended > 0 {
            text.push_str(&format!(", {} ended", count(self.ended)));
        }
        if going > 0 {
            let go = if going == 1 { "goes" } else { "go" };
            text.push_str(&format!(", {} {go} on", count(going)));
            text.push_str(if report.json || report.wait {
                "; `umbel task wait ID` waits for one, `umbel task cancel ID` stops it"
            } else {
                "; `umbel task list` shows them"
            });
        }
        text.push_str(&self.doubt(report));
        if self.last_line > 0 {
            text.push_str(&format!("; nothing after line {} was submitted", self.last_line));
        }
        text
    }

    /// What to do about tasks that may have been taken in or not.
    fn doubt(&self, report: Report) -> String {
        if self.unknown.tasks == 0 {
            return String::new();
        }
        format!(
            "; of {} it is not known whether they were taken in: {}",
            self.unknown.told(),
            if report.json || report.wait {
                "submit them again under the ids printed, which does no harm"
            } else {
                "only lines with ids can be submitted again without harm (--json prints the ids \
                 that the others were given)"
            }
        )
    }

    /// Prints what became of a line.
    pub(super) fn print(
        &mut self,
        row: &Row,
        name: &str,
        report: Report,
        results: &mut out::Results,
    ) -> Result<(), Unwritten> {
        let Row { line, id, answer } = row;
        self.last_line = *line;
        let known = id.map(|id| id.to_string()).unwrap_or_default();
        match answer {
            Ok(fate) => {
                self.acknowledged += 1;
                match (fate, id) {
                    (Fate::Acknowledged, Some(id)) if report.json => {
                        results.json(&IdLine::taken(*id))?;
                    }
                    // Told although it has not ended: nobody waits any longer.
                    (Fate::Acknowledged, _) if report.wait => {
                        results.line(format!("{known}  acknowledged, and not waited for"))?;
                    }
                    (Fate::Acknowledged, _) => {}
                    (Fate::Ended { line, succeeded }, _) => {
                        self.ended += 1;
                        self.failed += u64::from(!succeeded);
                        results.line(line)?;
                    }
                    (Fate::Unknown(error), _) => {
                        self.failed += 1;
                        if report.json {
                            results.json(&IdLine::unended(*id, error))?;
                        } else {
                            results.line(format!("{known}  acknowledged, its end is not known"))?;
                        }
                        self.complain(name, *line, error);
                    }
                }
            }
            Err(error) if concerns_one_task(error) => {
                self.refused += 1;
                if report.json {
                    results.json(&IdLine::failed(None, error))?;
                }
                self.complain(name, *line, error);
            }
            Err(error) => {
                let is_left_out = is_not_taken_in(error);
                if is_left_out { &mut self.left_out } else { &mut self.unknown }.add(*line);
                if report.json {
                    results.json(&IdLine::failed(*id, error))?;
                } else if report.wait && !is_left_out {
                    results.line(format!("{known}  may have been taken in or not, line {line}"))?;
                }
                self.broken.get_or_insert_with(|| error.clone());
            }
        }
        Ok(())
    }

    fn complain(&mut self, name: &str, line: u64, error: &ClientError) {
        self.told += 1;
        if self.told <= TOLD_MAX {
            out::note(format!("{name}:{line}: {error}"));
        }
    }

    pub(super) fn conclude(
        &self,
        report: Report,
        took: &std::time::Duration,
        results: &mut out::Results,
    ) -> Result<(), Unwritten> {
        let Self { acknowledged, refused, failed, told, .. } = *self;
        if told > TOLD_MAX {
            out::note(format!("and {} more", count(told - TOLD_MAX)));
        }
        let mut text = format!("{} acknowledged", count_tasks(acknowledged));
        if acknowledged > 0 {
            let rate = acknowledged as f64 / took.as_secs_f64().max(1e-6);
            text.push_str(&format!(" in {} ({} a second)", length(*took), count(rate as u64)));
        }
        if refused > 0 {
            text.push_str(&format!(", {} refused", count(refused)));
        }
        if report.wait {
            text.push_str(&format!(", {} did not succeed", count(failed)));
        }
        if report.json || report.wait {
            out::note(text);
        } else {
            results.line(text)?;
        }
        results.flush()
    }
}

/// `1 task`, `2 tasks`.
pub(in super::super) fn count_tasks(tasks: u64) -> String {
    count_of(tasks, "task")
}

/// Whether other tasks may fare better.
pub(super) const fn concerns_one_task(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { .. } | ClientError::Call(_) => true,
        ClientError::Request(error) => matches!(
            error,
            RequestError::Invalid(_)
                | RequestError::UnknownQueue { .. }
                | RequestError::UnknownTask { .. }
        ),
        ClientError::Address { .. }
        | ClientError::Closed
        | ClientError::HadEnded { .. }
        | ClientError::NoAddress
        | ClientError::NoAnswer { .. }
        | ClientError::NoNode { .. }
        | ClientError::NoTls
        | ClientError::Tls(_)
        | ClientError::Unexpected { .. }
        | ClientError::WrongState { .. } => false,
    }
}

/// Whether it is certain that a task was not taken in.
const fn is_not_taken_in(error: &ClientError) -> bool {
    match error {
        ClientError::Request(error) => match error {
            RequestError::Forming { .. }
            | RequestError::Invalid(_)
            | RequestError::InvalidJob(_)
            | RequestError::Job(_)
            | RequestError::NoQuorum { .. }
            | RequestError::NoFacts
            | RequestError::NotLeader { .. }
            | RequestError::NotOwner { .. }
            | RequestError::NotSupported { .. }
            | RequestError::NotUpgraded
            | RequestError::Parting(_)
            | RequestError::Rule(_)
            | RequestError::Steer(_)
            | RequestError::Overloaded { .. }
            | RequestError::Reload { .. }
            | RequestError::UnknownQueue { .. }
            | RequestError::UnknownTask { .. } => true,
            RequestError::NotFound { .. }
            | RequestError::TimedOut
            | RequestError::TooLong { .. }
            | RequestError::Unknown => false,
        },
        ClientError::Address { .. }
        | ClientError::Call(_)
        | ClientError::Closed
        | ClientError::HadEnded { .. }
        | ClientError::NoAddress
        | ClientError::NoNode { .. }
        | ClientError::NoTls
        | ClientError::Refused { .. }
        | ClientError::Tls(_)
        | ClientError::WrongState { .. } => true,
        ClientError::NoAnswer { .. } | ClientError::Unexpected { .. } => false,
    }
}

/// Complaints that are shown.
const TOLD_MAX: u64 = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use umbel_protocol::id::PartitionId;
    use umbel_protocol::time::Wall;

    use super::*;

    /// What is told of lines of which nothing is printed.
    fn tally(report: Report, rows: Vec<(u64, Result<Fate, ClientError>)>) -> Tally {
        let (mut tally, mut results) = (Tally::default(), out::Results::new());
        for (line, answer) in rows {
            let id = Some(TaskId::new(Wall::from_millis(1), PartitionId(3), line));
            tally.print(&Row { line, id, answer }, "f", report, &mut results).unwrap();
        }
        tally
    }

    #[test]
    fn what_is_not_known_is_told_with_its_lines() {
        let lost = || Err(ClientError::NoAnswer { after: Duration::from_secs(10) });
        let refused = || Err(RequestError::NoQuorum { partition: PartitionId(3) }.into());
        let report = Report { json: false, wait: true };
        let tally = tally(
            report,
            vec![
                (1, Ok(Fate::Acknowledged)),
                (2, refused()),
                (4, lost()),
                (6, lost()),
                (7, Ok(Fate::Acknowledged)),
            ],
        );
        let told = tally.lost(report).unwrap().to_string();
        assert_eq!(
            told,
            "2 tasks acknowledged, then the cluster was lost; 1 task in line 2 not taken in; of 2 \
             tasks between lines 4 and 6 it is not known whether they were taken in: submit them \
             again under the ids printed, which does no harm; nothing after line 7 was submitted"
        );
        let told = tally.lost(Report { json: false, wait: false }).unwrap().to_string();
        assert!(told.contains("--json prints the ids"), "{told}");
    }

    #[test]
    fn whoever_waits_no_longer_is_told_how_to_go_on() {
        let report = Report { json: false, wait: true };
        let ended = || Ok(Fate::Ended { line: String::new(), succeeded: true });
        let told = tally(report, vec![(1, ended()), (2, ended()), (3, Ok(Fate::Acknowledged))]);
        assert_eq!(
            told.interrupted(report),
            "interrupted: 3 tasks acknowledged, 2 ended, 1 goes on; `umbel task wait ID` waits for \
             one, `umbel task cancel ID` stops it; nothing after line 3 was submitted"
        );
        let told = tally(report, vec![(1, ended())]).interrupted(report);
        let expected =
            "interrupted: 1 task acknowledged, 1 ended; nothing after line 1 was submitted";
        assert_eq!(told, expected);
    }
}
