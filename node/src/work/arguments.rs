//! The arguments of a task as they were written: what goes to a program is no other number than what
//! was submitted, however many digits it has.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The arguments of a task, by name if they have names.
#[derive(Debug)]
pub struct Arguments {
    /// Nothing if they are no JSON object.
    named: Option<BTreeMap<String, Box<RawValue>>>,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Null.
    Null,
    /// A string, as it is meant.
    String(String),
    /// Anything else, as compact JSON.
    Other(String),
}

impl Arguments {
    /// Reads `json`.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let whole: &RawValue = serde_json::from_slice(json)?;
        let named = if whole.get().starts_with('{') {
            Some(serde_json::from_str(whole.get())?)
        } else {
            None
        };
        Ok(Self { named })
    }

    /// Whether they have names.
    #[must_use]
    pub const fn are_named(&self) -> bool {
        self.named.is_some()
    }

    /// The argument of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Argument> {
        let raw = self.named.as_ref()?.get(name)?.get();
        Some(match raw.as_bytes().first() {
            Some(b'n') => Argument::Null,
            Some(b'"') => match serde_json::from_str(raw) {
                Ok(text) => Argument::String(text),
                // It is JSON, but half a character.
                Err(_) => Argument::Other(raw.to_owned()),
            },
            Some(_) | None => Argument::Other(compact(raw)),
        })
    }
}

impl From<&Value> for Arguments {
    fn from(value: &Value) -> Self {
        Self::parse(value.to_string().as_bytes()).expect("a value is JSON")
    }
}

/// JSON without the spaces between its parts.
fn compact(json: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    let keep = |c: &char| {
        if in_string {
            in_string = escaped || *c != '"';
            escaped = !escaped && *c == '\\';
            return true;
        }
        in_string = *c == '"';
        !c.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_kept_and_no_space_between() {
        let json = br#" {"n": 123456789012345678901234567890, "x": 1.10, "s": "a\u00e9\n",
            "l": [ 1.0 , " \" ] \\" , { "k" : 1e400 } ], "z": null}"#;
        let args = Arguments::parse(json).unwrap();
        let other = |text: &str| Some(Argument::Other(text.to_owned()));
        assert_eq!(args.get("n"), other("123456789012345678901234567890"));
        assert_eq!(args.get("x"), other("1.10"));
        assert_eq!(args.get("s"), Some(Argument::String("aé\n".to_owned())));
        assert_eq!(args.get("l"), other(r#"[1.0," \" ] \\",{"k":1e400}]"#));
        assert_eq!((args.get("z"), args.get("y")), (Some(Argument::Null), None));
        assert!(!Arguments::parse(b"[1]").unwrap().are_named());
        assert!(Arguments::parse(b"{").is_err());
    }
}
