//! What became of the lines of a file of tasks, and how that is told.

use std::io;

use anyhow::anyhow;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{State, View};
use umbel_protocol::wire::RequestError;

use crate::cli::names::Names;
use crate::cli::out;
use crate::cli::task_line::{IdLine, TaskLine, summary};
use crate::cli::time::{count, length};
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
    Acknowledged,
    Ended(Box<View>),
    /// It was acknowledged, but its end could not be learned.
    Unknown(ClientError),
}

/// What became of all lines so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    /// Lines that may have been taken in or not: how many, the first and the last, and why.
    unknown: u64,
    between: Option<(u64, u64)>,
    broken: Option<ClientError>,
    told: u64,
}

impl Tally {
    /// Whether it makes no sense to go on.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// What is to be done when the cluster was lost, if it was.
    pub(super) fn lost(&self, report: Report) -> Option<anyhow::Error> {
        let error = self.broken.clone()?;
        let acknowledged = count_tasks(self.acknowledged);
        let text = match self.between {
            None => format!("{acknowledged} acknowledged, then the cluster was lost"),
            Some((first, last)) => format!(
                "{acknowledged} acknowledged, then the cluster was lost; of {} between lines {first} \
                 and {last} it is not known whether they were taken in: submit them again under the \
                 ids {}, which does no harm; nothing after line {last} was submitted",
                count_tasks(self.unknown),
                if report.json { "printed" } else { "that --json prints" },
            ),
        };
        Some(anyhow!(error).context(text))
    }

    /// Prints what became of a line.
    pub(super) fn print(
        &mut self,
        row: &Row,
        name: &str,
        report: Report,
        names: &Names,
        results: &mut out::Results,
    ) -> io::Result<()> {
        let id = row.id.filter(|_| report.json);
        match &row.answer {
            Ok(fate) => {
                self.acknowledged += 1;
                match fate {
                    Fate::Acknowledged => {
                        if let Some(id) = id {
                            results.json(&IdLine::taken(id))?;
                        }
                    }
                    Fate::Ended(view) => {
                        self.failed += u64::from(view.state != State::Succeeded);
                        if report.json {
                            results.json(&TaskLine::of(view, names))?;
                        } else {
                            results.line(summary(view))?;
                        }
                    }
                    Fate::Unknown(error) => {
                        self.failed += 1;
                        if report.json {
                            results.json(&IdLine::failed(id, error))?;
                        }
                        self.complain(name, row.line, error);
                    }
                }
            }
            Err(error) if concerns_one_task(error) => {
                self.refused += 1;
                if report.json {
                    results.json(&IdLine::failed(None, error))?;
                }
                self.complain(name, row.line, error);
            }
            Err(error) => {
                self.unknown += 1;
                let first = self.between.map_or(row.line, |(first, _)| first);
                self.between = Some((first, row.line));
                if report.json {
                    results.json(&IdLine::failed(id, error))?;
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
    ) -> io::Result<()> {
        let Self { acknowledged, refused, failed, told, .. } = *self;
        if told > TOLD_MAX {
            out::note(format!("and {} more", count(told - TOLD_MAX)));
        }
        let rate = acknowledged as f64 / took.as_secs_f64().max(1e-6);
        let mut text = format!(
            "{} acknowledged in {} ({} a second)",
            count_tasks(acknowledged),
            length(*took),
            count(rate as u64)
        );
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
    if tasks == 1 { "1 task".to_owned() } else { format!("{} tasks", count(tasks)) }
}

/// Whether other tasks may fare better.
const fn concerns_one_task(error: &ClientError) -> bool {
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
        | ClientError::NoAddress
        | ClientError::NoAnswer { .. }
        | ClientError::NoNode { .. }
        | ClientError::NoTls
        | ClientError::Tls(_)
        | ClientError::Unexpected { .. } => false,
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

    #[test]
    fn what_is_not_known_is_told_with_its_lines() {
        let mut tally = Tally::default();
        let report = Report { json: false, wait: false };
        let mut print = |line, answer| {
            let id = Some(TaskId::new(Wall::from_millis(1), PartitionId(3), line));
            let row = Row { line, id, answer };
            let (names, mut results) = (Names::default(), out::Results::new());
            tally.print(&row, "f", report, &names, &mut results).unwrap();
        };
        let lost = || ClientError::NoAnswer { after: Duration::from_secs(10) };
        print(1, Ok(Fate::Acknowledged));
        print(4, Err(lost()));
        print(6, Err(lost()));
        assert!(tally.is_broken());
        let told = tally.lost(report).unwrap().to_string();
        let expected = "1 task acknowledged, then the cluster was lost; of 2 tasks between lines 4 \
                        and 6 it is not known";
        assert!(told.starts_with(expected), "{told}");
        assert!(told.ends_with("nothing after line 6 was submitted"), "{told}");
    }
}
