//! The keys of a task that `unique_by`, `limit_by` and `fair_by` make of arguments of its call.
//!
//! Invariant: of arguments of the same types, different values make different keys. The rules are told
//! to users of `#[umbel::task]`, and others may follow them in other languages: they do not change.

use ring::digest::{SHA256, digest};
use serde::Serialize;
use umbel_protocol::limits::KEY_BYTES_MAX;

use super::call::Call;

/// The key of a call, or why there is none. For generated code only.
#[doc(hidden)]
#[derive(Debug)]
pub struct Key(Result<Box<str>, serde_json::Error>);

impl Key {
    /// The key that `value` makes.
    pub fn of(value: &impl Serialize) -> Self {
        // As a value first: in that maps are sorted. It has no room for numbers of 128 bits.
        let text = serde_json::to_value(value).map(text);
        let text = text.or_else(|_| serde_json::to_string(value));
        Self(text.map(|text| bounded(text).into_boxed_str()))
    }

    /// The same call with this key, which `say` gives it. One without is not submitted: it would not be
    /// kept apart from others, or not limited with them, as its declaration promises.
    pub fn put<R>(self, call: Call<R>, say: impl FnOnce(Call<R>, Box<str>) -> Call<R>) -> Call<R> {
        match self.0 {
            Ok(key) => say(call, key),
            Err(why) => call.spoilt(why),
        }
    }
}

/// A string stands for itself, unless it could be taken for the JSON of something else.
fn text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text)
            if !text.is_empty() && text != "null" && !text.starts_with('"') =>
        {
            text
        }
        other => other.to_string(),
    }
}

/// A key that is too long is told apart from others by its digest.
fn bounded(key: String) -> String {
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    let digest = digest(&SHA256, key.as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[track_caller]
    fn key(value: &impl Serialize) -> String {
        Key::of(value).0.unwrap().into()
    }

    #[test]
    fn a_string_is_itself_and_all_else_is_json() {
        assert_eq!(key(&"you@example.net"), "you@example.net");
        assert_eq!(key(&"7"), "7");
        assert_eq!(key(&7_u64), "7");
        assert_eq!(key(&u128::MAX), u128::MAX.to_string());
        assert_eq!(key(&(&7_u64, &"2030-01")), r#"[7,"2030-01"]"#);
        assert_eq!(key(&(&"a", &"b")), r#"["a","b"]"#);
        assert_ne!(key(&(&"a,b", &"")), key(&(&"a", &"b,")));
        // Whatever their order in memory.
        let map: HashMap<_, _> = (0..64).map(|n| (format!("{n:02}"), n)).collect();
        let again: HashMap<_, _> = (0..64).rev().map(|n| (format!("{n:02}"), n)).collect();
        assert_eq!(key(&map), key(&again));
    }

    #[test]
    fn nothing_is_taken_for_something_else() {
        let keys = [None, Some(""), Some("null"), Some("\"null\""), Some("\"\""), Some("nul")];
        let keys = keys.map(|value: Option<&str>| key(&value));
        assert_eq!(keys, ["null", "\"\"", "\"null\"", r#""\"null\"""#, r#""\"\"""#, "nul"]);
    }

    #[test]
    fn a_key_that_is_too_long_is_its_digest() {
        let longest = "x".repeat(KEY_BYTES_MAX);
        assert_eq!(key(&longest), longest);
        let (long, other) = (longest.clone() + "y", longest + "z");
        assert_eq!(key(&long).len(), "sha256:".len() + 64);
        assert!(key(&long).starts_with("sha256:"));
        assert_eq!(key(&long), key(&long));
        assert_ne!(key(&long), key(&other));
    }

    #[test]
    fn a_call_whose_key_cannot_be_written_is_not_made_without() {
        let odd = std::collections::BTreeMap::from([((1, 2), 3)]);
        let call = || Call::<()>::named("mail", &7);
        assert!(Key::of(&odd).put(call(), Call::unique).into_submission().is_err());
        assert!(Key::of(&odd).put(call(), Call::limit_key).into_submission().is_err());
        let put = Key::of(&7).put(call(), Call::fairness_key).into_submission().unwrap();
        assert_eq!(put.particulars.unwrap().fairness_key.as_deref(), Some("7"));
    }
}
