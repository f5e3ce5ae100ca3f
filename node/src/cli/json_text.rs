//! JSON that people typed: what is wrong with it, and where.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The bytes of `text` if it is JSON.
pub(super) fn args(text: &str) -> Result<Bytes, NotJson> {
    parse::<IgnoredAny>(text)?;
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

/// What `text` says.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, NotJson> {
    serde_json::from_str(text).map_err(|error| NotJson::new(text, &error))
}

/// A text that is not the JSON it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) struct NotJson {
    what: String,
    /// From 1; 0 if the whole text is meant.
    line: usize,
    /// In characters from 1.
    column: usize,
    /// The line, or the part of it around the column.
    source_line: String,
    /// Characters before the column in `source_line`.
    caret: usize,
}

impl NotJson {
    fn new(text: &str, error: &serde_json::Error) -> Self {
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default().to_owned();
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        // The column is counted in bytes, and is that of the last byte read.
        let end = line.floor_char_boundary(error.column().saturating_sub(1).min(line.len()));
        let before = line[..end].chars().count();
        let skipped = before.saturating_sub(SHOWN_BEFORE);
        let source_line: String = line
            .chars()
            .skip(skipped)
            .take(SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Self { what, line: error.line(), column: before + 1, source_line, caret: before - skipped }
    }

    /// The column, in characters from 1.
    pub(super) const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, without where.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// The line with a caret below the place.
    pub(super) fn excerpt(&self) -> String {
        format!("  | {}\n  | {:caret$}^", self.source_line, "", caret = self.caret)
    }
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, line, column, .. } = self;
        write!(f, "{what} at line {line} column {column}\n{}", self.excerpt())
    }
}

/// Most of a line that is shown.
const SHOWN: usize = 76;
/// Most of it before the place that is meant.
const SHOWN_BEFORE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_passed_on_as_it_is() {
        assert_eq!(args(" [1, 2]").unwrap(), " [1, 2]");
    }

    #[test]
    fn the_place_is_pointed_at() {
        let error = args(r#"{"path": "é" "x"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected `,` or `}` at line 1 column 14\n  | {\"path\": \"é\" \"x\"}\n  |              ^"
        );
        let error = args("{\"a\": 1,\n \"b\"}").unwrap_err();
        assert_eq!(error.to_string(), "expected `:` at line 2 column 5\n  |  \"b\"}\n  |     ^");
        let error = args("").unwrap_err();
        assert_eq!(error.what(), "EOF while parsing a value");
    }

    #[test]
    fn of_long_lines_the_part_that_matters_is_shown() {
        let text = format!("[{}x]", "1,".repeat(1000));
        let error = args(&text).unwrap_err();
        assert_eq!(error.column(), 2002);
        let excerpt = error.excerpt();
        let lines: Vec<_> = excerpt.lines().collect();
        assert_eq!(lines[0].chars().nth(lines[1].len() - 1), Some('x'));
        assert!(lines[0].len() < 90);
    }
}
