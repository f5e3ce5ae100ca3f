//! What is wrong with a file, or worth a second look, shown where it stands.
//!
//! [`Problems`] collects while the file is read and checked, so that an operator sees everything at
//! once; the [`Report`] made of it owns its text and no longer needs the file.

use std::fmt;
use std::ops::Range;

use self::lines::Lines;

mod lines;

/// Everything that is wrong with one file, or all that is worth a second look, in the order of the
/// file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Report {
    file: String,
    severity: Severity,
    problems: Vec<Problem>,
}

/// Whether a file can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// It cannot.
    Error,
    /// It can, but it may not do what was meant.
    Warning,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Report {
    /// What is wrong, at least one problem.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file that it is about, as it was named.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Each problem in a line of its own, as a log wants it, without those that are none where there
    /// are handlers of their own for the tasks that `is_known` tells.
    pub(crate) fn lines(&self, is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        self.problems
            .iter()
            .filter(move |problem| !problem.handler.as_deref().is_some_and(&is_known))
            .map(|problem| {
                let Problem { line, column, message, help, .. } = problem;
                let help = if help.is_empty() { String::new() } else { format!("; {help}") };
                format!("{}:{line}:{column}: {message}{help}", self.file)
            })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().take(SHOWN_MAX).enumerate() {
            if position > 0 {
                f.write_str("\n\n")?;
            }
            problem.show(f, self.severity, &self.file)?;
        }
        if let Some(more @ 1..) = self.problems.len().checked_sub(SHOWN_MAX) {
            write!(f, "\n\n{more} more are not shown")?;
        }
        if self.problems.len() > 1 {
            let what = match self.severity {
                Severity::Error => "problems",
                Severity::Warning => "warnings",
            };
            write!(f, "\n\n{} {what} in {}", self.problems.len(), self.file)?;
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
    /// The task of which only the file does not know what it is.
    handler: Option<String>,
    /// What is around it in its line.
    source: String,
    /// How many characters of that are before it.
    before: usize,
    width: usize,
}

impl Problem {
    fn new(lines: &Lines<'_>, finding: Finding) -> Self {
        let text = lines.text();
        let Range { start, end } = clamp(text, finding.span);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let wrong = text[start..end].lines().next().unwrap_or_default().trim_end();
        let line = text[line_start..].chars().take_while(|c| *c != '\n');
        let is_short = line.take(LINE_MAX + 1).count() <= LINE_MAX;
        let (before, after) =
            if is_short { (LINE_MAX, LINE_MAX) } else { (AROUND_MAX, AROUND_MAX) };
        let from = window_start(text, line_start, start, before);
        let to = window_end(text, start, after);
        let cut = if from > line_start { CUT } else { "" };
        let is_cut = !matches!(text.as_bytes().get(to), None | Some(b'\n'));
        let seen = text[from..to].trim_end_matches('\r');
        Self {
            line: lines.line_of(start),
            column: text[line_start..start].chars().count() + 1,
            message: printable(&finding.message),
            help: printable(&finding.help),
            handler: finding.handler,
            source: printable(&format!("{cut}{seen}{}", if is_cut { CUT } else { "" })),
            before: cut.chars().count() + text[from..start].chars().count(),
            width: wrong.chars().take(after).count().max(1),
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, severity: Severity, file: &str) -> fmt::Result {
        let Self { line, column, message, help, handler: _, source, before, width } = self;
        let gutter = line.to_string().len();
        // A tab stays a tab, so that the caret stands below its character however wide tabs are.
        let indent: String =
            source.chars().take(*before).map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "{}: {message}", severity.as_str())?;
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

/// What has been found so far.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    text: &'t str,
    lines: Lines<'t>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

#[derive(Debug)]
struct Finding {
    span: Range<usize>,
    message: String,
    help: String,
    handler: Option<String>,
}

impl<'t> Problems<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, lines: Lines::of(text), errors: Vec::new(), warnings: Vec::new() }
    }

    /// The file cannot be used.
    pub(super) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        self.errors.push(Finding { span, message, help, handler: None });
    }

    /// The file may not do what was meant.
    pub(super) fn warn(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        self.warnings.push(Finding { span, message, help, handler: None });
    }

    /// The same where it may be that a service knows the task called `handler`.
    pub(super) fn warn_of_task(
        &mut self,
        span: Range<usize>,
        handler: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        let handler = Some(handler.to_owned());
        self.warnings.push(Finding { span, message, help, handler });
    }

    /// How much is wrong.
    pub(super) const fn errors(&self) -> usize {
        self.errors.len()
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
        self.lines.line_of(clamp(self.text, span.clone()).start)
    }

    /// The report on what is wrong if anything is, else that on what is worth a second look.
    pub(super) fn into_report(self, file: &str) -> Result<Option<Report>, Report> {
        let Self { lines, errors, warnings, .. } = self;
        let report = |severity, mut found: Vec<Finding>| {
            found.sort_by_key(|finding| (finding.span.start, finding.span.end));
            let problems: Vec<_> =
                found.into_iter().map(|finding| Problem::new(&lines, finding)).collect();
            (!problems.is_empty()).then(|| Report { file: file.to_owned(), severity, problems })
        };
        match report(Severity::Error, errors) {
            Some(errors) => Err(errors),
            None => Ok(report(Severity::Warning, warnings)),
        }
    }
}

/// Where what is shown of the line before `at` begins.
fn window_start(text: &str, line_start: usize, at: usize, most: usize) -> usize {
    let before = &text[line_start..at];
    before.char_indices().rev().take(most).last().map_or(at, |(first, _)| line_start + first)
}

/// Where what is shown of the line from `at` on ends.
fn window_end(text: &str, at: usize, most: usize) -> usize {
    let after = text[at..].char_indices();
    let mut past = after.skip_while({
        let mut seen = 0;
        move |(_, c)| {
            seen += 1;
            *c != '\n' && seen <= most
        }
    });
    past.next().map_or(text.len(), |(end, _)| at + end)
}

/// Most problems that are shown: nobody reads more at once.
const SHOWN_MAX: usize = 100;
/// Most characters of a line that is shown as a whole.
const LINE_MAX: usize = 120;
/// Most characters of a longer line that are shown before a problem, and from where it begins: with a line
/// of a megabyte and a thousand problems in it, all of it would be a gigabyte.
const AROUND_MAX: usize = 50;
/// Stands where a line goes on.
const CUT: &str = "…";

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
        problems.into_report("f").unwrap_err().to_string()
    }

    #[test]
    fn names_do_not_steer_the_terminal() {
        let mut problems = Problems::of("");
        problems.add(0..0, "unknown key `\u{1b}[31m`", "write \u{7}");
        assert!(!problems.into_report("f").unwrap_err().to_string().contains(['\u{1b}', '\u{7}']));
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
    fn of_a_long_line_what_is_around_the_place_is_shown() {
        let text = format!("{}wrong{}", "ä".repeat(1_000), "b".repeat(1_000));
        let (before, after) = ("ä".repeat(50), "b".repeat(45));
        assert_eq!(
            shown(&text, 2_000..2_005),
            format!(
                "error: this is wrong\n --> f:1:1001\n  |\n1 | …{before}wrong{after}…\n  | {}^^^^^\n  \
                 = help: do that",
                " ".repeat(51)
            )
        );
        assert!(shown(&text, 0..text.len()).lines().all(|line| line.chars().count() < 130));
    }

    #[test]
    fn a_report_of_a_long_line_with_much_wrong_is_short() {
        let text = "a = 1, ".repeat(100_000);
        let mut problems = Problems::of(&text);
        for at in 0..1_000 {
            problems.add(at * 7..at * 7 + 1, "this is wrong", "");
        }
        let report = problems.into_report("f").unwrap_err();
        assert_eq!(report.problems().len(), 1_000);
        let told = report.to_string();
        assert!(told.ends_with("\n\n900 more are not shown\n\n1000 problems in f"), "{told}");
        assert!(told.len() < 50_000, "{}", told.len());
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let mut problems = Problems::of("a\nb\n");
        problems.add(2..3, "second", "");
        problems.add(0..1, "first", "");
        let report = problems.into_report("f").unwrap_err();
        let lines: Vec<_> = report.problems().iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2]);
        assert!(report.to_string().ends_with("\n\n2 problems in f"));
    }

    #[test]
    fn warnings_are_told_if_nothing_is_wrong() {
        let mut problems = Problems::of("a\nb\n");
        problems.warn(2..3, "think", "of this");
        problems.warn_of_task(0..1, "page", "who?", "");
        let report = problems.into_report("f").unwrap().unwrap();
        assert_eq!(
            report.to_string(),
            "warning: who?\n --> f:1:1\n  |\n1 | a\n  | ^\n\nwarning: think\n --> f:2:1\n  |\n2 | b\n  \
             | ^\n  = help: of this\n\n2 warnings in f"
        );
        let lines = |known: &str| report.lines(|name| name == known).collect::<Vec<_>>();
        assert_eq!(lines(""), ["f:1:1: who?", "f:2:1: think; of this"]);
        assert_eq!(lines("page"), ["f:2:1: think; of this"]);
        let mut problems = Problems::of("a");
        problems.warn(0..1, "think", "");
        problems.add(0..1, "wrong", "");
        assert!(problems.into_report("f").unwrap_err().to_string().starts_with("error: wrong"));
        assert_eq!(Problems::of("").into_report("f"), Ok(None));
    }
}
