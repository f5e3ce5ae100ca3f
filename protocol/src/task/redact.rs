//! Which arguments of a task are never shown, and what is shown in their place.
//!
//! This is about what people see, not about who can read what: arguments reach the handler as they are,
//! and lie as they are in logs and on disks.

use bytes::Bytes;

use super::InvalidBatch;
use crate::limits::{REDACT_MAX, REDACT_NAME_BYTES_MAX};

/// The name that stands for all arguments and headers together.
pub const REDACT_ALL: &str = "*";
/// What is shown in place of a value.
pub const REDACTED: &str = "[redacted]";

/// `args`, JSON, as they may be shown: without the value of any field called by one of `names`, however
/// deep it lies, and without any value at all if one of them is [`REDACT_ALL`]. What is no object of JSON
/// is not shown at all then: an argument that travels alone has no name there, nor have those of a list.
#[must_use]
pub fn redacted(args: &Bytes, names: &[Box<str>]) -> Bytes {
    if names.is_empty() {
        return args.clone();
    }
    let hidden = || Bytes::from(format!("\"{REDACTED}\""));
    if names.iter().any(|name| &**name == REDACT_ALL) {
        return hidden();
    }
    let object = |text: &&str| text.trim_start_matches(BLANK).starts_with('{');
    let text = std::str::from_utf8(args).ok().filter(object);
    let shown = text.and_then(|text| without(text, names));
    shown.map_or_else(hidden, Bytes::from)
}

/// Whether the header called `header` is never shown of a task that hides what is called by one of `names`.
#[must_use]
pub fn hides_header(names: &[Box<str>], header: &str) -> bool {
    names.iter().any(|name| **name == *header || **name == *REDACT_ALL)
}

