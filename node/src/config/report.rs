//! What is wrong with a file, shown where it is wrong.
//!
//! [`Problems`] collects while the file is read and checked, so that an operator sees everything at
//! once; the [`Report`] made of it owns its text and no longer needs the file.

use std::fmt;
use std::ops::Range;

/// Everything that is wrong with one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Report {
    file: String,
    problems: Vec<Problem>,
}

impl Report {
    /// What is wrong, at least one problem.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                f.write_str("\n\n")?;
            }
            problem.show(f, &self.file)?;
        }
        if self.problems.len() > 1 {
            write!(f, "\n\n{} problems in {}", self.problems.len(), self.file)?;
        }
        Ok(())
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty where nobody can know.
    pub help: String,
    source: String,
    width: usize,
}

impl Problem {
    fn new(text: &str, finding: Finding) -> Self {
        let Range { start, end } = clamp(text, finding.span);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            message: printable(&finding.message),
            help: printable(&finding.help),
            source: printable(text[line_start..line_end].trim_end_matches('\r')),
            width: text[start..end.min(line_end)].trim_end().chars().count().max(1),
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let Self { line, column, message, help, source, width } = self;
        let gutter = line.to_string().len();
        // A tab stays a tab, so that the caret stands below its character however wide tabs are.
        let indent: String =
            source.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "error: {message}")?;
        writeln!(f, "{:gutter$}--> {file}:{line}:{column}", "")?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {source}")?;
        write!(f, "{:gutter$} | {indent}{:^<width$}", "", "")?;
        if !help.is_empty() {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// What has been found wrong so far.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    text: &'t str,
    found: Vec<Finding>,
}

#[derive(Debug)]
struct Finding {
    span: Range<usize>,
    message: String,
    help: String,
}

impl<'t> Problems<'t> {
    pub(super) const fn of(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(super) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found.push(Finding { span, message: message.into(), help: help.into() });
    }

    /// Where `part` of a string value stands in the file, if the string is written without escapes;
    /// else where the whole string stands.
    pub(super) fn inside(
        &self,
        span: Range<usize>,
        value: &str,
        part: Range<usize>,
    ) -> Range<usize> {
        let quoted = span.start + 1..span.end.saturating_sub(1);
        match self.text.get(quoted.clone()) {
            Some(written) if written == value => quoted.start + part.start..quoted.start + part.end,
            Some(_) | None => span,
        }
    }

    /// The line of a place in the file, from 1.
    pub(super) fn line_of(&self, span: &Range<usize>) -> usize {
        self.text[..clamp(self.text, span.clone()).start].matches('\n').count() + 1
    }

    /// The report, if there is anything to report.
    pub(super) fn into_report(mut self, file: &str) -> Option<Report> {
        self.found.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let text = self.text;
        let problems: Vec<_> =
            self.found.into_iter().map(|finding| Problem::new(text, finding)).collect();
        (!problems.is_empty()).then(|| Report { file: file.to_owned(), problems })
    }
}

/// `text` without what could steer the terminal that shows it.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}")
}

/// `span` made safe to slice `text` with, whatever a parser says about the end of its input.
fn clamp(text: &str, span: Range<usize>) -> Range<usize> {
    let floor = |at: usize| text.floor_char_boundary(at.min(text.len()));
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::Problems;

    fn shown(text: &str, span: std::ops::Range<usize>) -> String {
        let mut problems = Problems::of(text);
        problems.add(span, "this is wrong", "do that");
        problems.into_report("f").unwrap().to_string()
    }

    #[test]
    fn names_do_not_steer_the_terminal() {
        let mut problems = Problems::of("");
        problems.add(0..0, "unknown key `\u{1b}[31m`", "write \u{7}");
        assert!(!problems.into_report("f").unwrap().to_string().contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn carets_stand_below_what_is_wrong() {
        assert_eq!(
            shown("a = 1\n\té = 2\r\n", 7..9),
            "error: this is wrong\n --> f:2:2\n  |\n2 | \té = 2\n  | \t^\n  = help: do that"
        );
    }

    #[test]
    fn any_span_can_be_shown() {
        let text = "é\n\u{1b}[31m";
        for start in 0..=text.len() + 2 {
            for end in 0..=text.len() + 2 {
                assert!(!shown(text, start..end).contains('\u{1b}'));
            }
        }
        assert_eq!(shown("", 0..0).lines().nth(1), Some(" --> f:1:1"));
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let mut problems = Problems::of("a\nb\n");
        problems.add(2..3, "second", "");
        problems.add(0..1, "first", "");
        let report = problems.into_report("f").unwrap();
        let lines: Vec<_> = report.problems().iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2]);
        assert!(report.to_string().ends_with("\n\n2 problems in f"));
    }
}
