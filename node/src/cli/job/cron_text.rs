//! A cron expression that somebody typed: what is wrong with it, and where.

use std::fmt;

use umbel_protocol::job::{Cron, InvalidCron, InvalidJob};

use crate::config::cron_doubt::{Doubt, doubt};

/// A text that is not the cron expression it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) struct NotCron {
    why: String,
    /// The expression, or the part of it around what is wrong.
    shown: String,
    /// Characters of it before that.
    before: usize,
    /// Characters that are wrong, at least one.
    wrong: usize,
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Cron, NotCron> {
    Cron::parse(text).map_err(|invalid| NotCron::new(text, &invalid))
}

/// What to say of an expression that may not be what was meant.
pub(super) fn note(cron: &Cron) -> Option<String> {
    doubt(cron).map(|Doubt { what, instead }| format!("note: {what}; {instead}"))
}

/// What is wrong with a job whose schedule may be the expression `text`.
pub(super) fn told(invalid: InvalidJob, text: Option<&str>) -> anyhow::Error {
    match (invalid, text) {
        (InvalidJob::Cron(invalid), Some(text)) => NotCron::new(text, &invalid).into(),
        (invalid, _) => invalid.into(),
    }
}

impl NotCron {
    fn new(text: &str, invalid: &InvalidCron) -> Self {
        let InvalidCron { place, why } = invalid;
        let count =
            |range: std::ops::Range<usize>| text.get(range).map_or(0, |part| part.chars().count());
        let start = place.start.min(text.len());
        let (before, wrong) = (count(0..start), count(start..place.end.min(text.len())));
        let skipped = before.saturating_sub(SHOWN_BEFORE);
        let shown: String = text
            .chars()
            .skip(skipped)
            .take(SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let before = before - skipped;
        let wrong = wrong.min(shown.chars().count().saturating_sub(before)).max(1);
        Self { why: why.clone(), shown, before, wrong }
    }
}

impl fmt::Display for NotCron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, shown, before, wrong } = self;
        write!(f, "{why}\n  | {shown}\n  | {:before$}{}", "", "^".repeat(*wrong))
    }
}

/// Most of an expression that is shown.
const SHOWN: usize = 76;
/// Most of it before what is wrong.
const SHOWN_BEFORE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (text, caret) in [
            ("61 * * * *", "  | 61 * * * *\n  | ^^"),
            ("0 0 * JANUARY *", "  | 0 0 * JANUARY *\n  |       ^^^^^^^"),
            ("0 0 * * é", "  | 0 0 * * é\n  |         ^"),
            ("", "  | \n  | ^"),
            ("@reboot", "  | @reboot\n  | ^^^^^^^"),
        ] {
            let error = parse(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.ends_with(&format!("\n{caret}")), "{error}");
        }
        assert!(parse("30 2 * * MON").is_ok());
    }

    #[test]
    fn of_long_texts_the_part_that_matters_is_shown() {
        let text = format!("{}x * * * *", "1,".repeat(90));
        let error = parse(&text).map(|_| ()).expect_err("no number").to_string();
        let lines: Vec<_> = error.lines().collect();
        let place = lines[2].find('^').expect("a caret");
        assert_eq!((lines[1].chars().nth(place), lines[2].matches('^').count()), (Some('x'), 1));
        let error = parse(&"1 ".repeat(500)).map(|_| ()).expect_err("too long").to_string();
        assert!(error.lines().all(|line| line.len() < 90), "{error}");
    }
}