/// Refuses names that hide nothing, and too many of them.
pub(super) fn check(names: &[Box<str>]) -> Result<(), InvalidBatch> {
    let has_room = match names {
        // A declaration that brings too many hides all instead.
        [said @ .., last] if &**last == REDACT_ALL => said.len() <= REDACT_MAX,
        _ => (1..=REDACT_MAX).contains(&names.len()),
    };
    let fits = |name: &str| {
        (1..=REDACT_NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    if !has_room || !names.iter().all(|name| fits(name)) {
        let range = format!(
            "1 to {REDACT_MAX} names of arguments, each 1 to {REDACT_NAME_BYTES_MAX} bytes"
        );
        return Err(InvalidBatch::option("redact", range));
    }
    Ok(())
}

/// Adds `declared` to what was `said`; how many names that adds.
pub(super) fn add(said: &mut Option<Vec<Box<str>>>, declared: &[Box<str>]) -> u8 {
    let before = said.as_ref().map_or(0, Vec::len);
    let names = said.get_or_insert_default();
    for name in declared {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names.len() > REDACT_MAX {
        names.truncate(before);
        if !names.iter().any(|name| &**name == REDACT_ALL) {
            names.push(REDACT_ALL.into());
        }
    }
    let added = names.len() - before;
    if names.is_empty() {
        *said = None;
    }
    u8::try_from(added).unwrap_or(u8::MAX)
}

/// Takes the last `added` of `names` away again.
pub(super) fn take_out(names: &mut Option<Vec<Box<str>>>, added: u8) {
    if let Some(all) = names {
        all.truncate(all.len().saturating_sub(usize::from(added)));
        if all.is_empty() {
            *names = None;
        }
    }
}

/// JSON without the values of the fields called by one of `names`; nothing if it is none.
fn without(json: &str, names: &[Box<str>]) -> Option<String> {
    let mut shown = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at_checked(token(rest)?)?;
        shown.push_str(token);
        rest = after;
        if first != '"' {
            continue;
        }
        // A string before a colon is the name of a field, wherever it stands.
        let behind = rest.trim_start_matches(BLANK);
        if let Some(value) = behind.strip_prefix(':')
            && is_hidden(token, names)
        {
            rest = after_value(value.trim_start_matches(BLANK))?;
            shown.push_str(":\"");
            shown.push_str(REDACTED);
            shown.push('"');
        }
    }
    Some(shown)
}

/// The length of the token that `json` begins with: a string, a number, a word, or one sign.
fn token(json: &str) -> Option<usize> {
    match json.as_bytes().first()? {
        b'"' => string(json),
        b'{' | b'}' | b'[' | b']' | b':' | b',' | b' ' | b'\t' | b'\n' | b'\r' => Some(1),
        b'-' | b'0'..=b'9' => {
            let ends = |c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
            Some(json.find(ends).unwrap_or(json.len()))
        }
        _ => ["true", "false", "null"].iter().find(|word| json.starts_with(*word)).map(|w| w.len()),
    }
}

/// The length of the string that `json` begins with, its quotes included.
fn string(json: &str) -> Option<usize> {
    let mut escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

/// What comes after the value that `json` begins with.
fn after_value(json: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut rest = json;
    loop {
        let (taken, after) = rest.split_at_checked(token(rest)?)?;
        rest = after;
        match taken {
            "{" | "[" => depth += 1,
            "}" | "]" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (!matches!(taken, "," | ":")).then_some(rest);
        }
    }
}

/// Whether the string `token` is one of `names`, however it is written. What cannot be read is hidden.
fn is_hidden(token: &str, names: &[Box<str>]) -> bool {
    let written = token.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match written.and_then(unescaped) {
        Some(meant) => names.iter().any(|name| **name == *meant),
        None => true,
    }
}

/// What a string of JSON means that has escapes in it.
fn unescaped(text: &str) -> Option<String> {
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let meant = match c {
            '\\' => match chars.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits = chars.as_str().get(..4)?;
                    units.push(u16::from_str_radix(digits, 16).ok()?);
                    chars = chars.as_str().get(4..)?.chars();
                    continue;
                }
                sign @ ('"' | '\\' | '/') => sign,
                _ => return None,
            },
            plain => plain,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(all: &[&str]) -> Vec<Box<str>> {
        all.iter().map(|name| (*name).into()).collect()
    }

    #[track_caller]
    fn shown(args: &str, all: &[&str]) -> String {
        let shown = redacted(&Bytes::copy_from_slice(args.as_bytes()), &names(all));
        String::from_utf8(shown.to_vec()).unwrap()
    }

    #[test]
    fn what_is_called_so_is_hidden_and_the_rest_shown_as_it_is() {
        let hide = ["password", "a\"b"];
        for (args, expected) in [
            (r#"{"user":"x","password":"p\"w"}"#, r#"{"user":"x","password":"[redacted]"}"#),
            (
                r#"{ "password" : { "a": [1, "]"], "b": {} } , "n": 1.10 }"#,
                r#"{ "password":"[redacted]" , "n": 1.10 }"#,
            ),
            (
                r#" {"all":[{"password":[[1],2]},{"password":-1e400}]}"#,
                r#" {"all":[{"password":"[redacted]"},{"password":"[redacted]"}]}"#,
            ),
            (r#"{"a\"b":true,"c":["password"]}"#, r#"{"a\"b":"[redacted]","c":["password"]}"#),
            (r#"{"p\u0061ssword":null}"#, r#"{"p\u0061ssword":"[redacted]"}"#),
            (
                r#"{"Password":1,"passwords":2,"é":"password"}"#,
                r#"{"Password":1,"passwords":2,"é":"password"}"#,
            ),
        ] {
            assert_eq!(shown(args, &hide), expected, "{args}");
        }
        assert_eq!(shown(r#"{"a":"b"}"#, &[]), r#"{"a":"b"}"#);
        assert_eq!(shown(r#"{"a":"b"}"#, &["x", REDACT_ALL]), "\"[redacted]\"");
    }

    #[test]
    fn what_has_no_names_is_not_shown() {
        for args in ["null", "\"hunter2\"", " 4711", r#"["x","hunter2"]"#, r#"[{"user":"x"}]"#, ""]
        {
            assert_eq!(shown(args, &["password"]), "\"[redacted]\"", "{args}");
            assert_eq!(shown(args, &[]), args);
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        for args in [
            "{password: 1}",
            "{'password': 1}",
            r#"{"password":"#,
            r#"{"password":}"#,
            r#"{"password":,"x":1}"#,
            r#"{"password":[1"#,
            r#"{"password":"x"#,
            "password=x",
            "\u{feff}{}",
        ] {
            assert_eq!(shown(args, &["password"]), "\"[redacted]\"", "{args}");
        }
        let shown = redacted(&Bytes::from_static(b"{\"a\":\"\xff\"}"), &names(&["password"]));
        assert_eq!(shown, "\"[redacted]\"");
        // A name that is half a character is none that anybody could have given.
        assert!(is_hidden(r#""\ud800""#, &names(&["x"])) && is_hidden(r#""\x""#, &names(&["x"])));
    }

    #[test]
    fn headers_are_hidden_by_their_names_or_all() {
        assert!(hides_header(&names(&["a", "token"]), "token"));
        assert!(hides_header(&names(&["a", REDACT_ALL]), "token"));
        assert!(!hides_header(&names(&["a"]), "token") && !hides_header(&[], "token"));
    }

    #[test]
    fn names_are_bounded() {
        let many = |count: usize| (0..count).map(|n| format!("n{n}").into()).collect::<Vec<_>>();
        assert_eq!(check(&many(REDACT_MAX)), Ok(()));
        let long = "x".repeat(REDACT_NAME_BYTES_MAX + 1);
        for wrong in [vec![], many(REDACT_MAX + 1), names(&[""]), names(&["a\n"]), names(&[&long])]
        {
            let told = check(&wrong).unwrap_err().to_string();
            assert!(told.starts_with("redact must be 1 to 16 names"), "{told}");
        }
    }

    #[test]
    fn a_declaration_adds_to_what_its_caller_hides() {
        let declared = names(&["b", "a"]);
        let mut said = Some(names(&["a"]));
        assert_eq!((add(&mut said, &declared), &said), (1, &Some(names(&["a", "b"]))));
        take_out(&mut said, 1);
        assert_eq!(said, Some(names(&["a"])));
        let mut said = None;
        assert_eq!((add(&mut said, &declared), &said), (2, &Some(declared)));
        take_out(&mut said, 2);
        assert_eq!((add(&mut said, &[]), said), (0, None));
        let many = |of: &str| (0..REDACT_MAX).map(|n| format!("{of}{n}").into()).collect();
        let (mut said, declared): (Vec<Box<str>>, Vec<Box<str>>) = (many("a"), many("b"));
        said.truncate(REDACT_MAX);
        let mut whole = Some(said.clone());
        assert_eq!(add(&mut whole, &declared), 1);
        assert_eq!(whole.as_ref().unwrap().last().map(|name| &**name), Some(REDACT_ALL));
        assert_eq!(check(whole.as_ref().unwrap()), Ok(()));
        take_out(&mut whole, 1);
        assert_eq!(whole, Some(said));
    }

    proptest! {
        #[test]
        fn no_text_leads_astray(text in "[\\[\\]{}\",:\\\\u0-9a-f ptrue]{0,60}") {
            let _ = shown(&text, &["password", "p"]);
        }

        #[test]
        fn a_secret_shows_nowhere(before in "[a-z\\[{\" :,]{0,12}", secret in "[0-9]{9}") {
            let field = format!("{{{before:?}: [1], \"password\": [{{\"x\": \"{secret}\"}}], \"z\": 1}}");
            let shown = shown(&field, &["password"]);
            prop_assert!(!shown.contains(&secret), "{}", shown);
            prop_assert!(shown.contains("\"z\": 1"), "{}", shown);
        }
    }
}
