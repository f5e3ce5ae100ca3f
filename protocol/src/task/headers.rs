//! Headers of a task: what is handed to its handler besides its arguments.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::InvalidBatch;
use crate::limits::{HEADER_NAME_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX};

/// Values by name: at most [`HEADERS_MAX`], which take at most [`HEADERS_BYTES_MAX`] bytes together.
///
/// They go to programs and web services as well, so they are what those can be handed as they are: names
/// of small letters, digits and `-`, which begin with a letter, and values of printable ASCII. Whatever
/// else a value is to say has to be written in that, with percent signs or as base64.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers(BTreeMap<Box<str>, Box<str>>);

impl Headers {
    /// No headers.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Adds a header, in place of what it was.
    ///
    /// # Errors
    /// The name or the value is none, or they are too many. Nothing has changed then.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), InvalidBatch> {
        check_one(name, value)?;
        let before = self.0.insert(name.into(), value.into());
        self.check_all().inspect_err(|_| {
            match before {
                Some(before) => self.0.insert(name.into(), before),
                None => self.0.remove(name),
            };
        })
    }

    /// The value of the header `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of `others` whose names are not here. They may be too many then.
    pub(super) fn fill_in(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), value.clone());
            }
        }
    }

    /// Replaces the values of those that `is_hidden` is true of.
    pub(super) fn hide(&mut self, is_hidden: impl Fn(&str) -> bool, by: &str) {
        for (name, value) in &mut self.0 {
            if is_hidden(name) {
                *value = by.into();
            }
        }
    }

    /// Refuses what no task can have.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        self.iter().try_for_each(|(name, value)| check_one(name, value))?;
        self.check_all()
    }

    fn check_all(&self) -> Result<(), InvalidBatch> {
        let bytes: usize = self.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.0.len() > HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
            let range = format!("at most {HEADERS_MAX}, of {HEADERS_BYTES_MAX} bytes together");
            return Err(InvalidBatch::option("headers", range));
        }
        Ok(())
    }

    /// No fewer bytes than they take on the wire, and about what they take in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len() + HEADER_WEIGHT).sum()
    }
}

/// Neither values, which may be secret, nor how many bytes they have.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn check_one(name: &str, value: &str) -> Result<(), InvalidBatch> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let short = |text: &str| text.chars().take(40).collect::<String>();
    if !begins_well || name.len() > HEADER_NAME_BYTES_MAX || !name.chars().all(legal) {
        let what = format!("the name {:?} of one of `headers`", short(name));
        let range =
            format!("1 to {HEADER_NAME_BYTES_MAX} of a-z 0-9 and -, and begin with a letter");
        return Err(InvalidBatch::option(&what, range));
    }
    if RESERVED.contains(&name) {
        return Err(InvalidBatch::conflicting(
            &format!("`headers` and `{name}`"),
            "it has a place of its own; say it there",
        ));
    }
    if !value.chars().all(|c| (' '..='~').contains(&c)) {
        let what = format!("the value of `{name}` in `headers`");
        return Err(InvalidBatch::option(&what, "printable ASCII; write all else as base64, say"));
    }
    Ok(())
}

/// What is said of a task otherwise.
const RESERVED: [&str; 2] = ["traceparent", "tracestate"];
/// A header without its texts, part of the log's meaning: what points to them, and their lengths.
const HEADER_WEIGHT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_programs_and_web_services_can_be_handed_is_taken() {
        let mut headers = Headers::NONE;
        headers.insert("request-id", "abc 123;=").unwrap();
        headers.insert("empty", "").unwrap();
        assert_eq!(
            (headers.get("request-id"), headers.get("empty")),
            (Some("abc 123;="), Some(""))
        );
        let long = "x".repeat(HEADER_NAME_BYTES_MAX + 1);
        for name in ["", "X-Team", "a_b", "a b", "1a", "-a", "é", &long] {
            let told = headers.insert(name, "v").unwrap_err().to_string();
            assert!(told.contains("of one of `headers` must be 1 to 64"), "{told}");
        }
        for value in ["a\r\nx: y", "é", "\u{7f}", "\t"] {
            let told = headers.insert("name", value).unwrap_err().to_string();
            assert!(told.starts_with("the value of `name` in `headers` must be"), "{told}");
        }
        let told = headers.insert("traceparent", "x").unwrap_err().to_string();
        assert!(told.starts_with("`headers` and `traceparent`: "), "{told}");
        assert_eq!(headers.iter().count(), 2);
        assert!(!format!("{headers:?}").contains("abc"), "values may be secret");
    }

    #[test]
    fn they_are_bounded_in_number_and_in_bytes() {
        let mut headers = Headers::NONE;
        for n in 0..HEADERS_MAX {
            headers.insert(&format!("h{n}"), "v").unwrap();
        }
        let told = headers.insert("more", "v").unwrap_err().to_string();
        assert!(told.starts_with("headers must be at most 32"), "{told}");
        assert_eq!((headers.get("more"), headers.check()), (None, Ok(())));
        let long = "x".repeat(HEADERS_BYTES_MAX);
        headers.insert("h0", &long).unwrap_err();
        assert_eq!(headers.get("h0"), Some("v"), "it is as before");
        let mut others = Headers::NONE;
        others.insert("more", "v").unwrap();
        headers.fill_in(&others);
        assert!(headers.check().is_err(), "together they are too many");
    }
}
