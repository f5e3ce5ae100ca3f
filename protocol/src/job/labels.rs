//! Labels of nodes and of tasks, and what selects among them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{LABEL_BYTES_MAX, LABELS_MAX};

/// Labels by key: what is said of a node (`role = "db"`) or of a task, or what it must have to be selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// No labels: as a selection, every node.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Adds `key = value`, in place of what it was.
    ///
    /// # Errors
    /// When either is no text for a label, or there are too many.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidLabel> {
        for text in [key, value] {
            let legal =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
            if text.is_empty() || text.len() > LABEL_BYTES_MAX || !text.chars().all(legal) {
                return Err(InvalidLabel::Text { text: text.chars().take(40).collect() });
            }
        }
        if self.0.len() >= LABELS_MAX && !self.0.contains_key(key) {
            return Err(InvalidLabel::TooMany);
        }
        self.0.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Whether what has these labels has all that `selection` wants.
    #[must_use]
    pub fn match_all(&self, selection: &Self) -> bool {
        selection.0.iter().all(|(key, value)| self.0.get(key) == Some(value))
    }

    /// The value of the label `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Adds those of `others` whose keys are not here. They may be too many then.
    pub(crate) fn fill_in(&mut self, others: &Self) {
        for (key, value) in &others.0 {
            if !self.0.contains_key(key) {
                self.0.insert(key.clone(), value.clone());
            }
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Refuses what no node would have.
    ///
    /// # Errors
    /// The first limit that is broken.
    pub fn check(&self) -> Result<(), InvalidLabel> {
        let mut anew = Self::NONE;
        self.iter().try_for_each(|(key, value)| anew.insert(key, value))
    }

    /// What memory it is counted as.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.len() + 64).sum()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

/// As [`Display`](fmt::Display) writes them: `role=db,zone=a`.
impl FromStr for Labels {
    type Err = InvalidLabel;
    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let mut labels = Self::NONE;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| InvalidLabel::Text { text: part.chars().take(40).collect() })?;
            let key = key.trim();
            if labels.0.contains_key(key) {
                return Err(InvalidLabel::Twice { key: key.to_owned() });
            }
            labels.insert(key, value.trim())?;
        }
        Ok(labels)
    }
}

/// Not a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidLabel {
    /// A key or a value is empty, too long or has other characters.
    #[error(
        "{text:?} is no label: write key=value, each with 1 to {LABEL_BYTES_MAX} of \
         A-Z a-z 0-9 _ - . : /"
    )]
    Text {
        /// Its beginning.
        text: String,
    },
    /// There are too many.
    #[error("a node has at most {LABELS_MAX} labels, and so has a selection; leave some out")]
    TooMany,
    /// A text says two values of one key, of which only one could count.
    #[error("{key:?} is said twice; write each key once")]
    Twice {
        /// The key.
        key: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wanted_must_be_there() {
        let node: Labels = "role=db,zone=a".parse().unwrap();
        for (selection, matches) in [
            ("", true),
            ("role=db", true),
            ("role=db,zone=a", true),
            ("role=web", false),
            ("rack=1", false),
        ] {
            assert_eq!(node.match_all(&selection.parse().unwrap()), matches, "{selection}");
        }
        assert_eq!(node.to_string(), "role=db,zone=a");
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for text in ["role", "=db", "role=", "a b=c", &format!("k={}", "x".repeat(65))] {
            assert!(text.parse::<Labels>().is_err(), "{text}");
        }
        for text in ["a=b,a=c", "a=b, a=b"] {
            let twice = InvalidLabel::Twice { key: "a".to_owned() };
            assert_eq!(text.parse::<Labels>(), Err(twice), "{text}");
        }
        let many: Vec<String> = (0..=LABELS_MAX).map(|n| format!("k{n}=v")).collect();
        assert_eq!(many.join(",").parse::<Labels>(), Err(InvalidLabel::TooMany));
    }
}
