//! The end of what a run printed, for a job's history.
//!
//! Commands return `{"exit_code":0,"stdout":"...","stderr":"..."}` and fail with the same as the
//! detail; what people want to see of it is the end of its standard error where it failed, and of its
//! standard output where it did not, or of the other one if there is nothing. All else is shown as it
//! is. Part of the log's meaning: copies keep the same.

use crate::limits::TICK_OUTPUT_BYTES_MAX;

/// The end of what `json` says that its run printed, at most [`TICK_OUTPUT_BYTES_MAX`] bytes.
#[must_use]
pub fn tail(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let printed = |key| string_after(&text, key).filter(|text| !text.trim().is_empty());
    let (stdout, stderr) = ("\"stdout\":\"", "\"stderr\":\"");
    let is_good = text.starts_with("{\"exit_code\":0,");
    let (first, second) = if is_good { (stdout, stderr) } else { (stderr, stdout) };
    let shown = printed(first).or_else(|| printed(second));
    let is_command = text.starts_with("{\"exit_code\":") || text.starts_with("{\"signal\":");
    match shown {
        Some(shown) if is_command => end_of(shown.trim_end()),
        _ if is_command || text == "null" => String::new(),
        _ => end_of(&text),
    }
}

/// The string that begins after the first `key` of `text`, with what is escaped in it.
fn string_after(text: &str, key: &str) -> Option<String> {
    let begin = text.find(key)? + key.len();
    let mut string = String::new();
    let mut chars = text.get(begin..)?.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(string),
            '\\' => match chars.next()? {
                'n' => string.push('\n'),
                't' => string.push('\t'),
                'r' | 'b' | 'f' => string.push(' '),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    string.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                other => string.push(other),
            },
            other => string.push(other),
        }
    }
    None
}

/// The end of `text`, as much as is kept, from the beginning of a character on.
pub(crate) fn end_of(text: &str) -> String {
    let mut from = text.len().saturating_sub(TICK_OUTPUT_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_command_what_it_printed_is_shown() {
        let out = br#"{"exit_code":0,"stdout":"42 \"files\"\nof 7\u00e4\n","stderr":""}"#;
        assert_eq!(tail(out), "42 \"files\"\nof 7\u{e4}");
        let err = br#"{"exit_code":1,"stdout":"begun\n","stderr":"no such file\n"}"#;
        assert_eq!(tail(err), "no such file");
        let both = br#"{"exit_code":0,"stdout":"42 files\n","stderr":"removing /\n"}"#;
        assert_eq!(tail(both), "42 files");
        assert_eq!(tail(br#"{"exit_code":0,"stdout":" ","stderr":"hm\n"}"#), "hm");
        assert_eq!(tail(br#"{"exit_code":0,"stdout":"","stderr":""}"#), "");
    }

    #[test]
    fn all_else_is_shown_as_it_is_as_far_as_there_is_room() {
        assert_eq!(tail(b"null"), "");
        assert_eq!(tail(br#"{"stdout":"mine"}"#), r#"{"stdout":"mine"}"#);
        let long = "\u{e4}".repeat(TICK_OUTPUT_BYTES_MAX);
        let shown = tail(long.as_bytes());
        assert!(shown.len() <= TICK_OUTPUT_BYTES_MAX && long.ends_with(&shown));
        assert_eq!(tail(br#"{"exit_code":0,"stdout":"cut"#), "");
    }
}
